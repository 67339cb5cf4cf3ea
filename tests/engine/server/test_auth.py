"""Who gets in: keys, Origins and Hosts, on every route, before any upgrade."""

from __future__ import annotations

import json
import logging
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from sessionlib.engine import EngineError, Limits, LocalEngine, tool
from sessionlib.engine.serve import keep_key
from sessionlib.engine.server.auth import Authenticator
from sessionlib.engine.server.http import HttpError, Request
from tests.support.engine import KEY, Process, make_agent, raw, rest

_RAN: list[str] = []


@tool
def touch() -> str:
    """Leave a trace."""
    _RAN.append("ran")
    return "ran"


@pytest.fixture
def engine() -> Iterator[LocalEngine]:
    with LocalEngine(tools=[touch], api_key=KEY, limits=Limits(auth_failures=10_000)) as running:
        yield running


def _routes(engine: LocalEngine) -> list[tuple[str, str]]:
    agent = make_agent(engine)
    return [
        ("GET", "/v1/ws/session"),
        ("GET", f"/v1/agent?id={agent}"),
        ("GET", "/v1/agents"),
        ("POST", "/v1/agent"),
        ("POST", f"/v1/update/agent/{agent}"),
        ("DELETE", f"/v1/agent/{agent}"),
        ("GET", "/v1/chatbots"),
        ("POST", "/v1/chatbot"),
        ("POST", "/v1/chatbot/x/run"),
        ("GET", "/v1/file/x"),
        ("OPTIONS", "/v1/agent"),
        ("GET", "/"),
    ]


def _request(method: str, path: str, *headers: str) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", *headers, "Content-Type: application/json", "Content-Length: 15"]
    if path.startswith("/v1/ws"):
        lines += ["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"]
        lines += ["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="]
        return ("\r\n".join(line for line in lines if "Length" not in line) + "\r\n\r\n").encode("latin-1")
    return ("\r\n".join(lines) + '\r\n\r\n{"name": "bad"}').encode("latin-1")


def _status(answer: bytes) -> int:
    assert answer.startswith(b"HTTP/1.1 "), answer[:80]
    return int(answer[9:12])


def _refused(engine: LocalEngine, statuses: set[int], *headers: str) -> None:
    for method, path in _routes(engine):
        answer = raw(engine, _request(method, path, *headers))
        assert _status(answer) in statuses, (method, path, headers, answer[:200])
        head, _, body = answer.partition(b"\r\n\r\n")
        assert b"access-control" not in head.lower()
        assert KEY.encode() not in answer
        assert json.loads(body)["error"]
    assert [item["name"] for item in rest(engine, "GET", "/agents").json()["objects"]].count("bad") == 0
    assert _RAN == []


@pytest.mark.parametrize(
    "credentials",
    [
        *(None, "Bearer wrong", "Bearer ", "", f"Bearer {KEY[:-1]}", f"Bearer {KEY}x", f"bearer{KEY}", f"Basic {KEY}"),
        *(KEY, "Bearer schl\xfcssel"),
    ],
)
def test_no_key_no_entry(engine: LocalEngine, credentials: str | None) -> None:
    headers = [] if credentials is None else [f"Authorization: {credentials}"]
    _refused(engine, {401}, f"Host: 127.0.0.1:{engine.port}", *headers)


def test_a_key_counts_only_in_its_header(engine: LocalEngine) -> None:
    for path in (
        f"/v1/agents?api_key={KEY}",
        f"/v1/agents?token={KEY}",
        f"/v1/ws/session?authorization=Bearer%20{KEY}",
    ):
        headers = (f"Host: 127.0.0.1:{engine.port}", f"Cookie: Authorization=Bearer {KEY}", f"X-Api-Key: {KEY}")
        assert _status(raw(engine, _request("GET", path, *headers))) == 401
    twice = [f"Authorization: Bearer {KEY}", "Authorization: Bearer x"]
    assert _status(raw(engine, _request("GET", "/v1/agents", f"Host: 127.0.0.1:{engine.port}", *twice))) == 401


def test_another_engines_key_does_not_open_this_one() -> None:
    with LocalEngine() as before:
        port, old = before.port, before.api_key
    with LocalEngine(port=port) as after:
        assert after.api_key != old
        assert len(after.api_key) >= 32
        _refused(after, {401, 429}, f"Host: 127.0.0.1:{port}", f"Authorization: Bearer {old}")


def test_many_wrong_keys_are_answered_with_429_and_the_right_one_still_opens() -> None:
    with LocalEngine(api_key=KEY) as engine:
        wrong = _request("GET", "/v1/agents", f"Host: 127.0.0.1:{engine.port}", "Authorization: Bearer x")
        statuses = [_status(raw(engine, wrong)) for _ in range(25)]
        assert statuses == [401] * 20 + [429] * 5
        assert rest(engine, "GET", "/agents").status_code == 200


@pytest.mark.parametrize(
    "origin",
    [
        *("http://evil.example", "null", "file://", "chrome-extension://abcdefgh", ""),
        *("http://127.0.0.1.evil.example", "http://127.0.0.1:{port}@evil.example", "http://127.0.0.1:1"),
        *("https://127.0.0.1:{port}", "HTTP://LOCALHOST:{port}", "http://localhost.:{port}", "http://127.0.0.1:{port}"),
        "http://[::ffff:127.0.0.1]:{port}",
    ],
)
def test_pages_from_elsewhere_stay_out_even_with_the_key(engine: LocalEngine, origin: str) -> None:
    named = origin.format(port=engine.port)
    host, key = f"Host: 127.0.0.1:{engine.port}", f"Authorization: Bearer {KEY}"
    _refused(engine, {403}, host, key, f"Origin: {named}")
    _refused(engine, {403}, host, key, "Origin: http://ours.example", f"Origin: {named}")


