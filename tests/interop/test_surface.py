"""The official SDK's public names, signatures, defaults and enum members, read off it and compared with ours.

A release of the SDK that changes something fails here. What differs on purpose is listed with the reason, and an entry
that is not needed any more fails as well.
"""

from __future__ import annotations

import importlib
import inspect
import json
from enum import Enum
from typing import Any

import pytest

from tests.support.processes import run_script

# What a script imports from where. The SDK's internals, pipelines and knowledge bases are no part of sessions.
CLASSES = {
    "": "BumpLevel",
    "session": "Session UserSessionMessage ApprovalResponse SessionError SessionDisconnectedError",
    "events": "SessionEvent SessionMessage MessageSender SessionEventType SessionMessageStatus SessionMessageRole "
    "ParticipantStatus",
    "agent": "Agent AgentRunResult AgentType ConversationalAgentRunResult ConversationalRunActionRequiredError "
    "CustomTool IOConfig IoConfig LLMInfo LlmInfo McpConnectorTool McpServerTool MemoryConfig Tool ToolApprovalConfig "
    "ToolInput ToolInputType",
    "agent.object": "Agent AgentRunResult",
    "agent.tool": "Tool ToolInput",
    "agent.extra_tools": "CustomTool McpServerTool",
    "agent.agent_tools": "AgentTools",
    "chatbot": "Chatbot",
    "mcp_server": "McpServer",
    "request": "RequestClient AsyncRequestClient VectorshiftError VectorshiftApiError ApiStatusError BadRequestError "
    "AuthenticationError PermissionDeniedError NotFoundError UnprocessableEntityError RateLimitError "
    "InternalServerError ApiConnectionError ApiTimeoutError PipelineRunFailedError PollTimeoutError VectorShiftError "
    "VectorShiftAPIError APIStatusError APIConnectionError APITimeoutError",
}

OTHER_OBJECTS = (
    "Pipeline KnowledgeBase Table Analytics Transformation VariableSet Portal Workspace Skill Project File "
    "Integration ConnectionRequest AuthMode ConnectionStatus IntegrationStatus IntegrationType Str Audio "
    "Image IntegrationError IntegrationNotFound UnknownIntegrationType MissingCredentials ConnectionFailed "
    "ConnectionExpired ConnectionPending ConnectionTimeout"
)
STATUS_ERRORS = (
    "VectorshiftApiError ApiStatusError BadRequestError AuthenticationError PermissionDeniedError NotFoundError "
    "UnprocessableEntityError RateLimitError InternalServerError VectorShiftAPIError APIStatusError"
)
_NODES = "makes nodes of pipelines; a tool's inputs are complete once it is made"
ARGUED = {
    **dict.fromkeys(
        OTHER_OBJECTS.split(),
        "an object of the platform that has no sessions",
    ),
    "Agent._extra_fields": "extra_fields here, by keyword",
    "Agent.serialize_inputs": "private to the SDK in all but its name",
    "SessionEvent.data": "None makes an empty dict, as the SDK's factory does",
    "LlmInfo.extra_data": "unknown fields are taken all the same, and kept in extra",
    "MemoryConfig.extra_data": "unknown fields are taken all the same, and kept in extra",
    "IoConfig.extra_data": "unknown fields are taken all the same, and kept in extra",
    "LLMInfo.extra_data": "as of LlmInfo",
    "IOConfig.extra_data": "as of IoConfig",
    **{
        f"{tool}.{name}": _NODES
        for tool in ("Tool", "CustomTool", "McpServerTool", "McpConnectorTool")
        for name in ("add_dynamic_inputs", "get_available_inputs", "register_tool_type", "set_tool_task_name")
    },
    **{f"McpServer.{name}": "raises NotImplementedError in the SDK" for name in ("new", "anew", "fetch", "afetch")},
    "McpServer.alist_tools": "list_tools",
    "RequestClient.stream_request.files": "no call of the platform streams and takes files",
    "AsyncRequestClient.astream_request.files": "no call of the platform streams and takes files",
    "AsyncRequestClient.close": "there is no event loop to close with",
    **{
        f"{name}.raw_response": "errors are raised here, and made nowhere else: by keyword, after what is new"
        for name in STATUS_ERRORS.split()
    },
}

