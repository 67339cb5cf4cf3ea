"""Each toxic on its own, in front of a server that echoes."""

from __future__ import annotations

import math
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import pytest

from sessionlib.net.listener import TcpListener
from sessionlib.testing import FaultProxy
from tests.support.leaks import no_leaks
from tests.support.script_engine import ScriptEngine
from tests.support.servers import held_port
from tests.support.threads import in_threads
from tests.support.waiting import eventually

MESSAGE = bytes(range(256))


class Echo:
    """Sends back what it gets, and a FIN for a FIN; keeps what became of each connection."""

    def __init__(self) -> None:
        self.received = bytearray()
        self.errors: list[OSError] = []
        self._threads: list[threading.Thread] = []
        self._listener = TcpListener(self._adopt, 0, name="echo-accept").start()
        self.port = self._listener.port

    def _adopt(self, sock: socket.socket) -> None:
        thread = threading.Thread(target=self._serve, args=(sock,), name="echo")
        self._threads.append(thread)
        thread.start()

    def _serve(self, sock: socket.socket) -> None:
        with sock:
            try:
                while data := sock.recv(1 << 16):
                    self.received += data
                    sock.sendall(data)
            except OSError as error:
                self.errors.append(error)

    def stop(self) -> None:
        self._listener.stop()
        for thread in self._threads:
            thread.join()


@pytest.fixture
def echo() -> Iterator[Echo]:
    server = Echo()
    yield server
    server.stop()


@pytest.fixture
def proxy(echo: Echo, seed: int) -> Iterator[FaultProxy]:
    with FaultProxy("127.0.0.1", echo.port, seed=seed) as proxy:
        yield proxy


def through(proxy: FaultProxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=30)


@contextmanager
def taking(least: float, most: float = math.inf) -> Iterator[None]:
    began = time.monotonic()
    yield
    assert least <= time.monotonic() - began < most


