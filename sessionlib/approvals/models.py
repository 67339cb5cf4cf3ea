"""What handlers get and give: an agent's wish to run a tool, and the answer to it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from sessionlib._util.text import printable, skeleton
from sessionlib.content import ApprovalResponse, encode_approval
from sessionlib.display.text import call_text
from sessionlib.events import SessionEvent

if TYPE_CHECKING:
    from sessionlib.session import Session

__all__ = [
    "ApprovalHandler",
    "ApprovalRecord",
    "ApprovalRecords",
    "ApprovalRequest",
    "Decision",
    "Registration",
    "Remember",
    "ShownRequest",
    "resembles",
]

Remember = Literal["turn", "session"]
Decision = bool | ApprovalResponse | None

# Where engines put the proposed arguments of a tool; "arguments" is the embedded engine's.
_ARGUMENT_FIELDS = ("arguments", "tool_arguments", "tool_input", "inputs")
_RANGE = r"(\[!?[^]]+\])"
_REMEMBERED = (None, "turn", "session")


@dataclass
class ApprovalRecord:
    """One approval request and its outcome.

    Attributes:
        event: The request.
        asked_at: When it arrived (UTC).
        approved: The answer; None while it is open.
        answered_at: When it was answered (UTC); None while it is open.
        by: Who answered: a handler's name, "respond", "timeout", "remembered", "another client" or
            "expired"; None while it is open.
        confirm: The arguments given with an approval instead of the proposed ones.
        deny_reason: The reason given with a refusal.
    """

    event: SessionEvent
    asked_at: datetime = field(default_factory=lambda: datetime.now(timezone.utc))
    approved: bool | None = None
    answered_at: datetime | None = None
    by: str | None = None
    confirm: Mapping[str, Any] | None = None
    deny_reason: str | None = None

    @property
    def tool_name(self) -> str:
        """The tool that the agent wants to run."""
        return tool_of(self.event)

    @property
    def is_open(self) -> bool:
        """Whether it waits for an answer."""
        return self.approved is None


class ApprovalRecords(list[ApprovalRecord]):
    """What was asked in a session, in order: a list that shows each request and its outcome."""

    def __repr__(self) -> str:
        lines = (
            f"{call}: {outcome}{f' by {by}' if by else ''}{f': {why}' if why else ''}"
            for call, outcome, by, why in self._rows()
        )
        return "\n".join(lines) or "no approval was requested"

    def _repr_html_(self) -> str:
        from sessionlib.display.tables import html_table  # for notebooks alone

        header = ("request", "outcome", "by", "reason, or other arguments")
        return html_table(self._rows(), header, "" if self else "no approval was requested")

    def _rows(self) -> Iterator[tuple[str, str, str, str]]:
        for record in self:
            call = call_text(record.tool_name, arguments_of(record.event))
            outcome = "open" if record.approved is None else "approved" if record.approved else "denied"
            instead = json.dumps(dict(record.confirm), default=str) if record.confirm else ""
            yield call, outcome, record.by or "", record.deny_reason or instead


class ApprovalRequest:
    """An agent's wish to run a tool, as handlers get it.

    Attributes:
        event: The APPROVAL_REQUEST.
        session: The session that it came from.
    """

    def __init__(self, event: SessionEvent, session: Session) -> None:
        self.event = event
        self.session = session
        # The handler that is being asked, for the record.
        self._asked: str | None = None
        # The pattern that it was registered for, if the tool's name only looks like it.
        self._alike: str | None = None
        self._answered = False

    def __repr__(self) -> str:
        return f"<ApprovalRequest for {self.tool_name or 'a tool'}({', '.join(self.arguments)})>"

    @property
    def tool_name(self) -> str:
        """The tool that the agent wants to run."""
        return tool_of(self.event)

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments that it proposes, by name."""
        return arguments_of(self.event)

    @property
    def message_id(self) -> str | None:
        """The id of the request."""
        return self.event.message_id

    @property
    def is_open(self) -> bool:
        """Whether it waits for an answer; not so once one was given here."""
        return self.session._approvals.log.is_open(self.event)

    @property
    def record(self) -> ApprovalRecord | None:
        """Its outcome, and whose it is; None when its session does not know it."""
        key = key_of(self.event)
        return next((record for record in self.session.approvals if key_of(record.event) == key), None)

    def _repr_html_(self) -> str:
        from sessionlib.display.markup import fold, in_code, safe_html, table  # for notebooks alone

        asked = f"The agent asks to run {in_code(printable(self.tool_name or 'a tool'))}"
        arguments = [
            (printable(name), in_code(json.dumps(value, default=str))) for name, value in self.arguments.items()
        ]
        return f"<div>{asked}</div>{table(arguments) if arguments else ''}{fold(safe_html(self.outcome))}"

    @property
    def outcome(self) -> str:
        """Its outcome, and whose it is, in words."""
        record = self.record
        if record is None or record.is_open:
            return "open: answer it with approve() or deny()"
        details = "; ".join(
            [
                *([f"with {json.dumps(dict(record.confirm), default=str)}"] if record.confirm else []),
                *([record.deny_reason] if record.deny_reason else []),
            ]
        )
        return f"{'approved' if record.approved else 'denied'} by {record.by}{': ' if details else ''}{details}"

    def to_json(self) -> str:
        """Returns the request as JSON, for `Session.answer` in this process or another, now or days later.

        It holds the tool's name and the proposed arguments, but no key: the program that answers needs one of its own.
        """
        facts = {
            "type": "approval_request",
            "session_id": self.event.session_id,
            "message_id": self.message_id,
            "tool_call_id": self.event.data.get("tool_call_id"),
            "agent_name": self.session.agent_name,
            "tool_name": self.tool_name,
            "arguments": self.arguments,
        }
        return json.dumps(facts, default=str)

    def approve(self, confirm: Mapping[str, Any] | None = None, *, remember: Remember | None = None) -> None:
        """Lets the tool run.

        Args:
            confirm: Arguments to run it with instead of the proposed ones, by name.
            remember: Also lets this tool run for the rest of the turn or the session; never kept on disk.

        Raises:
            ApprovalAlreadyAnsweredError: It was answered before.
            SessionDisconnectedError: The session is not connected.
            TypeError: ``confirm`` is not a mapping.
            ValueError: ``confirm`` holds what JSON cannot, or ``remember`` is neither.
        """
        self._answer(ApprovalResponse(True, confirm=confirm, remember=remember))

    def deny(self, reason: str | None = None, *, remember: Remember | None = None) -> None:
        """Does not let the tool run; arguments and errors as for `approve`, with the reason that the agent gets."""
        self._answer(ApprovalResponse(False, deny_reason=reason, remember=remember))

    def answer(self, response: ApprovalResponse, *, by: str = "respond") -> None:
        """Returns an answer as handlers return it; errors as for `approve`.

        Args:
            response: The answer.
            by: The source of the answer, for the record.
        """
        self._asked = by
        self._answer(response)

    def _answer(self, response: ApprovalResponse) -> None:
        if response.approved and self._alike is not None:
            raise ValueError(
                f"{self._asked} was registered for {self._alike!a}, and {self.tool_name!a} only looks like it: it can "
                "deny and not approve"
            )
        self.session._approvals.log.answer(self.event, response, by=self._asked or "respond")
        self._answered = True


