"""Tools for testing code that uses live agents. May import the engine lazily; nothing else of the package imports this.

Recordings (`record`, `replay`, `cassette`) need neither network nor engine. `ScriptedModel` answers on the embedded
engine (extra ``[engine]``) exactly as a test wants, and `FaultProxy` breaks the network between a client and an
engine. The pytest plugin, active wherever both are installed, has fixtures for them: ``session_engine``,
``session_model`` and ``session_cassette``.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from sessionlib.testing.cassette import Cassette, cassette, record, replay
from sessionlib.testing.format import RecordingError, ReplayMismatchError

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

# Imported on first use: a replay needs neither an engine nor a proxy.
_LAZY = {
    "faults.proxy": ("FaultProxy",),
    "model": ("ScriptedModel", "call_tool", "fail", "pause", "think"),
}
_MODULE_OF = {name: module for module, names in _LAZY.items() for name in names}


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
