"""Requests to authorise an account again: who is notified of them, and on which thread."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from sessionlib import ReauthRequiredError, SessionEvent
from sessionlib.approvals import reauth as reauth_module
from sessionlib.approvals.reauth import ReauthManager
from sessionlib.protocol import frames
from sessionlib.protocol.turns import EventOrigin, PendingPost, TurnHandle
from sessionlib.streams.mailbox import weight
from tests.support.approvals import Oops, Type
from tests.support.script_engine import Connection, Received, ScriptEngine, notification
from tests.support.sessions import rest_of_turn
from tests.support.toolbox import connect, kinds, say, status
from tests.support.waiting import eventually


def reauth(message_id: str = "q1") -> dict[str, Any]:
    return notification("s1", message_id, {"type": "reauthorization_request", "integration": "mail"})


@pytest.fixture
def authorised() -> threading.Event:
    """Set when the account of `mail` is authorised again."""
    return threading.Event()


@pytest.fixture
def mail(engine: ScriptEngine, authorised: threading.Event) -> ScriptEngine:
    """An engine whose turns need an account to be authorised again."""

    @engine.on("post_message")
    def answer(conn: Connection, frame: Received) -> None:
        conn.send_many([frames.ack("post_message", "s1"), status("Processing"), reauth(), reauth()])
        assert authorised.wait(30)
        conn.send_many([say("done"), status("Idle")])

    return engine


@pytest.mark.parametrize("read", ["ask", "iterate", "another"])
def test_a_reauthorisation_is_shown_once_on_the_thread_that_reads_its_turn(
    mail: ScriptEngine, authorised: threading.Event, read: str
) -> None:
    shown: list[tuple[str, SessionEvent]] = []
    with connect(mail) as session:

        @session.on_reauth
        def undo(event: SessionEvent) -> None:
            shown.append((threading.current_thread().name, event))
            authorised.set()

        if read == "ask":
            assert session.ask("Hi", timeout=30).text == "done"
        elif read == "iterate":
            events = list(session.stream("Hi", timeout=30))
            assert kinds(events)[-2:] == ["message_complete", "Idle"]
            assert shown[0][1] in events
        else:
            session.send("Hi")
            rest_of_turn(session)
        undo()
    ((name, event),) = shown
    assert ("dispatcher" if read == "another" else threading.current_thread().name) in name
    assert event.data["integration"] == "mail"
    assert event.requires_action


@pytest.mark.parametrize("late", [False, True])
def test_without_a_handler_a_reauthorisation_is_told_once_and_the_turn_can_be_waited_for(
    mail: ScriptEngine, authorised: threading.Event, late: bool
) -> None:
    shown: list[SessionEvent] = []
    with connect(mail) as session:
        with pytest.raises(ReauthRequiredError, match="authorised again") as caught:
            session.ask("Hi", timeout=30)
        assert caught.value.event.data["integration"] == "mail"
        if late:  # it is shown what is still open
            session.on_reauth(shown.append)
            assert eventually(lambda: len(shown) == 1)
        authorised.set()
        assert caught.value.turn.result(30).text == "done"


def test_a_reauthorisation_handler_that_raises_is_heard(mail: ScriptEngine, authorised: threading.Event) -> None:
    def fail(event: SessionEvent) -> None:
        authorised.set()
        raise Oops

    with connect(mail) as session:
        undo = session.on_reauth(fail)
        with pytest.raises(Oops):
            session.ask("Hi", timeout=30)
        rest_of_turn(session)
        undo()
        with pytest.raises(TypeError, match="cannot answer an event of type reauth_request"):
            session.respond(SessionEvent(Type.REAUTH_REQUEST, "s1"), approved=True)


# ---- the requests by themselves ------------------------------------------------------------


class Requests(ReauthManager):
    """Requests of turns that go on, as they come from an engine."""

    def come(self, *names: str, ticket: PendingPost | None = None, over: bool = False) -> list[SessionEvent]:
        events = [SessionEvent(Type.REAUTH_REQUEST, "s1", name, {"note": "x" * 1000}) for name in names]
        for event in events:
            course = TurnHandle()
            course.over = over
            self.note(event, EventOrigin(ticket, course))
        return events

    def open(self) -> list[str | None]:
        return [event.message_id for event in self.unclaimed()]


def test_a_request_is_shown_once_to_each_handler_however_often_it_comes() -> None:
    requests, shown = Requests(), list[tuple[int, str | None]]()
    (event, _) = requests.come("q1", "q1")
    assert requests.open() == []
    assert not requests.notify(event), "there is no handler"
    undo = [
        requests.register(lambda event, number=number: shown.append((number, event.message_id))) for number in (1, 2)
    ]
    assert requests.open() == ["q1"]
    assert [requests.notify(event), requests.notify(event)] == [True, True]
    requests.come("q1")
    assert requests.open() == []
    assert shown == [(1, "q1"), (2, "q1")]
    undo[0]()
    undo[0]()
    (event,) = requests.come("q2")
    assert requests.notify(event)
    undo[1]()
    assert requests.notify(event), "it was shown before"
    assert shown[2:] == [(2, "q2")]


def test_a_request_is_left_to_the_reader_of_its_turn_and_to_none_where_that_is_over() -> None:
    requests, attended = Requests(), PendingPost()
    requests.register(lambda event: None)
    attended.attended = True
    requests.come("q1", ticket=attended)
    requests.come("q2", ticket=PendingPost())
    requests.come("q3", over=True)
    assert requests.open() == ["q2"]


def test_of_more_requests_than_may_wait_the_oldest_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    requests = Requests()
    requests.register(lambda event: None)
    (first,) = requests.come("q0")
    monkeypatch.setattr(reauth_module, "QUEUE_BYTES", 3 * weight(first))
    requests.notify(first)  # which makes room
    requests.come("q1", "q2", "q2", "q3")
    assert requests.open() == ["q1", "q2", "q3"]
    requests.come("q4", "q5")
    assert requests.open() == ["q3", "q4", "q5"]
    monkeypatch.setattr(reauth_module, "QUEUE_BYTES", 10)
    requests.come("q6")
    assert requests.open() == ["q6"], "the newest stays, whatever its size"


def test_a_request_that_was_shown_long_ago_is_shown_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reauth_module, "_NOTIFIED", 2)
    requests, shown = Requests(), list[str | None]()
    requests.register(lambda event: shown.append(event.message_id))
    for name in ("q1", "q2", "q1", "q3", "q2", "q1"):
        for event in requests.come(name):
            requests.notify(event)
    assert shown == ["q1", "q2", "q3", "q1"]