ApprovalHandler = Callable[[ApprovalRequest], Decision]
"""Decides about a request; None leaves it to the next handler, or to the listeners."""


@dataclass(frozen=True, eq=False)
class Registration:
    """A handler, and what it was registered for.

    Attributes:
        handler: The handler.
        pattern: The tools that it decides about; None for all.
        timeout: Seconds that it may take; None for as long as it takes.
    """

    handler: ApprovalHandler
    pattern: str | None = None
    timeout: float | None = None

    @property
    def name(self) -> str:
        """What the record calls it."""
        return getattr(self.handler, "__qualname__", None) or type(self.handler).__name__

    def takes(self, tool_name: str) -> bool:
        """Whether it is asked about a tool."""
        return self.pattern is None or resembles(tool_name, self.pattern)

    def may_approve(self, tool_name: str) -> bool:
        """Whether it was registered for this very tool, and not for one whose name looks like it."""
        if self.pattern is None or self.pattern == tool_name:
            return True
        return fnmatchcase(tool_name, self.pattern) and printable(tool_name) == tool_name


def resembles(tool_name: str, pattern: str) -> bool:
    """Whether a tool is one of those that a pattern names, or looks like one."""
    # The dash of a range, as in "[a-z]", is no letter.
    alike = "".join(part if part.startswith("[") else skeleton(part) for part in re.split(_RANGE, pattern))
    return fnmatchcase(tool_name, pattern) or fnmatchcase(skeleton(tool_name), alike)


