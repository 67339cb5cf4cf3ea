"""A request: what it shows, and what a handler may return."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from sessionlib import ApprovalRequest, ApprovalResponse, Session, SessionEvent, approve_all
from sessionlib.approvals.models import ApprovalRecord, ApprovalRecords, Registration, ShownRequest, key_of, resembles
from tests.support.approvals import REFUNDED, Type, request_in
from tests.support.script_engine import ScriptEngine
from tests.support.sessions import rest_of_turn
from tests.support.shop import Shop, order
from tests.support.toolbox import connect

# ---- what a request shows ------------------------------------------------------------------


def test_a_request_shows_what_is_asked(session: Session) -> None:
    seen: list[ApprovalRequest] = []
    session.on_approval(lambda request: seen.append(request) or False)
    session.ask('/tool refund {"order": 7, "amount": 2.5}', timeout=30)
    (request,) = seen
    assert (request.tool_name, request.arguments) == ("refund", {"order": 7, "amount": 2.5})
    assert request.event.type is Type.APPROVAL_REQUEST
    assert request.message_id == request.event.message_id
    assert request.session is session
    assert repr(request) == "<ApprovalRequest for refund(order, amount)>"
    assert not request.is_open


@pytest.mark.parametrize("field", ["arguments", "tool_arguments", "tool_input", "inputs"])
def test_arguments_are_found_wherever_an_engine_puts_them(engine: ScriptEngine, field: str) -> None:
    event = SessionEvent(Type.APPROVAL_REQUEST, "s1", "r1", {"tool_name": "refund", field: {"a": 1}})
    with connect(engine) as session:
        assert ApprovalRequest(event, session).arguments == {"a": 1}


def test_a_request_without_names_is_still_one(engine: ScriptEngine) -> None:
    with connect(engine) as session:
        request = ApprovalRequest(SessionEvent(Type.APPROVAL_REQUEST, "s1", None, {"arguments": "?"}), session)
        assert (request.tool_name, request.arguments, request.message_id) == ("", {}, None)
        assert "a tool" in repr(request)


@pytest.mark.parametrize(
    ("tool_name", "pattern", "is_alike"),
    [
        ("refund", "Refund", True),
        ("\uff52efund", "ref*", True),
        ("refuse", "refund", False),
        ("\uff42", "[a-c]", True),
        ("\uff44", "[a-c]", False),
        ("\uff42ook", "[a-c]OOK", True),
        ("_", "[a-c]", False),
    ],
)
def test_a_tool_resembles_a_pattern_by_letters_that_look_alike(tool_name: str, pattern: str, is_alike: bool) -> None:
    assert resembles(tool_name, pattern) is is_alike


def test_the_record_shows_each_request_and_its_outcome() -> None:
    def request(**data: Any) -> SessionEvent:
        return SessionEvent(Type.APPROVAL_REQUEST, "s1", "r1", data)

    assert repr(ApprovalRecords()) == "no approval was requested"
    assert "no approval was requested" in ApprovalRecords()._repr_html_()
    refund = request(tool_name="refund", arguments={"order": 7})
    records = ApprovalRecords(
        [
            ApprovalRecord(refund),
            ApprovalRecord(refund, approved=True, by="x"),
            ApprovalRecord(refund, approved=True, by="x", confirm={"order": 8}),
            ApprovalRecord(refund, approved=False, by="y", deny_reason="too late"),
        ]
    )
    assert repr(records).splitlines() == [
        "refund(order=7): open",
        "refund(order=7): approved by x",
        'refund(order=7): approved by x: {"order": 8}',
        "refund(order=7): denied by y: too late",
    ]
    assert "no approval was requested" not in records._repr_html_()
    assert [record.is_open for record in records] == [True, False, False, False]


class Always:
    """A handler that is no function."""

    def __call__(self, request: ApprovalRequest) -> bool:
        return True


@pytest.mark.parametrize(
    ("handler", "pattern", "name", "takes", "approves"),
    [
        (Always(), None, "Always", ["refund", "r\u0435fund", "stock"], ["refund", "r\u0435fund", "stock"]),
        (approve_all, "refund", "approve_all", ["refund", "r\u0435fund"], ["refund"]),
        (Always.__call__, "ref*", "Always.__call__", ["refund", "r\u0435fund"], ["refund"]),
        (approve_all, "r\u0435fund", "approve_all", ["refund", "r\u0435fund"], ["r\u0435fund"]),
    ],
)
def test_a_handler_is_registered_for_some_tools(
    handler: Any, pattern: str | None, name: str, takes: list[str], approves: list[str]
) -> None:
    registration = Registration(handler, pattern)
    tools = ["refund", "r\u0435fund", "stock"]
    assert registration.name == name
    assert [tool for tool in tools if registration.takes(tool)] == takes
    assert [tool for tool in takes if registration.may_approve(tool)] == approves


@pytest.mark.parametrize(
    ("source", "error", "match"),
    [
        ("{}", ValueError, "not the JSON of an approval request"),
        ("not JSON", ValueError, "Expecting value"),
        ("[]", TypeError, "takes an ApprovalRequest or the JSON of one, not list"),
        (7, TypeError, "not int"),
        ('{"session_id": "s1", "message_id": 7, "tool_name": "t", "arguments": {}}', ValueError, "not the JSON"),
        ('{"session_id": "s1", "message_id": "m", "tool_name": null, "arguments": {}}', ValueError, "not the JSON"),
        ('{"session_id": "s1", "tool_call_id": "c1", "tool_name": "t", "arguments": []}', ValueError, "not the JSON"),
    ],
)
def test_what_is_no_request_was_not_shown(source: object, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        ShownRequest.read(source)


def test_a_request_is_the_same_in_all_its_forms() -> None:
    owner: Any = SimpleNamespace(agent_name="Shop")
    data = {"tool_name": "refund", "tool_call_id": "c1", "arguments": {"b": 1, "a": True}}
    for message_id, key in (("r1", "r1"), (None, "c1")):
        event = SessionEvent(Type.APPROVAL_REQUEST, "s1", message_id, data)
        request = ApprovalRequest(event, owner)
        shown = ShownRequest("s1", key, '["refund", {"a": true, "b": 1}]')
        facts = json.loads(request.to_json())
        assert [ShownRequest.read(form) for form in (event, request, request.to_json(), facts)] == [shown] * 4
        assert facts["agent_name"] == "Shop"
    other = ShownRequest.read({**facts, "arguments": {"b": True, "a": True}})
    assert other.state != shown.state, "1 is not true"


def test_a_request_that_nothing_names_is_known_by_itself() -> None:
    one, other = [SessionEvent(Type.APPROVAL_REQUEST, "s1", None, {"tool_name": "t"}) for _ in range(2)]
    assert key_of(one) == key_of(one) != key_of(other)


# ---- what handlers return ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("handler", "said", "amounts"),
    [
        (lambda request: True, REFUNDED, [1.0]),
        (lambda request: False, "was denied", []),
        (lambda request: ApprovalResponse(True, confirm={"amount": 9.5}), REFUNDED, [9.5]),
        (lambda request: ApprovalResponse(False, deny_reason="not today"), "was denied: not today", []),
        (lambda request: request.approve({"amount": 3}), REFUNDED, [3.0]),
        (lambda request: request.deny("no"), "was denied: no", []),
        (lambda request: request.deny("no") or True, "was denied: no", []),  # which comes too late
    ],
    ids=["true", "false", "with arguments", "with a reason", "by itself", "by itself, no", "twice"],
)
def test_a_handler_decides(shop: Shop, session: Session, handler: Any, said: str, amounts: list[float]) -> None:
    assert said in session.ask(order(7), on_approval=handler, timeout=30).text
    assert shop.ran == [("refund", 7, amount) for amount in amounts]
    assert session.approvals[0].approved is bool(amounts)


def test_none_leaves_the_request_to_the_next_handler(session: Session) -> None:
    asked: list[str] = []
    for name, decision in (("first", None), ("second", None), ("third", True), ("fourth", False)):
        session.on_approval(lambda request, name=name, decision=decision: asked.append(name) or decision)
    assert session.ask(order(7), timeout=30).text == REFUNDED
    assert asked == ["first", "second", "third"]


def test_none_leaves_the_request_to_listeners(shop: Shop, session: Session) -> None:
    session.on_approval(lambda request: None)
    session.respond(request_in(session), approved=True)
    rest_of_turn(session)
    assert shop.ran == [("refund", 7, 1.0)]


@pytest.mark.parametrize(
    "nonsense",
    [
        *(1, "yes", [], object(), ApprovalResponse("yes"), ApprovalResponse(None)),
        ApprovalResponse(True, confirm=["a"]),
        ApprovalResponse(True, confirm={"a": object()}),
        ApprovalResponse(True, remember="for ever"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_anything_else_is_an_error_and_denies(shop: Shop, session: Session, nonsense: Any) -> None:
    error = ValueError if getattr(nonsense, "remember", None) else TypeError
    with pytest.raises(error, match='remember takes "turn"' if error is ValueError else None):
        session.ask(order(7), on_approval=lambda request: nonsense, timeout=30)
    assert f"was denied: the approval handler failed: {error.__name__}" in str(rest_of_turn(session)[-2].text)
    assert (shop.ran, session.approvals[0].approved) == ([], False)