def read(sock: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size and (more := sock.recv(size - len(data))):
        data += more
    return data


def connect_and_read(proxy: FaultProxy) -> bytes:
    # In one, because a reset that comes at once shows in the connect already.
    with through(proxy) as sock:
        return sock.recv(1)


def read_to_end(sock: socket.socket) -> bytes:
    return b"".join(iter(lambda: sock.recv(1 << 16), b""))


class TestPlain:
    def test_everything_passes_and_is_counted(self, proxy: FaultProxy) -> None:
        with through(proxy) as sock:
            sock.sendall(MESSAGE)
            sock.shutdown(socket.SHUT_WR)
            assert read_to_end(sock) == MESSAGE
            assert (proxy.bytes_up, proxy.bytes_down) == (256, 256)
            assert (proxy.links[0].up, proxy.links[0].down) == (256, 256)
        assert proxy.links[0].over.wait(30)

    def test_a_large_transfer(self, proxy: FaultProxy) -> None:
        data = MESSAGE * 10_000
        with through(proxy) as sock, in_threads(lambda: sock.sendall(data)):
            assert read(sock, len(data)) == data

    def test_an_end_of_the_engine_reaches_the_client(self) -> None:
        with ScriptEngine() as engine, FaultProxy("127.0.0.1", engine.port) as proxy, through(proxy) as sock:
            assert proxy.ws_url == f"ws://127.0.0.1:{proxy.port}/v1"
            assert proxy.base_url == f"http://127.0.0.1:{proxy.port}/v1"
            sock.sendall(b"x")
            assert eventually(engine._all_connections)
            engine.latest.reset()
            with pytest.raises(ConnectionResetError):
                sock.recv(1)

    def test_no_engine_is_a_reset(self) -> None:
        with held_port() as port, FaultProxy("127.0.0.1", port) as proxy, pytest.raises(ConnectionResetError):
            connect_and_read(proxy)

    def test_exit_joins_everything(self, echo: Echo) -> None:
        with no_leaks():
            with FaultProxy("127.0.0.1", echo.port) as proxy, through(proxy) as sock:
                sock.sendall(MESSAGE)
                proxy.blackhole()
                proxy.downstream.latency(60_000)
            assert eventually(lambda: not any(thread.is_alive() for thread in echo._threads))

    def test_the_seed_is_told_when_the_block_fails(self, echo: Echo, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(LookupError), FaultProxy("127.0.0.1", echo.port, seed=4711):
            raise LookupError
        assert "FaultProxy(seed=4711)" in capsys.readouterr().err


class TestPace:
    def test_latency_delays_one_direction_only(self, proxy: FaultProxy, echo: Echo) -> None:
        proxy.downstream.latency(60_000)
        with through(proxy) as sock:
            sock.sendall(b"x")
            assert eventually(lambda: echo.received)  # and not in a minute
        proxy.downstream.latency(200)
        with through(proxy) as sock, taking(0.2):
            sock.sendall(b"x")
            assert sock.recv(1) == b"x"

    def test_latency_delays_and_does_not_pace(self, proxy: FaultProxy) -> None:
        proxy.upstream.latency(400)
        with through(proxy) as sock, taking(0.4, 15.0):  # one after the other they would take 20 s
            for _ in range(50):
                sock.sendall(b"x")
                time.sleep(0.005)
            assert read(sock, 50) == b"x" * 50

    def test_jitter_keeps_the_order(self, proxy: FaultProxy) -> None:
        proxy.upstream.latency(10, jitter=10)
        with through(proxy) as sock:
            for byte in MESSAGE[:50]:
                sock.sendall(bytes([byte]))
                time.sleep(0.001)
            assert read(sock, 50) == MESSAGE[:50]

    def test_bandwidth(self, proxy: FaultProxy) -> None:
        proxy.upstream.bandwidth(10_000)
        with through(proxy) as sock, taking(0.6, 20.0):
            sock.sendall(bytes(8000))
            assert len(read(sock, 8000)) == 8000

    def test_slicer(self, proxy: FaultProxy) -> None:
        proxy.downstream.slicer(100, 0.02)
        with through(proxy) as sock, taking(0.04):
            sock.sendall(MESSAGE)
            assert read(sock, 256) == MESSAGE

    def test_slow_close(self, proxy: FaultProxy) -> None:
        proxy.downstream.slow_close(150)
        with through(proxy) as sock, taking(0.15):
            sock.shutdown(socket.SHUT_WR)
            assert sock.recv(1) == b""

    def test_a_blackhole_holds_everything_until_it_is_cleared(self, proxy: FaultProxy, echo: Echo) -> None:
        with through(proxy) as sock:
            sock.sendall(b"before")
            assert read(sock, 6) == b"before"
            proxy.blackhole()
            sock.sendall(b"held")
            sock.shutdown(socket.SHUT_WR)
            sock.settimeout(0.1)
            with pytest.raises(TimeoutError):
                sock.recv(1)
            assert bytes(echo.received) == b"before"
            proxy.clear()
            sock.settimeout(30)
            assert read_to_end(sock) == b"held"

    def test_a_blackhole_in_the_answers_only(self, proxy: FaultProxy, echo: Echo) -> None:
        proxy.downstream.blackhole()
        with through(proxy) as sock:
            sock.sendall(b"x")
            assert eventually(lambda: bytes(echo.received) == b"x")
            assert proxy.bytes_down == 0


class TestCuts:
    @pytest.mark.parametrize("count", [0, 1, 100, 255])
    @pytest.mark.parametrize("how", ["FIN", "RST"])
    def test_a_cut_of_the_answer(self, proxy: FaultProxy, count: int, how: str) -> None:
        proxy.downstream.limit_data(count, how)  # type: ignore[arg-type]
        got = b""
        try:
            with through(proxy) as sock:  # which may meet the reset already
                sock.sendall(MESSAGE)
                while data := sock.recv(1000):
                    got += data
            ended = "FIN"
        except ConnectionError:
            ended = "RST"
        assert (got, ended) == (MESSAGE[:count], how)

    @pytest.mark.parametrize("how", ["FIN", "RST"])
    def test_a_cut_of_the_request_reaches_the_engine(self, proxy: FaultProxy, echo: Echo, how: str) -> None:
        proxy.upstream.limit_data(100, how)  # type: ignore[arg-type]
        with through(proxy) as sock:
            sock.sendall(MESSAGE)
            assert proxy.wait_connection().over.wait(30)
        # A link can be over before the engine has accepted it.
        assert eventually(lambda: len(echo.received) >= 100)
        echo.stop()
        assert bytes(echo.received) == MESSAGE[:100]
        assert bool(echo.errors) == (how == "RST")

    def test_a_fin_ends_soon_though_the_client_does_not_care(self, proxy: FaultProxy) -> None:
        proxy.downstream.limit_data(1, "FIN")
        with through(proxy) as sock:
            sock.sendall(MESSAGE)
            assert read_to_end(sock) == MESSAGE[:1]
            sock.sendall(MESSAGE)
            assert proxy.links[0].over.wait(30)

    def test_only_so_many_links_are_cut(self, proxy: FaultProxy) -> None:
        proxy.downstream.limit_data(10, "FIN", times=1)
        with through(proxy) as sock:
            sock.sendall(MESSAGE)
            assert read_to_end(sock) == MESSAGE[:10]
        with through(proxy) as sock:
            sock.sendall(MESSAGE)
            assert read(sock, 256) == MESSAGE
            proxy.downstream.limit_data(300, "FIN", times=1)
            sock.sendall(MESSAGE)
            assert read_to_end(sock) == MESSAGE[:44]

    def test_reset_and_cut_end_every_link(self, proxy: FaultProxy) -> None:
        with through(proxy) as first, through(proxy) as second:
            proxy.wait_connection(2)
            proxy.reset()
            for sock in (first, second):
                with pytest.raises(ConnectionResetError):
                    sock.recv(1)
        with through(proxy) as sock:
            proxy.wait_connection(3)
            proxy.cut()
            assert sock.recv(1) == b""

    def test_down_and_up(self, proxy: FaultProxy) -> None:
        port = proxy.port
        with through(proxy) as sock:
            proxy.wait_connection()
            proxy.down()
            with pytest.raises(ConnectionResetError):
                sock.recv(1)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))
        proxy.up()
        assert proxy.port == port
        with through(proxy) as sock:
            sock.sendall(b"back")
            assert read(sock, 4) == b"back"


