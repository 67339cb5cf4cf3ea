"""The switch between the fast path and the plain one, which do the same; for tests and comparisons."""

from __future__ import annotations

import os

__all__ = ["enabled"]

enabled = os.environ.get("SESSIONLIB_FAST_PATH") != "0"
