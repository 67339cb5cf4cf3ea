"""A real HTTP server with scripted answers."""

import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.support.secrets import SENTINEL_KEY

KEY = SENTINEL_KEY


@dataclass
class Reply:
    """One scripted answer."""

    status: int = 200
    body: Any = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)

    def __call__(self, handler: "Handler") -> None:
        body = self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()
        handler.send_response(self.status)
        for name, value in {"Content-Length": str(len(body)), **self.headers}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body)


def raw(*pieces: bytes, pause: float = 0.0, forever: bool = False) -> Callable[["Handler"], None]:
    """An answer sent byte for byte, with a pause after each piece, and then the end of the connection."""

    def answer(handler: "Handler") -> None:
        handler.close_connection = True
        while True:
            for piece in pieces:
                handler.wfile.write(piece)
                if handler.server.over.wait(pause):
                    return
            if not forever:
                return

    return answer


@dataclass
class Seen:
    """One request as the server saw it."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    raw: bytes
    at: float

    @property
    def json(self) -> Any:
        return json.loads(self.raw) if self.raw else None


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: "Server"

    def handle_one_request(self) -> None:
        self.server.current = self
        try:
            super().handle_one_request()
        except OSError:
            self.close_connection = True

    def _serve(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.seen.append(
            Seen(self.command, parts.path, parse_qs(parts.query, True), headers, raw, time.monotonic())
        )
        self.server.next_answer()(self)

    do_GET = do_POST = do_DELETE = do_PUT = do_CONNECT = _serve

    def log_message(self, *args: Any) -> None:
        pass


class Server(ThreadingHTTPServer):
    """Answers as told, the last answer again and again, and remembers what it was asked."""

    daemon_threads = True

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self._tls = tls
        self.over = threading.Event()
        self.seen: list[Seen] = []
        self.connections = 0
        self.closed = 0
        self.answers: list[Callable[[Handler], None]] = [Reply()]
        self._thread = threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    @property
    def url(self) -> str:
        return f"{self.origin}/v1"

    def answer(self, *answers: Callable[[Handler], None]) -> None:
        self.answers = list(answers)

    def next_answer(self) -> Callable[[Handler], None]:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    def get_request(self) -> tuple[socket.socket, Any]:
        self.connections += 1
        return super().get_request()

    def finish_request(self, request: Any, client_address: Any) -> None:
        # Here, on the connection's own thread, a handshake holds up nobody else.
        if self._tls is not None:
            request = self._tls.wrap_socket(request, server_side=True)
        with request:
            super().finish_request(request, client_address)
        self.closed += 1

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass

    def stop(self) -> None:
        self.over.set()
        self.shutdown()
        self.server_close()
        self._thread.join()
