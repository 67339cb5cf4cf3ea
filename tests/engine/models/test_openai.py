"""The model of an endpoint, against an endpoint made for the test: good answers, and everything else."""

from __future__ import annotations

import contextlib
import email.utils
import json
import logging
import threading
import types
from typing import Any

import openai
import pytest

from sessionlib.engine import Limits, LocalEngine, ModelError, tool
from sessionlib.engine.models import (
    CallResult,
    ModelMessage,
    ModelRequest,
    OpenAIModel,
    RequestedCall,
    TextDelta,
    ThinkingDelta,
    ToolSpec,
)
from sessionlib.engine.models import openai as openai_model
from sessionlib.engine.models.factory import make_model
from sessionlib.engine.sessions.cancellation import Stop, StoppedError
from tests.support.endpoint import DONE, END, HI, KEY, OK, Endpoint, Reply, calls, delta, end, failing, sse
from tests.support.engine import Caller, answer_of, approve, content_of, eventually
from tests.support.http_server import Handler, raw
from tests.support.servers import held_port
from tests.support.waiting import within

GOOD = sse(delta(content="Hel"), delta(content="lo"), END, DONE)
HELLO = [TextDelta("Hel"), TextDelta("lo")]


def test_text_thoughts_and_calls_are_streamed() -> None:
    events = (
        delta(role="assistant", reasoning_content="hm"),
        delta(content="I will "),
        delta(content="look."),
        calls((0, "a", "add", '{"a":')),
        calls((1, "b", "add", "nonsense")),
        calls((0, ..., ..., " 1}")),
    )
    with Endpoint(sse(*events, end("tool_calls"), DONE)) as endpoint:
        assert endpoint.ask(instructions="Be brief.") == [
            ThinkingDelta("hm"),
            TextDelta("I will "),
            TextDelta("look."),
            RequestedCall("add", {"a": 1}),
            RequestedCall("add", "nonsense"),
        ]
    assert endpoint.requests[0]["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "hi"},
    ]
    assert endpoint.seen[0].headers["authorization"] == f"Bearer {KEY}"


def test_a_whole_turn_with_a_tool_and_an_approval() -> None:
    @tool(approval="requires_approval")
    def weather(city: str) -> str:
        """Tell the weather."""
        return f"rain in {city}"

    asking = sse(calls((0, "c", "weather", '{"city": "Rome"}')), end("tool_calls"), DONE)
    with (
        Endpoint(asking, OK) as endpoint,
        LocalEngine(tools=[weather], model=endpoint.model) as engine,
        Caller.on(engine) as caller,
    ):
        asked = caller.ask_for_approval("weather?")
        caller.ask(approve(city="Oslo"), asked["id"])
        assert answer_of(caller.heard) == "ok"
    first, again = endpoint.requests
    offered = first["tools"][0]["function"]
    assert (offered["name"], offered["description"]) == ("weather", "Tell the weather.")
    assert offered["parameters"]["required"] == ["city"]
    _, step, result = again["messages"]
    assert [message["role"] for message in again["messages"]] == ["user", "assistant", "tool"]
    call = step["tool_calls"][0]
    assert (call["function"]["name"], json.loads(call["function"]["arguments"])) == ("weather", {"city": "Oslo"})
    assert result == {"role": "tool", "tool_call_id": call["id"], "content": "rain in Oslo"}


def test_every_message_of_the_past_has_a_content_and_every_call_a_result() -> None:
    results = (
        CallResult("1", "add", {"a": 1}, "complete", 2),
        CallResult("2", "add", {}, "error", "this call was not run"),
    )
    said = ModelMessage("assistant"), ModelMessage("user", "add"), ModelMessage("assistant", results=results)
    with Endpoint(GOOD) as endpoint:
        endpoint.ask(HI, *said)
    messages = endpoint.requests[0]["messages"]
    contents = ["hi", "(no answer)", "add", None, "2", "Error: this call was not run"]
    assert [message["content"] for message in messages] == contents
    asked = [call["id"] for message in messages for call in message.get("tool_calls", ())]
    assert asked == [message["tool_call_id"] for message in messages if message["role"] == "tool"]


