"""The engine as a program: `serve` runs until it is told to stop."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import FrameType

from sessionlib.config import is_loopback
from sessionlib.engine.engine import LocalEngine
from sessionlib.engine.keyfile import keep_key

__all__ = ["serve"]


def serve(
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    db: str | None = None,
    model: str = "demo",
    tools: str | None = None,
    allow_remote: bool = False,
    allowed_hosts: Iterable[str] = (),
    allowed_origins: Iterable[str] = (),
    key_file: Path | None = None,
    prepare: Callable[[LocalEngine], object] | None = None,
    announce: Callable[[str], None] = print,
) -> None:
    """Serves an engine until SIGINT or SIGTERM; call it on the main thread.

    The key is ``SESSIONLIB_API_KEY``; without one it is made once, shown on the terminal, and kept in a
    file that only its owner can read.

    Args:
        host: Address to listen on.
        port: Port to listen on; 0 takes a free one.
        db: The database file; None keeps everything in memory.
        model: The model's name.
        tools: A Python file; its ``@tool`` functions become the tools, and run in processes of their own.
        allow_remote: Lets ``host`` be an address that other machines reach; needs ``SESSIONLIB_API_KEY``.
        allowed_hosts: Further names in the Host header to answer to.
        allowed_origins: Web pages that may connect; none by default.
        key_file: Where the key is kept; in the user's configuration directory when not given.
        prepare: Gets the engine before it is announced, to make an agent for example.
        announce: Told where the engine is, when it is ready.

    Raises:
        ValueError: ``host`` is not this machine's without key and flag.
        EngineError: The model, the tools, the key or the database cannot be had.
        OSError: The address cannot be listened on.
    """
    api_key = os.environ.get("SESSIONLIB_API_KEY") or (_kept_key(key_file, announce) if is_loopback(host) else None)
    engine = LocalEngine(
        tools=tools or (),
        model=model,
        path=db,
        host=host,
        port=port,
        api_key=api_key,
        allow_remote=allow_remote,
        allowed_hosts=allowed_hosts,
        allowed_origins=allowed_origins,
    )
    with _stop_signals() as stopped, engine:
        if prepare is not None:
            prepare(engine)
        announce(f"sessionlib engine on {engine.base_url} (model {model}, {db or 'in memory'}); Ctrl-C stops it")
        # Not for ever: a signal that another thread takes does not wake this one, but its handler runs here.
        while not stopped.wait(0.2):
            pass


def _kept_key(path: Path | None, announce: Callable[[str], None]) -> str:
    kept = keep_key(path)
    if kept.new and sys.stderr.isatty():
        # To the terminal itself: standard output may well be a log.
        sys.stderr.write(f"API key (shown only now): {kept.key}\n")
    announce(f"The API key is in {kept.path}; clients take it from SESSIONLIB_API_KEY.")
    return kept.key


@contextlib.contextmanager
def _stop_signals() -> Iterator[threading.Event]:
    stopped = threading.Event()

    def stop(_number: int, _frame: FrameType | None) -> None:
        stopped.set()

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
