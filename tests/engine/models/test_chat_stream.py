"""Streams as endpoints of many kinds send them: raw bytes over a real server, each with its right outcome."""

from __future__ import annotations

import contextlib
import json
import random
import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sessionlib import SessionMessageStatus
from sessionlib.engine import LocalEngine, ModelError, tool
from sessionlib.engine.models import (
    CallResult,
    Chunk,
    Finish,
    ModelMessage,
    ModelRequest,
    OpenAIModel,
    RequestedCall,
    TextDelta,
    ThinkingDelta,
    ToolSpec,
)
from sessionlib.engine.models import openai as openai_model
from sessionlib.engine.models.chat_stream import ChatStream, events_of, parse_arguments
from tests.support.endpoint import (
    DONE,
    END,
    HI,
    OK,
    Endpoint,
    body,
    calls,
    delta,
    end,
    failing,
    part,
    refusing,
    sse,
    text_of,
)
from tests.support.profiles import scaled
from tests.support.scripted_answers import Scripted, says

OFFERED = (ToolSpec("add", "", {"type": "object"}), ToolSpec("sub", "", {"type": "object"}))


def answer(reply: bytes) -> list[Chunk]:
    with Endpoint(reply) as endpoint:
        return endpoint.ask(tools=OFFERED)


def calls_of(chunks: list[Chunk]) -> list[tuple[str, Any]]:
    return [(chunk.tool, chunk.arguments) for chunk in chunks if isinstance(chunk, RequestedCall)]


A, B = '{"a":1}', '{"b":2}'
ADD, SUB = ("add", {"a": 1}), ("sub", {"b": 2})
LONG = '{"a": 1%s}' % ("0" * 400)