@pytest.mark.parametrize(
    "first", [failing(429, "Retry-After: 0"), failing(500), failing(503), b""], ids=["429", "500", "503", "closed"]
)
def test_what_may_pass_is_tried_again(first: bytes) -> None:
    with Endpoint(first, GOOD) as endpoint:
        assert endpoint.ask() == HELLO
        assert len(endpoint.requests) == 2


OWN, NEVER = None, -1.0
NOW = 1_000_000_000.0


def _at(seconds: float) -> str:
    return f"Retry-After: {email.utils.formatdate(NOW + seconds, usegmt=True)}"


# What a failure asks to wait before the next try; where the openai package sees it otherwise, that too.
WAITS: list[tuple[int, list[str], float | None] | tuple[int, list[str], float | None, float | None]] = [
    *[(status, [], OWN) for status in (408, 409, 429, 500, 501, 502, 503, 504, 507, 520, 524, 529, 599)],
    *[(status, [], NEVER) for status in (400, 401, 403, 404, 410, 413, 418, 422, 423, 424, 451, 499)],
    # "Too early" is an invitation to come again (RFC 8470, 5.2).
    (425, [], OWN, NEVER),
    (429, ["Retry-After: 2"], 2.0),
    (503, ["retry-after: 2.5"], 2.5),
    (529, ["RETRY-AFTER: 3"], 3.0),
    (408, ["Retry-After:  +4 "], 4.0),
    (429, ["Retry-After: .5"], 0.5),
    (429, ["Retry-After: 1e1"], 10.0),
    (429, [_at(30)], 30.0),
    (429, ["retry-after-ms: 4500"], 4.5),
    (429, ["retry-after-ms: 4500", "Retry-After: 9"], 4.5),
    (429, ["retry-after-ms: soon", "Retry-After: 9"], 9.0),
    (429, ["Retry-After: 59"], 59.0),
    (400, ["Retry-After: 2"], NEVER),
    # Nothing that can be waited for.
    *[
        (429, [f"Retry-After: {text}"], OWN)
        for text in ("0", "-5", "nan", "inf", "soon", "", "2s", "2, 3", "Thu, 01 Jan 99999 00:00:00 GMT")
    ],
    (429, [_at(-30)], OWN),
    (429, ["retry-after-ms: 0"], OWN),
    (429, ["retry-after-ms: -1"], OWN),
    # When the whole budget is there again, not when the next request fits into it.
    (429, ["x-ratelimit-reset-requests: 30s", "x-ratelimit-reset-tokens: 6m0s"], OWN),
    (429, ["x-ratelimit-reset: 1795966321"], OWN),
    # Longer than a person would want to wait unasked. The package waits for two minutes, and did for one before.
    (429, ["Retry-After: 60"], NEVER, 60.0),
    (429, ["Retry-After: 120"], NEVER, 120.0),
    *[(429, [f"Retry-After: {text}"], NEVER) for text in ("121", "99999", "9" * 400, "1e400")],
    (429, [_at(9999)], NEVER),
    (429, ["retry-after-ms: 999999999"], NEVER),
    (400, ["x-should-retry: true"], OWN),
    (503, ["x-should-retry: false", "Retry-After: 2"], NEVER),
    (429, ["x-should-retry: True"], OWN),
    (429, ["x-should-retry: true", "Retry-After: 500"], NEVER),
]


def _is(waits: list[float], expected: float | None, first: float) -> bool:
    if expected == NEVER:
        return not waits
    if expected is None:
        return len(waits) == 2 and waits[0] <= first and waits[1] <= 2 * first
    return len(waits) == 2 and all(expected <= wait <= max(2 * first, 1.21 * expected) for wait in waits)


