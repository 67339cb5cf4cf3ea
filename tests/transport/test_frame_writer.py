"""What goes out, in which order, and what its senders learn: a socket's room, interrupts and ends at any place."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from typing import Any

import pytest
from websocket import ABNF

from sessionlib._util.timing import Deadline
from sessionlib.errors import SessionDisconnectedError, SessionTimeoutError
from sessionlib.transport import frame_writer
from sessionlib.transport.frame_writer import FrameWriter, encode_frame
from sessionlib.transport.websocket import WebSocketTransport

OPCODES = {0x0: "_", 0x1: "T", 0x8: "C", 0x9: "P", 0xA: "O"}


def unmasked(data: bytes, key: bytes) -> bytes:
    return bytes(byte ^ mask for byte, mask in zip(data, itertools.cycle(key), strict=False))


@pytest.mark.parametrize("is_last", [True, False])
@pytest.mark.parametrize("size", [0, 1, 3, 125, 126, 16383, 16384, 16387, 40000, 65535, 65536, 70001])
def test_a_frame_of_any_size(size: int, is_last: bool) -> None:
    payload = (bytes(range(251)) * (size // 251 + 1))[:size]
    frame = encode_frame(ABNF.OPCODE_TEXT, payload, is_last)
    assert frame[0] == (0x81 if is_last else 0x01)
    length, begin = frame[1] & 0x7F, {126: 4, 127: 10}.get(frame[1] & 0x7F, 2)
    assert frame[1] & 0x80
    assert (length if begin == 2 else int.from_bytes(frame[2:begin], "big")) == size
    assert begin == (2 if size < 126 else 4 if size < 65536 else 10)
    assert unmasked(frame[begin + 4 :], frame[begin : begin + 4]) == payload
    assert encode_frame(ABNF.OPCODE_TEXT, b"").startswith(b"\x81\x80")


def test_each_frame_has_a_key_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = itertools.count(1)
    monkeypatch.setattr(frame_writer, "_keys", [])
    monkeypatch.setattr(
        frame_writer.os, "urandom", lambda size: b"".join(next(drawn).to_bytes(4, "big") for _ in range(size // 4))
    )
    keys = {encode_frame(ABNF.OPCODE_TEXT, b"{}")[2:6] for _ in range(2 * frame_writer._KEYS + 1)}
    assert len(keys) == 2 * frame_writer._KEYS + 1
    assert len(frame_writer._keys) == frame_writer._KEYS - 1


def test_a_fork_masks_with_other_keys_than_its_parent() -> None:
    program = (
        "import os; from sessionlib.transport import frame_writer as w; w.encode_frame(1, b''); assert w._keys\n"
        "child = os.fork()\n"
        "if not child: os._exit(len(w._keys) != 0)\n"
        "assert os.waitpid(child, 0)[1] == 0"
    )
    if hasattr(os, "fork"):
        subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


class ScriptedStream:
    """Has so much room, and something happen at each wait for more of it."""

    is_committed, recv = False, None  # nothing is read

    def __init__(self) -> None:
        self.room = 1000
        self.waits: list[str] = []
        self.writes = 0
        self.written = bytearray()
        self.failures: list[type[BaseException] | None] = []
        self.ends = ""
        self.script: WriterScript

    def try_write(self, data: memoryview) -> int:
        if self.ends:
            raise SessionDisconnectedError("reset")
        count = min(self.room, len(data))
        self.room -= count
        self.writes += 1
        self.written += data[:count]
        if self.failures and (failure := self.failures.pop(0)):
            raise failure
        return count

    def wait_writable(self, deadline: Deadline) -> bool:
        what = self.waits.pop(0) if self.waits else "t"
        if what in "kK":
            self.room += 99 * (what == "K")
            raise KeyboardInterrupt
        if what.isdigit():
            self.room += int(what)
        elif what != "t":
            self.script.take(what)
        return what != "t"

    def shutdown(self) -> None:
        self.ends += "shut "

    def close(self) -> None:
        self.ends += "closed "


class WriterScript:
    """Runs a script: a digit sets the room, ``W`` with letters after it what the next waits bring.

    A wait brings room (a digit), t(oo late), k, an interrupt, K, one and room, or one of the steps. These are s(end),
    f, a fragment, and F, the last of a message, e(nqueue), E, with more to come, p(ing), o, a pong, c(lose), C, which
    waits, a(bort) and r(elease); ``K`` has the next write interrupted, ``X`` refused, ``-`` succeed, ``!`` commits the
    stream to what it has begun.
    """

    def __init__(self, script: str) -> None:
        self._stream: Any = ScriptedStream()
        self._stream.script = self
        self.writer = WebSocketTransport(self._stream, 1000)
        self._results: list[str] = []
        self._messages: list[object] = []
        for step in script.split():
            self.take(step)

    def take(self, step: str) -> None:
        writer, stream, deadline = self.writer, self._stream, Deadline(60)
        if step.isdigit():
            stream.room = int(step)
        elif step[0] == "W":
            stream.waits = list(step[1:])
        elif step == "!":
            stream.is_committed = True
        elif step in "-KX":
            stream.failures.append({"K": KeyboardInterrupt, "X": SessionDisconnectedError}.get(step))
        elif step == "s":
            message = b"%d" % len(self._messages)
            self._messages.append(message)
            self._results.append(self._try(lambda: writer.send(message, deadline)))
        elif step in "fF":
            number = len(self._messages)
            self._messages.append(self._messages[-1] if step == "F" and self._messages else f"message {number}")
            frame = encode_frame(ABNF.OPCODE_TEXT if step != "F" else ABNF.OPCODE_CONT, b"%d" % number, step != "f")
            self._results.append(self._try(lambda: writer.write(frame, deadline, step != "f", self._messages[-1])))
        elif step in "eE":
            self._try(lambda: writer.enqueue(b"e", more=step == "E"))
        else:
            steps: dict[str, Any] = {
                "p": writer.ping,
                "o": lambda: writer.pong(b"o"),
                "c": lambda: writer.close(1001, "bye"),
            }
            steps |= {"C": lambda: writer.close(deadline=deadline), "a": writer.abort, "r": writer.release}
            result = self._try(steps[step])
            if result != "ok":
                self._results.append(f"{step}:{result}")

    @staticmethod
    def _try(step: Any) -> str:
        try:
            step()
        except SessionTimeoutError:
            return "late"
        except SessionDisconnectedError as error:
            return "ended" if "has ended" in str(error) else "lost"
        except KeyboardInterrupt:
            return "^C"
        return "ok"

    def outcome(self) -> str:
        """The results of the sends, which of their messages have left, the frames, and what became of the stream."""
        data, frames = bytes(self._stream.written), []
        while data:
            end = 6 + (data[1] & 0x7F if len(data) > 1 else 0)
            text = unmasked(data[6:end], data[2:6]) if len(data) >= end else b"..."
            name = OPCODES[data[0] & 0xF].lower() if not data[0] & 0x80 else OPCODES[data[0] & 0xF]
            code = (
                f"{int.from_bytes(text[:2], 'big')}{text[2:].decode()}"
                if name == "C" and text != b"..."
                else text.decode()
            )
            frames.append(name + code)
            data = data[end:]
        left = ["left" if self.writer.has_left(message) else "not" for message in self._messages]
        results = [f"{result}/{fate}" for result, fate in zip(self._results, left, strict=False)]
        results += self._results[len(left) :]
        ends = "waiting" * self.writer._has_waiting(), "in" * self.writer.in_message, self._stream.ends.strip()
        return " ".join([*results, "|", *frames, "|", *filter(None, ends)])


SCRIPTS = {
    "5 p Wc99 s": "ended/not | P C1001bye |",
    "5 p Wa9 s": "ended/not | P... | waiting shut shut",
    "0 s": "late/not | | shut",
    "F e": "ok/left | _0 Te |",
    "1 Wo9C C": "| C1000 |",
    "r F": "ended/not | | shut closed",
    "K f": "^C/not | t0 | shut",
    "5 p F": "late/not | P... | waiting shut",
    "0 c": "| | waiting",
    "1 f": "late/not | t... | waiting in shut",
    "X p": "| P | waiting",
    "p f e s": "ok/not ok/left | P t0 T1 Te |",
    "Wkoo 0 s": "^C/not | |",
    "e f e e e e e e e e e F": "ok/left ok/left | Te t0 _1 Te Te Te Te Te Te Te Te |",
    # What was left for a sender that is interrupted or refused goes out all the same, and nothing behind a close.
    "0 WecK s": "^C/not | Te C1001bye |",
    "0 e c 99 s": "ended/not | Te C1001bye |",
    "e c p e s": "ended/not | Te C1001bye |",
    "0 e WecK s": "^C/not | Te Te C1001bye |",
    "! 0 WecK s": "^C/left | T0 Te C1001bye |",
    "0 e W99 C": "| Te C1000 |",
    "E": "| | waiting",
    # The answer to a close is refused behind a message that has left whole.
    "- - - - X 5 Wc9 s": "ok/not | T0 C... | waiting",
}


@pytest.mark.parametrize("script", SCRIPTS)
def test_what_a_script_comes_to(script: str) -> None:
    assert WriterScript(script).outcome() == SCRIPTS[script]


def test_a_farewell_leaves_in_one_write_with_the_close() -> None:
    script = WriterScript("E c p E C")
    assert (script.outcome(), script._stream.writes) == ("| Te C1001bye |", 1)


def test_a_reason_has_the_room_of_a_control_frame() -> None:
    stream: Any = ScriptedStream()
    FrameWriter(stream).close(1000, "ü" * 100)
    assert len(stream.written) == 2 + 4 + 125