# A tuple is a part of a call that comes in a delta of its own, a list has the parts of one delta.
@pytest.mark.parametrize(
    ("deltas", "expected"),
    [
        # Told apart by id, though the index is the same.
        ([(0, "c1", "add", A), (0, "c2", "sub", B)], [ADD, SUB]),
        ([[(0, "c1", "add", '{"a":'), (0, "c2", "sub", B)], (0, "c1", ..., "1}")], [ADD, SUB]),
        ([(0, "c1", "add", A), (0, "c2", "add", A)], [ADD, ADD]),
        ([(0, ..., "add", A), (0, ..., "sub", B)], [ADD, SUB]),
        # Without an index, or without any on some.
        ([[(..., "c1", "add", A), (1, "c2", "sub", B)]], [ADD, SUB]),
        ([[(..., ..., "add", A), (..., ..., "sub", B)]], [ADD, SUB]),
        ([(..., ..., "add", '{"a":'), (..., ..., ..., "1}")], [ADD]),
        ([[("0", "c1", "add", A), ("1", "c2", "sub", B)]], [ADD, SUB]),
        ([(0, "", "add", A), (0, "", "sub", B)], [ADD, SUB]),
        ([(1, "c2", "sub", B), (0, "c1", "add", A)], [ADD, SUB]),
        # The name in every delta, so far and again, or in parts; an id in the second delta, or a new one in each.
        ([(0, "c", "add", ""), (0, "c", "add", '{"a":'), (0, "c", "add", "1}")], [ADD]),
        ([(0, ..., "add", ""), (0, ..., "add", '{"a":'), (0, ..., "add", "1}")], [ADD]),
        ([(0, "c", "a"), (0, ..., "dd", A)], [ADD]),
        ([(0, "c", "a"), (0, "c", "add", A)], [ADD]),
        ([(0, ..., "add", '{"a"'), (0, "c", ..., ":1}")], [ADD]),
        ([(0, "x1", "add", '{"a"'), (0, "x2", ..., ":1}")], [ADD]),
        # One id for all of them, or for all with one number; a new id and the name in every delta; the id alone first.
        ([(0, "c", "add", A), (1, "c", "sub", B)], [ADD, SUB]),
        ([(0, "c", "add", A), (0, "c", "sub", B)], [ADD, SUB]),
        ([(0, "c", "add"), (0, ..., ..., A), (1, "c", "sub"), (1, ..., ..., B)], [ADD, SUB]),
        ([(0, "c", "add", '{"a"'), (1, "c", ..., ":1}")], [ADD]),
        ([(0, "c0", "add", '{"a"'), (0, "c1", "add", ":"), (0, "c2", "add", "1}")], [ADD]),
        ([(0, "c"), (0, ..., "add"), (0, ..., ..., A)], [ADD]),
        # Arguments as an object, none, repeated, cumulative, encoded twice, null, an empty array.
        ([(0, "c", "add", {"a": 1})], [ADD]),
        ([(0, "c", "add", None)], [("add", {})]),
        ([(0, "c", "add")], [("add", {})]),
        ([(0, "c", "add", "null")], [("add", {})]),
        ([(0, "c", "add", [])], [("add", {})]),
        ([(0, "c", "add", A), (0, "c", ..., A)], [ADD]),
        ([(0, ..., "add", A), (0, ..., "add", A)], [ADD]),
        ([(0, "c", "add", '{"a"'), (0, "c", ..., A)], [ADD]),
        ([(0, "c", "add", json.dumps(A))], [ADD]),
        ([(0, "c", "add", "nonsense")], [("add", "nonsense")]),
        ([(0, "c", "add", '{"a": NaN}')], [("add", '{"a": NaN}')]),
        ([(0, "c", "add", '{"a": 1e999}')], [("add", '{"a": 1e999}')]),
        ([(0, "c", "add", LONG)], [("add", LONG)]),
        ([(0, "c", "add", "{}"), (0, "c", ..., A)], [ADD]),
        ([(0, "c", "add", "{}"), (0, ..., ..., '{"a":'), (0, ..., ..., "1}")], [ADD]),
        ([(0, "c", "add", A), (0, ..., ..., "{}")], [ADD]),
        ([(0, "c", "add", '{"a":1}{"a":2}')], [("add", '{"a":1}{"a":2}')]),
        ([(0, "c", "add", "[" * 100_000)], [("add", "[" * 100_000)]),
        # Before there were tools; names that nobody offered; an object where a list belongs; parts that are none.
        ([delta(function_call={"name": "add", "arguments": '{"a":'}), delta(function_call={"arguments": "1}"})], [ADD]),
        ([(0, "c", "functions.add", "{}")], [("functions.add", {})]),
        ([(0, "c", "", "{}")], [("", {})]),
        ([(0, "c\ud83d", "a\ud83d", "{}")], [("a\ufffd", {})]),
        ([delta(tool_calls=part(0, "c", "add", A))], [ADD]),
        ([[None, "x", (0, "c", "add", A)]], [ADD]),
        # Numbers that come as texts or with a point, while two calls grow at the same time.
        ([[("0", ..., "add"), ("1", ..., "sub")], ("0", ..., ..., A), ("1", ..., ..., B)], [ADD, SUB]),
        ([[(0.0, ..., "add"), (1.0, ..., "sub")], (0.0, ..., ..., A), (1.0, ..., ..., B)], [ADD, SUB]),
        # An object field by field; a line end within a text; fields beside the call; a blank before the name.
        ([(0, "c", "add", {"a": 1}), (0, ..., ..., {"b": 2})], [("add", {"a": 1, "b": 2})]),
        ([(0, "c", "add", '{"a":"x\ny"}')], [("add", {"a": "x\ny"})]),
        ([[{"id": "c", "name": "add", "arguments": A}]], [ADD]),
        ([(0, "c", " add", A)], [ADD]),
        # Kept for the message at the end, behind a text that was streamed.
        (
            [
                delta(content="ok"),
                {"choices": [{"message": {"content": "ok", "tool_calls": [part(0, "c", "add", A)]}}]},
            ],
            [ADD],
        ),
    ],
)
def test_calls_are_told_apart(deltas: list[Any], expected: list[tuple[str, Any]]) -> None:
    lines = [
        calls(*each) if isinstance(each, list) else calls(each) if isinstance(each, tuple) else each for each in deltas
    ]
    assert calls_of(answer(sse(*lines, END, DONE))) == expected


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([delta(content="ok"), {"choices": [{"index": 0, "finish_reason": None, "filter_results": {}}]}, END], "ok"),
        (['{"choices":[],"prompt_filter_results":[]}', delta(content="ok"), END, '{"choices":[],"usage":{}}'], "ok"),
        (['{"id":"x"}', delta(content="ok"), '{"choices":null}', END], "ok"),
        (["null", delta(content="ok"), '{"choices":[null]}', END], "ok"),
        (["", delta(content="ok"), " ", "", END, ""], "ok"),
        ([delta(content=[{"type": "text", "text": "ok"}]), END], "ok"),
        ([delta(content=[{"type": "text", "text": {"value": "o"}}, "k"]), END], "ok"),
        ([delta(content={"type": "text", "text": "ok"}), END], "ok"),
        ([delta(content=[{"type": "image_url", "image_url": {}}, {"type": "text", "text": "ok"}]), END], "ok"),
        ([delta(content=None, role="assistant"), delta(content="ok", tool_calls=None), END], "ok"),
        ([delta(content="ok"), delta(content=7), END], "ok"),
        ([delta(content=[{"type": "text", "content": "ok"}]), END], "ok"),
        # Reports on the way fail nothing.
        (['{"type":"status","message":"loading"}', delta(content="ok"), '{"base_resp":{"status_msg":"x"}}', END], "ok"),
        ([delta(content="ok"), DONE], "ok"),
        ([delta(content="ok"), END], "ok"),
        (['{"choices":[{"index":1,"delta":{"content":"no"}},{"index":0,"delta":{"content":"ok"}}]}', END], "ok"),
        (['{"choices":[{"delta":{"content":"ok"},"finish_reason":"stop"}]}'], "ok"),
        # Not all count from zero, or in numbers.
        (['{"choices":[{"index":1,"delta":{"content":"ok"},"finish_reason":"stop"}]}'], "ok"),
        (['{"choices":[{"index":"0","delta":{"content":"ok"},"finish_reason":"stop"}]}'], "ok"),
        ([delta(content="ok"), "[done]"], "ok"),
        (['{"choices":[{"delta":{"content":"ok"},"finish_reason":"eos"}]}'], "ok"),
        ([delta(content="ok"), '{"choices":[{"message":{"content":"ok"},"finish_reason":"stop"}]}'], "ok"),
        # Choices that are no list; a text as before there were chats; words between the events; no end but the count.
        (['{"choices":{"index":0,"delta":{"content":"ok"}}}', END], "ok"),
        (['{"choices":[{"text":"o"}]}', '{"choices":[{"text":"k","finish_reason":"stop"}]}'], "ok"),
        (["ping", "[]", "1", delta(content="ok"), "heartbeat", END], "ok"),
        ([delta(content="ok"), '{"choices":[],"usage":{"total_tokens":3}}'], "ok"),
        ([delta(content={"parts": [{"text": "o"}, {"text": "k"}]}), END], "ok"),
        ([delta(content="ok"), '{"choices":[{"delta":{},"finish_reason":{"type":"stop"}}]}'], "ok"),
        # Half an emoji in each chunk; one that stays alone; in the raw UTF-8 as well.
        ([delta(content="ok \ud83d"), delta(content="\ude00"), END], "ok 😀"),
        ([delta(content="ok \ud83d"), END], "ok �"),
        ([delta(content="\ude00 ok"), END], "� ok"),
        ([delta(content="\ud83d"), delta(content=""), delta(content="x"), END], "�x"),
    ],
)
def test_texts_are_read_out_of_any_stream(lines: list[Any], expected: str) -> None:
    chunks = answer(sse(*lines))
    assert text_of(chunks) == expected
    assert not [chunk for chunk in chunks if isinstance(chunk, Finish)]