def test_what_may_pass_is_tried_again_when_the_endpoint_asks_for_it_as_the_openai_package_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    theirs: list[float] = []
    ours: list[float] = []
    clock = types.SimpleNamespace(sleep=theirs.append, time=lambda: NOW)
    for module in ("openai._base_client", "sessionlib.net.retry"):
        monkeypatch.setattr(f"{module}.time", clock)
    monkeypatch.setattr(openai_model, "_sleep", lambda seconds, stop: ours.append(seconds))
    with Endpoint() as endpoint, openai.OpenAI(base_url=endpoint.url, api_key=KEY, max_retries=2) as package:
        for status, headers, expected, *other in WAITS:
            endpoint.answer(raw(failing(status, *headers)))
            ours.clear()
            with pytest.raises(ModelError):
                endpoint.ask()
            assert _is(ours, expected, first=1.0), (status, headers, ours)
            theirs.clear()
            with pytest.raises(openai.APIStatusError):
                package.chat.completions.create(model="m", messages=[{"role": "user", "content": "hi"}])
            assert _is(theirs, other[0] if other else expected, first=0.5), (status, headers, theirs)


EVENTS = sse()
ON = sse(delta(content="on and ")).removeprefix(EVENTS)


def drip(handler: Handler) -> None:
    raw(EVENTS)(handler)
    raw(b"x", pause=0.05, forever=True)(handler)


def pour(handler: Handler) -> None:
    raw(EVENTS)(handler)
    raw(ON, forever=True)(handler)


hang = raw(b"", pause=10)


@pytest.mark.parametrize(
    ("reply", "told", "tries"),
    [
        (failing(401), "refused the key (401)", 1),
        (failing(403), "refused the key (403)", 1),
        (failing(404, message="no such model"), "failed (404): ", 1),
        (failing(400), "failed (400): ", 1),
        (failing(302, "Location: http://127.0.0.1:1/"), "failed", 1),
        (failing(429, "Retry-After: 0"), "failed (429)", 3),
        (failing(429, "Retry-After: 99999"), "failed (429)", 1),
        (failing(500), "failed (500)", 3),
        (b"", "cannot be reached", 3),
        (b"garbage\r\n\r\n", "cannot be reached", 3),
        (hang, "did not answer in time", 3),
        (sse(delta(content="half")), "ended early", 1),
        (sse("{nonsense"), "broken answer", 1),
        (sse("[1, 2]"), "broken answer", 1),
        (sse({"error": {"message": "overloaded"}}), "overloaded", 3),
    ],
)
def test_an_endpoint_that_fails_ends_the_answer_in_words_without_the_key(
    reply: Reply | bytes, told: str, tries: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    # Short only for the one that is about it: each other answer is to be waited for, and asked for once.
    with Endpoint(reply, timeout=1.0 if reply is hang else 30.0) as endpoint, pytest.raises(ModelError) as failed:
        endpoint.ask()
    assert told in str(failed.value)
    assert KEY not in str(failed.value) + repr(endpoint.model) + caplog.text
    assert len(endpoint.requests) == tries


def test_a_word_that_stands_for_no_key_is_left_in_what_is_reported() -> None:
    refused = pytest.raises(ModelError, match="none of these")
    with Endpoint(failing(400, message="none of these"), key="none") as endpoint, refused:
        endpoint.ask()


@pytest.mark.parametrize("host", ["127.0.0.1", "nowhere.invalid"])
def test_an_endpoint_that_is_not_there_is_reported(host: str) -> None:
    with held_port() as port:
        model = OpenAIModel("m", base_url=f"http://{host}:{port}/v1", api_key=KEY)
        with contextlib.closing(model), pytest.raises(ModelError, match="cannot be reached"):
            list(model.answer(ModelRequest("", (HI,))))


@pytest.mark.parametrize("reply", [drip, pour, hang])
def test_a_turn_does_not_wait_for_an_endpoint_that_never_ends(reply: Reply) -> None:
    limits = Limits(turn_seconds=0.5, answer_chars=10**9)
    with Endpoint(reply, timeout=2.0) as endpoint:
        with LocalEngine(model=endpoint.model, limits=limits) as engine, Caller.on(engine) as caller, within(29):
            assert "its 0.5 s are over" in content_of(caller.ask("hi")[-2])["error"]
        eventually(lambda: not [t for t in threading.enumerate() if t.name.startswith("sessionlib-model")])


# ---- answers that have to fit a schema -----------------------------------------------------

SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "size": {"anyOf": [{"$ref": "#/$defs/S"}, {"type": "null"}], "default": None},
    },
    "required": ["name"],
    "$defs": {"S": {"type": "object", "properties": {"w": {"type": "integer"}}, "required": ["w"]}},
}


