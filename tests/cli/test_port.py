"""``sessionlib port``: what it shows, what it writes, and what it leaves to a person."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from sessionlib.cli.main import run
from sessionlib.cli.port import MAX_SIZE, port_notebook, port_source
from tests.support.cli import Cli
from tests.support.processes import run_script
from tests.support.sdk_scripts import SCRIPTS, UNDECIDED

BEFORE = """\
import asyncio
from vectorshift.session import Session  # the SDK

async def main():
    async with Session(owner_id="a1") as session:
        await session.send("Hello")

asyncio.run(main())
"""
AFTER = """\
from sessionlib.session import Session  # the SDK

def main():
    with Session(owner_id="a1") as session:
        session.send("Hello")

main()
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "talk.py"
    path.write_text(BEFORE)
    return path


# ---- the command ---------------------------------------------------------------------------


def test_the_changes_are_shown_and_nothing_is_written(script: Path, cli: Cli) -> None:
    shown = cli.run("port", str(script)).check()
    assert script.read_text() == BEFORE
    assert shown.stderr == ""
    apply = ["git", "apply", "--unsafe-paths", "-p1", "--directory=/", "-"]
    subprocess.run(apply, input=shown.stdout, text=True, cwd="/", timeout=200, check=True)
    assert script.read_text() == AFTER