class ShownRequest(NamedTuple):
    """A request as a person has seen it, which need not be what it is now.

    Attributes:
        session_id: The session.
        key: What the request is known by; see `key_of`.
        state: Tool and arguments, in a form that can be compared.
    """

    session_id: str
    key: str
    state: str

    @classmethod
    def read(cls, source: object) -> ShownRequest:
        """Reads a request, or the JSON of one.

        Raises:
            TypeError: It is none of an `ApprovalRequest`, its event, its JSON, or what that JSON holds.
            ValueError: The JSON is not that of a request.
        """
        if isinstance(source, ApprovalRequest):
            source = source.event
        if isinstance(source, SessionEvent):
            return cls(source.session_id, key_of(source), state_of(tool_of(source), arguments_of(source)))
        facts = json.loads(source) if isinstance(source, (str, bytes, bytearray)) else source
        if not isinstance(facts, Mapping):
            raise TypeError(f"takes an ApprovalRequest or the JSON of one, not {type(facts).__name__}")
        key, tool, arguments = (
            facts.get("message_id") or facts.get("tool_call_id"),
            facts.get("tool_name"),
            facts.get("arguments"),
        )
        texts = (facts.get("session_id"), key, tool)
        if not all(isinstance(text, str) for text in texts) or not isinstance(arguments, Mapping):
            raise ValueError("this is not the JSON of an approval request: see ApprovalRequest.to_json()")
        return cls(facts["session_id"], str(key), state_of(str(tool), arguments))


def state_of(tool_name: str, arguments: Mapping[str, Any]) -> str:
    """Returns a tool and its arguments as one text, equal only for equal JSON (``1`` is not ``true``)."""
    # As JSON, since Python has 1 == True, and a person who saw one did not approve the other.
    return json.dumps([tool_name, arguments], sort_keys=True, default=str)


def arguments_of(event: SessionEvent) -> dict[str, Any]:
    """Returns the arguments that a request proposes, by name."""
    found = (event.data.get(name) for name in _ARGUMENT_FIELDS)
    # A copy, so that a handler that changes it does not change the event.
    return next((dict(proposed) for proposed in found if isinstance(proposed, Mapping)), {})


def tool_of(event: SessionEvent) -> str:
    """Returns the name of the tool that a request is about; "" when it has none."""
    return str(event.data.get("tool_name") or "")


def key_of(event: SessionEvent) -> str:
    """Returns what a request is known by when it comes again."""
    return event.message_id or str(event.data.get("tool_call_id") or f"event {id(event)}")


def encode_response(response: ApprovalResponse) -> dict[str, Any]:
    """Returns an answer in its wire form; whether JSON can hold it shows as it is sent.

    Raises:
        TypeError: A field is of the wrong type.
        ValueError: Fields contradict each other.
    """
    if response.remember not in _REMEMBERED:
        raise ValueError(f'remember takes "turn", "session" or None, not {response.remember!r}')
    return encode_approval(response.approved, response.confirm, response.deny_reason)


def response_to(decision: object, name: str) -> ApprovalResponse | None:
    """Returns the answer in what a handler returned; None when it leaves the request to the next one.

    Args:
        decision: What it returned.
        name: The handler.

    Raises:
        TypeError: It is no answer.
    """
    if decision is None:
        return None
    response = ApprovalResponse(decision) if isinstance(decision, bool) else decision
    if not isinstance(response, ApprovalResponse):
        raise TypeError(
            f"the approval handler {name} returned {type(decision).__name__}; it returns True, False, an "
            "ApprovalResponse, or None to leave the request to the next one"
        )
    return response
