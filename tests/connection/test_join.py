"""The requests that join a session, and what comes between them and their answers."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

import pytest

from sessionlib import errors
from sessionlib._util.timing import Deadline
from sessionlib.connection.join import as_transient, create, fetch_history, join, load_transport
from sessionlib.connection.options import Owner
from sessionlib.protocol import codec, frames
from sessionlib.protocol.client import ClientProtocol
from sessionlib.protocol.frames import Frame


class Script:
    """A transport over which there comes what is written down: for each request the frames of a read, or an error."""

    def __init__(self, *reads: Sequence[Frame] | errors.SessionlibError) -> None:
        self.sent: list[Frame] = []
        self._reads = list(reads)

    def send(self, payload: bytes, deadline: Deadline) -> None:
        self.sent.append(codec.loads(payload))

    def recv(self, deadline: Deadline | None = None) -> list[bytes]:
        read = self._reads.pop(0)
        if isinstance(read, errors.SessionlibError):
            raise read
        return [codec.dumps(frame) for frame in read]


def part(*ids: str, more: bool) -> Frame:
    return {"type": "get_messages", "session_id": "s1", "messages": [{"id": name} for name in ids], "more": more}


def delta(index: int) -> Frame:
    return frames.message_delta("s1", "m9", index, str(index))


def ask_history(*reads: Sequence[Frame] | errors.SessionlibError, protocol: ClientProtocol | None = None) -> Any:
    script: Any = Script(*reads)
    history, live = fetch_history(protocol or ClientProtocol("s1"), script, Deadline(30))
    return [message["id"] for message in history], live, [frame.get("after") for frame in script.sent]


def test_what_connects_is_imported_before_a_descriptor_may_be_lacking(monkeypatch: pytest.MonkeyPatch) -> None:
    imported: list[str] = []
    monkeypatch.setattr(importlib, "import_module", imported.append)
    load_transport()
    assert "sessionlib.transport.websocket" in imported


def test_a_session_is_created_and_joined_with_what_comes_meanwhile() -> None:
    protocol, answer = ClientProtocol(None), frames.session_created("s1")
    events = create(protocol, Script([answer, delta(0)]), Owner("agent", "a1"), Deadline(30))  # type: ignore[arg-type]
    assert ([event.delta for event in events], protocol.session_id) == (["0"], "s1")
    script: Any = Script([{"type": "new_type", "session_id": "s1"}, delta(1)], [frames.ack("connect_session", "s1")])
    ack, events = join(protocol, script, Deadline(30))
    assert (ack["type"], [event.delta for event in events]) == ("connect_session", ["1"])


def test_a_history_comes_in_parts_with_what_comes_meanwhile() -> None:
    ids, live, behind = ask_history([part("m1", "m2", more=True), delta(0)], [delta(1)], [part("m3", more=False)])
    assert (ids, [event.delta for event in live], behind) == (["m1", "m2", "m3"], ["0", "1"], [None, "m2"])


@pytest.mark.parametrize("kind", ["SessionDisconnectedError", "SessionTimeoutError", "SessionProtocolError"])
def test_a_connection_that_breaks_between_two_parts_leaves_no_half_of_a_history(kind: str) -> None:
    error = getattr(errors, kind)("broken")
    with pytest.raises(type(error)) as raised:
        ask_history([part("m1", more=True)], error)
    assert raised.value is error


def test_a_history_that_is_too_large_is_asked_for_once() -> None:
    protocol, error = ClientProtocol("s1"), errors.MessageTooLargeError("large", size=2, limit=1)
    with pytest.raises(errors.MessageTooLargeError):
        ask_history(error, protocol=protocol)
    assert error.transient
    ids, live, behind = ask_history(protocol=protocol)
    assert (ids, behind) == ([], [])
    assert "larger than a message may be" in live[0].data["detail"]


def test_a_history_that_is_refused_is_a_gap_behind_what_came() -> None:
    ids, live, _ = ask_history([part("m1", more=True), delta(0)], [frames.error("no", "get_messages")])
    assert (ids, live[0].delta) == ([], "0")
    assert "the history is unavailable" in live[1].data["detail"]


def test_a_history_that_is_none_is_empty() -> None:
    ids, live, _ = ask_history([{"type": "get_messages", "session_id": "s1", "messages": "none"}])
    assert (ids, live) == ([], [])


def test_what_a_key_raises_may_not_be_met_again() -> None:
    known = errors.SessionTimeoutError("late")
    assert as_transient(known) is known
    cause = KeyError("token")
    wrapped = as_transient(cause)
    assert (type(wrapped), wrapped.transient, wrapped.__cause__) == (errors.SessionConnectionError, True, cause)
    assert "token" not in str(wrapped)