def test_writing(script: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script.chmod(0o755)
    link = script.with_name("link.py")
    link.symlink_to(script)
    assert run(["port", "--write", str(link)]) == 0
    assert link.is_symlink()
    assert script.read_text() == AFTER
    assert script.stat().st_mode & 0o777 == 0o755
    assert f"{link}: changed" in capsys.readouterr().err
    assert sorted(path.name for path in script.parent.iterdir()) == ["link.py", "talk.py"]
    assert run(["port", "--write", str(script)]) == 0
    assert "does not use vectorshift" in capsys.readouterr().err


def test_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("one.py", "inner/two.py", ".hidden/three.py", "venv/four.py", "plain.py", "notes.txt"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("import os\n" if name == "plain.py" else BEFORE)
    (tmp_path / "book.ipynb").write_text(json.dumps(notebook("import vectorshift"), indent=1))
    assert run(["port", "--write", str(tmp_path)]) == 0
    changed = [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.*") if path.is_file()]
    changed = [name for name in changed if "vectorshift" not in (tmp_path / name).read_text()]
    assert sorted(changed) == ["book.ipynb", "inner/two.py", "one.py", "plain.py"]
    assert "plain.py" not in capsys.readouterr().err


def test_what_is_left_is_listed_with_line_and_reason(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    [(text, expected)] = UNDECIDED.values()
    path = tmp_path / "hard.py"
    path.write_text(text)
    assert run(["port", str(path)]) == 0
    assert capsys.readouterr().err.splitlines() == [
        f"sessionlib: {path}:{line}: {reason}" for line, reason in expected.items()
    ]
    assert dict(port_source(text).undecided) == expected


def test_what_cannot_be_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken, large, foreign = tmp_path / "a.py", tmp_path / "b.py", tmp_path / "c.py"
    broken.write_text("import vectorshift\ndef (:\n")
    with large.open("wb") as file:
        file.truncate(MAX_SIZE + 1)
    foreign.write_bytes(b"vectorshift \xff")
    good = tmp_path / "d.py"
    good.write_text(BEFORE)
    assert run(["port", "--write", str(tmp_path)]) == 1
    shown = capsys.readouterr().err
    assert f"{broken}: cannot be read: line 2" in shown
    assert f"{large}: cannot be read: it is larger" in shown
    assert f"{foreign}: cannot be read: it is not UTF-8 text" in shown
    assert "3 files could not be ported" in shown
    assert good.read_text() == AFTER
    assert run(["port", str(tmp_path / "none.py")]) == 2


def test_other_commands_do_not_load_nor_need_libcst() -> None:
    script = """
        import sys
        from sessionlib.cli.main import run

        assert run(["models"]) == 0
        assert "libcst" not in sys.modules
        sys.modules["libcst"] = None
        assert run(["--help"]) == 0
    """
    assert "ask" in run_script(script).check().stdout


# ---- scripts -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SCRIPTS)
def test_nothing_asynchronous_is_left(name: str) -> None:
    ported = port_source(SCRIPTS[name])
    for word in ("async", "await", "vectorshift"):
        assert word not in ported.text
    compile(ported.text, name, "exec")
    assert port_source(ported.text).text == ported.text
    hints = ("past the timeout", "for each event", "for each result")
    assert all(any(hint in reason for hint in hints) for _, reason in ported.undecided)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("x = await f()\n", "x = f()\n"),
        ("x = (await f())[0]\n", "x = f()[0]\n"),
        ("x = await (a or b)\n", "x = (a or b)\n"),
        ("import asyncio as aio\naio.run(f())\n", "f()\n"),
        ("async def f():\n    import asyncio\n    await asyncio.sleep(1)\n", None),
        ("import time\nimport asyncio\nasyncio.run(f(asyncio.sleep(1)))\n", "import time\nf(time.sleep(1))\n"),
        ("r = await asyncio.to_thread(read, path, mode='r')\n", "r = read(path, mode='r')\n"),
        ("from vectorshift.mcp_server import McpServer\n", "from sessionlib import McpServer\n"),
        ("from vectorshift.agent.extra_tools import CustomTool\n", "from sessionlib.agent import CustomTool\n"),
        ("from vectorshift.request import request_client\n", "from sessionlib.request import request_client\n"),
        ("import vectorshift as vs\nvs.api_key = 'k'\n", "import sessionlib as vs\nvs.api_key = 'k'\n"),
        ("import vectorshift\nvectorshift.api_key = 'k'\n", "import sessionlib\nsessionlib.api_key = 'k'\n"),
        ("agent = await Agent.anew('x', llm)\nawait agent.asave()\n", "agent = Agent.new('x', llm)\nagent.save()\n"),
        ("f(afetch=1, timeout=2)\n", "f(afetch=1, timeout=2)\n"),
        ("def f(sleep): ...\n", "def f(sleep): ...\n"),
        ("# one\nimport asyncio\n# two\nx = 1\n", "# one\n# two\nx = 1\n"),
        ("@pytest.mark.asyncio\nasync def test_it(): ...\n", "def test_it(): ...\n"),
        ("def f() -> AsyncGenerator[int, str]: ...\n", "def f() -> Generator[int, str, None]: ...\n"),
        ("import nest_asyncio\nnest_asyncio.apply()\nx = 1\n", "x = 1\n"),
        ("if x:\n    loop = asyncio.get_event_loop()\n", "if x:\n    pass\n"),
        ("x = asyncio.get_event_loop().run_until_complete(f())\n", "x = f()\n"),
        ("[x async for x in y]\n", "[x for x in y]\n"),
        ("try: ...\nexcept asyncio.TimeoutError: ...\n", "try: ...\nexcept TimeoutError: ...\n"),
        (
            "import typing as t\ndef f() -> t.AsyncIterator[str]: ...\n",
            "import typing as t\ndef f() -> t.Iterator[str]: ...\n",
        ),
        (
            "from vectorshift import Agent as A\na = A.fetch()\nawait asyncio.wait_for(a.run('x'), 3)\n",
            "from sessionlib import Agent as A\na = A.fetch()\na.run('x', timeout=3)\n",
        ),
        (
            "import vectorshift as vs\na = await vs.Agent.afetch()\nawait asyncio.wait_for(a.run('x'), 3)\n",
            "import sessionlib as vs\na = vs.Agent.fetch()\na.run('x', timeout=3)\n",
        ),
        ("\ufeffimport vectorshift\n", "import sessionlib\n"),
        ('w: "asyncio.Task[None] | None" = None\n', None),
        ("async with asyncio.timeout(3):\n    x = await agent.run('a')\n", "x = agent.run('a', timeout=3)\n"),
        ("async with asyncio.timeout(3):\n    await session.connect()\n", "session.connect(timeout=3)\n"),
        ("x = await asyncio.wait_for(agent.run('a'), timeout=t * 2)\n", "x = agent.run('a', timeout=t * 2)\n"),
        (
            "x = await asyncio.wait_for(asyncio.shield(session.get_messages()), 3)\n",
            "x = session.get_messages(timeout=3)\n",
        ),
        (
            "a = Agent()\nx = await asyncio.wait_for(asyncio.shield(asyncio.gather(*(a.run(p) for p in ps))), 3)\n",
            "a = Agent()\nx = list(a.map(ps, timeout=3))\n",
        ),
        ("e = asyncio.Event()\nawait asyncio.wait_for(e.wait(), 3)\n", None),
        ("async def f():\n    async for x in g():\n        yield x\n", "def f():\n    yield from g()\n"),
        ("with asyncio.Runner() as r:\n    # one\n    x = r.run(f())\n", "# one\nx = f()\n"),
        ("if a:\n    x = f()\n    x = await x\n", "if a:\n    x = f()\n"),
        ("x = f(contextlib.aclosing(g()))\n", "x = f(contextlib.closing(g()))\n"),
        ("x = await asyncio.shield(f())\n", "x = f()\n"),
        ("d, p = await asyncio.wait(ts, return_when=asyncio.FIRST_COMPLETED)\n", None),
        ("agent = Agent.fetch()\nx = await asyncio.wait_for(asyncio.gather(*(agent.run(p) for p in ps)), 3)\n", None),
        (
            "class T(unittest.IsolatedAsyncioTestCase):\n    async def asyncSetUp(self): ...\n",
            "class T(unittest.TestCase):\n    def setUp(self): ...\n",
        ),
        (
            "from vectorshift.agent import Agent\nfrom vectorshift.agent.tool import Tool\n",
            "from sessionlib.agent import Agent, Tool\n",
        ),
        ("async with asyncio.TaskGroup() as group:\n    t = group.create_task(f(1))\nt = await t\n", None),
    ],
)
def test_small_things(before: str, after: str | None) -> None:
    ported = port_source(before).text
    if after is not None:
        assert ported == after
    compile(ported, "script", "exec")
    assert "asyncio" not in ported


UNSEEN = "cannot be seen here"


@pytest.mark.parametrize(
    ("script", "reasons"),
    [
        ("async def f(job):\n    return await job\n", ["job comes from elsewhere"]),
        ("async def f(job): await job\nf(asyncio.create_task(g()))\n", []),
        ("async def f(job: asyncio.Task): await job\n", []),
        ("async def f(jobs: list[asyncio.Task]):\n    for job in jobs: await job\n", []),
        ("async def f(): await asyncio.wait_for(job, 3)\n", [UNSEEN]),
        (
            "async def f():\n    async with asyncio.timeout(3):\n        await g()\n",
            ["asyncio.timeout has no counterpart"],
        ),
        ("async def f(): await asyncio.wait_for(agent.run('a', timeout=9), 3)\n", ["past the timeout"]),
        ("loop = asyncio.get_running_loop()\nloop.add_signal_handler(2, stop)\n", ["loop.add_signal_handler"]),
        ("async def f():\n    while True: await asyncio.sleep(1)\nt = asyncio.create_task(f())\n", ["f() never ends"]),
        ("async def f():\n    while True: return\nt = asyncio.create_task(f())\n", []),
        ("import httpx\nhttpx.get(url)\n", []),
        ("from vectorshift.agent import *\n", ["name what is used of sessionlib.agent"]),
        ("import httpx\nasync with httpx.AsyncClient() as client: ...\n", ["use httpx.Client"]),
        ("t = asyncio.create_task(f())\nt.cancel()\n", ["not cancelled: disconnect its session, or let an Event stop"]),
        (
            "async def f():\n    async with await agent.create_session() as s:\n"
            "        t = asyncio.create_task(show(1, s))\n        t.cancel()\n",
            ["threads are not cancelled: call s.disconnect(), or give what it waits for a timeout"],
        ),
        (
            "async def f(s: Session):\n    t = asyncio.create_task(s.get_messages())\n    t.cancel()\n",
            ["call s.disconnect()"],
        ),
        ("try: t.result()\nexcept asyncio.CancelledError: pass\n", ["so never raised"]),
    ],
)
def test_what_is_left_to_a_person(script: str, reasons: list[str]) -> None:
    undecided = [reason for _, reason in port_source(f"import asyncio\nimport vectorshift\n{script}").undecided]
    assert len(undecided) == len(reasons), undecided
    assert all(expected in reason for expected, reason in zip(reasons, undecided, strict=True)), undecided


def test_one_name_is_a_task_in_one_function_and_a_text_in_another() -> None:
    ported = port_source("""\
import asyncio
async def f():
    task = asyncio.create_task(g())
    return await task
async def h():
    task = 'a text'
    return await k(task)
async def m():
    task = await g()
    return task
""")
    for line in ("return task.result()", "return k(task)", "task = g()\n    return task\n"):
        assert line in ported.text
    assert ported.undecided == []


def test_tasks_are_known_however_they_were_assigned() -> None:
    ported = port_source(
        "import asyncio\n"
        "class C:\n"
        "    agent: Agent\n"
        "    async def f(self):\n"
        "        one, two = asyncio.create_task(g()), asyncio.create_task(h())\n"
        "        await one; await two\n"
        "        x = await asyncio.wait_for(self.agent.run('a'), 3)\n"
        "        return await asyncio.gather(*map(g, 'ab'))\n"
    )
    assert "one.result(); two.result()" in ported.text
    assert "x = self.agent.run('a', timeout=3)" in ported.text
    assert "[task.result() for task in [background.submit(g, item) for item in 'ab']]" in ported.text
    assert ported.undecided == []


RUN = "import asyncio\nasync def run(job):\n    return await job\n"


@pytest.mark.parametrize(
    ("script", "expected", "undecided"),
    [
        ("run(f(1, a=2))\n", "run(functools.partial(f, 1, a=2))", 0),
        ("run(f())\n", "run(f)", 0),
        ("async def both(job):\n    await run(job)\nboth(f(1))\n", "both(functools.partial(f, 1))", 0),
        ("run(asyncio.gather(f(), g()))\n", "run(lambda: [task.result()", 0),
        (
            "async def all(*jobs):\n    for job in jobs: await run(job)\nall(f(), g(1))\n",
            "all(f, functools.partial(",
            0,
        ),
        (
            "async def all(jobs):\n    for job in jobs: await run(job)\nall([f(x) for x in y])\n",
            "all([functools.par",
            0,
        ),
        ("async def f(): ...\nrun(f())\nrun(asyncio.create_task(f()))\n", "run(background.submit(f))\nrun(back", 0),
        # It may be called with anything, or used as something else than a call.
        ("on_event(run)\nrun(f())\n", "run(f())", 1),
        ("run(f())\nrun(x)\n", "run(f())", 1),
        ("async def show(job):\n    print(job)\n    await job\nshow(f())\n", "show(f())", 2),
    ],
)
def test_what_a_function_awaits_is_called_there(script: str, expected: str, undecided: int) -> None:
    ported = port_source(RUN + script)
    assert expected in ported.text
    assert ("return job()" in ported.text) == (not undecided and "submit(" not in expected)
    assert len(ported.undecided) == undecided
    compile(ported.text, "script", "exec")


@pytest.mark.parametrize(
    ("waited", "caught"),
    [
        ("asyncio.wait_for(agent.run('a'), 3)", "TimeoutError"),
        ("asyncio.wait_for(f(), 3)", "concurrent.futures.TimeoutError"),
        ("asyncio.wait_for(q.get(), 3)", "queue.Empty"),
        ("f(asyncio.wait_for(q.get(), 3), asyncio.wait_for(agent.run('a'), 3))", "(TimeoutError, queue.Empty)"),
    ],
)
def test_handlers_catch_what_a_timeout_raises_now(waited: str, caught: str) -> None:
    script = f"import asyncio\nq = asyncio.Queue()\ntry: await {waited}\nexcept asyncio.TimeoutError: pass\n"
    assert f"except {caught}: pass\n" in port_source(script).text


def test_names_of_the_script_are_not_hidden() -> None:
    ported = port_source(
        "import asyncio\nbackground = 1\nasync def f(queue, time):\n    t = asyncio.create_task(queue.get())\n"
        "    await asyncio.sleep(time)\n    return await t, asyncio.Queue()\n"
    ).text
    assert "_background = concurrent.futures.ThreadPoolExecutor" in ported
    assert "clock.sleep(time)" in ported
    assert "queues.Queue()" in ported


def test_a_script_with_windows_line_ends(tmp_path: Path) -> None:
    path = tmp_path / "talk.py"
    path.write_bytes(BEFORE.replace("\n", "\r\n").encode())
    assert run(["port", "--write", str(path)]) == 0
    assert path.read_bytes() == AFTER.replace("\n", "\r\n").encode()


# ---- notebooks -----------------------------------------------------------------------------


def notebook(*sources: str) -> dict[str, Any]:
    code = {"cell_type": "code", "execution_count": None, "metadata": {}, "outputs": []}
    cells = [{**code, "source": source.splitlines(keepends=True)} for source in sources]
    text = {"cell_type": "markdown", "metadata": {}, "source": ["Uses the SDK."]}
    return {"cells": [text, *cells], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}


def ported_cells(*sources: str) -> list[str]:
    ported, _ = port_notebook(json.dumps(notebook(*sources), indent=1) + "\n")
    cells = json.loads(ported.text)["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


def test_a_notebook() -> None:
    assert ported_cells(
        "%pip install -q vectorshift==0.1.15\nimport asyncio\nfrom vectorshift import Session",
        "session = Session(session_id='s1')\nawait session.connect()",
        "%%bash\nawait nothing",
        "if True:\n    %time x = 1\n    await asyncio.sleep(1)",
        "",
        "async for event in session.listen():\n    print(event)",
    ) == [
        "%pip install -q sessionlib\nimport time\n\nfrom sessionlib import Session",
        "session = Session(session_id='s1')\nsession.connect()",
        "%%bash\nawait nothing",
        "if True:\n    %time x = 1\n    time.sleep(1)",
        "",
        "for event in session.listen():\n    print(event)",
    ]


def test_lines_that_are_no_python_and_magics_that_run_some() -> None:
    assert ported_cells(
        "%%time\nimport vectorshift\nx = await f()",
        "%time y = await f(await g())\n%env A=await\nsession.send?\n?session\nfiles = !ls\na, b = %sql await",
        "%%capture out\nawait f()",
        "x = a % b\nif not a != b:\n    await f()",
    ) == [
        "%%time\nimport sessionlib\nx = f()",
        "%time y = f(g())\n%env A=await\nsession.send?\n?session\nfiles = !ls\na, b = %sql await",
        "%%capture out\nf()",
        "x = a % b\nif not a != b:\n    f()",
    ]


def test_what_is_left_of_a_notebook_has_its_cell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "book.ipynb"
    path.write_text(json.dumps(notebook("import vectorshift", "x = 1\nimport aiohttp"), indent=1) + "\n")
    assert run(["port", "--write", str(path)]) == 0
    shown = capsys.readouterr()
    assert f"{path}, cell 2, line 2: aiohttp is asynchronous" in shown.err
    # What has not changed is as it was, byte for byte.
    changed = [line for line in shown.out.splitlines() if line.startswith(("+", "-"))][2:]
    assert [line.strip("+- ") for line in changed] == ['"import vectorshift"', '"import sessionlib"']


@pytest.mark.parametrize("text", ['"vectorshift"', '["vectorshift"]', "vectorshift", '{"cells": ["vectorshift"]}'])
def test_what_is_no_notebook(tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str) -> None:
    path = tmp_path / "book.ipynb"
    path.write_text(text)
    assert run(["port", str(path)]) == 1
    assert "cannot be read" in capsys.readouterr().err
