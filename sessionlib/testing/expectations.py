"""What a replay may send and receive next, by a recording. Pure: no thread, clock or network may live here.

Each connection follows one recorded connection. What was received on it is received again as soon as everything
has been sent that was sent before it, on any connection of the same session. Requests have to be sent in the
recorded order on each connection; between connections, and between HTTP calls, the order is free.

Which recorded connection a new one follows is not certain before it sends something of its own: threads open theirs
in any order. It begins with one that a thread of the same name opened, else with the first that is left, and
switches to another one, with the ids that it was given so far, once it sends what only that one sent.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sessionlib.testing.comparison import Difference, Ids, common_ids, differences, id_pairs, own_ids
from sessionlib.testing.format import CALL, Line

__all__ = ["Expectations", "RecordedCall", "RecordedConnection", "as_look", "is_optional"]

# Leaving is no part of a conversation: the engine does not answer it, and the connection may be gone by then.
_OPTIONAL = "disconnect_session"
_JOINS = ("create_session", "connect_session")
_NAMES_SESSION = ("session_created", "connect_session")


@dataclass(eq=False)
class RecordedConnection:
    """One recorded connection, and how far it has been replayed.

    Attributes:
        sent: The requests that were sent on it, without the optional ones.
        received: What was received on it; the last line may be how it was lost.
        leftover: What is still to be received of the recorded connection that was followed before the switch to
            this one; comes ahead of `received`, with the ids that the client knows.
        thread: The name of the thread that opened it.
        opened: Whether a connection of the replay follows it.
        sent_count: How many lines of `sent` have been sent.
        received_count: How many lines of `received` have been received.
        session_id: The recorded id of its session; "" when it never had one.
        last: When its last line was replayed: seconds in the recording, and on the monotonic clock.
    """

    sent: list[Line] = field(default_factory=list)
    received: list[Line] = field(default_factory=list)
    leftover: list[Line] = field(default_factory=list)
    thread: str = ""
    opened: bool = False
    sent_count: int = 0
    received_count: int = 0
    session_id: str = ""
    last: tuple[float, float] = (0.0, 0.0)

    @property
    def loss(self) -> Line | None:
        """How it was lost; None when it was not."""
        return self.received[-1] if self.received and self.received[-1].sign == "!" else None

    @property
    def refusal(self) -> Line | None:
        """Why it could not be opened; None when it could."""
        # A connection on which nothing was sent was refused, or lost before its first frame.
        return None if self.sent else self.loss

    @property
    def is_shared(self) -> bool:
        """Whether several threads sent requests in its session, joining it not counted."""
        return len({line.by for line in self.sent if line.value.get("type") not in _JOINS}) > 1

    @property
    def unsent(self) -> list[Line]:
        """The requests that are still expected."""
        return self.sent[self.sent_count :]

    def received_before(self, count: int) -> int:
        """Returns how many lines of `received` precede the request number ``count`` of `sent`, counted from 0."""
        # By the number of the line: the order in the file is that in which things happened.
        bound = self.sent[count].line if count < len(self.sent) else math.inf
        return bisect_left(self.received, bound, key=lambda line: line.line)

    def send(self, now: float) -> None:
        """Marks the next request as sent; ``now`` is on the monotonic clock, in seconds."""
        # Both clocks, so that the times between lines can be kept, at any speed.
        self.last = (self.sent[self.sent_count].at, now)
        self.sent_count += 1

    def receive(self, lines: Sequence[Line], now: float) -> None:
        """Marks the next lines as received; ``now`` is on the monotonic clock, in seconds."""
        of_leftover = min(len(lines), len(self.leftover))
        del self.leftover[:of_leftover]
        self.received_count += len(lines) - of_leftover
        if lines:
            self.last = (lines[-1].at, now)

    def due(self, line: Line, speed: float) -> float:
        """Returns when a line is due, on the monotonic clock.

        Measured from the last line that was replayed, so that a slow consumer delays what follows.
        """
        recorded_at, replayed_at = self.last
        return replayed_at + (line.at - recorded_at) / speed

    def swap(self, other: RecordedConnection, translate: Callable[[Line], Line]) -> None:
        """Exchanges the progress of two recorded connections; neither follower misses a line.

        Args:
            other: The other one.
            translate: Puts the ids that clients know so far into a line.
        """
        # A follower that had not read everything yet must still get it, and in the ids of its old connection.
        unread, theirs_unread = (
            [
                *each.leftover,
                *map(translate, each.received[each.received_count : each.received_before(each.sent_count)]),
            ]
            for each in (self, other)
        )
        # Progress is exchanged and not the connections: what follows them holds on to them.
        self.opened, other.opened = other.opened, self.opened
        self.sent_count, other.sent_count = other.sent_count, self.sent_count
        for each, leftover in ((self, theirs_unread), (other, unread)):
            each.leftover = leftover
            each.received_count = each.received_before(each.sent_count)


@dataclass(eq=False)
class RecordedCall:
    """One recorded HTTP call.

    Attributes:
        request: What was requested.
        response: The answer, or the failure.
        used: Whether the replay has made it.
    """

    request: Line
    response: Line
    used: bool = False


def is_optional(frame: Any) -> bool:
    """Whether a frame may be sent or not; its acknowledgement has the same type."""
    return isinstance(frame, dict) and frame.get("type") == _OPTIONAL


def as_look(frame: Any) -> Any:
    """Returns a request as a session's own look at its history, which no request of the code is equal to."""
    return {**frame, "look": True}


