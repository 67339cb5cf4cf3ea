"""A small language model on this machine's CPU, run by llama.cpp (``xllamacpp``).

So small a model has no training in calling tools. Where there are any it is asked twice, and its answers
are held to a JSON schema as they are made: first which tool, if any, then with which arguments.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sessionlib.engine.errors import ModelError
from sessionlib.engine.models.base import Asked, Offer, Piece, Question, Said, Text
from sessionlib.engine.models.pump import Emit, pumped
from sessionlib.engine.models.weights import weights_path

__all__ = ["LocalModel"]

_CONTEXT = 4096
_SLOTS = 2
_ANSWER_TOKENS = 512
_CALL_TOKENS = 256
# Only the model knows how many tokens a text is: of most languages the first is little, of some the last is much.
_PROMPT_CHARS = (8000, 3000, 1000)
_FILE_CHARS = 2000
_INSTRUCTIONS = "You are a helpful assistant."
_NO_TOOL = "no tool"


class LocalModel:
    """A GGUF model; several sessions may ask it at once.

    Args:
        path: The weights; those of `sessionlib.engine.models.weights.pull` when not given.
        threads: CPU threads it uses; all but one when not given.

    Raises:
        ModelError: ``xllamacpp`` is not installed, or the weights are not there or cannot be loaded.
    """

    name = "local"

    def __init__(self, path: str | Path | None = None, *, threads: int | None = None) -> None:
        weights = Path(path) if path is not None else weights_path()
        if not weights.is_file():
            how = "fetch them with: sessionlib models pull" if path is None else "check the path"
            raise ModelError(f"the weights {weights} are not there; {how}")
        try:
            import xllamacpp
        except ImportError:
            raise ModelError("the local model needs: pip install 'sessionlib[local]'") from None
        # The library listens even when nobody asks it to: on a socket only this user reaches, with a key
        # nobody knows.
        self._folder = tempfile.TemporaryDirectory(prefix="sessionlib-", ignore_cleanup_errors=True)
        params = xllamacpp.CommonParams()
        if os.name != "nt":
            params.hostnames = [os.path.join(self._folder.name, "model.sock")]
        params.api_keys = [secrets.token_urlsafe(32)]
        params.ui = params.endpoint_slots = params.endpoint_props = False
        params.model.path = str(weights)
        params.n_ctx, params.n_parallel = _CONTEXT * _SLOTS, _SLOTS
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads or _spare_threads()
        params.verbosity = -1
        try:
            self._server = xllamacpp.Server(params)
        except Exception as error:
            self._folder.cleanup()
            raise ModelError(f"the weights {weights} cannot be loaded: {error}") from error

    def answer(self, question: Question) -> Iterator[Piece]:
        """Gives one step: a tool call, or a text as it is made."""
        return pumped(lambda emit: self._produce(question, emit), question.stop, "local")

    def close(self) -> None:
        """Unloads the weights."""
        self._server = None
        self._folder.cleanup()

    def _produce(self, question: Question, emit: Emit) -> None:
        for chars in _PROMPT_CHARS:
            with contextlib.suppress(_TooLongError):
                self._take_step(question, _messages(question, chars), emit)
                return
        raise ModelError("The local model's instructions, tools and question are too long for it together.")

    def _take_step(self, question: Question, messages: list[dict[str, str]], emit: Emit) -> None:
        # Once it has called a tool, it answers: left to itself it would call on and on.
        if question.tools and not question.said[-1].results:
            offer = self._choose(messages, question.tools)
            if offer is not None:
                emit(Asked(offer.name, self._fill_in(messages, offer)))
                return
        self._complete(messages, lambda text: emit(Text(text)), max_tokens=_ANSWER_TOKENS)

    def _choose(self, messages: list[dict[str, str]], offers: tuple[Offer, ...]) -> Offer | None:
        listed = "\n".join(f"- {offer.name}: {offer.description}" for offer in offers)
        asked = (
            f"{messages[-1]['content']}\n\nThese tools can be used:\n{listed}\n"
            f'Which one is needed to answer? If none is, say "{_NO_TOOL}".'
        )
        schema = {
            "type": "object",
            "properties": {"tool": {"enum": [_NO_TOOL, *(offer.name for offer in offers)]}},
            "required": ["tool"],
        }
        chosen = self._decide([*messages[:-1], {"role": "user", "content": asked}], schema).get("tool")
        return next((offer for offer in offers if offer.name == chosen), None)

    def _fill_in(self, messages: list[dict[str, str]], offer: Offer) -> dict[str, Any]:
        asked = (
            f"{messages[-1]['content']}\n\nCall the tool {offer.name} ({offer.description}). "
            f"Give its arguments as JSON: {json.dumps(offer.schema.get('properties', {}))}"
        )
        return self._decide([*messages[:-1], {"role": "user", "content": asked}], offer.schema)

    def _decide(self, messages: list[dict[str, str]], schema: dict[str, Any]) -> dict[str, Any]:
        pieces: list[str] = []
        form = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}

        def keep(text: str) -> bool:
            pieces.append(text)
            return True

        self._complete(messages, keep, max_tokens=_CALL_TOKENS, response_format=form)
        try:
            decided = json.loads("".join(pieces))
        except ValueError:  # cut off at the most tokens it may take
            return {}
        return decided if isinstance(decided, dict) else {}

    def _complete(self, messages: list[dict[str, str]], emit: Any, **options: Any) -> None:
        failed: list[Any] = []

        def on_chunk(chunk: Any) -> bool:
            # Whether to stop.
            if not isinstance(chunk, dict) or "error" in chunk:
                failed.append(chunk)
                return True
            text = "".join((choice.get("delta") or {}).get("content") or "" for choice in chunk.get("choices", ()))
            return bool(text) and not emit(text)

        request = {"messages": messages, "stream": True, "temperature": 0, **options}
        self._server.handle_chat_completions(request, on_chunk)
        if failed:
            raise _failure(failed[0])


class _TooLongError(ModelError):
    """A prompt has more tokens than the model takes; nothing was answered."""


def _failure(chunk: Any) -> ModelError:
    error = chunk.get("error") if isinstance(chunk, dict) else None
    told = error if isinstance(error, dict) else {"message": str(chunk)[:300]}
    kind = _TooLongError if told.get("type") == "exceed_context_size_error" else ModelError
    return kind(f"The local model failed: {told.get('message')}")


def _spare_threads() -> int:
    return max(1, (os.cpu_count() or 2) - 1)


def _messages(question: Question, chars: int) -> list[dict[str, str]]:
    messages: list[dict[str, str]] = []
    room = chars
    for said in reversed(question.said):
        content = _content(said)[:chars]
        room -= len(content)
        if messages and room < 0:
            break
        # Several posts of one turn are one message to it: it knows only taking turns.
        if messages and messages[0]["role"] == said.role:
            messages[0]["content"] = f"{content}\n{messages[0]['content']}"
        else:
            messages.insert(0, {"role": said.role, "content": content})
    if question.said[-1].results:
        messages.append({"role": "user", "content": "Answer my question with this result."})
    return [{"role": "system", "content": question.instructions or _INSTRUCTIONS}, *messages]


def _content(said: Said) -> str:
    if said.failure:
        return "I could not answer."
    files = [f"File {file.name}:\n{(file.text or '(not a text)')[:_FILE_CHARS]}" for file in said.files]
    results = [f"The tool {item.tool} gave ({item.status}): {json.dumps(item.output)}" for item in said.results]
    return "\n".join([said.text, *files, *results]).strip()
