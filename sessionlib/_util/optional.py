"""Libraries that are only there with an extra: where one is missing, the error says which extra brings it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from sessionlib.errors import MissingExtraError

__all__ = ["extra"]


@contextlib.contextmanager
def extra(name: str, what: str) -> Iterator[None]:
    """Is put around the imports of what an extra installs.

    Args:
        name: The extra, such as "plot".
        what: What needs it, as the beginning of a sentence.

    Raises:
        MissingExtraError: One of the imports found nothing.
    """
    try:
        yield
    except ImportError as error:
        missing = (error.name or "").partition(".")[0]
        if isinstance(error, MissingExtraError) or missing in ("", "sessionlib"):
            raise
        raise MissingExtraError(
            f"{what} needs {missing}; install it with: pip install 'sessionlib[{name}]'", extra=name
        ) from error
