"""The parts of an agent that are plain values, and what running one returns.

Names, order and defaults of the fields are those of the official SDK (``vectorshift`` 0.1.15).
"""

# Annotations are real objects here, because dataclasses-json makes marshmallow schemas only from those.

import copy
from dataclasses import dataclass, field, replace
from typing import Any, Generic, Optional, cast

from sessionlib._util.models import NOT_ON_THE_WIRE, JsonModel, OpenModel, StrEnum, accept_unknown
from sessionlib._util.typed import T
from sessionlib.events import SessionEvent

__all__ = [
    "AgentRunResult",
    "AgentType",
    "BumpLevel",
    "ConversationalAgentRunResult",
    "IOConfig",
    "IoConfig",
    "LLMInfo",
    "LlmInfo",
    "McpServer",
    "MemoryConfig",
]


class AgentType(StrEnum):
    """What kind of agent it is; only conversational ones have sessions."""

    FUNCTIONAL = "functional"
    CONVERSATIONAL = "conversational"


class BumpLevel(StrEnum):
    """Which part of its version a save raises."""

    PATCH = "patch"
    MINOR = "minor"
    MAJOR = "major"


@accept_unknown
@dataclass
class LlmInfo(OpenModel):
    """The language model of an agent; ``llm_client_key`` on the wire.

    Attributes:
        provider: Who serves the model, such as "openai".
        model_id: The model, such as "gpt-4o".
        api_key: A key for the provider, if not the engine's own; never shown.
        fine_tuned_model_id: A fine-tuned model to use instead.
        endpoint: The provider's endpoint, where it has several.
        deployment_id: The deployment, where the provider has them.
        stream_response: Whether the model streams.
        json_output: Whether the model answers in JSON.
        show_source: Whether answers name their sources.
        show_confidence: Whether answers carry a confidence.
        enable_tools: Whether the model may call tools.
        base_url: The base URL of a provider that you run yourself.
        max_retries: How often the engine asks the model again.
        retry_interval_ms: Milliseconds between these tries.
        extra: Fields of the server that are not known here.
    """

    provider: str
    model_id: str
    api_key: Optional[str] = field(default=None, repr=False)
    fine_tuned_model_id: Optional[str] = None
    endpoint: Optional[str] = None
    deployment_id: Optional[str] = None
    stream_response: bool = False
    json_output: bool = True
    show_source: bool = False
    show_confidence: bool = False
    enable_tools: bool = True
    base_url: Optional[str] = None
    max_retries: Optional[int] = None
    retry_interval_ms: Optional[int] = None
    extra: dict[str, Any] = field(default_factory=dict, repr=False)

    # The default copies go through `__getstate__`, which leaves the key out.
    def __copy__(self) -> "LlmInfo":
        return replace(self)

    def __deepcopy__(self, memo: dict[int, Any]) -> "LlmInfo":
        return replace(self, extra=copy.deepcopy(self.extra, memo))

    def __getstate__(self) -> dict[str, Any]:
        # A pickle may be stored or sent: a provider's key stays here.
        return {**self.__dict__, "api_key": None}


@accept_unknown
@dataclass
class MemoryConfig(OpenModel):
    """What a conversational agent remembers.

    Attributes:
        enable_session_memory: Whether it remembers within a session.
        enable_global_memory: Whether it remembers across sessions.
        extra: Fields of the server that are not known here.
    """

    enable_session_memory: bool = True
    enable_global_memory: bool = False
    extra: dict[str, Any] = field(default_factory=dict, repr=False)


@accept_unknown
@dataclass
class IoConfig(OpenModel):
    """An input or output of a functional agent.

    Attributes:
        io_type: Its type, such as "string", "file", "audio" or "image".
        description: What it is for.
        server_id: Its id on the server, such as "input_65f0..."; set by a fetch or a save. On the
            wire it is the key of the other fields, so `to_dict` leaves it out.
        extra: Fields of the server that are not known here.
    """

    io_type: str
    description: Optional[str] = ""
    server_id: Optional[str] = field(default=None, metadata=NOT_ON_THE_WIRE)
    extra: dict[str, Any] = field(default_factory=dict, repr=False)


# The SDK has both spellings.
LLMInfo = LlmInfo
IOConfig = IoConfig

# What dataclasses-json's `config(exclude=...)` returns; calling it would load that library with the package.
_NOT_IN_JSON = {"dataclasses_json": {"exclude": lambda value: True}}

_NO_TEXTS: tuple[str, ...] = ()


@dataclass
class AgentRunResult(JsonModel):
    """What a run of a functional agent gave.

    Attributes:
        outputs: The outputs, by the names that the agent's ``outputs`` have.
        run_id: The run.
        status: How it ended; "success" where the server does not report it.
        error: What went wrong, or None.
    """

    outputs: dict[str, Any]
    run_id: str
    status: str
    error: Optional[str] = None


@dataclass
class ConversationalAgentRunResult(JsonModel, Generic[T]):
    """What a one-shot run of a conversational agent gave.

    Attributes:
        final_message: The answer's text.
        session_id: The session it was given in.
        status: "complete" or "error".
        error: What went wrong, or None.
        events: The events of the turn, without the deltas unless they were asked for.
        duration: Seconds from the post to the end of the turn; None where there was no turn.
        first_delta: Seconds from the post to the first delta; None when there was none.
        index: With `Agent.map`, the number of its prompt, from 0; not part of the JSON form.
        prompt: With `Agent.map`, its prompt; not part of the JSON form.
    """

    final_message: str
    session_id: str
    status: str
    error: Optional[str] = None
    events: list[SessionEvent] = field(default_factory=list)
    # Not arguments: the official SDK's has none for them.
    duration: Optional[float] = field(default=None, init=False, compare=False)
    first_delta: Optional[float] = field(default=None, init=False, compare=False)
    # A prompt may be bytes or a path, which JSON does not have.
    index: Optional[int] = field(default=None, init=False, compare=False, repr=False, metadata=_NOT_IN_JSON)
    prompt: Optional[Any] = field(default=None, init=False, compare=False, repr=False, metadata=_NOT_IN_JSON)
    # Not a field: it follows from the message, and not every type has a JSON form.
    _value = None
    # The answer before, when it did not fit the type.
    _earlier = _NO_TEXTS

    @property
    def value(self) -> T:
        """The answer as the type that was asked for with ``into``; None when there was none."""
        return cast("T", self._value)


@dataclass
class McpServer(JsonModel):
    """An MCP server that the platform knows; servers are set up in its web app.

    Attributes:
        id: Its id.
        name: Its name.
        url: Where it is.
        description: What it is for.
        raw: What the platform sent about it; not part of `to_dict`.
    """

    id: str
    name: str = ""
    url: str = ""
    description: str = ""
    raw: Optional[dict[str, Any]] = field(default=None, repr=False)

    def to_dict(self, encode_json: bool = False) -> dict[str, Any]:
        """Returns the fields but ``raw``; ``encode_json`` as for `JsonModel.to_dict`."""
        fields = super().to_dict(encode_json)
        # What the server sent, of which the other fields are read: it would stand there twice.
        del fields["raw"]
        return fields

    def list_tools(self) -> dict[str, Any]:
        """Lists the server's tools, in the form in which an agent has them.

        Raises:
            ApiError: The platform refused.
            ApiConnectionError: There was no answer.
        """
        # Models are values; the HTTP client is loaded by the one method that needs it.
        from sessionlib.client import default_client

        answer = default_client().request("GET", f"/mcp-server/{self.id}/tools")
        tools: dict[str, Any] = answer.get("tool_config") or {}
        return tools
