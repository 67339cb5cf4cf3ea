"""The recipes of the documentation, each run where it belongs."""

from __future__ import annotations

import contextlib
import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sessionlib.engine import LocalEngine, tool
from tests.support.processes import ROOT, run_script
from tests.support.programs import need
from tests.support.servers import get, held_port, running
from tests.support.waiting import eventually, is_up

PAGE = (ROOT / "sessionlib" / "docs" / "recipes.md").read_text("utf-8")
DEMO = "Demo model: echoes your message. You said: "


def recipe(folder: Path, name: str) -> None:
    """Writes a recipe into a folder."""
    files = {re.match(r"# (\S+)\n", text)[1]: text for text in re.findall(r"^```py\n(.*?)^```$", PAGE, re.M | re.S)}  # type: ignore[index]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(files[name], "utf-8")


@tool(approval="requires_approval")
def refund() -> str:
    """Refund an order."""
    return "refunded"


@pytest.fixture(scope="module")
def configured() -> Iterator[dict[str, str]]:
    """The environment of programs that talk to an engine with an agent on it."""
    with LocalEngine(tools=[refund], api_key="k") as engine:
        engine.agent(name="Support")
        yield {"VECTORSHIFT_BASE_URL": engine.base_url, "VECTORSHIFT_API_KEY": "k"}


@pytest.fixture
def environment(configured: dict[str, str]) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "HOME": os.environ.get("HOME", "/"), **configured}


# ---- cron ----------------------------------------------------------------------------------


def as_cron_does(folder: Path, environment: dict[str, str]) -> str:
    """Runs the crontab's command as cron does, with no terminal and hardly any environment; gives the log."""
    found = re.search(r"^```crontab\n.*?^0 6 \* \* \*  (.*?)\n```$", PAGE, re.M | re.S)
    assert found is not None
    command = found[1].replace("/srv/reports", str(folder)).replace(".venv/bin/python", sys.executable)
    bare = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "SHELL": "/bin/sh", "PYTHONPATH": str(ROOT), **environment}
    subprocess.run(["/bin/sh", "-c", command], env=bare, stdin=subprocess.DEVNULL, timeout=100, check=False)
    return (folder / "nightly.log").read_text()


def test_a_cron_script(configured: dict[str, str], tmp_path: Path) -> None:
    recipe(tmp_path, "nightly.py")
    assert as_cron_does(tmp_path, configured) == f'{DEMO}"Summarise yesterday."\n'


def test_a_cron_script_without_an_engine_says_so_in_a_line(tmp_path: Path) -> None:
    recipe(tmp_path, "nightly.py")
    with held_port() as port:
        nobody = {"VECTORSHIFT_BASE_URL": f"http://127.0.0.1:{port}/v1", "VECTORSHIFT_API_KEY": "k"}
        log = as_cron_does(tmp_path, nobody)
    assert log.startswith("no report: ")
    assert log.count("\n") == 1


# ---- servers and workers -------------------------------------------------------------------


def test_a_flask_view(environment: dict[str, str], tmp_path: Path) -> None:
    recipe(tmp_path, "app.py")
    command = [sys.executable, "-m", "flask", "run", "--port"]
    with held_port() as port, running([*command, str(port)], tmp_path, environment):
        assert eventually(lambda: is_up(port))
        url = f"http://127.0.0.1:{port}/ask"
        assert get(url, {"text": "one"}) == f'{DEMO}"one"'
        assert "The call of refund was denied: no tool may run" in get(url, {"text": "/tool refund {}"})


CELERYCONFIG = """
from pathlib import Path
here = Path(__file__).parent
broker_url = "filesystem://"
result_backend = f"file://{here}/results"
broker_transport_options = {
    "data_folder_in": f"{here}/queue", "data_folder_out": f"{here}/queue", "store_processed": False,
    "control_folder": f"{here}/control",
}
broker_connection_retry_on_startup = True
"""


def test_a_celery_task(environment: dict[str, str], tmp_path: Path) -> None:
    recipe(tmp_path, "tasks.py")
    (tmp_path / "celeryconfig.py").write_text(CELERYCONFIG)
    for name in ("queue", "results"):
        (tmp_path / name).mkdir()
    worker = [sys.executable, "-m", "celery", "-A", "tasks", "worker", "--concurrency", "2"]
    with running([*worker, "--without-gossip", "--without-mingle"], tmp_path, environment):
        asked = run_script(
            f"""
            import sys
            sys.path.insert(0, {str(tmp_path)!r})
            from tasks import answer
            results = [answer.delay(f"question {{number}}") for number in range(3)]
            for result in results:
                print(result.get(timeout=90))
            """,
            env=environment,
            options=["-W", "ignore"],
        )
    told = f"{asked}\n{(tmp_path / 'output.txt').read_text()[-3000:]}"
    assert asked.stdout == "".join(f'{DEMO}"question {number}"\n' for number in range(3)), told


