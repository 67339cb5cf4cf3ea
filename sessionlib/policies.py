"""Ready-made approval handlers for `Session.on_approval`."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any, Literal

from sessionlib.approvals import ApprovalHandler, ApprovalRequest
from sessionlib.content import ApprovalResponse

__all__ = ["Policy", "approval_policy", "approve_all", "approve_tools", "ask_console", "deny_all"]

Policy = Literal["allow", "deny", "ask"]

_POLICIES = ("deny", "allow", "ask")
_NO_TERMINAL = "nobody could be asked: there is no terminal to ask on"


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
    """Asks on the terminal: yes, no, yes with other arguments, or no with a reason.

    Where there is nobody to ask (standard input is closed, missing or at its end), it denies and says why.
    """
    if sys.stdin is None or sys.stdin.closed:
        return ApprovalResponse(False, deny_reason=_NO_TERMINAL)
    try:
        return _converse(request)
    except (EOFError, OSError, RuntimeError):  # a notebook kernel without stdin raises a RuntimeError of its own
        return ApprovalResponse(False, deny_reason=_NO_TERMINAL)


def _rule_for(rules: Mapping[str, Policy], tool_name: str) -> Policy | None:
    fitting = {rule for pattern, rule in rules.items() if pattern != "*" and fnmatchcase(tool_name, pattern)}
    named = next((rule for rule in _POLICIES if rule in fitting), None)
    return named or rules.get("*")


def _converse(request: ApprovalRequest) -> ApprovalResponse:
    _say(f"\nThe agent asks to run {request.tool_name or 'a tool'}:")
    for name, value in request.arguments.items():
        _say(f"  {name} = {json.dumps(value, ensure_ascii=False, default=str)}")
    while True:
        answer = input("Run it? [y]es, [n]o, [e]dit the arguments, [d]eny with a reason: ").strip().lower()
        if answer in ("y", "yes"):
            return ApprovalResponse(True)
        if answer in ("n", "no"):
            return ApprovalResponse(False)
        if answer in ("e", "edit"):
            return ApprovalResponse(True, confirm=_edited(request.arguments))
        if answer in ("d", "deny"):
            return ApprovalResponse(False, deny_reason=input("Reason: ").strip())


def _edited(proposed: Mapping[str, Any]) -> dict[str, Any]:
    _say("A new value for each argument; Enter keeps the proposed one.")
    edited = {name: _new_value(name, value) for name, value in proposed.items()}
    return {name: value for name, value in edited.items() if value != proposed[name]}


def _new_value(name: str, value: Any) -> Any:
    text = input(f"  {name} [{json.dumps(value, ensure_ascii=False, default=str)}]: ").strip()
    if not text:
        return value
    if not isinstance(value, str):
        with contextlib.suppress(ValueError):  # what is not JSON is text
            return json.loads(text)
    return text


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
