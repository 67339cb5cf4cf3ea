"""The command line as a whole: help, versions, usage, what it imports, how it fails."""

from __future__ import annotations

import re
import shlex
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from sessionlib import __version__
from sessionlib.engine import LocalEngine
from tests.support.cli import AS_MODULE, KEY, Cli, Here
from tests.support.processes import ROOT, run_script

COMMANDS = ["ask", "chat", "map", "sessions", "history", "approvals", "serve", "models", "doctor", "port", "completion"]
NO_NAME = "x" * 70  # longer than a label of a name may be


def test_version(here: Here) -> None:
    assert here.run("--version").check().stdout == f"sessionlib {__version__}\n"


def test_without_a_command_it_says_what_there_is(here: Here) -> None:
    told = here.run().check().stdout
    assert told == here.run("--help").check().stdout
    assert all(f"  {name} " in told for name in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(here: Here, command: str) -> None:
    assert here.run(command, "-h").check().stdout.startswith(f"Usage: sessionlib {command} ")


def test_help_fits_a_narrow_terminal_but_for_its_examples(here: Here) -> None:
    told = here.run("ask", "--help", env={"COLUMNS": "40"}).check().stdout.partition("Examples:")[0]
    assert max(map(len, told.splitlines())) <= 40


@pytest.mark.parametrize("command", ["ask", "chat", "history", "doctor"])
def test_what_talks_to_an_engine_says_where_alike(here: Here, command: str) -> None:
    told = here.run(command, "--help").check().stdout
    assert all(option in told for option in ("--agent ID_OR_NAME", "--session ID", "--base-url URL", "--local"))


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("approvals s1 --approve", "Option '--approve' requires an argument. (see sessionlib approvals --help)"),
        ("frobnicate", "No such command 'frobnicate'. (see sessionlib --help)"),
        ("ask --frobnicate", "No such option"),
        ("ask --timeout 0 hi", "Invalid value for '--timeout': 0.0 is not in the range x>0."),
        ("ask --timeout nan hi", "Invalid value for '--timeout': 'nan' is not a valid number."),
        ("ask --timeout soon hi", "Invalid value for '--timeout': 'soon' is not a valid number."),
        ("map --workers many x", "Invalid value for '--workers': 'many' is not a valid whole number."),
        (f"map {sys.executable}", f"{sys.executable} is not UTF-8 text"),
        ("ask --model gpt hi", "Invalid value for '--model': there is no model 'gpt'; there are demo,"),
        ("serve --model openai:", "Invalid value for '--model': there is no model 'openai:'"),
        ("ask --file nowhere.txt hi", "Invalid value for '--file': File 'nowhere.txt' does not exist."),
        ("ask --yes --deny hi", "--yes and --deny exclude one another"),
        ("ask --local --base-url https://x.example hi", "--local and --base-url exclude one another"),
        ("ask --base-url https://x.example --db a.db hi", "--db is for the embedded engine: add --l"),
        ("ask --session s1 hi", "the embedded engine keeps sessions only in a file: name it with --db"),
        ("approvals s1 --db x.db --deny ''", "--approve and --deny take the ID of a request, which is empty"),
        ("history", "which session? Give its ID, or --continue for the last one"),
        ("ask --session a -c --db x.db hi", "--session and --continue exclude one another"),
        ("ask --agent '' hi", "--agent is empty."),
        ("ask --db '' hi", "Invalid value for '--db': it is empty; name a file."),
        (f"map -o '' {sys.executable}", "Invalid value for '--output' / '-o': it is empty; name a file."),
        ("ask 'caf\udce9'", "Invalid value for '[TEXT]': it is not UTF-8 text."),
        ("serve --host ''", "an empty ADDRESS can be reached from other machines: add --allow-remote"),
        ("ask --session 'a\nb' --db x.db hi", "--session is too long or holds control characters"),
        ("ask --base-url nowhere hi", "--base-url has to begin with https:// or http:// and name a host."),
        ("ask --base-url http://u:p@x.example hi", "--base-url may hold no user, password, query or frag"),
        ("ask --base-url http://x.example hi", "--base-url is unencrypted (http://) and x.example is not"),
        ("serve --host 203.0.113.1", "203.0.113.1 can be reached from other machines: add --allow-remote"),
        ("serve --host 203.0.113.1 --allow-remote", "--allow-remote needs a key of your own: set SESSIONLIB_"),
        ("completion tcsh", "Invalid value for '{bash|zsh|fish}': 'tcsh' is not one of"),
        ("map --session a --db x.db setup.cfg", "--session and --continue are not for map"),
        ("history a --session b --db x.db", "two sessions are named: a and b"),
    ],
)
def test_wrong_usage_is_one_line_and_status_2(here: Here, line: str, told: str) -> None:
    result = here.run(*shlex.split(line))
    assert (result.rc, result.stdout) == (2, "")
    assert result.stderr.startswith(f"sessionlib: {told}"), result.stderr
    assert result.stderr.count("\n") == 1


