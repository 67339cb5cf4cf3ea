from __future__ import annotations

from typing import Any

import pytest

from sessionlib.engine import LocalEngine
from sessionlib.protocol import frames
from tests.support.engine import Caller, make_agent, rest


def test_an_agent_is_kept_with_all_its_fields(engine: LocalEngine) -> None:
    tools = {"t1": {"id": "t1", "odd": [1]}}
    fields = {"tools": tools, "instructions": "Be kind", "memory_config": {"k": 1}, "own": "x"}
    agent_id = make_agent(engine, **fields)
    kept = rest(engine, "GET", "/agent", params={"id": agent_id}).json()["object"]
    assert {name: kept[name] for name in fields} == fields
    assert (kept["_id"], kept["agent_type"], kept["name"]) == (agent_id, "conversational", "Helper")
    assert [tool["name"] for tool in kept["local_tools"]] == ["add", "refund", "note"]
    assert kept["local_tools"][0] == {
        "name": "add",
        "description": "Add two numbers.",
        "approval_config": "auto_run",
        "schema": {
            "type": "object",
            "properties": {
                "a": {"type": "integer", "description": "The first."},
                "b": {"type": "integer", "description": "The second.", "default": 1},
            },
            "required": ["a"],
            "additionalProperties": False,
        },
    }


@pytest.mark.parametrize("kind", ["agent", "chatbot"])
def test_objects_are_fetched_listed_changed_and_deleted(engine: LocalEngine, kind: str) -> None:
    ids = [rest(engine, "POST", f"/{kind}", json={"name": f"n{n}"}).json()["id"] for n in range(5)]
    assert rest(engine, "GET", f"/{kind}", params={"name": "n3"}).json()["object"]["_id"] == ids[3]
    listed = rest(engine, "GET", f"/{kind}s", params={"limit": 2, "offset": 1, "verbose": "true"}).json()
    assert [item["_id"] for item in listed["objects"]] == listed["object_ids"] == ids[1:3]
    changed = rest(engine, "POST", f"/update/{kind}/{ids[0]}", json={"name": "other", "_id": "mine", "extra": 1})
    assert changed.status_code == 200
    shown = rest(engine, "GET", f"/{kind}", params={"id": ids[0]}).json()["object"]
    assert (shown["_id"], shown["name"], shown["extra"]) == (ids[0], "other", 1)
    assert rest(engine, "DELETE", f"/{kind}/{ids[0]}").status_code == 200
    gone = [("DELETE", f"/{kind}/{ids[0]}"), ("GET", f"/{kind}?id={ids[0]}"), ("POST", f"/update/{kind}/{ids[0]}")]
    for method, path in gone:
        again = rest(engine, method, path, json={"name": "x"})
        assert again.status_code == 404
        assert ids[0] in again.json()["error"] or kind in again.json()["error"]


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/agent", {}, 422),
        ("POST", "/agent", {"name": " "}, 422),
        ("POST", "/agent", {"name": "x", "agent_type": "other"}, 422),
        ("POST", "/agent", {"name": "x", "agent_type": None}, 422),
        ("POST", "/agent", {"name": "x", "llm_client_key": "k"}, 422),
        ("POST", "/agent", [], 400),
        ("GET", "/agent", None, 400),
        ("GET", "/agents?limit=x", None, 400),
        ("GET", "/agents?offset=-1", None, 400),
        ("GET", "/nothing", None, 404),
        ("PUT", "/agent", {}, 405),
        ("POST", "/agent/x/run", {}, 422),
        ("POST", "/chatbot/x/run", {"text": "hi"}, 404),
    ],
)
def test_bad_requests_are_refused_in_words(
    engine: LocalEngine, method: str, path: str, body: object, status: int
) -> None:
    answer = rest(engine, method, path, json=body)
    assert answer.status_code == status
    assert answer.json()["error"]


def test_a_body_has_to_be_json(engine: LocalEngine) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""):
        answer = rest(engine, "POST", "/agent", data=b'{"name": "x"}', headers={"Content-Type": kind})
        assert answer.status_code == 415
    answer = rest(engine, "POST", "/agent", data=b"{", headers={"Content-Type": "application/json; charset=utf-8"})
    assert answer.status_code == 400


def test_a_chatbot_runs_and_goes_on(engine: LocalEngine) -> None:
    bot, other = (rest(engine, "POST", "/chatbot", json={"name": name}).json()["id"] for name in ("bot", "other"))

    def run(chatbot: str = bot, **body: Any) -> Any:
        answer = rest(engine, "POST", f"/chatbot/{chatbot}/run", json=body)
        return answer.json() if answer.status_code == 200 else answer.status_code

    first = run(text="hello")
    assert first["status"] == "success"
    assert '"hello"' in first["output_message"]
    again = {"text": "more", "conversation_id": first["conversation_id"]}
    second = run(**again)
    assert (second["conversation_id"], second["output_message"]) == (first["conversation_id"], 'You said: "more"')
    assert run(**{**again, "text": '/tool refund {"order_id": "1"}'})["status"] == "action_required"
    assert run(other, **again) == run(**{**again, "conversation_id": "?"}) == 404
    assert run(**again, stream=True) == 422


def test_a_chatbot_has_sessions(engine: LocalEngine) -> None:
    bot = rest(engine, "POST", "/chatbot", json={"name": "bot"}).json()["id"]
    with Caller.on(engine) as caller:
        caller.say(frames.create_session("chatbot", bot))
        caller.session_id = caller.hear()["session_id"]
        caller.say(frames.connect_session(caller.session_id))
        caller.ask("hi")
        assert caller.history()[-1]["sender"] == {"object_id": bot, "object_type": "chatbot"}
