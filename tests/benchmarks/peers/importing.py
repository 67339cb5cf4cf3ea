"""Times the import of one module: ``importing.py MODULE``. Imports nothing else before."""

import sys
import time

began = time.perf_counter()
__import__(sys.argv[1])
seconds = time.perf_counter() - began

import json  # noqa: E402 - after the clock has stopped

print(json.dumps({"import_ms": seconds * 1000, "modules": len(sys.modules)}))
