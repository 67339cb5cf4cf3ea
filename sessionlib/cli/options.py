"""Options that several commands share, and what they come to: where to run."""

from __future__ import annotations

import functools
import logging
import math
import os
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from sessionlib.approvals.policies import approve_all, deny_all
from sessionlib.cli.notes import in_options, known_sessions
from sessionlib.cli.prompt import ask_on_terminal
from sessionlib.config import check_id, check_url, is_configured
from sessionlib.errors import ConfigurationError

__all__ = [
    "Debug",
    "EngineOptions",
    "NewFile",
    "Positive",
    "Utf8",
    "Where",
    "Whole",
    "approval_options",
    "complete_sessions",
    "debug_option",
    "engine_options",
    "examples",
    "where_options",
]

Command = Callable[..., Any]

DEFAULT_MODEL = "demo"
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


class Positive(click.FloatRange):
    """A number above zero."""

    name = "number"

    def __init__(self) -> None:
        super().__init__(0, min_open=True)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Returns the number; NaN, which compares with no bound, is none."""
        number = float(super().convert(value, param, ctx))
        if math.isnan(number):
            self.fail(f"{value!r} is not a valid number.", param, ctx)
        return number


class Utf8(click.types.StringParamType):
    """A text for an agent, in whatever encoding the locale has for arguments."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Returns the text; bytes that Python could not decode may still be UTF-8 (PEP 383)."""
        try:
            return os.fsencode(value).decode()
        except UnicodeError:
            self.fail("it is not UTF-8 text.", param, ctx)


