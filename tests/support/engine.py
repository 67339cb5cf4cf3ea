"""A bare client of the protocol, and engines as processes."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

import requests
import websocket

from sessionlib.protocol import frames

ROOT = Path(__file__).parents[2]
KEY = "test-key-sentinel-5f1c"
Frame = dict[str, Any]


class Address(Protocol):
    @property
    def base_url(self) -> str: ...
    @property
    def ws_url(self) -> str: ...
    @property
    def api_key(self) -> str: ...


def rest(engine: Address, method: str, path: str, **options: Any) -> requests.Response:
    headers = {"Authorization": f"Bearer {engine.api_key}", **options.pop("headers", {})}
    with requests.Session() as session:
        session.trust_env = False
        return session.request(method, engine.base_url + path, headers=headers, timeout=120, **options)


def make_agent(engine: Address, **fields: Any) -> str:
    body = {"name": "Helper", "llm_client_key": {"provider": "p", "model_id": "m"}, **fields}
    answer = rest(engine, "POST", "/agent", json=body)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["id"])


def open_socket(engine: Address, **options: Any) -> websocket.WebSocket:
    header = [f"Authorization: Bearer {engine.api_key}"]
    # In Python it checks a megabyte for half a second, and then decodes it all the same.
    unchecked = {"skip_utf8_validation": True}
    options = {"header": header, "suppress_origin": True, "timeout": 120, "redirect_limit": 0, **unchecked, **options}
    return websocket.create_connection(engine.ws_url + "/ws/session", **options)


class Caller:
    """One client of one session."""

    def __init__(self, engine: Address, session_id: str | None = None, agent_id: str | None = None) -> None:
        self.engine = engine
        self.heard: list[Frame] = []
        self.ws = open_socket(engine)
        try:
            self.session_id = session_id or self._create(agent_id or make_agent(engine))
            self.say(frames.connect_session(self.session_id))
            self.joined = self.until_type("connect_session")
        except BaseException:
            self.close()
            raise

    def _create(self, agent_id: str) -> str:
        self.say(frames.create_session("agent", agent_id))
        return str(self.hear()["session_id"])

    @classmethod
    def on(cls, engine: Address, **options: Any) -> Caller:
        return cls(engine, **options)

    def __enter__(self) -> Caller:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        self.ws.shutdown()

    def say(self, frame: Frame) -> None:
        self.ws.send(json.dumps(frame))

    def hear(self) -> Frame:
        data = self.ws.recv()
        if not data:
            raise ConnectionError("the engine has closed the connection")
        frame: Frame = json.loads(data)
        self.heard.append(frame)
        return frame

    def until(self, wanted: Callable[[Frame], bool]) -> Frame:
        while not wanted(frame := self.hear()):
            pass
        return frame

    def until_type(self, kind: str) -> Frame:
        return self.until(lambda frame: frame["type"] == kind)

    def until_content(self, kind: str) -> Frame:
        return self.until(lambda frame: content_of(frame).get("type") == kind)

    def until_status(self, status: str) -> Frame:
        return self.until(lambda frame: status_of(frame) == status)

    def post(self, content: Any, parent: str | None = None) -> Frame:
        self.say(frames.post_message(self.session_id, content, parent))
        return self.until(lambda frame: frame["type"] in ("post_message", "error"))

    def ask(self, content: Any, parent: str | None = None) -> list[Frame]:
        """Posts, and returns all frames up to the turn's end."""
        return self._until_idle(frames.post_message(self.session_id, content, parent))

    def ask_all(self, contents: list[Any]) -> list[Frame]:
        """Posts a batch, and returns all frames up to the turn's end."""
        return self._until_idle(frames.post_messages(self.session_id, contents))

    def _until_idle(self, frame: Frame) -> list[Frame]:
        before = len(self.heard)
        self.say(frame)
        self.until_status("Idle")
        return self.heard[before:]

    def ask_for_approval(self, content: Any) -> Frame:
        """Posts, and gives the message that asks for approval."""
        self.say(frames.post_message(self.session_id, content))
        asked = self.until_content("tool_call_approval")
        self.until_status("AwaitingApproval")
        message: Frame = asked["message"]
        return message

    def history(self) -> list[Frame]:
        self.say(frames.get_messages(self.session_id))
        messages: list[Frame] = self.until_type("get_messages")["messages"]
        return messages

    def ping(self) -> list[Frame]:
        """Returns what came before the answer: the engine is done with all that was sent before."""
        before = len(self.heard)
        self.say(frames.ping_session(self.session_id))
        self.until_type("pong")
        return self.heard[before:-1]

    def terminate(self) -> None:
        self.say(frames.terminate_session(self.session_id))
        self.until_type("terminate_session")


