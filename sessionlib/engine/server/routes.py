"""The HTTP calls: agents, chatbots and files, as a table of routes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sessionlib._util.timing import Deadline
from sessionlib.engine.errors import RefusedError, StorageError
from sessionlib.engine.server.http import HttpError, Request, Response
from sessionlib.engine.sessions.registry import SessionRegistry
from sessionlib.engine.store import Store
from sessionlib.engine.store.records import Json
from sessionlib.engine.tools import LocalTool
from sessionlib.protocol import codec

__all__ = ["Rest"]

_MAX_LISTED = 1000
_RUN_SECONDS = 300.0
_AGENT_TYPES = ("conversational", "functional")
# What the engine answers with, and never takes from a client.
_OWN_FIELDS = ("_id", "id", "local_tools", "mainBranch", "branch_id", "deploy", "bump")

Handler = Callable[["RouteCall"], Response]


@dataclass(frozen=True)
class RouteCall:
    """One call of a route.

    Attributes:
        query: The query.
        body: The JSON object of the body; empty without one.
        kind: "agent" or "chatbot".
        id: The id in the path, or "".
    """

    query: Mapping[str, str]
    body: Json
    kind: str
    id: str


class Rest:
    """Answers HTTP requests whose sender has been checked.

    Args:
        store: What is kept.
        hub: The sessions, for chatbot runs.
        tools: The tools that every agent has.
    """

    def __init__(self, store: Store, hub: SessionRegistry, tools: Iterable[LocalTool[..., Any]]) -> None:
        self._store = store
        self._hub = hub
        self._tools = [tool.to_wire() for tool in tools]
        # Ids are one segment of a path here: `unquote` has been applied before, so a slash in one is no id.
        self._routes: list[tuple[str, re.Pattern[str], Handler]] = [
            ("GET", re.compile(r"/v1/(agent|chatbot)"), self._fetch),
            ("GET", re.compile(r"/v1/(agent|chatbot)s"), self._list),
            ("POST", re.compile(r"/v1/(agent|chatbot)"), self._create),
            ("POST", re.compile(r"/v1/update/(agent|chatbot)/([^/]+)"), self._update),
            ("DELETE", re.compile(r"/v1/(agent|chatbot)/([^/]+)"), self._delete),
            ("POST", re.compile(r"/v1/(agent|chatbot)/([^/]+)/run"), self._run),
            ("GET", re.compile(r"/v1/(file)/([^/]+)"), self._file),
        ]

    def find(self, request: Request) -> tuple[Handler, RouteCall]:
        """Returns what answers a request, before its body is read.

        Raises:
            HttpError: There is no such route (404), not with this method (405), or the body would not be
                JSON (415).
        """
        allowed = []
        for method, pattern, handler in self._routes:
            match = pattern.fullmatch(request.path)
            if match and method == request.method:
                # A page elsewhere can send text/plain without asking; JSON it cannot.
                kind = (request.header("content-type") or "").partition(";")[0].strip().lower()
                if method == "POST" and kind != "application/json":
                    raise HttpError(415, "the body has to be application/json")
                return handler, RouteCall(request.query, {}, match[1], match[2] if pattern.groups > 1 else "")
            if match:
                allowed.append(method)
        if allowed:
            raise HttpError(405, f"{request.method} is not possible here", {"Allow": ", ".join(allowed)})
        raise HttpError(404, "there is no such address")

    def answer(self, handler: Handler, call: RouteCall, body: bytes) -> Response:
        """Answers a request.

        Raises:
            HttpError: It is answered with an error.
        """
        try:
            return handler(RouteCall(call.query, _object(body), call.kind, call.id))
        except StorageError as error:
            # By what they mean to an operator: locked for now, no room (RFC 4918, 11.5), or damaged.
            status = 503 if error.code == "storage_busy" else 507 if error.code == "storage_full" else 500
            raise HttpError(status, error.message) from error
        except RefusedError as error:
            raise HttpError(_STATUSES.get(error.code, 422), error.message) from error

    # ---- agents and chatbots -----------------------------------------------------------------

    def _fetch(self, call: RouteCall) -> Response:
        if "id" not in call.query and "name" not in call.query:
            raise HttpError(400, "id or name is missing")
        found = self._store.objects.find(call.kind, call.query.get("id"), call.query.get("name"))
        if found is None:
            details = call.query.get("id") or call.query.get("name") or ""
            raise HttpError(404, f"there is no {call.kind} {details[:80]}")
        return Response.json({"object": self._shown(*found)})

    def _list(self, call: RouteCall) -> Response:
        limit, offset = _number(call.query, "limit", 50), _number(call.query, "offset", 0)
        found = self._store.objects.list_all(call.kind, min(limit, _MAX_LISTED), offset)
        shown = [self._shown(*item) for item in found]
        # Both forms that the hosted engine has, so that `verbose` need not be known here.
        return Response.json({"objects": shown, "object_ids": [item[0] for item in found]})

    def _create(self, call: RouteCall) -> Response:
        body = _checked(call.kind, {**_DEFAULTS[call.kind], **call.body})
        return Response.json({"id": self._store.objects.add(call.kind, body["name"], body)})

    def _update(self, call: RouteCall) -> Response:
        found = self._known(call)
        # What an update leaves out stays as it is.
        body = _checked(call.kind, {**found, **call.body})
        self._store.objects.update(call.kind, call.id, body["name"], body)
        return Response.json({"status": "success", "id": call.id})

    def _delete(self, call: RouteCall) -> Response:
        # Asked first, for a 404 with the id in it.
        self._known(call)
        self._store.objects.delete(call.kind, call.id)
        return Response.json({"status": "success", "id": call.id})

    def _known(self, call: RouteCall) -> Json:
        found = self._store.objects.find(call.kind, call.id)
        if found is None:
            raise HttpError(404, f"there is no {call.kind} {call.id[:80]}")
        return found[1]

    def _shown(self, object_id: str, body: Json) -> Json:
        shown = {**body, "_id": object_id, "mainBranch": object_id}
        return {**shown, "local_tools": self._tools} if "agent_type" in body else shown

    # ---- the rest ----------------------------------------------------------------------------

    def _run(self, call: RouteCall) -> Response:
        if call.kind != "chatbot":
            raise HttpError(422, "the embedded engine runs agents in sessions only: connect to one instead")
        self._known(call)
        text, conversation = call.body.get("text"), call.body.get("conversation_id")
        if not isinstance(text, str) or call.body.get("stream"):
            raise HttpError(422, "a chatbot run takes a text, and is not streamed; use a session for that")
        # A run without a conversation begins one, and the answer names it.
        session = self._hub.find(conversation or self._hub.create("chatbot", call.id))
        # A session of another chatbot is none of this one's, though the id exists.
        if (session.record.object_type, session.record.object_id) != ("chatbot", call.id):
            raise HttpError(404, "this chatbot has no such conversation")
        turn = self._hub.post(session, _Nobody(), "post_message", [text])
        # 504: the turn goes on, and its answer will be in the conversation.
        if not session.wait_for(turn.id, _RUN_SECONDS):
            raise HttpError(504, f"the turn of conversation {session.id} is not over yet")
        status, output = self._hub.outcome(session, turn)
        return Response.json({"conversation_id": session.id, "output_message": output, "status": status})

    def _file(self, call: RouteCall) -> Response:
        found = self._store.sessions.find_file(call.id)
        if found is None:
            raise HttpError(404, "there is no such file")
        # Whatever it is, a browser must not take it for a page of this engine.
        headers = {"Content-Disposition": "attachment", "Content-Security-Policy": "sandbox"}
        return Response(200, found[2], "application/octet-stream", headers)


_STATUSES = {"object_not_found": 404, "session_not_found": 404, "session_terminated": 409, "too_many_turns": 429}
_DEFAULTS: dict[str, Json] = {
    # What a new object is given where it leaves it out, so that a fetch has every field.
    "agent": {
        "llm_client_key": {},
        "agent_type": "conversational",
        "tools": {},
        "instructions": "",
        "inputs": {},
        "outputs": {},
    },
    "chatbot": {"description": "", "pipeline": {}},
}


class _Nobody:
    """Receives nothing: a chatbot run reads its answer from the history."""

    def put(self, data: bytes) -> None:
        """Drops a frame."""

    def flush(self) -> None:
        """Does nothing."""

    def settle(self, deadline: Deadline) -> None:
        """Has sent nothing."""


def _object(body: bytes) -> Json:
    if not body.strip():
        return {}
    try:
        value = codec.loads(body)
    except ValueError:
        raise HttpError(400, "the body is not JSON") from None
    if value is not None and not isinstance(value, dict):
        raise HttpError(400, "the body is not a JSON object")
    return value or {}


def _checked(kind: str, fields: Json) -> Json:
    body = {name: value for name, value in fields.items() if name not in _OWN_FIELDS}
    if not isinstance(body.get("name"), str) or not body["name"].strip():
        raise HttpError(422, f"a {kind} needs a name")
    if kind == "agent":
        agent_type = body["agent_type"].lower() if isinstance(body["agent_type"], str) else None
        if agent_type not in _AGENT_TYPES:
            raise HttpError(422, f"agent_type is one of {', '.join(_AGENT_TYPES)}")
        if not isinstance(body["llm_client_key"], dict):
            raise HttpError(422, "llm_client_key is an object with provider and model_id")
        body["agent_type"] = agent_type
    return body


def _number(query: Mapping[str, str], name: str, default: int) -> int:
    details = query.get(name, str(default))
    if not re.fullmatch(r"\d{1,9}", details):
        raise HttpError(400, f"{name} is a whole number")
    return int(details)
