"""Recording and replaying all traffic of a block of code."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, get_args

from sessionlib import hooks
from sessionlib.testing import format
from sessionlib.testing.format import CALL, WEBSOCKET, ReplayMismatchError
from sessionlib.testing.recorder import Recorder
from sessionlib.testing.redaction import Redact, Redaction
from sessionlib.testing.replayer import Replayer, ReplayOverError

__all__ = ["MODES", "Cassette", "Mode", "cassette", "record", "replay"]

Mode = Literal["none", "once", "new_episodes", "all"]
MODES: tuple[Mode, ...] = get_args(Mode)
"""What is replayed and what is recorded; the names and meanings are those of vcrpy's record modes."""

PATIENCE = 60.0
"""Seconds; longer than any wait that a test of an agent should need, and shorter than the patience of a CI job."""


class Cassette:
    """A recording in use: what `record`, `replay` and `cassette` return on entering.

    Attributes:
        path: The recording's file.
        mode: The mode it was opened with.
        is_replaying: Whether recorded requests are answered from the recording instead of the network.
        is_recording: Whether traffic with the network is recorded.
    """

    def __init__(self, path: Path, mode: Mode, is_replaying: bool, is_recording: bool) -> None:
        self.path = path
        self.mode = mode
        self.is_replaying = is_replaying
        self.is_recording = is_recording

    def __repr__(self) -> str:
        return f"<Cassette {self.path}, mode {self.mode}>"


def record(
    path: str | os.PathLike[str], *, redact: Redact | None = None
) -> contextlib.AbstractContextManager[Cassette]:
    """Records all traffic in a block, over HTTP and WebSocket, of every thread and session.

    The recording is written when the block ends without an exception, to a file of mode 0600, replacing an
    existing one. Sessions that were connected before the block are not in it, nor are other processes.

    Args:
        path: The file to write; its format is described in `sessionlib.testing.format`.
        redact: Removes what must not be kept, besides keys and the values of fields such as ``password``: receives
            the JSON value of each frame, and of each HTTP call and answer, and returns what may be kept of it.

    Returns:
        A context manager; entering it returns the `Cassette`.

    Raises:
        RuntimeError: Another such block is open in this process.
        OSError: The file cannot be written.
    """
    return cassette(path, mode="all", redact=redact)


def replay(
    path: str | os.PathLike[str],
    *,
    redact: Redact | None = None,
    speed: float | None = None,
    patience: float | None = PATIENCE,
) -> contextlib.AbstractContextManager[Cassette]:
    """Answers a block from a recording, without network or key.

    The requests of the block have to mean what was recorded: JSON is compared by value, files by their contents. On
    each connection they have to come in the recorded order, for which threads wait for one another. Keepalives
    and `Session.disconnect` are optional.

    Args:
        path: The recording.
        redact: As it was given to `record`; applied to requests before they are compared.
        speed: How many times faster than recorded to answer: 1.0 is the recorded pace, None (the default) answers at
            once.
        patience: Seconds after which a missing expected request, or one sent too early, is an error (60 by default);
            None for no limit.

    Returns:
        A context manager; entering it returns the `Cassette`.

    Raises:
        ReplayMismatchError: A request differs from the recorded one, was not recorded, or recorded ones were not
            sent; the last is raised only where the block raises no other exception.
        RecordingError: There is no recording, or it cannot be read.
        RuntimeError: Another such block is open in this process.
    """
    return cassette(path, mode="none", redact=redact, speed=speed, patience=patience)


@contextlib.contextmanager
def cassette(
    path: str | os.PathLike[str],
    mode: Mode = "once",
    *,
    redact: Redact | None = None,
    speed: float | None = None,
    patience: float | None = PATIENCE,
) -> Iterator[Cassette]:
    """Records or replays a block, depending on the mode.

    Args:
        path: The recording.
        mode: "none" replays; "all" records, replacing an existing recording; "once" records where there is no
            recording, and replays otherwise; "new_episodes" replays what was recorded, and records what is new: HTTP
            calls with other requests, and connections after the recorded ones. In it recorded requests may be missing.
        redact: As for `record`.
        speed: As for `replay`.
        patience: As for `replay`.

    Returns:
        A context manager; entering it returns the `Cassette`.

    Raises:
        ValueError: There is no such mode.
        Exception: What `record` and `replay` raise.
    """
    if mode not in MODES:
        raise ValueError(f"mode takes one of {', '.join(MODES)}, not {mode!r}")
    file = Path(path)
    exists = file.exists()
    # "once" records only where there is no file; "none" fails without one, when it is read.
    replays = mode == "none" or (exists and mode != "all")
    records = mode in ("all", "new_episodes") or not replays
    # One for both ways, so that what is sent now and what was recorded are compared alike.
    redaction = Redaction(redact)
    before = format.read(file) if replays else []
    recorder = None
    if records:
        # What is added to a recording is numbered and timed after what is in it.
        connections, calls = (
            max((line.number for line in before if line.where == kind), default=0) for kind in (WEBSOCKET, CALL)
        )
        recorder = Recorder(redaction, before[-1].at if before else 0.0, connections, calls)
    used = Cassette(file, mode, replays, records)
    if not replays:
        # A mode that does not replay records.
        assert recorder is not None
        with _installed(recorder):
            yield used
    else:
        replayer = Replayer(file, before, redaction, speed, patience, recorder)
        with _installed(replayer), _checking(replayer, complete=not records):
            yield used
    # Reached only when the block raised nothing: half a conversation is no recording.
    if recorder is not None:
        format.write(file, [*before, *recorder.lines()])


@contextlib.contextmanager
def _installed(hook: hooks.NetworkHook) -> Iterator[None]:
    remove = hooks.install_network_hook(hook)
    try:
        yield
    finally:
        remove()


@contextlib.contextmanager
def _checking(replayer: Replayer, *, complete: bool) -> Iterator[None]:
    """Raises the mismatch that occurred in the block, unless the block raises an error of its own."""
    try:
        yield
    except BaseException as error:
        # Looked at also where the block failed: its error may be a consequence, and the mismatch the reason.
        failure = replayer.failure or (replayer.check_complete() if complete else None)
        if failure is None or failure is error:
            raise
        # Whether the error was raised because the replay had failed shows its cause or context, at any depth.
        # A list and no recursion: chains may be long, and may lead in a circle.
        chain: list[BaseException] = [error]
        for one in chain:
            chain += [inner for inner in (one.__cause__, one.__context__) if inner is not None and inner not in chain]
        if any(isinstance(one, (ReplayOverError, ReplayMismatchError)) for one in chain):
            raise failure from None
        if hasattr(error, "add_note"):  # from Python 3.11 on
            error.add_note(f"Besides, the replay failed: {failure}")
        raise
    finally:
        replayer.finish()
    failure = replayer.failure or (replayer.check_complete() if complete else None)
    if failure is not None:
        raise failure
