"""The official SDK needs Python 3.11 and comes with the extra [interop]; without it nothing can be compared."""

from __future__ import annotations

from importlib.util import find_spec

collect_ignore_glob = [] if find_spec("vectorshift") else ["test_*.py"]
