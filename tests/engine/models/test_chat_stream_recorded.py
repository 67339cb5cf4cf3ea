"""Bodies of answers in the form of sixty speakers of the chat completion stream, byte by byte as they would come."""

# ruff: noqa: E501 - what was recorded stays on one line

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from sessionlib.engine import ModelError
from sessionlib.engine.models import Chunk, Finish, RequestedCall, TextDelta, ThinkingDelta
from sessionlib.engine.models.chat_stream import ChatStream, EndpointError, events_of

HEAD = '"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m"'
OFFERED = ("add", "get_weather", "search", "noop")


def chunk(delta: str, finish: str = "null", *, head: str = HEAD, more: str = "") -> str:
    """One event; the delta is JSON as it is sent."""
    return f'data: {{{head},"choices":[{{"index":0,"delta":{delta},"finish_reason":{finish}{more}}}]}}\n\n'


def text(value: str) -> str:
    return chunk(json.dumps({"content": value}))


def call(value: str) -> str:
    return chunk(f'{{"tool_calls":[{value}]}}')


STOP, TOOLS, DONE = chunk("{}", '"stop"'), chunk("{}", '"tool_calls"'), "data: [DONE]\n\n"
USAGE = f'data: {{{HEAD},"choices":[],"usage":{{"prompt_tokens":9,"completion_tokens":2,"total_tokens":11}}}}\n\n'
ROLE = chunk('{"role":"assistant","content":""}')
HELLO = text("Hel") + text("lo")
ADD = ("add", {"a": 1, "b": 2})
ARGUMENTS = '"{\\"a\\": 1, \\"b\\": 2}"'


def whole(message: str, finish: str = '"stop"') -> str:
    """An answer that is not streamed."""
    return f'{{"id":"1","object":"chat.completion","choices":[{{"index":0,"message":{message},"finish_reason":{finish}}}]}}'


# The name of the speaker; the body; text, calls, thoughts, and the reason of an unusual end.
Recorded = tuple[str, str, str, list[tuple[str, Any]], str, str]


def says(name: str, body: str, expected: str = "Hello", thoughts: str = "", reason: str = "") -> Recorded:
    return name, body, expected, [], thoughts, reason


def asks(name: str, body: str, *expected: tuple[str, Any], before: str = "", thoughts: str = "") -> Recorded:
    return name, body, before, list(expected), thoughts, ""


