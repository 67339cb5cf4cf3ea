"""The client against a real server."""

import contextlib
import copy
import pickle
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from sessionlib.client import Client, RequestClient, default_client, given_client
from sessionlib.errors import (
    ApiError,
    ApiTimeoutError,
    ConfigurationError,
    InternalServerError,
)
from tests.support.http_server import KEY, Reply, Server
from tests.support.waiting import SLACK, Stalls

STATUSES = [300, 304, 400, 401, 403, 404, 405, 407, 408, 409, 413, 418, 422, 425, 429, 500, 501, 502, 503, 504, 599]


def test_a_call(server: Server, client: Client) -> None:
    server.answer(Reply(body={"id": "é"}))
    assert client.request("POST", "/agent", query={"a": "b c", "yes": True}, json={"name": "né"}) == {"id": "é"}
    seen = server.seen[0]
    assert (seen.method, seen.path, seen.query) == ("POST", "/v1/agent", {"a": ["b c"], "yes": ["true"]})
    assert seen.json == {"name": "né"}
    assert seen.headers["authorization"] == f"Bearer {KEY}"
    assert seen.headers["accept-encoding"] == "identity"
    assert seen.headers["content-type"] == "application/json"
    assert seen.headers["user-agent"].startswith("sessionlib/")


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_every_status_is_an_error_of_its_kind(server: Server, status: int, method: str) -> None:
    server.answer(Reply(status, {} if status == 304 else {"error": "said so"}))
    with Client(KEY, server.url, max_retries=0) as client, pytest.raises(ApiError) as caught:
        client.request(method, "/agent")
    assert caught.value.status_code == status
    assert len(server.seen) == 1


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_every_success_is_one(server: Server, client: Client, status: int) -> None:
    server.answer(Reply(status, b"" if status == 204 else b'{"ok": true}'))
    assert client.request("DELETE", "/agent/a") == ({} if status == 204 else {"ok": True})


def test_connections_are_kept(server: Server, client: Client) -> None:
    for status in (200, 404, 200, 500):
        server.answer(Reply(status))
        with pytest.raises(ApiError) if status != 200 else contextlib.nullcontext():
            client.request("POST", "/agent", json={})
    assert server.connections == 1


def test_a_closed_client_opens_new_connections(server: Server, client: Client) -> None:
    for _ in range(2):
        client.request("GET", "/agent")
        client.close()
        client.close()
    assert server.connections == 2


def test_threads_share_a_client(server: Server, client: Client) -> None:
    server.answer(lambda handler: Reply(body={"path": handler.path})(handler))
    paths = [f"/agent/{number}" for number in range(200)]
    with ThreadPoolExecutor(16) as pool:
        told = list(pool.map(lambda path: client.request("GET", path)["path"], paths))
    assert told == [f"/v1{path}" for path in paths]
    assert server.connections <= 16


def test_cookies_are_not_kept(server: Server, client: Client) -> None:
    server.answer(Reply(headers={"Set-Cookie": "session=1; Path=/"}))
    client.request("GET", "/agent")
    client.request("GET", "/agent")
    assert "cookie" not in server.seen[1].headers


# ---- repeating ---------------------------------------------------------------------------------


def test_a_get_is_made_again_and_a_post_is_not(server: Server, client: Client) -> None:
    server.answer(Reply(503), Reply(body={"ok": True}))
    assert client.request("GET", "/agent") == {"ok": True}
    server.answer(Reply(503), Reply(body={"ok": True}))
    with pytest.raises(ApiError):
        client.request("POST", "/agent", json={})
    assert [seen.method for seen in server.seen] == ["GET", "GET", "POST"]


def test_a_post_is_made_again_when_the_server_names_the_time(server: Server, client: Client) -> None:
    server.answer(Reply(429, headers={"Retry-After": "1"}), Reply(body={"ok": True}))
    with Stalls() as stalls:
        assert client.request("POST", "/agent") == {"ok": True}
    first, second = server.seen
    # A fifth may come on top of what was asked for, and a loaded machine.
    assert 1.0 <= second.at - first.at <= 1.2 + SLACK + stalls.seconds


