"""The rows of sessions: parts of a history, what a model is reminded of, files within their quota, and turns."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest

from sessionlib.engine.errors import DatabaseDamagedError, RefusedError
from sessionlib.engine.store import Store

USER, AGENT = {"user_id": "u1"}, {"agent_id": "a1"}


def text(value: str) -> dict[str, Any]:
    return {"type": "data_type_message", "value": value}


@pytest.fixture
def session_id(store: Store) -> str:
    return store.sessions.add("agent", "a1")


@pytest.mark.parametrize(
    ("after", "limit", "size", "found", "more"),
    [
        (None, 9, 100_000, "abc", False),
        (None, 3, 100_000, "abc", False),
        (None, 2, 100_000, "ab", True),
        (None, 9, 0, "a", True),
        (0, 9, 100_000, "bc", False),
        (0, 1, 100_000, "b", True),
        (2, 9, 100_000, "", False),
    ],
)
def test_a_history_comes_in_parts(
    store: Store, session_id: str, after: int | None, limit: int, size: int, found: str, more: bool
) -> None:
    ids = store.sessions.post(session_id, USER, [text(letter) for letter in "abc"], (), quota=0).message_ids
    part, is_more = store.sessions.history_part(session_id, None if after is None else ids[after], limit, size)
    assert ("".join(message.content["value"] for message in part), is_more) == (found, more)


def test_a_part_behind_a_message_that_there_is_not_is_refused(store: Store, session_id: str) -> None:
    with pytest.raises(RefusedError, match="has no message nowhere"):
        store.sessions.history_part(session_id, "nowhere", 9, 100_000)


@pytest.mark.parametrize(("limit", "found"), [(1, "e"), (2, "cde"), (3, "cde"), (4, "abcde"), (9, "abcde")])
def test_only_whole_turns_are_recalled(store: Store, session_id: str, limit: int, found: str) -> None:
    for asked, answered in ("ab", "cd"):
        turn = store.sessions.post(session_id, USER, [text(asked)], (), quota=0).turn
        store.sessions.add_message(turn, AGENT, text(answered))
    turn = store.sessions.post(session_id, USER, [text("e")], (), quota=0).turn
    recalled = store.sessions.recall(session_id, turn.number, limit)
    assert "".join(message.content["value"] for message in recalled) == found


def test_a_turn_that_has_ended_stays_so(store: Store, session_id: str) -> None:
    turn = store.sessions.post(session_id, USER, [text("a")], (), quota=0).turn
    assert [each.state for each in store.sessions.open_turns(session_id)] == ["queued"]
    store.sessions.set_turn(turn.number, "waiting")
    assert [each.state for each in store.sessions.open_turns(session_id)] == ["waiting"]
    store.sessions.add_step(turn, AGENT, [("m1", text("b"))], (), ends=True)
    store.sessions.set_turn(turn.number, "running")
    assert store.sessions.open_turns(session_id) == []


@pytest.mark.parametrize(("size", "fits"), [(6, True), (7, False)])
def test_all_files_of_a_session_have_one_quota(store: Store, session_id: str, size: int, fits: bool) -> None:
    def post(name: str, data: bytes) -> None:
        store.sessions.post(session_id, USER, [text("a")], [(name, name, "text/plain", data)], quota=10)

    post("f1", b"1234")
    with contextlib.nullcontext() if fits else pytest.raises(RefusedError):
        post("f2", b"x" * size)
    assert (store.sessions.find_file("f2") is not None) == fits
    assert store.sessions.find_file("f1") == ("f1", "text/plain", b"1234")


def test_what_is_sent_of_a_message_is_what_is_stored(store: Store, session_id: str) -> None:
    turn = store.sessions.post(session_id, USER, [text("a")], (), quota=0).turn
    contents = [text("caf\u00e9"), text("lone \ud800 half"), text("a \ufffd of its own")]
    sent = [store.sessions.add_message(turn, AGENT, content) for content in contents]
    values = [message.content["value"] for message in sent]
    assert values == ["caf\u00e9", "lone \ufffd half", "a \ufffd of its own"]
    assert {message.step for message in sent} == {turn.step + 1}
    assert store.sessions.history(session_id)[1:] == sent


def test_a_history_of_which_a_message_is_missing_is_damaged(store: Store, session_id: str) -> None:
    store.sessions.post(session_id, USER, [text("a"), text("b")], (), quota=0)
    store.database.write(lambda db: db.execute("DELETE FROM messages WHERE number = 1").rowcount)
    with pytest.raises(DatabaseDamagedError, match=f"messages of session {session_id} are missing"):
        store.sessions.history(session_id)


def test_a_session_that_was_terminated_takes_no_post(store: Store, session_id: str) -> None:
    store.sessions.terminate(session_id)
    with pytest.raises(RefusedError, match="was terminated") as caught:
        store.sessions.post(session_id, USER, [text("a")], (), quota=0)
    assert caught.value.code == "session_terminated"
    assert store.sessions.open_turns(session_id) == []
