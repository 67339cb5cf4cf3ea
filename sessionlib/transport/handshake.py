"""The opening handshake (RFC 6455, 4.1): one request out, one head of a response in, checked once.

websocket-client has one too, and it is not used: it reads the response byte by byte without a limit, follows redirects
with credentials, quotes headers and body in its errors, shares one cookie jar among all connections of the process,
prints the request with its key when its trace is on, and refuses two ``Connection`` lines. It stays what parses frames.
"""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Mapping
from urllib.parse import SplitResult

from sessionlib._util.timing import Deadline
from sessionlib._version import USER_AGENT
from sessionlib.errors import SessionProtocolError, SessionTimeoutError, api_error
from sessionlib.net.retry import parse_retry_after
from sessionlib.transport.stream import BufferedStream

__all__ = ["shake_hands"]

MAX_HEAD = 65536
MAX_LINE = 8192
MAX_LINES = 128
MAX_INTERIM = 8
# RFC 6455, 1.3: what the server appends to the key of the request before it hashes it.
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_DEFAULT_PORTS = {"wss": 443, "ws": 80}


def shake_hands(
    stream: BufferedStream, url: SplitResult, key: str, deadline: Deadline, headers: Mapping[str, str] | None = None
) -> None:
    """Turns a connected stream into a WebSocket.

    Args:
        stream: The connection.
        url: The WebSocket's URL.
        key: The API key, for the ``Authorization`` header.
        deadline: When to stop waiting.
        headers: Further headers of the request, checked by `config.check_headers`.

    Raises:
        HandshakeError: The server answered with another status than 101 (also the `ApiError` of it).
        SessionProtocolError: The response is no WebSocket handshake.
        SessionTimeoutError: It took too long.
        SessionDisconnectedError: The connection broke.
    """
    nonce = base64.b64encode(os.urandom(16))
    request = memoryview(_request(url, key, nonce, headers or {}))
    while request:
        sent = stream.try_write(request)
        if not sent and not stream.wait_writable(deadline):
            raise SessionTimeoutError(f"the WebSocket handshake could not be sent within {deadline.timeout} s")
        request = request[sent:]
    for _ in range(MAX_INTERIM):
        status, fields = _parse_head(_read_head(stream, deadline))
        # RFC 9110, 15.2: interim responses may come first, from a proxy on the way for one.
        if status == 101 or not 100 <= status < 200:
            break
    if status != 101:
        wait = parse_retry_after(fields.get("retry-after"))
        raise api_error(status, "GET", "/ws/session", retry_after=wait, handshake=True)
    if fields.get("sec-websocket-extensions") or fields.get("sec-websocket-protocol"):  # an empty one chooses nothing
        raise SessionProtocolError("the server's handshake response chose an extension or subprotocol not offered")
    accept = base64.b64encode(hashlib.sha1(nonce + _GUID, usedforsecurity=False).digest())
    if (
        "websocket" not in map(str.strip, fields.get("upgrade", "").lower().split(","))
        or "upgrade" not in map(str.strip, fields.get("connection", "").lower().split(","))
        or fields.get("sec-websocket-accept") != accept.decode("ascii")
    ):
        raise SessionProtocolError("the server's response is not a WebSocket handshake")


def _request(url: SplitResult, key: str, nonce: bytes, headers: Mapping[str, str]) -> bytes:
    host = url.hostname or ""
    host = f"[{host}]" if ":" in host else host
    port = url.port or _DEFAULT_PORTS[url.scheme]
    fields = {
        "Host": host if port == _DEFAULT_PORTS[url.scheme] else f"{host}:{port}",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": nonce.decode("ascii"),
        "Sec-WebSocket-Version": "13",
        "Authorization": f"Bearer {key}",
        "User-Agent": USER_AGENT,
        **headers,
    }
    target = (url.path or "/") + (f"?{url.query}" if url.query else "")
    lines = [f"GET {target} HTTP/1.1", *map("{}: {}".format, fields, fields.values()), "", ""]
    return "\r\n".join(lines).encode("ascii")


def _read_head(stream: BufferedStream, deadline: Deadline) -> bytes:
    # What the server sends right behind the head, its first frames, stays in the stream's buffer.
    stream.deadline = deadline
    while (end := bytes(stream.data).find(b"\r\n\r\n", stream.pos)) < 0:
        if len(stream.data) - stream.pos > MAX_HEAD:
            raise SessionProtocolError(f"the server's handshake response is longer than {MAX_HEAD} bytes")
        if deadline.expired:  # a server that drips is always ready to be read
            raise SessionTimeoutError(f"no response to the WebSocket handshake within {deadline.timeout} s")
        stream.fill()
    return stream.take(end + 4 - stream.pos)


def _parse_head(head: bytes) -> tuple[int, dict[str, str]]:
    """Returns the status and the headers, by lower-case name, the values of repeated ones joined by commas."""
    first, *lines = head[:-4].split(b"\r\n")
    if len(lines) >= MAX_LINES or max(map(len, (first, *lines))) > MAX_LINE:
        raise SessionProtocolError("the server's handshake response has too many or too long header lines")
    version, _, rest = first.partition(b" ")
    if not version.startswith(b"HTTP/1.") or not rest[:3].isdigit() or rest[3:4] not in (b"", b" "):
        raise SessionProtocolError("the server did not answer in HTTP; is this the engine's address?")
    fields: dict[str, str] = {}
    for line in lines:
        raw, colon, text = line.partition(b":")
        # Neither is quoted: it may hold a secret.
        if not colon or not raw or raw.strip() != raw:
            raise SessionProtocolError("the server's handshake response has an illegal header line")
        name, value = raw.decode("latin-1").lower(), text.decode("latin-1").strip()
        # RFC 9110, 5.2. For what may stand only once, such as the hash, a repeated line is no valid value.
        fields[name] = f"{fields[name]}, {value}" if name in fields else value
    return int(rest[:3]), fields
