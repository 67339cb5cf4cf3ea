"""Ready-made approval handlers for `Session.on_approval`."""

from __future__ import annotations

import contextlib
import json
import sys
import threading
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from typing import Any, Literal

from sessionlib.approvals import ApprovalHandler, ApprovalRequest
from sessionlib.content import ApprovalResponse

__all__ = ["Policy", "approval_policy", "approve_all", "approve_tools", "ask_console", "deny_all"]

Policy = Literal["allow", "deny", "ask"]

_POLICIES = ("deny", "allow", "ask")
NO_TERMINAL = "nobody could be asked: there is no terminal to ask on"
# Held while a person is asked, so that two sessions do not ask into each other's prompts.
_one_question = threading.Lock()


def approve_all(request: ApprovalRequest) -> bool:
    """Approves every request as proposed."""
    return True


def deny_all(request: ApprovalRequest) -> ApprovalResponse:
    """Denies every request."""
    return ApprovalResponse(False, deny_reason="no tool may run that needs an approval")


def approve_tools(*patterns: str) -> ApprovalHandler:
    """Makes a handler that approves some tools and leaves the others to the next handler.

    Args:
        patterns: Names of tools, or patterns such as "search_*".
    """

    def approve(request: ApprovalRequest) -> bool | None:
        return True if any(fnmatchcase(request.tool_name, pattern) for pattern in patterns) else None

    return approve


def approval_policy(rules: Mapping[str, Policy], *, ask: ApprovalHandler | None = None) -> ApprovalHandler:
    """Makes a handler from rules, one for each tool or pattern.

    Where several rules fit, "deny" comes before "allow" and "allow" before "ask"; where none fits, the
    request is left to the next handler. A rule for "*" is for what no other rule names.

    Args:
        rules: What to do, by tool name or pattern: "allow", "deny" or "ask".
        ask: Who decides about "ask"; None leaves those to the next handler.

    Raises:
        ValueError: A rule is none of the three.
    """
    for pattern, rule in rules.items():
        if rule not in _POLICIES:
            raise ValueError(f"the rule for {pattern!r} is {rule!r}; it is one of allow, deny and ask")

    def decide(request: ApprovalRequest) -> bool | ApprovalResponse | None:
        rule = _rule_for(rules, request.tool_name)
        if rule == "deny":
            return ApprovalResponse(False, deny_reason=f"the policy does not allow {request.tool_name}")
        if rule == "allow":
            return True
        return ask(request) if rule == "ask" and ask is not None else None

    return decide


def ask_console(request: ApprovalRequest) -> ApprovalResponse:
    """Asks on the terminal: yes, no, yes with other arguments, yes for all of the session, or no with a reason.

    One question is asked at a time, whatever the number of sessions. Where there is nobody to ask
    (standard input is closed, missing or at its end), it denies and says why.
    """
    with _one_question:
        if sys.stdin is None or sys.stdin.closed:
            return ApprovalResponse(False, deny_reason=NO_TERMINAL)
        try:
            response = _converse(request)
        except (EOFError, OSError, RuntimeError):  # a notebook kernel without stdin raises a RuntimeError of its own
            return ApprovalResponse(False, deny_reason=NO_TERMINAL)
        if not request.is_open:
            _say("This came too late: the request was answered meanwhile.")
        return response


def printable(text: str) -> str:
    """Gives a text in which nothing can move the cursor, hide or reorder what a person is to decide about."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def shown(value: object) -> str:
    """Gives a proposed argument as a person is to see it."""
    return printable(json.dumps(value, ensure_ascii=False, default=str))


def parse_argument(text: str, proposed: object) -> Any:
    """Gives the value that a person has typed in place of a proposed one.

    What was a text stays one; anything else is read as JSON, and is a text if it is none.
    """
    if not isinstance(proposed, str):
        with contextlib.suppress(ValueError):
            return json.loads(text)
    return text


def _rule_for(rules: Mapping[str, Policy], tool_name: str) -> Policy | None:
    fitting = {rule for pattern, rule in rules.items() if pattern != "*" and fnmatchcase(tool_name, pattern)}
    named = next((rule for rule in _POLICIES if rule in fitting), None)
    return named or rules.get("*")


def _converse(request: ApprovalRequest) -> ApprovalResponse:
    _say(f"\nThe agent asks to run {printable(request.tool_name) or 'a tool'}:")
    for name, value in request.arguments.items():
        _say(f"  {printable(name)} = {shown(value)}")
    while True:
        answer = input("Run it? [y]es, [n]o, [e]dit the arguments, [a]lways in this session, [d]eny with a reason: ")
        respond = _ANSWERS.get(answer.strip().lower())
        if respond is not None:
            return respond(request)


def _edited(request: ApprovalRequest) -> ApprovalResponse:
    _say("A new value for each argument; Enter keeps the proposed one.")
    edited = {}
    for name, value in request.arguments.items():
        text = input(f"  {printable(name)} [{shown(value)}]: ").strip()
        if text:
            edited[name] = parse_argument(text, value)
    return ApprovalResponse(True, confirm=edited)


_BY_WORD: dict[str, Callable[[ApprovalRequest], ApprovalResponse]] = {
    "yes": lambda request: ApprovalResponse(True),
    "no": lambda request: ApprovalResponse(False),
    "edit": _edited,
    "always": lambda request: ApprovalResponse(True, remember="session"),
    "deny": lambda request: ApprovalResponse(False, deny_reason=input("Reason: ").strip()),
}
_ANSWERS = {name: respond for word, respond in _BY_WORD.items() for name in (word, word[0])}


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
