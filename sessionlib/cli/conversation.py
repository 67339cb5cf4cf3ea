"""A chat: lines in, turns out, whatever they are shown on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from sessionlib.approvals import ApprovalHandler, ApprovalRequest
from sessionlib.cli.approve import STOPPED
from sessionlib.cli.commands import Quit, find_command
from sessionlib.cli.leftovers import settle
from sessionlib.cli.output import Printer, follow
from sessionlib.content import ApprovalResponse
from sessionlib.display.text import size_of
from sessionlib.errors import SessionlibError
from sessionlib.history import History
from sessionlib.protocol.state import SessionState
from sessionlib.session import Session

__all__ = ["Conversation", "View"]


_OVER = (SessionState.DISCONNECTED, SessionState.TERMINATED)


class View(Printer, Protocol):
    """Where a chat is shown."""

    @property
    def tick_seconds(self) -> float | None:
        """How long nothing may happen before it wants a `tick`; None wants none."""

    def tick(self) -> None:
        """Is called when nothing has happened for a while."""

    def note(self, text: str) -> None:
        """Says something of our own."""

    def error(self, text: str) -> None:
        """Says what went wrong."""

    def messages(self, history: History) -> None:
        """Shows messages of the history."""


class Conversation:
    """What is said in one session, and what goes along with the next message.

    Args:
        session: The session, connected.
        view: Where it is shown.
        decide: Decides about approval requests.
        stoppable: Whether Ctrl-C stops a turn, and not the program.

    Attributes:
        failed: Whether something went wrong so far.
    """

    def __init__(self, session: Session, view: View, decide: ApprovalHandler, *, stoppable: bool) -> None:
        self.view = view
        self.failed = False
        self._session = session
        self._decide = decide
        self._stoppable = stoppable
        self._attached: list[Path] = []
        self._saved: set[Path] = set()
        self._refuses = False

    def run(self, read: Callable[[], str | None]) -> None:
        """Takes lines until there are no more, or one says to quit.

        Args:
            read: Gives the next line; None when there are no more.

        Raises:
            SessionlibError: The session cannot go on.
        """
        try:
            while (line := read()) is not None:
                self._take(line.strip())
        except Quit:
            return

    def settle(self) -> None:
        """Sees to the approvals that the session was waiting for when it was joined."""
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
        """Shows what was said so far."""
        self.view.messages(self._session.history())

    def save(self, name: str) -> None:
        """Writes what was said so far to a file; one that this chat has not written is left alone."""
        path = Path(name or f"session-{(self._session.session_id or '')[:8]}.md").expanduser()
        history = self._session.history()
        try:
            history.save(path, replace=path in self._saved)
        except FileExistsError:
            self.complain(f"{path} exists; choose another name")
            return
        self._saved.add(path)
        self.view.note(f"{len(history)} messages are in {path}")

    def complain(self, text: str) -> None:
        """Says what went wrong, and remembers that something did."""
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
            if self._session.state in _OVER:
                raise
            self.complain(str(error))

    def _say(self, text: str) -> None:
        files, self._attached = self._attached, []
        turn = self._session.stream(text, files=files, on_approval=self._decide, idle_timeout=self.view.tick_seconds)
        with turn:
            try:
                reply = follow(turn, self.view, self.view.tick)
            except KeyboardInterrupt:
                if not self._stoppable:
                    raise
                self._refuse_from_now_on()
                self.view.note("Stopped. The agent may still finish this turn, unseen and without your approval.")
                return
        self.failed = self.failed or reply.error is not None

    def _refuse_from_now_on(self) -> None:
        # Leaving the turn hands its open requests to this handler; those of later turns are asked
        # of the person first.
        if not self._refuses:
            self._refuses = True
            self._session.on_approval(_refuse)


def _refuse(request: ApprovalRequest) -> ApprovalResponse:
    return ApprovalResponse(False, deny_reason=STOPPED)
