"""Models behind any OpenAI-compatible endpoint: ``OPENAI_BASE_URL`` and ``OPENAI_API_KEY``.

Three tries with jitter, as long as nothing of the answer has come; redirects are not followed, so that
the key goes nowhere else; what the endpoint says is told with the key taken out.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
from collections.abc import Iterator
from typing import Any

from sessionlib._util.retry import Backoff
from sessionlib.engine.errors import ModelError
from sessionlib.engine.models.base import (
    Attachment,
    Emit,
    ModelRequest,
    Piece,
    RequestedCall,
    Said,
    Text,
    Thinking,
    pumped,
)
from sessionlib.engine.sessions.cancellation import Stop

__all__ = ["OpenAIModel"]

_TRIES = 3
_RETRIED = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
_LONGEST_WAIT = 20.0
_TOLD_CHARS = 300
_ARGUMENT_CHARS = 1_000_000


class OpenAIModel:
    """One model of an endpoint.

    Args:
        model: The endpoint's name for it.
        base_url: The endpoint; else ``OPENAI_BASE_URL``, else OpenAI's own.
        api_key: The key; else ``OPENAI_API_KEY``.
        timeout: Seconds the endpoint may be silent.

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
        base_url = base_url or os.environ.get("OPENAI_BASE_URL") or None
        # Endpoints of one's own often need no key; OpenAI's does.
        self._key = api_key or os.environ.get("OPENAI_API_KEY") or ("none" if base_url else "")
        if not self._key:
            raise ModelError(
                "there is no key for the model: set OPENAI_API_KEY (and OPENAI_BASE_URL for your own endpoint)"
            )
        self._client = openai.OpenAI(
            api_key=self._key,
            base_url=base_url,
            max_retries=0,
            timeout=timeout,
            http_client=openai.DefaultHttpxClient(follow_redirects=False, timeout=timeout),
        )

    def __repr__(self) -> str:
        return f"<OpenAIModel {self._model}>"

    def answer(self, question: ModelRequest) -> Iterator[Piece]:
        """Gives one step as the endpoint streams it."""
        return pumped(lambda emit: self._produce(question, emit), question.stop, "openai")

    def close(self) -> None:
        """Closes the connections to the endpoint."""
        self._client.close()

    def _produce(self, question: ModelRequest, emit: Emit) -> None:
        backoff = Backoff(base=1.0, cap=8.0)
        for tries_left in reversed(range(_TRIES)):
            emitted: list[Piece] = []

            def keep(piece: Piece, emitted: list[Piece] = emitted) -> bool:
                emitted.append(piece)
                return emit(piece)

            try:
                self._stream(question, keep)
                return
            except self._openai.OpenAIError as error:
                wait = backoff.next_delay(_retry_after(error))
                if emitted or not tries_left or not _may_pass(error) or wait > _LONGEST_WAIT:
                    raise ModelError(self._describe(error)) from None
            except ModelError:
                raise
            except Exception as error:  # noqa: BLE001 - whatever a broken answer makes the libraries raise
                raise ModelError(f"The model's endpoint gave a broken answer ({type(error).__name__}).") from None
            _sleep(wait, question.stop)

    def _stream(self, question: ModelRequest, emit: Emit) -> None:
        calls: dict[int, dict[str, str]] = {}
        finished = False
        stream = self._client.chat.completions.create(**self._request(question))
        with stream, question.stop.calling(lambda: _cut(stream)):
            for choice in (choice for chunk in stream for choice in chunk.choices[:1]):
                finished = finished or choice.finish_reason is not None
                if not _take(choice.delta, calls, emit):
                    return
        if not finished and not question.stop.stopped:
            raise ModelError("The model's answer was cut short.")
        for _, call in sorted(calls.items()):
            emit(RequestedCall(call["name"], _arguments(call["arguments"])))

    def _request(self, question: ModelRequest) -> dict[str, Any]:
        messages: list[dict[str, Any]] = []
        if question.instructions:
            messages.append({"role": "system", "content": question.instructions})
        for said in question.said:
            messages += _messages(said)
        request: dict[str, Any] = {"model": self._model, "messages": messages, "stream": True}
        if question.tools:
            request["tools"] = [
                {
                    "type": "function",
                    "function": {"name": tool.name, "description": tool.description, "parameters": tool.schema},
                }
                for tool in question.tools
            ]
        return request

    def _describe(self, error: Exception) -> str:
        status = getattr(error, "status_code", None)
        if isinstance(error, self._openai.APITimeoutError):
            return "The model's endpoint did not answer in time."
        if isinstance(error, self._openai.APIConnectionError):
            return "The model's endpoint cannot be reached."
        if status in (401, 403):
            return f"The model's endpoint refused the key ({status})."
        told = str(error).replace(self._key, "***")[:_TOLD_CHARS]
        return f"The model's endpoint failed ({status}): {told}" if status else f"The model's endpoint failed: {told}"


