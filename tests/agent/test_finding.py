"""An agent is found by its id, else by its name."""

from __future__ import annotations

import pytest

from sessionlib import AuthenticationError, Client
from sessionlib.agent.agent import by_name_or_id
from tests.support.http_server import Reply, Server

AGENT = Reply(body={"object": {"_id": "a1", "name": "Support", "agent_type": "conversational"}})
NONE = Reply(404, {"error": "there is none"})


@pytest.mark.parametrize(("answers", "asked"), [((AGENT,), ["id"]), ((NONE, AGENT), ["id", "name"])])
def test_an_id_comes_before_a_name(
    server: Server, client: Client, answers: tuple[Reply, ...], asked: list[str]
) -> None:
    server.answer(*answers)
    found = by_name_or_id(client, "Support")
    assert found is not None
    assert found.id == "a1"
    assert [next(iter(seen.query)) for seen in server.seen] == asked


def test_there_may_be_none(server: Server, client: Client) -> None:
    server.answer(NONE)
    assert by_name_or_id(client, "Support") is None


def test_a_refused_key_is_not_taken_for_none(server: Server, client: Client) -> None:
    server.answer(Reply(401, {"error": "no"}))
    with pytest.raises(AuthenticationError):
        by_name_or_id(client, "Support")