class NewFile(click.Path):
    """A file that need not exist yet."""

    def __init__(self) -> None:
        super().__init__(dir_okay=False, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Returns the path; an empty one, as of a variable that is not set, would be the working directory."""
        return super().convert(value or self.fail("it is empty; name a file.", param, ctx), param, ctx)


class Whole(click.IntRange):
    """A whole number, within bounds."""

    name = "whole number"


@dataclass
class Debug:
    """Whether ``--debug`` was given, wherever it stood."""

    on: bool = False


@dataclass(frozen=True)
class EngineOptions:
    """What the embedded engine is started with.

    Attributes:
        model: The model's name.
        tools: A Python file with tools.
        db: The database file; None keeps everything in memory.
    """

    model: str = DEFAULT_MODEL
    tools: Path | None = None
    db: Path | None = None

    @property
    def given(self) -> list[str]:
        """The options that were given, as the user wrote them."""
        # By its difference from the default, since click passes the default as if it had been typed.
        given = {"--model": self.model != DEFAULT_MODEL, "--tools": self.tools, "--db": self.db}
        return [name for name, value in given.items() if value]


@dataclass(frozen=True)
class Where:
    """Where a command runs, and with whom.

    Attributes:
        agent: The agent's id or name; None takes the only one there is.
        session: The session to go on with; None opens a new one.
        last: Whether to go on with the last session there.
        base_url: The engine's HTTP base; None takes the environment's.
        local: Whether to run on the embedded engine in any case.
        engine: For the embedded engine.
    """

    agent: str | None = None
    session: str | None = None
    last: bool = False
    base_url: str | None = None
    local: bool = False
    engine: EngineOptions = EngineOptions()

    @property
    def is_embedded(self) -> bool:
        """Whether the command runs on the embedded engine."""
        # Without a key and a URL nothing else could answer: first steps need no account.
        return self.local or (self.base_url is None and not is_configured())

    @property
    def resumes(self) -> bool:
        """Whether the command goes on with a session that there is."""
        return self.last or self.session is not None

    @property
    def keeps_sessions(self) -> bool:
        """Whether a session can be gone on with once the command has ended."""
        return not self.is_embedded or self.engine.db is not None

    def to_go_on(self, session_id: str | None) -> str:
        """Returns the options with which a later command goes on with a session."""
        engine = {"--model": self.engine.model, "--tools": self.engine.tools, "--db": self.engine.db}
        embedded = {name: engine[name] for name in self.engine.given}
        given = {"--base-url": self.base_url, **embedded, "--session": session_id}
        words = [word for name, value in given.items() if value for word in (name, str(value))]
        # Quoted for a shell, as it is printed to be typed.
        return shlex.join(["--local", *words] if self.local else words)

    def check(self) -> None:
        """Looks for options that exclude one another.

        Raises:
            click.UsageError: There are some.
        """
        if self.local and self.base_url:
            raise click.UsageError("--local and --base-url exclude one another")
        if self.engine.given and not self.is_embedded:
            raise click.UsageError(f"{self.engine.given[0]} is for the embedded engine: add --local to run on it")
        if self.session is not None and self.last:
            raise click.UsageError("--session and --continue exclude one another")
        try:
            # Here, where the option has a name, and not as an engine is asked.
            for name, value in (("--agent", self.agent), ("--session", self.session)):
                if value is not None:
                    check_id(name, value)
        except ConfigurationError as error:
            raise click.UsageError(str(error)) from error
        if self.resumes and not self.keeps_sessions:
            raise click.UsageError("the embedded engine keeps sessions only in a file: name it with --db FILE")

    def check_url(self) -> None:
        """Looks at the address that was given; apart from `check`, because doctor has its own words for it.

        Raises:
            click.UsageError: It cannot be used.
        """
        if self.base_url is not None:
            try:
                check_url("--base-url", self.base_url)
            except ConfigurationError as error:
                raise click.UsageError(in_options(str(error))) from error


def complete_sessions(context: click.Context, parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    """Returns the known sessions whose ids begin with what has been typed, for a shell to complete it."""
    kept = [known for known in known_sessions() if known.session_id.startswith(begun)]
    return [CompletionItem(known.session_id, help=known.agent) for known in kept]


def engine_options(function: Command) -> Command:
    """Returns a command the options of the embedded engine, as one ``engine``."""

    def check(context: click.Context, parameter: click.Parameter, named: str) -> str:
        if named != DEFAULT_MODEL:
            # Not at the top: the engine is imported only where it runs.
            from sessionlib.engine.models.factory import KNOWN, is_known

            if not is_known(named):
                raise click.BadParameter(f"there is no model {named!r}; there are {KNOWN}", context, parameter)
        return named

    def complete(context: click.Context, parameter: click.Parameter, begun: str) -> list[CompletionItem]:
        return [CompletionItem(name) for name in ("demo", "local", "openai:") if name.startswith(begun)]

    @functools.wraps(function)
    def command(*args: Any, model: str, tools: Path | None, db: Path | None, **rest: Any) -> Any:
        return function(*args, engine=EngineOptions(model, tools, db), **rest)

    return _decorate(
        command,
        click.option(
            "--model",
            metavar="MODEL",
            default=DEFAULT_MODEL,
            show_default=True,
            callback=check,
            shell_complete=complete,
            help="Model of the embedded engine.",
        ),
        click.option("--tools", type=_FILE, metavar="FILE.py", help="Python file with tools for it."),
        click.option("--db", type=NewFile(), help="File in which it keeps sessions."),
    )


def where_options(function: Command) -> Command:
    """Returns a command the options that decide where it runs, as one checked ``where``."""

    @functools.wraps(function)
    def command(
        *args: Any,
        agent: str | None,
        session: str | None,
        last: bool,
        base_url: str | None,
        local: bool,
        engine: EngineOptions,
        **rest: Any,
    ) -> Any:
        where = Where(agent, session, last, base_url, local, engine)
        # Behind all options, as they exclude one another whatever their order.
        where.check()
        return function(*args, where=where, **rest)

    return _decorate(
        engine_options(command),
        click.option("--agent", metavar="ID_OR_NAME", envvar="SESSIONLIB_AGENT", help="The agent to talk to."),
        click.option("--session", metavar="ID", shell_complete=complete_sessions, help="A session to go on with."),
        click.option("--continue", "-c", "last", is_flag=True, help="Go on with the last session."),
        click.option("--base-url", metavar="URL", help="The engine's address; else SESSIONLIB_BASE_URL."),
        click.option("--local", is_flag=True, help="Run on the embedded engine in any case."),
    )


def approval_options(function: Command) -> Command:
    """Returns a command the options that answer approval requests, as one ``decide``."""

    @functools.wraps(function)
    def command(*args: Any, yes: bool, deny: bool, **rest: Any) -> Any:
        if yes and deny:
            raise click.UsageError("--yes and --deny exclude one another")
        return function(*args, decide=approve_all if yes else deny_all if deny else ask_on_terminal, **rest)

    return _decorate(
        command,
        click.option("--yes", "-y", is_flag=True, help="Approve every tool that asks for it."),
        click.option("--deny", is_flag=True, help="Deny every tool that asks for approval."),
    )


def debug_option(function: Command) -> Command:
    """Returns a command ``--debug``."""

    def turn_on(context: click.Context, parameter: click.Parameter, value: bool) -> None:
        debug = context.ensure_object(Debug)
        if value and not debug.on:
            debug.on = True
            # In milliseconds from the start: what people look for is where time goes.
            logging.basicConfig(format="%(relativeCreated)7.0f ms %(name)s %(message)s")
            logging.getLogger("sessionlib").setLevel(logging.DEBUG)

    return click.option(
        "--debug",
        is_flag=True,
        # Before all other options, so that what goes wrong with them is shown with its traceback.
        is_eager=True,
        expose_value=False,
        callback=turn_on,
        help="Show the log, and where an error came from.",
    )(function)


def examples(*commands: str) -> str:
    """Returns what ends the help of a command: commands to type."""
    return "\n".join(["\b", "Examples:", *(f"  {command}" for command in commands)])


def _decorate(command: Command, *options: Callable[[Command], Command]) -> Command:
    # In the help they stand in the order in which they are given here.
    for option in reversed(options):
        command = option(command)
    return command
