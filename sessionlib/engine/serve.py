"""The engine as a program: `serve` runs until it is stopped."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from sessionlib.config import check_key, is_loopback
from sessionlib.engine.engine import LocalEngine
from sessionlib.engine.errors import EngineError
from sessionlib.engine.limits import Limits

__all__ = ["KeptKey", "keep_key", "key_path", "serve"]


@dataclass(frozen=True)
class KeptKey:
    """A key in a file.

    Attributes:
        key: The key; never in a repr.
        path: The file.
        new: Whether it was made just now.
    """

    key: str = field(repr=False)
    path: Path
    new: bool


def key_path() -> Path:
    """Returns the place of the key file: the user's configuration directory."""
    # The XDG base directories elsewhere, also on macOS.
    home = os.environ.get("APPDATA") if os.name == "nt" else os.environ.get("XDG_CONFIG_HOME")
    return Path(home or Path.home() / ".config") / "sessionlib" / "engine.key"


def keep_key(path: Path | None = None) -> KeptKey:
    """Reads the kept key, or makes one and keeps it.

    Args:
        path: The file; in the user's configuration directory when not given.

    Raises:
        EngineError: The file cannot be read or written, or other users can read it.
    """
    path = path or key_path()
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        key = secrets.token_urlsafe(32)
        # Tried first, and read if it exists: looking before would let two engines make two keys. With its mode from
        # the beginning: between open() and chmod() other users could open it.
        with contextlib.suppress(FileExistsError):
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(key + "\n")
            return KeptKey(key, path, new=True)
        # As ssh does: a key that other users could read is not trusted.
        if os.name != "nt" and path.stat().st_mode & 0o077:
            raise EngineError(
                f"the key file {path} can be read by other users: chmod 600 it, or delete it for a new key"
            )
        try:
            return KeptKey(check_key(path.read_text().strip()), path, new=False)
        except ValueError:
            raise EngineError(f"the key file {path} holds no key; delete it to get a new one") from None
    except OSError as error:
        raise EngineError(f"the key file {path} cannot be used: {error.strerror}") from error


def serve(
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    db: str | None = None,
    model: str = "demo",
    tools: str | None = None,
    batching: bool = True,
    keep_days: float | None = None,
    context: int | None = None,
    full_check: bool = False,
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
        batching: Whether posts that wait together are answered in one turn, as in ``LocalEngine``.
        keep_days: Days after which a session in which nothing was sent is removed; None keeps them.
        context: Characters of a session that the model is shown, as ``Limits.memory_chars``; None for its default.
        full_check: Whether the database file is read whole before it is used.
        allow_remote: Lets ``host`` be an address that other machines reach; needs ``SESSIONLIB_API_KEY``.
        allowed_hosts: Further names in the Host header to answer to.
        allowed_origins: Web pages that may connect; none by default.
        key_file: Where the key is kept; in the user's configuration directory when not given.
        prepare: Gets the engine before it is announced, to make an agent for example.
        announce: Called with the address of the engine, when it is ready.

    Raises:
        ValueError: ``host`` is not this machine's without key and flag.
        EngineError: The model, the tools, the key or the database cannot be had.
        OSError: The address cannot be listened on.
    """
    # No key of its own for an address of a network: `LocalEngine` then asks for one.
    api_key = os.environ.get("SESSIONLIB_API_KEY") or (_kept_key(key_file, announce) if is_loopback(host) else None)
    engine = LocalEngine(
        tools=tools or (),
        model=model,
        path=db,
        host=host,
        port=port,
        api_key=api_key,
        batching=batching,
        keep_days=keep_days,
        limits=Limits() if context is None else Limits(memory_chars=context),
        full_check=full_check,
        allow_remote=allow_remote,
        allowed_hosts=allowed_hosts,
        allowed_origins=allowed_origins,
    )
    stopped = threading.Event()
    # The handlers before the engine, so that Ctrl-C during a long start ends it in order. Only on the main thread:
    # Python refuses it elsewhere with a ValueError.
    before = {number: signal.signal(number, lambda *_: stopped.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with _log_to_stderr(), engine:
            if prepare is not None:
                prepare(engine)
            announce(f"sessionlib engine on {engine.base_url} (model {model}, {db or 'in memory'}); Ctrl-C stops it")
            # Not for ever: a signal that another thread takes does not wake this one, but its handler runs here.
            while not stopped.wait(0.2):
                pass
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _kept_key(path: Path | None, announce: Callable[[str], None]) -> str:
    kept = keep_key(path)
    if kept.new and sys.stderr.isatty():
        # To the terminal itself: standard output may well be a log.
        sys.stderr.write(f"API key (shown only now): {kept.key}\n")
    announce(f"The API key is in {kept.path}; clients take it from SESSIONLIB_API_KEY.")
    return kept.key


@contextlib.contextmanager
def _log_to_stderr() -> Iterator[None]:
    # Clients are sent to the log; a program that has set one up keeps its own.
    loggers = [logging.getLogger(name) for name in ("sessionlib.engine", "sessionlib.net")]
    above = [logging.getLogger(name) for name in ("", "sessionlib")]
    # A `NullHandler`, which the command line sets, writes none.
    if any(
        not isinstance(handler, logging.NullHandler) for logger in (*above, *loggers) for handler in logger.handlers
    ):
        yield
        return
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.removeHandler(handler)
            logger.setLevel(level)
