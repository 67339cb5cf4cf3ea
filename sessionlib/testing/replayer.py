"""Replaying: a recording answers in the network's place, for as long as the code says what was recorded."""

from __future__ import annotations

import base64
import contextlib
import threading
import time
from collections import deque
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from sessionlib._util.timing import Deadline
from sessionlib.config import Endpoint
from sessionlib.connection.metered import LoggingTransport
from sessionlib.errors import SessionDisconnectedError, SessionTimeoutError
from sessionlib.hooks import Dial, Exchange, NetworkHook, Outcome
from sessionlib.net.connect import CancelToken
from sessionlib.protocol import codec, frames
from sessionlib.protocol.codec import Payload
from sessionlib.rest.calls import Call
from sessionlib.testing import format
from sessionlib.testing.comparison import brief, report
from sessionlib.testing.errors import ReplayMismatchError
from sessionlib.testing.expectations import Expectations, RecordedConnection
from sessionlib.testing.format import CALL, Line, replayed
from sessionlib.testing.recorder import KEEPALIVE, call_json
from sessionlib.testing.redaction import Redaction, Shrinker, shrink
from sessionlib.transport.base import Traffic, Transport

__all__ = ["POLICY", "ReplayOverError", "ReplayedLink", "Replayer", "frame_json"]

# A close code after which no client tries again.
POLICY = 1008


class ReplayOverError(SessionDisconnectedError):
    """A connection that was replayed has ended, because the replay has failed or is over."""


class ReplayedLink:
    """One connection, a `Transport`.

    Args:
        player: What it is a part of.
        track: The recorded connection that it follows; the player may give it another one.

    Attributes:
        track: Likewise.
        received: How many bytes of messages have been heard.
    """

    def __init__(self, player: Replayer, track: RecordedConnection) -> None:
        self.track = track
        self.traffic = Traffic()
        self.bytes_received = 0
        self._player = player
        self._closed = False
        self._pongs: deque[bytes] = deque()

    @property
    def last_received_at(self) -> float:
        """Now: a recording never falls silent."""
        return time.monotonic()

    def check(self) -> None:
        """Makes sure that it can be used; the caller holds the player's lock.

        Raises:
            SessionDisconnectedError: It was closed, or the replay has ended.
        """
        self._player.check()
        if self._closed:
            raise SessionDisconnectedError("the connection has ended")

    def send(self, payload: bytes, deadline: Deadline) -> None:
        """Says one message; see `Transport.send`."""
        self.traffic.sent(len(payload))
        self._player.say(self, codec.loads(shrink(payload)), deadline)

    def send_pieces(self, pieces: Iterable[tuple[bytes, bool]], deadline: Deadline) -> None:
        """Says one message; see `Transport.send_pieces`."""
        shrinker, size = Shrinker(), 0
        for piece, _ in pieces:
            shrinker.feed(piece)
            size += len(piece)
        self.traffic.sent(size)
        self._player.say(self, codec.loads(shrinker.text()), deadline)

    def recv(self, deadline: Deadline | None = None) -> list[Payload]:
        """Waits for messages; see `Transport.recv`."""
        limit = deadline or Deadline(None)
        with self._player.changed:
            while True:
                self.check()
                messages = self._take()
                if messages:
                    size = sum(map(len, messages))
                    self.bytes_received += size
                    self.traffic.messages_in += len(messages)
                    self.traffic.bytes_in += size
                    return messages
                if limit.expired:
                    raise SessionTimeoutError(f"the peer did not answer within {limit.timeout} s")
                self._player.wait(self.track, limit)

    def has_left(self, message: object) -> bool:
        """See `Transport.has_left`: what was said was taken at once."""
        return False

    def enqueue(self, payload: bytes) -> None:
        """Says one small message, or answers a ping; see `Transport.enqueue`."""
        self.traffic.sent(len(payload))
        frame = codec.loads(payload)
        if frame.get("type") in KEEPALIVE:
            with self._player.changed:
                self._pongs.append(codec.dumps(frames.pong(frame["session_id"])))
                self._player.changed.notify_all()
            return
        # Nobody waits for it here; the player has noted it.
        with contextlib.suppress(AssertionError, SessionDisconnectedError):
            self._player.say(self, frame, Deadline(0.0))

    def ping(self) -> None:
        """Does nothing: there is nobody who could be gone."""

    def close(self, code: int = 1000, reason: str = "", deadline: Deadline | None = None) -> None:
        """Ends it, waking whoever reads."""
        self.abort()

    def abort(self) -> None:
        """Ends it, waking whoever reads."""
        with self._player.changed:
            self._closed = True
            self._player.changed.notify_all()

    def release(self) -> None:
        """Ends it."""
        self.abort()

    def _take(self) -> list[Payload]:
        if self._pongs:
            return [self._pongs.popleft()]
        lines = self._player.hear(self.track)
        if lines and lines[0].sign == "!":
            raise format.from_json(lines[0].value)
        return [_payload(line) for line in lines]


