"""One turn: model, tool calls, results, model again, until it answers, fails, or waits for a person.

All of its state is in the database, so going on after an approval and going on after a restart are the
same thing: look which calls are open, do what can be done for each, and ask the model again when none is.
The tools of one step run at the same time; their results are sent in the order of the calls.
"""

from __future__ import annotations

import logging
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from sessionlib.engine.errors import EngineError, ModelError, RefusedError
from sessionlib.engine.limits import Limits
from sessionlib.engine.models import Chunk, Finish, Model, ModelRequest, Notice, RequestedCall, ThinkingDelta, ToolSpec
from sessionlib.engine.models.base import LEFT_OUT
from sessionlib.engine.models.chat_stream import HalfJoiner
from sessionlib.engine.sessions import content as contents
from sessionlib.engine.sessions.cancellation import Stop, StoppedError
from sessionlib.engine.sessions.context import recall
from sessionlib.engine.sessions.session import LiveSession
from sessionlib.engine.store import Store
from sessionlib.engine.store.records import Json, Message, StoredCall, StoredTurn, new_id
from sessionlib.engine.tools import LocalTool, Outcome, run_tool
from sessionlib.engine.tools.runner import ToolBatch, describe
from sessionlib.engine.tools.schema import ASK_FIRST, InvalidArgumentsError
from sessionlib.events import ParticipantStatus
from sessionlib.protocol import codec, frames

__all__ = ["ENGINE_STOPPED", "EngineContext", "ToolRunner", "TurnRun", "check_arguments", "interrupt_turn"]

logger = logging.getLogger(__name__)

Tool = LocalTool[..., Any]
ToolRunner = Callable[[Tool, Json, Stop, float, int], Outcome]


@dataclass(frozen=True)
class EngineContext:
    """What every turn of an engine works with."""

    store: Store
    model: Model
    tools: Mapping[str, Tool]
    limits: Limits
    run_tool: ToolRunner = run_tool


@dataclass
class _Step:
    """What a model gave so far in one step."""

    message_id: str
    texts: list[str]
    thoughts: list[str]
    thinking: list[tuple[str, Json]]
    asked: list[RequestedCall]
    joiner: HalfJoiner = field(default_factory=HalfJoiner)
    thought_id: str = ""
    size: int = 0
    finish: Finish | None = None


