"""Scripts in interpreters of their own."""

from __future__ import annotations

import signal
import time

import pytest

from .processes import Script, is_running, run_script
from .waiting import eventually

WAITING = """
    import time
    print("ready", flush=True)
    time.sleep(60)
"""


def test_what_a_script_says_and_how_it_ends() -> None:
    result = run_script(
        """
        import sys
        print("out", sys.argv[1])
        print("err", file=sys.stderr)
        sys.exit(3)
        """,
        "argument",
    )
    assert (result.rc, result.stdout, result.stderr) == (3, "out argument\n", "err\n")
    assert 0 < result.duration < 30
    with pytest.raises(AssertionError, match="out argument"):
        result.check()


def test_the_environment_is_clean_and_the_package_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SESSIONLIB_API_KEY", "mine")
    source = """
        import os, sessionlib
        print(os.environ.get("SESSIONLIB_API_KEY"), os.environ.get("GIVEN"), sessionlib.__version__ != "")
    """
    assert run_script(source, env={"GIVEN": "yes"}).check().stdout == "None yes True\n"


def test_a_script_that_takes_too_long_is_killed() -> None:
    result = run_script("import time; time.sleep(60)", timeout=0.2)
    assert result.rc == -signal.SIGKILL
    assert result.duration < 10


def test_a_marker_that_never_comes() -> None:
    with Script("print('something else')") as script, pytest.raises(AssertionError, match="something else"):
        script.wait_for("ready")
    with Script(WAITING) as script, pytest.raises(TimeoutError, match="within"):
        script.wait_for("never", timeout=0.3)


def test_leaving_the_block_kills_what_a_script_forked() -> None:
    source = """
        import os, time
        child = os.fork()
        if child:
            print("ready", child, flush=True)
        time.sleep(60)
    """
    with Script(source) as script:
        child = int(script.wait_for())
    assert eventually(lambda: not is_running(child))


def test_a_forked_child_that_keeps_the_pipes_does_not_hang_the_wait() -> None:
    source = """
        import os, time
        if not os.fork():
            time.sleep(60)
    """
    began = time.monotonic()
    assert run_script(source).rc == 0
    assert time.monotonic() - began < 20
