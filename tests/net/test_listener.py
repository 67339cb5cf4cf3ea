"""Accepting connections: the listener that the engine, the fault proxy and the servers of tests share."""

from __future__ import annotations

import contextlib
import logging
import queue
import resource
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from sessionlib._util.timing import Deadline
from sessionlib.net.listener import TcpListener, ThreadedServer
from tests.support.waiting import eventually


@contextlib.contextmanager
def serving(serve: Callable[[socket.socket], None], connections: int = 10) -> Iterator[ThreadedServer]:
    server = ThreadedServer("127.0.0.1", 0, serve, connections)
    server.start()
    try:
        yield server
    finally:
        server.close(Deadline(0.0))


def echo(sock: socket.socket) -> None:
    """Sends back what comes."""
    while data := sock.recv(100):
        sock.sendall(data)


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=30)


def test_a_listener_hands_over_what_it_accepts() -> None:
    accepted: queue.Queue[socket.socket] = queue.Queue()
    listener = TcpListener(accepted.put, name="test-accept").start()
    try:
        with connect(listener.port) as near, accepted.get(timeout=30) as far:
            assert near.getsockname() == far.getpeername()
        assert "test-accept" in [thread.name for thread in threading.enumerate()]
    finally:
        listener.stop()
        listener.stop()
    with pytest.raises(ConnectionRefusedError):
        connect(listener.port)


def test_what_was_accepted_outlives_its_listener() -> None:
    accepted: queue.Queue[socket.socket] = queue.Queue()
    listener = TcpListener(accepted.put).start()
    with connect(listener.port) as near, accepted.get(timeout=30) as far:
        listener.stop()
        near.sendall(b"x")
        assert far.recv(1) == b"x"


def test_a_listener_that_was_never_started_frees_its_port() -> None:
    listener = TcpListener(lambda sock: None)
    listener.stop()
    TcpListener(lambda sock: None, listener.port).stop()


def test_a_port_that_is_taken() -> None:
    listener = TcpListener(lambda sock: None)
    with contextlib.closing(socket.socket()), pytest.raises(OSError, match="in use"):
        TcpListener(lambda sock: None, listener.port)
    listener.stop()


def test_a_listener_survives_a_lack_of_descriptors(caplog: pytest.LogCaptureFixture) -> None:
    accepted: queue.Queue[socket.socket] = queue.Queue()
    listener = TcpListener(accepted.put).start()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    near = socket.socket()
    try:
        with caplog.at_level(logging.WARNING, "sessionlib.net.listener"):
            resource.setrlimit(resource.RLIMIT_NOFILE, (near.fileno() + 1, hard))
            near.connect(("127.0.0.1", listener.port))
            assert eventually(lambda: "cannot accept" in caplog.text)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    accepted.get(timeout=30).close()
    near.close()
    listener.stop()


def test_each_connection_has_its_thread() -> None:
    with serving(echo) as server, contextlib.ExitStack() as stack:
        socks = [stack.enter_context(connect(server.port)) for _ in range(5)]
        for sock in reversed(socks):
            sock.sendall(b"hello")
            assert sock.recv(5) == b"hello"


def test_one_connection_too_many_is_turned_away() -> None:
    with serving(echo, connections=1) as server, connect(server.port) as first, connect(server.port) as second:
        first.sendall(b"x")
        assert first.recv(1) == b"x"
        assert second.recv(1000).startswith(b"HTTP/1.1 503 ")
        first.close()
        assert eventually(lambda: _echoes(server.port))


@pytest.mark.parametrize("size", [0, 1, 100_000])
def test_who_is_turned_away_gets_the_answer_whatever_was_sent_before(size: int) -> None:
    """A socket that is closed with unread input is reset, and the answer in it may be lost."""
    with serving(echo, connections=1) as server, connect(server.port):
        for _ in range(50):
            with connect(server.port) as sock:
                sock.sendall(b"x" * size)
                answer = b""
                while piece := sock.recv(1000):
                    answer += piece
                assert answer.startswith(b"HTTP/1.1 503 ")


def test_the_longest_silent_connection_makes_room_for_a_new_one() -> None:
    def serve(sock: socket.socket) -> None:
        while data := sock.recv(100):
            server.note_request()
            sock.sendall(data)

    with serving(serve, connections=2) as server, connect(server.port) as busy, connect(server.port) as silent:
        busy.sendall(b"x")
        assert busy.recv(1) == b"x"
        with connect(server.port) as early:
            assert early.recv(1000).startswith(b"HTTP/1.1 503 ")
        assert eventually(lambda: _echoes(server.port))
        assert silent.recv(1000).startswith(b"HTTP/1.1 503 ")
        assert silent.recv(1) == b""
        busy.sendall(b"y")
        assert busy.recv(1) == b"y"


def test_some_descriptors_are_left_to_others(caplog: pytest.LogCaptureFixture) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with serving(echo, connections=1000) as server, contextlib.ExitStack() as stack:
        with connect(server.port) as first:
            resource.setrlimit(resource.RLIMIT_NOFILE, (first.fileno() + 40, hard))
        stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        server._spare_descriptors = 20
        with caplog.at_level(logging.WARNING, "sessionlib.net.listener"):
            socks = [stack.enter_context(connect(server.port)) for _ in range(15)]
            assert socks[-1].recv(1000).startswith(b"HTTP/1.1 503 ")
        # One line, not one for each.
        assert caplog.text.count("a connection was refused") == 1


def _echoes(port: int) -> bool:
    with connect(port) as sock:
        sock.sendall(b"x")
        return sock.recv(1) == b"x"


@pytest.mark.parametrize("error", [ConnectionResetError(), ValueError("a bug")])
def test_a_connection_that_fails_leaves_the_others_alone(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    def serve(sock: socket.socket) -> None:
        if sock.recv(1) == b"!":
            raise error

    with serving(serve) as server:
        with connect(server.port) as sock:
            sock.sendall(b"!")
            assert sock.recv(1) == b""
        with connect(server.port) as sock:
            sock.sendall(b"x")
            assert sock.recv(1) == b""
    assert ("a bug" in caplog.text) is isinstance(error, ValueError)


def test_closing_ends_what_does_not_end_by_itself() -> None:
    with serving(echo) as server:
        sock = connect(server.port)
        sock.sendall(b"x")
        assert sock.recv(1) == b"x"
    assert sock.recv(1) == b""
    sock.close()
