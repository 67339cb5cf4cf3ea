"""Chatbots over REST."""

import pickle
from pathlib import Path
from typing import Any

import pytest

from sessionlib.chatbot import Chatbot
from sessionlib.client import Client
from sessionlib.errors import ApiError, ConfigurationError
from sessionlib.session import Session
from tests.support.http_server import KEY, Reply, Server
from tests.support.secrets import assert_keeps_secret


@pytest.mark.parametrize(
    ("where", "pipeline"),
    [
        ({"pipeline": {"object_id": "p"}}, "p"),
        ({"pipeline": {"id": "p"}}, "p"),
        ({"pipeline": "p"}, "p"),
        ({"object": {"object_id": "p"}}, "p"),
        ({"pipeline": {}, "object": {"id": "p"}}, "p"),
        ({}, ""),
    ],
)
def test_where_the_pipeline_is(where: dict[str, Any], pipeline: str) -> None:
    assert Chatbot.from_json({"_id": "c", **where}).pipeline_id == pipeline


def test_a_fetched_chatbot(server: Server, client: Client) -> None:
    whole = {"_id": {"$oid": "c1"}, "name": "Bot", "description": "d", "deploymentOptions": {"a": 1}, "deployed": True}
    server.answer(Reply(body={"object": whole}))
    bot = Chatbot.fetch(name="Bot", client=client)
    known = (bot.id, bot.name, bot.description, bot.deployment_options, bot.deployed)
    assert known == ("c1", "Bot", "d", {"a": 1}, True)
    assert bot.client is client
    assert repr(bot) == "Chatbot(id='c1', name='Bot')"
    assert "<txt>Bot</txt>" in str(bot)
    assert_keeps_secret(bot)
    assert pickle.loads(pickle.dumps(bot)).name == "Bot"


def test_a_new_chatbot_is_not_deployed(server: Server, client: Client) -> None:
    server.answer(Reply(body={"id": "c1"}))
    bot = Chatbot.new("Bot", "d", "p", input_node_name="in", output_node_name="out", client=client)
    assert (bot.id, bot.deployed, bot.input, bot.output) == ("c1", False, "in", "out")
    assert server.seen[0].json["pipeline"] == {"id": "p"}


def test_list_and_delete(server: Server, client: Client) -> None:
    server.answer(Reply(body={"object_ids": ["c1"]}), Reply(body={"objects": [{"id": "c2"}]}), Reply(body={"s": 1}))
    assert [bot.id for bot in Chatbot.list(client=client)] == ["c1"]
    found = Chatbot.list(1, 2, True, client=client)
    assert [bot.id for bot in found] == ["c2"]
    assert found[0].delete() == {"s": 1}
    assert (server.seen[2].method, server.seen[2].path) == ("DELETE", "/v1/chatbot/c2")


def test_a_run(server: Server, client: Client) -> None:
    server.answer(Reply(body={"conversation_id": "v", "output_message": "Hi", "status": "success"}))
    bot = Chatbot("c1", "", "", "", client=client)
    assert bot.run("Hello")["output_message"] == "Hi"
    bot.run("Again", conversation_id="v", filter={"filter_items": [], "selection_mode": 1})
    assert [seen.json for seen in server.seen] == [
        {"text": "Hello"},
        {"text": "Again", "conversation_id": "v", "filter": {"filter_items": [], "selection_mode": 1}},
    ]


def test_a_streamed_run(server: Server, client: Client) -> None:
    server.answer(Reply(body=b"data: He\n\ndata: llo\n"))
    bot = Chatbot("c1", "", "", "", client=client)
    assert list(bot.run("Hello", stream=True)) == [b"data: He", b"data: llo"]
    server.answer(Reply(400, {"error": "no pipeline"}))
    with pytest.raises(ApiError, match="no pipeline"):
        bot.run("Hello", stream=True)


BAD = {
    "an input that is none": (TypeError, lambda bot: bot.run(7)),
    "an unknown kind of input": (ValueError, lambda bot: bot.run("x", "video")),
    "a recording that is not there": (FileNotFoundError, lambda bot: bot.run("/no/such/file", "audio")),
    "a file that is not there": (FileNotFoundError, lambda bot: bot.upload_files(["/no/such/file"])),
    "one path": (TypeError, lambda bot: bot.upload_files("/no/such/file")),
    "no files": (ValueError, lambda bot: bot.upload_files([])),
    "no session": (ConfigurationError, lambda bot: bot.resume_session("")),
    "no name": (ConfigurationError, lambda bot: Chatbot.new("", "d", "p", client=bot.client)),
    "no pipeline": (ConfigurationError, lambda bot: Chatbot.new("n", "d", "", client=bot.client)),
    "no id": (ConfigurationError, lambda bot: Chatbot("", "", "", "", client=bot.client).delete()),
    "neither id nor name": (ValueError, lambda bot: Chatbot.fetch(client=bot.client)),
    "client and key": (TypeError, lambda bot: Chatbot.list(client=bot.client, api_key=KEY)),
    "no chatbot": (TypeError, lambda bot: Chatbot.from_json([])),
}


@pytest.mark.parametrize("bad", BAD)
def test_bad_input_makes_no_call(server: Server, client: Client, bad: str) -> None:
    error, act = BAD[bad]
    with pytest.raises(error):
        act(Chatbot("c1", "", "", "", client=client))
    assert server.connections == 0


def test_an_upload(server: Server, client: Client, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"content")
    Chatbot("c1", "", "", "", client=client).upload_files([path], "v", 2)
    assert server.seen[0].path == "/v1/chatbot/c1/upload"
    assert b'filename="a.txt"' in server.seen[0].raw


def test_sessions(client: Client) -> None:
    bot = Chatbot("c1", "", "", "", client=client)
    assert isinstance(bot.create_session(), Session)
    assert bot.create_session("s1").session_id == bot.resume_session("s1").session_id == "s1"