class TestBytes:
    def test_corrupt(self, proxy: FaultProxy) -> None:
        proxy.upstream.corrupt(2)
        proxy.upstream.corrupt(5, xor=1)
        with through(proxy) as sock:
            for piece in (b"\x00\x00", b"\x00\x00", b"\x00\x00\x00"):
                sock.sendall(piece)
                time.sleep(0.01)
            assert read(sock, 7) == b"\x00\x00\xff\x00\x00\x01\x00"

    def test_dup(self, proxy: FaultProxy) -> None:
        proxy.downstream.dup(1, size=2)
        proxy.downstream.dup(4)
        with through(proxy) as sock:
            sock.sendall(b"abcdef")
            assert read(sock, 10) == b"abcbcdefef"

    def test_dup_of_a_whole_chunk(self, proxy: FaultProxy) -> None:
        proxy.upstream.dup()
        with through(proxy) as sock:
            sock.sendall(b"abc")
            assert read(sock, 6) == b"abcabc"


class TestShuffle:
    def test_a_seed_draws_the_same_moods(self) -> None:
        def moods(seed: int) -> list[str]:
            proxy = FaultProxy("127.0.0.1", 1, seed=seed)
            return [f"{proxy.shuffle()} {proxy.upstream} {proxy.downstream}" for _ in range(30)]

        assert moods(3) == moods(3)
        assert moods(3) != moods(4)

    def test_no_byte_is_changed(self, proxy: FaultProxy) -> None:
        sent = bytearray()
        for _ in range(20):
            proxy.shuffle()
            got = b""
            try:
                with through(proxy) as sock:  # which may meet a reset already, as the sending may
                    sock.settimeout(0.05)
                    sock.sendall(MESSAGE)
                    got = read(sock, 256)
            except (ConnectionResetError, BrokenPipeError, TimeoutError):
                pass
            sent += got
            assert MESSAGE.startswith(got)
        proxy.clear()


def test_links_that_are_over_hold_no_descriptors(proxy: FaultProxy) -> None:
    def descriptors() -> int:
        return psutil.Process().num_fds()

    with through(proxy) as sock:
        sock.sendall(MESSAGE)
        assert read(sock, len(MESSAGE)) == MESSAGE
    before = descriptors()
    for number in range(2, 32):
        with through(proxy) as sock:
            sock.sendall(MESSAGE)
            assert read(sock, len(MESSAGE)) == MESSAGE
            if number % 2:
                proxy.links[-1].end("RST")
    assert eventually(lambda: all(link.over.is_set() for link in proxy.links))
    assert eventually(lambda: descriptors() <= before)


def test_the_former_names_of_connections_remain(proxy: FaultProxy) -> None:
    assert proxy.links == proxy.connections == []
    assert FaultProxy.wait_link is FaultProxy.wait_connection
