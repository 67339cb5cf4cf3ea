"""Turns, tools and approvals as OpenTelemetry spans and metrics, by the semantic conventions for generative AI.

A turn is a span ``invoke_agent NAME``, a child of the span that was current where it began; each of its tool calls is a
span ``execute_tool NAME`` below it, and each approval one ``approval NAME``, from the request to the answer, which the
conventions do not define. ``gen_ai.client.operation.duration`` and ``gen_ai.client.operation.time_to_first_chunk`` are
recorded in seconds. Contents of messages and tools are exported only on request.
"""

from __future__ import annotations

import contextlib
import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from sessionlib import hooks
from sessionlib._util.optional import extra
from sessionlib._version import __version__
from sessionlib.events import SessionEvent, SessionEventType
from sessionlib.hooks import SessionInfo
from sessionlib.protocol.turns import PendingPost

if TYPE_CHECKING:
    from opentelemetry.metrics import Histogram, MeterProvider
    from opentelemetry.trace import Span, Tracer, TracerProvider

__all__ = ["instrument"]

logger = logging.getLogger("sessionlib")

Attributes = dict[str, Any]

_SCHEMA = "https://opentelemetry.io/schemas/1.41.0"
# Bucket boundaries as the conventions advise for the two histograms.
_SECONDS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
_FIRST_SECONDS = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
# Statuses of tool calls in TOOL_CALL and TOOL_RESULT events, in lower case.
_FAILED = frozenset({"error", "failed"})
_ENDED = frozenset({"complete", "completed", "denied", *_FAILED})
# A span is exported whole: one with a file in it would exceed what collectors accept (4 MiB a gRPC message).
_LONGEST = 20_000
_HOSTED = "vectorshift.ai"


def instrument(
    *,
    content: bool = False,
    tracer_provider: TracerProvider | None = None,
    meter_provider: MeterProvider | None = None,
) -> Callable[[], None]:
    """Exports every turn that begins in this process from now on as spans and metrics.

    Args:
        content: Whether spans hold messages and the arguments and results of tools, each truncated to 20,000
            characters. False by default: they may hold personal data.
        tracer_provider: Where spans go; None for the global one.
        meter_provider: Where metrics go; None for the global one.

    Returns:
        The function that ends the export.

    Raises:
        MissingExtraError: OpenTelemetry is not installed.
        RuntimeError: The process is instrumented already.
    """
    with extra("otel", "telemetry"):
        from opentelemetry import metrics, trace
    # With the version of the conventions, so that a backend can translate attributes which are renamed later.
    tracer = trace.get_tracer("sessionlib", __version__, tracer_provider, _SCHEMA)
    meter = metrics.get_meter("sessionlib", __version__, meter_provider, _SCHEMA)
    duration = meter.create_histogram(
        "gen_ai.client.operation.duration",
        unit="s",
        description="How long turns and tool calls took.",
        explicit_bucket_boundaries_advisory=_SECONDS,
    )
    first = meter.create_histogram(
        "gen_ai.client.operation.time_to_first_chunk",
        unit="s",
        description="From a post to the first delta of the answer's text.",
        explicit_bucket_boundaries_advisory=_FIRST_SECONDS,
    )
    return hooks.install_turn_observer(_Telemetry(tracer, duration, first, content))


class _Operation:
    """A running span, and what its metrics need."""

    def __init__(self, span: Span, attributes: Attributes) -> None:
        self.span = span
        # Those that metrics have as well: of few values each, because every combination is a time series.
        self.attributes = attributes
        self.began = time.monotonic()
        self.error = ""
        self.has_delta = False
        # Children of a turn: tool calls by their ids, approvals by the ids of their requests.
        self.calls: dict[str, _Operation] = {}
        self.approvals: dict[str, _Operation] = {}


