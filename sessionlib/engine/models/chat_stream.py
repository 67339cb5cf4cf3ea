"""What OpenAI-compatible endpoints send, read as it is: bytes in, chunks of a step out; no I/O.

The format is OpenAI's chat completion stream. Its other speakers (vLLM, Ollama, LM Studio, LiteLLM, OpenRouter,
Azure, Mistral, DeepSeek, Gemini ...) leave out, repeat and add fields; nothing that is only unusual may fail a turn.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from sessionlib._util.text import clean
from sessionlib.engine.errors import ModelError
from sessionlib.engine.models.base import Chunk, Finish, FinishReason, RequestedCall, TextDelta, ThinkingDelta
from sessionlib.protocol import codec

__all__ = [
    "BrokenAnswerError",
    "ChatStream",
    "EndpointError",
    "events_of",
    "join_surrogates",
    "parse_arguments",
    "reason_in",
]

# A bound on what a broken endpoint can take; an answer as a whole may be some megabytes.
_EVENT_BYTES = 32 * 1024 * 1024
_ARGUMENT_CHARS = 1_000_000
# What is kept beside the calls of a step; signatures and encrypted reasoning have some 10 kB.
_ORIGIN_CHARS = 512 * 1024

# Each endpoint has its own words for how an answer ended, some with a prefix or several of them: the first kind that
# is found in them counts. What is found in none is a normal end.
_ENDS: tuple[tuple[FinishReason, re.Pattern[str]], ...] = (
    ("length", re.compile(r"length|(max|maximum)_(\w+_)?tokens|token_limit|context_window|truncated|^limit$")),
    ("refusal", re.compile(r"refusal|refused")),
    (
        "content_filter",
        re.compile(
            r"content_filter|safety|recitation|blocklist|blocked|prohibited|spii|sensitive|guardrail|toxic|moderat|armor"
        ),
    ),
    (
        "error",
        re.compile(
            r"error|abort|insufficient|malformed|time_?(out|limit)|cancel|unexpected|too_many|missing|incomplete|^language$"
        ),
    ),
)


class BrokenAnswerError(ModelError):
    """The endpoint sent what is no answer in any known form."""


class EndpointError(ModelError):
    """The endpoint reported an error inside an answer with status 200.

    Attributes:
        status: The HTTP status that it belongs to, as far as the endpoint reports it; else None.
        body: The event that it came in.
    """

    def __init__(self, message: str, status: int | None, body: Any) -> None:
        super().__init__(message)
        self.status = status
        self.body = body


# ---- bytes to JSON -------------------------------------------------------------------------


def events_of(parts: Iterable[bytes]) -> Iterator[Any]:
    """Yields the JSON values in an answer's body: an event stream, JSON lines, or one JSON text.

    The rules are those of WHATWG HTML, 9.2.6 (lines end with CR, LF or both; an event without data is not
    dispatched), but for two: a last event whose blank line is missing counts, and ``[DONE]`` ends the stream.

    Args:
        parts: The body as it comes, divided anywhere.

    Raises:
        BrokenAnswerError: An event is not JSON, or is too large.
    """
    data: list[str] = []
    plain: list[str] = []
    for line in _lines(parts):
        if plain or (not data and line.startswith(("{", "["))):
            plain.append(line)  # no event stream: JSON, on one line or on many
            text = "\n".join(plain)
            if len(text) > _EVENT_BYTES:
                raise BrokenAnswerError("The model's endpoint sent a broken answer (it is too large).")
            # Only where a value may end: a large text on many lines is not parsed once for each.
            if not text.rstrip().endswith(("}", "]")):
                continue
            try:
                value = json.loads(text)
            except ValueError:
                continue
            except RecursionError:
                raise BrokenAnswerError("The model's endpoint sent a broken answer (nested too deeply).") from None
            plain.clear()
            yield value
            continue
        name, _, value = line.partition(":")
        if name == "data":
            data.append(value.removeprefix(" "))
        # What is no blank line goes on with the event; comments (":") and other fields have no data.
        if line and sum(map(len, data)) < _EVENT_BYTES:
            continue
        # A blank line: the event is complete.
        text, data = "\n".join(data).strip(), []
        if text.upper() == "[DONE]":
            yield DONE
            return
        if text:
            yield _json(text)
    if text := "\n".join(data or plain).strip():
        yield DONE if text.upper() == "[DONE]" else _json(text)


DONE = object()
"""Stands for the ``[DONE]`` that ends a stream."""


def _lines(parts: Iterable[bytes]) -> Iterator[str]:
    buffer = bytearray()
    first = True
    for part in parts:
        buffer += part
        # A CR at the end may be the first half of a CR LF, so it waits for what follows.
        end = max(buffer.rfind(b"\n"), buffer.rfind(b"\r", 0, len(buffer) - 1)) + 1
        # Decoded by the line, never by the part: a character may be divided between two parts.
        for line in _split_lines(buffer[:end])[:-1]:
            # A byte order mark may stand at the beginning of the stream (WHATWG HTML, 9.2.5).
            yield line.removeprefix("\ufeff") if first else line
            first = False
        del buffer[:end]
        if len(buffer) > _EVENT_BYTES:
            raise BrokenAnswerError("The model's endpoint sent a broken answer (a line of over 32 MiB).")
    if buffer:
        for line in _split_lines(buffer):
            yield line.removeprefix("\ufeff") if first else line
            first = False


def _split_lines(buffer: bytearray) -> list[str]:
    return buffer.decode(errors="replace").replace("\r\n", "\n").replace("\r", "\n").split("\n")


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        if text[0] not in "{[":
            return text  # a word that keeps the connection alive, or an error in words
        raise BrokenAnswerError(f"The model's endpoint sent a broken answer ({type(error).__name__}).") from None


# ---- JSON to chunks ------------------------------------------------------------------------


@dataclass
class _StreamedCall:
    """A tool call that is being streamed."""

    order: int
    id: str = ""
    name: str = ""
    arguments: list[str] = field(default_factory=list)
    size: int = 0
    # Fields beside the known ones, for the endpoint.
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def is_whole(self) -> bool:
        return bool(self.arguments) and isinstance(_parse_object("".join(self.arguments)), dict)


class HalfJoiner:
    """Joins the halves of surrogate pairs: gateways that count UTF-16 split an emoji into two chunks.

    RFC 8259, 8.2: JSON texts may hold half a pair; nothing behind this module can encode one.
    """

    def __init__(self) -> None:
        self._half = ""

    def feed(self, text: str) -> str:
        text, self._half = self._half + text, ""
        if text and "\ud800" <= text[-1] <= "\udbff":
            text, self._half = text[:-1], text[-1]
        return join_surrogates(text)

    def flush(self) -> str:
        return join_surrogates(self.feed("") + self._half)


def join_surrogates(text: str) -> str:
    """Returns a text with its surrogate pairs joined, and a replacement character for each half without a partner."""
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


class ChatStream:
    """Reads the events of one answer.

    Args:
        offered: Names of the tools that the model may call; they decide whether a name came in parts.
    """

    def __init__(self, offered: Collection[str] = ()) -> None:
        # Some endpoints send a name in parts, some with each delta: a name that was offered is whole.
        self._offered = offered
        self._calls: list[_StreamedCall] = []
        self._texts, self._thoughts = HalfJoiner(), HalfJoiner()
        self._refusal = ""
        # What an event without an answer reports; it counts where no answer comes.
        self._report: dict[str, Any] = {}
        # As the endpoint names it, and as the endpoint behind it did.
        self._reasons: dict[str, str] = {}
        self._done = False
        self._has_answer = False
        self._choice: int | None = None
        self._extra: dict[str, Any] = {}
        self._extra_size = 0

    def feed(self, event: Any) -> Iterator[Chunk]:
        """Yields the text and thoughts in an event.

        Raises:
            EndpointError: It reports an error.
            BrokenAnswerError: It is no event of an answer.
        """
        if event is DONE:
            self._done = True
            return
        if isinstance(event, list):
            for item in event:  # Gemini's layer puts its errors into an array
                if not isinstance(item, dict):
                    raise BrokenAnswerError("The model's endpoint sent a broken answer (a list).")
                yield from self.feed(item)
            return
        if not isinstance(event, dict):
            # A word that keeps the connection alive; where nothing else comes, it may be an error.
            if isinstance(event, str):
                self._report = self._report or {"message": f"it sent a broken answer: {event}"}
            return
        choices = event.get("choices")
        if isinstance(choices, dict):
            choices = [choices]
        if not isinstance(choices, list) or not choices:
            if _has_error(event):
                raise _error_in(event)
            if event.get("usage") and self._has_answer:
                self._done = True  # it is counted when the answer is whole
            self._report = self._report or (event if reason_in(event) else {})
            return
        # One answer was asked for; where there are more, the first is it. Not all count from zero.
        numbered = [(_number(item.get("index")) or 0, item) for item in choices if isinstance(item, dict)]
        if self._choice is None and numbered:
            self._choice = min(number for number, _ in numbered)
        choice = next((item for number, item in numbered if number == self._choice), None)
        if choice is None:
            return
        if _has_error(choice):
            raise _error_in(choice)
        delta = choice.get("delta")
        if not isinstance(delta, dict):
            # The answer as a whole: of an endpoint that does not stream, or again at the end of a stream. Or, as before
            # there were chats, a text.
            message = choice.get("message")
            delta = {"content": choice.get("text")}
            if isinstance(message, dict):
                # What has been streamed is not read again; calls may have been kept for the end.
                calls = message.get("tool_calls") if not self._calls else None
                delta = {"tool_calls": calls} if self._has_answer else message
        yield from self._read_delta(delta)
        # Kept, and not acted on: usage and other things may follow it.
        for name in ("finish_reason", "native_finish_reason", "finish_details"):
            reason = choice.get(name)
            if reason := _string(reason.get("type") if isinstance(reason, dict) else reason):
                self._reasons[name] = re.sub(r"(?<=[a-z])(?=[A-Z])|-", "_", reason).lower()

    def finish(self) -> Iterator[Chunk]:
        """Yields what is left at the end of the answer: tool calls, or why it is not whole.

        Raises:
            ModelError: The answer is incomplete.
        """
        # Without either, the connection may have been lost in the middle of the answer.
        if not self._reasons and not (self._done and self._has_answer):
            if self._report and not self._has_answer:
                raise _error_in(self._report)
            raise ModelError("The model's answer ended early." if self._has_answer else "The model sent no answer.")
        if thought := self._thoughts.flush():
            yield ThinkingDelta(thought)
        if text := self._texts.flush():
            yield TextDelta(text)
        # The more specific name counts: a gateway may call "stop" what the endpoint behind it calls otherwise.
        named = [(kind, reason) for reason in self._reasons.values() for kind, words in _ENDS if words.search(reason)]
        kind, reason = named[0] if named else (None, "")
        if kind == "length":
            yield Finish("length", "The model's answer was truncated at the most tokens that it may have.")
        elif self._refusal or kind == "refusal":
            words = join_surrogates(self._refusal[:300]).strip()
            yield Finish("refusal", f"The model refused to answer: {words or 'it gave no reason'}")
        elif kind == "content_filter":
            yield Finish(kind, "The model's answer was withheld by the endpoint's content filter.")
        elif kind == "error":
            yield Finish(kind, f"The model's answer was ended by an error of the endpoint ({reason[:100]}).")
        if kind or self._refusal:
            # The calls of an answer that is not whole are not whole either: none is passed on.
            return
        origin: dict[str, Any] = _clean(self._extra) if self._calls else {}
        ids: set[str] = set()
        for call in sorted(self._calls, key=lambda call: call.order):
            # DeepSeek and Zhipu may give several calls one id, and refuse that when it is sent back.
            call_id = "" if call.id in ids else join_surrogates(call.id)
            ids.add(call.id)
            own = {"id": call_id, "extra": _clean(call.extra)} if call_id or call.extra else {}
            beside = {**own, **({"message": origin} if origin else {})}
            origin = {}  # kept once, with the first call
            yield RequestedCall(join_surrogates(call.name), parse_arguments(call.arguments), beside or None)

    # ---- one delta -------------------------------------------------------------------------

    def _read_delta(self, delta: Mapping[str, Any]) -> Iterator[Chunk]:
        # Where there are several of them, they have the same thoughts.
        thought = next((text for name in _THOUGHTS if (text := _text_of(delta.get(name)))), "")
        content = delta.get("content")
        for part in content if isinstance(content, list) else [content]:
            if isinstance(part, dict) and part.get("type") in _THOUGHT_TYPES:
                thought += _text_of(part.get("thinking")) or _text_of({**part, "type": "text"})
        if thought := self._thoughts.feed(thought):
            self._has_answer = True
            yield ThinkingDelta(thought)
        refusal = _text_of(delta.get("refusal"))
        # Enough for the error; all of it is streamed as text.
        self._refusal += refusal[: 2000 - len(self._refusal)]
        text = _text_of(content) + refusal
        self._has_answer = self._has_answer or bool(text)
        if text := self._texts.feed(text):
            yield TextDelta(text)
        calls = delta.get("tool_calls")
        for part in calls if isinstance(calls, list) else [calls]:
            if isinstance(part, dict):
                self._read_call(part)
        if isinstance(delta.get("function_call"), dict):  # as it was before tools
            self._read_call({"index": 0, "function": delta["function_call"]})
        # Signatures and encrypted reasoning, which some endpoints want back with the calls that they belong to.
        for name, value in delta.items():
            if name not in _KNOWN_OF_DELTA and value not in (None, "", [], {}):
                self._keep(self._extra, name, value)

    def _read_call(self, part: Mapping[str, Any]) -> None:
        self._has_answer = True
        function = part.get("function")
        if not isinstance(function, dict):  # its fields may stand beside it
            function = {key: part[key] for key in ("name", "arguments") if key in part}
        given = function.get("arguments")
        # Some endpoints send an object where OpenAI sends its text.
        arguments = given if isinstance(given, str) else "" if given is None else json.dumps(given)
        # A model may write a blank in front of a name.
        name = _string(function.get("name")).strip()
        call = self._find_call(part, name, arguments)
        if not call.name:
            call.name = name
        elif name != call.name and call.name not in self._offered:
            # Sent so far and again, or the rest of it.
            call.name = name if name.startswith(call.name) else call.name + name
        call.size += len(arguments) + len(name)
        if call.size > _ARGUMENT_CHARS:
            raise ModelError("The model's tool call is too long.")
        if arguments:
            if isinstance(given, dict) and isinstance(before := parse_arguments(call.arguments), dict):
                call.arguments = [json.dumps({**before, **given})]  # more fields of one object, or all of them again
            else:
                call.arguments.append(arguments)
        for source, known in ((part, _KNOWN_OF_CALL), (function, {"name", "arguments"})):
            for key, value in source.items():
                if key not in known and value is not None:
                    self._keep(call.extra, key, value)

    def _find_call(self, part: Mapping[str, Any], name: str, arguments: str) -> _StreamedCall:
        call_id = _string(part.get("id"))
        index = _number(part.get("index"))
        same = [call for call in self._calls if call_id and call.id == call_id]
        last = next((call for call in reversed(same or self._calls) if index is None or call.order == index), None)
        if last is None and same and not name:
            last = same[-1]  # more of it, whatever its number
        if last is not None:
            is_other = name != last.name and last.name in self._offered
            if not name:
                begins = False  # more of it, or its id
            elif same:
                begins = is_other and last.is_whole
            elif call_id and last.id:
                # A new id begins a new call, unless the endpoint makes one up for each delta (vLLM did).
                begins = name != last.name or last.is_whole or not last.arguments
            elif call_id:
                begins = False  # the id of a call that has begun
            else:
                # No id distinguishes them. A call that is whole does not go on; one that comes again is repeated.
                repeated = name == last.name and arguments in ("", "".join(last.arguments))
                begins = not repeated and (last.is_whole or is_other)
            if not begins:
                last.id = last.id or call_id
                return last
        order = index if index is not None else max((call.order for call in self._calls), default=-1) + 1
        self._calls.append(_StreamedCall(order, call_id))
        return self._calls[-1]

    def _keep(self, kept: dict[str, Any], key: str, value: Any) -> None:
        self._extra_size += len(json.dumps(value))
        if self._extra_size <= _ORIGIN_CHARS:
            kept[key] = _merge(kept[key], value) if key in kept else value


_KNOWN_OF_DELTA = {"role", "content", "tool_calls", "function_call", "refusal", "audio", "name", "tool_call_id"}
_KNOWN_OF_CALL = {"id", "index", "type", "function", "name", "arguments"}


def _string(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _number(value: Any) -> int | None:
    """Returns an index, which may come as a text or with a point; None for anything else."""
    with contextlib.suppress(TypeError, ValueError, OverflowError):
        return int(value)
    return None


_TEXTS = ("text", "value", "refusal", "summary", "content", "parts")
_THOUGHTS = ("reasoning_content", "reasoning", "reasoning_details", "thinking")
_THOUGHT_TYPES = ("thinking", "reasoning")


def _text_of(value: Any) -> str:
    """Returns the text in a content: of a string, of a part, or of a list of parts."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "".join(_text_of(part) for part in value)
    if isinstance(value, dict) and value.get("type") not in (*_THOUGHT_TYPES, "reference", "image_url"):
        # OpenAI's parts have "text" or "refusal", Azure's {"text": {"value"}}, OpenRouter's reasoning "summary".
        return next((text for key in _TEXTS if (text := _text_of(value.get(key)))), "")
    return ""


