"""Recording: all traffic between this process and the network is kept on its way."""

from __future__ import annotations

import base64
import itertools
import threading
import time
from collections.abc import Iterable, Iterator
from typing import Any, cast

from sessionlib._util.timing import Deadline, held
from sessionlib.config import Endpoint
from sessionlib.connection.wire_log import TransportWrapper
from sessionlib.errors import SessionlibError
from sessionlib.hooks import Dial, Exchange, Outcome
from sessionlib.net.connect import CancelToken
from sessionlib.protocol import codec
from sessionlib.protocol.frames import KEEPALIVE
from sessionlib.rest.calls import Answer, Call, Failure, OpenLines
from sessionlib.testing import format
from sessionlib.testing.format import CALL, WEBSOCKET, Line
from sessionlib.testing.redaction import Redaction, Shrinker, file_facts, shrink
from sessionlib.transport.base import BUSY, Transport

__all__ = ["RecordedTransport", "Recorder", "call_json"]

# What the client reads of an answer's headers.
_HEADERS = ("Content-Type", "Retry-After", "Location")


class _Note:
    """A line in the making: a value that is not known yet is set later; without one by the end, the line is dropped."""

    def __init__(self, at: float, where: str, number: int, sign: str, value: Any = None) -> None:
        self.by = threading.current_thread()  # not its id, which another thread may get after its end
        self.at = at
        self.where = where
        self.number = number
        self.sign = sign
        # A bytes object is the JSON text of a frame.
        self.value = value
        self.is_look = False


class Recorder:
    """Passes all traffic on to the network and records it; a `NetworkHook`.

    Args:
        redaction: What must not be kept.
        start: Seconds that the recording covers already.
        connections: How many connections are in it already.
        calls: How many HTTP calls are in it already.
    """

    def __init__(self, redaction: Redaction, start: float = 0.0, connections: int = 0, calls: int = 0) -> None:
        self._redaction = redaction
        self._began = time.monotonic() - start
        # next() on a count is atomic in CPython, and so needs no lock.
        self._connections = itertools.count(connections + 1)
        self._calls = itertools.count(calls + 1)
        self._notes: list[_Note] = []  # only appended to, which needs no lock

    def note(self, where: str, number: int, sign: str, value: Any = None) -> _Note:
        """Adds a line with the current time; returns it, so that its value can be set later."""
        note = _Note(time.monotonic() - self._began, where, number, sign, value)
        self._notes.append(note)
        return note

    def lines(self) -> Iterator[Line]:
        """Yields what was recorded so far, redacted."""
        # Numbered in the order in which they first sent something, so that recordings of one program are alike.
        threads: dict[threading.Thread, int] = {}
        at = 0.0
        # A copy: a thread that outlives the block may still add to it.
        for note in self._notes[:]:
            at = max(at, note.at)  # two threads may append in the other order than they read the clock
            value = _value(note.value) if isinstance(note.value, bytes) else note.value
            if value is None or (isinstance(value, dict) and value.get("type") in KEEPALIVE):
                continue
            if isinstance(value, bytes):
                yield Line(at, note.where, note.number, "<*", {"base64": base64.b64encode(value).decode()})
                continue
            by = threads.setdefault(note.by, len(threads) + 1) if (note.where, note.sign) == (WEBSOCKET, ">") else 0
            value = self._redaction.apply(value)
            yield Line(at, note.where, note.number, note.sign, value, by, is_look=note.is_look)

    # ---- connections -----------------------------------------------------------------------------

    def open(self, endpoint: Endpoint, dial: Dial, deadline: Deadline, attempt: CancelToken) -> Transport:
        """Opens a connection that is recorded; see `NetworkHook.open`."""
        key = endpoint.key()
        # Before anything is recorded: a server may quote it in its first frame.
        self._redaction.hide(key)
        number = next(self._connections)
        opening = self.note(WEBSOCKET, number, "=")
        opened = {"open": endpoint.session_url, "thread": threading.current_thread().name}
        try:
            transport = dial(key)
            opening.value = opened
        except SessionlibError as error:
            # An attempt that the client itself abandoned is no fact about the engine.
            if not attempt.is_cancelled:
                opening.value = opened
                self.note(WEBSOCKET, number, "!", format.to_json(error))
            raise
        return RecordedTransport(transport, self, number)

    def admit(self, transport: Transport | None, frame: dict[str, Any], deadline: Deadline) -> None:
        """Does not wait; see `NetworkHook.admit`."""

    # ---- calls -----------------------------------------------------------------------------------

    def exchange(self, call: Call, endpoint: Endpoint, exchange: Exchange) -> Outcome:
        """Makes a call and records it; see `NetworkHook.exchange`."""
        key = endpoint.key()
        self._redaction.hide(key)
        number = next(self._calls)
        # The time is the request's; its value is set behind the exchange, and a call that raises leaves no line.
        request = self.note(CALL, number, ">")
        outcome = exchange(key)
        request.value = call_json(call)
        if isinstance(outcome, Failure):
            self.note(CALL, number, "!", {**format.to_json(outcome.error), "may_pass": outcome.may_pass})
        elif isinstance(outcome, Answer):
            body = _value(outcome.body)
            answer = {
                "status": outcome.status,
                "headers": {name: outcome.headers[name] for name in _HEADERS if name in outcome.headers},
                **({"base64": base64.b64encode(body).decode()} if isinstance(body, bytes) else {"body": body}),
            }
            self.note(CALL, number, "<", answer)
        else:
            return cast("Outcome", _RecordedLines(outcome, self.note(CALL, number, "<")))
        return outcome


