"""The last frames that clients sent and heard, for the report of a test that fails."""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from sessionlib.transport.websocket import WebSocketTransport

SHOWN = 300
"""Bytes of a frame that are shown."""


class FrameTape:
    """Listens in on every WebSocket of this process."""

    def __init__(self) -> None:
        # Appended to by any thread, which deques allow.
        self._frames: deque[tuple[str, bytes, int]] = deque(maxlen=100)

    def install(self) -> None:
        _after(WebSocketTransport, "recv", lambda args, messages: self._note("<", messages))
        _after(WebSocketTransport, "send", lambda args, _: self._note(">", args[:1]))
        _after(WebSocketTransport, "enqueue", lambda args, _: self._note(">", args[:1]))
        _after(WebSocketTransport, "send_chunks", lambda args, _: self._note(">", [b"(a message in pieces)"]))

    def clear(self) -> None:
        self._frames.clear()

    def __str__(self) -> str:
        return "\n".join(f"{sign} {_text(begin, size)}" for sign, begin, size in list(self._frames))

    def _note(self, sign: str, payloads: Iterable[Any]) -> None:
        self._frames.extend((sign, bytes(payload[:SHOWN]), len(payload)) for payload in payloads)


def _after(owner: type, name: str, tell: Callable[[tuple[Any, ...], Any], None]) -> None:
    real = getattr(owner, name)

    @functools.wraps(real)
    def told(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = real(self, *args, **kwargs)
        tell(args, result)
        return result

    setattr(owner, name, told)


def _text(begin: bytes, size: int) -> str:
    text = begin.decode("utf-8", "replace")
    return text if size <= SHOWN else f"{text}... ({size} bytes)"
