"""Servers of other makes in processes of their own, fetching pages from them, and one that is too busy."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import socket
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.support.processes import ROOT


@contextlib.contextmanager
def descriptor_limit(number: int) -> Iterator[None]:
    """Has this process get descriptors below a number for the length of a block."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (number, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@contextlib.contextmanager
def held_port() -> Iterator[int]:
    """Holds a port on which nobody listens: servers that ask for its number get it, one after another.

    Without that, tests in other processes get it as soon as nobody has it.
    """
    with socket.socket() as held:
        # So bound, and not listening, it is in the way of none that is so bound as well, and the system gives its port
        # to nobody who asks for any.
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


@contextlib.contextmanager
def full_backlog(host: str, port: int = 0) -> Iterator[int]:
    """Listens with a queue that is full, so that whoever connects gets no answer."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(socket.create_server((host, port), backlog=0))
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(server.getsockname())
        yield server.getsockname()[1]


@contextlib.contextmanager
def running(command: list[str], directory: Path, environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """Runs a server, told to end by SIGTERM, in a group of its own; its output goes to a file."""
    with (
        (directory / "output.txt").open("wb") as output,
        subprocess.Popen(
            command,
            cwd=directory,
            env={**environment, "PYTHONPATH": f"{ROOT}{os.pathsep}{directory}"},
            stdout=output,
            stderr=output,
            start_new_session=True,
        ) as process,
    ):
        try:
            yield process
            process.send_signal(signal.SIGTERM)
            process.wait(60)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def get(url: str, form: Mapping[str, str] | None = None) -> str:
    """Fetches a page, or posts a form to it; the text of its failure if it fails."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    sent = None if form is None else urllib.parse.urlencode(form).encode()
    try:
        with opener.open(url, sent, timeout=30) as response:
            return str(response.read().decode())
    except urllib.error.HTTPError as error:
        with error:
            return f"{error.code}: {error.read().decode()[-2000:]}"