def approve(**confirm: Any) -> Frame:
    return {"type_string": "response_message", "value": {"tool_call_approval": {"confirm": confirm}}}


def deny(reason: str) -> Frame:
    return {"type_string": "response_message", "value": {"tool_call_approval": {"deny": reason}}}


def file(name: str, data: str = "aGk=", mime_type: str = "text/plain") -> Frame:
    return {"type_string": "file", "value": {"raw_bytes": data, "metadata": {"name": name, "mime_type": mime_type}}}


def content_of(frame: Frame) -> Frame:
    content: Frame = frame["message"]["content"] if frame["type"] == "message_notification" else {}
    return content


def contents(source: Iterable[Frame], kind: str) -> list[Frame]:
    """The contents of one kind in messages, or in frames."""
    found = [item["content"] if "content" in item else content_of(item) for item in source]
    return [content for content in found if content.get("type") == kind]


def status_of(frame: Frame) -> str | None:
    return frame["message"]["status"] if frame["type"] == "participant_status" else None


def answer_of(heard: Iterable[Frame]) -> str:
    """The text of the last whole message."""
    texts = [content_of(frame) for frame in heard]
    complete = [content["value"] for content in texts if content.get("status") == "Complete"]
    assert complete, texts
    return str(complete[-1])


def kinds(heard: Iterable[Frame]) -> list[str]:
    """What was heard, deltas of one message taken together."""
    told: list[str] = []
    for frame in heard:
        kind = status_of(frame) or content_of(frame).get("type") or frame["type"]
        if kind != "message_delta" or told[-1:] != ["message_delta"]:
            told.append(kind)
    return told


def raw(engine: Address, data: bytes) -> bytes:
    """Sends bytes, and gives all that comes back until the engine closes."""
    url = urlsplit(engine.base_url)
    with socket.create_connection((url.hostname or "", url.port or 0), timeout=60) as sock:
        with contextlib.suppress(OSError):  # refused before all of it was sent
            sock.sendall(data)
        received = b""
        with contextlib.suppress(ConnectionResetError):
            while piece := sock.recv(65536):
                received += piece
    return received


class Process:
    """An engine in a process of its own."""

    def __init__(
        self, directory: Path, *arguments: str, script: str | None = None, env: dict[str, str] | None = None
    ) -> None:
        command = [sys.executable, "-W", "error", "-m", "sessionlib.engine"]
        if script is not None:
            command = [sys.executable, "-W", "error", "-c", script]
        inherited = {
            name: value for name, value in os.environ.items() if not name.startswith(("SESSIONLIB_", "VECTOR"))
        }
        environment = {
            **inherited,
            "PYTHONPATH": str(ROOT),
            "SESSIONLIB_API_KEY": KEY,
            "XDG_CONFIG_HOME": str(directory),
        }
        self.popen = subprocess.Popen(
            [*command, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**environment, **(env or {})},
            text=True,
            cwd=directory,
        )
        self.base_url = ""
        self.api_key = KEY

    @property
    def ws_url(self) -> str:
        return self.base_url.replace("http", "ws", 1)

    def ready(self) -> Process:
        """Waits until it serves."""
        assert self.popen.stdout is not None
        while not self.base_url:
            line = self.popen.stdout.readline()
            assert line, f"the engine ended: {self.popen.wait()}: {self.errors()}"
            if " on http://" in line:
                self.base_url = line.split(" on ")[1].split(" ")[0]
        return self

    def errors(self) -> str:
        assert self.popen.stderr is not None
        return self.popen.stderr.read()

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.popen.send_signal(number)
        return self.popen.wait(120)

    def kill(self) -> None:
        if self.popen.poll() is None:
            self.popen.kill()
            self.popen.wait()
        for stream in (self.popen.stdout, self.popen.stderr):
            if stream is not None:
                stream.close()


def eventually(check: Callable[[], Any], seconds: float = 60.0) -> Any:
    """Waits until a check gives something true, and gives that."""
    end = time.monotonic() + seconds
    while not (found := check()):
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)
    return found


def readable(sock: socket.socket, seconds: float) -> bool:
    return bool(select.select([sock], [], [], seconds)[0])
