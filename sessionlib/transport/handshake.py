"""The opening handshake: websocket-client's, with what passes by it held in check.

The library follows redirects with credentials, reads answers byte by byte without a limit, quotes
headers and body in its errors, shares one cookie jar among all connections of the process, and
prints the request with its key when its trace is on. So it gets to see a checked answer without
cookies, and never the key: that goes into the request on its way out.
"""

from __future__ import annotations

from urllib.parse import SplitResult

import websocket

from sessionlib._util.retry import parse_retry_after
from sessionlib._util.timing import Deadline
from sessionlib.errors import SessionlibError, SessionProtocolError, SessionTimeoutError, api_error
from sessionlib.transport.stream import BufferedStream

__all__ = ["shake_hands"]

MAX_HEAD = 65536
MAX_LINE = 8192
MAX_LINES = 128


class _Guarded:
    """The socket that the library sees during the handshake."""

    def __init__(self, stream: BufferedStream, key: str, deadline: Deadline) -> None:
        self._stream = stream
        self._key = key
        self._deadline = deadline
        self._answer = b""
        # The library turns a timeout of ours into one of its own; here is the original.
        self.failure: SessionlibError | None = None

    def send(self, request: bytes) -> int:
        try:
            self._exchange(request)
        except SessionlibError as error:
            self.failure = error
            raise
        return len(request)

    def _exchange(self, request: bytes) -> None:
        lines = [line for line in request.split(b"\r\n") if not line.lower().startswith(b"cookie:")]
        lines.insert(1, b"Authorization: Bearer " + self._key.encode("ascii"))
        _write_all(self._stream, b"\r\n".join(lines), self._deadline)
        self._answer = _checked_head(_read_head(self._stream, self._deadline))

    def recv(self, size: int) -> bytes:
        taken, self._answer = self._answer[:size], self._answer[size:]
        return taken

    def gettimeout(self) -> None:
        return

    def close(self) -> None:
        self._stream.close()


def shake_hands(stream: BufferedStream, url: SplitResult, key: str, deadline: Deadline) -> None:
    """Turns a connected stream into a WebSocket.

    Args:
        stream: The connection.
        url: The WebSocket's URL.
        key: The API key, for the ``Authorization`` header.
        deadline: When to give up.

    Raises:
        HandshakeError: The server answered with another status than 101 (also the `ApiError` of it).
        SessionProtocolError: The answer is no WebSocket handshake.
        SessionTimeoutError: It took too long.
        SessionDisconnectedError: The connection broke.
    """
    library = websocket.WebSocket(enable_multithread=False)
    guarded = _Guarded(stream, key, deadline)
    try:
        library.connect(url.geturl(), socket=guarded, redirect_limit=0, suppress_origin=True)  # type: ignore[no-untyped-call]
    except websocket.WebSocketException:
        # Its message quotes headers, so it is not chained either.
        raise guarded.failure or SessionProtocolError("the server's answer is not a WebSocket handshake") from None


def _write_all(stream: BufferedStream, data: bytes, deadline: Deadline) -> None:
    view = memoryview(data)
    while view:
        sent = stream.try_write(view)
        if not sent and not stream.wait_writable(deadline):
            raise SessionTimeoutError(f"the WebSocket handshake could not be sent within {deadline.timeout} s")
        view = view[sent:]


def _read_head(stream: BufferedStream, deadline: Deadline) -> bytes:
    stream.deadline = deadline
    while (end := stream.data.find(b"\r\n\r\n")) < 0:
        if len(stream.data) > MAX_HEAD:
            raise SessionProtocolError(f"the server's handshake answer is longer than {MAX_HEAD} bytes")
        if deadline.expired:
            raise SessionTimeoutError(f"no answer to the WebSocket handshake within {deadline.timeout} s")
        stream.fill()
    return stream.take(end + 4)


def _checked_head(head: bytes) -> bytes:
    lines = head[:-4].split(b"\r\n")
    if len(lines) > MAX_LINES or max(map(len, lines)) > MAX_LINE:
        raise SessionProtocolError("the server's handshake answer has too many or too long header lines")
    status = _status_of(lines[0])
    headers = [line.partition(b":") for line in lines[1:]]
    if status != 101:
        waits = [value.decode("latin-1") for name, _, value in headers if name.lower() == b"retry-after"]
        wait = parse_retry_after(waits[0]) if waits else None
        raise api_error(status, "GET", "/ws/session", retry_after=wait, handshake=True)
    names = {name.lower() for name, _, _ in headers}
    if names & {b"sec-websocket-extensions", b"sec-websocket-protocol"}:
        raise SessionProtocolError("the server's handshake answer chose an extension or subprotocol not offered")
    kept = [line for line in lines[1:] if not line.lower().startswith(b"set-cookie:")]
    return b"\r\n".join([lines[0], *kept]) + b"\r\n\r\n"


def _status_of(line: bytes) -> int:
    version, _, rest = line.partition(b" ")
    digits = rest[:3]
    if not version.startswith(b"HTTP/1.") or not digits.isdigit() or rest[3:4] not in (b"", b" "):
        raise SessionProtocolError("the server did not answer in HTTP; is this the engine's address?")
    return int(digits)
