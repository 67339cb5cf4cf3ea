"""The endpoint of a model, made for a test: a real server whose replies are bytes, whole, broken or without an end."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from sessionlib.engine.models import Chunk, ModelMessage, ModelRequest, OpenAIModel, TextDelta
from tests.support.http_server import Handler, Server, raw

KEY = "sk-sentinel-0123456789"
HEAD = "HTTP/1.1 200 OK\r\nConnection: close\r\n"
HI = ModelMessage("user", "hi")
Reply = Callable[[Handler], None]


class Endpoint(Server):
    """Answers each request with the next reply; the last one again and again."""

    def __init__(self, *replies: Reply | bytes, timeout: float = 60.0, key: str = KEY) -> None:
        super().__init__()
        self.answer(*(reply if callable(reply) else raw(reply) for reply in replies))
        self.model = OpenAIModel("m", base_url=self.url, api_key=key, timeout=timeout)

    def __exit__(self, *error: object) -> None:
        self.model.close()
        self.stop()

    @property
    def requests(self) -> list[dict[str, Any]]:
        return [seen.json for seen in self.seen]

    def ask(self, *messages: ModelMessage, instructions: str = "", **request: Any) -> list[Chunk]:
        """Returns the answer that its model makes of the next reply."""
        return list(self.model.answer(ModelRequest(instructions, messages or (HI,), **request)))


def body(data: bytes, content_type: str = "application/json") -> bytes:
    return f"{HEAD}Content-Type: {content_type}\r\n\r\n".encode() + data


def sse(*events: str | dict[str, Any]) -> bytes:
    lines = [event if isinstance(event, str) else json.dumps(event) for event in events]
    return body("".join(f"data: {line}\n\n" for line in lines).encode(), "text/event-stream")


def refusing(status: int, text: str, *headers: str) -> bytes:
    fields = [f"HTTP/1.1 {status} X", f"Content-Length: {len(text)}", "Content-Type: application/json"]
    return "\r\n".join([*fields, "Connection: close", *headers, "", text]).encode()


def failing(status: int, *headers: str, message: str = f"no {KEY} no") -> bytes:
    return refusing(status, json.dumps({"error": {"message": message}}), *headers)


def delta(**fields: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": fields}]}


def end(reason: Any = "stop", **fields: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": {}, "finish_reason": reason, **fields}]}


def part(index: Any = ..., call_id: Any = ..., name: Any = ..., arguments: Any = ...) -> dict[str, Any]:
    """A part of a call; what is ``...`` is left out."""
    function = {key: value for key, value in {"name": name, "arguments": arguments}.items() if value is not ...}
    fields = {"index": index, "id": call_id, "function": function}
    return {key: value for key, value in fields.items() if value is not ...}


def calls(*parts: Any) -> dict[str, Any]:
    """A delta with parts of calls: each as it is sent, or as the arguments of `part`."""
    return delta(tool_calls=[part(*each) if isinstance(each, tuple) else each for each in parts])


def text_of(chunks: list[Chunk]) -> str:
    return "".join(chunk.text for chunk in chunks if isinstance(chunk, TextDelta))


END, DONE = end(), "[DONE]"
OK = sse(delta(content="ok"), END)
