"""RFC 6455 as the Autobahn test suite asks for it: its groups 1 to 7, 9 and 10, numbered as there.

That suite talks to servers that send back what they get. Of the engine's frames `ping_session` is the one
whose answer holds a text of the client's, so every text travels as its session id. Binary messages are not
spoken: where the suite sends one, the connection has to be closed with 1003. What a case sends after the point at
which the connection must fail is left in, what it waits for in seconds is left out.
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tests.support.ws_bytes import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, text_frame

BEFORE, AFTER = b'{"type":"ping_session","session_id":"', b'"}'
NOT_JSON = b"(not JSON)"
BROKEN, NOT_UTF8, NOT_TEXT = {1002}, {1007}, {1003}
GREEK = "κ\u1f79σμε".encode()


@dataclass(frozen=True)
class Case:
    """What is sent, and what has to come back.

    Attributes:
        id: Its number.
        sent: What is written, in as many writes.
        told: What comes back: texts and the payloads of pongs.
        codes: How the engine may close; with 1000 where it has to stay until the client closes.
    """

    id: str
    sent: list[bytes]
    told: list[bytes]
    codes: set[int]


def case(number: str, sent: Iterable[bytes], told: Iterable[bytes] = (), codes: set[int] | None = None) -> Case:
    frames = [*sent] if codes else [*sent, close()]
    return Case(number, frames, list(told), codes or {1000})


# What is being built: clients mask their frames, and servers do not.
_from_client = True


# ---- building ------------------------------------------------------------------------------


def frame(payload: bytes = b"", opcode: int = TEXT, *, fin: bool = True, rsv: int = 0) -> bytes:
    return text_frame(payload, fin, opcode, rsv, mask=_from_client)


def text(payload: bytes) -> bytes:
    return frame(BEFORE + payload + AFTER)


def pieces(*parts: bytes) -> list[bytes]:
    """A text in as many fragments."""
    parts = (BEFORE + parts[0], *parts[1:])
    parts = (*parts[:-1], parts[-1] + AFTER)
    last = len(parts) - 1
    return [frame(part, CONTINUATION if index else TEXT, fin=index == last) for index, part in enumerate(parts)]


def sized(size: int) -> bytes:
    """A text whose message has so many bytes."""
    return b"*" * (size - len(BEFORE + AFTER))


def cut(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


def close(code: int | None = 1000, reason: bytes = b"") -> bytes:
    return frame((b"" if code is None else struct.pack("!H", code)) + reason, CLOSE)


# ---- the cases -----------------------------------------------------------------------------


def framing() -> Iterator[Case]:
    for number, size in enumerate([0, 125, 126, 127, 128, 65535, 65536, 65536], start=1):
        chop = 997 if number == 8 else 1 << 20
        if size:
            yield case(f"1.1.{number}", cut(text(sized(size)), chop), [sized(size)])
        else:
            yield case(f"1.1.{number}", [frame()], [NOT_JSON])
        yield case(f"1.2.{number}", cut(frame(b"\xfe" * size, BINARY), chop), codes=NOT_TEXT)


def pings() -> Iterator[Case]:
    payloads = [b"", b"Hello, world!", b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff", b"\xfe" * 125]
    for number, payload in enumerate(payloads, start=1):
        yield case(f"2.{number}", [frame(payload, PING)], [payload])
    yield case("2.5", [frame(b"\xfe" * 126, PING)], codes=BROKEN)
    yield case("2.6", cut(frame(b"\xfe" * 125, PING), 1), [b"\xfe" * 125])
    yield case("2.7", [frame(b"", PONG)])
    yield case("2.8", [frame(b"unsolicited", PONG)])
    yield case("2.9", [frame(b"unsolicited", PONG), frame(b"ping", PING)], [b"ping"])
    many = [f"payload-{number}".encode() for number in range(10)]
    sent = b"".join(frame(payload, PING) for payload in many)
    yield case("2.10", [sent], many)
    yield case("2.11", cut(sent, 1), many)


def reserved_bits() -> Iterator[Case]:
    yield case("3.1", [frame(b"x", rsv=1)], codes=BROKEN)
    for number, chop in ((2, 1 << 20), (3, 50), (4, 1)):
        sent = text(b"one") + frame(b"two", rsv=number) + frame(b"", PING)
        yield case(f"3.{number}", cut(sent, chop), [b"one"], BROKEN)
    yield case("3.5", [frame(b"\xff", BINARY, rsv=5)], codes=BROKEN)
    yield case("3.6", [frame(b"x", PING, rsv=6)], codes=BROKEN)
    yield case("3.7", [frame(b"", CLOSE, rsv=7)], codes=BROKEN)


def opcodes() -> Iterator[Case]:
    for group, first in ((1, 3), (2, 11)):
        for number in range(5):
            bad = frame(b"reserved" if number % 2 else b"", first + number)
            before, told = ([text(b"one")], [b"one"]) if number >= 2 else ([], [])
            sent = b"".join([*before, bad, frame(b"", PING)])
            yield case(f"4.{group}.{number + 1}", cut(sent, 1 if number == 4 else 1 << 20), told, BROKEN)


def fragmentation() -> Iterator[Case]:
    two = pieces(b"frag", b"ment")
    loose, loose_open = frame(b"no start", CONTINUATION), frame(b"no start", CONTINUATION, fin=False)
    whole, begun = frame(b"{}"), frame(b"begun", fin=False)
    ping = frame(b"between", PING)
    for number, opcode in ((1, PING), (2, PONG)):
        yield case(f"5.{number}", [frame(b"frag", opcode, fin=False), frame(b"ment", CONTINUATION)], codes=BROKEN)
    for number, writes in enumerate(_written(two), start=3):
        yield case(f"5.{number}", writes, [b"fragment"])
    for number, writes in enumerate(_written([two[0], ping, two[1]]), start=6):
        yield case(f"5.{number}", writes, [b"between", b"fragment"])
    for number, writes in enumerate(_written([loose, whole]), start=9):
        yield case(f"5.{number}", writes, codes=BROKEN)
    for number, writes in enumerate(_written([loose_open, whole]), start=12):
        yield case(f"5.{number}", writes, codes=BROKEN)
    yield case("5.15", [*two, loose_open, whole], [b"fragment"], BROKEN)
    yield case("5.16", [loose_open, begun, loose] * 2, codes=BROKEN)
    yield case("5.17", [loose, begun, loose] * 2, codes=BROKEN)
    yield case("5.18", [begun, whole], codes=BROKEN)
    five = pieces(b"a", b"b", b"c", b"d", b"e")
    sent = [*five[:2], frame(b"1", PING), *five[2:4], frame(b"2", PING), five[4]]
    yield case("5.19", [b"".join(sent)], [b"1", b"2", b"abcde"])
    yield case("5.20", sent, [b"1", b"2", b"abcde"])


def _written(frames: list[bytes]) -> list[list[bytes]]:
    # In one write, frame by frame, byte by byte.
    data = b"".join(frames)
    return [[data], frames, cut(data, 1)]


def utf_8() -> Iterator[Case]:
    words = "Hello-µ@ßöäüàá-UTF-8!!".encode()
    broken = GREEK + b"\xed\xa0\x80" + b"edited"
    yield case("6.1.1", [frame()], [NOT_JSON])
    yield case("6.1.2", [frame(fin=False), frame(b"", 0, fin=False), frame(b"", 0)], [NOT_JSON])
    yield case("6.1.3", pieces(b"", b"middle", b""), [b"middle"])
    yield case("6.2.1", [text(words)], [words])
    yield case("6.2.2", pieces(words[:9], words[9:]), [words])
    yield case("6.2.3", pieces(*cut(words, 1)), [words])
    yield case("6.2.4", pieces(*cut(GREEK, 1)), [GREEK])
    yield case("6.3.1", [text(broken)], codes=NOT_UTF8)
    yield case("6.3.2", pieces(*cut(broken, 1)), codes=NOT_UTF8)
    # At once, with the rest of the message still to come.
    yield case("6.4.1", pieces(GREEK, b"\xf4\x90\x80\x80", b"edited")[:2], codes=NOT_UTF8)
    yield case("6.4.2", pieces(GREEK + b"\xf4", b"\x90", b"\x80\x80edited")[:2], codes=NOT_UTF8)
    whole = text(GREEK + b"\xf4\x90\x80\x80" + b"edited")
    yield case("6.4.3", [whole[: -len(b"edited" + AFTER)]], codes=NOT_UTF8)
    yield case("6.4.4", cut(whole[: -len(b"\x80\x80edited" + AFTER)], 1), codes=NOT_UTF8)
    for group, sequences in enumerate(_SEQUENCES, start=5):
        for number, sequence in enumerate(sequences, start=1):
            yield _sequence(f"6.{group}.{number}", sequence)


def _sequence(number: str, data: bytes) -> Case:
    try:
        data.decode()
    except UnicodeDecodeError:
        return case(number, [text(data)], codes=NOT_UTF8)
    # A control character is no part of a JSON text; that it got there shows all the same.
    return case(number, [text(data)], [NOT_JSON if data < b" " and data else data])


def _of_length(first: Iterable[int], rest: int) -> list[bytes]:
    return [bytes([byte]) + bytes([rest]) * (count + 1) for count, byte in enumerate(first)]


_OPEN = [b"\xc0", b"\xe0\x80", b"\xf0\x80\x80", b"\xf8\x80\x80\x80", b"\xfc\x80\x80\x80\x80"]
_FULL = [b"\xdf", b"\xef\xbf", b"\xf7\xbf\xbf", b"\xfb\xbf\xbf\xbf", b"\xfd\xbf\xbf\xbf\xbf"]
_HIGH = [b"\xed\xa0\x80", b"\xed\xad\xbf", b"\xed\xae\x80", b"\xed\xaf\xbf"]
_LOW = [b"\xed\xb0\x80", b"\xed\xbe\x80", b"\xed\xbf\xbf"]
# By number from 6.5 on; whether they are valid is left to Python's decoder, which knows.
_SEQUENCES: list[list[bytes]] = [
    [GREEK, b"plain", "ß".encode(), "水".encode(), "𝒳".encode()],
    [GREEK[:end] for end in range(1, len(GREEK) + 1)],
    [b"\x00", b"\xc2\x80", b"\xe0\xa0\x80", b"\xf0\x90\x80\x80"],
    [b"\xf8\x88\x80\x80\x80", b"\xfc\x84\x80\x80\x80\x80"],
    [b"\x7f", b"\xdf\xbf", b"\xef\xbf\xbf", b"\xf4\x8f\xbf\xbf"],
    _of_length([0xF7, 0xFB, 0xFD], 0xBF),
    [b"\xed\x9f\xbf", b"\xee\x80\x80", b"\xef\xbf\xbd", b"\xf4\x8f\xbf\xbf", b"\xf4\x90\x80\x80"],
    [b"\x80", b"\xbf", *[(b"\x80\xbf" * 3)[:count] for count in range(2, 7)], bytes(range(0x80, 0xC0))],
    [
        b"".join(bytes([byte]) + b" " for byte in range(*ends))
        for ends in itertools.pairwise([0xC0, 0xE0, 0xF0, 0xF8, 0xFC, 0xFE])
    ],
    [*_OPEN, *_FULL],
    [b"".join([*_OPEN, *_FULL])],
    [b"\xfe", b"\xff", b"\xfe\xfe\xff\xff"],
    [b"\xc0\xaf", b"\xe0\x80\xaf", b"\xf0\x80\x80\xaf", b"\xf8\x80\x80\x80\xaf", b"\xfc\x80\x80\x80\x80\xaf"],
    [b"\xc1\xbf", b"\xe0\x9f\xbf", b"\xf0\x8f\xbf\xbf", b"\xf8\x87\xbf\xbf\xbf", b"\xfc\x83\xbf\xbf\xbf\xbf"],
    [sequence + b"\x80" for sequence in _OPEN],
    [*_HIGH, *_LOW],
    [high + low for high in _HIGH for low in (_LOW[0], _LOW[2])],
    [chr(plane << 16 | low).encode() for plane in range(17) for low in (0xFFFE, 0xFFFF)],
    [chr(char).encode() for char in range(0xFFF9, 0x10000)],
]


def closes() -> Iterator[Case]:
    yield case("7.1.1", [text(b"first")], [b"first"])
    yield case("7.1.2", [close()])
    yield case("7.1.3", [close(), frame(b"", PING)])
    yield case("7.1.4", [close(), text(b"late")])
    yield case("7.1.5", [frame(BEFORE, fin=False), close(), frame(AFTER, CONTINUATION)])
    yield case("7.1.6", [text(sized(1 << 18)), close(), frame(b"", PING)], [sized(1 << 18)])
    yield case("7.3.1", [close(None)], codes={1000, 1005})
    yield case("7.3.2", [frame(b"a", CLOSE)], codes=BROKEN)
    yield case("7.3.3", [close()])
    yield case("7.3.4", [close(1000, b"Hello World!")])
    yield case("7.3.5", [close(1000, b"*" * 123)])
    yield case("7.3.6", [close(1000, b"*" * 124)], codes=BROKEN)
    yield case("7.5.1", [close(1000, GREEK + b"\xed\xa0\x80" + b"edited")], codes=NOT_UTF8 | BROKEN)
    valid = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999]
    for number, code in enumerate(valid, start=1):
        yield case(f"7.7.{number}", [close(code)], codes={code})
    invalid = [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999]
    for number, code in enumerate(invalid, start=1):
        yield case(f"7.9.{number}", [close(code)], codes=BROKEN)
    for number, code in enumerate([5000, 65535], start=1):
        yield case(f"7.13.{number}", [close(code)], codes=BROKEN)


def sizes() -> Iterator[Case]:
    """A quarter as large as there, the fragments of 64 bytes an eighth: they are about limits, not about speed."""
    for number, size in enumerate([16, 64, 256, 1024, 2048, 4096], start=1):
        yield case(f"9.1.{number}", [text(sized(size << 10))], [sized(size << 10)])
        yield case(f"9.2.{number}", [frame(b"\xfe" * (size << 10), BINARY)], codes=NOT_TEXT)
    for number in range(9):
        size = 64 << 2 * number
        whole = sized(1 << (19 if size == 64 else 20))
        yield case(f"9.3.{number + 1}", [b"".join(pieces(*cut(whole, size)))], [whole])
        yield case(f"9.4.{number + 1}", [frame(whole[:size], BINARY, fin=False)], codes=NOT_TEXT)
    for number in range(6):
        chop = 64 << number
        yield case(f"9.5.{number + 1}", cut(text(sized(1 << 18)), chop), [sized(1 << 18)])
        yield case(f"9.6.{number + 1}", cut(frame(sized(1 << 18), BINARY), chop), codes=NOT_TEXT)
    for number, size in enumerate([0, 16, 64, 256, 1024, 4096], start=1):
        yield case(f"9.7.{number}", [text(b"*" * size)] * 250, [b"*" * size] * 250)
        yield case(f"9.8.{number}", [frame(b"*" * size, BINARY)] * 250, codes=NOT_TEXT)


def many_fragments() -> Iterator[Case]:
    yield case("10.1.1", pieces(*cut(sized(65536), 1300)), [sized(65536)])


GROUPS = (framing, pings, reserved_bits, opcodes, fragmentation, utf_8, closes, sizes, many_fragments)


def cases(*, from_client: bool) -> list[Case]:
    """Returns all cases, as a client sends them or as a server does."""
    global _from_client
    _from_client = from_client
    return [found for group in GROUPS for found in group()]
