"""The lane for replies: a caller waits for the frame that answers its request.

Frames carry no request ids, so calls of one type go one after another, and an answer that comes
after its caller has given up is recognised by counting and thrown away.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable

from sessionlib._util.timing import Deadline, acquire
from sessionlib.errors import SessionError, SessionTimeoutError
from sessionlib.protocol.frames import Frame

__all__ = ["ReplyLane"]


class _Call:
    """One caller that waits.

    Attributes:
        has_left: Whether its request was sent.
        had_late: Whether an answer came for it that was taken for a late one.
    """

    def __init__(self) -> None:
        self.done = threading.Event()
        self.has_left = False
        self.had_late = False
        self.frame: Frame | None = None
        self.failure: Callable[[], SessionError] | None = None

    def result(self) -> Frame:
        if self.frame is None:
            assert self.failure is not None
            raise self.failure()
        return self.frame


class ReplyLane:
    """Matches the engine's answers to the calls that wait for them.

    Args:
        types: The requests whose answers bear the same type.

    Attributes:
        frame_types: The types that a frame can have which answers one.
    """

    def __init__(self, *types: str) -> None:
        self.frame_types = frozenset({*types, "error"})
        # Each is held for the length of a call, so that calls of a type are one after another.
        self._turns = {name: threading.Lock() for name in types}
        # Protects the calls that wait, the late answers expected, and the end.
        self._lock = threading.Lock()
        self._waiting: dict[str, _Call] = {}
        self._late: Counter[str] = Counter()
        self._failure: Callable[[], SessionError] | None = None

    def call(self, request_type: str, send: Callable[[], None], deadline: Deadline) -> Frame:
        """Sends a request and waits for its answer.

        Args:
            request_type: Its type.
            send: Sends it.
            deadline: When to give up.

        Raises:
            SessionTimeoutError: No answer came in time; one that comes later is thrown away.
            SessionError: The engine refused, or the connection ended.
        """
        turn = self._turns[request_type]
        if not acquire(turn, deadline):
            raise _too_late(request_type, deadline)
        try:
            call = self._begin(request_type)
            try:
                send()
                call.has_left = True
                answered = call.done.wait(deadline.remaining())
            finally:
                self._finish(request_type, call)
        finally:
            turn.release()
        if not answered and not call.done.is_set():
            raise _too_late(request_type, deadline)
        return call.result()

    def offer(self, frame: Frame) -> bool:
        """Takes a frame if it answers a call; for the reading thread.

        Returns:
            Whether the frame was an answer, awaited or late.
        """
        answers, failed = _answered(frame), frame["type"] == "error"
        if answers not in self._turns:
            return False
        with self._lock:
            if self._late[answers]:
                self._late[answers] -= 1
                if answers in self._waiting:
                    self._waiting[answers].had_late = True
                return True
            call = self._waiting.pop(answers, None)
        if call is None:
            return not failed
        if failed or frame.get("success") is False:
            call.failure = lambda: SessionError(f"the engine refused {answers}: {frame.get('error')}")
        else:
            call.frame = frame
        call.done.set()
        return True

    def is_answer(self, frame: Frame) -> bool:
        """Whether a frame answers a request of one of the types, asked or not."""
        return _answered(frame) in self._turns

    def forget_late(self) -> None:
        """Expects no more late answers: a new connection brings none of the old one's."""
        with self._lock:
            self._late.clear()

    def fail(self, failure: Callable[[], SessionError], *, for_good: bool) -> None:
        """Fails every call that waits.

        Args:
            failure: Makes the error that each gets.
            for_good: Whether calls to come get it as well.
        """
        with self._lock:
            self._failure = failure if for_good else self._failure
            calls = list(self._waiting.values())
            self._waiting.clear()
        for call in calls:
            call.failure = failure
            call.done.set()

    def _begin(self, request_type: str) -> _Call:
        with self._lock:
            if self._failure is not None:
                raise self._failure()
            call = self._waiting[request_type] = _Call()
            return call

    def _finish(self, request_type: str, call: _Call) -> None:
        with self._lock:
            if self._waiting.get(request_type) is call:
                del self._waiting[request_type]
                # Had an answer been lost, and not late, this call's own was taken for it: to expect another
                # one would fail every call from here on.
                if call.has_left and not call.had_late:
                    self._late[request_type] += 1


def _answered(frame: Frame) -> str:
    """The type of the request that a frame would answer."""
    answers = frame.get("request_type") if frame["type"] == "error" else frame["type"]
    return answers if isinstance(answers, str) else ""


def _too_late(request_type: str, deadline: Deadline) -> SessionTimeoutError:
    return SessionTimeoutError(f"no answer to {request_type} within {deadline.timeout} s; try again, or disconnect")
