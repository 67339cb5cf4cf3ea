"""The key shows nowhere: not in what objects say of themselves, not in what failed, not in logs."""

import http.client
import pickle
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sessionlib._util.timing import Deadline
from sessionlib.agent import Agent, AgentType, LlmInfo
from sessionlib.chatbot import Chatbot
from sessionlib.client import Client
from sessionlib.errors import SessionlibError
from sessionlib.rest.calls import make_call
from tests.support.http_server import KEY, Handler, Reply, Server, raw
from tests.support.secrets import LogWatch, assert_keeps_secret


def echo(handler: Handler) -> None:
    """What a debugging server may do: say the request's headers back."""
    Reply(500, {"error": dict(handler.headers), "message": str(handler.headers)}, dict(handler.headers))(handler)


TESTS = Path(__file__).parents[1]

ANSWERS: dict[str, Callable[[Handler], None]] = {
    "a status": Reply(403, {"error": "no"}),
    "an echo": echo,
    "a redirect": Reply(302, headers={"Location": f"https://elsewhere.example/?key={KEY}"}),
    "a cut": raw(),
    "no JSON": Reply(body=KEY.encode()),
    "packed": Reply(body=KEY.encode(), headers={"Content-Encoding": "gzip"}),
    "late": raw(b"", pause=0.6),
}


@pytest.mark.parametrize("said", ANSWERS)
def test_no_error_shows_the_key(server: Server, said: str) -> None:
    server.answer(ANSWERS[said])
    with Client(KEY, server.url, timeout=0.4, max_retries=0) as client, pytest.raises(SessionlibError) as caught:
        client.request("POST", "/agent", json={})
    assert_keeps_secret(caught.value)
    # Tools that report errors show the variables of every frame.
    told = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    ours = [frame for frame in _frames(told) if not Path(frame.filename).is_relative_to(TESTS)]
    assert ours
    assert not any(KEY in str(frame.locals) for frame in ours)


def _frames(told: Any) -> list[traceback.FrameSummary]:
    chained = [one for one in (told.__cause__, told.__context__) if one is not None]
    return [*told.stack, *(frame for one in chained for frame in _frames(one))]


def test_no_object_shows_the_key(server: Server, client: Client) -> None:
    server.answer(Reply(body={"object": {"_id": "a", "agent_type": "conversational"}}))
    agent = Agent.fetch(id="a", client=client)
    bot = Chatbot("c", "", "", "", client=client)
    answer = client._try(make_call("GET", "/agent"), Deadline(5))
    server.answer(Reply(body=b"one\ntwo\n"))
    lines = client.stream("GET", "/x")
    for value in (client, client.endpoint, agent, bot, agent.create_session(), answer, lines):
        assert_keeps_secret(value)
    assert list(lines) == [b"one", b"two"]
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(lines)


def test_the_key_of_a_provider_shows_in_no_repr_or_log(server: Server, client: Client, log_watch: LogWatch) -> None:
    llm = LlmInfo("p", "m", api_key="theirs-5f2e")
    server.answer(Reply(body={"id": "a"}), Reply(body={"object": {"_id": "a", "llm_client_key": llm.to_dict()}}))
    agent = Agent.new("n", llm, agent_type=AgentType.CONVERSATIONAL, client=client)
    assert agent.llm_info == llm
    for text in (repr(agent), str(agent), repr(llm), str(llm)):
        assert "theirs-5f2e" not in text
    log_watch.check("theirs-5f2e")


def test_a_log_says_what_was_called(server: Server, client: Client, log_watch: LogWatch) -> None:
    client.request("GET", "/agent", query={"name": "somebody"})
    ours = [line for line in log_watch.lines if "sessionlib.rest" in line]
    assert ours[0].endswith("> GET /agent")
    assert "< GET /agent 200 after" in ours[1]


def test_headers_are_printed_by_no_default() -> None:
    # http.client prints whole requests, keys included, when this is set; it is nobody's business but the user's.
    assert http.client.HTTPConnection.debuglevel == 0
