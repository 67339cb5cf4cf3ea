"""Replay: a recording answers in place of the network, as long as the code sends the recorded requests."""

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
from sessionlib.connection.wire_log import LoggingTransport
from sessionlib.errors import SessionDisconnectedError, SessionTimeoutError
from sessionlib.hooks import Dial, Exchange, NetworkHook, Outcome
from sessionlib.net.connect import CancelToken
from sessionlib.protocol import codec, frames
from sessionlib.protocol.codec import Payload
from sessionlib.protocol.frames import KEEPALIVE
from sessionlib.rest.calls import Call
from sessionlib.testing import format
from sessionlib.testing.comparison import brief, report
from sessionlib.testing.expectations import Expectations, RecordedConnection, as_look
from sessionlib.testing.format import CALL, Line, ReplayMismatchError
from sessionlib.testing.recorder import call_json
from sessionlib.testing.redaction import Redaction, Shrinker, shrink
from sessionlib.transport.base import Traffic, Transport

__all__ = ["ReplayOverError", "ReplayedTransport", "Replayer"]

# "Policy violation" (RFC 6455, 7.4.1): the one close code after which the client never reconnects.
_POLICY = 1008
_MISSING_SHOWN = 10
# Lines received in one call; as many as a busy engine's burst, so that the client takes its fast path as it did live.
_BATCH = 1024


class ReplayOverError(SessionDisconnectedError):
    """A replayed connection has ended because the replay has failed or is over."""


class ReplayedTransport:
    """One replayed connection; a `Transport`.

    Args:
        replayer: What it belongs to.
        connection: The recorded connection that it follows; the replayer may have it follow another one.
    """

    def __init__(self, replayer: Replayer, connection: RecordedConnection) -> None:
        self.connection = connection
        self.traffic = Traffic()
        self.bytes_received = 0
        self._replayer = replayer
        # All protected by `Replayer.changed`.
        self._closed = False
        # How many looks of the session at its history wait for an answer that is in no recording.
        self._looks = 0
        # Answers to keepalives, which are in no recording as their number depends on time.
        self._pongs: deque[bytes] = deque()

    @property
    def last_received_at(self) -> float:
        """Now: the silence of a recording is no sign of a dead connection."""
        return time.monotonic()

    def check(self) -> None:
        """Raises if it is of no use any more; the caller holds `Replayer.changed`.

        Raises:
            SessionDisconnectedError: It was closed, or the replay has ended.
        """
        self._replayer.check()
        if self._closed:
            raise SessionDisconnectedError("the connection has ended")

    def send(self, payload: bytes, deadline: Deadline) -> None:
        """See `Transport.send`."""
        self.traffic.sent(len(payload))
        self._replayer.send(self, codec.loads(shrink(payload)), deadline)

    def send_chunks(self, chunks: Iterable[tuple[bytes, bool]], deadline: Deadline) -> None:
        """See `Transport.send_chunks`."""
        shrinker, size = Shrinker(), 0
        for chunk, _ in chunks:
            shrinker.feed(chunk)
            size += len(chunk)
        self.traffic.sent(size)
        self._replayer.send(self, codec.loads(shrinker.text()), deadline)

    def has_left(self, message: object) -> bool:
        """See `Transport.has_left`; a request that was not expected never leaves."""
        return False

    def recv(self, deadline: Deadline | None = None) -> list[Payload]:
        """See `Transport.recv`."""
        limit = deadline or Deadline(None)
        with self._replayer.changed:
            while True:
                self.check()
                messages = self._take()
                if messages:
                    size = sum(map(len, messages))
                    self.bytes_received += size
                    self.traffic.messages_in += len(messages)
                    self.traffic.bytes_in += size
                    return messages
                # Looked at behind what can be received, as a deadline of 0 asks for what is there.
                if limit.expired:
                    raise SessionTimeoutError(f"the peer did not answer within {limit.timeout} s")
                self._replayer.wait(self.connection, limit)

    def share(self) -> int:
        """See `Transport.share`; there is no socket to poll."""
        return -1

    @property
    def has_unread(self) -> bool:
        """See `Transport.has_unread`."""
        return False

    def enqueue(self, payload: bytes, *, more: bool = False) -> None:
        """See `Transport.enqueue`; answers keepalive frames, which are in no recording."""
        self.traffic.sent(len(payload))
        frame = codec.loads(payload)
        if frame.get("type") in KEEPALIVE:
            with self._replayer.changed:
                self._pongs.append(codec.dumps(frames.pong(frame["session_id"])))
                self._replayer.changed.notify_all()
            return
        if frame.get("type") == "get_messages":
            frame = as_look(frame)
            with self._replayer.changed:
                # The session has met silence, which in a replay may be that of a machine that stood still.
                if not self._replayer.expects(self.connection, frame):
                    self._looks += 1
                    return
        # The caller does not wait for the outcome; the replayer keeps a mismatch, and raises it when its block ends.
        with contextlib.suppress(AssertionError, SessionDisconnectedError):
            self._replayer.send(self, frame, Deadline(0.0))

    def ping(self) -> None:
        """See `Transport.ping`; a recording has no peer that could have gone away."""

    def close(self, code: int = 1000, reason: str = "", deadline: Deadline | None = None) -> None:
        """See `Transport.close`."""
        self.abort()

    def abort(self) -> None:
        """See `Transport.abort`."""
        with self._replayer.changed:
            self._closed = True
            self._replayer.changed.notify_all()

    def release(self) -> None:
        """See `Transport.release`."""
        self.abort()

    def _take(self) -> list[Payload]:
        if self._pongs:
            return [self._pongs.popleft()]
        lines = self._replayer.receive(self.connection, 1 if self._looks else _BATCH)
        if lines and lines[0].sign == "!":
            raise format.from_json(lines[0].value)
        # "<*" is a message that is not JSON: its bytes, base64-encoded.
        messages: list[Payload] = [
            base64.b64decode(line.value["base64"]) if line.sign == "<*" else codec.dumps(line.value) for line in lines
        ]
        if messages and self._looks:
            refusals: list[Payload] = [codec.dumps(frames.error("not recorded", "get_messages"))] * self._looks
            self._looks = 0
            # Behind something that has come meanwhile the session decides nothing by them. A later request for the
            # history has its answer behind theirs.
            is_answer = "get_messages" in (lines[0].value.get("type"), lines[0].value.get("request_type"))
            messages = [*refusals, *messages] if is_answer else [*messages, *refusals]
        return messages


