"""What can be run: once with `run`, or once for each of many prompts with `map`."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import Any, Literal, overload

from sessionlib._util.timing import NEVER
from sessionlib._util.typed import T, answer_format
from sessionlib.agent.map import AgentRuns, OnError, ProgressBar, check_prompts, make_bar
from sessionlib.agent.models import AgentRunResult, AgentType, ConversationalAgentRunResult, IoConfig
from sessionlib.agent.oneshot import OneShot, run_conversational
from sessionlib.approvals import ApprovalHandler
from sessionlib.content import Content, FileContent
from sessionlib.rest.calls import Upload
from sessionlib.rest.resource import Resource, object_of

__all__ = ["Runnable", "run_functional"]

_FILE_TYPES = frozenset({"file", "audio", "image"})


def run_functional(
    agent: Runnable, path: str, inputs: Mapping[str, Any], additional_instructions: str | None, timeout: float | None
) -> AgentRunResult:
    """Runs a functional agent once, at a path; see `Agent.run`."""
    # Warned about and left out, as in the SDK, rather than refused by the engine.
    values, files = _split(agent, inputs)
    body: dict[str, Any] = {"inputs": values}
    if additional_instructions:
        body["additional_instructions"] = additional_instructions
    # Files make it a multipart form, in which every other field is text.
    sent: dict[str, Any] = {"form": body, "files": files} if files else {"json": body}
    return _result(agent, agent.client.request("POST", path, timeout=timeout, **sent), path)


def merge_skill(additional_instructions: str | None, skill: Any) -> str | None:
    """Returns the instructions for one run, with a skill's ``content`` after those of the caller."""
    if skill is None:
        return additional_instructions
    parts = (additional_instructions, getattr(skill, "content", None))
    return "\n\n".join(part for part in parts if part)


def _split(agent: Runnable, inputs: Mapping[str, Any]) -> tuple[dict[str, Any], list[Upload]]:
    unknown = [name for name in inputs if name not in agent.inputs]
    if unknown:
        warnings.warn(
            f"agent {agent.id!r} has no inputs named {', '.join(map(repr, unknown))}, so they are not sent; "
            f"it has {', '.join(map(repr, agent.inputs)) or 'none: was it fetched?'}",
            # The line of the user's that called `run`.
            stacklevel=4,
        )
    known = {name: value for name, value in inputs.items() if name in agent.inputs}
    uploads = {name: _upload(name, value) for name, value in known.items() if agent.inputs[name].io_type in _FILE_TYPES}
    files = [one for one in uploads.values() if one is not None]
    return {name: value for name, value in known.items() if uploads.get(name) is None}, files


def _upload(name: str, value: Any) -> Upload | None:
    """Reads a file to its end; None for what is none, such as the URL of one."""
    # Read whole, as `requests` does with a multipart body in any case.
    if isinstance(value, Path):
        return name, (value.name, value.read_bytes())
    if isinstance(value, (bytes, bytearray)):
        return name, (name, bytes(value))
    read = getattr(value, "read", None)
    if not callable(read):
        return None
    data = read()
    own = getattr(value, "name", None)
    # A file opened by descriptor has a number for a name.
    file_name = os.path.basename(own) if isinstance(own, str) else name
    return name, (file_name or name, data.encode() if isinstance(data, str) else data)


def _result(agent: Runnable, details: Any, path: str) -> AgentRunResult:
    answer = object_of(details, f"POST {path}")
    # The platform answers with the ids of outputs.
    names = {config.server_id: name for name, config in agent.outputs.items() if config.server_id}
    return AgentRunResult(
        outputs={names.get(key, key): value for key, value in (answer.get("outputs") or {}).items()},
        run_id=answer.get("run_id", ""),
        status=answer.get("status", "success"),
        error=answer.get("error"),
    )