def test_a_session_that_is_not_there_is_reported_without_the_frames_of_the_protocol(here: Here, tmp_path: Path) -> None:
    database = str(tmp_path / "a.db")
    with LocalEngine(path=database) as engine, engine.agent(name="A").create_session() as session:
        session.terminate()
    ended = str(session.session_id)
    for name, reason in (
        ("nowhere", "there is no session nowhere"),
        (ended, f"session {ended} was terminated and cannot be used again; create a new one"),
    ):
        result = here.run("history", name, "--local", "--db", database)
        told = f"sessionlib: {reason}; sessionlib sessions lists those that you have had\n"
        assert (result.rc, result.stderr) == (1, told)


def test_an_error_is_one_line_and_debug_says_where_from(here: Here) -> None:
    args = ["ask", "--base-url", "http://127.0.0.1:1/v1", "hi"]
    short, long = here.run(*args, env=KEY), here.run(args[0], "--debug", *args[1:], env=KEY)
    assert (short.rc, long.rc) == (1, 1)
    assert short.stderr == "sessionlib: GET /agents: 127.0.0.1:1 refused the connection. Is the server running?\n"
    assert "Traceback" in long.stderr
    assert long.stderr.endswith(short.stderr)
    assert here.run("--debug", *args, env=KEY).stderr.count("Traceback") == long.stderr.count("Traceback")


def test_a_locale_without_utf_8_alters_no_question(cli: Cli) -> None:
    env = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "utf-8"}
    assert cli.run("ask", "--local", "Grüße 你好", env=env).check().stdout.endswith('"Grüße 你好"\n')


def test_a_full_disk_is_reported_as_that_of_the_output() -> None:
    command = [sys.executable, "-m", "sessionlib", "sessions", "--help"]
    with open("/dev/full", "wb") as full:
        ran = subprocess.run(command, cwd=ROOT, stdout=full, stderr=subprocess.PIPE)
    assert (ran.returncode, ran.stderr) == (1, b"sessionlib: the output cannot be written: No space left on device\n")


def test_a_timeout_holds_from_the_first_call_on(here: Here) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        host = f"127.0.0.1:{mute.getsockname()[1]}"
        result = here.run("ask", "--timeout", "0.3", "--base-url", f"http://{host}", "hi", env=KEY)
    # What is left of it by the time of the call.
    told = rf"sessionlib: GET /agents: {host} did not answer within 0\.\d+ s\.\n"
    assert (result.rc, re.fullmatch(told, result.stderr) is not None) == (1, True), result.stderr


