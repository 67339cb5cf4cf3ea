"""TLS on a connected socket, step by step; whole connections are in `tests.faults.test_dialling`."""

from __future__ import annotations

import socket
import threading
from urllib.parse import urlsplit

import pytest

from sessionlib._util.timing import Deadline
from sessionlib.errors import SessionConnectionError, SessionDisconnectedError, SessionTimeoutError
from sessionlib.net.connect import CancelToken
from sessionlib.transport.dial import default_context, dial, secure
from tests.support.secured import NAME, _contexts


def served(client: socket.socket, host: str, *, is_ours: bool) -> None:
    """Does a TLS handshake with a server of a certificate that its own client trusts."""
    server, trusting = _contexts()
    with secure(client, host, trusting if is_ours else default_context(), Deadline(20), CancelToken()):
        assert server is not trusting


@pytest.mark.parametrize(
    ("host", "is_ours", "message"),
    [(NAME, True, None), ("other.test", True, "certificate of other.test"), (NAME, False, f"certificate of {NAME}")],
)
def test_only_a_certificate_that_is_trusted_and_names_the_host_will_do(
    host: str, is_ours: bool, message: str | None
) -> None:
    server, _ = _contexts()
    near, far = socket.socketpair()
    secured: list[socket.socket] = []

    def serve() -> None:
        try:
            secured.append(server.wrap_socket(far, server_side=True))
        except OSError:
            far.close()

    serving = threading.Thread(target=serve)
    serving.start()
    try:
        if message is None:
            served(near, host, is_ours=is_ours)
        else:
            with pytest.raises(SessionConnectionError, match=message) as raised:
                served(near, host, is_ours=is_ours)
            assert raised.value.transient is False
    finally:
        serving.join(30)
        near.close()
        for end in (far, *secured):
            end.close()


def test_an_attempt_that_is_cancelled_ends_its_handshake() -> None:
    near, far = socket.socketpair()
    attempt = CancelToken()
    with near, far:
        timer = threading.Timer(0.02, attempt.cancel)
        timer.start()
        with pytest.raises(SessionDisconnectedError):
            secure(near, NAME, default_context(), Deadline(30), attempt)
        timer.join()


@pytest.mark.parametrize("data", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n"])
def test_a_peer_that_speaks_no_tls(data: bytes) -> None:
    near, far = socket.socketpair()
    with near, far:
        far.sendall(data)
        error = SessionConnectionError if data else SessionTimeoutError
        with pytest.raises(error, match=f"{NAME}.*TLS on this port" if data else f"no TLS handshake with {NAME}"):
            secure(near, NAME, default_context(), Deadline(20 if data else 0.01), CancelToken())


def test_what_fails_closes_the_socket_that_it_opened() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        taken: list[socket.socket] = []

        def refuse() -> None:
            conn, _ = server.accept()
            taken.append(conn)
            conn.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        refusing = threading.Thread(target=refuse)
        refusing.start()
        with pytest.raises(SessionConnectionError, match="does it speak TLS on this port") as raised:
            dial(urlsplit(f"wss://127.0.0.1:{port}/"), Deadline(20), CancelToken())
        assert raised.value.transient is False
        refusing.join(30)
        taken[0].close()
        # Plain, it is the caller's socket.
        accepting = threading.Thread(target=lambda: taken.append(server.accept()[0]))
        accepting.start()
        with dial(urlsplit(f"ws://127.0.0.1:{port}/"), Deadline(20), CancelToken()) as sock:
            assert sock.getpeername()[1] == port
        accepting.join(30)
        taken[1].close()
