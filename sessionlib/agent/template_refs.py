"""Placeholders in the texts of functional agents.

Authors write ``[[inputs.topic]]``, ``[[outputs.brief]]`` or ``[[tools.search]]``; the engine knows inputs,
outputs and tools by their ids and reads ``{{inputs.<id>}}`` and so on (from the official SDK,
``vectorshift`` 0.1.15). Text that already has the engine's form is left alone.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping

from sessionlib.errors import TemplateReferenceError

__all__ = ["TemplateReferenceError", "resolve"]

_PLACEHOLDER = re.compile(r"\[\[\s*([A-Za-z_][A-Za-z0-9_.]*)\s*\]\]")
_HUMP = re.compile(r"(?<=[^A-Z])(?=[A-Z])")

Names = Mapping[str, Mapping[str, str]]
"""For each of ``inputs``, ``outputs`` and ``tools``: ids by name."""


def resolve(text: str, names: Names, where: str) -> str:
    """Gives a text with its placeholders in the engine's form.

    Args:
        text: The text.
        names: What it may refer to.
        where: What the text is called in the error.

    Raises:
        TemplateReferenceError: A placeholder does not begin with ``inputs.``, ``outputs.`` or ``tools.``, or
            names what is not there.
    """
    return _PLACEHOLDER.sub(lambda found: _resolved(found[1], names, where), text)


def _resolved(reference: str, names: Names, where: str) -> str:
    kind, _, name = reference.partition(".")
    if kind not in names or not name:
        raise TemplateReferenceError(
            f"[[{reference}]] in {where} does not say what it refers to: write [[inputs.NAME]], [[outputs.NAME]] "
            f"or [[tools.NAME]].{_hint(reference, [one for ids in names.values() for one in ids])}"
        )
    ids = names[kind]
    found = _match(name, ids)
    if found is None and name not in ids.values():
        known = ", ".join(ids) or "none"
        raise TemplateReferenceError(
            f"[[{reference}]] in {where} names none of the agent's {kind} ({known}).{_hint(name, [*ids])}"
        )
    return f"{{{{{kind}.{name if found is None else ids[found]}}}}}"


def _match(name: str, ids: Mapping[str, str]) -> str | None:
    """Finds a name exactly, else in another case, else written in snake case."""
    for form in (str, str.lower, _snake):
        for known in ids:
            if form(known) == form(name):
                return known
    return None


def _snake(name: str) -> str:
    return _HUMP.sub("_", name).lower()


def _hint(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known)
    return f" Did you mean {' or '.join(close)}?" if close else ""
