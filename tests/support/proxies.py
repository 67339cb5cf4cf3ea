"""What may stand between a client and an engine: TLS, and HTTP proxies."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from typing import Any

from sessionlib.net.listener import TcpListener
from sessionlib.transport.dial import _close_half_made
from tests.support.secured import relay


class _Front:
    """Takes connections, each on a thread of its own; a context manager."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._over = threading.Event()
        self._threads: list[threading.Thread] = []
        self._listener = TcpListener(self._adopt, 0, name=type(self).__name__).start()
        self.port = self._listener.port

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._listener.stop()
        for thread in self._threads:
            thread.join(30)

    def _adopt(self, sock: socket.socket) -> None:
        thread = threading.Thread(target=self._run, args=(sock,), daemon=True)
        self._threads.append(thread)
        thread.start()

    def _run(self, sock: socket.socket) -> None:
        with contextlib.suppress(OSError), sock:
            sock.settimeout(5)
            self._serve(sock)

    def _serve(self, sock: socket.socket) -> None:
        raise NotImplementedError


class TlsFront(_Front):
    """Takes TLS connections in front of an engine.

    Attributes:
        port: Where.
        clear: What came through TLS, from all clients together.
    """

    def __init__(self, target: int, context: ssl.SSLContext) -> None:
        self.clear = bytearray()
        self._context = context
        super().__init__(target)

    def _serve(self, sock: socket.socket) -> None:
        with self._wrap(sock) as secured, socket.create_connection(("127.0.0.1", self._target)) as engine:
            relay(secured, engine, self._over, self.clear)

    def _wrap(self, sock: socket.socket) -> ssl.SSLSocket:
        try:
            return self._context.wrap_socket(sock, server_side=True)
        except OSError as error:  # the client was gone already
            _close_half_made(error)
            raise


class HttpProxy(_Front):
    """An HTTP proxy that knows one engine, whatever host is asked for.

    Attributes:
        port: Where.
        heads: The requests, whole.
        answers: What to say to the next requests instead of connecting: None connects, b"" says nothing.
    """

    def __init__(self, target: int) -> None:
        self.heads: list[bytes] = []
        self.answers: list[bytes | None] = []
        super().__init__(target)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def _serve(self, sock: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            byte = sock.recv(1)
            if not byte:  # the client has given up
                return
            head += byte
        self.heads.append(head)
        answer = self.answers.pop(0) if self.answers else None
        if answer == b"":
            self._over.wait(30)
        elif answer is not None:
            sock.sendall(answer)
        else:
            with socket.create_connection(("127.0.0.1", self._target)) as engine:
                sock.sendall(b"HTTP/1.1 200 Connection established\r\nVia: us\r\n\r\n")
                relay(sock, engine, self._over, bytearray())
