"""Turns, tools and approvals as OpenTelemetry tells them."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from sessionlib import Session, SessionError, hooks
from sessionlib.engine import LocalEngine
from sessionlib.protocol import frames
from sessionlib.telemetry import instrument
from sessionlib.testing import ScriptedModel, call_tool, fail
from tests.support.recordings import TOOLS
from tests.support.script_engine import ScriptEngine, notification, turn
from tests.support.secrets import LogWatch
from tests.support.sessions import opened, resumed_session


class Told:
    """What was exported."""

    def __init__(self) -> None:
        self._ends: list[Callable[[], None]] = []
        self._exporter = InMemorySpanExporter()
        self._reader = InMemoryMetricReader()
        self.spans_to = TracerProvider()
        self.spans_to.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.metrics_to = MeterProvider([self._reader])

    @property
    def spans(self) -> dict[str, ReadableSpan]:
        """The spans that have ended, by name."""
        return {span.name: span for span in self._exporter.get_finished_spans()}

    def points(self, name: str) -> list[Any]:
        """The points of a metric."""
        data = self._reader.get_metrics_data()
        metrics = [m for r in data.resource_metrics for s in r.scope_metrics for m in s.metrics] if data else []
        return [point for metric in metrics if metric.name == name for point in metric.data.data_points]

    def start(self, **options: Any) -> Callable[[], None]:
        """Begins telemetry; returns what ends it, as the end of the test does."""
        end = instrument(tracer_provider=self.spans_to, meter_provider=self.metrics_to, **options)
        self._ends.append(end)
        return end

    def close(self) -> None:
        """Ends it."""
        for end in [*self._ends, self.spans_to.shutdown, self.metrics_to.shutdown]:
            end()


@pytest.fixture
def told() -> Iterator[Told]:
    with contextlib.closing(Told()) as told:
        yield told


@pytest.fixture
def session() -> Iterator[Session]:
    """A session with an agent that refunds order 7."""
    model = ScriptedModel(call_tool("refund", order_id="7", amount=12.5), ["It was ", "refunded."])
    with LocalEngine(tools=TOOLS, model=model) as engine, engine.agent(name="Shop").create_session() as session:
        session.on_approval(lambda request: True)
        yield session


def refund(session: Session, **options: Any) -> None:
    """Has order 7 refunded, and leaves: whoever asks has its answer before the last of it is told to telemetry."""
    session.ask("Refund order 7 please", **options)
    session.disconnect()


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def test_a_turn_with_a_tool_and_an_approval_is_told_by_the_conventional_names(told: Told, session: Session) -> None:
    told.start()
    with told.spans_to.get_tracer("mine").start_as_current_span("my work") as mine:
        refund(session)
    assert set(told.spans) == {"invoke_agent Shop", "execute_tool refund", "approval refund", "my work"}

    turn = told.spans["invoke_agent Shop"]
    assert turn.kind is SpanKind.CLIENT
    assert turn.parent.span_id == mine.get_span_context().span_id
    known = attributes(turn)
    assert known.pop("gen_ai.response.time_to_first_chunk") > 0
    assert known.pop("server.port") > 0
    assert len(known.pop("gen_ai.agent.id")) == 32
    assert known == {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.provider.name": "sessionlib",
        "gen_ai.agent.name": "Shop",
        "gen_ai.conversation.id": session.session_id,
        "server.address": "127.0.0.1",
    }

    call, approval = told.spans["execute_tool refund"], told.spans["approval refund"]
    for below in (call, approval):
        assert below.kind is SpanKind.INTERNAL
        assert below.parent.span_id == turn.context.span_id
    facts = {"gen_ai.tool.name": "refund", "gen_ai.tool.call.id": attributes(call)["gen_ai.tool.call.id"]}
    assert attributes(call) == {"gen_ai.operation.name": "execute_tool", **facts}
    assert attributes(approval) == {
        "gen_ai.operation.name": "approval",
        "sessionlib.approval.approved": True,
        **facts,
    }
    assert approval.end_time <= call.start_time


def test_durations_are_measured_per_operation(told: Told, session: Session) -> None:
    told.start()
    refund(session)
    points = told.points("gen_ai.client.operation.duration")
    assert {point.attributes["gen_ai.operation.name"]: point.count for point in points} == {
        "invoke_agent": 1,
        "execute_tool": 1,
    }
    assert all("gen_ai.conversation.id" not in point.attributes for point in points)
    assert all("gen_ai.response.time_to_first_chunk" not in point.attributes for point in points)
    (first,) = told.points("gen_ai.client.operation.time_to_first_chunk")
    assert first.count == 1
    assert 0 < first.sum <= sum(point.sum for point in points)


def test_nothing_that_was_said_is_told_unless_that_is_asked_for(told: Told, session: Session) -> None:
    told.start()
    refund(session)
    everything = " ".join(span.to_json() for span in told.spans.values())
    assert "please" not in everything
    assert "refunded." not in everything
    assert "12.5" not in everything


def test_what_was_said_is_told_where_it_is_asked_for(told: Told, session: Session) -> None:
    told.start(content=True)
    refund(session)
    turn, call = attributes(told.spans["invoke_agent Shop"]), attributes(told.spans["execute_tool refund"])
    assert json.loads(turn["gen_ai.input.messages"]) == [
        {"role": "user", "parts": [{"type": "text", "content": "Refund order 7 please"}]}
    ]
    assert json.loads(turn["gen_ai.output.messages"])[0]["parts"][0]["content"] == "It was refunded."
    assert json.loads(call["gen_ai.tool.call.arguments"]) == {"order_id": "7", "amount": 12.5}
    assert call["gen_ai.tool.call.result"] == "12.50 EUR refunded for order 7"


def test_a_turn_that_fails_and_a_tool_that_fails_are_errors(told: Told) -> None:
    model = ScriptedModel(call_tool("look_up", wrong="argument"), fail("overloaded"))
    told.start()
    with LocalEngine(tools=TOOLS, model=model) as engine, engine.agent(name="Shop").create_session() as session:
        session.ask("Look it up")
    turn = told.spans["invoke_agent Shop"]
    assert turn.status.status_code is StatusCode.ERROR
    assert attributes(turn)["error.type"] == "_OTHER"
    (point,) = told.points("gen_ai.client.operation.duration")
    assert point.attributes["error.type"] == "_OTHER"


def test_a_denial_is_told_as_one(told: Told, session: Session) -> None:
    told.start()
    refund(session, on_approval=lambda request: False)
    assert attributes(told.spans["approval refund"])["sessionlib.approval.approved"] is False
    assert "execute_tool refund" not in told.spans


def test_tools_of_an_engine_that_tells_only_their_status_are_told(told: Told, engine: ScriptEngine) -> None:
    call = {"type": "tool_call", "tool_name": "search", "tool_id": "t1", "tool_call_id": "c1"}
    begun, ended = ({**call, "status": status} for status in ("running", "failed"))
    told_of = [notification("s1", "m7", begun), notification("s1", "m7", ended)]
    engine.on("post_message", lambda conn, frame: conn.send_many(turn(between=told_of)))
    told.start()
    with opened(engine) as session:
        session.ask("Hello!")
    span = told.spans["execute_tool search"]
    assert attributes(span)["error.type"] == "_OTHER"
    assert "invoke_agent" in told.spans  # whose name nobody knows


def test_turns_that_never_end_are_told_when_the_session_does(told: Told, engine: ScriptEngine) -> None:
    engine.on("post_message", lambda conn, frame: conn.send(frames.refusal("post_message", "s1", "no")))
    told.start()
    with opened(engine) as session, pytest.raises(SessionError):
        session.ask("Hello!")
    assert attributes(told.spans["invoke_agent"])["error.type"] == "refused"
    engine.off("post_message")
    with opened(engine) as session:
        session.send("Hello?")
    assert attributes(told.spans["invoke_agent"])["error.type"] == "disconnected"


def test_a_watcher_that_fails_stops_nothing(
    told: Told, engine: ScriptEngine, log_watch: LogWatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.on("post_message", lambda conn, frame: conn.send_many(turn()))

    def break_down(*args: Any, **options: Any) -> None:
        raise RuntimeError("no more spans")

    told.start()
    observer: Any = hooks.turn_observer
    monkeypatch.setattr(observer, "_begin_turn", break_down)
    with resumed_session(engine) as session:
        assert session.ask("Hello!").text == "Hello there"
    assert any("! telemetry failed" in line for line in log_watch.lines)


def test_it_is_begun_once_and_can_be_ended(told: Told, session: Session) -> None:
    end = told.start()
    with pytest.raises(RuntimeError, match="end that first"):
        instrument()
    end()
    refund(session)
    assert not told.spans
    assert hooks.turn_observer is None