def test_retries_end(server: Server) -> None:
    server.answer(Reply(500, {"error": "always"}))
    with Client(KEY, server.url, max_retries=1) as client, pytest.raises(InternalServerError, match="always"):
        client.request("GET", "/agent")
    assert len(server.seen) == 2


def test_the_key_is_asked_anew_for_each_try(server: Server) -> None:
    keys = iter(["first", "second"])
    server.answer(Reply(503), Reply())
    with Client(lambda: next(keys), server.url) as client:
        client.request("GET", "/agent")
    assert [seen.headers["authorization"] for seen in server.seen] == ["Bearer first", "Bearer second"]


# ---- bad input ---------------------------------------------------------------------------------


def test_a_call_does_not_wait_for_a_key_longer_than_it_may(server: Server) -> None:
    release, asking = threading.Event(), []

    def key() -> str:
        asking.append(threading.current_thread())
        assert release.wait(60)
        return KEY

    with Client(key, server.url) as client:
        try:
            with pytest.raises(
                ApiTimeoutError, match=r"GET /agent: the api_key callable did not return within 0\.05 s"
            ):
                client.request("GET", "/agent", timeout=0.05)
            assert server.connections == 0
        finally:
            release.set()
        asking[0].join(30)
        assert client.request("GET", "/agent") is not None
        assert len(asking) == 2


@pytest.mark.parametrize("error", [OSError, StopIteration, SystemExit])
def test_what_a_key_callable_raises_is_raised_by_the_call(server: Server, error: type[BaseException]) -> None:
    def key() -> str:
        raise error("the vault is down")

    with Client(key, server.url) as client, pytest.raises(error, match="the vault is down"):
        client.request("GET", "/agent")


def test_no_key(server: Server) -> None:
    with Client(base_url=server.url) as client, pytest.raises(ConfigurationError, match="SESSIONLIB_API_KEY"):
        client.request("GET", "/agent")
    assert server.connections == 0


@pytest.mark.parametrize(
    ("option", "values"),
    [
        ("proxy", ["", "host:1", "socks5://h:1", "http://", "http://h\r\n:1", "http://u:pw\n@h:1"]),
        ("timeout", [0, -1, float("nan")]),
        ("max_retries", [-1, 1.5, "2"]),
    ],
)
def test_an_option_that_cannot_be_one(server: Server, client: Client, option: str, values: list[Any]) -> None:
    for value in values:
        with pytest.raises(ConfigurationError) as caught:
            Client(KEY, "https://example.com", **{option: value})
        assert "pw" not in str(caught.value)
        if option == "timeout":
            with pytest.raises(ConfigurationError):
                client.request("GET", "/agent", timeout=value)
    assert server.connections == 0


def test_a_timeout_beyond_what_a_socket_can_wait(server: Server) -> None:
    with Client(KEY, server.url, timeout=float("inf")) as client:
        assert client.request("GET", "/agent", timeout=1e30) == {}


def test_a_client_or_a_key() -> None:
    client = Client(KEY)
    assert given_client(None, None) is None
    assert given_client(client, None) is client
    with pytest.raises(TypeError, match="not both"):
        given_client(client, KEY)
    with pytest.raises(TypeError, match="not str"):
        given_client("key", None)  # type: ignore[arg-type]


# ---- where a client comes from, and where it goes ----------------------------------------------