def _merge(old: Any, new: Any) -> Any:
    """Returns one field out of two deltas: texts and lists go on, objects are united, anything else is replaced."""
    if isinstance(old, str) and isinstance(new, str):
        return old + new
    if isinstance(old, dict) and isinstance(new, dict):
        # Their texts are names and signatures, which come whole.
        return {**old, **new}
    if isinstance(old, list) and isinstance(new, list):
        merged = list(old)
        for item in new:
            last = merged[-1] if merged else None
            # The same block goes on.
            if (
                isinstance(last, dict)
                and isinstance(item, dict)
                and "index" in last
                and all(last.get(key) == item.get(key) for key in ("index", "type"))
            ):
                merged[-1] = {
                    **last,
                    **{key: _merge(last.get(key), value) if key in _GROWING else value for key, value in item.items()},
                }
            else:
                merged.append(item)
        return merged
    return old if new is None else new


# Fields of a block of reasoning that come in parts (OpenRouter's reasoning_details).
_GROWING = {"text", "summary", "data"}


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return join_surrogates(value)
    if isinstance(value, list):
        return [_clean(item) for item in value]
    if isinstance(value, dict):
        return {join_surrogates(key): _clean(item) for key, item in value.items()}
    return value


def _has_error(value: Mapping[str, Any]) -> bool:
    return bool(value.get("error")) or "error" in (value.get("object"), value.get("type")) or "detail" in value