RECORDED = [
    says("openai", ROLE + HELLO + STOP + DONE),
    says("openai with usage", ROLE + HELLO + STOP + USAGE + DONE),
    says(
        "openai with obfuscation and logprobs",
        chunk('{"role":"assistant","content":"","refusal":null}', more=',"logprobs":null')
        + f'data: {{{HEAD},"service_tier":"default","obfuscation":"x9","choices":[{{"index":0,"delta":{{"content":"Hello"}},'
        '"logprobs":{"content":[{"token":"Hello","logprob":-0.1,"bytes":[72],"top_logprobs":[]}]},"finish_reason":null}]}\n\n'
        + STOP
        + DONE,
    ),
    asks(
        "openai tools in parallel",
        chunk('{"role":"assistant","content":null}')
        + call('{"index":0,"id":"call_a","type":"function","function":{"name":"add","arguments":""}}')
        + call('{"index":0,"function":{"arguments":"{\\"a\\": 1"}}')
        + call('{"index":0,"function":{"arguments":", \\"b\\": 2}"}}')
        + call('{"index":1,"id":"call_b","type":"function","function":{"name":"noop","arguments":""}}')
        + call('{"index":1,"function":{"arguments":"{}"}}')
        + TOOLS
        + DONE,
        ADD,
        ("noop", {}),
    ),
    says(
        "openai refusal",
        chunk('{"refusal":"I cannot "}') + chunk('{"refusal":"do that."}') + STOP,
        "I cannot do that.",
        "",
        "refusal",
    ),
    says("openai length", HELLO + chunk("{}", '"length"') + DONE, "Hello", "", "length"),
    says(
        "azure: filter results first, no choices",
        'data: {"id":"","object":"","created":0,"model":"","prompt_filter_results":[{"prompt_index":0}],"choices":[]}\n\n'
        + ROLE
        + HELLO
        + STOP
        + DONE,
    ),
    says(
        "azure: asynchronous filter, without a delta",
        HELLO + STOP + f'data: {{{HEAD},"choices":[{{"index":0,"finish_reason":null,"content_filter_offsets":'
        '{"check_offset":1},"content_filter_results":{"hate":{"filtered":false}}}]}\n\n' + DONE,
    ),
    says("azure: filtered", text("He") + chunk("{}", '"content_filter"') + DONE, "He", "", "content_filter"),
    says("azure: content filter without text", ROLE + chunk("{}", '"content_filter"') + DONE, "", "", "content_filter"),
    says(
        "vllm: role in the first alone, stop_reason",
        chunk('{"role":"assistant"}') + HELLO + chunk('{"content":""}', '"stop"', more=',"stop_reason":null') + DONE,
    ),
    says(
        "vllm: reasoning",
        chunk('{"reasoning":"hm"}') + chunk('{"reasoning_content":"m"}') + HELLO + STOP,
        "Hello",
        "hmm",
    ),
    asks(
        "vllm: name and arguments in one delta, finish_reason stop",
        call(
            '{"index":0,"id":"chatcmpl-tool-1","type":"function","function":{"name":"add","arguments":'
            + ARGUMENTS
            + "}}"
        )
        + STOP
        + DONE,
        ADD,
    ),
    says("vllm: error in the stream", HELLO + chunk("{}", '"abort"') + DONE, "Hello", "", "error"),
    says(
        "ollama",
        ROLE
        + chunk('{"role":"assistant","content":"Hello"}')
        + chunk('{"role":"assistant","content":""}', '"stop"')
        + DONE,
    ),
    asks(
        "ollama: index 0 for each call",
        call('{"id":"call_1","index":0,"type":"function","function":{"name":"add","arguments":' + ARGUMENTS + "}}")
        + call('{"id":"call_2","index":0,"type":"function","function":{"name":"noop","arguments":"{}"}}')
        + TOOLS
        + DONE,
        ADD,
        ("noop", {}),
    ),
    asks(
        "ollama: arguments as an object",
        call('{"id":"call_1","index":0,"function":{"name":"add","arguments":{"a":1,"b":2}}}') + STOP,
        ADD,
    ),
    says("ollama: thinking", chunk('{"role":"assistant","content":"","reasoning":"hm"}') + HELLO + STOP, "Hello", "hm"),
    says(
        "ollama: JSON lines without data:",
        "".join(line.removeprefix("data: ").replace("\n\n", "\n") for line in (ROLE, text("Hello"), STOP)),
    ),
    says("lm studio: event names", "event: message\n" + ROLE + "event: message\n" + HELLO + STOP + DONE),
    asks(
        "lm studio: no index",
        call('{"id":"1","type":"function","function":{"name":"add","arguments":' + ARGUMENTS + "}}") + TOOLS,
        ADD,
    ),
    says(
        "llama.cpp: timings",
        ROLE + HELLO + chunk("{}", '"stop"', more="")[:-3] + ',"timings":{"prompt_n":1}}\n\n' + DONE,
    ),
    asks(
        "llama.cpp: the name again with null arguments",
        call('{"index":0,"id":"x","function":{"name":"add","arguments":null}}')
        + call('{"index":0,"function":{"name":"add","arguments":' + ARGUMENTS + "}}")
        + TOOLS,
        ADD,
    ),
    says("tgi: no finish before the end, eos_token", HELLO + chunk('{"content":""}', '"eos_token"') + DONE),
    asks(
        "tgi: a tool call that is an object",
        chunk(
            '{"tool_calls":{"index":0,"id":"","type":"function","function":{"name":"add","arguments":'
            + ARGUMENTS
            + "}}}",
            '"stop"',
        ),
        ADD,
    ),
    says("sglang: matched_stop", HELLO + chunk('{"content":null}', '"stop"', more=',"matched_stop":2') + DONE),
    asks(
        "sglang: arguments whole, and again",
        call('{"index":0,"id":"c","function":{"name":"add","arguments":' + ARGUMENTS + "}}")
        + call('{"index":0,"id":"c","function":{"name":null,"arguments":' + ARGUMENTS + "}}")
        + TOOLS,
        ADD,
    ),
    says(
        "litellm: empty choices and null fields",
        f'data: {{{HEAD},"choices":[{{"index":0,"delta":{{"provider_specific_fields":null,"refusal":null,"content":"Hello","role":"assistant","function_call":null,"tool_calls":null,"audio":null}},"logprobs":null}}]}}\n\n'
        + STOP
        + DONE,
    ),
    says(
        "litellm: error in the middle",
        HELLO + 'data: {"error":{"message":"upstream failed","type":"None","param":"None","code":"500"}}\n\n',
        "Hello",
        "",
        "500: upstream failed",
    ),
    says("openrouter: comments", ": OPENROUTER PROCESSING\n\n: OPENROUTER PROCESSING\n\n" + ROLE + HELLO + STOP + DONE),
    says(
        "openrouter: reasoning details",
        chunk(
            '{"content":"","reasoning":"hm","reasoning_details":[{"type":"reasoning.text","text":"hm","index":0,"format":"x"}]}'
        )
        + HELLO
        + STOP
        + DONE,
        "Hello",
        "hm",
    ),
    says(
        "openrouter: native reason and an error finish",
        text("He")
        + f'data: {{{HEAD},"error":{{"code":502,"message":"provider disconnected"}},"choices":[{{"index":0,"delta":{{"content":""}},"finish_reason":"error","native_finish_reason":null}}]}}\n\n',
        "He",
        "",
        "error",
    ),
    says(
        "openrouter: 200 with an error alone",
        '{"error":{"message":"No endpoints found","code":404},"user_id":"u"}',
        "",
        "",
        "404: No endpoints found",
    ),
    says(
        "mistral: thinking as content",
        chunk('{"content":[{"type":"thinking","thinking":[{"type":"text","text":"hm"}]}]}')
        + chunk('{"content":[{"type":"text","text":"Hello"}]}')
        + STOP,
        "Hello",
        "hm",
    ),
    asks(
        "mistral: no index, id of nine letters, finish in the same event",
        chunk(
            '{"content":"","tool_calls":[{"id":"D681PevKs","function":{"name":"add","arguments":' + ARGUMENTS + "}}]}",
            '"tool_calls"',
        )
        + DONE,
        ADD,
    ),
    says(
        "mistral: references",
        chunk(
            '{"content":[{"type":"text","text":"Hel"},{"type":"reference","reference_ids":[1]},{"type":"text","text":"lo"}]}'
        )
        + STOP,
    ),
    says("mistral: model_length", HELLO + chunk("{}", '"model_length"'), "Hello", "", "length"),
    says(
        "deepseek: reasoner",
        chunk('{"role":"assistant","content":null,"reasoning_content":"h"}')
        + chunk('{"content":null,"reasoning_content":"m"}')
        + chunk('{"content":"Hello","reasoning_content":null}')
        + STOP
        + DONE,
        "Hello",
        "hm",
    ),
    says("deepseek: keep-alive comments and blank lines", ": keep-alive\n\n\n\n: keep-alive\n\n" + HELLO + STOP + DONE),
    says("deepseek: out of resources", HELLO + chunk("{}", '"insufficient_system_resource"'), "Hello", "", "error"),
    asks(
        "gemini: whole calls, signature beside, finish stop",
        call(
            '{"index":0,"id":"","type":"function","function":{"name":"add","arguments":'
            + ARGUMENTS
            + '},"extra_content":{"google":{"thought_signature":"c2ln"}}}'
        )
        + STOP
        + DONE,
        ADD,
    ),
    asks(
        "gemini: two calls with empty ids",
        call(
            '{"index":0,"id":"","function":{"name":"add","arguments":'
            + ARGUMENTS
            + '}},{"index":1,"id":"","function":{"name":"noop","arguments":"{}"}}'
        )
        + STOP,
        ADD,
        ("noop", {}),
    ),
    says(
        "gemini: an array of errors",
        '[{\n  "error": {\n    "code": 400,\n    "message": "API key not valid",\n    "status": "INVALID_ARGUMENT"\n  }\n}\n]',
        "",
        "",
        "400: API key not valid",
    ),
    says("gemini: MAX_TOKENS", HELLO + chunk("{}", '"MAX_TOKENS"'), "Hello", "", "length"),
    says("gemini: SAFETY", text("He") + chunk("{}", '"SAFETY"'), "He", "", "content_filter"),
    says("gemini: a malformed call", chunk('{"content":null}', '"MALFORMED_FUNCTION_CALL"'), "", "", "error"),
    says(
        "groq: x_groq",
        f'data: {{{HEAD},"x_groq":{{"id":"req_1"}},"choices":[{{"index":0,"delta":{{"role":"assistant","content":""}},"logprobs":null,"finish_reason":null}}]}}\n\n'
        + HELLO
        + STOP
        + DONE,
    ),
    says(
        "groq: failed generation",
        'event: error\ndata: {"error":{"message":"Failed to call a function.","type":"invalid_request_error","code":"tool_use_failed","status_code":400}}\n\n',
        "",
        "",
        "400: Failed to call a function.",
    ),
    says(
        "together: token beside",
        HELLO.replace('"finish_reason":null', '"finish_reason":null,"text":"x","seed":1') + STOP + DONE,
    ),
    says(
        "fireworks: usage in the last event",
        HELLO + STOP.replace('"choices"', '"usage":{"total_tokens":3},"choices"') + DONE,
    ),
    says(
        "perplexity: message beside delta, again in full",
        f'data: {{{HEAD},"citations":[],"choices":[{{"index":0,"delta":{{"role":"assistant","content":"Hello"}},"message":{{"role":"assistant","content":"Hello"}},"finish_reason":"stop"}}]}}\n\n',
    ),
    says(
        "cohere: a last event with the whole message",
        HELLO
        + f'data: {{{HEAD},"choices":[{{"index":0,"message":{{"role":"assistant","content":"Hello"}},"finish_reason":"COMPLETE"}}]}}\n\n',
    ),
    says("bedrock gateway: end_turn", HELLO + chunk("{}", '"end_turn"')),
    asks(
        "bedrock gateway: tool_use, index from one",
        call('{"index":1,"id":"tooluse_1","type":"function","function":{"name":"add","arguments":""}}')
        + call('{"index":1,"function":{"arguments":"{\\"a\\": 1, "}}')
        + call('{"index":1,"function":{"arguments":"\\"b\\": 2}"}}')
        + chunk("{}", '"tool_use"'),
        ADD,
    ),
    says("anthropic's layer: max_tokens", HELLO + chunk("{}", '"max_tokens"'), "Hello", "", "length"),
    says("a proxy that does not stream", whole('{"role":"assistant","content":"Hello"}')),
    says(
        "a proxy that does not stream, on many lines",
        json.dumps(json.loads(whole('{"role":"assistant","content":"Hello","reasoning_content":"hm"}')), indent=2),
        "Hello",
        "hm",
    ),
    asks(
        "a proxy that does not stream, with a call",
        whole(
            '{"role":"assistant","content":null,"tool_calls":[{"id":"c","type":"function","function":{"name":"add","arguments":'
            + ARGUMENTS
            + "}}]}",
            '"tool_calls"',
        ),
        ADD,
    ),
    asks(
        "before tools: function_call",
        chunk('{"role":"assistant","function_call":{"name":"add","arguments":""}}')
        + chunk('{"function_call":{"arguments":"{\\"a\\": 1, \\"b\\": 2}"}}')
        + chunk("{}", '"function_call"'),
        ADD,
    ),
    asks(
        "arguments encoded twice",
        call(
            '{"index":0,"id":"c","function":{"name":"add","arguments":'
            + json.dumps(json.dumps('{"a": 1, "b": 2}'))
            + "}}"
        )
        + TOOLS,
        ADD,
    ),
    asks(
        "an empty array for no arguments",
        call('{"index":0,"id":"c","function":{"name":"noop","arguments":"[]"}}') + TOOLS,
        ("noop", {}),
    ),
    says(
        "half a character in each of two chunks",
        chunk('{"content":"ok \\ud83d"}') + chunk('{"content":"\\ude00"}') + STOP,
        "ok 😀",
    ),
    says("CRLF and a byte order mark", "\ufeff" + (ROLE + HELLO + STOP + DONE).replace("\n", "\r\n")),
    says(
        "no blank after data:, an id and a retry",
        "id: 7\nretry: 100\n" + (HELLO + STOP).replace("data: ", "data:") + "data:[DONE]",
    ),
    says("no [DONE] and no last line end", (HELLO + STOP).rstrip()),
    says("cut in the middle of a chunk", HELLO + STOP[:40], "Hello", "", "broken answer"),
    says("cut between two chunks", HELLO, "Hello", "", "ended early"),
    says("an HTML page under status 200", "<html><body>Bad gateway</body></html>", "", "", "no answer"),
]


