"""Two ends of one connection, over TCP, over TLS, and over TLS within TLS; certificates."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from functools import cache
from pathlib import Path

import trustme

from sessionlib._util.timing import Deadline
from sessionlib.net.connect import CancelToken, shut
from sessionlib.transport.dial import secure
from sessionlib.transport.stream import NestedTls

KINDS = ("tcp", "tls", "nested")
NAME = "engine.test"


@cache
def _contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    authority = trustme.CA()
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.issue_cert(NAME).configure_cert(server)
    authority.configure_trust(client)
    return server, client


@contextlib.contextmanager
def connected(kind: str) -> Iterator[tuple[socket.socket | NestedTls, socket.socket]]:
    """Connects a client's end to one that blocks, whatever is between them."""
    near, far = socket.socketpair()
    with contextlib.ExitStack() as stack:
        ends: tuple[socket.socket | NestedTls, socket.socket] = (near, far)
        if kind != "tcp":
            outer = _secured(near, far)
            ends = outer
            if kind == "nested":
                inside, outside = socket.socketpair()
                # Closed once the relay has ended, which the near end's close brings about: it would go on to read from
                # whichever socket got the number of a descriptor that was closed under it.
                stack.enter_context(outside)
                stack.enter_context(outer[1])
                passing = threading.Thread(target=relay, args=(outer[1], outside, threading.Event(), bytearray()))
                passing.start()
                stack.callback(passing.join)
                ends = _secured(outer[0], inside)
        stack.enter_context(contextlib.closing(ends[1]))
        stack.enter_context(contextlib.closing(ends[0]))
        yield ends


def _secured(near: socket.socket, far: socket.socket) -> tuple[ssl.SSLSocket | NestedTls, ssl.SSLSocket]:
    server, client = _contexts()
    ends: list[ssl.SSLSocket] = []
    thread = threading.Thread(target=lambda: ends.append(server.wrap_socket(far, server_side=True)))
    thread.start()
    secured = secure(near, NAME, client, Deadline(20), CancelToken())
    thread.join()
    return secured, ends[0]


def relay(one: socket.socket, other: socket.socket, over: threading.Event, seen: bytearray) -> None:
    """Passes bytes on both ways until an end closes or it is over; what comes from the first is kept."""
    # One thread, because an SSLSocket is not for two.
    with contextlib.suppress(OSError):
        while not over.is_set():
            for source, target in ((one, other), (other, one)):
                source.settimeout(0.002)
                try:
                    data = source.recv(65536)
                except (TimeoutError, ssl.SSLWantReadError):
                    continue
                if not data:
                    shut(one)
                    shut(other)
                    return
                if source is one:
                    seen += data
                target.settimeout(20)
                target.sendall(data)


def write_certificate(path: Path, *names: str, days: float = 2) -> Path:
    """Writes the key and the certificate of a server to one file, with the authority that vouches for it.

    Args:
        path: The file, which serves as the server's chain and as its clients' bundle.
        *names: The names and addresses that it is for.
        days: How long it is valid.
    """
    authority = trustme.CA()
    end = datetime.now(timezone.utc) + timedelta(days=days)
    issued = authority.issue_cert(*names, common_name=names[0], not_after=end)
    path.write_bytes(issued.private_key_and_cert_chain_pem.bytes() + authority.cert_pem.bytes())
    return path