def test_a_celery_task_is_tried_again_when_nothing_got_through(environment: dict[str, str], tmp_path: Path) -> None:
    recipe(tmp_path, "tasks.py")
    (tmp_path / "celeryconfig.py").write_text('broker_url = "memory://"\n')
    with held_port() as port:
        asked = run_script(
            f"""
            import os, sys
            sys.path.insert(0, {str(tmp_path)!r})
            from celery.signals import task_prerun
            from sessionlib.engine import LocalEngine
            from tasks import answer

            engine = LocalEngine(port={port}, api_key="k")
            os.environ["VECTORSHIFT_BASE_URL"] = "http://127.0.0.1:{port}/v1"
            tries = []

            @task_prerun.connect
            def at_the_second_try(**told):
                tries.append(told)
                if len(tries) == 2:
                    engine.start().agent(name="Support")

            print(answer.apply(("Hi",)).get())
            print(len(tries), "tries")
            engine.close()
            """,
            env=environment,
            options=["-W", "ignore"],
        )
    assert asked.stdout == f'{DEMO}"Hi"\n2 tries\n', asked


MANAGE = """
import sys
import django.conf
from django.core.management import execute_from_command_line
django.conf.settings.configure(INSTALLED_APPS=["shop"], SECRET_KEY="x")
execute_from_command_line(["manage.py", *sys.argv[1:]])
"""


@pytest.fixture
def manage(tmp_path: Path) -> str:
    """A Django project whose app has the command; gives the script that runs commands."""
    commands = tmp_path / "shop" / "management" / "commands"
    recipe(commands, "answer.py")
    for folder in (commands, commands.parent, commands.parent.parent):
        (folder / "__init__.py").touch()
    return f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n{MANAGE}"


def test_a_django_management_command(environment: dict[str, str], manage: str) -> None:
    told = run_script(manage, "answer", "Where is it?", env=environment, options=["-W", "ignore"])
    assert (told.rc, told.stdout) == (0, f'{DEMO}"Where is it?"\n'), told
    asked = run_script(manage, "answer", "/tool refund {}", env=environment, stdin="y\n", options=["-W", "ignore"])
    # What comes through a pipe is no person's consent; on a terminal it asks.
    assert asked.stdout.endswith(
        "The call of refund was denied: no person could be asked: there is no terminal to ask on\n"
    )


def test_a_django_management_command_fails_in_a_line(environment: dict[str, str], manage: str) -> None:
    nobody = {**environment, "VECTORSHIFT_API_KEY": "wrong"}
    told = run_script(manage, "answer", "Hi", env=nobody, options=["-W", "ignore"])
    assert told.rc == 1
    assert told.stderr.startswith("CommandError: ")
    assert told.stderr.count("\n") == 1


def test_gevent(environment: dict[str, str], tmp_path: Path) -> None:
    recipe(tmp_path, "many.py")
    source = (tmp_path / "many.py").read_text()
    result = run_script(source, env=environment, options=["-W", "ignore"])
    assert (result.rc, result.stderr) == (0, "")
    assert result.stdout.splitlines() == [f'{DEMO}"question {number}"' for number in range(10)]


def test_a_streamlit_app(environment: dict[str, str], tmp_path: Path) -> None:
    recipe(tmp_path, "chat.py")
    source = """
    import sys
    from streamlit.testing.v1 import AppTest

    app = AppTest.from_file(sys.argv[1], default_timeout=90).run()
    for text in ("one", "/tool refund {}"):
        app.chat_input[0].set_value(text).run()
    assert not app.exception, app.exception
    for message in app.chat_message:
        print(message.name, message.markdown[0].value)
    app.session_state.session.disconnect()
    """
    ran = run_script(source, str(tmp_path / "chat.py"), env=environment)
    assert ran.rc == 0, ran.stderr
    assert ran.stdout.splitlines() == [
        "user one",
        f'assistant {DEMO}"one"',
        "user /tool refund {}",
        "assistant The call of refund was denied: no tool may run that needs an approval",
    ]


# ---- many prompts --------------------------------------------------------------------------


@pytest.mark.slow
def test_joblib(environment: dict[str, str], tmp_path: Path) -> None:
    recipe(tmp_path, "classified.py")
    ran = run_script((tmp_path / "classified.py").read_text(), env=environment)
    assert ran.stdout.splitlines() == [f'ticket {n} -> {DEMO}"ticket {n}"' for n in range(20)], ran


@pytest.mark.slow
def test_spark(environment: dict[str, str], tmp_path: Path) -> None:
    """Two actions run each partition twice, and the second finds all answers in the checkpoints."""
    need("java")
    recipe(tmp_path, "answered.py")
    spark = {
        "PYSPARK_PYTHON": sys.executable,
        "PYSPARK_SUBMIT_ARGS": "--master local[2] --conf spark.ui.enabled=false pyspark-shell",
        "SPARK_LOCAL_IP": "127.0.0.1",
        "JAVA_TOOL_OPTIONS": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",  # it runs for seconds, and not for hours
    }
    ran = run_script((tmp_path / "answered.py").read_text(), str(tmp_path), env={**environment, **spark}, timeout=280)
    answers = [str((f"ticket {n}", f'{DEMO}"ticket {n}"')) for n in range(20)]
    assert ran.stdout.splitlines() == ["20 answers", *answers], ran
    posted = []
    for partition in range(2):
        with contextlib.closing(sqlite3.connect(tmp_path / f"partition-{partition}.db")) as database:
            posted += database.execute("SELECT session_id FROM prompts WHERE state = 'complete'").fetchall()
    assert len(set(posted)) == 20
