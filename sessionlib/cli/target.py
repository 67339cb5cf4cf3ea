"""From the options to a session: the engine that is configured, or the embedded one."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click

from sessionlib._util.timing import Deadline
from sessionlib.agent import Agent, AgentType
from sessionlib.agent.agent import by_name_or_id
from sessionlib.cli.notes import CommandError, in_options, keep_session, known_sessions, warn
from sessionlib.cli.options import EngineOptions, Where
from sessionlib.client import Client
from sessionlib.config import is_loopback
from sessionlib.errors import ConfigurationError, SessionError
from sessionlib.session import Session

if TYPE_CHECKING:
    from sessionlib.engine import LocalEngine

__all__ = ["AGENT_NAME", "embedded", "find_agent", "open_session", "reach"]

AGENT_NAME = "Assistant"
"""What the first agent of an embedded engine is called."""

_SHOWN_AGENTS = 5


@contextlib.contextmanager
def open_session(where: Where, timeout: float | None = 30.0) -> Iterator[Session]:
    """Opens the session that the options name, for a block.

    Args:
        where: The options.
        timeout: Seconds that finding the agent and connecting may take.
    """
    deadline = Deadline(timeout)
    with reach(where) as client:
        client.timeout = deadline.remaining()
        # An embedded engine has another port each time; its file is where its sessions are.
        place = str(where.engine.db.absolute()) if where.is_embedded and where.engine.db else client.endpoint.base_url
        session_id = where.session
        if where.last and not session_id:
            session_id = next((known.session_id for known in known_sessions() if known.place == place), None)
            if session_id is None:
                raise CommandError(f"no earlier session at {place} is known; leave --continue out to begin one")
        if session_id:
            session = Session(session_id=session_id, client=client)
        else:
            session = find_agent(client, where.agent).create_session()
        try:
            session.connect(deadline.remaining())
        except SessionError as error:
            if session_id is None or error.engine_reason is None:
                raise
            # Its reason alone: who typed a command knows no frames of the protocol.
            raise CommandError(f"{error.engine_reason}; sessionlib sessions lists those that you have had") from error
        # Only now that it is connected, as leaving the block disconnects it.
        with session:
            if where.keeps_sessions:
                keep_session(str(session.session_id), session.agent_name, place)
            yield session


@contextlib.contextmanager
def reach(where: Where) -> Iterator[Client]:
    """Returns a client of the engine that the options name, which may have to be started first."""
    if not where.is_embedded:
        where.check_url()
        with Client(base_url=where.base_url) as client:
            # Before the first call, where the error can name the file that the key may be in.
            try:
                client.endpoint.key()
            except ConfigurationError as error:
                raise CommandError(f"{in_options(str(error))}{_kept_key(client)}") from error
            yield client
        return
    with embedded(where.engine) as engine:
        if not where.local:
            warn(f"no API key and no URL are configured: using the embedded engine (model {where.engine.model})")
        if not where.session:
            ensure_agent(engine, where.agent)
        yield engine.client()


def _kept_key(client: Client) -> str:
    """Names the file in which the key of an engine on this machine may be; it is not sent unasked."""
    if not is_loopback(urlsplit(client.endpoint.base_url).hostname or ""):
        return ""
    with contextlib.suppress(ImportError):
        from sessionlib.engine.serve import key_path

        if key_path().exists():
            return f" That of sessionlib serve is in {key_path()}."
    return ""


def embedded(options: EngineOptions) -> LocalEngine:
    """Returns the embedded engine, not yet started."""
    from sessionlib.engine import LocalEngine

    return LocalEngine(
        tools=str(options.tools) if options.tools else (),
        model=options.model,
        path=str(options.db) if options.db else None,
    )


def ensure_agent(engine: LocalEngine, named: str | None = None) -> Agent:
    """Returns the agent of that name on an embedded engine, made if there is none."""
    client = engine.client()
    found = by_name_or_id(client, named) if named else next(iter(Agent.list(limit=1, client=client)), None)
    return found or engine.agent(name=named or AGENT_NAME)


def find_agent(client: Client, named: str | None) -> Agent:
    """Finds an agent by its id or name; without one, the only conversational agent there is.

    Raises:
        CommandError: There is none.
        click.UsageError: There are several to choose from.
        ApiError: The engine refused.
    """
    if named is not None:
        found = by_name_or_id(client, named)
        if found is None:
            raise CommandError(f"there is no agent with the id or name {named} on {client.host}")
        return found
    listed = Agent.list(verbose=True, client=client)
    # The kind of one that is listed by its id alone is unknown.
    agents = [agent for agent in listed if agent.name is None or agent.agent_type is AgentType.CONVERSATIONAL]
    if not agents:
        raise CommandError(f"there is no agent to talk to on {client.host}; make one first")
    if len(agents) > 1:
        names = ", ".join(agent.name or agent.id for agent in agents[:_SHOWN_AGENTS])
        more = "" if len(agents) <= _SHOWN_AGENTS else ", ..."
        raise click.UsageError(f"{client.host} has several agents; name one with --agent: {names}{more}")
    # A list need not have all of an agent.
    return Agent.fetch(agents[0].id, client=client)
