"""Bodies of answers in the form of sixty speakers of the chat completion stream, byte by byte as they would come."""

# ruff: noqa: E501 - what was recorded stays on one line

from __future__ import annotations

import ast
import json
import random
from collections.abc import Iterator
from typing import Any

import pytest

from sessionlib.engine import ModelError
from sessionlib.engine.models import Chunk, Finish, RequestedCall, TextDelta, ThinkingDelta
from sessionlib.engine.models.chat_stream import ChatStream, EndpointError, events_of

HEAD = '"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m"'
CALLS = {"add": ("add", {"a": 1, "b": 2}), "noop": ("noop", {})}
WORDS = {
    "ROLE": ['{"role":"assistant","content":""}'],
    "HELLO": ['{"content":"Hel"}', '{"content":"lo"}'],
    "STOP": ["end:stop"],
    "TOOLS": ["end:tool_calls"],
    "USAGE": ['+ "choices":[],"usage":{"prompt_tokens":9,"completion_tokens":2,"total_tokens":11}'],
    "DONE": [r"'data: [DONE]\n\n'"],
}
# The name of each speaker, and what is not as usual in what its answer means. Below, what it sends: the delta of a
# chunk, the parts of calls in it, or all of its choice; behind a plus, what an event has beside the head; in quotes,
# bytes; the words above; or a chunk that ends for a reason. $ARGS are the arguments of a call of add.
RECORDED = r"""
# openai
ROLE HELLO STOP DONE
# openai with usage
ROLE HELLO STOP USAGE DONE
# openai with obfuscation and logprobs
"delta":{"role":"assistant","content":"","refusal":null},"finish_reason":null,"logprobs":null
+ "service_tier":"default","obfuscation":"x9","choices":[{"index":0,"delta":{"content":"Hello"},"logprobs":{"content":[{"token":"Hello","logprob":-0.1,"bytes":[72],"top_logprobs":[]}]},"finish_reason":null}]
STOP DONE
# openai tools in parallel = {"calls": ["add", "noop"]}
{"role":"assistant","content":null}
[{"index":0,"id":"call_a","type":"function","function":{"name":"add","arguments":""}}]
[{"index":0,"function":{"arguments":"{\"a\": 1"}}]
[{"index":0,"function":{"arguments":", \"b\": 2}"}}]
[{"index":1,"id":"call_b","type":"function","function":{"name":"noop","arguments":""}}]
[{"index":1,"function":{"arguments":"{}"}}]
TOOLS DONE
# openai refusal = {"text": "I cannot do that.", "reason": "refusal"}
{"refusal":"I cannot "}
{"refusal":"do that."}
STOP
# openai length = {"reason": "length"}
HELLO end:length DONE
# azure: filter results first, no choices
'data: {"id":"","object":"","created":0,"model":"","prompt_filter_results":[{"prompt_index":0}],"choices":[]}\n\n'
ROLE HELLO STOP DONE
# azure: asynchronous filter, without a delta
HELLO STOP
+ "choices":[{"index":0,"finish_reason":null,"content_filter_offsets":{"check_offset":1},"content_filter_results":{"hate":{"filtered":false}}}]
DONE
# azure: filtered = {"text": "He", "reason": "content_filter"}
{"content": "He"}
end:content_filter DONE
# azure: content filter without text = {"text": "", "reason": "content_filter"}
ROLE end:content_filter DONE
# vllm: role in the first alone, stop_reason
{"role":"assistant"}
HELLO
"delta":{"content":""},"finish_reason":"stop","stop_reason":null
DONE
# vllm: reasoning = {"thoughts": "hmm"}
{"reasoning":"hm"}
{"reasoning_content":"m"}
HELLO STOP
# vllm: name and arguments in one delta, finish_reason stop = {"calls": ["add"]}
[{"index":0,"id":"chatcmpl-tool-1","type":"function","function":{"name":"add","arguments":$ARGS}}]
STOP DONE
# vllm: error in the stream = {"reason": "error"}
HELLO end:abort DONE
# ollama
ROLE
{"role":"assistant","content":"Hello"}
"delta":{"role":"assistant","content":""},"finish_reason":"stop"
DONE
# ollama: index 0 for each call = {"calls": ["add", "noop"]}
[{"id":"call_1","index":0,"type":"function","function":{"name":"add","arguments":$ARGS}}]
[{"id":"call_2","index":0,"type":"function","function":{"name":"noop","arguments":"{}"}}]
TOOLS DONE
# ollama: arguments as an object = {"calls": ["add"]}
[{"id":"call_1","index":0,"function":{"name":"add","arguments":{"a":1,"b":2}}}]
STOP
# ollama: thinking = {"thoughts": "hm"}
{"role":"assistant","content":"","reasoning":"hm"}
HELLO STOP
# lm studio: event names
'event: message\n'
ROLE
'event: message\n'
HELLO STOP DONE
# lm studio: no index = {"calls": ["add"]}
[{"id":"1","type":"function","function":{"name":"add","arguments":$ARGS}}]
TOOLS
# llama.cpp: the name again with null arguments = {"calls": ["add"]}
[{"index":0,"id":"x","function":{"name":"add","arguments":null}}]
[{"index":0,"function":{"name":"add","arguments":$ARGS}}]
TOOLS
# tgi: no finish before the end, eos_token
HELLO
"delta":{"content":""},"finish_reason":"eos_token"
DONE
# tgi: a tool call that is an object = {"calls": ["add"]}
"delta":{"tool_calls":{"index":0,"id":"","type":"function","function":{"name":"add","arguments":$ARGS}}},"finish_reason":"stop"
# sglang: matched_stop
HELLO
"delta":{"content":null},"finish_reason":"stop","matched_stop":2
DONE
# sglang: arguments whole, and again = {"calls": ["add"]}
[{"index":0,"id":"c","function":{"name":"add","arguments":$ARGS}}]
[{"index":0,"id":"c","function":{"name":null,"arguments":$ARGS}}]
TOOLS
# litellm: empty choices and null fields
+ "choices":[{"index":0,"delta":{"provider_specific_fields":null,"refusal":null,"content":"Hello","role":"assistant","function_call":null,"tool_calls":null,"audio":null},"logprobs":null}]
STOP DONE
# litellm: error in the middle = {"reason": "500: upstream failed"}
HELLO
'data: {"error":{"message":"upstream failed","type":"None","param":"None","code":"500"}}\n\n'
# openrouter: comments
': OPENROUTER PROCESSING\n\n: OPENROUTER PROCESSING\n\n'
ROLE HELLO STOP DONE
# openrouter: reasoning details = {"thoughts": "hm"}
{"content":"","reasoning":"hm","reasoning_details":[{"type":"reasoning.text","text":"hm","index":0,"format":"x"}]}
HELLO STOP DONE
# openrouter: native reason and an error finish = {"text": "He", "reason": "error"}
{"content": "He"}
+ "error":{"code":502,"message":"provider disconnected"},"choices":[{"index":0,"delta":{"content":""},"finish_reason":"error","native_finish_reason":null}]
# openrouter: 200 with an error alone = {"text": "", "reason": "404: No endpoints found"}
'{"error":{"message":"No endpoints found","code":404},"user_id":"u"}'
# mistral: thinking as content = {"thoughts": "hm"}
{"content":[{"type":"thinking","thinking":[{"type":"text","text":"hm"}]}]}
{"content":[{"type":"text","text":"Hello"}]}
STOP
# mistral: no index, id of nine letters, finish in the same event = {"calls": ["add"]}
"delta":{"content":"","tool_calls":[{"id":"D681PevKs","function":{"name":"add","arguments":$ARGS}}]},"finish_reason":"tool_calls"
DONE
# mistral: references
{"content":[{"type":"text","text":"Hel"},{"type":"reference","reference_ids":[1]},{"type":"text","text":"lo"}]}
STOP
# mistral: model_length = {"reason": "length"}
HELLO end:model_length
# deepseek: reasoner = {"thoughts": "hm"}
{"role":"assistant","content":null,"reasoning_content":"h"}
{"content":null,"reasoning_content":"m"}
{"content":"Hello","reasoning_content":null}
STOP DONE
# deepseek: keep-alive comments and blank lines
': keep-alive\n\n\n\n: keep-alive\n\n'
HELLO STOP DONE
# deepseek: out of resources = {"reason": "error"}
HELLO end:insufficient_system_resource
# gemini: whole calls, signature beside, finish stop = {"calls": ["add"]}
[{"index":0,"id":"","type":"function","function":{"name":"add","arguments":$ARGS},"extra_content":{"google":{"thought_signature":"c2ln"}}}]
STOP DONE
# gemini: two calls with empty ids = {"calls": ["add", "noop"]}
[{"index":0,"id":"","function":{"name":"add","arguments":$ARGS}},{"index":1,"id":"","function":{"name":"noop","arguments":"{}"}}]
STOP
# gemini: an array of errors = {"text": "", "reason": "400: API key not valid"}
'[{\n  "error": {\n    "code": 400,\n    "message": "API key not valid",\n    "status": "INVALID_ARGUMENT"\n  }\n}\n]'
# gemini: MAX_TOKENS = {"reason": "length"}
HELLO end:MAX_TOKENS
# gemini: SAFETY = {"text": "He", "reason": "content_filter"}
{"content": "He"}
end:SAFETY
# gemini: a malformed call = {"text": "", "reason": "error"}
"delta":{"content":null},"finish_reason":"MALFORMED_FUNCTION_CALL"
# groq: x_groq
+ "x_groq":{"id":"req_1"},"choices":[{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}]
HELLO STOP DONE
# groq: failed generation = {"text": "", "reason": "400: Failed to call a function."}
'event: error\ndata: {"error":{"message":"Failed to call a function.","type":"invalid_request_error","code":"tool_use_failed","status_code":400}}\n\n'
# perplexity: message beside delta, again in full
+ "citations":[],"choices":[{"index":0,"delta":{"role":"assistant","content":"Hello"},"message":{"role":"assistant","content":"Hello"},"finish_reason":"stop"}]
# cohere: a last event with the whole message
HELLO
+ "choices":[{"index":0,"message":{"role":"assistant","content":"Hello"},"finish_reason":"COMPLETE"}]
# bedrock gateway: end_turn
HELLO end:end_turn
# bedrock gateway: tool_use, index from one = {"calls": ["add"]}
[{"index":1,"id":"tooluse_1","type":"function","function":{"name":"add","arguments":""}}]
[{"index":1,"function":{"arguments":"{\"a\": 1, "}}]
[{"index":1,"function":{"arguments":"\"b\": 2}"}}]
end:tool_use
# anthropic's layer: max_tokens = {"reason": "length"}
HELLO end:max_tokens
# before tools: function_call = {"calls": ["add"]}
{"role":"assistant","function_call":{"name":"add","arguments":""}}
{"function_call":{"arguments":"{\"a\": 1, \"b\": 2}"}}
end:function_call
# arguments encoded twice = {"calls": ["add"]}
[{"index":0,"id":"c","function":{"name":"add","arguments":"\"{\\\"a\\\": 1, \\\"b\\\": 2}\""}}]
TOOLS
# an empty array for no arguments = {"calls": ["noop"]}
[{"index":0,"id":"c","function":{"name":"noop","arguments":"[]"}}]
TOOLS
# half a character in each of two chunks = {"text": "ok 😀"}
{"content":"ok \ud83d"}
{"content":"\ude00"}
STOP
# cut between two chunks = {"reason": "ended early"}
HELLO
# an HTML page under status 200 = {"text": "", "reason": "no answer"}
'<html><body>Bad gateway</body></html>'
# ollama: JSON lines without data:
'{"id":"1","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}\n'
'{"id":"1","choices":[{"index":0,"delta":{"content":"Hello"},"finish_reason":null}]}\n'
'{"id":"1","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n'
# llama.cpp: timings
ROLE HELLO
+ "choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"timings":{"prompt_n":1}
DONE
# together: token beside
"delta":{"content":"Hel"},"finish_reason":null,"text":"x","seed":1
"delta":{"content":"lo"},"finish_reason":null,"text":"x","seed":1
STOP DONE
# fireworks: usage in the last event
HELLO
+ "usage":{"total_tokens":3},"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]
DONE
# a proxy that does not stream
'{"id":"1","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"Hello"},"finish_reason":"stop"}]}'
# a proxy that does not stream, on many lines = {"thoughts": "hm"}
'{\n  "id": "1",\n  "object": "chat.completion",\n  "choices": [\n    {\n      "index": 0,\n      "message": {\n        "role": "assistant",\n        "content": "Hello",\n        "reasoning_content": "hm"\n      },\n      "finish_reason": "stop"\n    }\n  ]\n}'
# a proxy that does not stream, with a call = {"calls": ["add"]}
'{"id":"1","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":null,"tool_calls":[{"id":"c","type":"function","function":{"name":"add","arguments":"{\\"a\\": 1, \\"b\\": 2}"}}]},"finish_reason":"tool_calls"}]}'
# CRLF and a byte order mark
'\ufeffdata: {"id":"1","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}\r\n\r\n'
'data: {"id":"1","choices":[{"index":0,"delta":{"content":"Hel"},"finish_reason":null}]}\r\n\r\n'
'data: {"id":"1","choices":[{"index":0,"delta":{"content":"lo"},"finish_reason":"stop"}]}\r\n\r\ndata: [DONE]\r\n\r\n'
# no blank after data:, an id and a retry
'id: 7\nretry: 100\ndata:{"id":"1","choices":[{"index":0,"delta":{"content":"Hello"},"finish_reason":null}]}\n\n'
'data:{"id":"1","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata:[DONE]'
# no [DONE] and no last line end
HELLO
'data: {"id":"1","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}'
# cut in the middle of a chunk = {"reason": "broken answer"}
HELLO
'data: {"id":"chatcmpl-1","object":"chat.'
"""