WHOLE = b'{"choices": [{"index": 0, "message": {"role": "assistant", "content": "ok"}, "finish_reason": "stop"}]}'


@pytest.mark.parametrize(
    "reply",
    [
        body(WHOLE),
        body(json.dumps(json.loads(WHOLE), indent=2).encode()),
        body(b"data: " + WHOLE + b"\n\n", "text/plain"),
        body(
            b'{"choices":[{"delta":{"content":"o"}}]}\n{"choices":[{"delta":{"content":"k"},"finish_reason":"eos"}]}\n'
        ),
        body(b'\xef\xbb\xbfdata:{"choices":[{"delta":{"content":"ok"}}]}\r\rdata:[DONE]\r\r', "text/event-stream"),
        body(
            b': ping\r\n\r\nevent: x\r\nid: 1\r\ndata: {"choices":[{"delta":\r\ndata: {"content":"ok"}}]}\r\n\r\n'
            b"data: [DONE]"
        ),
        body(b'data: {"choices":[{"delta":{"content":"ok"},"finish_reason":"stop"}]}'),
        body(
            b"retry: 3\n\n: x\n\n"
            + sse(delta(content="ok"), END).partition(b"\r\n\r\n")[2]
            + b"data: [DONE]\n\ndata: {nonsense"
        ),
    ],
)
def test_an_answer_in_any_form_is_an_answer(reply: bytes) -> None:
    assert text_of(answer(reply)) == "ok"


@pytest.mark.parametrize(
    "fields",
    [
        {"reasoning_content": "hm"},
        {"reasoning": "hm"},
        {"reasoning": "hm", "reasoning_details": [{"type": "reasoning.text", "text": "hm"}]},
        {"reasoning_details": [{"type": "reasoning.summary", "summary": "hm"}]},
        {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}]},
        {"content": [{"type": "reasoning", "text": "hm"}]},
        {"thinking": "hm"},
    ],
)
def test_thoughts_are_read_wherever_they_are(fields: dict[str, Any]) -> None:
    assert answer(sse(delta(**fields), delta(content="ok"), END)) == [ThinkingDelta("hm"), TextDelta("ok")]


