"""Recording: what passes between this process and the network is noted on its way."""

from __future__ import annotations

import base64
import itertools
import threading
import time
from collections.abc import Iterable, Iterator
from typing import Any, cast

from sessionlib._util.timing import Deadline, acquire
from sessionlib.config import Endpoint
from sessionlib.errors import SessionlibError, SessionTimeoutError
from sessionlib.hooks import Dial, Exchange, Outcome
from sessionlib.net.connect import CancelToken
from sessionlib.protocol import codec
from sessionlib.protocol.codec import Payload
from sessionlib.rest.calls import Answer, Call, Failure, OpenLines
from sessionlib.testing import format
from sessionlib.testing.format import CALL, LINK, Line
from sessionlib.testing.redaction import Redaction, Shrinker, file_facts, shrink
from sessionlib.transport.base import Traffic, Transport

__all__ = ["KEEPALIVE", "Recorder", "call_json"]

KEEPALIVE = frozenset({"ping_session", "pong"})
# What the client reads of an answer's headers.
_HEADERS = ("Content-Type", "Retry-After", "Location")


class _Note:
    """One line to be; what is not known yet is filled in later, and what has no value by the end is left out."""

    def __init__(self, at: float, where: str, number: int, sign: str, value: Any = None) -> None:
        self.by = threading.current_thread()  # whose number would be another thread's after its end
        self.at = at
        self.where = where
        self.number = number
        self.sign = sign
        # A bytes object is the JSON text of a frame.
        self.value = value


class Recorder:
    """Stands between the process and the network and notes what passes; a `NetworkHook`.

    Args:
        redaction: What must not be kept.
        start: The time that has passed in the recording already, in seconds.
        links: How many links are in it already.
        calls: Likewise calls.
    """

    def __init__(self, redaction: Redaction, start: float = 0.0, links: int = 0, calls: int = 0) -> None:
        self._redaction = redaction
        self._began = time.monotonic() - start
        self._links = itertools.count(links + 1)
        self._calls = itertools.count(calls + 1)
        self._notes: list[_Note] = []  # only appended to, which needs no lock

    def note(self, where: str, number: int, sign: str, value: Any = None) -> _Note:
        """Notes that something happens now."""
        note = _Note(time.monotonic() - self._began, where, number, sign, value)
        self._notes.append(note)
        return note

    def lines(self) -> Iterator[Line]:
        """Gives what was recorded so far."""
        threads: dict[threading.Thread, int] = {}
        at = 0.0
        for note in self._notes[:]:
            at = max(at, note.at)  # of two threads the one that looked at the clock last may have noted first
            value = _value(note.value) if isinstance(note.value, bytes) else note.value
            if value is None or (isinstance(value, dict) and value.get("type") in KEEPALIVE):
                continue
            if isinstance(value, bytes):
                yield Line(at, note.where, note.number, "<*", {"base64": base64.b64encode(value).decode()})
                continue
            by = threads.setdefault(note.by, len(threads) + 1) if (note.where, note.sign) == (LINK, ">") else 0
            yield Line(at, note.where, note.number, note.sign, self._redaction.apply(value), by)

    # ---- links -----------------------------------------------------------------------------------

    def open(self, endpoint: Endpoint, dial: Dial, deadline: Deadline, attempt: CancelToken) -> Transport:
        """Opens a link and notes what passes over it; see `NetworkHook.open`."""
        key = endpoint.key()
        self._redaction.hide(key)
        number = next(self._links)
        opening = self.note(LINK, number, "=")
        opened = {"open": endpoint.session_url, "thread": threading.current_thread().name}
        try:
            transport = dial(key)
            opening.value = opened
        except SessionlibError as error:
            if not attempt.is_cancelled:
                opening.value = opened
                self.note(LINK, number, "!", format.to_json(error))
            raise
        return _RecordedTransport(transport, self, number)

    def admit(self, link: Transport | None, frame: dict[str, Any], deadline: Deadline) -> None:
        """Lets every post pass; see `NetworkHook.admit`."""

    # ---- calls -----------------------------------------------------------------------------------

    def exchange(self, call: Call, endpoint: Endpoint, exchange: Exchange) -> Outcome:
        """Makes a call and notes it; see `NetworkHook.exchange`."""
        key = endpoint.key()
        self._redaction.hide(key)
        number = next(self._calls)
        said = self.note(CALL, number, ">")
        outcome = exchange(key)
        said.value = call_json(call)
        if isinstance(outcome, Failure):
            self.note(CALL, number, "!", {**format.to_json(outcome.error), "may_pass": outcome.may_pass})
        elif isinstance(outcome, Answer):
            self.note(CALL, number, "<", _answer_json(outcome))
        else:
            return cast("Outcome", _RecordedLines(outcome, self.note(CALL, number, "<")))
        return outcome


