"""One HTTP/1.1 or 1.0 request, read strictly, and its answer. The connection is closed after it.

One request a connection leaves no room for smuggling a second one behind it; what is ambiguous (bare
line feeds, folded headers, two lengths, chunked bodies) is refused instead of guessed at.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl, unquote

from sessionlib._util.timing import Deadline
from sessionlib.engine.limits import Limits
from sessionlib.protocol import codec

__all__ = ["HttpError", "Request", "Response", "linger", "read_body", "read_head", "send_response"]

_END = b"\r\n\r\n"
# An origin-form target of visible ASCII, with one space on each side (RFC 9112, 3).
_REQUEST_LINE = re.compile(rb"([A-Z]{1,16}) (/[!-~]*) HTTP/(\d\.\d)")
_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
# RFC 9112, 2.2 and 5.2 let a recipient refuse these. Where two programs on the way read them differently, one sees a
# request that the other does not.
_FORBIDDEN = re.compile(rb"(?<!\r)\n|\r(?!\n)|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\r\n[ \t]")
# Digits alone: int() would also take "+5", "1_000" and other scripts' digits.
_LENGTH = re.compile(r"\d{1,18}")


class HttpError(Exception):
    """A request that is answered with an error.

    Attributes:
        status: The HTTP status.
        message: The error that the client gets.
        headers: Headers that go with it.
    """

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = dict(headers or {})


@dataclass(frozen=True)
class Request:
    """A request whose head has arrived.

    Attributes:
        method: "GET" and so on.
        path: The decoded path.
        query: The decoded query; of repeated names the last one.
        headers: Names in lower case and values, in order.
        head: The head as it came, for the WebSocket handshake.
        rest: What came after the head so far.
    """

    method: str
    path: str
    query: dict[str, str]
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    head: bytes = field(repr=False)
    rest: bytes = field(repr=False)

    def header(self, name: str) -> str | None:
        """Returns a header's only value, or None; ``name`` is in lower case."""
        values = self.header_values(name)
        return values[0] if values else None

    def header_values(self, name: str) -> list[str]:
        """Returns all values of a header; ``name`` is in lower case."""
        return [value for key, value in self.headers if key == name]


@dataclass(frozen=True)
class Response:
    """An answer: JSON, or bytes with a type of their own."""

    status: int
    body: bytes
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def json(cls, value: Any, status: int = 200) -> Response:
        """Makes an answer of a JSON value."""
        return cls(status, codec.dumps(value))

    @classmethod
    def error(cls, error: HttpError) -> Response:
        """Returns the answer that reports an error."""
        return cls(error.status, codec.dumps({"error": error.message}), headers=error.headers)


def read_head(sock: socket.socket, limits: Limits) -> Request | None:
    """Reads and checks one head.

    Returns:
        The request, or None when the client left without sending anything.

    Raises:
        HttpError: It is malformed (400), too large (431), too slow (408), or of another HTTP (505).
        OSError: The connection broke.
    """
    data = _receive_head(sock, limits)
    if data is None:
        return None
    head, _, rest = data.partition(_END)
    if _FORBIDDEN.search(head):
        raise HttpError(400, "the request holds a bare line break, a folded header or a control character")
    line, *fields = head.split(b"\r\n")
    match = _REQUEST_LINE.fullmatch(line)
    if match is None:
        raise HttpError(400, "the request line is malformed")
    # Reverse proxies speak 1.0 to what is behind them unless configured otherwise; the connection ends with
    # the answer in either version.
    if match[3] not in (b"1.0", b"1.1"):
        raise HttpError(505, "this version of HTTP is not spoken here")
    if len(fields) > limits.header_count:
        raise HttpError(431, f"the request has over {limits.header_count} headers")
    headers = []
    for item in fields:
        name, colon, value = item.partition(b":")
        if not colon or not _TOKEN.fullmatch(name):
            raise HttpError(400, "a header is malformed")
        # RFC 9110, 5.5: bytes beyond ASCII are opaque, and Latin-1 keeps each.
        headers.append((name.decode("ascii").lower(), value.strip(b" \t").decode("latin-1")))
    path, _, query = match[2].decode("ascii").partition("?")
    request = Request(
        match[1].decode("ascii"),
        unquote(path, errors="replace"),
        dict(parse_qsl(query, keep_blank_values=True)),
        tuple(headers),
        # Kept as it came, for wsproto, which reads it again.
        head + _END,
        rest,
    )
    lengths = request.header_values("content-length")
    # Also where they agree, which RFC 9110, 8.6 lets a recipient accept: none of ours sends two.
    if len(lengths) > 1 or any(not _LENGTH.fullmatch(length) for length in lengths):
        raise HttpError(400, "the Content-Length is malformed")
    if request.header("transfer-encoding") is not None:
        raise HttpError(400 if lengths else 411, "a body needs a Content-Length; Transfer-Encoding is not taken")
    return request


