"""Models behind any OpenAI-compatible endpoint: ``OPENAI_BASE_URL`` and ``OPENAI_API_KEY``.

Three tries with jitter, as long as nothing of the answer has come; redirects are not followed, so that
the key goes nowhere else; the key is removed from what the endpoint reports. The transport is the ``openai``
package's; the answer is read by `ChatStream`, because the package's own reader fails on what many endpoints send.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from sessionlib.engine.errors import ModelError
from sessionlib.engine.models.base import (
    LEFT_OUT,
    Chunk,
    Emit,
    ModelMessage,
    ModelRequest,
    RequestedCall,
    produce_in_thread,
)
from sessionlib.engine.models.chat_stream import ChatStream, EndpointError, events_of, reason_in
from sessionlib.engine.sessions.cancellation import Stop
from sessionlib.net.retry import MAX_RETRY_AFTER, Backoff, retry_after

__all__ = ["OpenAIModel"]

FormKind = Literal["json_schema", "json_object"] | None

_TRIES = 3
# As the openai package retries, and 425 (too early); 529 is "overloaded".
_RETRIED = frozenset({408, 409, 425, 429})
_MESSAGE_CHARS = 300
# How endpoints report that a request has more tokens than the model takes (OpenAI, vLLM, llama.cpp, LM Studio, Gemini,
# Moonshot, DashScope, Zhipu ...).
_TOO_LONG = re.compile(
    r"context_length_exceeded|exceed_context_size|context (window|size|length|limit)|n_ctx|"
    r"max(imum)? (prompt|model|sequence|input|context)[ -]length|prompt exceeds|"
    r"input length should be|max input characters|"
    r"(prompt|input) is too (long|large)|too many (input )?tokens|(input|prompt) token count|number of input tokens|"
    r"inputs` (tokens|must have less)|reduce (the length|your message size)|max_model_len|model token limit|"
    r"max_tokens must be at least 1, got -|payload size exceeds",
    re.IGNORECASE,
)
_TOO_LONG_STATUSES = frozenset({400, 422, 500})
_EMPTY = "(no answer)"
_OWN_FIELDS = frozenset({"role", "content", "tool_calls", "tool_call_id", "id", "type", "function"})
_REFUSED_STATUSES = frozenset({400, 422})
_THOUGHTS = "reasoning_content"
_MISSING = re.compile(r"pass(ed)? (it )?back|missing|required|must be (present|provided|included)", re.IGNORECASE)
# Shorter ones stand for no key, such as "none", and are a part of other words.
_SECRET_CHARS = 8
# How an answer can be held to a form, the best first. Not all endpoints know them; what they refuse is left out.
_FORMS: tuple[FormKind, ...] = ("json_schema", "json_object", None)
_UNKNOWN_FORM_STATUSES = frozenset({400, 404, 415, 422, 501})
_NO_HEADERS: Mapping[str, str] = {}


class OpenAIModel:
    """One model of an endpoint.

    Args:
        model: The endpoint's name for it.
        base_url: The endpoint; else ``OPENAI_BASE_URL``, else OpenAI's own.
        api_key: The key; else ``OPENAI_API_KEY``.
        timeout: Seconds without a byte after which the endpoint counts as dead.

    Raises:
        ModelError: The ``openai`` package is not installed, or there is no key.
    """

    def __init__(
        self, model: str, *, base_url: str | None = None, api_key: str | None = None, timeout: float = 60.0
    ) -> None:
        try:
            import openai
        except ImportError:
            raise ModelError("models of an endpoint need: pip install 'sessionlib[openai]'") from None
        self.name = f"openai:{model}"
        self._model = model
        self._openai = openai
        # Read here and not by the package, as it is a part of what identifies the endpoint.
        base_url = base_url or os.environ.get("OPENAI_BASE_URL") or None
        # What one endpoint wants back, another may refuse. Hashed, because a URL may hold a password.
        self._endpoint = hashlib.sha256(f"{base_url} {model}".encode()).hexdigest()[:16]
        # The most characters of a conversation that were not refused as too long, once some were; None before.
        self._room: int | None = None
        # The first is the one that the endpoint is known to take, or that has not been tried.
        # Learned from what it refuses, and kept for the next request.
        self._forms = _FORMS
        # Which fields beside its messages it refused, and whether it wants all thoughts back; learned likewise.
        self._refused: set[str] = set()
        self._wants_thoughts = False
        # Endpoints of one's own often need no key; OpenAI's does.
        self._key = api_key or os.environ.get("OPENAI_API_KEY") or ("none" if base_url else "")
        if not self._key:
            raise ModelError(
                "there is no key for the model: set OPENAI_API_KEY (and OPENAI_BASE_URL for your own endpoint)"
            )
        self._client = openai.OpenAI(
            api_key=self._key,
            base_url=base_url,
            # Tried again here, where it is known whether anything of the answer has come.
            max_retries=0,
            timeout=timeout,
            http_client=openai.DefaultHttpxClient(follow_redirects=False, timeout=timeout),
        )

    def __repr__(self) -> str:
        return f"<OpenAIModel {self._model}>"

    def answer(self, question: ModelRequest) -> Iterator[Chunk]:
        """Yields one step as the endpoint streams it."""

        def produce(emit: Emit) -> None:
            turns = _turns(question.messages)
            kept = turns if self._room is None else _newest(turns, self._room)
            while True:
                try:
                    self._try(question, sum(kept, ()), emit, left_out=len(kept) < len(turns))
                    return
                except _ContextExceededError:
                    if len(kept) == 1:
                        raise ModelError("The conversation's last turn is too long for the model.") from None
                # Half as much, and at least one turn less; the endpoint's limit is in tokens, which only it can count.
                self._room = sum(map(_size, kept)) // 2
                kept = _newest(kept[1:], self._room)

        return produce_in_thread(produce, question.stop, "openai")

    def close(self) -> None:
        """Closes the connections to the endpoint."""
        self._client.close()

    def _try(self, question: ModelRequest, messages: tuple[ModelMessage, ...], emit: Emit, *, left_out: bool) -> None:
        backoff = Backoff(base=1.0, cap=8.0)
        # Beside tools it would forbid them: vLLM and llama.cpp hold the answer to the form from its first token.
        forms = self._forms if question.response_format is not None and not question.tools else _FORMS[-1:]
        tries_left = _TRIES
        while True:
            emitted = False

            def keep(chunk: Chunk) -> bool:
                nonlocal emitted
                if not emitted and left_out:
                    emit(LEFT_OUT)
                emitted = True
                return emit(chunk)

            request = self._request(question, messages, forms[0])
            try:
                self._stream(request, question, keep)
                if question.response_format is not None and not question.tools:
                    self._forms = forms
                return
            except EndpointError as error:
                failure: Exception = error
                status, headers = error.status, _NO_HEADERS
            except ModelError:
                raise
            except Exception as error:  # noqa: BLE001 - also what a broken answer makes the libraries raise
                failure, status = error, getattr(error, "status_code", None)
                headers = getattr(getattr(error, "response", None), "headers", None) or _NO_HEADERS
            if question.stop.stopped:
                return
            report = f"{failure} {_body_of(failure)}"
            if not emitted and _is_too_long(status, report):
                raise _ContextExceededError
            if not emitted and status in _REFUSED_STATUSES and self._learn_fields(request, report):
                continue
            if forms[0] is not None and not emitted and status in _UNKNOWN_FORM_STATUSES:
                forms = forms[1:]
                continue
            tries_left -= 1
            asked = retry_after(headers) or 0.0
            # What was asked for is limited to the maximum, and a wait that long is for a person to decide on.
            # What has been shown cannot be taken back, so an answer that has begun is not asked for again.
            is_final = not _may_pass(failure, status, headers) or "insufficient_quota" in report
            if emitted or not tries_left or asked >= MAX_RETRY_AFTER or is_final:
                raise ModelError(self._describe(failure)) from None
            _sleep(backoff.next_delay(asked), question.stop)

    def _stream(self, request: dict[str, Any], question: ModelRequest, emit: Emit) -> None:
        reader = ChatStream([tool.name for tool in question.tools])
        completions = self._client.chat.completions.with_streaming_response
        # The raw response: the package's own reader refuses events that are only unusual.
        with completions.create(**request) as response:
            # httpx hands out the connection by this name; None where its transport is another one.
            network = response.http_response.extensions.get("network_stream")
            with question.stop.calling(lambda: _disconnect(network)):
                for event in events_of(response.iter_bytes()):
                    for chunk in reader.feed(event):
                        if not emit(chunk):
                            return
                if question.stop.stopped:
                    return
                for chunk in reader.finish():
                    if isinstance(chunk, RequestedCall) and chunk.origin is not None:
                        origin = {"endpoint": self._endpoint, **chunk.origin}
                        emit(RequestedCall(chunk.tool, chunk.arguments, origin))
                    else:
                        emit(chunk)

    def _learn_fields(self, request: dict[str, Any], report: str) -> bool:
        """Takes from a refusal which fields beside a message it is about; returns whether another try may succeed."""
        # DeepSeek and Moonshot want the thoughts of every answer back, though only where there are tools.
        if _THOUGHTS in report and _MISSING.search(report) and not self._wants_thoughts:
            self._wants_thoughts = True
            return True
        # Some refuse in a message what they have put into one (Groq, Mistral, Cerebras).
        messages = request["messages"]
        sent = {name for message in messages for part in (message, *(message.get("tool_calls") or ())) for name in part}
        refused = {name for name in sent - _OWN_FIELDS - self._refused if re.search(rf"\b{re.escape(name)}\b", report)}
        self._refused |= refused
        return bool(refused)

    # ---- the request -----------------------------------------------------------------------

    def _request(self, question: ModelRequest, conversation: Sequence[ModelMessage], form: FormKind) -> dict[str, Any]:
        messages: list[dict[str, Any]] = []
        if question.instructions:
            # "system" and not "developer", which only OpenAI's newer models know.
            messages.append({"role": "system", "content": question.instructions})
        ids: set[str] = set()
        for item in conversation:
            for message in self._messages(item, ids):
                last = messages[-1] if messages else None
                if last is not None and (last["role"], message["role"]) == ("tool", "user"):
                    # Mistral wants an answer behind each result; a turn that was ended may have none.
                    messages.append({"role": "assistant", "content": _EMPTY, **self._thoughts_of(item)})
                # Mistral, Gemma's template and some more insist that user and assistant take turns.
                if last is not None and last["role"] == message["role"] != "tool" and "tool_calls" not in last:
                    text = "\n\n".join(filter(None, (last["content"], message["content"])))
                    last.update(message, content=text or None)
                else:
                    messages.append(message)
        for message in messages:
            # Anthropic and Bedrock refuse a blank text; only beside tool calls may it be left out.
            if not message["content"] and message["role"] != "system":
                message["content"] = None if message.get("tool_calls") else _EMPTY
        request: dict[str, Any] = {"model": self._model, "messages": messages, "stream": True}
        wanted = question.response_format
        if wanted is not None and form is not None:
            request["response_format"] = {"type": form}
            if form == "json_schema":
                # Endpoints answer 400 to a name of another form.
                name = re.sub(r"[^A-Za-z0-9_-]", "_", wanted["name"]) or "answer"
                described: dict[str, Any] = {"name": name, "schema": wanted["schema"], "strict": False}
                with contextlib.suppress(_NotStrictError):
                    described |= {"schema": _strict(wanted["schema"]), "strict": True}
                request["response_format"]["json_schema"] = described
        if question.tools:
            request["tools"] = [
                {
                    "type": "function",
                    "function": {"name": tool.name, "description": tool.description, "parameters": tool.schema},
                }
                for tool in question.tools
            ]
        return request

    def _messages(self, item: ModelMessage, ids: set[str]) -> Iterator[dict[str, Any]]:
        if item.failure:
            content = f"[I could not answer: {item.failure}]"
            yield {"role": "assistant", "content": content, **self._thoughts_of(item)}
            return
        if item.role == "user":
            parts = [item.text]
            for file in item.files:
                head = f"[file {file.name}, {file.mime_type}, {file.size} bytes]"
                parts.append(head if file.text is None else f"{head}\n{file.text}")
            yield {"role": "user", "content": "\n\n".join(parts).strip()}
            return
        message: dict[str, Any] = {"role": "assistant", "content": item.text, **self._thoughts_of(item)}
        origins = [result.origin or {} for result in item.results]
        origins = [origin if origin.get("endpoint") == self._endpoint else {} for origin in origins]
        if item.results:
            message |= self._accepted(next((origin["message"] for origin in origins if "message" in origin), {}))
            message["tool_calls"] = []
        results: list[dict[str, Any]] = []
        for result, origin in zip(item.results, origins, strict=True):
            # Some endpoints give an id to several calls, and none accepts that.
            call_id = str(origin.get("id") or "")
            if not call_id or call_id in ids:
                # Nine letters and digits are an id that every endpoint accepts: Mistral takes no other ids.
                call_id = hashlib.sha256(result.call_id.encode()).hexdigest()[:9]
            ids.add(call_id)
            # A model may call what it was never offered; endpoints answer 400 to a name of another form.
            name = re.sub(r"[^A-Za-z0-9_-]", "_", result.tool)[:64] or "unknown"
            function = {"name": name, "arguments": json.dumps(result.arguments)}
            extra = self._accepted(origin.get("extra", {}))
            message["tool_calls"].append({**extra, "id": call_id, "type": "function", "function": function})
            output = result.output if isinstance(result.output, str) else json.dumps(result.output)
            content = {"error": f"Error: {output}", "denied": f"The user denied this call. {output}"}.get(
                result.status, output
            )
            results.append({"role": "tool", "tool_call_id": call_id, "content": content or "(empty)"})
        yield from (message, *results)

    def _thoughts_of(self, item: ModelMessage) -> dict[str, Any]:
        return self._accepted({_THOUGHTS: item.thoughts}) if self._wants_thoughts else {}

    def _accepted(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in fields.items() if name not in self._refused}

    def _describe(self, error: Exception) -> str:
        status = error.status if isinstance(error, EndpointError) else getattr(error, "status_code", None)
        # By name: the package has changed its HTTP library before, and an answer's body raises that library's errors.
        if any("Timeout" in kind.__name__ for kind in type(error).__mro__):
            return "The model's endpoint did not answer in time."
        if isinstance(error, self._openai.APIConnectionError) or _is_transport(error):
            return "The model's endpoint cannot be reached."
        if status in (401, 403):
            return f"The model's endpoint refused the key ({status})."
        if not isinstance(error, (EndpointError, self._openai.OpenAIError)):
            return f"The model's endpoint sent a broken answer ({type(error).__name__})."
        text = " ".join(reason_in(_body_of(error)).split()) or "it gave no reason"
        # OpenAI quotes a part of a wrong key, and a gateway may quote all of it.
        if len(self._key) >= _SECRET_CHARS:
            text = text.replace(self._key, "***")
        text = text[:_MESSAGE_CHARS]
        return f"The model's endpoint failed ({status}): {text}" if status else f"The model's endpoint failed: {text}"


class _ContextExceededError(Exception):
    """The endpoint refused a conversation that has more tokens than the model takes."""


def _turns(messages: Sequence[ModelMessage]) -> list[tuple[ModelMessage, ...]]:
    """Divides a conversation into turns: a user's messages, and the steps of their answer."""
    turns: list[tuple[ModelMessage, ...]] = []
    for number, message in enumerate(messages):
        if not turns or (message.role == "user" and messages[number - 1].role != "user"):
            turns.append(())
        turns[-1] += (message,)
    return turns


