"""``sessionlib chat``: a conversation, on a terminal or through pipes."""

from __future__ import annotations

import difflib
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import NoReturn, Protocol

import click

from sessionlib._util.optional import extra
from sessionlib.approvals import ApprovalHandler, ApprovalRequest
from sessionlib.cli.notes import explain, state_file, warn
from sessionlib.cli.options import Where, approval_options, debug_option, examples, where_options
from sessionlib.cli.output import NotingPrinter, Printer, follow, settle
from sessionlib.cli.prompt import STOPPED
from sessionlib.cli.target import open_session
from sessionlib.content import ApprovalResponse
from sessionlib.display.text import TextPrinter, is_terminal, size_of
from sessionlib.errors import SessionlibError
from sessionlib.history import History
from sessionlib.protocol.client import SessionState
from sessionlib.session import Session

__all__ = ["COMMANDS", "HELP", "ChatView", "Conversation", "Quit", "chat", "find_command"]

Command = Callable[["Conversation", str], None]


class Quit(Exception):
    """The person wants to leave."""


def find_command(line: str) -> tuple[Command, str] | None:
    """Returns the command that a line is, and its argument; None for a line that is for the agent.

    A line that begins with a slash and is no command is the agent's, unless it looks like a slip.
    """
    if not line.startswith("/"):
        return None
    name, _, argument = line.partition(" ")
    command = COMMANDS.get(name)
    if command is None:
        # A path such as /etc/hosts begins with a slash too, and may be what a person asks about.
        meant = difflib.get_close_matches(name, COMMANDS, 1, cutoff=0.75)
        if not meant:
            return None
        command = Conversation.complain
        argument = f"{name}: did you mean {meant[0]}? Nothing was sent."
    return command, argument.strip()


def _quit(conversation: Conversation, argument: str) -> None:
    raise Quit


COMMANDS: dict[str, Command] = {
    "/file": lambda conversation, argument: conversation.attach(argument),
    "/history": lambda conversation, _: conversation.show_history(),
    "/save": lambda conversation, argument: conversation.save(argument),
    "/help": lambda conversation, _: conversation.view.note(HELP),
    "/quit": _quit,
    "/exit": _quit,
}

HELP = """\
/file PATH   send a file along with the next message
/history     show the messages so far
/save PATH   write it to a file: Markdown, or what .jsonl, .json, .csv or .txt ask for
/help        show this
/quit        leave; so does Ctrl-D
Alt-Enter, or Enter behind a \\, begins another line of a message; what is pasted is one message.
Tab completes commands and file names. Ctrl-C stops the turn."""


_OVER = (SessionState.DISCONNECTED, SessionState.TERMINATED)


class ChatView(Printer, Protocol):
    """Where a chat is shown."""

    @property
    def tick_seconds(self) -> float | None:
        """How long nothing may happen before it wants a `tick`; None wants none."""

    def expect(self, place: str, activity: str) -> None:
        """Shows what is waited for, once a message has been sent: who answers in which session, and why it waits."""

    def tick(self) -> None:
        """Is called when nothing has happened for a while."""

    def note(self, text: str) -> None:
        """Prints a note of our own."""

    def error(self, text: str) -> None:
        """Prints what went wrong."""

    def messages(self, history: History) -> None:
        """Shows messages of the history."""


