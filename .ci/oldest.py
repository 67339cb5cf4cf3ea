"""Runs some tests with the lowest versions that setup.cfg allows of all that the package uses."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from environments import DEVELOPERS, ROOT, empty, install, requirements

TOOLS = {"pytest", "pytest-timeout", "pytest-xdist", "hypothesis", "trustme", "psutil"}
# One or two for each library that something is done with.
TESTS = [
    "test_content.py",
    "test_events.py",
    "test_history.py",
    "display/test_latency.py",
    "test_session.py",
    "display/test_timeline.py",
    "connection/test_sender.py",
    "test_client.py",
    "rest/test_pool.py",
    "engine/models/test_openai.py",
    "engine/server/test_routes.py",
    "cli/test_main.py",
    "cli/test_ask.py",
    "agent/test_map.py::test_dask_with_two_worker_processes",
]


# It compares our waits with those of the openai package of today, and its oldest version waits otherwise.
NOT_COMPARED = (
    "tests/engine/models/test_openai.py"
    "::test_what_may_pass_is_tried_again_when_the_endpoint_asks_for_it_as_the_openai_package_does"
)
# None of these tests runs on it, and its oldest version brings half a world along.
NOT_TESTED = {"ray"}


def main() -> None:
    """Does all of it."""
    used = {extra: lowest for extra, lowest in requirements().items() if extra not in DEVELOPERS | NOT_TESTED}
    with tempfile.TemporaryDirectory() as temporary:
        constraints = Path(temporary, "lowest.txt")
        constraints.write_text("\n".join(f"{name}=={lowest}" for pins in used.values() for name, lowest in pins))
        extras = ",".join(filter(None, used))
        python = empty(Path(temporary, "oldest"))
        install(python, "-c", str(constraints), "-e", f"{ROOT}[{extras}]", *sorted(TOOLS))
        print(" ".join(constraints.read_text().split()), flush=True)
        # They speak of each other's novelties, which is not for us to mend.
        command = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "ignore::DeprecationWarning"]
        command += ["--deselect", NOT_COMPARED]
        sys.exit(subprocess.run([*command, *(f"tests/{test}" for test in TESTS)], cwd=ROOT).returncode)


if __name__ == "__main__":
    main()
