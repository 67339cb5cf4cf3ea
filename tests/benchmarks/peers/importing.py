"""Times an import, and a statement after it: ``importing.py MODULES [STATEMENT]``. Imports nothing else before."""

import sys
import time

code = compile(f"import {sys.argv[1]}\n{sys.argv[2]}", "<import>", "exec")
began = time.perf_counter()
exec(code)
seconds = time.perf_counter() - began

import json  # noqa: E402 - after the clock has stopped

print(json.dumps({"import_ms": seconds * 1000, "modules": len(sys.modules)}))
