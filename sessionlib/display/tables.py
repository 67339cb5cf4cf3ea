"""Tables: for pandas, and for notebooks."""

from __future__ import annotations

import html
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sessionlib._util.optional import extra

if TYPE_CHECKING:
    import pandas

__all__ = ["dataframe", "html_table"]

_CELL = "text-align: left; vertical-align: top; white-space: pre-wrap"


def dataframe(columns: Mapping[str, Sequence[Any]], what: str, objects: Collection[str] = ()) -> pandas.DataFrame:
    """Makes a data frame.

    Args:
        columns: Its columns.
        objects: The columns whose values stay what they are, instead of becoming of one type.
        what: What needs pandas, for the error.

    Raises:
        MissingExtraError: pandas is not installed.
    """
    with extra("pandas", what):
        import pandas
    typed = {name: pandas.Series(values, dtype="object") for name, values in columns.items() if name in objects}
    frame: pandas.DataFrame = pandas.DataFrame({**columns, **typed})
    return frame


def html_table(rows: Iterable[Sequence[object]], header: Sequence[str] = (), caption: str = "") -> str:
    """Makes an HTML table in which every cell is text and no markup.

    Args:
        rows: The cells, row by row.
        header: The names of the columns; none shows no names.
        caption: What stands above it.
    """
    head = f"<thead><tr>{_cells('th', header)}</tr></thead>" if header else ""
    body = "".join(f"<tr>{_cells('td', row)}</tr>" for row in rows)
    above = f"<caption>{html.escape(caption)}</caption>" if caption else ""
    return f"<table>{above}{head}<tbody>{body}</tbody></table>"


def _cells(kind: str, values: Iterable[object]) -> str:
    return "".join(f'<{kind} style="{_CELL}">{html.escape(str(value))}</{kind}>' for value in values)