# What errors call their words: OpenAI's "message", FastAPI's "detail", MiniMax's "base_resp", Baidu's "error_msg" ...
_REASONS: tuple[str, ...] = (
    *("message", "Message", "msg", "error_msg", "error_description", "status_msg", "faultstring"),
    *("detail", "error", "errors", "fault", "base_resp", "code"),
)


def reason_in(error: Any, depth: int = 6) -> str:
    """Returns what an error reports in words, in whatever form an endpoint or a gateway put it; else ""."""
    if isinstance(error, str):
        text = clean(join_surrogates(error)).strip()
        if text.startswith("<"):
            title = re.search(r"<title>([^<]*)</title>", text, re.IGNORECASE)
            return title[1].strip() if title else ""
        if text.startswith(("{", "[")):  # the error of an endpoint behind it, as it came
            with contextlib.suppress(ValueError, RecursionError):
                return reason_in(json.loads(text), depth - 1)
        return text
    if isinstance(error, list):
        return "; ".join(filter(None, (reason_in(item, depth - 1) for item in error[:3])))
    if not isinstance(error, dict) or not depth:
        return ""
    # An object has more to report than what stands beside it.
    names = sorted(_REASONS, key=lambda name: not (name == "error" and isinstance(error.get(name), (dict, list))))
    words = next((text for name in names if (text := reason_in(error.get(name), depth - 1))), "")
    # OpenRouter: what the provider reported.
    metadata = error.get("metadata")
    behind = reason_in(metadata.get("raw"), depth - 1) if isinstance(metadata, dict) else ""
    return ": ".join(filter(None, (words, behind)))