DESCRIBE = """
import enum, importlib, inspect, json

def parameters(thing):
    try:
        found = inspect.signature(thing).parameters
    except (TypeError, ValueError):
        return None
    return {
        name: [one.kind.name, None if one.default is one.empty else repr(one.default)]
        for name, one in found.items() if name not in ("self", "kwargs")
    }

def members(cls, of_all):
    names = [name for name in dir(cls) if not name.startswith("_") and name not in of_all]
    return {name: parameters(getattr(cls, name)) for name in names}

def describe(package, classes, of_all):
    described = {}
    for module, names in classes.items():
        loaded = importlib.import_module(f"{package}.{module}".rstrip("."))
        for name in names.split():
            cls = getattr(loaded, name)
            values = {one.name: one.value for one in cls} if issubclass(cls, enum.Enum) else None
            described[f"{module}:{name}"] = {
                "values": values,
                "arguments": None if values else parameters(cls),
                "members": {} if values else members(cls, of_all),
            }
    return described
"""

THEIRS = f"""
{DESCRIBE}
import pydantic, sys, vectorshift
of_all = {{*dir(pydantic.BaseModel), *dir(Exception)}}
described = describe("vectorshift", json.loads(sys.argv[1]), of_all)
print(json.dumps([sorted(vectorshift.__all__), described]))
"""

OURS = f"""
{DESCRIBE}
import sys, sessionlib
described = describe("sessionlib", json.loads(sys.argv[1]), set())
names = json.loads(sys.argv[2])
print(json.dumps([[name for name in names if hasattr(sessionlib, name)], described]))
"""


@pytest.fixture(scope="module")
def surfaces() -> tuple[Any, Any]:
    theirs = run_script(THEIRS, json.dumps(CLASSES), timeout=280).check()
    names, their_classes = json.loads(theirs.stdout)
    ours = run_script(OURS, json.dumps(CLASSES), json.dumps(names), timeout=280).check()
    here, our_classes = json.loads(ours.stdout)
    return (names, their_classes), (here, our_classes)


def test_what_the_sdk_has_is_here_or_argued(surfaces: tuple[Any, Any]) -> None:
    (names, theirs), (here, ours) = surfaces
    differences = {name for name in names if name not in here}
    for place, their in theirs.items():
        our, name = ours[place], place.partition(":")[2]
        assert our["values"] == their["values"], place
        differences |= {f"{name}.{one}" for one in unlike(their["arguments"], our["arguments"])}
        for member, their_parameters in their["members"].items():
            if member not in our["members"] and member not in (our["arguments"] or {}):
                differences.add(f"{name}.{member}")
            elif their_parameters is not None and our["members"].get(member) is not None:
                changed = unlike(their_parameters, our["members"][member])
                differences |= {f"{name}.{member}.{one}" for one in changed}
    # What a model reads about a tool is written by us.
    differences = {one for one in differences if not one.endswith(".tool_description")}
    assert differences - ARGUED.keys() == set(), "differs, and nobody has argued why"
    assert ARGUED.keys() - differences == set(), "does not differ any more"


def unlike(theirs: dict[str, Any] | None, ours: dict[str, Any] | None) -> list[str]:
    """The parameters that a call for the SDK could not give as it does; ours may have more behind them."""
    theirs, ours = theirs or {}, ours or {}
    changed = []
    for name, (kind, default) in theirs.items():
        our_kind, our_default = ours.get(name, (None, None))
        wider = our_kind == "POSITIONAL_OR_KEYWORD" and kind == "KEYWORD_ONLY"
        # A parameter that may be left out here as well as given does no harm to a call that gives it.
        same_default = our_default == default or (default is None and our_default is not None)
        if not (our_kind == kind or wider) or not same_default:
            changed.append(name)
    if not changed:
        positional = [name for name, (kind, _) in theirs.items() if kind == "POSITIONAL_OR_KEYWORD"]
        assert [name for name, _ in list(ours.items())[: len(positional)]] == positional, (theirs, ours)
    return changed


def test_the_sdks_functions_are_no_coroutines_here() -> None:
    for module, names in CLASSES.items():
        loaded = importlib.import_module(f"sessionlib.{module}".rstrip("."))
        for name in names.split():
            one = getattr(loaded, name)
            if not issubclass(one, Enum):
                found = [member for _, member in inspect.getmembers(one) if inspect.iscoroutinefunction(member)]
                assert not found
