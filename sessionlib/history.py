"""The list that `Session.history` gives."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, SupportsIndex, overload

from sessionlib._bodies_part import body_of, who
from sessionlib._files_part import read_messages, write_whole
from sessionlib._forms_part import FORMS, as_json, as_json_lines, as_markdown, as_text
from sessionlib._table_part import columns_of
from sessionlib.display.markup import quiet, safe_html, safe_markdown
from sessionlib.display.tables import dataframe
from sessionlib.events import SessionMessage

if TYPE_CHECKING:
    import pandas

__all__ = ["History"]

# A notebook keeps what its cells show, so a long history is shown by its end.
_SHOWN = 200


class History(list[SessionMessage]):
    """The messages of a session, oldest first: a list that can be saved, loaded and looked at.

    Slices of it are histories too::

        history = session.history()
        history.save("talk.jsonl")
        History.load("talk.jsonl")[-2:].to_markdown()

    Made by `Session.history`, by `History.load`, or from any messages.
    """

    @overload
    def __getitem__(self, index: SupportsIndex, /) -> SessionMessage: ...

    @overload
    def __getitem__(self, index: slice, /) -> History: ...

    def __getitem__(self, index: SupportsIndex | slice, /) -> SessionMessage | History:
        """Gives a message, or some of them as a history."""
        found = super().__getitem__(index)
        return History(found) if isinstance(found, list) else found

    def __str__(self) -> str:
        return self.to_text()

    def to_text(self) -> str:
        """Gives it as plain text, a paragraph for each message."""
        return as_text(self)

    def to_markdown(self) -> str:
        """Gives it as Markdown, a section for each message."""
        return as_markdown(self)

    def to_json(self) -> str:
        """Gives it as a JSON list of the messages as the engine has them."""
        return as_json(self)

    def to_jsonl(self) -> str:
        """Gives it as lines of JSON, each a message as the engine has it."""
        return as_json_lines(self)

    def to_dataframe(self) -> pandas.DataFrame:
        """Gives it as a data frame with a row for each message.

        Its columns are ``created_at`` (UTC), ``role``, ``content_type``, ``text``, ``status``, ``tool_name``,
        ``arguments``, ``output``, ``id`` and ``session_id``; what a message does not have is missing.

        Raises:
            MissingExtraError: pandas is not installed; the extra ``pandas`` brings it.
        """
        frame = dataframe(columns_of(self), "History.to_dataframe()", objects=("arguments", "output"))
        frame["created_at"] = frame["created_at"].astype("datetime64[ns, UTC]")
        return frame

    def save(self, path: str | os.PathLike[str], *, replace: bool = True) -> None:
        """Writes it to a file, in the form that its name asks for, whole or not at all.

        Args:
            path: The file: ``.jsonl`` or ``.json``, which can be loaded again, ``.md``, ``.txt`` or ``.csv``. Without
                a suffix it is Markdown.
            replace: Whether a file of that name may be overwritten.

        Raises:
            ValueError: The name asks for another form.
            FileExistsError: There is such a file, and it may not be overwritten.
            OSError: It cannot be written.
        """
        place = Path(path)
        form = FORMS.get(place.suffix.lower())
        if form is None:
            known = ", ".join(suffix for suffix in FORMS if suffix)
            raise ValueError(f"{place}: a history is saved as one of {known}")
        write_whole(place, form(self), replace=replace)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> History:
        """Reads a history that was saved as ``.jsonl`` or ``.json``.

        Args:
            path: The file; how it ends tells what is in it.

        Raises:
            ValueError: The file is of another kind, or something in it is no message.
            OSError: It cannot be read.
        """
        return cls(read_messages(Path(path)))

    def _repr_markdown_(self) -> str:
        earlier = len(self) - _SHOWN
        told = [f"session {self[0].session_id}" if self else "a history without messages"]
        told += [f"{earlier} earlier messages are not shown"] if earlier > 0 else []
        return "\n\n".join([quiet(safe_html("; ".join(told))), *map(_shown, self[-_SHOWN:])])


def _shown(message: SessionMessage) -> str:
    body = body_of(message)
    # What is told in our words is no Markdown of anybody's.
    return f"**{who(message)}**\n\n{safe_markdown(body) if body == message.text else quiet(safe_html(body))}"