@pytest.mark.parametrize(
    ("host", "proxy", "told"),
    [
        ("x.example", "127.0.0.1:1", "the proxy to x.example refused the connection. Is the server running?"),
        ("x.example", NO_NAME, "the name of the proxy to x.example could not be resolved. Check the proxy's address."),
        (NO_NAME, "", f"the name of {NO_NAME} could not be resolved. Check the base URL."),
    ],
)
def test_what_cannot_be_reached_is_named(here: Here, host: str, proxy: str, told: str) -> None:
    env = {**KEY, **({"HTTPS_PROXY": f"http://{proxy}"} if proxy else {})}
    result = here.run("ask", "--base-url", f"https://{host}", "hi", env=env)
    assert (result.rc, result.stderr) == (1, f"sessionlib: GET /agents: {told}\n")


def test_an_unexpected_error_is_one_line_too(cli: Cli) -> None:
    source = f"""
import sessionlib.cli.ask
def fail(*args): raise RuntimeError("two\\nlines")
sessionlib.cli.ask._message = fail
{AS_MODULE}
"""
    result = run_script(source, "ask", "hi", env=cli.env)
    assert (result.rc, result.stdout) == (1, "")
    assert result.stderr == "sessionlib: unexpected RuntimeError: two lines; --debug shows where it came from\n"


@pytest.mark.parametrize(
    "args",
    [
        ["ask", "--base-url", "http://x.example/v1", "hi"],
        ["ask", "--base-url", "http://127.0.0.1:1/v1", "hi"],
        ["serve", "--host", "203.0.113.1"],
        ["ask", "--local", "--model", "nonesuch", "hi"],
        ["chat", "--agent", "x" * 600],
    ],
    ids=" ".join,
)
def test_an_error_names_no_argument_of_python(here: Here, args: list[str]) -> None:
    result = here.run(*args)
    assert result.rc in (1, 2)
    assert not re.search(r"\w=|api_key|base_url|allow_\w+=|True|None|sessionlib\.\w+", result.stderr), result.stderr


# ---- what is imported ----------------------------------------------------------------------


def test_the_package_does_not_import_the_command_line() -> None:
    source = """
        import sys, sessionlib
        print([name for name in sys.modules if (name + ".").startswith(("sessionlib.cli.", "click.", "rich."))])
    """
    assert run_script(source).check().stdout == "[]\n"


def test_the_engine_is_imported_only_where_a_command_runs_on_it() -> None:
    source = f"""
        import sys, atexit
        atexit.register(lambda: print([m for m in sys.modules if m.startswith(("sessionlib.engine", "rich"))]))
        {AS_MODULE}
    """
    told = run_script(source, "ask", "--base-url", "http://127.0.0.1:1/v1", "hi", env=KEY)
    assert (told.rc, told.stdout) == (1, "[]\n")


@pytest.mark.parametrize(
    ("missing", "args", "what", "extra"),
    [
        ("click", ["ask", "hi"], "the command line", "cli"),
        ("pydantic", ["ask", "hi"], "the embedded engine", "engine"),
        ("wsproto", ["serve"], "the embedded engine", "engine"),
        ("libcst", ["port", "x.py"], "sessionlib port", "port"),
    ],
)
def test_a_missing_extra_is_named(cli: Cli, missing: str, args: list[str], what: str, extra: str) -> None:
    result = run_script(f"import sys; sys.modules[{missing!r}] = None\n{AS_MODULE}", *args, env=cli.env)
    assert (result.rc, result.stdout) == (1, "")
    assert result.stderr == f"sessionlib: {what} needs {missing}; install it with: pip install 'sessionlib[{extra}]'\n"


LOST = """
    import os, signal, time
    from sessionlib.cli import main
    from sessionlib.cli.main import app

    class Finalized:
        def __del__(self):
            os.kill(os.getpid(), signal.SIGINT)
            for _ in range(1000):  # Python raises KeyboardInterrupt here, and ignores it
                pass

    def command(*args, **options):
        Finalized()
        time.sleep(30)

    app.main = command
    main()
"""


def test_ctrl_c_is_not_lost_in_a_finalizer() -> None:
    ended = run_script(LOST, timeout=60.0)
    assert (ended.rc, ended.stdout, ended.stderr) == (130, "", "")
    assert ended.duration < 30