def test_the_default_client_follows_the_environment(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    hosted = default_client()
    assert hosted.host == "api.vectorshift.ai"
    monkeypatch.setenv("VECTORSHIFT_BASE_URL", server.url)
    monkeypatch.setenv("VECTORSHIFT_API_KEY", KEY)
    assert default_client() is default_client() is not hosted
    assert default_client().request("GET", "/agent") == {}


def test_a_pickle_leaves_the_key_behind(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Client(KEY, server.url, timeout=3, proxy="http://user:pa55@127.0.0.1:9", max_retries=0)
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        pickled = pickle.dumps((made, made.endpoint), protocol)
        assert KEY.encode() not in pickled
        assert b"pa55" not in pickled
    client, endpoint = pickle.loads(pickled)
    assert (client.endpoint.base_url, client.timeout, client.max_retries) == (server.url, 3, 0)
    assert endpoint == client.endpoint
    with pytest.raises(ConfigurationError, match="No API key"):
        client.request("GET", "/agent")
    monkeypatch.setenv("SESSIONLIB_API_KEY", "another-key")
    with client:
        client.request("GET", "/agent")
    assert server.seen[0].headers["authorization"] == "Bearer another-key"


def test_a_copy_is_the_client_itself(client: Client) -> None:
    assert copy.copy(client) is client
    assert copy.deepcopy({"client": client})["client"] is client
    assert copy.deepcopy(client.endpoint) == client.endpoint


def test_a_repr_shows_the_host_alone(server: Server, client: Client) -> None:
    assert repr(client) == f"<Client {server.origin.removeprefix('http://')}>"


def test_a_forked_child_leaves_the_parents_connections_alone(server: Server) -> None:
    program = """if True:
        import os, sys
        from sessionlib.client import Client
        client = Client("k", sys.argv[1])
        client.request("GET", "/agent")
        child = os.fork()
        if not child:
            client.request("GET", "/child")
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        client.request("GET", "/agent")
    """
    subprocess.run([sys.executable, "-c", program, server.url], check=True, timeout=60, cwd=Path(__file__).parents[1])
    assert [seen.path for seen in server.seen] == ["/v1/agent", "/v1/child", "/v1/agent"]
    assert server.connections == 2


def test_importing_loads_no_http_library() -> None:
    program = "import sys, sessionlib.client, sessionlib.agent, sessionlib.chatbot; print('requests' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "False\n"


# ---- calls in the form of the official SDK -------------------------------------------------


def test_calls_of_the_sdks_request_client(server: Server, tmp_path: Path) -> None:
    from sessionlib.request import async_request_client, request_client

    calls = RequestClient()
    calls.api_key, calls.base_url = KEY, server.url
    server.answer(Reply(body={"id": 1}))
    assert calls.request("GET", "/agents", {"limit": 5, "verbose": True}) == {"id": 1}
    assert server.seen[0].query == {"limit": ["5"], "verbose": ["true"]}
    assert calls.arequest("POST", "/agent", json={"name": "x"}) == {"id": 1}
    assert server.seen[1].json == {"name": "x"}
    calls.request("POST", "/update", form={"a": "b"}, api_key="another")
    assert server.seen[2].raw == b"a=b"
    assert server.seen[2].headers["authorization"] == "Bearer another"
    path = tmp_path / "report.csv"
    path.write_text("1,2\n")
    with path.open("rb") as file:
        calls.request("POST", "/upload", json={"index": 0}, files=[("files", file), ("files", ("b.txt", b"x"))])
    assert b'filename="report.csv"' in server.seen[3].raw
    assert b'name="index"' in server.seen[3].raw
    server.answer(Reply(body=b"one\ntwo\n"))
    assert list(calls.stream_request("GET", "/x")) == [b"one", b"two"]
    assert async_request_client is request_client


def test_the_body_of_a_refusal_is_an_attribute_and_no_part_of_the_message(server: Server, client: Client) -> None:
    server.answer(Reply(400, {"error": "no", "key": KEY, "more": "details"}))
    with pytest.raises(ApiError) as caught:
        client.request("POST", "/agent")
    assert caught.value.raw_response == '{"error": "no", "key": "***", "more": "details"}'
    assert "details" not in str(caught.value)
    assert pickle.loads(pickle.dumps(caught.value)).raw_response == caught.value.raw_response
