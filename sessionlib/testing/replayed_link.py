"""A connection that is replayed: a transport without a network."""

from __future__ import annotations

import base64
import contextlib
import time
from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from sessionlib._util.timing import Deadline
from sessionlib.errors import SessionDisconnectedError, SessionTimeoutError
from sessionlib.protocol import codec, frames
from sessionlib.protocol.codec import Payload
from sessionlib.testing import failures
from sessionlib.testing.format import Line
from sessionlib.testing.recorder import KEEPALIVE
from sessionlib.testing.redaction import Shrinker, shrink
from sessionlib.testing.track import Track

if TYPE_CHECKING:
    from sessionlib.testing.replayer import Player

__all__ = ["POLICY", "ReplayOverError", "ReplayedLink", "frame_json"]

# A close code after which no client tries again.
POLICY = 1008


class ReplayOverError(SessionDisconnectedError):
    """A connection that was replayed has ended, because the replay has failed or is over."""


class ReplayedLink:
    """One connection, a `Transport`.

    Args:
        player: What it is a part of.
        track: The recorded connection that it follows; the player may give it another one.

    Attributes:
        track: Likewise.
        received: How many bytes of messages have been heard.
    """

    has_unsent = False

    def __init__(self, player: Player, track: Track) -> None:
        self.track = track
        self.received = 0
        self._player = player
        self._closed = False
        self._pongs: deque[bytes] = deque()

    @property
    def heard(self) -> float:
        """Now: a recording never falls silent."""
        return time.monotonic()

    def check(self) -> None:
        """Makes sure that it can be used; the caller holds the player's lock.

        Raises:
            SessionDisconnectedError: It was closed, or the replay has ended.
        """
        self._player.check()
        if self._closed:
            raise SessionDisconnectedError("the connection has ended")

    def send(self, payload: bytes, deadline: Deadline) -> None:
        """Says one message; see `Transport.send`."""
        self._player.say(self, codec.loads(shrink(payload)), deadline)

    def send_pieces(self, pieces: Iterable[tuple[bytes, bool]], deadline: Deadline) -> None:
        """Says one message; see `Transport.send_pieces`."""
        shrinker = Shrinker()
        for piece, _ in pieces:
            shrinker.feed(piece)
        self._player.say(self, codec.loads(shrinker.text()), deadline)

    def recv(self, deadline: Deadline | None = None) -> list[Payload]:
        """Waits for messages; see `Transport.recv`."""
        limit = deadline or Deadline(None)
        with self._player.changed:
            while True:
                self.check()
                messages = self._take()
                if messages:
                    self.received += sum(map(len, messages))
                    return messages
                if limit.expired:
                    raise SessionTimeoutError(f"the peer did not answer within {limit.timeout} s")
                self._player.wait(self.track, limit)

    def post(self, payload: bytes) -> None:
        """Says one small message, or answers a ping; see `Transport.post`."""
        frame = codec.loads(payload)
        if frame.get("type") in KEEPALIVE:
            with self._player.changed:
                self._pongs.append(codec.dumps(frames.pong(frame["session_id"])))
                self._player.changed.notify_all()
            return
        # Nobody waits for it here; the player has noted it.
        with contextlib.suppress(AssertionError, SessionDisconnectedError):
            self._player.say(self, frame, Deadline(0.0))

    def ping(self) -> None:
        """Does nothing: there is nobody who could be gone."""

    def close(self, code: int = 1000, reason: str = "", deadline: Deadline | None = None) -> None:
        """Ends it, waking whoever reads."""
        self.abort()

    def abort(self) -> None:
        """Ends it, waking whoever reads."""
        with self._player.changed:
            self._closed = True
            self._player.changed.notify_all()

    def release(self) -> None:
        """Ends it."""
        self.abort()

    def _take(self) -> list[Payload]:
        if self._pongs:
            return [self._pongs.popleft()]
        lines = self._player.hear(self.track)
        if lines and lines[0].sign == "!":
            raise failures.from_json(lines[0].value)
        return [_payload(line) for line in lines]


def _payload(line: Line) -> bytes:
    return base64.b64decode(line.value["base64"]) if line.sign == "<*" else codec.dumps(line.value)


def frame_json(frame: dict[str, Any]) -> Any:
    """Gives the JSON value of a frame before it is sent, without the files in it."""
    return codec.loads(codec.dumps(frame, lambda upload: None))
