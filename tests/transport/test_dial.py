"""TLS on a connected socket, step by step; whole connections are in `tests.faults.test_dialling`."""

from __future__ import annotations

import socket
import threading
from contextlib import nullcontext, suppress
from urllib.parse import urlsplit

import pytest

from sessionlib._util.timing import Deadline
from sessionlib.errors import SessionConnectionError, SessionDisconnectedError, SessionTimeoutError
from sessionlib.net.connect import CancelToken
from sessionlib.transport.dial import default_context, dial, secure
from tests.support.secured import NAME, _contexts
from tests.support.threads import in_threads


@pytest.mark.parametrize(
    ("host", "is_ours", "message"),
    [(NAME, True, None), ("other.test", True, "certificate of other.test"), (NAME, False, f"certificate of {NAME}")],
)
def test_only_a_certificate_that_is_trusted_and_names_the_host_will_do(
    host: str, is_ours: bool, message: str | None
) -> None:
    server, trusting = _contexts()
    near, far = socket.socketpair()

    def serve() -> None:
        with far, suppress(OSError):
            server.wrap_socket(far, server_side=True).close()

    with near, in_threads(serve):
        refused = pytest.raises(SessionConnectionError, match=message) if message else nullcontext()
        with refused as raised:
            secure(near, host, trusting if is_ours else default_context(), Deadline(20), CancelToken()).close()
        assert raised is None or raised.value.transient is False


def test_an_attempt_that_is_cancelled_ends_its_handshake() -> None:
    near, far = socket.socketpair()
    attempt = CancelToken()
    with near, far:
        timer = threading.Timer(0.02, attempt.cancel)
        timer.start()
        with pytest.raises(SessionDisconnectedError):
            secure(near, NAME, default_context(), Deadline(30), attempt)
        timer.join()


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        (b"", SessionTimeoutError, f"no TLS handshake with {NAME}"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", SessionConnectionError, f"{NAME}.*TLS on this port"),
    ],
)
def test_a_peer_that_speaks_no_tls(data: bytes, error: type[Exception], message: str) -> None:
    near, far = socket.socketpair()
    with near, far:
        far.sendall(data)
        with pytest.raises(error, match=message):
            secure(near, NAME, default_context(), Deadline(20 if data else 0.01), CancelToken())


def test_what_fails_closes_the_socket_that_it_opened() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        def refuse() -> socket.socket:
            conn, _ = server.accept()
            conn.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            return conn

        with in_threads(refuse) as taken:
            with pytest.raises(SessionConnectionError, match="does it speak TLS on this port") as raised:
                dial(urlsplit(f"wss://127.0.0.1:{port}/"), Deadline(20), CancelToken())
            assert raised.value.transient is False
        taken[0].close()
        # Plain, it is the caller's socket.
        with dial(urlsplit(f"ws://127.0.0.1:{port}/"), Deadline(20), CancelToken()) as sock:
            assert sock.getpeername()[1] == port
        server.accept()[0].close()
