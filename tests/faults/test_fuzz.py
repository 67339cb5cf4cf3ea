"""Thousands of things that an engine might say, by night a million, and nothing but documented outcomes."""

from __future__ import annotations

import logging
import random
import traceback
from collections import Counter
from collections.abc import Callable
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from sessionlib import SessionDisconnectedError, SessionError, SessionProtocolError
from sessionlib.protocol.frames import message_delta
from tests.support.fuzzing import consume, cut, mutated_bytes, mutated_frames, valid_frames
from tests.support.profiles import scaled
from tests.support.shapes import damaged, nearly_frames, scalars
from tests.support.ws_bytes import text_frame

CASES = scaled(1_500)
"""Of each kind of mutation; by night 75,000."""

EXAMPLES = scaled(200)

KEYS = ["type", "session_id", "message", "message_id", "content", "index", "value", "status", "error", "id"]
values = nearly_frames | st.lists(nearly_frames | scalars, max_size=3) | scalars


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    # Keeping what a hundred thousand cases log would take longer than the cases.
    caplog.set_level(logging.CRITICAL, "sessionlib")


def assert_documented(pieces: list[bytes], interrupted: bool) -> list[BaseException]:
    """Fails when a client that reads the bytes raises what the documentation does not tell of."""
    raised = consume(pieces, interrupted=interrupted)
    for error in raised:
        if not isinstance(error, SessionError):
            raise AssertionError(f"{pieces}: {traceback.format_exception(error)}") from error
    return raised


@pytest.mark.parametrize("mutated", [mutated_frames, mutated_bytes])
def test_nothing_but_documented_outcomes(mutated: Callable[[random.Random], list[bytes]], seed: int) -> None:
    outcomes: Counter[str] = Counter()
    for number in range(CASES):
        rng = random.Random(f"{seed}/{mutated.__name__}/{number}")
        pieces = cut(mutated(rng), rng)
        outcomes.update(type(error).__name__ for error in assert_documented(pieces, interrupted=rng.random() < 0.5)[:1])
    assert outcomes.total() == CASES
    # Or the mutations are so wild, or so tame, that they show nothing.
    assert min(outcomes["SessionProtocolError"], outcomes["SessionDisconnectedError"]) > CASES / 50, outcomes


@hypothesis.settings(max_examples=EXAMPLES, suppress_health_check=list(hypothesis.HealthCheck))
@hypothesis.given(
    base=st.lists(st.sampled_from(valid_frames()), min_size=1, max_size=4),
    changes=st.lists(st.tuples(st.sampled_from(KEYS), values, st.booleans()), min_size=1, max_size=4),
    burst=st.sampled_from([0, 8, 20]),
    interrupted=st.booleans(),
)
def test_any_value_in_any_field(
    base: list[dict[str, Any]], changes: list[tuple[str, Any, bool]], burst: int, interrupted: bool
) -> None:
    row = [dict(frame) for frame in base]
    for number, (key, value, within) in enumerate(changes):
        frame = row[number % len(row)]
        if within and isinstance(frame.get("message"), dict):
            message = dict(frame["message"])
            inner = message.get("content")
            if isinstance(inner, dict) and number % 2:
                message["content"] = {**inner, key: value}
            else:
                message[key] = value
            frame["message"] = message
        else:
            frame[key] = value
    # In one write with the deltas of a quick answer: what comes of a frame may depend on what it stands between.
    deltas = [text_frame(message_delta("s1", "m1", number, "x")) for number in range(burst)]
    middle = [text_frame(frame) for frame in row]
    assert_documented([b"".join([*deltas[: burst // 2], *middle, *deltas[burst // 2 :]])], interrupted)


def test_the_untouched_frames_do_no_harm() -> None:
    for frame in valid_frames():
        lost, *_ = assert_documented([text_frame(frame)], interrupted=False)
        assert isinstance(lost, SessionDisconnectedError), (frame, lost)


@pytest.mark.parametrize("frame", valid_frames(), ids=lambda frame: frame["type"])
def test_every_field_with_every_kind_of_value(frame: dict[str, Any]) -> None:
    refused = 0
    for _, changed in damaged(frame):
        lost, *_ = assert_documented([text_frame(changed)], interrupted=False)
        refused += isinstance(lost, SessionProtocolError)
    assert refused > 0, "no wrong type is refused"