def test_a_listed_origin_gets_in_and_no_other() -> None:
    with LocalEngine(api_key=KEY, allowed_origins=["http://localhost:8888"]) as engine:
        for origin, status in (("http://localhost:8888", 200), ("http://localhost:8889", 403)):
            answer = rest(engine, "GET", "/agents", headers={"Origin": origin})
            assert answer.status_code == status
            assert not [name for name in answer.headers if name.lower().startswith("access-control")]


@pytest.mark.parametrize(
    "host",
    [
        *("evil.example", "evil.example:{port}", "127.0.0.1.evil.example:{port}", "evil.example@127.0.0.1:{port}"),
        *("127.0.0.1", "127.0.0.1:1", "0.0.0.0:{port}", "2130706433:{port}", "localhost.:{port}"),
        *("[::ffff:127.0.0.1]:{port}", "127.0.0.1:{port}, evil.example"),
    ],
)
def test_other_hosts_are_refused(engine: LocalEngine, host: str) -> None:
    _refused(engine, {403}, f"Host: {host.format(port=engine.port)}", f"Authorization: Bearer {KEY}")


def test_a_missing_doubled_or_absolute_host_is_malformed(engine: LocalEngine) -> None:
    host, key = f"Host: 127.0.0.1:{engine.port}", f"Authorization: Bearer {KEY}"
    _refused(engine, {400}, key)
    _refused(engine, {400}, key, host, host)
    absolute = _request("GET", f"http://evil.example:{engine.port}/v1/agents", host, key)
    assert _status(raw(engine, absolute)) == 400


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "LOCALHOST", "[::1]"])
def test_this_machines_names_are_welcome(engine: LocalEngine, name: str) -> None:
    headers = (f"Host: {name}:{engine.port}", f"Authorization: Bearer {KEY}")
    assert _status(raw(engine, _request("GET", "/v1/agents", *headers))) == 200


def test_it_listens_on_this_machine_only(engine: LocalEngine) -> None:
    sockets = psutil.Process().net_connections()
    assert [tuple(each.laddr) for each in sockets if each.status == psutil.CONN_LISTEN] == [("127.0.0.1", engine.port)]


def test_other_machines_need_a_key_and_a_flag() -> None:
    for options in ({}, {"api_key": KEY}, {"allow_remote": True}):
        with pytest.raises(ValueError, match="other machines"):
            LocalEngine(host="0.0.0.0", **options)
    with LocalEngine(host="0.0.0.0", api_key=KEY, allow_remote=True, allowed_hosts=["box.example"]) as engine:
        assert engine.base_url.startswith("http://127.0.0.1:")
        key = f"Authorization: Bearer {KEY}"
        for host, status in (("box.example", 200), ("192.0.2.7", 200), ("evil.example", 403), ("0.0.0.0", 403)):
            answer = raw(engine, _request("GET", "/v1/agents", f"Host: {host}:{engine.port}", key))
            assert _status(answer) == status


def test_the_key_shows_nowhere(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with LocalEngine(tools=[touch], api_key=KEY) as engine:
        rest(engine, "GET", "/agents")
        rest(engine, "GET", "/agents", headers={"Authorization": f"Bearer {KEY}x"})
        raw(engine, _request("GET", "/v1/agents", f"Authorization: Bearer {KEY}"))
        shown = [repr(engine), engine.base_url, engine.ws_url, *(thread.name for thread in threading.enumerate())]
    assert KEY not in caplog.text + "".join(shown)


def test_a_kept_key_is_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "config" / "engine.key"
    made, kept = keep_key(path), keep_key(path)
    assert (made.new, kept.new, kept.key) == (True, False, made.key)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert made.key not in repr(made)
    path.chmod(0o644)
    with pytest.raises(EngineError, match="read by other users") as refused:
        keep_key(path)
    assert made.key not in str(refused.value)
    path.chmod(0o600)
    path.write_text("two words\n")
    with pytest.raises(EngineError, match="holds no key"):
        keep_key(path)


def test_serving_without_a_key_keeps_one_and_does_not_print_it_to_a_pipe(
    process: Callable[..., Process], tmp_path: Path
) -> None:
    running = process(env={"SESSIONLIB_API_KEY": ""})
    assert running.popen.stdout is not None
    told = running.popen.stdout.readline() + running.popen.stdout.readline()
    assert running.stop() == 0
    path = tmp_path / "sessionlib" / "engine.key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    told += running.popen.stdout.read() + running.errors()
    assert str(path) in told
    assert path.read_text().strip() not in told


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:80", "[::1]", "[::1]:80", "LocalHost"])
def test_the_port_of_http_itself_need_not_be_named(host: str) -> None:
    """Clients leave it out (RFC 9110, 4.2.3), so that an engine on port 80 would refuse every one of them."""
    headers = (("host", host), ("authorization", f"Bearer {KEY}"))
    Authenticator(KEY, "127.0.0.1", 80).check(Request("GET", "/", {}, headers, b"", b""))
    if "80" not in host:
        with pytest.raises(HttpError, match="this Host is not allowed"):
            Authenticator(KEY, "127.0.0.1", 8080).check(Request("GET", "/", {}, headers, b"", b""))
