"""A client without sockets that is fed any bytes, and what makes them."""

from __future__ import annotations

import copy
import functools
import itertools
import json
import random
from collections.abc import Callable, Sequence
from typing import Any

from sessionlib import Session
from sessionlib.protocol import frames
from sessionlib.protocol.client import SessionState
from sessionlib.transport.stream import BufferedStream
from sessionlib.transport.websocket import WebSocketTransport
from tests.support.shapes import FRAMES, HISTORY, assert_well_formed
from tests.support.turns import turn
from tests.support.ws_bytes import close_frame, fragments, ping_frame, pong_frame, text_frame

Frame = dict[str, Any]
LIMIT = 100_000
"""The largest message that the client accepts here."""


class Feed(BufferedStream):
    """A stream without a socket: gives the bytes in pieces, then the end, and takes what is written."""

    def __init__(self, pieces: Sequence[bytes]) -> None:
        self._pieces = list(reversed(pieces))
        self._turn = 0
        super().__init__(self)  # type: ignore[arg-type]

    def setblocking(self, flag: bool) -> None:
        pass  # it has all from the start

    def _read(self, size: int) -> bytes:
        if not self._pieces:
            return b""
        piece = self._pieces.pop()
        if len(piece) > size:
            self._pieces.append(piece[size:])
        return piece[:size]

    def _read_into(self, view: memoryview) -> int:
        self._turn += 1
        if not self._pieces or self._turn % 2:
            return 0
        piece = self._read(len(view))
        view[: len(piece)] = piece
        return len(piece)

    def _write(self, view: memoryview) -> int:
        return len(view)

    def shutdown(self) -> None:
        pass

    close = shutdown


def consume(pieces: Sequence[bytes], *, interrupted: bool = False) -> list[BaseException]:
    """Has a whole client read bytes, and a user everything that comes of them.

    Returns:
        What was raised: to the reader, to the reader of the turn, and to the listener.
    """
    session = Session(session_id="s1", api_key="k", ws_url="ws://127.0.0.1:9/v1", reconnect=interrupted)
    connection = session._connection = session._new_connection()
    feed = Feed(pieces)
    transport = WebSocketTransport(feed, LIMIT)
    reader = connection._reader
    if interrupted:
        connection.protocol.recovery.interrupt()
    connection.channel.change(SessionState.CONNECTED, transport)
    listener = session.listen(maxsize=0)
    running = session.stream("hi", on_approval=lambda request: True)
    lost = reader.read(transport)
    while lost is None:
        lost = reader.read(transport)
    transport.release()
    reader.give_up(lost)
    raised = [lost, _drained(running.result), _drained(lambda: _use(listener))]
    listener.close()
    running.close()
    session._connection = None
    return [error for error in raised if error is not None]


def _drained(use: Callable[[], object]) -> BaseException | None:
    try:
        value = use()
        repr(value)
        str(value)
    except BaseException as error:
        return error
    return None


def _use(listener: Any) -> None:
    """Does with every event what a program may do with it."""
    for event in listener:
        assert_well_formed(event)
        repr(event)
        hash(event.type)
        for text in (event.delta, event.text, event.tool_name, event.error, event.message_id):
            (text or "").encode()
        json.dumps(event.data).encode()


# ---- frames ----------------------------------------------------------------------------------


@functools.cache
def valid_frames() -> list[Frame]:
    """Every kind of frame and of content."""
    return [
        *turn(pieces=["Hel", "lo"]),
        *(frame for frame, _ in FRAMES.values()),
        frames.refusal("post_message", "s1", "no", code="x"),
        frames.history("s1", HISTORY),
        {"type": "never_heard_of", "session_id": "s1", "x": 1},
        {"type": "disconnect_session", "session_id": "s1"},
    ]


VALUES: list[Any] = [
    None, True, False, 0, -1, 1, 2**53, 2**70, 1.5, -0.0, 1e300, "", "x", "s1", "s2", "m1", "Complete", "Idle",
    "Processing", "\x00", "é\U0001f600", "x" * 5000, [], [None], ["m1"], [[]], {}, {"type": "error"}, {"a": {"b": []}},
    {"status": "Idle"}, {"id": "m1", "content": {"type": "tool_call"}}, {"type": None}, {"type": []},
]  # fmt: skip

RAW: list[bytes] = [
    b"", b" ", b"null", b"1", b'"x"', b"[]", b"[1]", b"{}", b"{", b"}", b'{"type":}', b'{"type":1}', b'{"type":null}',
    b'{"type":"pong"} ', b'{"type":"pong"}x', b"\xef\xbb\xbf{}", b'{"type":"pong","x":NaN}',
    b'{"type":"pong","x":1e999}',
    b'{"type":"pong","type":"error"}', b'{"type":"\\ud800"}', b'{"type":"pong","x":"\\udc00"}', b'{"type":"pong\x00"}',
    b'{"type":"\xff"}', b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"[" * 2000, b'{"a":' * 3000,
    b'{"type":"pong","x":' + b"9" * 5000 + b"}", b'{"type":"pong","x":' + b"[" * 200 + b"]" * 200 + b"}",
]  # fmt: skip


