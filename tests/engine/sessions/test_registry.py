from __future__ import annotations

import json
from pathlib import Path

import pytest

from sessionlib.engine import LocalEngine, tool
from sessionlib.engine.sessions import broadcast
from sessionlib.protocol import frames
from tests.support.engine import (
    Caller,
    answer_of,
    approve,
    content_of,
    contents,
    deny,
    file,
    kinds,
    make_agent,
    open_socket,
    rest,
)


def test_a_turn_is_streamed(caller: Caller) -> None:
    heard = caller.ask("Good morning")
    assert kinds(heard) == ["post_message", "Processing", "message_delta", "data_type_message", "Idle"]
    deltas = [frame for frame in heard if frame["type"] == "message_delta"]
    assert [delta["index"] for delta in deltas] == list(range(len(deltas)))
    assert len(deltas) > 3
    assert "".join(delta["value"] for delta in deltas) == answer_of(heard)
    assert answer_of(heard).startswith("Demo model")
    assert '"Good morning"' in answer_of(heard)
    assert {delta["message_id"] for delta in deltas} == {heard[-2]["message"]["id"]}


def test_a_tool_runs(caller: Caller) -> None:
    heard = caller.ask('/tool add {"a": 2, "b": 40}')
    answer = ["message_delta", "data_type_message"]
    assert kinds(heard) == ["post_message", "Processing", "tool_call", "tool_result", *answer, "Idle"]
    call, result = (content_of(frame) for frame in heard[2:4])
    assert (call["tool_name"], call["arguments"], call["status"]) == ("add", {"a": 2, "b": 40}, "running")
    assert (result["tool_call_id"], result["output"], result["status"]) == (call["tool_call_id"], 42, "complete")
    assert answer_of(heard).endswith("add gave: 42")


def test_an_approval_is_granted_with_changed_arguments(caller: Caller) -> None:
    asked = caller.ask_for_approval('/tool refund {"order_id": "7"}')
    assert asked["content"]["arguments"] == {"order_id": "7"}
    assert asked["content"]["tool_name"] == "refund"
    ack = caller.post(approve(amount=2.5), asked["id"])
    assert (ack["success"], ack["approved"]) == (True, True)
    caller.until_status("Idle")
    assert answer_of(caller.heard).endswith("refund gave: refunded 2.5 for 7")


def test_a_denial_reaches_the_model_with_its_reason(caller: Caller) -> None:
    asked = caller.ask_for_approval('/tool refund {"order_id": "7"}')
    caller.ask(deny("not today"), asked["id"])
    assert "denied: not today" in answer_of(caller.heard)
    assert "tool_call" not in kinds(caller.heard)


@pytest.mark.parametrize(("first", "approved"), [(deny("no"), False), (approve(), True)])
@pytest.mark.parametrize("later", [False, True])
def test_a_second_answer_is_refused(caller: Caller, first: dict[str, object], approved: bool, later: bool) -> None:
    asked = caller.ask_for_approval('/tool refund {"order_id": "7"}')
    caller.post(first, asked["id"])
    if later:
        caller.until_status("Idle")
    again = caller.post(deny("again"), asked["id"])
    assert (again["success"], again["code"], again["approved"]) == (False, "approval_already_answered", approved)


def test_changed_arguments_that_do_not_fit_are_refused_and_the_request_stays_open(caller: Caller) -> None:
    asked = caller.ask_for_approval('/tool refund {"order_id": "7"}')
    refused = caller.post(approve(amount="much"), asked["id"])
    assert (refused["success"], refused["code"]) == (False, "bad_arguments")
    assert "amount" in refused["error"]
    assert caller.post(approve(), asked["id"])["success"]
    caller.until_status("Idle")


def test_an_answer_without_a_parent_finds_the_only_open_request(caller: Caller) -> None:
    caller.ask_for_approval('/tool refund {"order_id": "7"}')
    assert caller.post(approve())["success"]
    caller.until_status("Idle")
    assert caller.post(approve())["code"] == "approval_not_found"


