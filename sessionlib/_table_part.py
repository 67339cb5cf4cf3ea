"""Messages as columns."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Any

from sessionlib._bodies_part import content_of
from sessionlib.events import SessionMessage

__all__ = ["columns_of"]


def columns_of(messages: Sequence[SessionMessage]) -> dict[str, list[Any]]:
    """Gives the columns of a table with a row for each message; what a message does not have is None."""
    contents = [content_of(message) for message in messages]
    return {
        "created_at": [_time_of(message.raw.get("created_at")) for message in messages],
        "role": [str(message.sender.role) for message in messages],
        "content_type": [message.content_type for message in messages],
        "text": [message.text for message in messages],
        "status": [None if message.status is None else str(message.status) for message in messages],
        **{name: [content.get(name) for content in contents] for name in ("tool_name", "arguments", "output")},
        "id": [message.id for message in messages],
        "session_id": [message.session_id for message in messages],
    }


def _time_of(told: object) -> datetime.datetime | None:
    """Reads a time as engines tell it: seconds since 1970, or a text of ISO 8601."""
    try:
        if isinstance(told, str):
            read = datetime.datetime.fromisoformat(told.replace("Z", "+00:00"))
            return read if read.tzinfo else read.replace(tzinfo=datetime.timezone.utc)
        return datetime.datetime.fromtimestamp(told, datetime.timezone.utc)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError, OSError):
        return None