class _RecordedTransport:
    """A `Transport` that notes what goes through another one."""

    def __init__(self, inner: Transport, recorder: Recorder, number: int) -> None:
        self._inner = inner
        self._recorder = recorder
        self._number = number
        self._closing = False
        # Keeps the notes in the order in which the messages leave.
        self._sending = threading.Lock()

    def _note(self, sign: str, value: Any = None) -> _Note:
        return self._recorder.note(LINK, self._number, sign, value)

    def send(self, payload: bytes, deadline: Deadline) -> None:
        self._take_turn(deadline)
        # Before it leaves, because its answer may come before we are back.
        note = self._note(">", shrink(payload))
        try:
            self._inner.send(payload, deadline)
        except BaseException:
            note.value = None
            raise
        finally:
            self._sending.release()

    def send_pieces(self, pieces: Iterable[tuple[bytes, bool]], deadline: Deadline) -> None:
        self._take_turn(deadline)
        note, shrinker = self._note(">"), Shrinker()

        def passing() -> Iterator[tuple[bytes, bool]]:
            for piece, is_last in pieces:
                shrinker.feed(piece)
                yield piece, is_last

        try:
            self._inner.send_pieces(passing(), deadline)
            note.value = shrinker.text()
        finally:
            self._sending.release()

    def _take_turn(self, deadline: Deadline) -> None:
        if not acquire(self._sending, deadline):
            raise SessionTimeoutError(f"other messages were still being sent after {deadline.timeout} s")

    @property
    def traffic(self) -> Traffic:
        return self._inner.traffic

    @traffic.setter
    def traffic(self, traffic: Traffic) -> None:
        self._inner.traffic = traffic

    def has_left(self, message: object) -> bool:
        return self._inner.has_left(message)

    @property
    def last_received_at(self) -> float:
        return self._inner.last_received_at

    @property
    def bytes_received(self) -> int:
        return self._inner.bytes_received

    def recv(self, deadline: Deadline | None = None) -> list[Payload]:
        try:
            messages = self._inner.recv(deadline)
        except SessionlibError as error:
            if not self._closing:
                self._note("!", format.to_json(error))
            raise
        for message in messages:
            self._note("<", bytes(message))
        return messages

    def enqueue(self, payload: bytes) -> None:
        self._note(">", payload)
        self._inner.enqueue(payload)

    def ping(self) -> None:
        self._inner.ping()

    def close(self, code: int = 1000, reason: str = "", deadline: Deadline | None = None) -> None:
        if not self._closing:
            self._note("=", {"close": code})
        self._closing = True
        self._inner.close(code, reason, deadline)

    def abort(self) -> None:
        self._inner.abort()

    def release(self) -> None:
        self._closing = True
        self._inner.release()


class _RecordedLines(OpenLines):
    """The lines of a streamed answer, noted as they are read."""

    def __init__(self, inner: Any, note: _Note) -> None:
        self._inner = inner
        self._lines: list[str] = []
        self._told: dict[str, Any] = {"status": 200, "lines": self._lines}
        note.value = self._told

    def __next__(self) -> bytes:
        try:
            line: bytes = next(self._inner)
        except SessionlibError as error:
            self._told["error"] = format.to_json(error)
            raise
        self._lines.append(line.decode("utf-8", "replace"))
        return line

    def value(self) -> _RecordedLines:
        return self

    def close(self) -> None:
        self._inner.close()


# ---- as JSON -------------------------------------------------------------------------------


def call_json(call: Call) -> dict[str, Any]:
    """Gives what a call says, files by their facts."""
    told: dict[str, Any] = {"method": call.method, "path": call.path}
    if call.query:
        told["query"] = dict(call.query)
    if call.body is not None:
        told["body"] = codec.loads(call.body)
    if call.form is not None:
        told["form"] = dict(call.form)
    if call.files:
        told["files"] = [{"field": field, "name": file[0], **file_facts(file[1])} for field, file in call.files]
    return told


def _answer_json(answer: Answer) -> dict[str, Any]:
    headers = {name: answer.headers[name] for name in _HEADERS if name in answer.headers}
    told: dict[str, Any] = {"status": answer.status, "headers": headers}
    body = _value(answer.body)
    if isinstance(body, bytes):
        return {**told, "base64": base64.b64encode(body).decode()}
    return {**told, "body": body}


def _value(text: bytes) -> Any:
    """Gives the JSON value of a text, or the text itself when it has none, or null."""
    try:
        value = codec.loads(text)
    except ValueError:
        return text
    return text if value is None else value
