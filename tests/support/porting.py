"""Scripts of the official SDK, ported as the README says, and what a client of either kind has sent."""

from __future__ import annotations

import re

from sessionlib.protocol.frames import Frame
from tests.support.script_engine import ScriptEngine


def ported(script: str) -> str:
    """Returns a script, ported as the README says."""
    without = re.sub(r"\b(async|await) ", "", script).replace("asyncio.run(main())", "main()")
    return without.replace("import asyncio\n", "").replace("vectorshift", "sessionlib")


def said(engine: ScriptEngine) -> list[Frame]:
    """Returns what a client has sent, without heartbeats."""
    return [dict(frame) for frame in engine.received if frame["type"] != "ping_session"]
