"""What an engine says: the frames of ordinary turns, and messages as the history holds them."""

from __future__ import annotations

from collections.abc import Sequence

from sessionlib.protocol import frames
from sessionlib.protocol.frames import Frame


def turn(
    session_id: str = "s1",
    message_id: str = "m1",
    pieces: Sequence[str] = ("Hello", " there"),
    *,
    ack: str | None = "post_message",
    complete: bool = True,
    idle: bool = True,
    between: Sequence[Frame] = (),
) -> list[Frame]:
    """Gives the frames of an ordinary turn.

    Args:
        session_id: The session.
        message_id: The agent's message.
        pieces: The text, as it streams.
        ack: Request type to acknowledge first; None leaves the ack out.
        complete: Whether the message completes.
        idle: Whether the turn ends.
        between: Frames between the last piece and the completion, such as a tool call.
    """
    told: list[Frame] = [] if ack is None else [frames.ack(ack, session_id)]
    told.append(frames.participant_status(session_id, "Processing"))
    told += [frames.message_delta(session_id, message_id, index, piece) for index, piece in enumerate(pieces)]
    told += between
    if complete:
        told.append(notification(session_id, message_id, text_content("".join(pieces))))
    if idle:
        told.append(frames.participant_status(session_id, "Idle"))
    return told


def text_content(text: str, status: str = "Complete") -> Frame:
    """Gives the content of a text message."""
    return {"type": "data_type_message", "value": text, "status": status}


def notification(session_id: str, message_id: str, content: Frame) -> Frame:
    """Gives the notification of an agent's message with any content."""
    return frames.message_notification(session_id, agent_message(session_id, message_id, content))


def agent_message(session_id: str, message_id: str, content: Frame | str) -> Frame:
    """Gives a message of an agent, as the history holds it; a str stands for complete text."""
    return _message(session_id, message_id, content, {"object_id": "a1", "object_type": "agent"})


def user_message(session_id: str, message_id: str, content: Frame | str) -> Frame:
    """Gives a message of a user, as the history holds it; a str stands for complete text."""
    return _message(session_id, message_id, content, {"user_id": "u1"})


def _message(session_id: str, message_id: str, content: Frame | str, sender: Frame) -> Frame:
    if isinstance(content, str):
        content = text_content(content)
    return {"id": message_id, "session_id": session_id, "sender": sender, "content": content}
