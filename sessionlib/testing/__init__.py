"""Testing code that talks to live agents.

Recordings (`record`, `replay`, `cassette`) need neither network nor engine. `ScriptedModel` says exactly what a test
wants on the embedded engine (extra ``[engine]``), and `FaultProxy` breaks the network between a client and
an engine. The pytest plugin, which is there wherever both are installed, has them as fixtures: ``session_engine``,
``session_model`` and ``session_cassette``.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from sessionlib.testing.cassette import Cassette, cassette, record, replay
from sessionlib.testing.errors import RecordingError, ReplayMismatchError

if TYPE_CHECKING:
    from sessionlib.testing.faults.proxy import FaultProxy
    from sessionlib.testing.model import ScriptedModel, call_tool, fail, pause, think

__all__ = [
    "Cassette",
    "FaultProxy",
    "RecordingError",
    "ReplayMismatchError",
    "ScriptedModel",
    "call_tool",
    "cassette",
    "fail",
    "pause",
    "record",
    "replay",
    "think",
]

# Loaded when first asked for: who replays needs neither an engine nor a proxy.
_LATER = {
    "faults.proxy": ("FaultProxy",),
    "model": ("ScriptedModel", "call_tool", "fail", "pause", "think"),
}
_ROOM_OF = {name: room for room, names in _LATER.items() for name in names}


def __getattr__(name: str) -> object:
    if name not in _ROOM_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_ROOM_OF[name]}"), name)