def test_several_calls_of_one_step_are_settled_in_order(caller: Caller) -> None:
    refunds = '/tool refund {"order_id": "1"}\n/tool refund {"order_id": "2"}'
    caller.say(frames.post_message(caller.session_id, f'/tool add {{"a": 1}}\n{refunds}\n/tool add {{"a": 9}}'))
    caller.until_status("AwaitingApproval")
    first, second = [f["message"]["id"] for f in caller.heard if content_of(f).get("type") == "tool_call_approval"]
    caller.post(deny("no"), second)
    caller.ask(approve(), first)
    settled = [(result["tool_name"], result["status"]) for result in contents(caller.heard, "tool_result")]
    assert settled == [("add", "complete"), ("refund", "complete"), ("refund", "denied"), ("add", "complete")]


@pytest.mark.parametrize(("told", "asks"), [("true", True), ("false", False), (None, True)])
def test_the_model_decides_whether_a_person_is_asked(caller: Caller, told: str | None, asks: bool) -> None:
    decision = "" if told is None else f', "ask_user_first": {told}'
    caller.say(frames.post_message(caller.session_id, f'/tool note {{"text": "x"{decision}}}'))
    frame = caller.until(lambda f: content_of(f).get("type") in ("tool_call", "tool_call_approval"))
    assert content_of(frame)["arguments"] == {"text": "x"}
    expected = ("tool_call_approval", "ask") if asks else ("tool_call", "run")
    assert (content_of(frame)["type"], content_of(frame)["decision"]) == expected
    if asks:
        caller.post(approve(), frame["message"]["id"])
    caller.until_status("Idle")


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("/tool nothing", "there is no tool 'nothing'"),
        ("/tool add {", "no JSON object"),
        ('/tool add {"a": NaN, "b": 1}', "no JSON object"),
        ('/tool add {"a": 1e400, "b": 1}', "no JSON object"),
        (f'/tool add {{"a": {10**400}, "b": 1}}', "no JSON object"),
        ('/tool add {"a": "\\ud800", "b": 1}', "no JSON object"),
        ('/tool add {"a": "x"}', "a: "),
        ('/tool add {"a": 1, "c": 2}', "c: "),
        ("/tool refund {}", "order_id: "),
    ],
)
def test_calls_that_cannot_be_made_are_errors_for_the_model(caller: Caller, command: str, told: str) -> None:
    heard = caller.ask(command)
    assert told in answer_of(heard)
    assert "tool_call_approval" not in kinds(heard)


def test_a_batch_with_files_is_one_turn(caller: Caller) -> None:
    markdown = {"type_string": "text/markdown", "value": "*second*"}
    heard = caller.ask_all(["first", markdown, file("../../etc/passwd"), file("b.bin", "AAA=")])
    assert (heard[0]["type"], len(heard[0]["message_ids"])) == ("post_messages", 4)
    assert "../../etc/passwd (text/plain, 2 bytes), b.bin (text/plain, 2 bytes)" in answer_of(heard)
    _, second, kept, *_ = (message["content"] for message in caller.history())
    assert second["mime_type"] == "text/markdown"
    found = rest(caller.engine, "GET", f"/file/{kept['file_id']}")
    assert (found.content, found.headers["content-type"]) == (b"hi", "application/octet-stream")


def test_the_history_has_everything_in_order(caller: Caller) -> None:
    caller.ask("hello")
    asked = caller.ask_for_approval('/tool refund {"order_id": "7"}')
    caller.ask(approve(), asked["id"])
    history = caller.history()
    assert [(message["content"]["type"], "user_id" in message["sender"]) for message in history] == [
        ("data_type_message", True),
        ("data_type_message", False),
        ("data_type_message", True),
        ("tool_call_approval", False),
        ("response_message", True),
        ("tool_call", False),
        ("tool_result", False),
        ("data_type_message", False),
    ]
    assert history[3]["content"]["status"] == "approved"
    assert {message["session_id"] for message in history} == {caller.session_id}


