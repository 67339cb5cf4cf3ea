"""What is kept beside a listener that may be left over: no more than is bounded, and no longer than it is needed."""

from __future__ import annotations

import sys

import pytest

from sessionlib import SessionEvent, SessionEventType
from sessionlib.streams.backlog import Backlog, StaleListenerBuffer
from sessionlib.streams.mailbox import QUEUE_BYTES, Mailbox, weight


def tool_call(text: str = "") -> SessionEvent:
    return SessionEvent(SessionEventType.TOOL_CALL, "s1", None, {"text": text})


@pytest.mark.parametrize(
    ("size", "text", "kept"), [(3, "", 3), (50, "x" * (QUEUE_BYTES * 2 // 5), 2)], ids=["3", "bytes"]
)
def test_what_finds_no_room_is_held_on_to_by_nothing(size: int, text: str, kept: int) -> None:
    buffer = StaleListenerBuffer([], size)
    came = [tool_call(text) for _ in range(kept + 5)]
    alone = sys.getrefcount(came[0])
    for one in came:
        buffer.put([one], weight(one))
    del one
    assert [sys.getrefcount(came[at]) - alone for at in range(len(came))] == [1] * kept + [0] * 5
    receives = Mailbox()
    buffer.hand_over(receives)
    *fitting, notice = receives.waiting()
    assert fitting == came[:kept]
    assert notice.data["dropped"] == 5


def test_it_is_kept_no_longer_once_the_listener_is_read() -> None:
    backlog, listener = Backlog(10), Mailbox()
    listener.put([tool_call()])
    backlog.begin_post([listener], lambda event: False)
    backlog.keep([tool_call()], [listener], 500)
    assert backlog.shadow is not None
    listener.take()
    backlog.keep([tool_call()], [listener], 500)
    assert backlog.shadow is None
