"""A model without a model: it echoes messages, and calls the tools that they name."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from sessionlib.engine.models.base import (
    CallResult,
    Chunk,
    ModelMessage,
    ModelRequest,
    RequestedCall,
    TextDelta,
    ThinkingDelta,
)

__all__ = ["DemoModel"]

_COMMAND = re.compile(r"^/tool[ \t]+(\S+)[ \t]*(.*)$", re.MULTILINE)
_THOUGHT = re.compile(r"^/think[ \t]+(\S.*)\n?", re.MULTILINE)
_WORD = re.compile(r"\s*\S+")
_QUOTED_CHARS = 2000
INTRODUCTION = "Demo model: echoes your message."


class DemoModel:
    """The model for first steps and tests: deterministic, with nothing to download.

    A line ``/tool NAME {json}`` makes it call that tool; several such lines are several calls in one
    step. A line ``/think TEXT`` makes it think that text before. Where the answer has to fit a JSON schema, it is an
    example that does. Anything else is quoted back in several chunks.
    """

    name = "demo"

    def answer(self, question: ModelRequest) -> Iterator[Chunk]:
        """Returns the one answer there is to this question."""
        latest = _latest(question.messages)
        if question.messages[-1].results:
            # One step behind the calls: it reports, and calls nothing more.
            details = [_report(result) for result in question.messages[-1].results]
            # Posts that share the turn with a command get their answer too.
            texts = [item for item in latest if not _COMMAND.search(item.text)]
            if texts:
                details.append(_quote(texts))
            yield from _pieces(_introduce(question, "\n".join(details)))
            return
        yield from (ThinkingDelta(word) for item in latest for word in _words("\n".join(_THOUGHT.findall(item.text))))
        latest = [replace(item, text=_THOUGHT.sub("", item.text)) for item in latest]
        commands = _COMMAND.findall("\n".join(item.text for item in latest))
        if commands:
            yield from (_call(name, arguments.strip()) for name, arguments in commands)
        elif question.response_format is not None:
            schema = question.response_format["schema"]
            yield from _pieces(json.dumps(_example(schema, schema.get("$defs", {})), ensure_ascii=False))
        else:
            yield from _pieces(_introduce(question, _quote(latest)))

    def close(self) -> None:
        """Holds nothing."""


def _introduce(question: ModelRequest, text: str) -> str:
    spoken = any(item.role == "assistant" and item.text for item in question.messages)
    return text if spoken else f"{INTRODUCTION} {text}"


def _latest(messages: tuple[ModelMessage, ...]) -> list[ModelMessage]:
    # What the turn has to answer: the posts before its steps with tools.
    latest: list[ModelMessage] = []
    for item in reversed(messages):
        if item.role == "user":
            latest.insert(0, item)
        elif latest or not item.results:
            break
    return latest


def _call(name: str, arguments: str) -> RequestedCall:
    try:
        given = json.loads(arguments) if arguments else {}
    except ValueError:
        # No JSON: what a real model may write as well, so that the refusal of it can be tried.
        given = arguments
    return RequestedCall(name, given if isinstance(given, dict) else arguments)


def _quote(latest: list[ModelMessage]) -> str:
    # Each message has its share, so that the answer to several contains every one of them.
    texts = [item.text if len(item.text) <= _QUOTED_CHARS else item.text[:_QUOTED_CHARS] + "…" for item in latest]
    text = "\n".join(filter(None, texts))
    files = [f"{file.name} ({file.mime_type}, {file.size} bytes)" for item in latest for file in item.files]
    details = [f'You said: "{text}"'] if text else []
    details += [f"You sent: {', '.join(files)}"] if files else []
    return ". ".join(details) or "The message is empty."


def _report(result: CallResult) -> str:
    if result.status == "denied":
        return f"The call of {result.tool} was denied" + (f": {result.output}" if result.output else ".")
    output = result.output if isinstance(result.output, str) else json.dumps(result.output, ensure_ascii=False)
    if result.status == "error":
        return f"{result.tool} failed: {output}"
    return f"{result.tool} gave: {output}"


def _pieces(text: str) -> Iterator[TextDelta]:
    return map(TextDelta, _words(text))


def _words(text: str) -> Iterator[str]:
    # And what blanks are left at the end.
    end = 0
    for match in _WORD.finditer(text):
        end = match.end()
        yield match.group()
    if text[end:]:
        yield text[end:]


_STRINGS = {
    "date": "2000-01-01",
    "date-time": "2000-01-01T00:00:00Z",
    "time": "00:00:00",
    "duration": "PT1S",
    "uuid": "00000000-0000-4000-8000-000000000000",
    "uri": "https://example.org/",
    "email": "someone@example.org",
}


def _example(schema: Mapping[str, Any], definitions: Mapping[str, Any], depth: int = 0) -> Any:
    """Returns a value that fits a JSON schema, as far as its keywords are common ones."""
    if "$ref" in schema:
        return _example(definitions.get(schema["$ref"].rpartition("/")[2], {}), definitions, depth + 1)
    for key in ("const", "default"):
        if key in schema:
            return schema[key]
    if schema.get("enum"):
        return schema["enum"][0]
    if options := schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf"):
        # A type within itself ends at the option that has nothing in it, which stands last.
        return _example(options[-1 if depth > 4 else 0], definitions, depth + 1)
    kind = schema.get("type")
    if kind == "object":
        fields = schema.get("properties", {})
        # Only what is required: a type that holds itself would have no end otherwise.
        return {name: _example(fields[name], definitions, depth + 1) for name in schema.get("required", ())}
    if kind == "array":
        items = schema.get("prefixItems") or [schema.get("items") or {}] * schema.get("minItems", depth <= 4)
        return [_example(item, definitions, depth + 1) for item in items]
    if kind in ("integer", "number"):
        return schema.get("minimum", schema.get("exclusiveMinimum", 0) + ("exclusiveMinimum" in schema))
    text = str(_STRINGS.get(schema.get("format", ""), "example"))
    return {"boolean": False, "null": None}.get(str(kind), text.ljust(schema.get("minLength", 0), "."))
