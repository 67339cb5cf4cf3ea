"""Bars that show how far something is, with tqdm: in terminals as in notebooks."""

from __future__ import annotations

from typing import Any

from sessionlib._util.optional import extra

__all__ = ["ByteBar", "item_bar"]


def item_bar(total: int | None, name: str | None, unit: str) -> Any:
    """Makes a bar of tqdm that counts.

    Args:
        total: How many there are; None when that is not known.
        name: What it is called.
        unit: What is counted, with a blank before it.

    Raises:
        MissingExtraError: tqdm is not installed.
    """
    return _bar(total=total, desc=name, unit=unit)


class ByteBar:
    """Shows how many bytes are done.

    Args:
        total: How many there are; None when that is not known.
        name: What the bar is called.

    Raises:
        MissingExtraError: tqdm is not installed.
    """

    def __init__(self, total: int | None, name: str | None = None) -> None:
        self._bar = _bar(total=total, desc=name, unit="B", unit_scale=True, unit_divisor=1024)

    def tell(self, done: int, total: int | None) -> None:
        """Takes in how many bytes are done."""
        self._bar.update(done - self._bar.n)

    def close(self) -> None:
        """Leaves the bar as it stands."""
        self._bar.close()


def _bar(**options: Any) -> Any:
    with extra("progress", "progress=True"):
        from tqdm.auto import tqdm
    return tqdm(**options)