def read_body(sock: socket.socket, request: Request, limits: Limits) -> bytes:
    """Reads the body that the head announces.

    Raises:
        HttpError: It is too large (413), too slow (408) or truncated (400).
    """
    length = int(request.header("content-length") or 0)
    if length > limits.body_bytes:
        raise HttpError(413, f"the body has {length} bytes; at most {limits.body_bytes} are taken")
    # RFC 9110, 10.1.1: curl waits a second for this before it sends a large body.
    if request.header("expect") is not None:
        sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    # What came behind the head in the same read.
    body = bytearray(request.rest[:length])
    deadline = Deadline(limits.body_seconds)
    while len(body) < length:
        # Never more than was announced: what is behind it is not read as a second request.
        chunk = _receive(sock, min(length - len(body), 65536), deadline)
        if not chunk:
            raise HttpError(400, "the body is shorter than its Content-Length")
        body += chunk
    return bytes(body)


def send_response(sock: socket.socket, response: Response) -> None:
    """Sends an answer, and announces that the connection ends with it."""
    lines = [f"HTTP/1.1 {response.status} {HTTPStatus(response.status).phrase}"]
    fields = {
        "Content-Type": response.content_type,
        "Content-Length": str(len(response.body)),
        # Answers hold what users wrote, and proxies in between may keep what is not marked.
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        "Connection": "close",
        **response.headers,
    }
    lines += [f"{name}: {value}" for name, value in fields.items()]
    # A client that takes nothing must not hold its thread for ever.
    sock.settimeout(30.0)
    sock.sendall("\r\n".join(lines).encode("ascii") + _END + response.body)


def linger(sock: socket.socket, seconds: float = 1.0, limit: int = 64 * 1024 * 1024) -> None:
    """Ends a connection so that the client still gets what was sent.

    Closing a socket that has unread input makes the kernel reset the connection, and the answer may be
    lost on the way. So the input is read and dropped for a while.
    """
    deadline = Deadline(seconds)
    try:
        sock.shutdown(socket.SHUT_WR)
        while limit > 0 and not deadline.expired:
            sock.settimeout(deadline.remaining())
            data = sock.recv(65536)
            if not data:
                break
            limit -= len(data)
    except OSError:
        pass  # gone already, or too slow: either way nothing more can be done for it


def _receive(sock: socket.socket, size: int, deadline: Deadline) -> bytes:
    left = deadline.remaining()
    # A timeout of 0 would make the socket non-blocking in place of ending the wait.
    if left == 0.0:
        raise HttpError(408, "the request did not arrive in time")
    sock.settimeout(left)
    try:
        return sock.recv(size)
    except TimeoutError:
        raise HttpError(408, "the request did not arrive in time") from None


def _receive_head(sock: socket.socket, limits: Limits) -> bytes | None:
    deadline = Deadline(limits.head_seconds)
    data = bytearray()
    while _END not in data:
        if len(data) > limits.head_bytes:
            raise HttpError(431, f"the head has over {limits.head_bytes} bytes")
        # Already now: a client that ends its lines like this never sends the end that is waited for.
        if re.search(rb"(?<!\r)\n", data):
            raise HttpError(400, "the request holds a bare line break")
        chunk = _receive(sock, 8192, deadline)
        if not chunk and not data:
            return None
        if not chunk:
            raise HttpError(400, "the request is truncated")
        data += chunk
    # The last chunk may have brought both the end and too much before it.
    if data.index(_END) > limits.head_bytes:
        raise HttpError(431, f"the head has over {limits.head_bytes} bytes")
    return bytes(data)