class TurnRun:
    """Works on one turn until it has ended or waits for a person.

    Args:
        kit: What it works with.
        session: The session; receives what happens.
        turn: The turn.
        stop: Its off switch.
    """

    def __init__(self, kit: EngineContext, session: LiveSession, turn: StoredTurn, stop: Stop) -> None:
        self._kit = kit
        self._session = session
        self._turn = turn
        self._stop = stop
        self._bench = ToolBatch(kit.limits.parallel_tools)

    def run(self) -> bool:
        """Does the work; every failure ends the turn and is reported.

        Returns:
            Whether the turn has ended; otherwise it was left to a person, and belongs to the worker that gets
            the answer.
        """
        try:
            if not self._advance():
                return False
        # From the most particular: each names its reason in words that a client may see.
        except StoppedError:
            self._fail(f"The turn was stopped: {self._stop.reason}.")
        except ModelError as error:
            self._fail(str(error))
        except EngineError as error:
            self._fail(f"The turn could not go on: {error}")
        except BaseException:
            logger.exception("! turn %s failed", self._turn.id)
            self._fail("The turn failed inside the engine; its log has the reason.")
        self._session.audience.end_stream()
        self._session.end(self._turn)
        return True

    def _advance(self) -> bool:
        # Whether the turn has ended; otherwise it waits for a person.
        with self._session.posting:
            # First of all: a post may not join a turn that has failed in the meantime.
            self._session.close_batch(self._turn)
            # A turn whose end could not be kept must not look to the model as if it were still to be answered.
            for turn in self._kit.store.sessions.open_turns(self._session.id):
                if turn.number < self._turn.number:
                    self._publish(interrupt_turn(self._kit.store, turn, self._session.sender, ENGINE_STOPPED))
            self._kit.store.sessions.set_turn(self._turn.number, "running")
            self._tell(ParticipantStatus.PROCESSING)
        while True:
            # While tools run they are waited for: stopped ones end soon, and their results are kept.
            if not self._bench.busy:
                self._stop.check()
            # Before the look, so that an answer that comes behind it is not missed.
            self._session.heed(self._bench.wake)
            # So that an answer is acknowledged before what follows from it is sent.
            with self._session.answering:
                calls = self._kit.store.calls.open(self._turn)
            for call in calls:
                self._begin(call)
            if self._bench.busy:
                # Waits until a tool has ended, or a person has answered.
                if (news := self._bench.take()) is not None:
                    call_id, outcome = news
                    self._finish(next(call for call in calls if call.id == call_id), outcome)
            elif any(call.state == "pending" for call in calls):
                # Before it is parked: from then on the turn may be another worker's.
                self._kit.store.sessions.set_turn(self._turn.number, "waiting")
                self._tell(ParticipantStatus.AWAITING_APPROVAL)
                if self._session.park(self._turn):
                    return False
                # An answer has come since we looked.
                self._tell(ParticipantStatus.PROCESSING)
            elif not calls and self._ask_model():
                return True

    def _tell(self, status: ParticipantStatus) -> None:
        self._session.audience.set_status(status, self._turn.id)

    # ---- the model ---------------------------------------------------------------------------

    def _ask_model(self) -> bool:
        # Whether the step ends the turn: it asks for no tool.
        # A model that calls tools for ever would cost its owner for ever.
        if self._turn.step >= self._kit.limits.steps:
            raise ModelError(f"The turn was ended after {self._turn.step} steps without an answer.")
        kit, record = self._kit, self._session.record
        # Asked in each step: instructions may have been changed, or the agent deleted, while a person was asked.
        found = kit.store.objects.find(record.object_type, record.object_id)
        if found is None:
            raise ModelError(f"The {record.object_type} of this session was deleted.")
        recalled = recall(kit.store, self._turn, kit.limits)
        if recalled.shortened:
            self._notify(LEFT_OUT)
        offers = tuple(ToolSpec(tool.name, tool.description, tool.offered_schema()) for tool in kit.tools.values())
        instructions = str(found[1].get("instructions") or "")
        question = ModelRequest(instructions, recalled.messages, offers, self._stop, recalled.response_format)
        step = _Step(new_id(), [], [], [], [])
        # The switch is looked at between any two chunks, as a model may send for minutes.
        for chunk in self._answer(question):
            self._stop.check()
            self._take(chunk, step)
        self._stop.check()
        if step.finish is not None:
            # What there is of the answer is kept, but never as complete; its calls may not be whole.
            step.asked.clear()
        self._keep(step)
        if step.finish is not None:
            raise ModelError(step.finish.message)
        return not step.asked

    def _answer(self, question: ModelRequest) -> Iterator[Chunk]:
        try:
            yield from self._kit.model.answer(question)
        except (EngineError, StoppedError, GeneratorExit):
            raise
        except BaseException as error:  # also the exit that a model asks for: it ends no more than its turn
            # A fault of the model, which may be its user's, and not of the engine: a line, and where to look.
            *_, last = traceback.extract_tb(error.__traceback__)
            reason = ascii(describe(error))[1:-1][:500]
            logger.warning("! the model failed: %s (%s, line %s)", reason, ascii(last.filename)[1:-1], last.lineno)
            logger.debug("! its traceback", exc_info=True)
            raise ModelError("The model failed; the engine's log has the reason.") from error

    def _take(self, chunk: Chunk, step: _Step) -> None:
        if isinstance(chunk, Finish):
            step.finish = chunk
            return
        if isinstance(chunk, Notice):
            self._notify(chunk)
            return
        if step.thoughts and not isinstance(chunk, ThinkingDelta):
            # They end with the first chunk of something else.
            self._send_thoughts(step)
        if isinstance(chunk, RequestedCall):
            step.asked.append(chunk)
            if len(step.asked) > self._kit.limits.step_calls:
                raise ModelError(f"The model asked for over {self._kit.limits.step_calls} tool calls at once.")
            return
        text = getattr(chunk, "text", None)
        if not isinstance(text, str):  # a model of the user's own may yield anything
            raise ModelError(f"The model yielded a {type(chunk).__name__} in place of a TextDelta with a str.")
        # Thoughts count as well: they are kept and sent like text.
        step.size += len(text)
        if step.size > self._kit.limits.answer_chars:
            raise ModelError(f"The model's answer grew over {self._kit.limits.answer_chars} characters.")
        if isinstance(chunk, ThinkingDelta):
            if thought := step.joiner.feed(text):
                step.thought_id = step.thought_id if step.thoughts else new_id()
                content = contents.thought_delta(thought, len(step.thoughts))
                step.thoughts.append(thought)
                self._publish([Message(step.thought_id, self._session.id, self._session.sender, content)])
        elif text:
            step.texts.append(text)
            self._session.audience.stream(step.message_id, text)

    def _notify(self, notice: Notice) -> None:
        # Once in a session for each kind.
        sessions = self._kit.store.sessions
        if not sessions.has_notice(self._session.id, notice.kind):
            content = contents.notice_content(notice.kind, notice.text)
            self._publish([sessions.add_message(self._turn, self._session.sender, content)])

    def _send_thoughts(self, step: _Step) -> None:
        # Whole, before the text that they lead to, and stored with the step under the same id.
        content = contents.thinking_content("".join(step.thoughts) + step.joiner.flush())
        step.thinking.append((step.thought_id, content))
        step.thoughts.clear()
        self._publish([Message(step.thought_id, self._session.id, self._session.sender, content)])

    def _keep(self, step: _Step) -> None:
        if step.thoughts:
            self._send_thoughts(step)
        details = list(step.thinking)
        # A step that only calls tools has no message; one that does nothing at all has an empty one, as an answer.
        if step.texts or not (step.asked or step.finish):
            status = "Error" if step.finish else "Complete"
            details.append((step.message_id, contents.text_content("".join(step.texts), status)))
        calls = [self._propose(asked, position) for position, asked in enumerate(step.asked)]
        details += [(call.approval_id, contents.approval_content(call)) for call in calls if call.approval_id]
        kept = self._kit.store.sessions.add_step(
            self._turn, self._session.sender, details, calls, ends=not (calls or step.finish)
        )
        # As it stands in the database since `add_step`.
        self._turn = replace(self._turn, step=self._turn.step + 1)
        # Behind the commit: until then, a client that asks for the history gets what was streamed.
        self._session.audience.end_stream()
        # The thoughts were sent as they came.
        for message in kept[len(step.thinking) :]:
            frame = frames.message_notification(self._session.id, message.to_wire())
            if message.content["type"] == "tool_call_approval":
                self._session.audience.ask(message.id, frame)
            else:
                self._session.audience.publish(frame)

    # ---- tools -------------------------------------------------------------------------------

    def _propose(self, asked: RequestedCall, position: int) -> StoredCall:
        # A model's output is kept and sent. Arguments that JSON has no form for become text, and are refused.
        name = asked.tool.encode(errors="replace").decode()
        try:
            asked = RequestedCall(name, codec.with_long_numbers_as_texts(asked.arguments), asked.origin)
        except (TypeError, ValueError):
            asked = RequestedCall(name, ascii(asked.arguments))
        tool = self._kit.tools.get(asked.tool)
        arguments = dict(asked.arguments) if isinstance(asked.arguments, dict) else {}
        decision = ""
        if tool is not None and tool.approval == "let_agent_decide":
            # Where the model does not decide, a person does.
            decision = "run" if arguments.pop(ASK_FIRST, True) is False else "ask"
        call = StoredCall(
            id=new_id(),
            session_id=self._session.id,
            turn=self._turn.number,
            step=self._turn.step + 1,
            position=position,
            # What a model calls a tool may be any text, and of any length.
            tool=asked.tool[:200],
            arguments=arguments,
            state="approved",
            decision=decision,
            origin=asked.origin,
        )
        # Refused before a person is asked about something that could not run.
        refusal = _refusal(tool, asked, arguments, self._kit.tools)
        if refusal:
            return replace(call, state="refused", reason=refusal)
        gated = tool is not None and tool.approval == "requires_approval"
        # A model that is known to call tools on a whim runs none without a yes.
        if decision == "ask" or gated or getattr(self._kit.model, "confirms_tools", False):
            return replace(call, state="pending", approval_id=new_id())
        return call

    def _begin(self, call: StoredCall) -> None:
        # Does what can be done for a call now.
        if call.state == "denied":
            self._finish(call, Outcome("denied", call.reason))
        elif call.state == "refused":
            self._finish(call, Outcome.error(call.reason))
        # An earlier engine began it. Whether it had its effect is unknown, so it is not run again.
        elif call.state == "started" and call.id not in self._bench:
            self._finish(call, INTERRUPTED)
        if call.state != "approved" or self._bench.full or self._stop.stopped:
            return
        tool = self._kit.tools.get(call.tool)
        if tool is None:  # it was there when the call was asked for, before a restart
            self._finish(call, Outcome.error(f"there is no tool {call.tool} any more"))
            return
        # On disk before the tool runs; see `Calls.start`.
        started = self._kit.store.calls.start(call, self._turn, self._session.sender, contents.call_content(call))
        self._publish([started])
        limits = self._kit.limits
        seconds = limits.tool_seconds if tool.timeout is None else tool.timeout
        work = (tool, call.arguments, self._stop, seconds, limits.tool_output_bytes)
        self._bench.start(call.id, lambda: self._kit.run_tool(*work))

    def _finish(self, call: StoredCall, outcome: Outcome) -> None:
        content = contents.result_content(call, outcome)
        self._publish(self._kit.store.calls.finish(call, self._turn, self._session.sender, content))

    def _publish(self, messages: Iterable[Message]) -> None:
        for message in messages:
            self._session.audience.publish(frames.message_notification(self._session.id, message.to_wire()))

    # ---- the end -----------------------------------------------------------------------------

    def _fail(self, why: str) -> None:
        # One that was stopped on purpose, or by the end of the program, is none of the engine's troubles.
        # Asked before it is stopped here.
        is_expected = self._stop.stopped or not threading.main_thread().is_alive()
        self._stop.stop("its turn has failed")
        # Waited for, so that no outcome comes when the turn is over.
        self._bench.clear()
        # Its rows are gone, and its subscribers have had the last frame.
        if self._session.terminated:
            return
        # Without the reason, in which a model may quote a message; clients get it.
        logger.log(
            logging.INFO if is_expected else logging.WARNING,
            "! turn %s of session %s ended without an answer",
            self._turn.id,
            self._session.id,
        )
        try:
            messages = interrupt_turn(self._kit.store, self._turn, self._session.sender, why)
        except Exception as error:
            # The disk is full or the file is locked: subscribers are notified, the history cannot be.
            expected = isinstance(error, EngineError)
            logger.warning("! the end of turn %s was not stored: %s", self._turn.id, error, exc_info=not expected)
            code = getattr(error, "code", "storage_failed")
            self._session.audience.publish(frames.error(why, session_id=self._session.id, code=code))
            return
        self._publish(messages)