@pytest.mark.parametrize(
    ("error", "message"),
    [
        ({"error": {"message": "no such model", "code": 404}}, "failed (404): no such model"),
        ({"error": "no such model"}, "failed: no such model"),
        ({"object": "error", "message": "no such model", "code": 404}, "failed (404): no such model"),
        ({"detail": "no such model"}, "failed: no such model"),
        ({"error": "\x1f"}, "failed: it gave no reason"),
        ({"type": "error", "message": "no such model"}, "failed: no such model"),
        ({"code": 404, "msg": "no such model"}, "failed (404): no such model"),
        ({"error_code": 336, "error_msg": "no such model"}, "failed: no such model"),
        ({"errors": [{"message": "no such model"}]}, "failed: no such model"),
        ({"errors": ["no such model"]}, "failed: no such model"),
        ({"error": True, "message": "no such model"}, "failed: no such model"),
        ({"error": {"error": {"message": "no such model"}}}, "failed: no such model"),
        ({"error": {"message": {"detail": "no such model"}}}, "failed: no such model"),
        ({"detail": [{"loc": ["body", "model"], "msg": "no such model"}]}, "failed: no such model"),
        ({"fault": {"faultstring": "no such model"}}, "failed: no such model"),
        ({"statusCode": 404, "error": "Not Found", "message": "no such model"}, "failed (404): no such model"),
        (
            {"error": {"message": "Provider error", "code": 404, "metadata": {"raw": '{"message": "no such model"}'}}},
            "failed (404): Provider error: no such model",
        ),
        ("<html><title>no such model</title></html>", "no such model"),
        ({"choices": None, "base_resp": {"status_code": 1004, "status_msg": "no such model"}}, "failed: no such model"),
        (
            {"choices": [{"index": 0, "delta": {}, "error": {"message": "no such model", "code": 404}}]},
            "(404): no such",
        ),
    ],
)
def test_an_error_under_any_status_is_reported_in_words(
    error: dict[str, Any] | str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # How long it waits before the next try is another test's.
    monkeypatch.setattr(openai_model, "_sleep", lambda seconds, stop: None)
    text = error if isinstance(error, str) else json.dumps(error)
    refusal = refusing(404, text)
    replies = [body(text.encode()), sse(error)] if isinstance(error, dict) else [sse(error)]
    for reply in [*replies, *([] if "choices" in error else [refusal])]:
        with pytest.raises(ModelError) as failed:
            answer(reply)
        expected = re.sub(r"failed( \(404\))?", "failed (404)", message) if reply is refusal else message
        assert expected in str(failed.value)


def test_an_error_behind_a_part_of_the_answer_is_reported_in_words() -> None:
    with pytest.raises(ModelError, match="no such model"):
        answer(sse(delta(content="half"), {"type": "error", "message": "no such model"}))


@pytest.mark.parametrize("reply", [sse(DONE), sse(), body(b""), sse(delta(role="assistant"), DONE), sse(": x")])
def test_no_answer_at_all_is_an_error(reply: bytes) -> None:
    with pytest.raises(ModelError, match=r"sent no answer|broken answer"):
        answer(reply)


HALF = delta(content="half")


@pytest.mark.parametrize(
    ("lines", "reason", "text"),
    [
        ([HALF, end("length")], "length", "half"),
        ([HALF, end("MAX_TOKENS")], "length", "half"),
        ([calls((0, "c", "add", '{"a":')), end("length")], "length", ""),
        ([end("content_filter")], "content_filter", ""),
        ([end("guardrail_intervened")], "content_filter", ""),
        ([end("content_filter: PROHIBITED_CONTENT")], "content_filter", ""),
        ([end("FinishReason.SAFETY")], "content_filter", ""),
        ([end("function_call_filter: MALFORMED_FUNCTION_CALL")], "error", ""),
        ([HALF, end("stop", native_finish_reason="MAX_TOKENS")], "length", "half"),
        ([HALF, end({"type": "length"})], "length", "half"),
        ([HALF, end("content-filter")], "content_filter", "half"),
        ([HALF, end("time_limit")], "error", "half"),
        ([HALF, end("maxTokens")], "length", "half"),
        ([HALF, {"choices": [{"delta": {}, "finish_details": {"type": "max_tokens"}}]}], "length", "half"),
        ([HALF, end("SAFETY")], "content_filter", "half"),
        ([delta(refusal="I can"), delta(refusal="not."), END], "refusal", "I cannot."),
        ([delta(content=[{"type": "refusal", "refusal": "No."}]), end("refusal")], "refusal", "No."),
        ([HALF, end("error")], "error", "half"),
        ([calls((0, "c", "add", "{}")), end("abort")], "error", ""),
    ],
)
def test_an_unusual_end_ends_the_turn_as_what_it_is(lines: list[Any], reason: str, text: str) -> None:
    reply = sse(*lines, DONE)
    chunks = answer(reply)
    assert isinstance(chunks[-1], Finish)
    assert (chunks[-1].reason, text_of(chunks), calls_of(chunks)) == (reason, text, [])
    with (
        Endpoint(reply, OK) as endpoint,
        LocalEngine(model=endpoint.model) as engine,
        engine.agent().create_session() as session,
    ):
        ended = session.ask("hi")
        assert (ended.status, ended.text, ended.error) == (SessionMessageStatus.ERROR, text, chunks[-1].message)
        assert not [event for event in ended.events if event.is_complete]
        kept = [m.text for m in session.get_messages() if m.status is SessionMessageStatus.ERROR]
        assert [each for each in kept if each == text] == ([text] if text else [])
        assert session.ask("again").text == "ok"
    assert [message["role"] for message in endpoint.requests[1]["messages"]] == ["user", "assistant", "user"]


def test_an_endpoint_gets_back_what_it_sent_beside_a_call_and_no_other_endpoint_does() -> None:
    @tool(approval="requires_approval")
    def add(a: int) -> int:
        """Add."""
        return a + 1

    call = {**part(0, "call_own1", "add", A), "extra_content": {"google": {"thought": "s"}}}
    first = sse(delta(reasoning_content="h"), delta(reasoning_content="m"), calls(call), END)
    with (
        Endpoint(first, OK) as endpoint,
        LocalEngine(tools=[add], model=endpoint.model) as engine,
        engine.agent().create_session() as session,
    ):
        assert session.ask("add", on_approval=lambda request: request.approve()).text == "ok"
    _, step, result = endpoint.requests[1]["messages"]
    assert step["reasoning_content"] == "hm"
    assert step["tool_calls"] == [
        {
            "extra_content": {"google": {"thought": "s"}},
            "id": "call_own1",
            "type": "function",
            "function": {"name": "add", "arguments": '{"a": 1}'},
        }
    ]
    assert result == {"role": "tool", "tool_call_id": "call_own1", "content": "2"}
    origin = {"endpoint": "another", "id": "call_own1", "extra": {"x": 1}, "message": {"reasoning_content": "hm"}}
    past = ModelMessage("assistant", results=(CallResult("0" * 32, "add", {}, "complete", 2, origin),))
    with Endpoint(OK) as endpoint:
        endpoint.ask(HI, past)
    step, result = endpoint.requests[0]["messages"][1:]
    assert "reasoning_content" not in step
    assert set(step["tool_calls"][0]) == {"id", "type", "function"}
    assert len(step["tool_calls"][0]["id"]) == 9
    assert step["tool_calls"][0]["id"] == result["tool_call_id"]


@pytest.mark.parametrize(
    ("name", "replayed"),
    [("functions.add", "functions_add"), ("", "unknown"), ("a b/ü" * 40, ("a_b__" * 40)[:64])],
    ids=["prefixed", "empty", "too long"],
)
def test_a_name_that_was_never_offered_is_an_error_for_the_model_and_replayed_in_a_form_that_is_accepted(
    name: str, replayed: str
) -> None:
    with (
        Endpoint(sse(calls((0, "c", name, "{}")), END), OK) as endpoint,
        LocalEngine(model=endpoint.model) as engine,
        engine.agent().create_session() as session,
    ):
        reply = session.ask("add")
        assert (reply.text, reply.tool_calls[0].status) == ("ok", "error")
    _, step, result = endpoint.requests[1]["messages"]
    assert step["tool_calls"][0]["function"]["name"] == replayed
    assert "there is no tool" in result["content"]


def test_users_and_assistant_take_turns_and_no_content_is_blank() -> None:
    past = (
        ModelMessage("user", "look"),
        ModelMessage("user", "at this"),
        ModelMessage("assistant", "Well,"),
        ModelMessage("assistant", failure="stopped"),
        ModelMessage("user"),
        ModelMessage("assistant"),
        ModelMessage("user", "so?"),
    )
    with Endpoint(OK) as endpoint:
        endpoint.ask(*past)
    messages = endpoint.requests[0]["messages"]
    assert [message["role"] for message in messages] == ["user", "assistant", "user", "assistant", "user"]
    assert messages[0]["content"] == "look\n\nat this"
    assert all(message["content"].strip() for message in messages)


def _check_strictly(messages: list[dict[str, Any]]) -> None:
    """What Mistral, DeepSeek, Anthropic's layer and OpenAI refuse, each of them something else."""
    ids: list[str] = []
    pending: list[str] = []
    role = ""
    for message in messages:
        assert message["role"] not in ("user", "assistant") or not pending
        follows = {"": "user", "user": "assistant", "assistant": "user tool", "tool": "tool assistant"}[role]
        role = message["role"]
        assert role in follows.split()
        assert message["content"].strip() if message["content"] is not None else message["tool_calls"]
        if role == "tool":
            assert message["tool_call_id"] == pending.pop(0)
        for call in message.get("tool_calls", ()):
            assert isinstance(json.loads(call["function"]["arguments"]), dict)
            assert re.fullmatch(r"[A-Za-z0-9_-]{1,64}", call["function"]["name"])
            pending.append(call["id"])
            ids.append(call["id"])
    assert not pending
    assert len(set(ids)) == len(ids)


_ORIGINS = st.none() | st.builds(dict, endpoint=st.sampled_from(["", "", "x"]), id=st.sampled_from(["c", "d"]))
_RESULTS = st.builds(
    CallResult,
    st.uuids().map(str),
    st.sampled_from(["add", "functions.add", "", "ü" * 90]),
    st.sampled_from([{}, {"a": 1}]),
    st.sampled_from(["complete", "error", "denied"]),
    st.sampled_from(["", "2", 2, None, [1]]),
    _ORIGINS,
)
_STEPS = st.builds(
    ModelMessage,
    st.just("assistant"),
    st.sampled_from(["", "ok"]),
    results=st.lists(_RESULTS, max_size=3).map(tuple),
    failure=st.sampled_from(["", "", "", "stopped"]),
    thoughts=st.sampled_from(["", "hm"]),
)
_POSTS = st.builds(ModelMessage, st.just("user"), st.sampled_from(["", "hi", " "]))


@pytest.fixture(scope="module")
def unreached() -> Iterator[OpenAIModel]:
    with contextlib.closing(OpenAIModel("m", base_url="http://127.0.0.1:1/v1", api_key="k")) as model:
        yield model


@settings(max_examples=scaled(50))
@given(past=st.lists(_POSTS | _STEPS, max_size=8))
def test_whatever_happened_in_a_session_its_history_is_one_that_every_endpoint_accepts(
    unreached: OpenAIModel, past: list[ModelMessage]
) -> None:
    for message in past:
        for result in message.results:
            if result.origin is not None and not result.origin["endpoint"]:
                result.origin["endpoint"] = unreached._endpoint
    request = unreached._request(ModelRequest("", ()), (HI, *past, ModelMessage("user", "so?")), None)
    _check_strictly(request["messages"])


def ask_with(past: tuple[ModelMessage, ...], *replies: bytes, times: int = 1) -> list[list[dict[str, Any]]]:
    """Returns the messages of each request."""
    with Endpoint(*replies) as endpoint:
        for result in (result for message in past for result in message.results):
            assert result.origin is not None
            result.origin["endpoint"] = endpoint.model._endpoint
        for _ in range(times):
            assert text_of(endpoint.ask(*past)) == "ok"
    return [request["messages"] for request in endpoint.requests]


def test_an_endpoint_that_wants_all_thoughts_back_gets_them_from_then_on() -> None:
    past = (
        HI,
        ModelMessage("assistant", "Hello.", thoughts="A greeting."),
        ModelMessage("user", "add"),
        ModelMessage("assistant", failure="stopped"),
        ModelMessage("user", "so?"),
    )
    wanted = failing(400, message="The `reasoning_content` in the thinking mode must be passed back to the API.")
    first, second, third = ask_with(past, wanted, OK, OK, times=2)
    assert [message.get("reasoning_content") for message in first] == [None] * 5
    assert [message.get("reasoning_content") for message in second] == [None, "A greeting.", None, "", None]
    assert third == second
    with pytest.raises(ModelError, match="must be passed back"):
        ask_with(past, wanted)


def test_an_endpoint_that_refuses_what_it_sent_beside_a_call_does_not_get_it_again() -> None:
    origin = {"id": "c", "extra": {"extra_content": {"x": 1}}, "message": {"reasoning": "hm", "annotations": [1]}}
    call = CallResult("0" * 32, "add", {}, "complete", 2, origin)
    past = (ModelMessage("user", "add"), ModelMessage("assistant", results=(call,)))
    refusals = (
        failing(400, message="'messages.1' : property 'reasoning' is unsupported"),
        failing(422, message="Extra inputs are not permitted: body.messages.1.assistant.tool_calls.0.extra_content"),
    )
    *_, before, after, again = ask_with(past, *refusals, OK, OK, times=2)
    assert "extra_content" in before[1]["tool_calls"][0]
    assert set(after[1]) == {"role", "content", "tool_calls", "annotations"}
    assert set(after[1]["tool_calls"][0]) == {"id", "type", "function"}
    assert again == after


def test_the_thoughts_of_an_answer_are_in_what_a_model_is_asked() -> None:
    model = Scripted(says(ThinkingDelta("h"), ThinkingDelta("m"), TextDelta("ok")))
    with LocalEngine(model=model) as engine, engine.agent().create_session() as session:
        session.ask("hi")
        session.ask("so?")
    assert [(message.role, message.text, message.thoughts) for message in model.asked[-1].messages] == [
        ("user", "hi", ""),
        ("assistant", "ok", "hm"),
        ("user", "so?", ""),
    ]


@pytest.mark.parametrize(
    "refusal",
    [
        failing(400, message="x (context_length_exceeded)"),
        failing(400, message="This model's maximum context length is 4096 tokens."),
        failing(413, message="prompt is too long: 9 tokens > 8 maximum"),
        body(b'{"error": {"code": 400, "message": "the request exceeds the available context size"}}'),
    ],
)
def test_a_conversation_that_is_too_long_loses_its_oldest_turns_and_it_is_said_once(refusal: bytes) -> None:
    good = [sse(delta(content=f"answer {number}"), END) for number in range(4)]
    with (
        Endpoint(*good[:3], refusal, good[3], good[3]) as endpoint,
        LocalEngine(model=endpoint.model) as engine,
        engine.agent().create_session() as session,
    ):
        for number in range(3):
            session.ask(f"question {number} " + "x" * 100)
        reply = session.ask("question 3 " + "x" * 100)
        assert (reply.text, reply.status) == ("answer 3", SessionMessageStatus.COMPLETE)
        assert session.ask("question 4").text == "answer 3"
        notices = [m.text for m in session.get_messages() if "left out" in (m.text or "")]
        assert notices == ["Older messages of this session were left out: with them the model's context is too long."]
    shown = [[m["content"][:10] for m in request["messages"]] for request in endpoint.requests]
    assert len(shown[3]) == 7
    assert len(shown[4]) < 7
    assert shown[4][-1] == shown[3][-1] == "question 3"
    assert shown[4][0].startswith("question")
    assert len(shown) == 6


TOO_LONG = [
    "context_length_exceeded",
    "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000",
    "This model's maximum prompt length is 131072 but the request contains 537812 tokens.",
    "The decoder prompt (length 9000) is longer than the maximum model length of 8192.",
    "The input token count (1100000) exceeds the maximum number of tokens allowed (1048576).",
    "prompt token count of 130000 exceeds the limit of 128000",
    "the number of input tokens 5000 cannot exceed the total tokens limit 4096",
    "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096.",
    "Request too large for model: Limit 6000, Requested 9000, please reduce your message size and try again.",
    "Input is too long for requested model.",
    "Cannot truncate prompt with n_keep (15028) >= n_ctx (7424)",
    "Invalid request: Your request exceeded model token limit: 8192",
    "Range of input length should be [1, 30720]",
    "max_tokens must be at least 1, got -231",
    "`inputs` must have less than 1024 tokens. Given: 3000",
    "Prompt exceeds max length",
    "input is too large to process. increase the physical batch size",
]


@pytest.mark.parametrize(
    "refusal",
    [
        *(failing(400, message=message) for message in TOO_LONG),
        failing(413, message="Payload Too Large"),
        failing(429, message="Request too large for m on tokens per min (TPM): Limit 6, Requested 9."),
        # What is behind a gateway, in a part of the body that the openai package leaves out of its message.
        refusing(400, '{"error": {"message": "Provider returned error", "code": "context_length_exceeded"}}'),
    ],
)
def test_one_turn_that_is_too_long_alone_is_an_error(refusal: bytes) -> None:
    with pytest.raises(ModelError, match="last turn is too long"):
        answer(refusal)


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (429, "Too many tokens, please wait before trying again."),
        (400, "Invalid 'tools[0].function.name': string too long. Expected a string with maximum length 64."),
    ],
)
def test_a_limit_of_many_requests_or_of_a_name_is_none_of_the_context(status: int, message: str) -> None:
    with pytest.raises(ModelError, match=re.escape(f"failed ({status}): {message}")):
        answer(failing(status, "x-should-retry: false", message=message))