def mutated_frames(rng: random.Random) -> list[bytes]:
    """A row of frames of which some are not quite what they should be, in any legal framing.

    Every other time it is a quick answer, many deltas at once, with no more than two of its frames changed.
    """
    if rng.random() < 0.5:
        row = rng.choices(valid_frames(), k=rng.randrange(1, 6))
        payloads = [_serialised(_mutated(frame, rng), rng) for frame in row]
        return [framed for payload in payloads for framed in _framed(payload, rng)]
    row = turn(pieces=list("quick answer, in one write")[: rng.randrange(8, 27)])
    odd = rng.choices(range(len(row)), k=2)
    return [
        framed
        for at, frame in enumerate(row)
        for framed in (_framed(_serialised(_mutated(frame, rng), rng), rng) if at in odd else [text_frame(frame)])
    ]


def mutated_bytes(rng: random.Random) -> list[bytes]:
    """A row of frames whose bytes were changed on the way."""
    burst = turn(pieces=list("abcdefgh")) if rng.random() < 0.5 else []
    data = bytearray(b"".join(map(text_frame, burst + rng.choices(valid_frames(), k=rng.randrange(1, 5)))))
    for _ in range(rng.randrange(1, 4)):
        _change(data, rng)
    return [bytes(data)]


def cut(pieces: Sequence[bytes], rng: random.Random) -> list[bytes]:
    """The same bytes in other pieces."""
    data = b"".join(pieces)
    edges = sorted({0, len(data), *(rng.randrange(len(data) + 1) for _ in range(rng.randrange(4)))})
    return [data[start:end] for start, end in itertools.pairwise(edges) if end > start]


def _mutated(frame: Frame, rng: random.Random) -> Frame:
    changed = copy.deepcopy(frame)
    for _ in range(rng.choice([0, 1, 1, 1, 2, 3])):
        holder: Any = changed
        while True:
            keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
            if not keys:
                break
            key = rng.choice(keys)
            if isinstance(holder[key], (dict, list)) and holder[key] and rng.random() < 0.7:
                holder = holder[key]
                continue
            if isinstance(holder, dict) and rng.random() < 0.25:
                del holder[key]
            else:
                holder[key] = copy.deepcopy(rng.choice(VALUES))
            break
    return changed


def _serialised(frame: Frame, rng: random.Random) -> bytes:
    if rng.random() < 0.05:
        return rng.choice(RAW)
    return json.dumps(frame, ensure_ascii=rng.random() < 0.5).encode("utf-8", "surrogatepass")


def _framed(payload: bytes, rng: random.Random) -> list[bytes]:
    dice = rng.random()
    if dice < 0.7:
        return [text_frame(payload)]
    if dice < 0.8:
        between = rng.choice([b"", ping_frame(b"x"), pong_frame(b"")])
        return [piece + between for piece in fragments(payload, rng.randrange(2, 5))[:-1]] + fragments(payload, 2)[-1:]
    if dice < 0.85:
        return fragments(payload, sorted(rng.randrange(len(payload) + 1) for _ in range(3)))
    if dice < 0.9:
        return [ping_frame(b"x" * rng.randrange(126)), text_frame(payload), pong_frame(b"y")]
    if dice < 0.95:
        return [text_frame(payload, length_form=rng.choice([16, 64]))]
    odd = [
        text_frame(payload, opcode=rng.randrange(16)),
        text_frame(payload, rsv=rng.randrange(8)),
        text_frame(payload, mask=True),
        text_frame(payload, fin=False),
        text_frame(b"", declared=rng.choice([LIMIT, LIMIT + 1, 2**32, 2**63, 2**64 - 1]), length_form=64),
        close_frame(
            rng.choice([None, 0, 999, 1000, 1001, 1005, 1009, 1012, 2999, 4000]), rng.choice(["", "why", b"\xff"])
        ),
    ]
    return [rng.choice(odd)]


def _change(data: bytearray, rng: random.Random) -> None:
    at, how = rng.randrange(len(data) + 1), rng.choice(["flip", "flip", "flip", "put", "drop", "repeat", "end"])
    if how == "flip" and at < len(data):
        data[at] ^= 1 << rng.randrange(8)
    elif how == "put":
        data[at:at] = rng.randbytes(rng.randrange(1, 5))
    elif how == "drop":
        del data[at : at + rng.randrange(1, 20)]
    elif how == "repeat":
        data[at:at] = data[at : at + rng.randrange(1, 60)]
    elif how == "end":
        del data[at:]
