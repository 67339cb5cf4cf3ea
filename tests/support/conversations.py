"""A conversation that is held whatever becomes of the link, and what has to be true of it afterwards.

Each way of holding it is a user who does what the documentation says: connects again when connecting
failed, looks into the history when a post's fate is unknown, and posts again only what is not there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from sessionlib import (
    DeliveryUnknownError,
    Session,
    SessionDisconnectedError,
    SessionEvent,
    SessionEventType,
    SessionMessage,
    SessionTimeoutError,
)
from sessionlib.approvals import ApprovalRequest
from sessionlib.engine import LocalEngine, tool
from sessionlib.engine.models import ModelRequest, Piece, RequestedCall, Text

Type = SessionEventType

FRONT = "127.0.0.2"
"""Where a proxy in front of an engine listens: its port has to be that of the engine, which looks at the Host."""

LIMIT = 15.0
"""Seconds that any call of a conversation may take; a hang is one that takes longer."""

ANSWERS = {"one": ["Al", "pha ", "é"], "two": list("Beta, in as many pieces as come at once."), "run": ["Ga", "mma"]}
"""What the model says to each message, in pieces."""

POSTS = ["one", "run", "two"]


class ShortModel:
    """Answers in few bytes, so that a sweep over all of them is short; to "run" it calls the tool first."""

    name = "short"

    def answer(self, question: ModelRequest) -> Iterator[Piece]:
        """Gives the one answer there is to the last message."""
        said = question.said[-1]
        if said.results:
            yield from map(Text, ANSWERS["run"])
        elif said.text == "run":
            yield RequestedCall("go", {})
        else:
            yield from map(Text, ANSWERS[said.text])

    def close(self) -> None:
        """Holds nothing."""


@dataclass
class Runs:
    """How often the tool ran."""

    count: int = 0


def make_engine() -> tuple[LocalEngine, Runs]:
    """Gives an engine, not started, with one tool that needs an approval; and what counts its runs."""
    runs = Runs()

    @tool(approval="requires_approval")
    def go() -> str:
        """Counts."""
        runs.count += 1
        return "ok"

    return LocalEngine(tools=[go], model=ShortModel(), api_key="k", allowed_hosts=[FRONT]), runs


@dataclass
class Heard:
    """What the user of a conversation got.

    Attributes:
        texts: The answers, in order.
        streamed: The same, put together from the pieces.
        asked: How often the approval handler was asked.
        unknown: How often a post's fate was told to be unknown.
        history: The history, read over the same session at the end.
    """

    texts: list[str] = field(default_factory=list)
    streamed: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    unknown: int = 0
    gaps: int = 0
    history: list[SessionMessage] = field(default_factory=list)

    def approve(self, request: ApprovalRequest) -> bool:
        assert request.message_id is not None
        self.asked.append(request.message_id)
        return True


Way = Callable[[Session, Heard], None]


def one_session(session: Session, way: Way) -> Heard:
    """Connects, holds the conversation, and leaves."""
    heard = Heard()
    _connect(session)
    try:
        way(session, heard)
        heard.history = session.get_messages(timeout=LIMIT)
    finally:
        session.disconnect()
    return heard


def _connect(session: Session) -> None:
    try:
        session.connect(timeout=LIMIT)
    except SessionTimeoutError:
        raise
    except SessionDisconnectedError:
        session.connect(timeout=LIMIT)


# ---- the ways --------------------------------------------------------------------------------


def by_ask(session: Session, heard: Heard) -> None:
    for text in POSTS:
        events = _settled(session, heard, text, lambda text=text: _ask(session, heard, text))
        _note(heard, events)
        if text == "one":
            session.get_messages(timeout=LIMIT)


def by_stream(session: Session, heard: Heard) -> None:
    """Streams, with a registered approval handler."""
    session.on_approval(heard.approve)
    for text in POSTS:
        events = _settled(session, heard, text, lambda text=text: list(session.stream(text, timeout=LIMIT)))
        _note(heard, events)


def by_listening(session: Session, heard: Heard) -> None:
    """Sends and listens in a new loop for each turn, approvals answered by callback off this thread."""
    session.on_approval(heard.approve)
    for text in POSTS:
        _note(heard, _settled(session, heard, text, lambda text=text: _listen(session, text)))


def by_responding(session: Session, heard: Heard) -> None:
    """Listens all the time with one listener, and answers the request in the loop."""
    with session.listen(timeout=LIMIT) as listener:
        for text in POSTS:
            session.send(text)
            _note(heard, _hear_turn(session, heard, text, listener))


WAYS = [by_ask, by_stream, by_listening, by_responding]


def _ask(session: Session, heard: Heard, text: str) -> list[SessionEvent]:
    reply = session.ask(text, timeout=LIMIT, on_approval=heard.approve)
    assert reply.text == _complete(reply.events)[-1], reply
    return reply.events


def _listen(session: Session, text: str) -> list[SessionEvent]:
    session.send(text)
    events = []
    for event in session.listen(timeout=LIMIT):
        events.append(event)
        if event.is_turn_end:
            return events
    raise AssertionError(f"the listener ended in the middle of a turn: {events}")


def _hear_turn(session: Session, heard: Heard, text: str, listener: Iterator[SessionEvent]) -> list[SessionEvent]:
    events: list[SessionEvent] = []
    while not (events and events[-1].is_turn_end):
        try:
            event = next(listener)
        except DeliveryUnknownError:
            heard.unknown += 1
            if not _arrived(session, text):
                session.send(text)
            continue
        events.append(event)
        if event.type is Type.APPROVAL_REQUEST and event.message_id not in heard.asked:
            heard.asked.append(event.message_id or "")
            session.respond(event, approved=True)
    return events


def _settled(session: Session, heard: Heard, text: str, hold: Callable[[], list[SessionEvent]]) -> list[SessionEvent]:
    """Holds a turn, and once more if its post is told to be unknown and is not there."""
    try:
        return hold()
    except DeliveryUnknownError:
        heard.unknown += 1
    if not _arrived(session, text):
        return hold()
    raise AssertionError(f"told to be unknown, but the history had it by then: {text}")


def _arrived(session: Session, text: str) -> bool:
    return any(message.is_user and message.text == text for message in session.get_messages(timeout=LIMIT))


# ---- the truth -------------------------------------------------------------------------------


def _note(heard: Heard, events: list[SessionEvent]) -> None:
    heard.texts += _complete(events)
    pieces: dict[str | None, str] = {}
    for event in events:
        if event.delta is not None:
            pieces[event.message_id] = pieces.get(event.message_id, "") + event.delta
        elif event.error == "gap":
            heard.gaps += 1
    wholes = {event.message_id: event.text for event in events if event.is_complete}
    heard.streamed += [pieces.get(message_id, str(text)) for message_id, text in wholes.items()]


def _complete(events: list[SessionEvent]) -> list[str]:
    return [str(event.text) for event in events if event.is_complete]


def check(heard: Heard, runs: int) -> None:
    """Fails unless every answer came whole and once, no post is doubled, and the tool ran once."""
    wanted = ["".join(ANSWERS[text]) for text in POSTS]
    assert heard.texts == wanted, heard
    assert heard.streamed == wanted, heard
    said = [message for message in heard.history if message.raw["content"]["type"] == "data_type_message"]
    assert [message.text for message in said if message.is_user] == POSTS, heard
    assert [message.text for message in said if not message.is_user] == wanted, heard
    assert len(set(heard.asked)) == len(heard.asked) == runs == 1, heard
    assert heard.gaps == 0, heard