# ---- properties ------------------------------------------------------------------------------


@settings(max_examples=scaled(100))
@given(st.binary(max_size=60), st.randoms(use_true_random=False))
def test_where_a_body_is_divided_changes_nothing(noise: bytes, rng: random.Random) -> None:
    data = sse(delta(content="häß 😀"), calls((0, "c", "add", A)), END, DONE)
    data = data.partition(b"\r\n\r\n")[2].replace(b"\n", rng.choice([b"\n", b"\r", b"\r\n"]))
    data = b": " + noise.replace(b"\n", b"").replace(b"\r", b"") + b"\n" + data
    cuts = sorted(rng.randrange(len(data) + 1) for _ in range(rng.randrange(12)))
    parts = [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]
    reader = ChatStream(["add"])
    chunks = [chunk for event in events_of(parts) for chunk in reader.feed(event)] + list(reader.finish())
    assert chunks == [TextDelta("häß 😀"), RequestedCall("add", {"a": 1})]


_KEYS = ["choices", "delta", "message", "content", "text", "type", "tool_calls", "function", "name", "arguments", "id"]
_KEYS += ["index", "finish_reason", "reasoning_content", "reasoning_details", "error", "object", "refusal", "extra"]
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.text(max_size=3) | st.sampled_from(["\ud83d", "\ude00", "add"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_KEYS), inner, max_size=4),
    max_leaves=8,
)


