"""`Agent`: fetch, create, change, save and run agents, and open sessions with them."""

from __future__ import annotations

import builtins
import contextlib
from collections.abc import Mapping
from typing import Any

from sessionlib.agent.models import (
    AgentRunResult,
    AgentType,
    BumpLevel,
    ConversationalAgentRunResult,
    IOConfig,
    IoConfig,
    LLMInfo,
    LlmInfo,
    MemoryConfig,
)
from sessionlib.agent.run import Runnable
from sessionlib.agent.serialization import draft, read_agent
from sessionlib.agent.tool import Tool
from sessionlib.agent.tools import ToolAdder
from sessionlib.client import Client, default_client, given_client
from sessionlib.config import ApiKey, check_id
from sessionlib.errors import (
    BadRequestError,
    ConversationalRunActionRequiredError,
    NotFoundError,
    UnprocessableEntityError,
)
from sessionlib.rest.resource import field_of, listed

__all__ = [
    "Agent",
    "AgentRunResult",
    "AgentType",
    "BumpLevel",
    "ConversationalAgentRunResult",
    "ConversationalRunActionRequiredError",
    "IOConfig",
    "IoConfig",
    "LLMInfo",
    "LlmInfo",
    "MemoryConfig",
    "by_name_or_id",
]


class Agent(Runnable):
    """An agent on an engine. Changing its attributes changes nothing there until `save`.

    Names, order and defaults are those of the official SDK (``vectorshift`` 0.1.15); parameters
    after the star are ours.

    Args:
        id: Its id.
        name: Its name.
        llm_info: Its language model.
        branch_id: The branch that a save goes to.
        tools: Its tools.
        instructions: Its instructions, before anything else.
        inputs: Inputs by name, for functional agents.
        outputs: Outputs by name, for functional agents.
        agent_type: Its kind; functional by default.
        memory_config: What it remembers, for conversational agents.
        enable_subagents: Whether it may start agents of its own; None leaves it to the engine.
        editable_object_types: Kinds of object that it may edit; None or empty: none.
        client: Where it is; by default what the environment sets.
        extra_fields: Fields of the server that are not known here; a save sends them back.

    Attributes:
        extra_fields: As given.
    """

    _kind = "agent"
    # The platform's number for agents in references between objects, from the SDK as well.
    _number = 25

    def __init__(
        self,
        id: str,
        name: str | None = None,
        llm_info: LlmInfo | None = None,
        branch_id: str | None = None,
        tools: builtins.list[Tool] | None = None,
        instructions: str | None = None,
        inputs: dict[str, IoConfig] | None = None,
        outputs: dict[str, IoConfig] | None = None,
        agent_type: AgentType | str | None = None,
        memory_config: MemoryConfig | None = None,
        enable_subagents: bool | None = None,
        editable_object_types: builtins.list[str] | None = None,
        *,
        client: Client | None = None,
        extra_fields: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(id, name, client)
        self.branch_id = branch_id
        self.llm_info = llm_info
        # The list itself, as the SDK keeps it: who appends to it later changes the agent.
        self.tools = tools if tools is not None else []
        self.instructions = instructions or ""
        self.inputs = inputs if inputs is not None else {}
        self.outputs = outputs if outputs is not None else {}
        # Functional, as in the SDK: ported code counts on it.
        self.agent_type = AgentType(agent_type or AgentType.FUNCTIONAL)
        self.memory_config = memory_config
        self.enable_subagents = enable_subagents
        self.editable_object_types = editable_object_types
        self.extra_fields = dict(extra_fields or {})

    def __repr__(self) -> str:
        return f"Agent(id={self.id!r}, name={self.name!r}, type={str(self.agent_type)!r})"

    def _repr_html_(self) -> str:
        from sessionlib.display.tables import html_table  # for notebooks alone

        tools = [tool.name for tool in self.tools]
        local = self.extra_fields.get("local_tools")
        # What the embedded engine runs beside the agent's own tools.
        tools += [str(one.get("name")) for one in local if isinstance(one, dict)] if isinstance(local, list) else []
        rows = [
            ("id", self.id),
            ("type", self.agent_type),
            ("model", f"{self.llm_info.provider}/{self.llm_info.model_id}" if self.llm_info else ""),
            ("instructions", self.instructions),
            ("tools", ", ".join(tools)),
        ]
        return html_table([row for row in rows if row[1]], caption=f"Agent {self.name or ''}".rstrip())

    # ---- on the engine -------------------------------------------------------------------------

    @classmethod
    def new(
        cls,
        name: str,
        llm_info: LlmInfo,
        tools: builtins.list[Tool] | None = None,
        instructions: str | None = None,
        inputs: dict[str, IoConfig] | None = None,
        outputs: dict[str, IoConfig] | None = None,
        agent_type: AgentType | str | None = None,
        type: AgentType | str | None = None,
        memory_config: MemoryConfig | None = None,
        enable_subagents: bool | None = None,
        editable_object_types: builtins.list[str] | None = None,
        *,
        client: Client | None = None,
        api_key: ApiKey | None = None,
    ) -> Agent:
        """Makes an agent on the engine, and fetches it.

        Args:
            name: Its name.
            llm_info: Its language model.
            tools: Its tools.
            instructions: Its instructions, before anything else. In a functional agent's instructions, tool
                descriptions and descriptions of dynamic inputs, ``[[inputs.NAME]]``, ``[[outputs.NAME]]`` and
                ``[[tools.NAME]]`` refer to what it has.
            inputs: Inputs by name, for functional agents.
            outputs: Outputs by name, for functional agents.
            agent_type: Its kind; functional by default.
            type: Another name for ``agent_type``.
            memory_config: What it remembers, for conversational agents.
            enable_subagents: Whether it may start agents of its own.
            editable_object_types: Kinds of object that it may edit, such as "Pipeline".
            client: Where; by default what the environment sets.
            api_key: A key to use instead of the environment's.

        Returns:
            The agent.

        Raises:
            ApiError: The server refused.
            ApiConnectionError: There was no answer.
            TypeError: ``llm_info`` is no `LlmInfo`, or client and key are both given.
            ValueError: The name is empty, tools share a name, or a placeholder names nothing.
        """
        bound = given_client(client, api_key)
        if not isinstance(llm_info, LlmInfo):
            raise TypeError(f"llm_info takes an LlmInfo, not {llm_info.__class__.__name__}")
        # Made here first, so that what cannot be sent is found before anything is on the engine.
        given = cls(
            "",
            check_id("name", name),
            llm_info,
            None,
            tools,
            instructions,
            inputs,
            outputs,
            agent_type or type,
            memory_config,
            enable_subagents,
            editable_object_types,
            client=bound,
        )
        made = given.client.request("POST", "/agent", json=draft(given).body)
        # What the answer holds is not the whole agent: its branch comes with a fetch.
        agent = cls.fetch(id=field_of(made, "id", "POST /agent"), client=bound)
        agent.agent_type = given.agent_type
        # What was sent stands, as a fetch need not return these.
        for setting in ("memory_config", "enable_subagents", "editable_object_types"):
            if getattr(given, setting) is not None:
                setattr(agent, setting, getattr(given, setting))
        return agent

    @classmethod
    def list(
        cls,
        limit: int = 50,
        offset: int = 0,
        include_shared: bool = False,
        verbose: bool = False,
        *,
        client: Client | None = None,
        api_key: ApiKey | None = None,
    ) -> builtins.list[Agent]:
        """Lists agents.

        Args:
            limit: How many at most.
            offset: How many to leave out before them.
            include_shared: Whether agents that other users share with the caller are listed too.
            verbose: Whether to ask for whole agents.
            client: Where; by default what the environment sets.
            api_key: A key to use instead of the environment's.

        Returns:
            The agents; where the server sends ids alone, agents that have nothing else (`fetch` them before use).

        Raises:
            ApiError: The server refused.
            ApiConnectionError: There was no answer.
            TypeError: Client and key are both given.
        """
        bound = given_client(client, api_key)
        # Flags that are not set are left out, as the official SDK does.
        query = {"limit": limit, "offset": offset, "include_shared": include_shared or None, "verbose": verbose or None}
        details = (bound or default_client()).request("GET", "/agents", query=query)
        whole, ids = listed(details, "GET /agents")
        return [cls.from_json(one, client=bound) for one in whole] + [cls(one, client=bound) for one in ids]

    @classmethod
    def from_json(cls, data: Mapping[str, Any], *, client: Client | None = None) -> Agent:
        """Makes an agent from the server's form, without asking the server.

        Args:
            data: The form in which a fetch has it.
            client: Where it is; by default what the environment sets.

        Raises:
            TypeError: ``data`` is not a mapping.
        """
        return cls(**read_agent(data), client=client)

    def save(
        self, deploy: bool = False, bump: BumpLevel | str | None = None, description: str | None = None
    ) -> dict[str, Any]:
        """Saves the agent as it is here, with the fields of the server that are not known here.

        Args:
            deploy: Whether the saved state goes live.
            bump: Which part of the version it raises: "major", "minor" or "patch".
            description: What is new in this version.

        Returns:
            The server's answer.

        Raises:
            ApiError: The server refused; nothing is changed here then.
            ApiConnectionError: There was no answer; whether it was saved is unknown.
            ValueError: The agent has no ``llm_info``, tools share a name, a placeholder names nothing, or ``bump`` is
                none of the three.
        """
        path = f"/update{self._path()}"
        drafted = draft(self)
        # Unknown fields first: what is known here takes precedence over a name that a newer server has for something
        # else.
        body = {**self.extra_fields, **drafted.body, "branch_id": self.branch_id}
        if self.agent_type == AgentType.CONVERSATIONAL:
            # Without it, the server would drop what the agent has.
            body.setdefault("memory_config", MemoryConfig().to_dict())
        optional = {"deploy": deploy or None, "bump": BumpLevel(bump) if bump else None, "description": description}
        body.update((name, value) for name, value in optional.items() if value is not None)
        details: dict[str, Any] = self.client.request("POST", path, json=body)
        # Only now that the server has it; see `Draft`.
        drafted.commit(self)
        return details

    # The official SDK's names for its asynchronous twins, whose ``await`` goes when a script is ported.
    anew = new
    alist = list
    arun = Runnable.run
    asave = save

    # ---- here ----------------------------------------------------------------------------------

    def to_dict(self) -> dict[str, Any]:
        """Returns a reference to the agent, in the form in which other objects hold one."""
        reference = {"object_id": self.id, "object_type": self._number}
        return {**reference, "branch_id": self.branch_id} if self.branch_id else reference

    @property
    def add_tool(self) -> ToolAdder:
        """Adds a tool: ``agent.add_tool(tool)``, or one of the platform's as ``agent.add_tool.exa_ai(...)``.

        Either way the agent itself is returned. Arguments of the second form are those of the class that
        `sessionlib.agent.tools` has for the kind. A TypeError is raised for what is not a `Tool`.
        """
        return ToolAdder(self)

    def remove_tool(self, tool_or_name: Tool | str) -> None:
        """Removes a tool, if it is there.

        Args:
            tool_or_name: The tool; or a name or ``tool_type``, for every tool that has it.
        """
        if isinstance(tool_or_name, str):
            self.tools = [tool for tool in self.tools if tool_or_name not in (tool.name, tool.tool_type)]
        else:
            # By id and not by identity: a tool that was fetched again is another object.
            self.tools = [tool for tool in self.tools if tool.id != tool_or_name.id]

    def update_instructions(self, instructions: str) -> None:
        """Changes the ``instructions``; `save` sends it to the platform."""
        self.instructions = instructions

    def update_llm_info(self, llm_info: LlmInfo) -> None:
        """Changes the language model, which ``llm_info`` describes; `save` sends it to the platform."""
        self.llm_info = llm_info


def by_name_or_id(client: Client, named: str) -> Agent | None:
    """Finds the agent of an id, else of a name; None when there is none.

    Raises:
        ApiError: The engine refused.
    """
    # Engines refuse a text that is no id in different ways: 404, 400 or 422.
    with contextlib.suppress(NotFoundError, BadRequestError, UnprocessableEntityError):
        return Agent.fetch(id=named, client=client)
    try:
        return Agent.fetch(name=named, client=client)
    except NotFoundError:
        return None