ENGINE_STOPPED = (
    "The turn was interrupted: the engine stopped, or could not keep its end. What it had begun was not repeated."
)
INTERRUPTED = Outcome.error(
    "this call was interrupted while the tool ran; it was not run again, and may or may not have had its effect"
)
NOT_RUN = Outcome.error("this call was not run: its turn ended before")


def interrupt_turn(store: Store, turn: StoredTurn, sender: Json, why: str) -> list[Message]:
    """Ends a turn without an answer, and returns what is to be sent: results of all its open calls, and why.

    Raises:
        StorageError: It could not be kept.
    """

    def result(call: StoredCall) -> Json:
        return contents.result_content(call, INTERRUPTED if call.state == "started" else NOT_RUN)

    return store.calls.interrupt(turn, sender, contents.error_content(why), result)


def _refusal(tool: Tool | None, asked: RequestedCall, arguments: Json, tools: Mapping[str, Tool]) -> str:
    if tool is None:
        return f"there is no tool {asked.tool[:200]!r}; there are: {', '.join(tools) or 'none'}"
    if not isinstance(asked.arguments, dict):
        return f"the arguments for {tool.name} are no JSON object: {asked.arguments[:200]!r}"
    try:
        tool.validate(arguments)
    except InvalidArgumentsError as error:
        return str(error)
    return ""


def check_arguments(tool: Tool | None, arguments: Json) -> None:
    """Checks arguments that a person has changed.

    Raises:
        RefusedError: They do not fit the tool.
    """
    if tool is None:
        return
    try:
        tool.validate(arguments)
    except InvalidArgumentsError as error:
        raise RefusedError(str(error), "bad_arguments") from None
