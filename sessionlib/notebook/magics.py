"""What the magics do: ``%sessionlib`` chooses whom to talk to, and ``%%ask`` sends a cell's text."""

from __future__ import annotations

import argparse
import atexit
import contextlib
from pathlib import Path
from typing import Any

from IPython.core.error import UsageError
from IPython.core.magic import Magics, cell_magic, line_magic, magics_class
from IPython.core.magic_arguments import argument, magic_arguments, parse_argstring

from sessionlib.agent import Agent, AgentType, LlmInfo
from sessionlib.agent.agent import by_name_or_id
from sessionlib.chatbot import Chatbot
from sessionlib.client import Client
from sessionlib.errors import SessionlibError
from sessionlib.session import Session

__all__ = ["SessionMagics"]


@magics_class
class SessionMagics(Magics):
    """The magics of one IPython, and the session that they talk to.

    Args:
        shell: The IPython.
    """

    def __init__(self, shell: Any) -> None:
        super().__init__(shell)
        self._shell = shell
        self._session: Session | None = None
        self._owned = contextlib.ExitStack()
        # A kernel that is shut down runs no cell any more, and the engine has a file to release.
        atexit.register(self.close)

    def close(self) -> None:
        """Leaves the session, and ends the engine, if they were begun here."""
        self._session = None
        self._owned.close()

    @magic_arguments()
    @argument("name", nargs="?", help="A variable: a session, an agent, a chatbot or an engine.")
    @argument("--local", action="store_true", help="Talk to the embedded engine, offline.")
    @argument("--model", default="demo", help="With --local: the model that answers.")
    @argument("--tools", default="", help="With --local: functions of this notebook, by name and comma, or a file.")
    @argument("--db", help="With --local: the file that sessions are kept in.")
    @argument("--agent", help="Talk to this agent, by name or id.")
    @argument("--session", help="Resume this session.")
    @argument("--base-url", help="Where the engine is, if not where the environment sets it.")
    @argument("--close", action="store_true", help="Leave the session, and end the engine if it was begun here.")
    @line_magic
    def sessionlib(self, line: str) -> Session | None:
        """Chooses the session that ``%%ask`` talks to, and shows its state; without options it only shows that."""
        options = parse_argstring(self.sessionlib, line)
        if options.close:
            self.close()
            return None
        if options.name or options.local or options.agent or options.session:
            # The session before is left first: two engines cannot have one file.
            self.close()
            try:
                self._session = self._open(options).connect()
            except (SessionlibError, OSError) as error:
                # One line and not a page: what is wrong is in the options, or outside of this program.
                raise UsageError(str(error)) from error
        if self._session is None:
            raise UsageError(_CHOOSE)
        return self._session

    @magic_arguments()
    @argument("--file", action="append", default=[], help="A file to send along; can be given several times.")
    @argument("--into", help="The variable that gets the reply.")
    @argument("--session", help="A variable: the session to talk to, instead of the one that %%sessionlib chose.")
    @argument("--timeout", type=float, help="Seconds that the answer may take.")
    @argument("--no-wait", action="store_true", help="End the cell at once, and let the answer come in below it.")
    @cell_magic
    def ask(self, line: str, cell: str) -> Any:
        """Sends the cell's text, and shows the answer as it comes."""
        options = parse_argstring(self.ask, line)
        session = self._variable(options.session) if options.session else self._session
        if not isinstance(session, Session):
            raise UsageError(f"{options.session} is no session" if options.session else _CHOOSE)
        files = [Path(name).expanduser() for name in options.file]
        if missing := [str(file) for file in files if file.is_dir() or not file.exists()]:
            raise UsageError(f"there is no file {missing[0]}")
        if options.into and not options.into.isidentifier():
            raise UsageError(f"--into takes the name of a variable, not {options.into}")
        # The line break at the end of a cell is the editor's.
        reply: Any = session.chat(cell.strip(), wait=not options.no_wait, files=files or None, timeout=options.timeout)
        if options.into:
            self._shell.user_ns[options.into] = reply
        return reply

    # ---- within --------------------------------------------------------------------------------

    def _open(self, options: argparse.Namespace) -> Session:
        """Returns the session that the options name."""
        if options.name:
            value = self._variable(options.name)
            if isinstance(value, Session):
                return value
            # An engine, which makes an agent of its own.
            maker = value.agent() if hasattr(value, "agent") else value
            if not isinstance(maker, (Agent, Chatbot)):
                raise UsageError(f"a {type(value).__name__} is no session, agent, chatbot or engine")
            return self._owned.enter_context(maker.create_session())
        client = self._client(options)
        if options.session:
            return self._owned.enter_context(Session(session_id=options.session, client=client))
        named = options.agent or "Assistant"
        agent = by_name_or_id(client, named)
        if agent is None and not options.local:
            raise UsageError(f"there is no agent with the name or id {named} on {client.host}")
        if agent is None:
            llm_info = LlmInfo(provider="sessionlib", model_id=options.model)
            agent = Agent.new(named, llm_info, agent_type=AgentType.CONVERSATIONAL, client=client)
        return self._owned.enter_context(agent.create_session())

    def _client(self, options: argparse.Namespace) -> Client:
        if not options.local:
            return self._owned.enter_context(Client(base_url=options.base_url))
        # Here, as the engine's extra may be missing, and %sessionlib needs it only with --local.
        from sessionlib.engine import LocalEngine

        tools: Any = options.tools
        if not tools.endswith(".py"):
            tools = [self._variable(name.strip()) for name in tools.split(",") if name.strip()]
        engine = LocalEngine(tools=tools, model=options.model, path=options.db)
        return self._owned.enter_context(engine).client()

    def _variable(self, name: str) -> Any:
        if name not in self._shell.user_ns:
            raise UsageError(f"there is no variable {name}")
        return self._shell.user_ns[name]


_CHOOSE = "choose whom to talk to first: %sessionlib --local, or --agent NAME, or the name of a variable"