def _size(turn: Sequence[ModelMessage]) -> int:
    return sum(message.chars for message in turn)


def _newest(turns: list[tuple[ModelMessage, ...]], room: int) -> list[tuple[ModelMessage, ...]]:
    kept = turns[-1:]
    for turn in reversed(turns[:-1]):
        if sum(map(_size, kept)) + _size(turn) > room:
            break
        kept.insert(0, turn)
    return kept


class _NotStrictError(Exception):
    """A schema describes objects with any properties, which OpenAI's strict mode does not take."""


def _strict(schema: Any) -> Any:
    """Returns a schema with all properties required and no further ones: OpenAI holds answers to no other kind.

    Raises:
        _NotStrictError: It cannot be made one.
    """
    if isinstance(schema, list):
        return [_strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("type") == "object" and ("properties" not in schema or schema.get("additionalProperties")):
        raise _NotStrictError
    # Strict mode does not take defaults.
    made = {key: value for key, value in schema.items() if key != "default"}
    for key in made.keys() & {"items", "prefixItems", "anyOf", "allOf", "oneOf"}:
        made[key] = _strict(made[key])
    for key in made.keys() & {"properties", "$defs"}:
        made[key] = {name: _strict(value) for name, value in made[key].items()}
    if "properties" in made:
        made |= {"additionalProperties": False, "required": list(made["properties"])}
    return made


def _is_transport(error: Exception) -> bool:
    return any(kind.__name__ == "TransportError" for kind in type(error).__mro__)


def _body_of(error: Exception) -> Any:
    # The package keeps no more of a body in its error than some of the forms that bodies have.
    if isinstance(error, EndpointError):
        return error.body
    response = getattr(error, "response", None)
    return str(error) if response is None else response.text


def _is_too_long(status: int | None, report: str) -> bool:
    if status == 413:
        return True
    # OpenAI and Groq refuse so what no waiting makes room for; all else under this status is a limit of many requests.
    if status == 429:
        return "request too large" in report.lower()
    return (status is None or status in _TOO_LONG_STATUSES) and _TOO_LONG.search(report) is not None


def _may_pass(error: Exception, status: int | None, headers: Mapping[str, str]) -> bool:
    """Returns whether another try may succeed, as the openai package sees it."""
    if headers.get("x-should-retry") in ("true", "false"):
        return headers["x-should-retry"] == "true"
    if status is None:  # connection refused or lost, timed out, or an error within the answer
        return isinstance(error, EndpointError) or hasattr(error, "request") or _is_transport(error)
    return status in _RETRIED or status >= 500


def _sleep(seconds: float, stop: Stop) -> None:
    stopped = threading.Event()
    with stop.calling(stopped.set):
        stopped.wait(seconds)
    stop.check()


def _disconnect(network: Any) -> None:
    # Closing a socket does not wake the thread that reads from it; shutting it down does.
    sock = network.get_extra_info("socket") if network is not None else None
    if sock is not None:
        with contextlib.suppress(OSError):  # it has ended already
            sock.shutdown(socket.SHUT_RDWR)
