"""Sessions on a ScriptEngine, and an engine that asks before it runs a tool."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable
from typing import Any

from sessionlib import Session, SessionEvent
from sessionlib.protocol import frames
from sessionlib.protocol.frames import Frame
from tests.support.script_engine import Connection, Received, ScriptEngine
from tests.support.secrets import SENTINEL_KEY
from tests.support.turns import notification, text_content


def connect(engine: ScriptEngine, **options: Any) -> Session:
    options = {"session_id": engine.session_id, "base_url": engine.base_url, "reconnect": False, **options}
    return Session(api_key=SENTINEL_KEY, **options).connect(30)


def created(engine: ScriptEngine, **options: Any) -> Session:
    """Creates a session on the engine, as an agent's `create_session` does."""
    return connect(engine, session_id=None, owner_type="agent", owner_id="a1", **options)


def kinds(events: Iterable[SessionEvent]) -> list[str]:
    """The types of events, with a status in its place."""
    return [str(event.participant_status or event.type) for event in events]


def status(name: str) -> Frame:
    return frames.participant_status("s1", name)


def say(text: str, message_id: str = "m1") -> Frame:
    return notification("s1", message_id, text_content(text))


def asking(message_id: str, tool: str | None = "refund", **more: Any) -> Frame:
    content = {"type": "tool_call_approval", "tool_name": tool, "tool_call_id": f"call-{message_id}", **more}
    return notification("s1", message_id, {"arguments": {"order": 7}, **content})


class Toolbox:
    """Makes a ScriptEngine ask before it runs tools.

    A post ``run a b`` is a turn in which the tools a and b are asked for, one after the other. The first answer to
    each stands. Any other post is answered with its own text.

    Attributes:
        ran: How often each tool ran.
        given: The arguments of each run, in order.
        denied: The reasons of the denials, in order.
    """

    def __init__(self, engine: ScriptEngine) -> None:
        self.ran: Counter[str] = Counter()
        self.given: list[dict[str, Any]] = []
        self.denied: list[str] = []
        # Protects all of the above and below: connections have a runner each.
        self._lock = threading.Lock()
        self._numbers = 0
        self._open: dict[str, str] = {}
        self._answered: dict[str, bool] = {}
        self._to_come: list[str] = []
        engine.on("post_message", self._posted)

    def _posted(self, conn: Connection, frame: Received) -> None:
        content = frame["content"]
        if isinstance(content, dict):
            told = self._answer(str(frame.get("parent_message_id")), content["value"]["tool_call_approval"])
        elif content.startswith("run "):
            told = [frames.ack("post_message", "s1"), status("Processing"), *self._begin(content.split()[1:])]
        else:
            told = [frames.ack("post_message", "s1"), status("Processing"), *self._end(content)]
        conn.send_many(told)

    def _begin(self, tools: list[str]) -> list[Frame]:
        with self._lock:
            self._to_come = tools
            return self._ask_next()

    def _ask_next(self) -> list[Frame]:
        tool, *self._to_come = self._to_come
        self._numbers += 1
        self._open[f"r{self._numbers}"] = tool
        return [asking(f"r{self._numbers}", tool), status("AwaitingApproval")]

    def _answer(self, request: str, verdict: dict[str, Any]) -> list[Frame]:
        with self._lock:
            if request not in self._open:
                return [_refusal(request, self._answered)]
            tool = self._open.pop(request)
            self._answered[request] = "confirm" in verdict
            told = [frames.ack("post_message", "s1"), status("Processing"), self._run(request, tool, verdict)]
            return [*told, *(self._ask_next() if self._to_come else self._end("done"))]

    def _run(self, request: str, tool: str, verdict: dict[str, Any]) -> Frame:
        facts = {"tool_name": tool, "tool_call_id": f"call-{request}"}
        if "deny" in verdict:
            self.denied.append(verdict["deny"])
            return notification("s1", f"{request}x", {"type": "tool_result", **facts, "status": "denied"})
        self.ran[tool] += 1
        self.given.append({"order": 7, **verdict["confirm"]})
        return notification("s1", f"{request}x", {"type": "tool_result", **facts, "status": "success", "output": 1})

    def _end(self, text: str) -> list[Frame]:
        self._numbers += 1
        return [say(text, f"m{self._numbers}"), status("Idle")]


def _refusal(request: str, answered: dict[str, bool]) -> Frame:
    if request not in answered:
        return frames.refusal("post_message", "s1", "no such request", code="approval_not_found")
    facts = {"code": "approval_already_answered", "approved": answered[request]}
    return frames.refusal("post_message", "s1", "it was answered before", **facts)
