"""What a model is notified of a session's past: the stored messages and calls as one conversation."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from sessionlib.engine.limits import Limits
from sessionlib.engine.models import Attachment, CallResult, ModelMessage
from sessionlib.engine.sessions.content import FILE_CHARS, format_of
from sessionlib.engine.store import Store
from sessionlib.engine.store.records import Json, Message, StoredCall, StoredTurn

__all__ = ["recall"]

_Step = tuple[int, int]


class Recalled(NamedTuple):
    """What a model is asked: a conversation.

    Attributes:
        messages: The conversation up to the turn, the oldest turns left out when it grows too long.
        response_format: What the answer has to fit, or None.
        shortened: Whether turns were left out.
    """

    messages: tuple[ModelMessage, ...]
    response_format: Json | None
    shortened: bool


def recall(store: Store, turn: StoredTurn, limits: Limits) -> Recalled:
    """Returns the conversation up to a turn.

    Posts that came while this turn was already waiting belong to later turns, and are not in it.
    """
    # Bounded in number here, and in characters below: either may be what makes a session long.
    messages = store.sessions.recall(turn.session_id, turn.number, limits.memory_messages)
    # A session that was just terminated holds nothing any more; its turn is about to be stopped.
    calls = store.calls.of_turns(turn.session_id, messages[0].turn if messages else turn.number, turn.number)
    turns = dict.fromkeys(message.turn for message in messages)
    kept: list[ModelMessage] = []
    room, shortened = limits.memory_chars, False
    # From the newest: what is left out is the oldest. Whole turns, since a call without its result would look as if
    # it were still to be done.
    for number in reversed(turns):
        spoken = _turn([m for m in messages if m.turn == number], [c for c in calls if c.turn == number], store)
        room -= sum(item.chars for item in spoken)
        # The turn itself is always kept, however large.
        if kept and room < 0:
            shortened = True
            break
        kept = spoken + kept
    # An answer to an approval is a message of its turn as well, and asks for no format.
    own = [message.content for message in messages if message.turn == turn.number and message.step == 0]
    asked = [content for content in own if content.get("type") != "response_message"]
    return Recalled(tuple(kept), format_of(asked), shortened)


def _turn(messages: list[Message], calls: list[StoredCall], store: Store) -> list[ModelMessage]:
    posted = [spoken for message in messages if message.step == 0 for spoken in _posted(message, store)]
    # A step may hold messages alone, or calls alone.
    steps = dict.fromkeys([*(m.step for m in messages if m.step), *(c.step for c in calls)])
    # A turn that failed is included as well: what was asked in it must not look as if it were still to be done.
    failures = [m.content["error"] for m in messages if m.content.get("type") == "error_message"]
    done = [spoken for step in sorted(steps) for spoken in _step(step, messages, calls)]
    return posted + done + [ModelMessage("assistant", failure=failure) for failure in failures]


def _posted(message: Message, store: Store) -> Iterable[ModelMessage]:
    content = message.content
    if content.get("type") == "data_type_message":
        yield ModelMessage("user", str(content.get("value", "")))
    elif content.get("type") == "file":
        name, mime_type, size = content["name"], content["mime_type"], content["size"]
        text = None
        # Of other files a model gets the name and the size: no model here takes their bytes.
        if mime_type.startswith("text/") or mime_type in ("application/json", "application/xml"):
            found = store.sessions.find_file(content["file_id"])
            # A character of UTF-8 has up to four bytes; one that is split at the end is replaced.
            text = None if found is None else found[2][: 4 * FILE_CHARS].decode(errors="replace")[:FILE_CHARS]
        yield ModelMessage("user", files=(Attachment(name, mime_type, size, text),))


def _step(step: int, messages: list[Message], calls: list[StoredCall]) -> Iterable[ModelMessage]:
    texts = [m.content["value"] for m in messages if m.step == step and m.content.get("type") == "data_type_message"]
    thoughts = [m.content["content"] for m in messages if m.step == step and m.content.get("type") == "thinking"]
    # A call without an output belongs to a turn that was ended while it was open.
    results = tuple(
        CallResult(call.id, call.tool, call.arguments, output.get("status", "error"), output.get("output"), call.origin)
        for call in calls
        if call.step == step and (output := call.output) is not None
    )
    if texts or results:
        yield ModelMessage("assistant", "".join(texts), results=results, thoughts="".join(thoughts))
