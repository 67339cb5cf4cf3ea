"""RFC 6455, case by case, against the client; `python -m tests.transport.test_conformance` compares it with others.

CONFORMANCE.md keeps that table.
"""

from __future__ import annotations

import contextlib
import itertools
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sessionlib.errors import SessionDisconnectedError, SessionProtocolError
from sessionlib.protocol.parser import parse_frame
from sessionlib.transport.stream import wrap
from sessionlib.transport.websocket import WebSocketTransport
from tests.support.rfc6455 import AFTER, BEFORE, GROUPS, NOT_JSON, NOT_TEXT, Case, cases
from tests.support.ws_bytes import CLOSE, PONG, ClientReader

LIMIT = 8 << 20
CASES = cases(from_client=False)

Outcome = tuple[list[bytes], int]
"""Texts and the payloads of pongs, in any order, and the code of the end."""


@contextlib.contextmanager
def server(sent: list[bytes]) -> Iterator[tuple[socket.socket, list[bytes]]]:
    """Yields the client's end of a connection on which a server sends that, and the pongs that came back by the end."""
    near, far = socket.socketpair()
    pongs: list[bytes] = []
    is_over = threading.Event()

    def write() -> None:
        with contextlib.suppress(OSError):  # the client has failed the connection, as it should
            for data in sent:
                far.sendall(data)
            # It is the client's turn to close; one that waits for more finds soon that nothing comes.
            is_over.wait(0.5)
            far.shutdown(socket.SHUT_WR)

    def read() -> None:
        reader = ClientReader()
        with contextlib.suppress(OSError):
            while data := far.recv(1 << 16):
                for message in reader.feed(data):
                    if message.opcode == PONG:
                        pongs.append(message.payload)
                    elif message.opcode == CLOSE:
                        is_over.set()
        is_over.set()

    threads = [threading.Thread(target=target, daemon=True) for target in (write, read)]
    for thread in threads:
        thread.start()
    try:
        yield near, pongs
    finally:
        with contextlib.suppress(OSError):
            near.shutdown(socket.SHUT_RDWR)
        near.close()
        for thread in threads:
            thread.join(30)
        far.close()


def content(payload: bytes) -> bytes:
    """Returns what a case has put into a text."""
    inner = payload[len(BEFORE) : -len(AFTER)]
    is_json = payload == BEFORE + inner + AFTER and not b"" < inner < b" "
    return inner if is_json else NOT_JSON


def by_sessionlib(sent: list[bytes]) -> Outcome:
    texts: list[bytes] = []
    with server(sent) as (near, pongs):
        transport = WebSocketTransport(wrap(near), LIMIT)
        try:
            while True:
                for payload in transport.recv():
                    try:
                        parse_frame(payload)
                    except SessionProtocolError as error:
                        if error.close_code == 1007:
                            raise
                    texts.append(content(bytes(payload)))
        except SessionProtocolError as error:
            code = error.close_code
        except SessionDisconnectedError as error:
            code = 1005 if error.code is None else error.code
        finally:
            transport.release()
    return texts + pongs, code


def by_websockets(sent: list[bytes]) -> Outcome:
    from websockets.exceptions import ConnectionClosed
    from websockets.protocol import OPEN, Protocol, Side
    from websockets.sync.connection import Connection

    texts: list[bytes] = []
    with server(sent) as (near, pongs):
        protocol = Protocol(Side.CLIENT, state=OPEN, max_size=LIMIT)
        with Connection(near, protocol, close_timeout=2) as connection:
            try:
                while True:
                    texts.append(content(connection.recv().encode()))
            except ConnectionClosed as error:
                code = error.sent.code if error.sent else 1005
    return texts + pongs, code


def by_websocket_client(sent: list[bytes]) -> Outcome:
    import websocket

    texts: list[bytes] = []
    with server(sent) as (near, pongs):
        near.settimeout(5)
        connection = websocket.WebSocket()
        connection.sock, connection.connected = near, True
        try:
            while True:
                opcode, frame = connection.recv_data_frame()
                if opcode == CLOSE:
                    code = int.from_bytes(frame.data[:2], "big") if frame.data else 1005
                    break
                texts.append(content(frame.data))
        except websocket.WebSocketPayloadException:
            code = 1007
        except (websocket.WebSocketException, OSError):
            code = 1002
    return texts + pongs, code


CLIENTS: dict[str, Callable[[list[bytes]], Outcome]] = {
    "sessionlib": by_sessionlib,
    "websockets": by_websockets,
    "websocket-client": by_websocket_client,
}


def passes(wanted: Case, outcome: Outcome) -> bool:
    told, code = outcome
    # Texts whose end never comes: a client that looks at whole ones finds that the connection is lost.
    codes = wanted.codes | {1005, 1006} if wanted.id.startswith("6.4.") else wanted.codes
    return sorted(told) == sorted(wanted.told) and code in codes


@pytest.mark.parametrize("wanted", CASES, ids=lambda wanted: wanted.id)
def test_a_case(wanted: Case) -> None:
    outcome = by_sessionlib(wanted.sent)
    assert passes(wanted, outcome), (wanted, outcome)


def main() -> None:
    rows = ["# RFC 6455, case by case", "", "Cases for text that pass (`python -m tests.transport.test_conformance`)."]
    rows += ["That a text is no UTF-8 may also show only once it is whole: the RFC leaves that open.", ""]
    rows += [f"| group | {' | '.join(CLIENTS)} | of |", "|" + " --- |" * (len(CLIENTS) + 2)]
    total = [0] * (len(CLIENTS) + 1)
    ordered = iter(CASES)
    for group in GROUPS:
        of_group = [one for one in itertools.islice(ordered, len(list(group()))) if one.codes != NOT_TEXT]
        numbers = [sum(passes(one, client(one.sent)) for one in of_group) for client in CLIENTS.values()]
        total = [before + more for before, more in zip(total, [*numbers, len(of_group)], strict=True)]
        rows.append(f"| {group.__name__.replace('_', ' ')} | {' | '.join(map(str, numbers))} | {len(of_group)} |")
        print(rows[-1], flush=True)
    rows += [f"| all | {' | '.join(map(str, total))} |", ""]
    Path(__file__).with_name("CONFORMANCE.md").write_text("\n".join(rows), "utf-8")


if __name__ == "__main__":
    main()