class RecordedTransport(TransportWrapper):
    """A `Transport` that records what goes through another one."""

    def __init__(self, inner: Transport, recorder: Recorder, number: int) -> None:
        super().__init__(inner)
        self._recorder = recorder
        self._number = number
        # Held from adding a line until its message has left, so that the lines are in the order of the messages.
        self._sending = threading.RLock()

    def _note(self, sign: str, value: Any = None) -> _Note:
        return self._recorder.note(WEBSOCKET, self._number, sign, value)

    def send(self, payload: bytes, deadline: Deadline) -> None:
        with held(self._sending, deadline, BUSY):
            # Before it leaves, because the reading thread may record its answer before `send` returns.
            note = self._note(">", shrink(payload))
            try:
                self.inner.send(payload, deadline)
            except BaseException:
                # It did not leave, so it is not expected in a replay.
                note.value = None
                raise

    def send_chunks(self, chunks: Iterable[tuple[bytes, bool]], deadline: Deadline) -> None:
        shrinker = Shrinker()

        def recorded() -> Iterator[tuple[bytes, bool]]:
            for chunk, is_last in chunks:
                shrinker.feed(chunk)
                yield chunk, is_last

        with held(self._sending, deadline, BUSY):
            note = self._note(">")
            self._pass_on(chunks, recorded(), deadline)
            # What has been read of the files is gone by then: their digests are made as they pass.
            note.value = shrinker.text()

    def _on_message(self, message: bytes) -> None:
        self._note("<", message)

    def _on_error(self, error: SessionlibError) -> None:
        self._note("!", format.to_json(error))

    def enqueue(self, payload: bytes, *, more: bool = False) -> None:
        # Of requests a session queues only its own looks.
        self._note(">", payload).is_look = codec.loads(payload).get("type") == "get_messages"
        self.inner.enqueue(payload, more=more)

    def close(self, code: int = 1000, reason: str = "", deadline: Deadline | None = None) -> None:
        if not self._closing:
            self._note("=", {"close": code})
        super().close(code, reason, deadline)


class _RecordedLines(OpenLines):
    """The lines of a streamed answer, recorded as they are read."""

    def __init__(self, inner: Any, note: _Note) -> None:
        self._inner = inner
        self._lines: list[str] = []
        self._answer: dict[str, Any] = {"status": 200, "lines": self._lines}
        note.value = self._answer

    def __next__(self) -> bytes:
        try:
            line: bytes = next(self._inner)
        except SessionlibError as error:
            self._answer["error"] = format.to_json(error)
            raise
        self._lines.append(line.decode("utf-8", "replace"))
        return line

    def value(self) -> _RecordedLines:
        return self

    def close(self) -> None:
        self._inner.close()


# ---- as JSON -------------------------------------------------------------------------------


def call_json(call: Call) -> dict[str, Any]:
    """Returns a call as JSON, with digest and size in place of each file."""
    fields: dict[str, Any] = {"method": call.method, "path": call.path}
    if call.query:
        fields["query"] = dict(call.query)
    if call.body is not None:
        fields["body"] = codec.loads(call.body)
    if call.form is not None:
        fields["form"] = dict(call.form)
    if call.files:
        fields["files"] = [{"field": field, "name": file[0], **file_facts(file[1])} for field, file in call.files]
    return fields


def _value(text: bytes) -> Any:
    """Returns the JSON value of a text; the text itself when it is not JSON or is null, which would mean no value."""
    try:
        value = codec.loads(text)
    except ValueError:
        return text
    return text if value is None else value
