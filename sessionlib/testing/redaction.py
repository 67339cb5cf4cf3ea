"""What is kept out of recordings.

Keys always are: request headers are not recorded, and a key that was used is replaced wherever else it
occurs. So are the values of fields with secret names (`SECRET_FIELDS`), at any depth, and what the caller's own
function removes. A file that was sent is represented by its SHA-256 and its size.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable
from typing import Any

from sessionlib.protocol import codec

__all__ = ["HIDDEN", "SECRET_FIELDS", "Redact", "Redaction", "Shrinker", "file_facts", "shrink"]

HIDDEN = "***"
SECRET_FIELDS = frozenset(
    {
        "api_key",
        "apikey",
        "authorization",
        "access_token",
        "refresh_token",
        "id_token",
        "client_secret",
        "cookie",
        "passphrase",
        "password",
        "private_key",
        "secret",
        "secret_key",
        "set_cookie",
    }
)
"""Names of fields whose texts are never kept; compared without regard to case, and to "-" for "_"."""

Redact = Callable[[Any], Any]
"""Receives the JSON value of a message and returns what may be kept of it."""

# A shorter one may be part of a word, and replacing that would damage the recording for little: real keys are longer.
_SHORTEST_KEY = 8
_MARK = b'"raw_bytes":"'


class Redaction:
    """Removes what must not be kept.

    Args:
        redact: The caller's own function; requests of a replay go through it too, so that both compare equal.
    """

    def __init__(self, redact: Redact | None = None) -> None:
        self._redact = redact
        self._keys: set[str] = set()

    def hide(self, key: str) -> None:
        """Adds a key to what is replaced."""
        if len(key) >= _SHORTEST_KEY:
            self._keys.add(key)

    def apply(self, value: Any) -> Any:
        """Returns what may be kept of a JSON value."""
        kept = self._clean(value)
        return kept if self._redact is None else self._redact(kept)

    def _clean(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, list):
            return [self._clean(item) for item in value]
        if isinstance(value, dict):
            kept = {}
            for name, item in value.items():
                is_secret = isinstance(item, str) and name.lower().replace("-", "_") in SECRET_FIELDS
                # An empty one stays empty: that it was is a fact, and no secret.
                kept[self._text(name)] = HIDDEN if is_secret and item else self._clean(item)
            return kept
        return value

    def _text(self, text: str) -> str:
        for key in self._keys:
            text = text.replace(key, HIDDEN)
        return text


# ---- files ---------------------------------------------------------------------------------


def file_facts(data: bytes) -> dict[str, Any]:
    """Returns what represents a file in a recording."""
    return {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}


def shrink(payload: bytes) -> bytes:
    """Returns the JSON text of a frame with digest and size in place of each file."""
    if _MARK not in payload:
        return payload
    shrinker = Shrinker()
    shrinker.feed(payload)
    return shrinker.text()


class Shrinker:
    """Replaces the files in a frame's JSON text while that passes in chunks, in bounded memory.

    A file is the base64 text after ``"raw_bytes":"``, which occurs nowhere else: within a JSON string its quotation
    marks would be escaped. The client writes frames without spaces, so that the mark is always spelled like that.
    """

    def __init__(self) -> None:
        self._kept: list[bytes] = []
        self._rest = b""
        self._file: _File | None = None

    def feed(self, chunk: bytes) -> None:
        """Adds the next chunk."""
        self._rest += chunk
        while True:
            if self._file is None:
                at = self._rest.find(_MARK)
                if at < 0:
                    # A mark may be split between this chunk and the next one.
                    self._keep(max(0, len(self._rest) - len(_MARK)))
                    return
                self._keep(at + len(_MARK) - 1)
                self._rest = self._rest[1:]
                self._file = _File()
            end = self._rest.find(b'"')
            if end < 0:
                self._file.feed(self._rest)
                self._rest = b""
                return
            self._file.feed(self._rest[:end])
            # In the place of the text, with its quotation marks.
            self._kept.append(codec.dumps(self._file.facts()))
            self._rest = self._rest[end + 1 :]
            self._file = None

    def text(self) -> bytes:
        """Returns the text without files; valid once all of it has been fed."""
        return b"".join((*self._kept, self._rest))

    def _keep(self, size: int) -> None:
        self._kept.append(self._rest[:size])
        self._rest = self._rest[size:]


class _File:
    """Digest and size of a file, from its base64 text in chunks of any length."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._size = 0
        self._rest = b""

    def feed(self, text: bytes) -> None:
        text = self._rest + text
        # base64 encodes 3 bytes as 4 characters: only whole groups can be decoded.
        whole = len(text) - len(text) % 4
        self._rest = text[whole:]
        self._add(text[:whole])

    def facts(self) -> dict[str, Any]:
        self._add(self._rest)
        return {"sha256": self._hash.hexdigest(), "size": self._size}

    def _add(self, text: bytes) -> None:
        try:
            data = base64.b64decode(text, validate=True)
        except binascii.Error:  # a user's own field of that name: any digest of it will do
            data = text
        self._hash.update(data)
        self._size += len(data)
