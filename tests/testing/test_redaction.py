"""Files are kept out of a frame however it is cut into chunks on its way."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from sessionlib.protocol import codec
from sessionlib.testing.redaction import Shrinker, file_facts, shrink


def frame_with(files: list[bytes], text: str) -> dict[str, Any]:
    contents = [{"value": {"raw_bytes": base64.b64encode(data).decode(), "metadata": {"name": text}}} for data in files]
    return {"type": "post_messages", "messages": [*contents, text]}


@given(
    st.lists(st.binary(max_size=40), max_size=3),
    # Also the mark of a file as a text of the user's, which JSON escapes.
    st.one_of(st.text(max_size=20), st.just('"raw_bytes":"')),
    st.lists(st.integers(min_value=0, max_value=400), max_size=12),
)
def test_chunks_of_any_length_give_the_digest_of_each_file(files: list[bytes], text: str, cuts: list[int]) -> None:
    frame = frame_with(files, text)
    payload = codec.dumps(frame)
    shrinker = Shrinker()
    ends = [*sorted(cuts), len(payload)]
    for start, end in zip([0, *ends[:-1]], ends, strict=True):
        shrinker.feed(payload[start:end])
    kept = shrinker.text()
    for content, data in zip(frame["messages"], files, strict=False):
        content["value"]["raw_bytes"] = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
    assert json.loads(kept) == frame
    assert shrink(payload) == kept


def test_all_of_a_large_file_is_in_its_digest() -> None:
    data = bytes(range(256)) * 4096
    facts = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
    assert file_facts(data) == facts
    assert json.loads(shrink(codec.dumps(frame_with([data], ""))))["messages"][0]["value"]["raw_bytes"] == facts