def test_the_session_lives_on_without_clients(engine: LocalEngine) -> None:
    with Caller.on(engine) as first:
        asked = first.ask_for_approval('/tool refund {"order_id": "7"}')
        first.say(frames.disconnect_session(first.session_id))
        assert first.hear()["type"] == "disconnect_session"
    with Caller.on(engine, session_id=first.session_id) as second:
        assert second.joined["status"] == "AwaitingApproval"
        assert second.hear()["message"]["status"] == "AwaitingApproval"
        assert second.hear()["message"] == asked
        second.ask(approve(), asked["id"])
        assert answer_of(second.heard).endswith("refunded 1 for 7")


def test_two_clients_see_the_same_frames(engine: LocalEngine) -> None:
    with Caller.on(engine) as first, Caller.on(engine, session_id=first.session_id) as second:
        told = first.ask("hello")
        second.until_status("Idle")
        assert second.heard[-len(told) + 1 :] == told[1:]
        assert first.history() == second.history()


def test_a_terminated_session_is_gone_for_good(engine: LocalEngine) -> None:
    with Caller.on(engine) as first, Caller.on(engine, session_id=first.session_id) as second:
        first.say(frames.terminate_session(first.session_id))
        assert first.hear()["type"] == "terminate_session"
        assert second.hear()["type"] == "terminate_session"
        refused = second.post("hello")
        assert (refused["success"], refused["code"]) == (False, "session_terminated")
        second.say(frames.connect_session(first.session_id))
        again = second.hear()
        assert (again["type"], again["success"], again["code"]) == ("connect_session", False, "session_terminated")
        assert first.session_id in again["error"]


def test_terminating_ends_what_waits_for_a_person(tmp_path: Path) -> None:
    ran: list[str] = []

    @tool(approval="requires_approval")
    def leave(line: str) -> None:
        """Leave a line."""
        ran.append(line)

    path = str(tmp_path / "engine.db")
    with LocalEngine(tools=[leave], path=path) as engine, Caller.on(engine) as first:
        asked = first.ask_for_approval('/tool leave {"line": "x"}')
        with Caller(engine, first.session_id) as second:
            first.say(frames.terminate_session(first.session_id))
            second.until_type("terminate_session")
            assert second.post(approve(), asked["id"])["code"] == "session_terminated"
            second.say(frames.ping_session(first.session_id))
            assert second.hear()["type"] == "pong"
    with LocalEngine(tools=[leave], path=path) as engine, Caller.on(engine) as other:
        other.say(frames.connect_session(first.session_id))
        assert other.hear()["code"] == "session_terminated"
    assert ran == []


def test_requests_that_cannot_be_met_are_refused(engine: LocalEngine) -> None:
    functional = make_agent(engine, agent_type="functional")
    cases = [
        (frames.connect_session("nowhere"), "connect_session", "session_not_found"),
        (frames.post_message("nowhere", "x"), "post_message", "session_not_found"),
        (frames.terminate_session("nowhere"), "terminate_session", "session_not_found"),
        (frames.get_messages("nowhere"), "error", "session_not_found"),
        (frames.create_session("agent", "nobody"), "error", "object_not_found"),
        (frames.create_session("agent", functional), "error", "no_sessions"),
        (frames.create_session("robot", "x"), "error", "bad_request"),
        ({"type": "connect_session"}, "connect_session", "bad_request"),
        ({"type": "dance"}, "error", "bad_frame"),
        ({"no": "type"}, "error", "bad_frame"),
    ]
    with Caller.on(engine) as caller:
        for frame, answered, code in cases:
            caller.say(frame)
            answer = caller.hear()
            assert (answer["type"], answer["code"]) == (answered, code)
            assert "nowhere" in answer["error"] or frame.get("session_id") != "nowhere"
            assert answer.get("request_type", frame.get("type")) == frame.get("type")
        for garbage in ("", "{", "[1]", "null", '"x"'):
            caller.ws.send(garbage)
            assert caller.hear()["code"] == "bad_frame"
        caller.ask("still alive")