def sent(line: str) -> str:
    """Returns what is sent for a line of a record."""
    line = line.replace("$ARGS", r'"{\"a\": 1, \"b\": 2}"')
    match line[0]:
        case "'":
            return str(ast.literal_eval(line))
        case "+":
            return f"data: {{{HEAD},{line[2:]}}}\n\n"
        case '"':
            return sent(f'+ "choices":[{{"index":0,{line}}}]')
        case "{":
            return sent(f'"delta":{line},"finish_reason":null')
        case "[":
            return sent(f'{{"tool_calls":{line}}}')
    if line.startswith("end:") and " " not in line:
        return sent(f'"delta":{{}},"finish_reason":"{line[4:]}"')
    return "".join(sent(each) for word in line.split() for each in WORDS.get(word, [word]))


def records() -> Iterator[Any]:
    for record in RECORDED.strip().removeprefix("# ").split("\n# "):
        head, *lines = record.split("\n")
        name, _, unusual = head.partition(" = ")
        expected = json.loads(unusual or "{}")
        calls = [CALLS[call] for call in expected.pop("calls", ())]
        usual = {"text": "" if calls else "Hello", "thoughts": "", "reason": ""}
        yield pytest.param("".join(map(sent, lines)), calls, *(usual | expected).values(), id=name)


def read(body: str, rng: random.Random) -> tuple[list[Chunk], str]:
    data = body.encode()
    cuts = sorted(rng.randrange(len(data) + 1) for _ in range(5))
    parts = [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]
    reader, chunks = ChatStream(["add", "get_weather", "search", "noop"]), []
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
    names = [param.id for param in records()]
    assert len(set(names)) == len(names) >= 60


@pytest.mark.parametrize(("body", "calls", "text", "thoughts", "reason"), list(records()))
def test_an_answer_is_read_as_it_was_meant(
    body: str, calls: list[tuple[str, Any]], text: str, thoughts: str, reason: str, seed: int
) -> None:
    chunks, error = read(body, random.Random(f"{seed} {body}"))
    ends = [one.reason for one in chunks if isinstance(one, Finish)]
    assert "".join(one.text for one in chunks if isinstance(one, TextDelta)) == text
    assert "".join(one.text for one in chunks if isinstance(one, ThinkingDelta)) == thoughts
    assert [(one.tool, one.arguments) for one in chunks if isinstance(one, RequestedCall)] == calls
    if ends:
        assert (ends, error) == ([reason], "")
    else:
        assert (reason in error) if reason else not error
