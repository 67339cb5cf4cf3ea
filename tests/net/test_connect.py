"""From addresses to a connected socket: dead ones cost little, and cancelling works at any moment."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from sessionlib._util.timing import Deadline
from sessionlib.errors import SessionDisconnectedError
from sessionlib.net.connect import Address, CancelToken, _interleaved, connect, resolve
from tests.support.servers import full_backlog
from tests.support.waiting import within


def address(host: str, port: int) -> Address:
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]


@pytest.fixture
def port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@contextlib.contextmanager
def mute(port: int, count: int) -> Iterator[list[Address]]:
    """Addresses that do not answer: their queues are full."""
    with contextlib.ExitStack() as stack:
        hosts = [f"127.0.0.{number}" for number in range(11, 11 + count)]
        yield [address(host, stack.enter_context(full_backlog(host, port))) for host in hosts]


@pytest.mark.parametrize("dead", [1, 2, 3])
@pytest.mark.parametrize("timeout", [None, 10.0, 30 * 86400.0])
def test_an_address_that_does_not_answer_costs_a_quarter_of_a_second(
    port: int, dead: int, timeout: float | None
) -> None:
    with mute(port, dead) as addresses:
        began = time.monotonic()
        addresses.append(address("127.0.0.1", port))
        with within(0.25 * dead), connect(addresses, Deadline(timeout), CancelToken()) as sock:
            assert sock.getpeername() == ("127.0.0.1", port)
        assert time.monotonic() - began >= 0.25 * dead


def test_an_address_that_refuses_costs_nothing(port: int) -> None:
    addresses = [address(f"127.0.0.{number}", port) for number in (21, 22, 23, 1)]
    with within(0.0), connect(addresses, Deadline(10.0), CancelToken()) as sock:
        assert sock.getpeername() == ("127.0.0.1", port)


def test_the_error_is_that_of_the_last_address(port: int) -> None:
    with pytest.raises(ConnectionRefusedError):
        connect([address("127.0.0.21", port), address("127.0.0.22", port)], Deadline(10.0), CancelToken())
    with pytest.raises(socket.gaierror):
        connect([], Deadline(10.0), CancelToken())


@pytest.mark.parametrize("dead", [1, 3])
def test_addresses_that_do_not_answer_take_no_longer_than_they_may(port: int, dead: int) -> None:
    with mute(port, dead) as addresses:
        began = time.monotonic()
        with within(0.4), pytest.raises(TimeoutError):
            connect(addresses, Deadline(0.4), CancelToken())
        assert time.monotonic() - began >= 0.4


@pytest.mark.parametrize("after", [0.0, 0.05, 0.4])
def test_any_number_of_addresses_can_be_cancelled(port: int, after: float) -> None:
    attempt = CancelToken()
    with mute(port, 2) as addresses:
        timer = threading.Timer(after, attempt.cancel)
        timer.start()
        with within(after), pytest.raises(SessionDisconnectedError):
            connect(addresses, Deadline(30.0), attempt)
        timer.join()


def test_options_are_set_before_the_connection_is_made(port: int) -> None:
    options = [(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)]
    with connect([address("127.0.0.1", port)], Deadline(5.0), CancelToken(), options) as sock:
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert 0 < (sock.gettimeout() or 0) <= 5.0


def test_families_take_turns() -> None:
    six = [(socket.AF_INET6, 1, 6, "", (f"2001:db8::{number}", 1, 0, 0)) for number in range(3)]
    four = [(socket.AF_INET, 1, 6, "", (f"192.0.2.{number}", 1)) for number in range(2)]
    assert _interleaved([*six, *four]) == [six[0], four[0], six[1], four[1], six[2]]
    assert _interleaved([*four, *six]) == [four[0], six[0], four[1], six[1], six[2]]
    assert _interleaved([]) == []


def test_a_name_has_addresses() -> None:
    assert resolve("localhost", 1, Deadline(5.0), CancelToken())