class Runnable(Resource):
    """An agent, as far as it is run and talked to.

    Attributes:
        agent_type: Its kind; only conversational agents have sessions.
        inputs: Inputs by name, for functional agents.
        outputs: Outputs by name, for functional agents.
    """

    agent_type: AgentType
    inputs: dict[str, IoConfig]
    outputs: dict[str, IoConfig]

    @overload
    def run(
        self,
        inputs: Mapping[str, Any],
        additional_instructions: str | None = ...,
        *,
        skill: Any = ...,
        timeout: float | None = ...,
    ) -> AgentRunResult: ...

    @overload
    def run(
        self,
        inputs: Content,
        *,
        files: Sequence[FileContent] | None = ...,
        session_id: str | None = ...,
        keep_alive: bool = ...,
        include_deltas: bool = ...,
        timeout: float | None = ...,
        on_approval: ApprovalHandler | None = ...,
        into: None = None,
    ) -> ConversationalAgentRunResult[None]: ...

    @overload
    def run(
        self,
        inputs: Content,
        *,
        into: type[T],
        files: Sequence[FileContent] | None = ...,
        session_id: str | None = ...,
        keep_alive: bool = ...,
        include_deltas: bool = ...,
        timeout: float | None = ...,
        on_approval: ApprovalHandler | None = ...,
    ) -> ConversationalAgentRunResult[T]: ...

    def run(
        self,
        inputs: Any = None,
        additional_instructions: str | None = None,
        *,
        skill: Any = None,
        files: Sequence[FileContent] | None = None,
        session_id: str | None = None,
        keep_alive: bool = False,
        include_deltas: bool = False,
        timeout: float | None = 300.0,
        on_approval: ApprovalHandler | None = None,
        into: type[Any] | None = None,
    ) -> AgentRunResult | ConversationalAgentRunResult[Any]:
        """Runs the agent once and waits for its result.

        A functional agent takes inputs and returns outputs. A conversational one takes a message, as
        `Session.send` does, and returns its answer; the session around them is not seen.

        Args:
            inputs: For a functional agent, values by the names of its inputs; for an input of type "file", "audio" or
                "image" also a path, bytes or a file object, which is read to its end. For a conversational
                agent, text, a path, bytes or a file-like object.
            additional_instructions: Instructions for this run of a functional agent, after its own.
            skill: An object whose ``content`` is added to them.
            files: Files that go with the message.
            session_id: A session to go on with, instead of a new one; it stays alive.
            keep_alive: Whether a new session stays alive, to go on with under the result's ``session_id``.
            include_deltas: Whether the result's events hold the deltas too.
            timeout: Seconds for the whole run.
            on_approval: Decides about approval requests.
            into: The type of the answer, as for `Session.ask`; for conversational agents.

        Returns:
            The outputs by name, or the answer, and how it went. A session that cannot be had and an error
            in the turn are reported in the result's ``status`` and ``error``; with ``into``, they are raised.

        Raises:
            ApiError: The server refused to run the functional agent.
            ApiTimeoutError: Its run was not over in time.
            ApiConnectionError: There was no answer.
            ConversationalRunActionRequiredError: An approval is needed and no handler answers, or an account has to be
                authorised again. The session stays alive, to be resumed.
            SessionTimeoutError: The conversational run was not over in time.
            SessionError: Its session was lost.
            AnswerFormatError: The answers hold no value of the type; the error has them.
            OSError: A file cannot be read.
            ValueError: The arguments are not those of an agent of this type.
        """
        conversational = OneShot(session_id, keep_alive, include_deltas, timeout, on_approval, into=into)
        if self.agent_type == AgentType.FUNCTIONAL:
            if not isinstance(inputs, Mapping):
                raise ValueError(f"a functional agent runs on a mapping of inputs, not on {type(inputs).__name__}")
            # By comparing with the defaults: whatever was set besides is for the other kind.
            if files is not None or conversational != OneShot(timeout=timeout):
                raise ValueError(
                    "files, session_id, keep_alive, include_deltas, on_approval and into are for conversational agents"
                )
            instructions = merge_skill(additional_instructions, skill)
            return run_functional(self, self._path("/run"), inputs, instructions, timeout)
        # A mapping is what functional agents take: the kind of the agent is mistaken, most likely.
        if inputs is None or isinstance(inputs, Mapping):
            raise ValueError(
                f"agent {self.id!r} is conversational: run it on a message (text, a path, bytes or a file), or talk "
                "to it in a session, with create_session()"
            )
        if additional_instructions or skill is not None:
            warnings.warn("additional_instructions and skill are for functional agents and are not sent", stacklevel=2)
        return run_conversational(self, inputs, files, conversational)

    @overload
    def map(
        self,
        prompts: Iterable[Content],
        *,
        executor: Executor | None = ...,
        max_workers: int = ...,
        ordered: bool = ...,
        progress: bool | ProgressBar | None = ...,
        on_error: Literal["raise"] = ...,
        retries: int = ...,
        include_deltas: bool = ...,
        timeout: float | None = ...,
        on_approval: ApprovalHandler | None = ...,
        checkpoint: str | os.PathLike[str] | None = ...,
        into: type[T] | None = ...,
    ) -> AgentRuns[ConversationalAgentRunResult[T]]: ...

    @overload
    def map(
        self,
        prompts: Iterable[Content],
        *,
        executor: Executor | None = ...,
        max_workers: int = ...,
        ordered: bool = ...,
        progress: bool | ProgressBar | None = ...,
        on_error: OnError,
        retries: int = ...,
        include_deltas: bool = ...,
        timeout: float | None = ...,
        on_approval: ApprovalHandler | None = ...,
        checkpoint: str | os.PathLike[str] | None = ...,
        into: type[T] | None = ...,
    ) -> AgentRuns[ConversationalAgentRunResult[T] | BaseException]: ...

    def map(
        self,
        prompts: Iterable[Content],
        *,
        executor: Executor | None = None,
        max_workers: int = 8,
        ordered: bool = True,
        progress: bool | ProgressBar | None = None,
        on_error: OnError = "raise",
        retries: int = 0,
        include_deltas: bool = False,
        timeout: float | None = 300.0,
        on_approval: ApprovalHandler | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        into: type[Any] | None = None,
    ) -> AgentRuns[Any]:
        """Runs a conversational agent once for each of many prompts, several at a time.

        Prompts are taken from the iterable as results are taken from what this returns, so there may be
        any number of them. Each has a session of its own, which is terminated at its end. The agent
        and the results travel to other processes; API keys never do: there, the key comes from the environment::

            for result in agent.map(prompts, max_workers=16, progress=True):
                print(result.final_message)

        Args:
            prompts: The messages to send, one for each run.
            executor: Where the runs are made: any executor of ``concurrent.futures``, or one of
                `sessionlib.executors`, for Ray and Dask; None for a pool of threads.
            max_workers: How many run at a time; with an ``executor``, how many it is meant to run. Up to four
                times as many are handed out ahead of the result that is waited for.
            ordered: Whether results come in the order of the prompts, or each as soon as it is done.
            progress: True shows a bar, with the extra ``progress``; or a bar of your own, with ``update``.
            on_error: Whether an exception at one prompt is raised in its place (the iteration can go on
                after it) or given there.
            retries: How often a prompt is sent again, in a new session, when the connection was lost and it is not
                known whether it was answered. What its tools do may then happen twice.
            include_deltas: As for `run`.
            timeout: Seconds for each run. A worker that does not come back 5 s after them is given up, and so is an
                executor that has begun and delivered nothing for so long. None waits for both without limit.
            on_approval: Decides about approval requests; called on several threads at once.
            checkpoint: A file in which each prompt is noted before it is posted, and its result once it is there. Run
                again after a crash or Ctrl-C, with the same agent and prompts (texts, bytes or paths), the
                map goes on: results come from the file, answers that were under way from their sessions.
            into: The type of the answers, as for `Session.ask`. A prompt whose answers hold no such value, or whose
                turn ended with an error, is an `AnswerFormatError` in its place.

        Returns:
            An iterator over `ConversationalAgentRunResult`, each with the ``index`` and ``prompt`` that it is of.
            A prompt is posted at most once, also where an executor runs a job again; one whose worker was
            lost is looked for in its session, and is a `DeliveryUnknownError` if its outcome cannot be found. An
            error in a turn is in its result's ``status`` and ``error``; unlike with `run`, a session that
            cannot be had is an exception. Ctrl-C stops what is under way; what is done by then is in its ``done``.

        Raises:
            ValueError: The agent is functional, or an argument is not one of those it may be.
            TypeError: ``prompts``, ``progress``, ``executor`` or ``into`` is something else, or a prompt cannot
                be sent to another process or compared with one of a checkpoint.
            ConfigurationError: The checkpoint is of another agent or other prompts, or in use.
            OSError: The checkpoint cannot be opened.
            MissingExtraError: A bar was asked for and tqdm is not installed.
        """
        self._check_that_it_talks()
        if on_error not in ("raise", "return"):
            raise ValueError(f'on_error takes "raise" or "return", not {on_error!r}')
        # Checked here, at the call, and not as the first result is asked for.
        if not isinstance(max_workers, int) or max_workers < 1:
            raise ValueError(f"max_workers takes a whole number above 0, not {max_workers!r}")
        if not isinstance(retries, int) or retries < 0:
            raise ValueError(f"retries takes a whole number, 0 or above, not {retries!r}")
        if executor is not None and not isinstance(executor, Executor):
            given = getattr(executor, "__name__", type(executor).__name__)
            raise TypeError(
                f"executor takes one of concurrent.futures, not {given}; for a Client of Dask, give "
                "executors.dask(client)"
            )
        if timeout is not None and not timeout > 0:
            raise ValueError(f"timeout takes a number of seconds above 0, or None, not {timeout}")
        timeout = None if timeout is None else min(timeout, NEVER)
        if into is not None:
            answer_format(into)
        # Here, before the first prompt; an executor would put the same error in the place of each.
        prompts = check_prompts(self, prompts, on_approval, executor, checkpoint is not None, into)
        return AgentRuns(
            self,
            prompts,
            OneShot(
                include_deltas=include_deltas, timeout=timeout, on_approval=on_approval, retries=retries, into=into
            ),
            executor=executor,
            max_workers=max_workers,
            bar=make_bar(progress, prompts, self.name),
            owns_bar=progress is True,
            on_error=on_error,
            ordered=ordered,
            checkpoint=checkpoint,
        )

    def _check_that_it_talks(self) -> None:
        if self.agent_type == AgentType.FUNCTIONAL:
            raise ValueError(
                f"agent {self.id!r} is functional and has no sessions: use run(inputs={{...}}), or "
                "agent_type=AgentType.CONVERSATIONAL (an agent listed by its id alone has to be fetched first)"
            )
