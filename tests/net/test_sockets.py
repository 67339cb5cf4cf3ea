"""Waiting for sockets, with real ones."""

from __future__ import annotations

import resource
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from sessionlib._util.timing import Deadline
from sessionlib.net.sockets import Waker, wait_any, wait_readable, wait_writable
from tests.support.servers import descriptor_limit
from tests.support.threads import in_threads

FOREVER = [None, float("inf"), 30 * 86400.0, 1e9]

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    near, far = socket.socketpair()
    with near, far:
        near.setblocking(False)
        yield near, far


def fill(sock: socket.socket) -> None:
    while True:
        try:
            sock.send(bytes(65536))
        except BlockingIOError:
            return


@pytest.mark.parametrize("timeout", FOREVER)
def test_a_socket_that_is_ready_is_not_waited_for(pair: Pair, timeout: float | None) -> None:
    near, far = pair
    far.send(b"x")
    assert wait_readable(near, Deadline(timeout))
    assert wait_writable(near, Deadline(timeout))
    assert wait_any(Deadline(timeout), readable=[near], writable=[far]) == [near, far]


@pytest.mark.parametrize("timeout", FOREVER)
def test_a_socket_becomes_ready_while_it_is_waited_for(pair: Pair, timeout: float | None) -> None:
    near, far = pair
    timer = threading.Timer(0.05, lambda: far.send(b"x"))
    timer.start()
    assert wait_readable(near, Deadline(timeout))
    timer.join()


@pytest.mark.parametrize("timeout", [-1.0, 0.0, 0.0001, 0.05])
def test_the_deadline_comes_first(pair: Pair, timeout: float) -> None:
    near, _ = pair
    fill(near)
    for wait in (wait_readable, wait_writable):
        deadline = Deadline(timeout)
        assert not wait(near, deadline)
        assert deadline.expired
    assert wait_any(Deadline(timeout), readable=[near]) == []


def test_a_peer_that_has_ended_can_be_read() -> None:
    near, far = socket.socketpair()
    with near:
        far.close()
        assert wait_readable(near, Deadline(None))
        assert wait_writable(near, Deadline(None))


def test_a_closed_socket_is_not_waited_for(pair: Pair) -> None:
    near, far = pair
    far.close()
    assert wait_readable(far, Deadline(None))
    assert wait_any(Deadline(None), readable=[near, far]) == [far]


def test_descriptors_of_any_number(pair: Pair) -> None:
    import fcntl

    near, far = pair
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    number = min(hard, 5000) - 1
    assert number > 1024, "select would do"
    with (
        descriptor_limit(max(soft, number + 1)),
        socket.socket(fileno=fcntl.fcntl(near.fileno(), fcntl.F_DUPFD, number)) as high,
    ):
        far.send(b"x")
        assert wait_readable(high, Deadline(1.0))


@pytest.fixture
def waker() -> Iterator[Waker]:
    waker = Waker()
    yield waker
    waker.close()


def test_a_waker_ends_a_wait(pair: Pair, waker: Waker) -> None:
    near, _ = pair
    fill(near)
    threading.Timer(0.05, waker.set).start()
    assert not wait_readable(near, Deadline(None), waker)
    assert not wait_writable(near, Deadline(None), waker)
    assert waker.is_set()


def test_a_waker_stays_set(waker: Waker) -> None:
    assert not waker.wait(0.0)
    for _ in range(3):
        waker.set()
    assert all(waker.wait() for _ in range(3))


def test_a_waker_ends_the_waits_of_all_threads(waker: Waker) -> None:
    with in_threads(*[waker.wait] * 4) as ended:
        time.sleep(0.02)
        waker.set()
    assert ended == [True] * 4


def test_a_waker_that_is_closed_is_set(pair: Pair) -> None:
    waker = Waker()
    waker.close()
    waker.set()
    assert waker.is_set()
    assert not wait_readable(pair[0], Deadline(None), waker)