def _error_in(event: Mapping[str, Any]) -> EndpointError:
    error = event.get("error")
    sources = [error if isinstance(error, dict) else {}, event]
    codes = [str(source.get(name)) for source in sources for name in ("code", "status", "status_code", "statusCode")]
    status = next((int(code) for code in codes if len(code) == 3 and code.isascii() and code.isdigit()), None)
    return EndpointError(reason_in(event) or "it gave no reason", status, event)


# ---- arguments -----------------------------------------------------------------------------


def parse_arguments(parts: list[str]) -> dict[str, Any] | str:
    """Returns a call's arguments out of the parts in which they came; the text as it is where that is no JSON object.

    The parts make one text; or each repeats what came before it, or the last repeats the whole; or an empty object
    comes before or behind it. The text may be encoded twice, and an empty array is PHP's empty object.
    """
    text = join_surrogates("".join(parts))
    # From the most likely.
    for value in (
        _parse_object(text),
        _only_object(text),
        _parse_object(join_surrogates(parts[-1])) if parts else None,
    ):
        if isinstance(value, dict):
            return _clean(value)  # type: ignore[no-any-return]
    return text


def _parse_object(text: str) -> Any:
    value: Any = text
    for _ in range(3):
        if not isinstance(value, str):
            break
        if not value.strip():
            return {}
        try:
            value = json.loads(value, strict=False)  # models write line ends into their texts as they are
            codec.dumps_checked(_clean(value))  # NaN and numbers that no double holds cannot be sent back
        except (ValueError, RecursionError):
            return None
    return {} if value is None or value == [] else value


def _only_object(text: str) -> dict[str, Any] | None:
    """Returns the one object in a text of several that are empty or the same; else None.

    LiteLLM put ``{}`` before the arguments, and vLLM behind them.
    """
    found: dict[str, Any] = {}
    while text := text.strip():
        try:
            _, end = json.JSONDecoder().raw_decode(text)
        except (ValueError, RecursionError):
            return None
        value = _parse_object(text[:end])
        if not isinstance(value, dict) or (found and value not in ({}, found)):
            return None
        found, text = found or value, text[end:]
    return found
