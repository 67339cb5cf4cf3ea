"""Recording and replaying everything that a block of code says and hears."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, get_args

from sessionlib import hooks
from sessionlib.testing import format
from sessionlib.testing.errors import ReplayMismatchError
from sessionlib.testing.format import CALL, LINK, Line
from sessionlib.testing.recorder import Recorder
from sessionlib.testing.redaction import Redact, Redaction
from sessionlib.testing.replayer import Replayer, ReplayOverError

__all__ = ["MODES", "Cassette", "Mode", "cassette", "record", "replay"]

Mode = Literal["none", "once", "new_episodes", "all"]
MODES: tuple[Mode, ...] = get_args(Mode)
"""What happens to what was recorded, and to what was not; see `cassette`."""

PATIENCE = 60.0


class Cassette:
    """A recording in use.

    Attributes:
        path: Its file.
        mode: As it was asked for.
        is_replaying: Whether what was recorded is served, and not the network asked.
        is_recording: Whether what is said over the network is recorded.
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
    """Records everything that a block says and hears, over HTTP and WebSocket, of whatever thread and session.

    The recording is written when the block ends without an exception, to a file of mode 0600, in place of
    what was there. Sessions that were connected before the block are not in it, nor are other processes.

    Args:
        path: Where to; `sessionlib.testing.format` tells the format.
        redact: Takes out what must not be kept, besides keys and what stands in fields such as ``password``: gets
            the JSON value of each frame, or of each HTTP call or answer, and gives what may be kept of it.

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
    """Serves a block from a recording: the network is not touched, and no key is needed.

    What the block says has to mean what was recorded: JSON is compared by value, files by their contents. On each
    connection it has to come in the recorded order, in which threads wait for one another. Keepalives
    and `Session.disconnect` may come or not.

    Args:
        path: The recording.
        redact: As it was given to `record`; applied to what is said before that is compared.
        speed: How many times faster than recorded to answer; 1.0 is as it was, None at once.
        patience: Seconds after which it is an error that nothing was said where something has to be, or that
            something was said too early; None waits for ever.

    Raises:
        ReplayMismatchError: The block said something else than was recorded, or left something unsaid; the
            latter is told only where no other exception is on its way.
        RecordingError: There is no recording, or none that can be read.
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
    """Records or replays a block, as the mode says.

    Args:
        path: The recording.
        mode: "none" replays; "all" records anew; "once" records where there is no recording, and replays
            otherwise; "new_episodes" replays what was recorded, and records what comes besides: HTTP calls
            that are new, and connections after the recorded ones. In it nothing has to be said.
        redact: As for `record`.
        speed: As for `replay`.
        patience: As for `replay`.

    Raises:
        ValueError: There is no such mode.
        Exception: As `record` and `replay` raise.
    """
    if mode not in MODES:
        raise ValueError(f"mode takes one of {', '.join(MODES)}, not {mode!r}")
    file = Path(path)
    exists = file.exists()
    replays = mode == "none" or (exists and mode != "all")
    records = mode in ("all", "new_episodes") or not replays
    redaction = Redaction(redact)
    before = format.read(file) if replays else []
    recorder = _recorder(redaction, before) if records else None
    used = Cassette(file, mode, replays, records)
    if not replays:
        assert recorder is not None
        with _installed(recorder):
            yield used
    else:
        player = Replayer(file, before, redaction, speed, patience, recorder)
        with _installed(player), _judging(player, whole=not records):
            yield used
    if recorder is not None:
        format.write(file, [*before, *recorder.lines()])


@contextlib.contextmanager
def _installed(stand_in: hooks.NetworkHook) -> Iterator[None]:
    remove = hooks.install_network_hook(stand_in)
    try:
        yield
    finally:
        remove()


@contextlib.contextmanager
def _judging(player: Replayer, *, whole: bool) -> Iterator[None]:
    """Raises what was said wrong in the block, unless that raises something of its own."""
    try:
        yield
    except BaseException as error:
        failure = player.failure or (player.left_unsaid() if whole else None)
        if failure is None or failure is error:
            raise
        if _comes_of_it(error):
            raise failure from None
        _add_note(error, f"Besides, the replay failed: {failure}")
        raise
    finally:
        player.finish()
    failure = player.failure or (player.left_unsaid() if whole else None)
    if failure is not None:
        raise failure


def _comes_of_it(error: BaseException) -> bool:
    """Whether an exception was raised because the replay had failed."""
    seen: list[BaseException] = [error]
    for one in seen:
        if isinstance(one, (ReplayOverError, ReplayMismatchError)):
            return True
        seen += [inner for inner in (one.__cause__, one.__context__) if inner is not None and inner not in seen]
    return False


def _add_note(error: BaseException, note: str) -> None:
    if hasattr(error, "add_note"):  # from Python 3.11 on
        error.add_note(note)


def _recorder(redaction: Redaction, before: list[Line]) -> Recorder:
    counts = {where: max((line.number for line in before if line.where == where), default=0) for where in (LINK, CALL)}
    return Recorder(redaction, before[-1].at if before else 0.0, counts[LINK], counts[CALL])