def _payload(line: Line) -> bytes:
    return base64.b64decode(line.value["base64"]) if line.sign == "<*" else codec.dumps(line.value)


def frame_json(frame: dict[str, Any]) -> Any:
    """Gives the JSON value of a frame before it is sent, without the files in it."""
    return codec.loads(codec.dumps(frame, lambda upload: None))


_UNSAID_SHOWN = 10
_BATCH = 1024


class Replayer:
    """Stands in for the network and answers from a recording; a `NetworkHook`.

    Args:
        path: The recording's file, for messages.
        lines: What is in it.
        redaction: What was kept out of it.
        speed: How many times faster than recorded it answers; None for at once.
        patience: Seconds in which something has to be said while only that can go on; None for ever.
        beyond: What serves what was not recorded; None makes it a mismatch.

    Attributes:
        changed: Held while the script is looked at or goes on, and tells that it did.
        failure: What was said wrong first; None while nothing was.
        speed: How many times faster than recorded it answers; None for at once.
        last: When something was said last, on the monotonic clock.
    """

    def __init__(
        self,
        path: Path,
        lines: Sequence[Line],
        redaction: Redaction,
        speed: float | None = None,
        patience: float | None = None,
        beyond: NetworkHook | None = None,
    ) -> None:
        self.changed = threading.Condition()
        self.failure: ReplayMismatchError | None = None
        self._path = path
        self._redaction = redaction
        self.speed = speed
        self._patience = patience
        self._beyond = beyond
        # All below is protected by `changed`.
        self._script = Expectations(lines)
        self._links: list[ReplayedLink] = []
        self._over = False
        # How many wait to say what is recorded behind something else.
        self._early = 0
        self.last = time.monotonic()

    # ---- what passes by --------------------------------------------------------------------------

    def open(self, endpoint: Endpoint, dial: Dial, deadline: Deadline, attempt: CancelToken) -> Transport:
        """Gives the next recorded connection; see `NetworkHook.open`."""
        attempt.check()
        with self.changed:
            self.check()
            self.last = time.monotonic()
            track = self._script.claim(threading.current_thread().name)
            if track is not None and track.refusal is not None:
                raise format.from_json(track.refusal.value)
            link = ReplayedLink(self, track) if track is not None else None
            if link is not None:
                self._links.append(link)
        if link is not None:
            attempt.end_by(link.abort)
            return link
        if self._beyond is not None:
            return self._beyond.open(endpoint, dial, deadline, attempt)
        raise self.fail(None, "the code opened one connection more than were recorded")

    def admit(self, link: Transport | None, frame: dict[str, Any], deadline: Deadline) -> None:
        """Has the posts of several threads in one session come in the recorded order; see `NetworkHook.admit`."""
        link = link.inner if isinstance(link, LoggingTransport) else link
        if isinstance(link, ReplayedLink):
            self.await_turn(link, frame_json(frame), deadline)

    def exchange(self, call: Call, endpoint: Endpoint, exchange: Exchange) -> Outcome:
        """Gives the recorded answer to a call; see `NetworkHook.exchange`."""
        said = self._redaction.apply(call_json(call))
        with self.changed:
            self.check()
            found = self._script.call(said)
            told = self._script.translate(found.heard.value) if found is not None else None
            self.last = time.monotonic()
        if found is not None:
            if self.speed is not None:
                time.sleep((found.heard.at - found.said.at) / self.speed)
            return replayed(call, found.heard, told)
        if self._beyond is not None:
            return self._beyond.exchange(call, endpoint, exchange)
        raise self._unexpected_call(said)

    # ---- how it ends -----------------------------------------------------------------------------

    def check(self) -> None:
        """Makes sure that the replay goes on.

        Raises:
            ReplayOverError: It has failed, or is over.
        """
        if self.failure is not None or self._over:
            why = "has failed" if self.failure is not None else "is over"
            raise ReplayOverError(f"the replay of {self._path} {why}", code=POLICY)

    def fail(self, line: Line | None, told: str) -> ReplayMismatchError:
        """Ends the replay, waking whoever waits; gives the error that tells why."""
        at = f", line {line.line}" if line is not None else ""
        error = ReplayMismatchError(
            f"{self._path}{at}: {told}", path=str(self._path), line=line.line if line is not None else None
        )
        with self.changed:
            self.failure = self.failure or error
            self.changed.notify_all()
        return error

    def finish(self) -> None:
        """Ends the replay: links that are still open end."""
        with self.changed:
            self._over = True
            self.changed.notify_all()

    def left_unsaid(self) -> ReplayMismatchError | None:
        """Gives the error that tells what was not said; None when everything was."""
        with self.changed:
            left = self._script.unsaid()
        if not left:
            return None
        told = [f"    line {line.line}: {named(line)}" for line in left[:_UNSAID_SHOWN]]
        told += [f"    and {len(left) - _UNSAID_SHOWN} more"] if len(left) > _UNSAID_SHOWN else []
        return self.fail(left[0], "\n".join(["the code left unsaid what was recorded:", *told]))

    def _unexpected_call(self, said: Any) -> ReplayMismatchError:
        with self.changed:
            nearest = self._script.nearest(said)
        if nearest is None:
            return self.fail(None, f"the code made a call that was not recorded: {brief(said)}")
        return self._mismatch(nearest.said, said)

    def _mismatch(self, line: Line, said: Any) -> ReplayMismatchError:
        with self.changed:
            found = self._script.differences(line, said)
        what = f"the code said something else than was recorded ({_where(line)}):"
        if _kind(line.value) != _kind(said):
            return self.fail(line, f"{what}\n    recorded: {brief(line.value)}\n    said:     {brief(said)}")
        return self.fail(line, f"{what}\n{report(found)}")

    # ---- for connections -------------------------------------------------------------------------

    def say(self, link: ReplayedLink, said: Any, deadline: Deadline) -> None:
        """Notes that something is said over a connection, once its turn has come.

        Raises:
            ReplayMismatchError: It was not recorded, or not there.
            SessionDisconnectedError: The connection was lost by now.
        """
        said = self._redaction.apply(said)
        with self.changed:
            self._await_turn(link, said, deadline)
            before = link.track
            track = self._script.say(before, said)
            if track is not None:
                for other in self._links:
                    other.track = before if other.track is track else other.track
                link.track = track
                self.last = time.monotonic()
                self.changed.notify_all()
                return
            line = next(iter(before.unsaid), None)
        if line is not None:
            raise self._mismatch(line, said)
        if before.loss is not None:
            raise format.from_json(before.loss.value)
        raise self.fail(None, f"the code said something behind the end of what was recorded: {brief(said)}")

    def await_turn(self, link: ReplayedLink, said: Any, deadline: Deadline) -> None:
        """Waits while something is recorded behind what another thread has still to say on the connection."""
        with self.changed:
            self._await_turn(link, self._redaction.apply(said), deadline)

    def _await_turn(self, link: ReplayedLink, said: Any, deadline: Deadline) -> None:
        limit = deadline.sooner(self._patience)
        self._early += 1
        try:
            link.check()
            while self._script.says_later(link.track, said) and not limit.expired:
                self.changed.wait(limit.remaining())
                link.check()
        finally:
            self._early -= 1

    def hear(self, track: RecordedConnection) -> list[Line]:
        """Takes what can be heard on a track now; the caller holds `changed`."""
        lines = self._script.hearable(track, _BATCH if self.speed is None else 1)
        if self.speed is not None:
            lines = [line for line in lines if track.due(line, self.speed) <= time.monotonic()]
        elif lines and lines[0].sign != "!" and lines[-1].sign == "!":
            lines.pop()  # a loss comes by itself
        track.hear(lines)
        return lines

    def wait(self, track: RecordedConnection, deadline: Deadline) -> None:
        """Waits until something has changed, or may be heard; fails the replay when nothing is said for too long."""
        now = time.monotonic()
        waits = [deadline.remaining()]
        lines = self._script.hearable(track)
        if lines and self.speed is not None:
            waits.append(track.due(lines[0], self.speed) - now)
        elif track.unsaid and self._patience is not None and not self._early:
            left = self.last + self._patience - now
            if left <= 0:
                told = f"nothing was said for {self._patience:g} s, where this was recorded:"
                self.fail(track.unsaid[0], f"{told}\n    {named(track.unsaid[0])}")
                return
            waits.append(left)
        known = [wait for wait in waits if wait is not None]
        self.changed.wait(max(0.0, min(known)) if known else None)


def named(line: Line) -> str:
    """Gives what was said in one line to read."""
    if line.where == CALL:
        rest = {name: part for name, part in line.value.items() if name not in ("method", "path")}
        return f"{line.value.get('method')} {line.value.get('path')} {brief(rest) if rest else ''}".rstrip()
    rest = {name: part for name, part in line.value.items() if name != "session_id"}
    return f"connection {line.number}: {brief(rest)}"


def _kind(value: Any) -> Any:
    return value.get("type") or (value.get("method"), value.get("path")) if isinstance(value, dict) else value


def _where(line: Line) -> str:
    if line.where == CALL:
        return f"{line.value.get('method')} {line.value.get('path')}"
    return f"connection {line.number}, {line.value.get('type')}"