class Expectations:
    """A recording, and how far it has been replayed.

    Args:
        lines: The recording.

    Attributes:
        ids: Puts the ids of this replay into what was recorded.
    """

    def __init__(self, lines: Sequence[Line]) -> None:
        self._connections = _connections(lines)
        self._calls = _calls(lines)
        # Ids that the client made up are those that it sent in a call's body before it received them.
        sent: set[str] = set()
        received: set[str] = set()
        for line in lines:
            if line.where == CALL and line.sign == ">":
                sent.update(name for name in own_ids(line.value.get("body")) if name not in received)
            else:
                received.update(own_ids(line.value))
        self.ids = Ids(frozenset(sent))

    # ---- connections -----------------------------------------------------------------------------

    def claim(self, thread: str) -> RecordedConnection | None:
        """Returns the recorded connection that a new connection follows; None when none is left.

        Args:
            thread: The name of the thread that opens it; preferred is a connection that a thread of this name opened.
        """
        left = [connection for connection in self._connections if not connection.opened]
        same_thread = (connection for connection in left if connection.thread == thread)
        # A guess; see the head of this module.
        claimed = next(same_thread, left[0] if left else None)
        if claimed is not None:
            claimed.opened = True
        return claimed

    def send(self, connection: RecordedConnection, value: Any, now: float) -> RecordedConnection | None:
        """Matches a request with what is expected next.

        Args:
            connection: What the sender follows.
            value: The request.
            now: The monotonic clock, in seconds.

        Returns:
            What the sender follows from now on; None when the request is not expected now.
        """
        if is_optional(value):
            return connection
        # The expected request first, as nearly always.
        if connection.unsent and self._matches(connection.unsent[0], value, self.ids):
            connection.send(now)
            return connection
        if self.expects_later(connection, value):
            return None
        for other in self._connections:
            ids = self._ids_after_switch(connection, other, value)
            if ids is not None:
                connection.swap(other, self._translate_line)
                self.ids = ids
                other.send(now)
                return other
        return None

    def expects_later(self, connection: RecordedConnection, value: Any) -> bool:
        """Whether a request is expected on a connection, but only after another one; the bytes of files are ignored.

        The requests of one thread have their order. Where several threads share a session, any of them may send the
        missing one: a thread of a pool does now what another one did when it was recorded.
        """
        if not connection.is_shared:
            return False
        value = _without_files(value)
        matches = [
            next(differences(_without_files(self.ids.translate(line.value)), value), None) is None
            for line in connection.unsent
        ]
        return any(matches) and not matches[0]

    def receivable(self, connection: RecordedConnection, most: int = 1) -> list[Line]:
        """Returns what can be received on a connection now, with the ids of this replay.

        Args:
            connection: The recorded connection.
            most: How many lines at most.
        """
        # One session may have several connections, and what one of them sends is answered on another.
        session = [
            other for other in self._connections if connection.session_id and other.session_id == connection.session_id
        ]
        # What had been received before a request may come; what came behind it may be its answer.
        bound = min((other.unsent[0].line for other in session or [connection] if other.unsent), default=math.inf)
        end = connection.received_count
        while end < min(len(connection.received), connection.received_count + most):
            if connection.received[end].line >= bound:
                break
            end += 1
        lines = map(self._translate_line, connection.received[connection.received_count : end])
        return [*connection.leftover, *lines][:most]

    # ---- calls -----------------------------------------------------------------------------------

    def call(self, value: Any) -> RecordedCall | None:
        """Finds the first unused call with this request and marks it as used; None when there is none."""
        for call in self._calls:
            # In the recorded order: of two equal calls, the first answer comes first.
            if call.used:
                continue
            ids = self.ids
            if not self._matches(call.request, value, ids):
                recorded = ids.translate(call.request.value)
                if any(recorded.get(name) != value.get(name) for name in ("method", "path")):
                    continue
                # The client makes up the ids of tools, new ones each time; all else has to be equal.
                ids = ids.bound(ids.new_own(recorded, value))
                if not self._matches(call.request, value, ids):
                    continue
            self.ids, call.used = ids, True
            return call
        return None

    def nearest(self, value: Any) -> RecordedCall | None:
        """Returns the unused call that is most like a request, to show what is different; None when none is left."""
        left = [call for call in self._calls if not call.used]
        # Most likely what was meant; what differs is then in the body.
        same_path = [call for call in left if call.request.value.get("path") == value["path"]]
        return next(iter(same_path or left), None)

    # ---- both ------------------------------------------------------------------------------------

    def differences(self, line: Line, value: Any) -> list[Difference]:
        """Returns where an actual request differs from the expected one."""
        return list(differences(self.ids.translate(line.value), value))

    def missing(self) -> list[Line]:
        """Returns every request that has not been sent, in the recorded order."""
        left = [line for connection in self._connections for line in connection.unsent]
        left += [call.request for call in self._calls if not call.used]
        return sorted(left, key=lambda line: line.line)

    def _translate_line(self, line: Line) -> Line:
        return replace(line, value=self.ids.translate(line.value))

    def _matches(self, line: Line, value: Any, ids: Ids) -> bool:
        return next(differences(ids.translate(line.value), value), None) is None

    def _ids_after_switch(self, connection: RecordedConnection, other: RecordedConnection, value: Any) -> Ids | None:
        """Returns the ids with which the follower of a connection may switch to another one; None when it may not.

        It may when its request is the next one there, the same was sent on both so far, and no more on the other one.
        """
        at = connection.sent_count
        is_lost = connection.loss is not None and at == len(connection.sent)
        if other is connection or is_lost or other.sent_count > at or len(other.sent) <= at:
            return None
        pairs = id_pairs(_values(connection.sent[:at]), _values(other.sent[:at]))
        if pairs is None:
            return None
        # What was received may have come in another order, or with other answers; only its ids are of interest.
        received = (_values(each.received[: each.received_before(at)]) for each in (connection, other))
        swapped = {**common_ids(*received), **pairs, connection.session_id: other.session_id}
        ids = self.ids.swapped([(ours, theirs) for ours, theirs in swapped.items() if ours and theirs])
        return ids if self._matches(other.sent[at], value, ids) else None