def test_what_a_newer_client_says_besides_is_ignored(engine: LocalEngine) -> None:
    more = {"capabilities": ["telepathy"], "version": 99, "request_id": {"deep": [1]}}
    with Caller.on(engine) as caller:
        for frame in (
            frames.connect_session(caller.session_id),
            frames.post_message(caller.session_id, "hello"),
            frames.post_messages(caller.session_id, ["one", "two"]),
            frames.get_messages(caller.session_id),
        ):
            caller.say({**frame, **more})
            assert caller.until(lambda answer, frame=frame: answer["type"] == frame["type"]).get("success", True)
        texts = [message["content"].get("value") for message in caller.history() if "user_id" in message["sender"]]
        assert texts == ["hello", "one", "two"]


def test_a_frame_that_the_engine_fails_at_is_told_and_the_connection_goes_on(caller: Caller) -> None:
    asked = caller.ask_for_approval('/tool refund {"order_id": "7"}')
    # As deep as the parser lets pass, and deeper than some versions of Python can write down.
    deep = {"type_string": "response_message", "value": {"tool_call_approval": {"deny": "no", "x": "DEEP"}}}
    text = json.dumps(frames.post_message(caller.session_id, deep, asked["id"]))
    caller.ws.send(text.replace('"DEEP"', "[" * 1010 + "]" * 1010))
    answer = caller.hear()
    if not answer["success"]:
        assert answer["code"] == "engine_failed"
        assert caller.post(approve(), asked["id"])["success"]
    caller.until_status("Idle")


def test_a_post_needs_a_joined_session(engine: LocalEngine) -> None:
    with Caller.on(engine) as caller:
        ws = open_socket(engine)
        ws.close()
        caller.say(frames.disconnect_session(caller.session_id))
        caller.hear()
        assert caller.post("x")["code"] == "not_joined"


@pytest.mark.parametrize(
    "content",
    [
        None,
        7,
        [],
        {},
        {"type_string": "text/plain"},
        {"type_string": "file"},
        {"type_string": "file", "value": {"raw_bytes": "?", "metadata": {"name": "x", "mime_type": "y"}}},
        {"type_string": "file", "value": {"raw_bytes": "aGk=", "metadata": {"name": "x"}}},
        {"type_string": "response_message", "value": {"tool_call_approval": {}}},
        {"type_string": "response_message", "value": {"tool_call_approval": {"confirm": {}, "deny": ""}}},
    ],
)
def test_contents_of_no_known_form_are_refused(caller: Caller, content: object) -> None:
    refused = caller.post(content)
    assert (refused["success"], refused["code"]) == (False, "bad_content")
    assert caller.history() == []


def test_a_deleted_agent_ends_the_turns_of_its_sessions(engine: LocalEngine) -> None:
    agent_id = make_agent(engine)
    with Caller.on(engine, agent_id=agent_id) as caller:
        assert rest(engine, "DELETE", f"/agent/{agent_id}").status_code == 200
        heard = caller.ask("anyone?")
        assert content_of(heard[-2])["error"] == "The agent of this session was deleted."


def test_what_was_said_on_a_lost_link_is_found_on_the_next(
    engine: LocalEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The engine waits for the old link only so long: what it waits for is the question here.
    monkeypatch.setattr(broadcast, "_SETTLE_SECONDS", 20.0)
    with Caller.on(engine) as caller:
        session_id = caller.session_id
    for number in range(50):
        with Caller.on(engine, session_id=session_id) as old:
            old.say(frames.post_message(session_id, f"number {number}"))
            # Half-closed at once, with nothing read: the engine may not have looked at it yet.
            old.ws.sock.shutdown(1)
            with Caller.on(engine, session_id=session_id) as new:
                posted = [m["content"]["value"] for m in new.history() if "user_id" in m["sender"]]
                assert posted[-1] == f"number {number}"