class Conversation:
    """The messages of one session, and what goes along with the next message.

    Args:
        session: The session, connected.
        view: Where it is shown.
        decide: Decides about approval requests.
        stoppable: Whether Ctrl-C stops a turn, and not the program.

    Attributes:
        failed: Whether something went wrong so far.
    """

    def __init__(self, session: Session, view: ChatView, decide: ApprovalHandler, *, stoppable: bool) -> None:
        self.view: ChatView = view
        self.failed = False
        self._session = session
        self._decide = decide
        self._stoppable = stoppable
        self._attached: list[Path] = []
        # A file that this chat has written may be written again, and no other.
        self._saved: set[Path] = set()
        self._refuses = False

    def run(self, read: Callable[[], str | None]) -> None:
        """Takes lines until there are no more, or one is the command to quit.

        Args:
            read: Returns the next line; None when there are no more.

        Raises:
            SessionlibError: The session cannot go on.
        """
        try:
            while (line := read()) is not None:
                self._take(line.strip())
        except Quit:
            return

    def settle(self) -> None:
        """Handles the approvals that the session was waiting for when it was joined."""
        view = self.view
        settle(self._session, view, self._decide, quiet_seconds=view.tick_seconds, on_quiet=view.tick)

    # ---- what commands do ----------------------------------------------------------------------

    def attach(self, name: str) -> None:
        """Sends a file along with the next message."""
        path = Path(name).expanduser()
        if not name or not path.is_file():
            self.complain(f"there is no file {name}" if name else "which file? Write /file PATH")
            return
        self._attached.append(path)
        self.view.note(f"{path.name} ({size_of(path.stat().st_size)}) goes along with your next message")

    def show_history(self) -> None:
        """Shows the messages so far."""
        self.view.messages(self._session.history())

    def save(self, name: str) -> None:
        """Writes the messages so far to a file; one that this chat has not written is left alone."""
        path = Path(name or f"session-{(self._session.session_id or '')[:8]}.md").expanduser()
        history = self._session.history()
        try:
            history.save(path, replace=path in self._saved)
        except FileExistsError:
            self.complain(f"{path} exists; choose another name")
            return
        except OSError as error:
            # Its file's name is that of the part beside it, which is written first.
            self.complain(f"{path} cannot be written: {error.strerror}; choose another place")
            return
        self._saved.add(path)
        self.view.note(f"{len(history)} messages are in {path}")

    def complain(self, text: str) -> None:
        """Shows what went wrong, and remembers that something did."""
        self.failed = True
        self.view.error(text)

    # ---- within --------------------------------------------------------------------------------

    def _take(self, line: str) -> None:
        if not line:
            return
        command = find_command(line)
        try:
            if command is None:
                self._say(line)
            else:
                command[0](self, command[1])
        except (SessionlibError, OSError, ValueError) as error:
            # There is nothing left to talk to: the error ends the chat.
            if self._session.state in _OVER:
                raise
            self.complain(explain(error)[0])

    def _say(self, text: str) -> None:
        # Taken before they are sent: if that fails, they do not go along with the next message by surprise.
        files, self._attached = self._attached, []
        turn = self._session.stream(text, files=files, on_approval=self._decide, idle_timeout=self.view.tick_seconds)
        # One runs that this conversation has left, or that another program has begun.
        behind = sum(one.duration is None for one in self._session.stats.turns) > 1
        place = f"{self._session.agent_name or 'agent'} · session {str(self._session.session_id)[:8]}"
        with turn:
            try:
                self.view.expect(place, "waiting for the previous turn" if behind else "waiting for an answer")
                reply = follow(turn, self.view, self.view.tick)
            except KeyboardInterrupt:
                # Through pipes there is no person who could go on: Ctrl-C ends the command.
                if not self._stoppable:
                    raise
                # Leaving the turn hands its open requests to this handler; those of later turns are asked
                # of the person first.
                if not self._refuses:
                    self._refuses = True
                    self._session.on_approval(_refuse)
                self.view.note("Stopped waiting; tools that need approval will be denied.")
                return
        self.failed = self.failed or reply.error is not None


def _refuse(request: ApprovalRequest) -> ApprovalResponse:
    return ApprovalResponse(False, deny_reason=STOPPED)


@click.command(
    epilog=examples("sessionlib chat", "sessionlib chat --agent Support --continue", "sessionlib chat < questions.txt")
)
@approval_options
@where_options
@debug_option
def chat(decide: ApprovalHandler, where: Where) -> int:
    """Talk to an agent, line by line.

    On a terminal /help lists what can be typed, Ctrl-C stops a turn, Ctrl-D quits. Through pipes every
    line is a message, and the answers come as plain text. What is typed is kept for the next chat, in the file
    SESSIONLIB_CHAT_HISTORY if that is set; set to nothing, it keeps none.
    """
    at_terminal = is_terminal(sys.stdin) and is_terminal(sys.stdout)
    view = _view(at_terminal)
    if at_terminal:  # which has to be put right when it is being drawn on
        # Its default ends the process at once, and would leave a terminal without echo.
        signal.signal(signal.SIGTERM, _leave)
    with open_session(where) as session:
        conversation = Conversation(session, view, decide, stoppable=at_terminal)
        if at_terminal:
            view.note(f"Session {session.session_id}. /help lists what can be typed here.")
        if where.resumes:
            conversation.settle()
        if not at_terminal:
            # Line by line and not by iterating: that reads ahead, and an answer would come late.
            conversation.run(lambda: (sys.stdin.readline() or None) if sys.stdin is not None else None)
            return 1 if conversation.failed else 0
        with extra("cli", "a chat on a terminal"):
            from sessionlib.cli.terminal import Keyboard, ctrl_d_kept
        with ctrl_d_kept(sys.stdin):
            conversation.run(Keyboard(COMMANDS, state_file("SESSIONLIB_CHAT_HISTORY", "chat_history")).read)
        if where.keeps_sessions:
            view.note(f"To go on: sessionlib chat {where.to_go_on(session.session_id)}")
    return 0


class PlainView(NotingPrinter):
    """A chat through pipes: answers on stdout, everything else on stderr."""

    tick_seconds = None

    def __init__(self) -> None:
        super().__init__(TextPrinter(sys.stdout))

    def expect(self, place: str, activity: str) -> None:
        """Shows nothing: a pipe has no place for what changes."""

    def tick(self) -> None:
        """Is never wanted."""

    def note(self, text: str) -> None:
        """Prints a note of our own."""
        for line in text.splitlines():
            warn(line)

    def error(self, text: str) -> None:
        """Prints what went wrong."""
        warn(text)

    def messages(self, history: History) -> None:
        """Writes messages of the history."""
        sys.stdout.write(history.to_text())
        sys.stdout.flush()


def _leave(number: int, frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)


def _view(at_terminal: bool) -> ChatView:
    # Such as the shell of Emacs, which shows escape sequences as they are.
    if at_terminal and os.environ.get("TERM") != "dumb":
        with extra("cli", "a chat on a terminal"):
            from sessionlib.cli.terminal import Screen
        return Screen()
    return PlainView()