# ---- from lines ----------------------------------------------------------------------------------


def _connections(lines: Sequence[Line]) -> list[RecordedConnection]:
    """Returns the connections of a recording, in the order in which they were opened."""
    connections: dict[int, RecordedConnection] = {}
    for line in lines:
        if line.where == CALL:
            continue
        connection = connections.setdefault(line.number, RecordedConnection())
        if line.sign == "=":
            if "open" in line.value:
                connection.thread = str(line.value.get("thread", ""))
        elif not is_optional(line.value):
            line = replace(line, value=as_look(line.value)) if line.is_look else line
            (connection.sent if line.sign == ">" else connection.received).append(line)
        if line.sign == "<" and isinstance(line.value, dict) and line.value.get("type") in _NAMES_SESSION:
            connection.session_id = connection.session_id or str(line.value.get("session_id") or "")
    return list(connections.values())


def _calls(lines: Sequence[Line]) -> list[RecordedCall]:
    """Returns the HTTP calls of a recording, in order, without those that had no answer when it ended."""
    # Matched by number, as calls of several threads overlap.
    answers = {line.number: line for line in lines if line.where == CALL and line.sign != ">"}
    requests = [line for line in lines if line.where == CALL and line.sign == ">"]
    return [RecordedCall(line, answers[line.number]) for line in requests if line.number in answers]


def _values(lines: Sequence[Line]) -> list[Any]:
    return [line.value for line in lines]


def _without_files(value: Any) -> Any:
    """Returns a frame without the contents of its files, which cannot be read before they are sent."""
    if isinstance(value, dict):
        return {name: _without_files(item) for name, item in value.items() if name != "raw_bytes"}
    return [_without_files(item) for item in value] if isinstance(value, list) else value
