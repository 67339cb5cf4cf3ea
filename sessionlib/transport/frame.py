"""Frames that leave: a header, a mask, and the payload under it."""

from __future__ import annotations

import os
import struct

__all__ = ["encode_frame"]

FINAL = 0x80
MASKED = 0x80
# Masked so much at a time: integers of this size stay within the processor's cache.
_BLOCK = 16384


def encode_frame(opcode: int, payload: bytes, is_last: bool = True) -> bytes:
    """Gives a frame as a client sends it.

    Args:
        opcode: What it is.
        payload: What is in it.
        is_last: Whether it is the last of its message, or the only one.
    """
    size = len(payload)
    first = opcode | (FINAL if is_last else 0)
    if size < 126:
        head = struct.pack("!BB", first, MASKED | size)
    elif size < 65536:
        head = struct.pack("!BBH", first, MASKED | 126, size)
    else:
        head = struct.pack("!BBQ", first, MASKED | 127, size)
    key = os.urandom(4)
    if size < _BLOCK:
        return b"".join((head, key, _masked_rest(payload, key)))
    return b"".join((head, key, *_masked(payload, key)))


def _masked(payload: bytes, key: bytes) -> list[bytes]:
    # An exclusive or of two big integers is the fastest that the standard library has.
    size = len(payload)
    whole = size - size % _BLOCK
    blocks = []
    if whole:
        mask = int.from_bytes(key * (_BLOCK // 4), "little")
        for start in range(0, whole, _BLOCK):
            block = int.from_bytes(payload[start : start + _BLOCK], "little")
            blocks.append((block ^ mask).to_bytes(_BLOCK, "little"))
    if size > whole:
        blocks.append(_masked_rest(payload[whole:], key))
    return blocks


def _masked_rest(data: bytes, key: bytes) -> bytes:
    size = len(data)
    mask = int.from_bytes((key * (size // 4 + 1))[:size], "little")
    return (int.from_bytes(data, "little") ^ mask).to_bytes(size, "little")
