"""Where programs really run: gevent, gunicorn, Flask and Django, each the real thing; Celery is in the recipes."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sessionlib.engine import LocalEngine
from tests.support.processes import ROOT, run_script
from tests.support.servers import get, held_port, running
from tests.support.waiting import eventually, is_up

CONVERSE = '''
import os
from sessionlib import Session

def make(readers=None):
    return Session(owner_type="agent", owner_id=os.environ["AGENT"], ws_url=os.environ["ENGINE"], readers=readers)

def converse(text, readers=None):
    """A whole conversation in a session of its own."""
    with make(readers) as session:
        reply = session.ask(text, timeout=30)
        assert "".join(event.delta or "" for event in reply.events) == reply.text
        assert len(session.get_messages()) == 2
        return reply.text
'''


@pytest.fixture(scope="module")
def environment() -> Iterator[dict[str, str]]:
    """An engine with an agent on it, told by environment variables."""
    with LocalEngine(api_key="k") as engine:
        named = {"ENGINE": engine.ws_url, "AGENT": engine.agent().id, "SESSIONLIB_API_KEY": "k"}
        yield {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "HOME": os.environ.get("HOME", "/"), **named}


# ---- gevent --------------------------------------------------------------------------------


def test_under_gevent_other_greenlets_go_on(environment: dict[str, str]) -> None:
    source = f"""
from gevent import monkey
monkey.patch_all()
import gevent
import threading
{CONVERSE}
ticks = 0
def tick():
    global ticks
    while True:
        gevent.sleep(0.001)
        ticks += 1
ticker = gevent.spawn(tick)
# Some of them ask for a shared reader, which waits for the system's sockets: they have one each here.
talks = [gevent.spawn(converse, f"number {{number}}", number % 2 or None) for number in range(5)]
gevent.joinall(talks, timeout=60, raise_error=True)
assert all(f"number {{number}}" in talk.value for number, talk in enumerate(talks)), talks
assert ticks > 0
with make(readers=1) as session:
    assert not [thread for thread in threading.enumerate() if "shared" in thread.name]
    before = ticks
    def go_on():
        while ticks - before <= 10:
            gevent.sleep(0.001)
        session.send("the loop went on")
    other = gevent.spawn(go_on)
    # Raises if the loop stands still while a session waits.
    next(session.listen(event_types=["message_complete"], timeout=30))
    other.join()
ticker.kill()
print("fine")
"""
    result = run_script(source, env=environment, options=["-W", "ignore"])
    assert (result.rc, result.stdout, result.stderr) == (0, "fine\n", "")


# ---- servers -------------------------------------------------------------------------------


def assert_serves(port: int) -> None:
    """Fails unless a server answers several questions at once, each with the answer to itself."""
    assert eventually(lambda: is_up(port))
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda at: get(f"http://127.0.0.1:{port}/?text=question-{at}"), range(6)))
    assert all(f'"question-{number}"' in answer for number, answer in enumerate(answers)), answers


FLASK = f"""
import flask
{CONVERSE}
app = flask.Flask(__name__)

@app.get("/")
def page():
    return converse(flask.request.args["text"])
"""

# The session of the master is the mistake that --preload invites; the workers must not break it.
PRELOADED = (
    FLASK
    + """
ours = make().connect()
from sessionlib import ForkedSessionError

@app.get("/inherited")
def inherited():
    try:
        ours.send("from a worker")
    except ForkedSessionError:
        return "refused"
    return "sent"
"""
)


@pytest.fixture
def port() -> Iterator[int]:
    """Where a server can listen."""
    with held_port() as port:
        yield port


def test_gunicorn_that_preloads(environment: dict[str, str], tmp_path: Path, port: int) -> None:
    (tmp_path / "app.py").write_text(PRELOADED, "utf-8")
    command = [sys.executable, "-m", "gunicorn", "--preload", "--workers", "2", "--threads", "3"]
    with running([*command, "--bind", f"127.0.0.1:{port}", "app:app"], tmp_path, environment):
        assert_serves(port)
        assert get(f"http://127.0.0.1:{port}/inherited") == "refused"


DJANGO = f"""
import sys
import django.conf, django.http, django.urls
{CONVERSE}
django.conf.settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY="x", DEBUG=True)

def page(request):
    return django.http.HttpResponse(converse(request.GET["text"]))

urlpatterns = [django.urls.path("", page)]

if __name__ == "__main__":
    from django.core.management import execute_from_command_line
    execute_from_command_line(["manage", "runserver", "--noreload", sys.argv[1]])
"""


def test_a_django_view(environment: dict[str, str], tmp_path: Path, port: int) -> None:
    (tmp_path / "app.py").write_text(DJANGO, "utf-8")
    with running([sys.executable, "app.py", f"127.0.0.1:{port}"], tmp_path, environment):
        assert_serves(port)