class Replayer:
    """Stands in for the network and answers from a recording; a `NetworkHook`.

    Args:
        path: The recording's file, for messages.
        lines: What is in it.
        redaction: What was kept out of it, and so has to be kept out of requests before they are compared.
        speed: How many times faster than recorded it answers; None for at once.
        patience: Seconds after which the replay fails if it can only go on with a request that does not come; None for
            no limit.
        fallback: Serves what was not recorded; None makes it a mismatch.

    Attributes:
        changed: Protects the expectations and all that depends on them; notified whenever they have changed.
        failure: The first mismatch; None while there was none.
    """

    def __init__(
        self,
        path: Path,
        lines: Sequence[Line],
        redaction: Redaction,
        speed: float | None = None,
        patience: float | None = None,
        fallback: NetworkHook | None = None,
    ) -> None:
        # One for all connections: what is sent on one may be what another waits for.
        self.changed = threading.Condition()
        self.failure: ReplayMismatchError | None = None
        self._path = path
        self._redaction = redaction
        self._speed = speed
        self._patience = patience
        self._fallback = fallback
        # All below is protected by `changed`.
        self._expectations = Expectations(lines)
        self._transports: list[ReplayedTransport] = []
        self._over = False
        # Senders that wait for the request of another thread, which counts as activity: patience is theirs meanwhile.
        self._waiting_senders = 0
        # Patience begins with the replay.
        self._last_sent_at = time.monotonic()

    # ---- NetworkHook -----------------------------------------------------------------------------

    def open(self, endpoint: Endpoint, dial: Dial, deadline: Deadline, attempt: CancelToken) -> Transport:
        """Returns the next recorded connection; see `NetworkHook.open`."""
        attempt.check()
        with self.changed:
            self.check()
            self._last_sent_at = time.monotonic()
            connection = self._expectations.claim(threading.current_thread().name)
            if connection is not None and connection.refusal is not None:
                raise format.from_json(connection.refusal.value)
            transport = None if connection is None else ReplayedTransport(self, connection)
            if transport is not None:
                self._transports.append(transport)
        if transport is not None:
            # Outside the lock, which `abort` takes.
            attempt.end_by(transport.abort)
            return transport
        if self._fallback is not None:
            return self._fallback.open(endpoint, dial, deadline, attempt)
        raise self._fail(None, "the code opened one connection more than were recorded")

    def admit(self, transport: Transport | None, frame: dict[str, Any], deadline: Deadline) -> None:
        """Makes the posts of several threads in one session wait for the recorded order; see `NetworkHook.admit`."""
        # The wire log may be wrapped around it.
        inner = transport.inner if isinstance(transport, LoggingTransport) else transport
        if isinstance(inner, ReplayedTransport):
            # The files in it can be read once, and that when they are sent.
            request = codec.loads(codec.dumps(frame, lambda upload: None))
            with self.changed:
                self._await_turn(inner, self._redaction.apply(request), deadline)

    def exchange(self, call: Call, endpoint: Endpoint, exchange: Exchange) -> Outcome:
        """Returns the recorded answer to a call; see `NetworkHook.exchange`."""
        request = self._redaction.apply(call_json(call))
        with self.changed:
            self.check()
            found = self._expectations.call(request)
            self._last_sent_at = time.monotonic()
            answer = None if found is None else self._expectations.ids.translate(found.response.value)
            nearest = self._expectations.nearest(request) if found is None else None
        if found is not None:
            if self._speed is not None:
                # Outside the lock, so that other threads go on.
                time.sleep((found.response.at - found.request.at) / self._speed)
            return format.replayed(call, found.response, answer)
        if self._fallback is not None:
            return self._fallback.exchange(call, endpoint, exchange)
        if nearest is not None:
            raise self._mismatch(nearest.request, request)
        raise self._fail(None, f"the code made a call that was not recorded: {brief(request)}")

    # ---- how it ends -----------------------------------------------------------------------------

    def check(self) -> None:
        """Raises if the replay has ended; the caller holds `changed`.

        Raises:
            ReplayOverError: It has failed, or is over.
        """
        if self.failure is not None or self._over:
            state = "has failed" if self.failure is not None else "is over"
            raise ReplayOverError(f"the replay of {self._path} {state}", code=_POLICY)

    def finish(self) -> None:
        """Ends the replay, and with it the connections that are still open."""
        with self.changed:
            self._over = True
            self.changed.notify_all()

    def check_complete(self) -> ReplayMismatchError | None:
        """Returns the mismatch if recorded requests were not sent, which fails the replay; None if all were."""
        with self.changed:
            missing = self._expectations.missing()
        if not missing:
            return None
        lines = [f"    line {line.line}: {_summary(line)}" for line in missing[:_MISSING_SHOWN]]
        lines += [f"    and {len(missing) - _MISSING_SHOWN} more"] if len(missing) > _MISSING_SHOWN else []
        return self._fail(missing[0], "\n".join(["the code did not send recorded requests:", *lines]))

    def _fail(self, line: Line | None, message: str) -> ReplayMismatchError:
        """Ends the replay with an error, which it returns; waiting threads notice. The first failure is kept."""
        at = f", line {line.line}" if line is not None else ""
        error = ReplayMismatchError(
            f"{self._path}{at}: {message}", path=str(self._path), line=line.line if line is not None else None
        )
        with self.changed:
            # The first is the reason, and the rest its consequences.
            self.failure = self.failure or error
            self.changed.notify_all()
        return error

    def _mismatch(self, line: Line, request: Any) -> ReplayMismatchError:
        with self.changed:
            found = self._expectations.differences(line, request)
        expected = line.value
        if line.where == CALL:
            where = f"{expected.get('method')} {expected.get('path')}"
        else:
            where = f"connection {line.number}, {expected.get('type')}"
        message = f"the request differs from the recorded one ({where}):"
        # Of requests of different kinds the differences would list every field of both.
        kinds = [(each.get("type"), each.get("method"), each.get("path")) for each in (expected, request)]
        if kinds[0] != kinds[1]:
            return self._fail(line, f"{message}\n    expected: {brief(expected)}\n    actual:   {brief(request)}")
        return self._fail(line, f"{message}\n{report(found)}")

    # ---- for transports --------------------------------------------------------------------------

    def send(self, transport: ReplayedTransport, request: Any, deadline: Deadline) -> None:
        """Matches a request with what is expected on a connection, once its turn has come.

        Raises:
            ReplayMismatchError: It was not recorded, or not there.
            SessionDisconnectedError: The recorded connection was lost at this point.
        """
        request = self._redaction.apply(request)
        with self.changed:
            self._await_turn(transport, request, deadline)
            before = transport.connection
            after = self._expectations.send(before, request, time.monotonic())
            if after is not None:
                # Two transports exchange what they follow when one of them turns out to be the other.
                for other in self._transports:
                    other.connection = before if other.connection is after else other.connection
                transport.connection = after
                self._last_sent_at = time.monotonic()
                self.changed.notify_all()
                return
            expected = next(iter(before.unsent), None)
        if expected is not None:
            raise self._mismatch(expected, request)
        # Sent on a connection that was lost at this point when it was recorded: so it is again.
        if before.loss is not None:
            raise format.from_json(before.loss.value)
        raise self._fail(None, f"the code sent a request after the last recorded one: {brief(request)}")

    def _await_turn(self, transport: ReplayedTransport, request: Any, deadline: Deadline) -> None:
        """Waits while a request of another thread is expected before this one; the caller holds `changed`."""
        limit = deadline.sooner(self._patience)
        self._waiting_senders += 1
        try:
            transport.check()
            while self._expectations.expects_later(transport.connection, request) and not limit.expired:
                self.changed.wait(limit.remaining())
                transport.check()
        finally:
            self._waiting_senders -= 1

    def expects(self, connection: RecordedConnection, look: Any) -> bool:
        """Whether a session looked at its history at this point when it was recorded; the caller holds `changed`."""
        if not connection.unsent or self._expectations.receivable(connection):
            return False
        return not self._expectations.differences(connection.unsent[0], self._redaction.apply(look))

    def receive(self, connection: RecordedConnection, most: int) -> list[Line]:
        """Takes what can be received on a connection now, so many lines at most; the caller holds `changed`."""
        now = time.monotonic()
        lines = self._expectations.receivable(connection, most if self._speed is None else 1)
        if self._speed is not None:
            # At a speed, each line has a time of its own.
            lines = [line for line in lines if connection.due(line, self._speed) <= now]
        elif lines and lines[0].sign != "!" and lines[-1].sign == "!":
            lines.pop()  # a loss is raised by a call of its own, after what came before it
        connection.receive(lines, now)
        return lines

    def wait(self, connection: RecordedConnection, deadline: Deadline) -> None:
        """Waits for a change, or until the next line is due; the caller holds `changed`.

        Fails the replay when the expected request has not been sent within the patience.
        """
        now = time.monotonic()
        waits = [deadline.remaining()]
        lines = self._expectations.receivable(connection)
        if lines and self._speed is not None:
            waits.append(connection.due(lines[0], self._speed) - now)
        # Nothing can be received before something is sent; that it never comes is what this finds.
        elif connection.unsent and self._patience is not None and not self._waiting_senders:
            left = self._last_sent_at + self._patience - now
            if left <= 0:
                expected = connection.unsent[0]
                self._fail(expected, f"no request within {self._patience:g} s; expected:\n    {_summary(expected)}")
                return
            waits.append(left)
        known = [wait for wait in waits if wait is not None]
        self.changed.wait(max(0.0, min(known)) if known else None)


def _summary(line: Line) -> str:
    """Returns a request in one line."""
    if line.where == CALL:
        rest = {name: part for name, part in line.value.items() if name not in ("method", "path")}
        return f"{line.value.get('method')} {line.value.get('path')} {brief(rest) if rest else ''}".rstrip()
    # The session's id is another one in every run, so it would only distract.
    rest = {name: part for name, part in line.value.items() if name != "session_id"}
    return f"connection {line.number}: {brief(rest)}"
