"""The embedded engine as one object: everything it needs, started and ended together."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import threading
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Any

from sessionlib.config import check_key, is_loopback
from sessionlib.engine.errors import EngineError
from sessionlib.engine.limits import Limits
from sessionlib.engine.models import Model
from sessionlib.engine.models.factory import make_model
from sessionlib.engine.server.auth import Authenticator
from sessionlib.engine.server.routes import Rest
from sessionlib.engine.server.server import Server
from sessionlib.engine.sessions.cancellation import Timers
from sessionlib.engine.sessions.registry import SessionRegistry
from sessionlib.engine.sessions.turn import EngineContext, ToolRunner
from sessionlib.engine.sessions.worker import Retention, Runner
from sessionlib.engine.store import Store
from sessionlib.engine.tools import LocalTool, run_tool, tool
from sessionlib.engine.tools.isolated import IsolatedTools
from sessionlib.engine.tools.schema import load_tools

if TYPE_CHECKING:
    from sessionlib.agent import Agent  # type: ignore[import-not-found,unused-ignore]
    from sessionlib.client import Client  # type: ignore[import-not-found,unused-ignore]

__all__ = ["LocalEngine"]

logger = logging.getLogger(__name__)


class LocalEngine:
    """An engine in this process, on a socket of this machine; a ``with`` block is its life.

    Args:
        tools: Functions that every agent on it may call: with ``@tool``, or plain ones (``auto_run``); they
            run in this process. Or the path of a Python file that declares them: they run in processes of
            their own, which are ended when they take too long.
        model: "demo"; "local", or "local:" and the path of a GGUF file; "openai:" and a model's name; or a
            model of your own.
        path: The database file; None keeps everything in memory.
        host: Address to listen on.
        port: Port to listen on; 0 takes a free one.
        api_key: The key that clients need; a random one when not given.
        batching: Whether posts that wait together are answered in one turn, as on the hosted engine; False
            answers each post in a turn of its own.
        keep_days: Days after which a session in which nothing was sent is removed with all that it held, its files
            included; None keeps sessions until they are terminated.
        full_check: Whether the database file is read whole before it is used, which takes about five seconds for every
            100 MB; else a large file is compared with its checksums as it is used.
        allow_remote: Lets ``host`` be an address that other machines reach; needs an ``api_key``.
        allowed_hosts: Further names in the Host header to answer to, without port.
        allowed_origins: Web pages that may connect, such as "http://localhost:8888"; none by default.
        limits: Bounds of what it takes.

    Raises:
        ValueError: Two tools share a name, ``keep_days`` is not positive, or ``host`` is not this machine's without key
            and flag.
        EngineError: The tools file cannot be run, or declares none.
    """

    def __init__(
        self,
        tools: str | Iterable[LocalTool[..., Any] | Callable[..., Any]] = (),
        model: str | Model = "demo",
        path: str | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        api_key: str | None = None,
        *,
        batching: bool = True,
        keep_days: float | None = None,
        full_check: bool = False,
        allow_remote: bool = False,
        allowed_hosts: Iterable[str] = (),
        allowed_origins: Iterable[str] = (),
        limits: Limits | None = None,
    ) -> None:
        # Both, and named: what listens on a network has the user's tools behind it.
        if not is_loopback(host) and not (allow_remote and api_key):
            raise ValueError(
                f"{host} can be reached from other machines: pass an api_key and allow_remote=True to mean it"
            )
        if keep_days is not None and not keep_days > 0:
            raise ValueError(f"keep_days is a positive number of days, not {keep_days}")
        self._tools_file = tools if isinstance(tools, str) else None
        self._tools: dict[str, LocalTool[..., Any]] = {}
        for item in load_tools(tools) if isinstance(tools, str) else tools:
            declared = item if isinstance(item, LocalTool) else tool(item)
            # A model calls tools by name, and one of them would never run.
            if declared.name in self._tools:
                raise ValueError(f"two tools are called {declared.name}")
            self._tools[declared.name] = declared
        self._model = model
        self._path = path
        self._host = host
        self._port = port
        # 256 random bits. Even on this machine: every user and every web page can reach a port.
        self._api_key = secrets.token_urlsafe(32) if api_key is None else check_key(api_key)
        self._allowed = (tuple(allowed_hosts), tuple(allowed_origins))
        self._batching = batching
        self._keep_days = keep_days
        self._full_check = full_check
        self._limits = limits or Limits()
        # Protects starting and closing.
        self._lock = threading.Lock()
        self._undo: contextlib.ExitStack | None = None
        self._pid = os.getpid()
        self._client: Client | None = None
        self._guard: Authenticator | None = None

    def __repr__(self) -> str:
        where = f"on {self._authority}, {len(self._tools)} tools" if self._undo else "not running"
        return f"<LocalEngine {where}>"

    def __enter__(self) -> LocalEngine:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start(self) -> LocalEngine:
        """Starts the engine; does nothing when it runs.

        Returns:
            The engine itself.

        Raises:
            EngineError: The model or the database is unavailable; its kinds name the reason.
            OSError: The address cannot be listened on.
        """
        # Threads do not come along into a fork, and the lock may be held by one of them.
        if self._undo is not None and self._pid != os.getpid():
            raise EngineError("the engine runs in the parent process; make one of its own in this one")
        # Two threads that start it at once start one engine.
        with self._lock, contextlib.ExitStack() as undo:
            if self._undo is not None:
                return self
            # Whatever fails on the way, what was begun before is ended; only a whole start is kept. What is made first
            # is closed last: no turn outlives the store, no client outlives its turn's end.
            model = make_model(self._model)
            if model is not self._model:
                undo.callback(model.close)
            store = Store(self._path, busy_seconds=self._limits.busy_seconds, full_check=self._full_check)
            undo.callback(store.close)
            runs: ToolRunner = run_tool
            if self._tools_file is not None:
                isolated = IsolatedTools(self._tools_file, self._limits.tool_processes)
                undo.callback(isolated.close)
                runs = isolated.run
            kit = EngineContext(store, model, self._tools, self._limits, runs)
            alarms = Timers(str(id(self)))
            undo.callback(alarms.close)
            runner = Runner(kit, alarms)
            hub = SessionRegistry(kit, runner, batching=self._batching)
            server = Server(self._host, self._port, hub, Rest(store, hub, self._tools.values()), self._limits)
            # Known from here on where 0 was asked for, and needed by the check of the Host header.
            self._port = server.port
            undo.callback(server.close)
            # Ends the waits of chatbot runs, or the server would wait for them.
            undo.callback(hub.close)
            undo.callback(runner.close)
            # Before the port answers, so that no client meets a turn that is half taken up.
            hub.recover()
            if self._keep_days is not None:
                undo.callback(Retention(hub.expire, self._keep_days * 86400).close)
            hosts, origins = self._allowed
            self._guard = Authenticator(
                self._api_key, self._host, self._port, hosts, origins, self._limits.auth_failures
            )
            server.start(self._guard)
            logger.info("= engine on %s, %s", self._authority, self._path or "in memory")
            undo.callback(logger.info, "= engine on %s is stopping", self._authority)
            self._undo, self._pid = undo.pop_all(), os.getpid()
        return self

    def close(self) -> None:
        """Stops the engine; returns when its threads have ended and its files and port are released.

        In a forked child it does nothing: the engine is the parent's, and so are its sockets and its files.
        """
        if self._pid != os.getpid():
            return  # before the lock, which a thread of the parent may have held when it forked
        with self._lock:
            # Forgotten first, so that nothing uses what is being closed.
            undo, self._undo, self._client, self._guard = self._undo, None, None, None
            if undo is not None:
                undo.close()

    @property
    def base_url(self) -> str:
        """The HTTP base, for clients."""
        return f"http://{self._authority}/v1"

    @property
    def ws_url(self) -> str:
        """The WebSocket base, for clients."""
        return f"ws://{self._authority}/v1"

    @property
    def api_key(self) -> str:
        """The key that clients need."""
        return self._api_key

    @property
    def port(self) -> int:
        """The port that is listened on; 0 before the start when any free one will do."""
        return self._port

    def allow_host(self, authority: str) -> None:
        """Accepts a further Host header until the engine is closed, such as that of a proxy in front of it.

        Args:
            authority: Host and port, such as "127.0.0.1:8401".

        Raises:
            EngineError: The engine is not running.
        """
        if self._guard is None:
            raise EngineError("the engine is not running; use it in a with block, or call start()")
        self._guard.allow_host(authority)

    # Its former name, for programs that put a proxy of their own in front of an engine.
    answer_to = allow_host

    def client(self) -> Client:
        """Returns a client of this engine; it is closed with the engine.

        Raises:
            EngineError: The engine is not running.
        """
        # Here, as the engine must not need the client: a served one has none.
        from sessionlib.client import Client

        with self._lock:
            if self._undo is None:
                raise EngineError("the engine is not running; use it in a with block, or call start()")
            if self._client is None:
                self._client = Client(self._api_key, self.base_url, self.ws_url)
                # Closed before the server, as it was made after it.
                self._undo.callback(self._client.close)
            return self._client

    def agent(self, name: str = "Assistant", instructions: str | None = None, **options: Any) -> Agent:
        """Makes a conversational agent on this engine.

        Args:
            name: Its name.
            instructions: Its instructions.
            **options: Further arguments of `Agent.new`.

        Raises:
            EngineError: The engine is not running.
        """
        from sessionlib.agent import Agent, AgentType, LlmInfo

        named = self._model if isinstance(self._model, str) else self._model.name
        # The engine has one model, whatever an agent names; this one names it truly.
        llm_info = options.pop("llm_info", None) or LlmInfo(provider="sessionlib", model_id=named)
        options = {"agent_type": AgentType.CONVERSATIONAL, "client": self.client(), **options}
        return Agent.new(name, llm_info, instructions=instructions, **options)

    @property
    def _authority(self) -> str:
        # A wildcard address is one to listen on, not one to connect to.
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self._host, self._host)  # noqa: S104
        return f"[{host}]:{self._port}" if ":" in host else f"{host}:{self._port}"
