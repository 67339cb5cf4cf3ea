"""What wraps a transport, around one that sends; how it sends as it ends is in `tests.transport.test_frame_writer`."""

from __future__ import annotations

from typing import Any

import pytest

from sessionlib._util.timing import Deadline
from sessionlib.connection.wire_log import LoggingTransport
from sessionlib.testing.recorder import RecordedTransport, Recorder
from sessionlib.testing.redaction import Redaction
from tests.transport.test_frame_writer import WriterScript


@pytest.mark.parametrize(
    "wrapped",
    [
        lambda inner: LoggingTransport(inner, lambda: "s1"),
        lambda inner: RecordedTransport(inner, Recorder(Redaction()), 1),
    ],
    ids=["logged", "recorded"],
)
def test_what_notes_what_passes_tells_whether_a_post_with_files_has_left(wrapped: Any) -> None:
    script = WriterScript("")
    transport = wrapped(script.writer)
    pieces = [(b"{", False), (b"}", True)]
    transport.send_chunks(pieces, Deadline(1.0))
    assert transport.has_left(pieces)
    assert not transport.has_left([*pieces])
    assert script.outcome() == "| t{ _} |"
