"""What the opening handshake costs; what it accepts is in `tests.faults.test_handshakes`."""

from __future__ import annotations

import sys
from types import FrameType

from sessionlib._util.timing import Deadline
from sessionlib.net.connect import CancelToken
from sessionlib.transport.websocket import open_websocket
from tests.support.script_engine import ScriptEngine

# Measured: 112, of which 30 are urllib's and ipaddress's. Read byte by byte by websocket-client it took 650.
MOST_CALLS = 130


def test_a_connection_is_opened_in_few_calls() -> None:
    calls = 0

    def count(frame: FrameType, event: str, argument: object) -> None:
        nonlocal calls
        calls += event == "call"

    with ScriptEngine() as engine:
        for _ in range(2):  # the first one loads what is loaded when it is needed
            calls = 0
            sys.setprofile(count)
            try:
                transport = open_websocket(
                    f"{engine.ws_url}/ws/session", "key", Deadline(5), CancelToken(), max_message_size=1000
                )
            finally:
                sys.setprofile(None)
            transport.close()
            transport.release()
    assert calls <= MOST_CALLS
