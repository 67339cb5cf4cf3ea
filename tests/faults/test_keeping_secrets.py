"""The key, through a conversation in which everything goes wrong, with all that may tell of it turned on."""

from __future__ import annotations

import copy
import logging
import pickle
from pathlib import Path

import pytest

from sessionlib import SessionError
from tests.support.processes import run_script
from tests.support.script_engine import ScriptEngine, refuse
from tests.support.secrets import SENTINEL_KEY, LogWatch, assert_keeps_secret
from tests.support.sessions import make
from tests.support.turns import turn

SOURCE = """
import faulthandler, logging, os, sys, tempfile, traceback, warnings
faulthandler.enable()
logging.basicConfig(level=logging.DEBUG)
import websocket
websocket.enableTrace(True)
from sessionlib import ApiError, Session, SessionError
from sessionlib.engine import LocalEngine

path = os.path.join(sys.argv[1], "engine.sqlite")
with LocalEngine(path=path) as engine:
    for key in ("wrong-" + os.environ["SESSIONLIB_API_KEY"], os.environ["SESSIONLIB_API_KEY"]):
        try:
            with Session(owner_type="agent", owner_id=engine.agent().id, api_key=key, ws_url=engine.ws_url) as session:
                print(session, repr(session), session.ask("hi", timeout=30))
                session._connection.channel.transport.abort()
                print(session.get_messages(timeout=30), vars(session), vars(session._connection))
                print([vars(part) for part in vars(session._connection).values() if hasattr(part, "__dict__")])
                session.ask(object())
        except Exception:
            traceback.print_exc()
    session = Session(session_id="s1", ws_url="ws://127.0.0.1:9/v1")
    try:
        session.connect(1)
    except SessionError as error:
        traceback.print_exc()
        print(vars(error), session._endpoint, session._options)
    faulthandler.dump_traceback(all_threads=True)
"""


def test_no_key_in_what_a_process_leaves_behind(tmp_path: Path) -> None:
    key = f"{SENTINEL_KEY}-x"
    result = run_script(SOURCE, str(tmp_path), env={"SESSIONLIB_API_KEY": key, "TMPDIR": str(tmp_path)}, timeout=60)
    assert result.rc == 0, result
    assert "127.0.0.1" in result.stdout
    assert "Traceback" in result.stderr
    assert SENTINEL_KEY not in result.stdout
    assert SENTINEL_KEY not in result.stderr
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert files
    assert not [path for path in files if SENTINEL_KEY.encode() in path.read_bytes()]


def test_a_session_is_neither_pickled_nor_copied_and_shows_only_where_it_is(engine: ScriptEngine) -> None:
    with make(engine) as session, session.listen() as listener:
        turn_read = session.stream("hi")
        for held in (session, listener, turn_read, session.history()):
            assert SENTINEL_KEY not in repr(held)
        for take in (pickle.dumps, copy.copy, copy.deepcopy):
            for held in (session, listener, turn_read):
                with pytest.raises(TypeError, match="cannot be pickled or copied"):
                    take(held)
        assert "s1" in repr(session)
        assert "127.0.0.1" in repr(session)
        turn_read.close()


def test_this_test_can_fail(tmp_path: Path) -> None:
    result = run_script("import os; print(os.environ['SESSIONLIB_API_KEY'])", env={"SESSIONLIB_API_KEY": SENTINEL_KEY})
    assert SENTINEL_KEY in result.stdout


def test_no_text_of_a_conversation_in_the_log_above_debug(engine: ScriptEngine, log_watch: LogWatch) -> None:
    engine.on("post_message", lambda conn, frame: conn.send_many(turn(pieces=["the answer is ", "a secret"])))
    with make(engine) as session:
        session.ask("the question is a secret", timeout=30)
        engine.drop_all()
        engine.wait_connected(2)
        session.get_messages(timeout=30)
    assert log_watch.lines
    assert not [line for line in log_watch.lines if "secret" in line]


@pytest.mark.parametrize("status", [401, 403, 500])
def test_no_key_in_an_error(engine: ScriptEngine, status: int, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with make(engine) as session:
        engine.handshake = refuse(status, SENTINEL_KEY.encode(), [("X-Echo", SENTINEL_KEY)])
        engine.drop_all()
        if status < 500:
            with pytest.raises(SessionError) as caught:
                list(session.listen(timeout=30))
            assert_keeps_secret(caught.value)
        assert_keeps_secret(session)
