"""Accepting connections: the listener that the engine, the fault proxy and the servers of tests share."""

from __future__ import annotations

import contextlib
import logging
import queue
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from sessionlib._util.timing import Deadline
from sessionlib.net.listener import TcpListener, ThreadedServer
from tests.support.servers import descriptor_limit
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
    while data := sock.recv(100):
        sock.sendall(data)


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=30)


def is_served(sock: socket.socket, data: bytes = b"x") -> bool:
    sock.sendall(data)
    return sock.recv(len(data)) == data


def is_served_anew(port: int) -> bool:
    with connect(port) as sock:
        return is_served(sock)


def is_turned_away(sock: socket.socket) -> bool:
    return sock.recv(1000).startswith(b"HTTP/1.1 503 ")


@pytest.fixture
def accepted() -> queue.Queue[socket.socket]:
    return queue.Queue()


@pytest.fixture
def listener(accepted: queue.Queue[socket.socket]) -> Iterator[TcpListener]:
    listener = TcpListener(accepted.put, name="test-accept").start()
    yield listener
    listener.stop()


def test_a_listener_hands_over_what_it_accepts(listener: TcpListener, accepted: queue.Queue[socket.socket]) -> None:
    with connect(listener.port) as near, accepted.get(timeout=30) as far:
        assert near.getsockname() == far.getpeername()
        assert "test-accept" in [thread.name for thread in threading.enumerate()]
        # What it has accepted outlives it.
        listener.stop()
        near.sendall(b"x")
        assert far.recv(1) == b"x"
    with pytest.raises(ConnectionRefusedError):
        connect(listener.port)


def test_a_listener_that_was_never_started_frees_its_port(listener: TcpListener) -> None:
    other = TcpListener(lambda sock: None)
    other.stop()
    TcpListener(lambda sock: None, other.port).stop()
    with pytest.raises(OSError, match="in use"):
        TcpListener(lambda sock: None, listener.port)


def test_a_listener_survives_a_lack_of_descriptors(
    listener: TcpListener, accepted: queue.Queue[socket.socket], caplog: pytest.LogCaptureFixture
) -> None:
    with socket.socket() as near:
        with caplog.at_level(logging.WARNING, "sessionlib.net.listener"), descriptor_limit(near.fileno() + 1):
            near.connect(("127.0.0.1", listener.port))
            assert eventually(lambda: "cannot accept" in caplog.text)
        accepted.get(timeout=30).close()


def test_each_connection_has_its_thread() -> None:
    with serving(echo) as server, contextlib.ExitStack() as stack:
        socks = [stack.enter_context(connect(server.port)) for _ in range(5)]
        assert all(is_served(sock, b"hello") for sock in reversed(socks))


def test_one_connection_too_many_is_turned_away() -> None:
    with serving(echo, connections=1) as server, connect(server.port) as first, connect(server.port) as second:
        assert is_served(first)
        assert is_turned_away(second)
        first.close()
        assert eventually(lambda: is_served_anew(server.port))


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
        assert is_served(busy)
        with connect(server.port) as early:
            assert is_turned_away(early)
        assert eventually(lambda: is_served_anew(server.port))
        assert is_turned_away(silent)
        assert silent.recv(1) == b""
        assert is_served(busy, b"y")


def test_some_descriptors_are_left_to_others(caplog: pytest.LogCaptureFixture) -> None:
    with serving(echo, connections=1000) as server, contextlib.ExitStack() as stack:
        with connect(server.port) as first:
            stack.enter_context(descriptor_limit(first.fileno() + 40))
        server._spare_descriptors = 20
        with caplog.at_level(logging.WARNING, "sessionlib.net.listener"):
            socks = [stack.enter_context(connect(server.port)) for _ in range(15)]
            assert is_turned_away(socks[-1])
        # One line, not one for each.
        assert caplog.text.count("a connection was refused") == 1


@pytest.mark.parametrize("error", [ConnectionResetError(), ValueError("a bug")])
def test_a_connection_that_fails_leaves_the_others_alone(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    def serve(sock: socket.socket) -> None:
        if sock.recv(1) == b"!":
            raise error

    with serving(serve) as server:
        for data in (b"!", b"x"):
            with connect(server.port) as sock:
                sock.sendall(data)
                assert sock.recv(1) == b""
    assert ("a bug" in caplog.text) is isinstance(error, ValueError)


def test_closing_ends_what_does_not_end_by_itself() -> None:
    with contextlib.ExitStack() as stack:
        with serving(echo) as server:
            sock = stack.enter_context(connect(server.port))
            assert is_served(sock)
        assert sock.recv(1) == b""
