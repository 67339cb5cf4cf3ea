"""The model of an endpoint, against an endpoint made for the test: good answers, and everything else."""

from __future__ import annotations

import contextlib
import email.utils
import json
import logging
import socket
import threading
import time
import types
from collections.abc import Callable, Iterator
from typing import Any

import openai
import pytest

from sessionlib.engine import Limits, LocalEngine, ModelError, tool
from sessionlib.engine.models import (
    ModelRequest,
    OpenAIModel,
    Piece,
    RequestedCall,
    Result,
    Said,
    Text,
    Thinking,
    ToolSpec,
)
from sessionlib.engine.models import openai as openai_model
from sessionlib.engine.models.factory import make_model
from sessionlib.engine.sessions.cancellation import Stop, StoppedError
from tests.support.engine import Caller, answer_of, approve, content_of, eventually
from tests.support.servers import held_port

KEY = "sk-sentinel-0123456789"
Reply = Callable[[socket.socket], None]


class Endpoint:
    """Answers each request with the next reply; the last one again and again."""

    def __init__(self, *replies: Reply | bytes) -> None:
        self.requests: list[dict[str, Any]] = []
        self.heads: list[str] = []
        self._replies = replies
        self._sock = socket.create_server(("127.0.0.1", 0))
        self._threads: list[threading.Thread] = []
        self._thread = threading.Thread(target=self._accept)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._sock.getsockname()[1]}/v1"

    def __enter__(self) -> Endpoint:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._sock.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._sock.close()
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._sock.accept()
            except OSError:
                return
            self._threads.append(threading.Thread(target=self._serve, args=(sock,)))
            self._threads[-1].start()

    def _serve(self, sock: socket.socket) -> None:
        with sock:
            data = b""
            while b"\r\n\r\n" not in data:
                piece = sock.recv(65536)
                if not piece:
                    return
                data += piece
            head, _, body = data.partition(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            while len(body) < length:
                body += sock.recv(65536)
            self.heads.append(head.decode())
            self.requests.append(json.loads(body))
            reply = self._replies[min(len(self.requests), len(self._replies)) - 1]
            with contextlib.suppress(OSError):  # the model has left
                reply(sock) if callable(reply) else sock.sendall(reply)


def stream(*deltas: dict[str, Any], finish: str | None = "stop") -> bytes:
    chunks = [{"delta": delta, "index": 0, "finish_reason": None} for delta in deltas]
    chunks += [{"delta": {}, "index": 0, "finish_reason": finish}] if finish else []
    events = [
        {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [c]} for c in chunks
    ]
    body = "".join(f"data: {json.dumps(event)}\n\n" for event in events) + ("data: [DONE]\n\n" if finish else "")
    return (HEAD + "Content-Type: text/event-stream\r\n\r\n" + body).encode()


HEAD = "HTTP/1.1 200 OK\r\nConnection: close\r\n"


def failing(status: int, *headers: str, message: str = f"no {KEY} no") -> bytes:
    body = json.dumps({"error": {"message": message}})
    fields = [
        f"HTTP/1.1 {status} X",
        f"Content-Length: {len(body)}",
        "Content-Type: application/json",
        "Connection: close",
    ]
    return "\r\n".join([*fields, *headers, "", body]).encode()


GOOD = stream({"content": "Hel"}, {"content": "lo"})


def ask(*replies: Reply | bytes, timeout: float = 30.0, stop: Stop | None = None) -> tuple[list[Piece], Endpoint]:
    with Endpoint(*replies) as endpoint:
        model = OpenAIModel("m", base_url=endpoint.url, api_key=KEY, timeout=timeout)
        try:
            question = ModelRequest("Be brief.", (Said("user", "hi"),), stop=stop or Stop())
            return list(model.answer(question)), endpoint
        finally:
            model.close()


def test_text_thoughts_and_calls_are_streamed() -> None:
    pieces, endpoint = ask(
        stream(
            {"role": "assistant", "reasoning_content": "hm"},
            {"content": "I will "},
            {"content": "look."},
            {"tool_calls": [{"index": 0, "id": "a", "function": {"name": "add", "arguments": '{"a":'}}]},
            {"tool_calls": [{"index": 1, "id": "b", "function": {"name": "add", "arguments": "nonsense"}}]},
            {"tool_calls": [{"index": 0, "function": {"arguments": " 1}"}}]},
            finish="tool_calls",
        )
    )
    assert pieces == [
        Thinking("hm"),
        Text("I will "),
        Text("look."),
        RequestedCall("add", {"a": 1}),
        RequestedCall("add", "nonsense"),
    ]
    assert endpoint.requests[0]["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "hi"},
    ]
    assert f"authorization: bearer {KEY}" in endpoint.heads[0].lower()


def test_a_whole_turn_with_a_tool_and_an_approval() -> None:
    @tool(approval="requires_approval")
    def weather(city: str) -> str:
        """Tell the weather."""
        return f"rain in {city}"

    call = {"index": 0, "id": "c", "function": {"name": "weather", "arguments": '{"city": "Rome"}'}}
    replies = (stream({"tool_calls": [call]}, finish="tool_calls"), stream({"content": "It rains."}))
    with Endpoint(*replies) as endpoint:
        model = OpenAIModel("m", base_url=endpoint.url, api_key=KEY)
        with LocalEngine(tools=[weather], model=model) as engine, Caller.on(engine) as caller:
            asked = caller.ask_for_approval("weather?")
            caller.post(approve(city="Oslo"), asked["id"])
            caller.until_status("Idle")
            assert answer_of(caller.heard) == "It rains."
        model.close()
    offered = endpoint.requests[0]["tools"][0]["function"]
    assert (offered["name"], offered["description"], offered["parameters"]["required"]) == (
        "weather",
        "Tell the weather.",
        ["city"],
    )
    asked_again = endpoint.requests[1]["messages"]
    assert [message["role"] for message in asked_again] == ["user", "assistant", "tool"]
    function = asked_again[1]["tool_calls"][0]["function"]
    assert (function["name"], json.loads(function["arguments"])) == ("weather", {"city": "Oslo"})
    assert asked_again[2] == {
        "role": "tool",
        "tool_call_id": asked_again[1]["tool_calls"][0]["id"],
        "content": "rain in Oslo",
    }


def test_every_message_of_the_past_has_a_content_and_every_call_a_result() -> None:
    results = (Result("1", "add", {"a": 1}, "complete", 2), Result("2", "add", {}, "error", "this call was not run"))
    past = (Said("user", "hi"), Said("assistant"), Said("user", "add"), Said("assistant", results=results))
    with Endpoint(GOOD) as endpoint:
        model = OpenAIModel("m", base_url=endpoint.url, api_key=KEY)
        list(model.answer(ModelRequest("", past)))
        model.close()
    messages = endpoint.requests[0]["messages"]
    assert [message["content"] for message in messages] == [
        "hi",
        "(no answer)",
        "add",
        None,
        "2",
        "Error: this call was not run",
    ]
    asked = [call["id"] for message in messages for call in message.get("tool_calls", ())]
    assert asked == [message["tool_call_id"] for message in messages if message["role"] == "tool"]


def test_what_may_pass_is_tried_again() -> None:
    for first in (failing(429, "Retry-After: 0"), failing(500), failing(503), lambda sock: sock.close()):
        pieces, endpoint = ask(first, GOOD)
        assert pieces == [Text("Hel"), Text("lo")]
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
    replies: list[bytes] = []
    with Endpoint(lambda sock: sock.sendall(replies[-1])) as endpoint:
        model = OpenAIModel("m", base_url=endpoint.url, api_key=KEY)
        package = openai.OpenAI(base_url=endpoint.url, api_key=KEY, max_retries=2)
        for status, headers, expected, *other in WAITS:
            replies.append(failing(status, *headers))
            ours.clear()
            with pytest.raises(ModelError):
                list(model.answer(ModelRequest("", (Said("user", "hi"),))))
            assert _is(ours, expected, first=1.0), (status, headers, ours)
            theirs.clear()
            with pytest.raises(openai.APIStatusError):
                package.chat.completions.create(model="m", messages=[{"role": "user", "content": "hi"}])
            assert _is(theirs, other[0] if other else expected, first=0.5), (status, headers, theirs)
        model.close()
        package.close()


def _drip(sock: socket.socket) -> None:
    sock.sendall((HEAD + "Content-Type: text/event-stream\r\n\r\n").encode())
    while True:
        sock.sendall(b"x")
        time.sleep(0.05)


def _endless(sock: socket.socket) -> None:
    sock.sendall(stream({"content": "on and "}, finish=None))
    event = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    chunk = {**event, "choices": [{"index": 0, "delta": {"content": "on and "}, "finish_reason": None}]}
    while True:
        sock.sendall(f"data: {json.dumps(chunk)}\n\n".encode())


def _hang(sock: socket.socket) -> None:
    sock.settimeout(10)
    sock.recv(1)


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
        (lambda sock: sock.close(), "cannot be reached", 3),
        (b"garbage\r\n\r\n", "cannot be reached", 3),
        (_hang, "did not answer in time", 3),
        (stream({"content": "half"}, finish=None), "ended early", 1),
        ((HEAD + "Content-Type: text/event-stream\r\n\r\ndata: {nonsense\n\n").encode(), "broken answer", 1),
        ((HEAD + "Content-Type: text/event-stream\r\n\r\ndata: [1, 2]\n\n").encode(), "broken answer", 1),
        (
            (HEAD + 'Content-Type: text/event-stream\r\n\r\ndata: {"error": {"message": "overloaded"}}\n\n').encode(),
            "overloaded",
            3,
        ),
    ],
)
def test_an_endpoint_that_fails_ends_the_answer_in_words_without_the_key(
    reply: Reply | bytes, told: str, tries: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with Endpoint(reply) as endpoint:
        # Short only for the one that is about it: each other answer is to be waited for, and asked for once.
        model = OpenAIModel("m", base_url=endpoint.url, api_key=KEY, timeout=1.0 if reply is _hang else 30.0)
        with pytest.raises(ModelError) as failed:
            list(model.answer(ModelRequest("", (Said("user", "hi"),))))
        model.close()
    assert told in str(failed.value)
    assert KEY not in str(failed.value) + repr(model) + caplog.text
    assert len(endpoint.requests) == tries


def test_an_endpoint_that_is_not_there_is_told() -> None:
    with held_port() as port:
        for url in (f"http://127.0.0.1:{port}/v1", "http://nowhere.invalid/v1"):
            model = OpenAIModel("m", base_url=url, api_key=KEY, timeout=60)
            with pytest.raises(ModelError, match="cannot be reached"):
                list(model.answer(ModelRequest("", (Said("user", "hi"),))))
            model.close()


@pytest.mark.parametrize("reply", [_drip, _endless, _hang])
def test_a_turn_does_not_wait_for_an_endpoint_that_never_ends(reply: Reply) -> None:
    limits = Limits(turn_seconds=0.5, answer_chars=10**9)
    with Endpoint(reply) as endpoint:
        model = OpenAIModel("m", base_url=endpoint.url, api_key=KEY, timeout=2.0)
        with LocalEngine(model=model, limits=limits) as engine, Caller.on(engine) as caller:
            begun = time.monotonic()
            heard = caller.ask("hi")
            assert time.monotonic() - begun < 30
            assert "its 0.5 s are over" in content_of(heard[-2])["error"]
        model.close()
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
        model = OpenAIModel("m", base_url=endpoint.url, api_key=KEY)
        try:
            wanted = {"name": "list[Line]", "schema": schema}
            question = ModelRequest("", (Said("user", "hi"),), tools, response_format=wanted)
            for _ in range(times):
                assert list(model.answer(question)) == [Text("Hel"), Text("lo")]
        finally:
            model.close()
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
    begun = time.monotonic()
    with pytest.raises(StoppedError, match="enough"):
        ask(failing(429, "Retry-After: 10"), GOOD, stop=stop)
    assert time.monotonic() - begun < 30
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
def _quiet_logs() -> Iterator[None]:
    # The endpoint's library logs requests at DEBUG, with headers; that is its own business.
    before = {name: logging.getLogger(name).level for name in ("httpx", "httpcore", "openai")}
    for name in before:
        logging.getLogger(name).setLevel(logging.WARNING)
    yield
    for name, level in before.items():
        logging.getLogger(name).setLevel(level)
