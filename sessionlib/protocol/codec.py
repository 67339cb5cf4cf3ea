"""JSON for frames, strict both ways.

Reading is the hot path: orjson where it is installed, the standard library elsewhere. Writing is the
standard library's everywhere but for plain text, because orjson turns NaN into null and would send
something else than the caller gave.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Callable
from typing import Any

__all__ = [
    "bare_loads",
    "dumps",
    "dumps_checked",
    "dumps_text",
    "fast_path",
    "loads",
    "loads_with_halves",
    "with_long_numbers_as_texts",
]

Payload = bytes | bytearray | memoryview

_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_MANY_DIGITS = re.compile(rb"\d{309}")
_LONG_NUMBER = re.compile(rb"\d{19}")


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise ValueError("a number is too large")
    return number


def _standard_loads(data: Payload) -> Any:
    text = str(data, "utf-8")
    # The standard library accepts NaN and Infinity, which RFC 8259, 6 does not and orjson refuses, and reads 1e999 as
    # infinity, which orjson refuses too: with and without it, the same frames have to be legal.
    # Nor has it a bound for whole numbers.
    if _MANY_DIGITS.search(data):
        json.loads(text, parse_int=_finite)
    value = json.loads(text, parse_constant=_refuse_constant, parse_float=_finite)
    if _SURROGATE.search(text):
        # Half a pair would read well and fail wherever the text is encoded later; encoding it shows that now.
        json.dumps(value, ensure_ascii=False).encode()
    return value


# As `loads`, but text that is nested too deeply may be a RecursionError.
bare_loads: Callable[[Payload], Any] = _standard_loads
try:
    import orjson
except ImportError:  # no wheel for this interpreter
    orjson = None  # type: ignore[assignment]
else:
    bare_loads = orjson.loads


def _new_encoder(default: Callable[[object], Any] | None = None) -> json.JSONEncoder:
    # Characters as they are: an escape takes six bytes where UTF-8 takes two or three.
    return json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=default)


_encoder = _new_encoder()


def dumps(value: Any, default: Callable[[object], Any] | None = None) -> bytes:
    """Returns the JSON text of a frame, in UTF-8 without spaces.

    Args:
        value: The frame.
        default: Returns the JSON form of what has none of its own.

    Raises:
        TypeError: Something in it has no JSON form.
        ValueError: It holds NaN, an infinity, itself, or text that is not Unicode.
    """
    try:
        return (_encoder if default is None else _new_encoder(default)).encode(value).encode()
    except RecursionError:
        raise ValueError("the value is nested too deeply for JSON") from None


def dumps_checked(value: Any) -> bytes:
    """As `dumps`, for what is kept and sent again and again: it is refused here if a reader would refuse it.

    Raises:
        TypeError: Something in it has no JSON form.
        ValueError: As for `dumps`, or a number is larger than a double can be (RFC 8259, 6).
    """
    data = dumps(value)
    if _MANY_DIGITS.search(data):
        loads(data)
    return data


def with_long_numbers_as_texts(value: Any) -> Any:
    """Returns a value whose whole numbers of more than 64 bits are texts: many readers would make doubles of them.

    RFC 8259, 6; orjson is such a reader. A person would approve, and a restarted engine run, another number.

    Raises:
        TypeError: As for `dumps_checked`.
        ValueError: Likewise.
    """
    data = dumps_checked(value)
    if not _LONG_NUMBER.search(data):
        return value
    return json.loads(data, parse_int=lambda digits: number if -(2**63) <= (number := int(digits)) < 2**64 else digits)


# As `dumps`, for an object that holds nothing but text and small whole numbers; half a surrogate pair in it may be a
# TypeError.
dumps_text: Callable[[dict[str, Any]], bytes] = dumps if orjson is None else orjson.dumps


def loads(data: Payload) -> Any:
    """Returns the value of a JSON text in UTF-8.

    Raises:
        ValueError: It is not JSON, not UTF-8, or nested too deeply.
    """
    try:
        return bare_loads(data)
    except RecursionError:
        raise ValueError("the text is nested too deeply") from None


def loads_with_halves(text: str) -> Any:
    """Returns the value of a JSON text whose only fault is that it holds half a surrogate pair; else None."""
    if not _SURROGATE.search(text):
        return None
    try:
        return json.loads(text, parse_constant=_refuse_constant, parse_float=_finite)
    except (ValueError, RecursionError):
        return None


# To measure by, and for the tests that hold both ways to the same results.
fast_path = os.environ.get("SESSIONLIB_FAST_PATH") != "0"