class _Telemetry:
    """Makes spans and metrics of the course of turns; a `TurnObserver`."""

    def __init__(self, tracer: Tracer, duration: Histogram, first: Histogram, content: bool) -> None:
        self._tracer = tracer
        self._duration = duration
        self._first = first
        self._content = content
        # Protects the turns and their children. Spans begin and end while it is held, which only queues them.
        # Reentrant, because a turn that the garbage collector finds may end in the middle of anything.
        self._lock = threading.RLock()
        # By the post itself: a turn need not have an id.
        self._turns: dict[PendingPost, _Operation] = {}

    def on_post(self, ticket: PendingPost, frame: dict[str, Any], about: SessionInfo) -> None:
        with self._safely():
            if ticket.makes_turn:
                self._begin_turn(ticket, frame, about)
                return
            # An answer to an approval request, of whatever turn.
            content = frame.get("content")
            value = content.get("value") if isinstance(content, dict) else None
            answer = value.get("tool_call_approval") if isinstance(value, dict) else None
            for turn in self._turns.values():
                approval = turn.approvals.pop(str(frame.get("parent_message_id") or ""), None)
                if approval is not None:
                    approves = isinstance(answer, dict) and "confirm" in answer
                    approval.span.set_attribute("sessionlib.approval.approved", approves)
                    self._end(approval)

    def on_event(self, ticket: PendingPost, event: SessionEvent) -> None:
        with self._safely():
            turn = self._turns.get(ticket)
            if turn is None:
                return
            handle = _HANDLERS.get(event.type)
            if handle is not None:
                handle(self, turn, event)
            if ticket.refusal is event:
                turn.error = "refused"
            if event is ticket.last or event is ticket.refusal:
                self._end_turn(ticket)

    def on_end(self, ticket: PendingPost, reason: str) -> None:
        with self._safely():
            if ticket in self._turns:
                self._turns[ticket].error = reason
                self._end_turn(ticket)

    @contextlib.contextmanager
    def _safely(self) -> Iterator[None]:
        with self._lock:
            try:
                yield
            except Exception:  # telemetry must never break the conversation that it observes
                logger.exception("! telemetry failed")

    # ---- turns -----------------------------------------------------------------------------------

    def _begin_turn(self, ticket: PendingPost, frame: dict[str, Any], about: SessionInfo) -> None:
        from opentelemetry.trace import SpanKind

        where = urlsplit(f"//{about.host}")
        hosted = (where.hostname or "").endswith(_HOSTED)
        # What metrics have as well: no id is among them.
        shared: Attributes = {
            "gen_ai.operation.name": "invoke_agent",
            # By the host's name, since frames do not name the platform.
            "gen_ai.provider.name": "vectorshift" if hosted else "sessionlib",
            "server.address": where.hostname or "",
            **({"server.port": where.port} if where.port else {}),
        }
        own = {
            "gen_ai.agent.id": about.agent_id,
            "gen_ai.agent.name": about.agent_name,
            "gen_ai.conversation.id": about.session_id() or "",
        }
        if self._content:
            contents = frame.get("messages") or [frame.get("content")]
            texts = [content if isinstance(content, str) else content.get("value") for content in contents]
            own["gen_ai.input.messages"] = _message("user", "\n".join(text for text in texts if isinstance(text, str)))
        attributes = {**shared, **{name: value for name, value in own.items() if value}}
        span = self._tracer.start_span(
            f"invoke_agent {about.agent_name}".strip(), kind=SpanKind.CLIENT, attributes=attributes
        )
        self._turns[ticket] = _Operation(span, shared)

    def _end_turn(self, ticket: PendingPost) -> None:
        turn = self._turns.pop(ticket)
        # What has no end of its own ends with its turn, or it would never be exported.
        for child in (*turn.calls.values(), *turn.approvals.values()):
            self._end(child)
        self._end(turn)

    def _end(self, operation: _Operation) -> None:
        from opentelemetry.trace import Status, StatusCode

        if operation.error:
            operation.span.set_attribute("error.type", operation.error)
            operation.span.set_status(Status(StatusCode.ERROR))
            operation.attributes["error.type"] = operation.error
        operation.span.end()
        if operation.attributes:
            self._duration.record(time.monotonic() - operation.began, operation.attributes)

    def _begin_child(self, turn: _Operation, name: str, attributes: Attributes, shared: Attributes) -> _Operation:
        from opentelemetry import trace

        # Not by the current context: events come on the reading thread, which has none of the caller's.
        context = trace.set_span_in_context(turn.span)
        return _Operation(self._tracer.start_span(name, context, attributes=attributes), shared)

    # ---- events ----------------------------------------------------------------------------------

    def _delta(self, turn: _Operation, event: SessionEvent) -> None:
        if not turn.has_delta:
            turn.has_delta = True
            seconds = time.monotonic() - turn.began
            turn.span.set_attribute("gen_ai.response.time_to_first_chunk", seconds)
            self._first.record(seconds, turn.attributes)

    def _complete(self, turn: _Operation, event: SessionEvent) -> None:
        if self._content:
            turn.span.set_attribute("gen_ai.output.messages", _message("assistant", event.text))

    def _error(self, turn: _Operation, event: SessionEvent) -> None:
        turn.error = turn.error or "_OTHER"  # the conventions' fallback for an error without a type

    def _call(self, turn: _Operation, event: SessionEvent) -> None:
        key, status = _call_id(event), str(event.data.get("status", "")).lower()
        if key not in turn.calls:
            attributes = _tool_attributes(event)
            if self._content:
                attributes["gen_ai.tool.call.arguments"] = _truncated(event.data.get("arguments"))
            shared = {**turn.attributes, "gen_ai.operation.name": "execute_tool"}
            name = attributes["gen_ai.tool.name"]
            turn.calls[key] = self._begin_child(turn, f"execute_tool {name}", attributes, shared)
        # Engines without a TOOL_RESULT report the end in a further TOOL_CALL.
        if status in _ENDED:
            self._result(turn, event)

    def _result(self, turn: _Operation, event: SessionEvent) -> None:
        call = turn.calls.pop(_call_id(event), None)
        if call is None:
            return
        if self._content:
            call.span.set_attribute("gen_ai.tool.call.result", _truncated(event.data.get("output")))
        if str(event.data.get("status", "")).lower() in _FAILED:
            call.error = "_OTHER"
        self._end(call)

    def _request(self, turn: _Operation, event: SessionEvent) -> None:
        key = event.message_id or _call_id(event)
        if key not in turn.approvals:
            attributes = {**_tool_attributes(event), "gen_ai.operation.name": "approval"}
            name = f"approval {attributes['gen_ai.tool.name']}"
            turn.approvals[key] = self._begin_child(turn, name, attributes, {})


_HANDLERS: dict[SessionEventType, Callable[[_Telemetry, _Operation, SessionEvent], None]] = {
    SessionEventType.MESSAGE_DELTA: _Telemetry._delta,
    SessionEventType.MESSAGE_COMPLETE: _Telemetry._complete,
    SessionEventType.ERROR: _Telemetry._error,
    SessionEventType.TOOL_CALL: _Telemetry._call,
    SessionEventType.TOOL_RESULT: _Telemetry._result,
    SessionEventType.APPROVAL_REQUEST: _Telemetry._request,
}


def _call_id(event: SessionEvent) -> str:
    return str(event.data.get("tool_call_id") or event.message_id or "")


def _tool_attributes(event: SessionEvent) -> Attributes:
    known = {"gen_ai.tool.call.id": event.data.get("tool_call_id")}
    return {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": str(event.data.get("tool_name") or "unknown"),
        **{name: str(value) for name, value in known.items() if value},
    }


def _message(role: str, text: object) -> str:
    return json.dumps([{"role": role, "parts": [{"type": "text", "content": str(text)[:_LONGEST]}]}])


def _truncated(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text[:_LONGEST]