def _take(delta: Any, calls: dict[int, dict[str, str]], emit: Emit) -> bool:
    # Whether more is wanted.
    thought = getattr(delta, "reasoning_content", None) or getattr(delta, "reasoning", None)
    if isinstance(thought, str) and not emit(Thinking(thought)):
        return False
    for part in delta.tool_calls or ():
        call = calls.setdefault(part.index, {"name": "", "arguments": ""})
        call["name"] += (part.function and part.function.name) or ""
        call["arguments"] += (part.function and part.function.arguments) or ""
        if len(call["arguments"]) > _ARGUMENT_CHARS:
            raise ModelError("The model's tool call is too long.")
    return emit(Text(delta.content)) if delta.content else True


def _messages(said: Said) -> Iterator[dict[str, Any]]:
    if said.failure:
        yield {"role": "assistant", "content": f"[I could not answer: {said.failure}]"}
        return
    if said.role == "user":
        yield {"role": "user", "content": "\n\n".join([said.text, *map(_shown, said.files)]).strip()}
        return
    # An empty answer is one too; only beside tool calls may it be left out.
    message: dict[str, Any] = {"role": "assistant", "content": said.text or (None if said.results else "")}
    if said.results:
        message["tool_calls"] = [
            {
                "id": result.call_id,
                "type": "function",
                "function": {"name": result.tool, "arguments": json.dumps(result.arguments)},
            }
            for result in said.results
        ]
    yield message
    for result in said.results:
        output = result.output if isinstance(result.output, str) else json.dumps(result.output)
        told = {"error": f"Error: {output}", "denied": f"The user denied this call. {output}"}.get(
            result.status, output
        )
        yield {"role": "tool", "tool_call_id": result.call_id, "content": told}


def _shown(file: Attachment) -> str:
    head = f"[file {file.name}, {file.mime_type}, {file.size} bytes]"
    return head if file.text is None else f"{head}\n{file.text}"


def _arguments(text: str) -> dict[str, Any] | str:
    try:
        value = json.loads(text or "{}")
    except ValueError:
        return text
    return value if isinstance(value, dict) else text


def _may_pass(error: Exception) -> bool:
    # A status that may change, or no status at all: refused, cut, timed out.
    status = getattr(error, "status_code", None)
    return status in _RETRIED if status is not None else hasattr(error, "request")


def _retry_after(error: Exception) -> float:
    response = getattr(error, "response", None)
    told = response.headers.get("retry-after", "") if response is not None else ""
    return float(told) if told.isdigit() else 0.0


def _sleep(seconds: float, stop: Stop) -> None:
    woken = threading.Event()
    with stop.calling(woken.set):
        woken.wait(seconds)
    stop.check()


def _cut(stream: Any) -> None:
    # Closing a socket does not wake the thread that reads from it; shutting it down does.
    network = stream.response.extensions.get("network_stream")
    sock = network.get_extra_info("socket") if network is not None else None
    if sock is not None:
        with contextlib.suppress(OSError):  # it has ended already
            sock.shutdown(socket.SHUT_RDWR)