def _bent(value: Any, rng: random.Random, strange: list[Any]) -> Any:
    """Removes, repeats, reorders and replaces fields here and there."""
    if strange and rng.random() < 0.08:
        return rng.choice(strange)
    if isinstance(value, dict):
        items = [(key, _bent(item, rng, strange)) for key, item in value.items() if rng.random() > 0.05]
        rng.shuffle(items)
        return dict(items)
    if isinstance(value, list):
        return [_bent(item, rng, strange) for item in value for _ in range(rng.choice([1, 1, 1, 1, 0, 2]))]
    return value


@settings(max_examples=scaled(150))
@given(st.lists(_VALUES, max_size=4), st.randoms(use_true_random=False))
def test_whatever_a_stream_becomes_the_answer_ends_in_words(strange: list[Any], rng: random.Random) -> None:
    legal = [
        delta(role="assistant", content=""),
        delta(reasoning_content="hm", reasoning_details=[{"type": "reasoning.text", "index": 0, "text": "hm"}]),
        delta(content="Hel"),
        delta(content=[{"type": "text", "text": "lo"}]),
        calls({**part(0, "c", "add", '{"a":'), "extra_content": {"x": "y"}}),
        calls((0, ..., ..., "1}")),
        END,
    ]
    bent = [_bent(event, rng, strange) for event in legal for _ in range(rng.choice([1, 1, 1, 0, 2]))]
    if rng.random() < 0.3:
        rng.shuffle(bent)
    text = "".join(f"data: {json.dumps(event)}\n\n" for event in bent)
    data = (text + rng.choice(["", "data: [DONE]\n\n"])).encode()
    # The connection may end anywhere, and hands over the bytes in any parts.
    data = data[: rng.choice([len(data), len(data), rng.randrange(len(data) + 1)])]
    cuts = sorted(rng.randrange(len(data) + 1) for _ in range(rng.randrange(6)))
    parts = [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]
    reader = ChatStream(["add"])
    try:
        chunks: list[Chunk] = [chunk for event in events_of(parts) for chunk in reader.feed(event)]
        chunks += reader.finish()
    except ModelError as error:
        assert str(error).encode()
        return
    for chunk in chunks:
        # Whatever is passed on can be stored and sent.
        json.dumps(vars(chunk), ensure_ascii=False).encode()


@given(st.dictionaries(st.text(max_size=4), st.integers() | st.text(max_size=4), max_size=4), st.randoms())
def test_arguments_survive_being_divided(arguments: dict[str, Any], rng: random.Random) -> None:
    text = json.dumps(arguments)
    cut = rng.randrange(len(text) + 1)
    assert parse_arguments([text[:cut], text[cut:]]) == arguments
    assert parse_arguments([text, text]) == arguments
    assert parse_arguments([json.dumps(text)]) == arguments