def read(body: str, rng: random.Random) -> tuple[list[Chunk], str]:
    data = body.encode()
    cuts = sorted(rng.randrange(len(data) + 1) for _ in range(5))
    parts = [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]
    reader, chunks = ChatStream(OFFERED), []
    try:
        for event in events_of(parts):
            chunks += reader.feed(event)
        chunks += reader.finish()
    except EndpointError as error:
        return chunks, f"{error.status}: {error}"
    except ModelError as error:
        return chunks, str(error)
    return chunks, ""


def test_there_are_sixty_and_each_once() -> None:
    assert len({name for name, *_ in RECORDED}) == len(RECORDED) >= 60


@pytest.mark.parametrize(("name", "body", "expected", "calls", "thoughts", "reason"), RECORDED, ids=lambda value: None)
def test_an_answer_is_read_as_it_was_meant(
    name: str, body: str, expected: str, calls: list[tuple[str, Any]], thoughts: str, reason: str, seed: int
) -> None:
    chunks, error = read(body, random.Random(f"{seed} {name}"))
    ends = [one.reason for one in chunks if isinstance(one, Finish)]
    assert "".join(one.text for one in chunks if isinstance(one, TextDelta)) == expected, name
    assert "".join(one.text for one in chunks if isinstance(one, ThinkingDelta)) == thoughts, name
    assert [(one.tool, one.arguments) for one in chunks if isinstance(one, RequestedCall)] == calls, name
    if ends:
        assert (ends, error) == ([reason], ""), name
    else:
        assert (reason in error) if reason else not error, name