def ask_for(schema: Any, *replies: Reply | bytes, times: int = 1, tools: Any = ()) -> list[Any]:
    """Returns what each request had for a response_format."""
    with Endpoint(*replies) as endpoint:
        for _ in range(times):
            assert endpoint.ask(tools=tools, response_format={"name": "list[Line]", "schema": schema}) == HELLO
    return [request.get("response_format") for request in endpoint.requests]


def test_an_endpoint_holds_the_answer_to_the_schema() -> None:
    (sent,) = ask_for(SCHEMA, GOOD)
    assert sent["type"] == "json_schema"
    assert (sent["json_schema"]["name"], sent["json_schema"]["strict"]) == ("list_Line_", True)
    schema = sent["json_schema"]["schema"]
    # OpenAI's strict mode takes no default, and wants each property required and no others allowed.
    assert schema["required"] == ["name", "size"]
    assert schema["additionalProperties"] is False
    assert schema["properties"]["size"] == {"anyOf": [{"$ref": "#/$defs/S"}, {"type": "null"}]}
    assert schema["$defs"]["S"] == {**SCHEMA["$defs"]["S"], "additionalProperties": False}  # type: ignore[index]


@pytest.mark.parametrize("free", [{"type": "object"}, {"type": "object", "additionalProperties": {"type": "string"}}])
def test_a_schema_that_strict_mode_does_not_take_is_sent_as_it_is(free: Any) -> None:
    schema = {"type": "object", "properties": {"free": {"type": "array", "items": free}}}
    (sent,) = ask_for(schema, GOOD)
    assert sent["json_schema"] == {"name": "list_Line_", "schema": schema, "strict": False}


def test_an_endpoint_that_does_not_know_schemas_is_asked_without_from_then_on() -> None:
    unknown = failing(400, message="response_format: unknown type json_schema")
    sent = ask_for(SCHEMA, unknown, unknown, GOOD, GOOD, times=2)
    assert [None if one is None else one["type"] for one in sent] == ["json_schema", "json_object", None, None]
    sent = ask_for(SCHEMA, failing(422), GOOD, failing(503), GOOD, times=2)
    assert [one["type"] for one in sent] == ["json_schema", "json_object", "json_object", "json_object"]


def test_beside_tools_the_answer_is_free() -> None:
    assert ask_for(SCHEMA, GOOD, tools=(ToolSpec("add", "Add.", {"type": "object"}),)) == [None]


def test_a_request_that_is_refused_in_every_form_fails_with_the_last_reason() -> None:
    with pytest.raises(ModelError, match="no such model"):
        ask_for(SCHEMA, failing(400), failing(400), failing(400, message="no such model"))


def test_stopping_while_waiting_for_the_next_try_stops_at_once() -> None:
    stop = Stop()
    timer = threading.Timer(0.3, stop.stop, ["enough"])
    timer.start()
    busy = failing(429, "Retry-After: 10")
    with Endpoint(busy, GOOD) as endpoint, within(29), pytest.raises(StoppedError, match="enough"):
        endpoint.ask(stop=stop)
    timer.join()


def test_models_are_made_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ModelError, match="OPENAI_API_KEY"):
        make_model("openai:gpt")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:1/v1")
    made = make_model("openai:small")
    assert made.name == "openai:small"
    made.close()
    for name in ("", "other", "openai", "openai:", "local:"):
        with pytest.raises(ModelError, match="there is no model"):
            make_model(name)
    with pytest.raises(ModelError, match="check the path"):
        make_model("local:/nowhere.gguf")


@pytest.fixture(autouse=True)
def _quiet_logs(caplog: pytest.LogCaptureFixture) -> None:
    # The endpoint's library logs requests at DEBUG, with headers; that is its own business.
    for name in ("httpx", "httpcore", "openai"):
        caplog.set_level(logging.WARNING, name)
