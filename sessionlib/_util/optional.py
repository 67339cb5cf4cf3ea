"""Optional dependencies: where one is missing, the error names the extra that installs it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from sessionlib.errors import MissingExtraError

__all__ = ["ByteBar", "extra", "item_bar"]


@contextlib.contextmanager
def extra(name: str, what: str) -> Iterator[None]:
    """Context manager around the imports of what an extra installs.

    Args:
        name: The extra, such as "plot".
        what: What needs it, as the beginning of a sentence.

    Raises:
        MissingExtraError: One of the imports failed.
    """
    try:
        yield
    except ImportError as error:
        # An import of the package's own that fails is a mistake here, and no missing extra.
        missing = (error.name or "").partition(".")[0]
        if isinstance(error, MissingExtraError) or missing in ("", "sessionlib"):
            raise
        raise MissingExtraError(
            f"{what} needs {missing}; install it with: pip install 'sessionlib[{name}]'", extra=name
        ) from error


def item_bar(total: int | None, name: str | None, unit: str) -> Any:
    """Returns a progress bar of tqdm that counts.

    Args:
        total: How many there are; None when that is not known.
        name: Its label; None for none.
        unit: What is counted, with a blank before it.

    Raises:
        MissingExtraError: tqdm is not installed.
    """
    return _bar(total=total, desc=name, unit=unit)


class ByteBar:
    """Shows how many bytes are done.

    Args:
        total: How many there are; None when that is not known.
        name: Its label; None for none.

    Attributes:
        close: Ends the bar as it is.

    Raises:
        MissingExtraError: tqdm is not installed.
    """

    def __init__(self, total: int | None, name: str | None = None) -> None:
        self._bar = _bar(total=total, desc=name, unit="B", unit_scale=True, unit_divisor=1024)
        self.close: Callable[[], object] = self._bar.close

    def show(self, done: int, total: int | None) -> None:
        """Sets how many bytes are done."""
        # tqdm counts steps, and is given totals.
        self._bar.update(done - self._bar.n)


def _bar(**options: Any) -> Any:
    with extra("progress", "progress=True"):
        # Its notebook form in a notebook, and text elsewhere.
        from tqdm.auto import tqdm
    return tqdm(**options)
