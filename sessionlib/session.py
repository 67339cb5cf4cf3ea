"""The session: what users open, say things to, and listen to."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal, overload

from sessionlib._answering_part import Answering
from sessionlib._hearing_part import Hearing
from sessionlib._turn_events_part import TurnEvents
from sessionlib._util.timing import Deadline
from sessionlib.approvals import ApprovalDesk, ApprovalHandler, check_handler
from sessionlib.config import ApiKey, Endpoint, check_id
from sessionlib.connection.options import LinkOptions, Owner
from sessionlib.connection.outgoing import Progress
from sessionlib.content import (
    ApprovalResponse,
    Content,
    FileContent,
    SendManyItem,
    UserSessionMessage,
    encode_batch,
    encode_message,
)
from sessionlib.display.text import count_of
from sessionlib.errors import SessionDisconnectedError, SessionError
from sessionlib.protocol import frames
from sessionlib.reply import Reply
from sessionlib.transport.proxy import parse_proxy
from sessionlib.turn import Turn

if TYPE_CHECKING:
    import ssl

    from sessionlib.client import Client
    from sessionlib.notebook import LiveReply

__all__ = ["ApprovalResponse", "Session", "SessionDisconnectedError", "SessionError", "UserSessionMessage"]


class Session(Hearing, Answering):
    """A live session with an agent or chatbot, blocking throughout.

    Made by `Agent.create_session` and the like, or directly. A thread of its own reads what the
    engine sends, so that nothing is lost and the link stays alive whatever the caller is doing::

        with agent.create_session() as session:
            session.send("Hello!")
            for event in session.listen():
                print(event.delta or "", end="")
                if event.is_complete:
                    break

    All methods may be called from any thread.

    Args:
        owner_type: "agent" or "chatbot", for a new session.
        owner_id: The id of that agent or chatbot.
        session_id: The session to resume; None creates one.
        api_key: The API key, or a callable that is asked for it at each connection; else ``client``'s,
            else the environment's.
        base_url: HTTP base URL of the engine; else ``client``'s, else the environment's.
        ws_url: WebSocket base URL; else ``client``'s, else the environment's, else made from ``base_url``.
        client: Where key and URLs come from when they are not given.
        reconnect: Whether a lost link is re-opened, the session joined again, and the gap closed from
            its history.
        reconnect_delay: The longest wait before the first try, in seconds; it doubles with each.
        reconnect_max_delay: The longest wait before any try, in seconds.
        reconnect_timeout: Seconds to go on trying before the session counts as lost; None for ever.
        allow_insecure: Lets the key travel unencrypted to another machine.
        max_message_size: The largest message accepted, in bytes.
        ping_interval: Seconds of silence after which a WebSocket ping is sent. The session's own pings leave every
            5 s, or every so much if that is less.
        pong_timeout: Seconds after a ping in which something has to arrive before the link counts as dead.
        send_timeout: Seconds that a message may take to go out; None for as long as it takes.
        backlog_size: How many events wait for the next `listen` while none is open.
        tls: What to verify the engine by; None for the system's certificates.
        proxy: URL of the HTTP proxy to go through, such as ``http://user:password@host:3128``; "" for
            none; None for what the environment says (``https_proxy``, ``all_proxy``, ``no_proxy`` and
            their like). An engine on this machine is never reached through a proxy.

    Raises:
        ConfigurationError: A key, URL or id cannot be used.
    """

    def __init__(
        self,
        *,
        owner_type: str = "",
        owner_id: str = "",
        session_id: str | None = None,
        api_key: ApiKey | None = None,
        base_url: str | None = None,
        ws_url: str | None = None,
        client: Client | None = None,
        reconnect: bool = True,
        reconnect_delay: float = 2.0,
        reconnect_max_delay: float = 30.0,
        reconnect_timeout: float | None = 900.0,
        allow_insecure: bool = False,
        max_message_size: int = 64 * 2**20,
        ping_interval: float = 20.0,
        pong_timeout: float = 20.0,
        send_timeout: float | None = 60.0,
        backlog_size: int = 16384,
        tls: ssl.SSLContext | None = None,
        proxy: str | None = None,
    ) -> None:
        if client is not None:
            api_key = api_key if api_key is not None else client.endpoint.source
            if base_url is None:
                base_url, ws_url = client.endpoint.base_url, ws_url or client.endpoint.ws_url
        if proxy:
            parse_proxy(proxy)
        super().__init__(
            Endpoint.resolve(api_key, base_url, ws_url, allow_insecure=allow_insecure),
            _owner(owner_type, owner_id),
            None if session_id is None else check_id("session_id", session_id),
            LinkOptions(
                reconnect=reconnect,
                reconnect_delay=reconnect_delay,
                reconnect_max_delay=reconnect_max_delay,
                reconnect_timeout=reconnect_timeout,
                max_message_size=max_message_size,
                ping_interval=ping_interval,
                pong_timeout=pong_timeout,
                send_timeout=send_timeout,
                backlog_size=backlog_size,
                tls=tls,
                proxy=proxy,
            ),
        )
        self._approvals = ApprovalDesk(self, self._send_answer, self._dispatcher)

    def _repr_html_(self) -> str:
        asked = self.approvals
        still_open = sum(record.is_open for record in asked)
        counts = f"{count_of(self._waiting, 'event')} waiting · {count_of(len(asked), 'approval')}, {still_open} open"
        told = f" at {self._endpoint.host} · {self.state} · {counts}"
        from sessionlib.display.markup import fold, in_code, safe_html  # for notebooks alone

        return fold(f"Session {in_code(self.session_id or 'new')}{safe_html(told)}")

    # ---- saying --------------------------------------------------------------------------------

    def send(
        self,
        content: Content,
        *,
        files: Sequence[FileContent] | None = None,
        mime_type: str | None = None,
        filename: str | None = None,
        progress: Progress | None = None,
    ) -> None:
        """Sends one user message; returns when it has been written to the connection.

        Args:
            content: Text, a path, bytes, or a file-like object in binary or text mode.
            files: Files that go with it in the same turn.
            mime_type: MIME type of ``content``; for a file it is guessed from its name when not given.
            filename: Name of ``content`` when it is a file.
            progress: Called with the number of the files' bytes that have left, and with their sum, or None
                where it is not known; True shows a bar (needs tqdm). It runs in the middle of the
                message, so it must not use the session; if it raises, the message does not arrive.

        Large files are read while they are sent, as far as they went when `send` was called. One that
        cannot be opened is an error before anything is sent. When reading one fails later, when it shrinks
        or is overwritten meanwhile, or on Ctrl-C, the message must not arrive in half: the link is cut, and
        opened again as after any loss.

        Raises:
            TypeError: Something is of a type that cannot be sent.
            ValueError: The message is empty, or holds what JSON cannot.
            OSError: A file cannot be read.
            SessionDisconnectedError: The session is not connected, or its link broke.
            SessionTimeoutError: The message did not go out in ``send_timeout`` seconds.
        """
        connection, session_id = self._connected()
        connection.poster.post(_message(session_id, content, files, mime_type, filename), progress=progress)

    def send_many(self, messages: Iterable[SendManyItem], *, progress: Progress | None = None) -> None:
        """Sends several messages as one turn.

        Args:
            messages: Contents as for `send`, `UserSessionMessage` (its content, then its files), or
                `SessionMessage` from a history (its text, if any).
            progress: As for `send`.

        Raises:
            TypeError: Something is of a type that cannot be sent.
            ValueError: There is nothing to send, or it holds what JSON cannot.
            OSError: A file cannot be read.
            SessionDisconnectedError: The session is not connected, or its link broke.
            SessionTimeoutError: The batch did not go out in ``send_timeout`` seconds.
        """
        connection, session_id = self._connected()
        connection.poster.post(frames.post_messages(session_id, encode_batch(messages)), progress=progress)

    # ---- turns ---------------------------------------------------------------------------------

    def ask(
        self,
        content: Content,
        *,
        timeout: float | None = None,
        idle_timeout: float | None = None,
        on_approval: ApprovalHandler | None = None,
        files: Sequence[FileContent] | None = None,
        mime_type: str | None = None,
        filename: str | None = None,
        progress: Progress | None = None,
        show: bool = False,
    ) -> Reply:
        """Sends one user message, waits until the turn ends, and gives the whole answer.

        Args:
            content: As for `send`.
            timeout: Seconds that the whole call may take; None for as long as it takes.
            idle_timeout: Seconds that may pass between two events.
            on_approval: Decides about approval requests of this turn, before the registered handlers.
            files: As for `send`.
            mime_type: As for `send`.
            filename: As for `send`.
            progress: As for `send`.
            show: Whether the answer is shown as it comes: in a notebook as Markdown below the cell, with a quiet
                line for each tool, thought and approval; elsewhere as text on standard output.

        Raises:
            SessionTimeoutError: The turn did not end in time; see `Turn.result`.
            ApprovalRequiredError: It waits for an approval that no handler gives; answer the error's
                ``request`` and go on with its ``turn``.
            ReauthRequiredError: It waits for an authorisation that no handler sees to.
            SessionError: As for `send`; or the engine refused the message.
            Exception: What an approval handler raised; the request was denied.
        """
        start = functools.partial(
            self.stream,
            content,
            timeout=timeout,
            idle_timeout=idle_timeout,
            files=files,
            mime_type=mime_type,
            filename=filename,
            progress=progress,
        )
        if show:
            from sessionlib.notebook import show_turn

            return show_turn(start, on_approval)
        turn = start(on_approval=on_approval)
        try:
            return turn.result()
        except BaseException as error:
            if getattr(error, "turn", None) is not turn:
                turn.close()  # nobody can go on with it, though the error's traceback would keep it
            raise

    @overload
    def chat(self, content: Content, *, wait: Literal[True] = True, **options: Any) -> Reply: ...

    @overload
    def chat(self, content: Content, *, wait: Literal[False], **options: Any) -> LiveReply: ...

    @overload
    def chat(self, content: Content, *, wait: bool, **options: Any) -> Reply | LiveReply: ...

    def chat(
        self, content: Content, *, wait: bool = True, on_approval: ApprovalHandler | None = None, **options: Any
    ) -> Reply | LiveReply:
        """Says something and shows the answer as it comes; for notebooks and the interactive interpreter.

        It shows what ``ask(show=True)`` shows, and where no handler decides about an approval, it asks: a cell
        that waits gets a prompt, because a kernel takes in no clicks while a cell runs. With ``wait=False`` the
        cell ends at once, the answer streams in below it all the same, and approvals are forms to click; the
        kernel sees to it between cells, and pauses while one runs, so ``idle_timeout`` does not count then. Where
        there is no kernel, or nobody to click (a notebook run as a script), ``wait=False`` waits as well.

        Args:
            content: As for `send`.
            wait: Whether the call waits for the end of the turn.
            on_approval: As for `ask`.
            **options: Further arguments of `ask`.

        Returns:
            The whole answer, which is not displayed once more; with ``wait=False`` a `LiveReply`, whose ``reply``
            is that.

        Raises:
            SessionError: As for `ask`.
            MissingExtraError: ``wait=False`` needs ipywidgets.
            Exception: What an approval handler raised; the request was denied.
        """
        from sessionlib.notebook import begin, show_turn

        start = functools.partial(self.stream, content, **options)
        return show_turn(start, on_approval, ask=True) if wait else begin(start, on_approval)

    def stream(
        self,
        content: Content,
        *,
        timeout: float | None = None,
        idle_timeout: float | None = None,
        on_approval: ApprovalHandler | None = None,
        files: Sequence[FileContent] | None = None,
        mime_type: str | None = None,
        filename: str | None = None,
        progress: Progress | None = None,
    ) -> Turn:
        """Sends one user message and gives its turn, to iterate over; arguments and errors as for `ask`."""
        connection, session_id = self._connected()
        if on_approval is not None:
            check_handler(on_approval)
        deadline = Deadline(timeout)
        message = _message(session_id, content, files, mime_type, filename)
        post = connection.poster.post(message, attend=True, within=deadline, progress=progress)
        return Turn(
            TurnEvents(
                connection.hub,
                self._approvals,
                post,
                session_id=session_id,
                deadline=deadline,
                idle_timeout=idle_timeout,
                on_approval=on_approval,
            )
        )


def _message(
    session_id: str,
    content: object,
    files: Sequence[FileContent] | None,
    mime_type: str | None,
    filename: str | None,
) -> frames.Frame:
    if content.__class__ is str and content and not files and mime_type is None:  # as nearly always
        return frames.post_message(session_id, content)
    encoded = encode_message(content, files=files or (), mime_type=mime_type, filename=filename)
    return frames.post_messages(session_id, encoded) if files else frames.post_message(session_id, encoded[0])


def _owner(owner_type: str, owner_id: str) -> Owner | None:
    if not owner_type and not owner_id:
        return None
    return Owner(check_id("owner_type", owner_type), check_id("owner_id", owner_id))
