from __future__ import annotations

from importlib.util import find_spec

collect_ignore = [] if find_spec("vectorshift") else ["test_official_sdk.py"]
