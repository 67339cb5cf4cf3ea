"""The session: what users open, send messages to, and listen to."""

from __future__ import annotations

import functools
import sys
import threading
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, overload

from sessionlib._util.executor import SerialExecutor
from sessionlib._util.timing import Deadline
from sessionlib._util.typed import AnswerFormat, T, answer_format
from sessionlib.approvals import (
    ApprovalHandler,
    ApprovalManager,
    ApprovalRequest,
    ReauthHandler,
    check_handler,
)
from sessionlib.approvals.models import ApprovalRecords, ShownRequest
from sessionlib.config import ApiKey, ConnectionSettings, Endpoint, check_id, check_readers
from sessionlib.connection.connection import Connection
from sessionlib.connection.join import load_transport
from sessionlib.connection.options import Callbacks, ConnectionOptions, Owner
from sessionlib.connection.sender import Progress
from sessionlib.connection.state import StateCallback, StateObservers
from sessionlib.content import (
    ApprovalResponse,
    Content,
    FileContent,
    SendManyItem,
    UserSessionMessage,
    encode_batch,
    encode_message,
)
from sessionlib.display.text import clean, count_of
from sessionlib.errors import (
    AnswerFormatError,
    SessionDisconnectedError,
    SessionError,
    SessionProtocolError,
    SessionTerminatedError,
)
from sessionlib.events import SessionEvent, SessionEventType, SessionMessage
from sessionlib.net.proxies import Certificates, check_proxy, trusting
from sessionlib.protocol import frames
from sessionlib.protocol.client import SessionState
from sessionlib.protocol.turns import PendingPost
from sessionlib.reply import Reply
from sessionlib.streams.listener import Listener
from sessionlib.streams.mailbox import TimedMailbox
from sessionlib.streams.stats import SessionStats, no_stats
from sessionlib.turn import Turn

if TYPE_CHECKING:
    from sessionlib.client import Client
    from sessionlib.history import History
    from sessionlib.notebook import LiveReply

__all__ = ["ApprovalResponse", "Session", "SessionDisconnectedError", "SessionError", "UserSessionMessage"]

_Farewell = Callable[[str], frames.Frame]


class Session:
    """A live session with an agent or chatbot, blocking throughout.

    Made by `Agent.create_session` and the like, or directly. A thread of its own reads what the
    engine sends, so that nothing is lost and the connection stays alive whatever the caller is doing::

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
        client: Where key, URLs, proxy, TLS, ``allow_insecure``, headers, and the time for each reconnect come from
            when they are not given.
        reconnect: Whether a lost connection is re-opened, the session joined again, and the gap closed from
            its history.
        reconnect_delay: The longest wait before the first try, in seconds; it doubles with each.
        reconnect_max_delay: The longest wait before any try, in seconds.
        reconnect_timeout: Seconds to go on trying before the session counts as lost; None for ever.
        allow_insecure: Lets the key travel unencrypted to another machine.
        max_message_size: The largest message accepted, in bytes.
        ping_interval: Seconds of silence after which a WebSocket ping is sent. The session's own pings leave every
            5 s, or every so much if that is less.
        pong_timeout: Seconds after a ping in which something has to arrive before the connection counts as dead.
        send_timeout: Seconds that a message may take to go out; None for as long as it takes.
        backlog_size: How many events wait for the next `listen` while none is open.
        tls: What to verify the engine by, as for `Client`; None for the client's, or the default certificates.
        proxy: URL of the HTTP proxy to go through, such as ``http://user:password@host:3128``; "" for
            none; None for what the environment sets (``https_proxy``, ``all_proxy``, ``no_proxy`` and
            their like). An engine on this machine is never reached through a proxy.
        readers: How many threads read all sessions of this process that ask for it, as for `Client`; else
            ``client``'s.

    Attributes:
        agent_name: The name of the agent or chatbot, where that is known; telemetry reports it.

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
        tls: Certificates | None = None,
        proxy: str | None = None,
        readers: int | None = None,
    ) -> None:
        settings = ConnectionSettings() if client is None else client.connection_settings()
        if client is not None and base_url is None:
            base_url, ws_url = client.endpoint.base_url, ws_url or client.endpoint.ws_url
        api_key = client.endpoint.source if client is not None and api_key is None else api_key
        if proxy:  # a client has checked its own
            check_proxy(proxy if "://" in proxy else f"http://{proxy}", "proxy")
        load_transport()
        insecure = allow_insecure or settings.allow_insecure
        self._endpoint = Endpoint.resolve(api_key, base_url, ws_url, allow_insecure=insecure)
        self._owner = owner = _owner(owner_type, owner_id)
        self._session_id = None if session_id is None else check_id("session_id", session_id)
        self._options = ConnectionOptions(
            reconnect=reconnect,
            reconnect_delay=reconnect_delay,
            reconnect_max_delay=reconnect_max_delay,
            reconnect_timeout=reconnect_timeout,
            max_message_size=max_message_size,
            ping_interval=ping_interval,
            pong_timeout=pong_timeout,
            send_timeout=send_timeout,
            backlog_size=backlog_size,
            tls=settings.tls if tls is None else trusting(tls),
            proxy=settings.proxy if proxy is None else proxy,
            proxy_always=proxy is None and settings.proxy is not None,
            headers=settings.headers,
            connect_timeout=settings.timeout or ConnectionOptions.connect_timeout,
            readers=settings.readers if readers is None else check_readers(readers),
        )
        self.agent_name: str | None = None
        self._changing = threading.Lock()  # held while the session connects or leaves: two threads do not do it at once
        self._connection: Connection | None = None
        # Not a method of ours: the executor's thread must not keep a forgotten session alive.
        self._executor = SerialExecutor(lambda: (owner.object_id if owner else session_id) or "")
        self._observers = StateObservers(self._executor)
        self._approvals = ApprovalManager(self, self._send_answer, self._executor)
        self._terminated = False

    # ---- connecting and leaving ----------------------------------------------------------------

    @property
    def session_id(self) -> str | None:
        """The session's id; None before it was created."""
        return self._connection.session_id if self._connection is not None else self._session_id

    @property
    def is_connected(self) -> bool:
        """Whether the session is joined, or being joined again after its connection was lost."""
        return self._connection is not None and self._connection.channel.is_open

    @property
    def state(self) -> SessionState:
        """Where the session's connection is."""
        if self._terminated:
            return SessionState.TERMINATED
        return SessionState.DISCONNECTED if self._connection is None else self._connection.channel.state

    @property
    def stats(self) -> SessionStats:
        """What happened since the session was connected, in numbers: counts, queues, round trips, turns."""
        return no_stats() if self._connection is None else self._connection.hub.stats()

    def on_state(self, callback: StateCallback) -> Callable[[], None]:
        """Registers a callback for changes of `state`; as a call or as a decorator.

        It gets the new state, on a thread that the session keeps for callbacks, in order.

        Args:
            callback: The callback.

        Returns:
            The function that unregisters it.
        """
        return self._observers.register(callback)

    def connect(self, timeout: float | None = 30.0) -> Session:
        """Opens the socket, creates or joins the session, and starts to read.

        Does nothing when already connected.

        Args:
            timeout: Seconds that all of it may take together; None for as long as it takes.

        Returns:
            The session itself.

        Raises:
            ConfigurationError: There is no usable API key.
            SessionConnectionError: The engine cannot be reached.
            HandshakeError: It refused the connection; also the `ApiError` of its status.
            SessionTerminatedError: The session was terminated.
            ForkedSessionError: The parent of this process has it connected.
            SessionError: The engine refused the session, or there is nothing to create one from.
            SessionTimeoutError: It took too long.
        """
        deadline = Deadline(timeout)
        if self._connection is not None and self.is_connected:
            self._connection.channel.check_process()
        with self._changing:
            if self._terminated:
                raise SessionTerminatedError(
                    f"session {self.session_id} was terminated; create a new one", session_id=self.session_id
                )
            if not self.is_connected:
                if self._connection is not None:
                    # The thread of the connection before may still be on its way out.
                    self._connection.await_end(deadline)
                # A new one each time: a connection is used once, as its queues and its thread are.
                self._connection = self._new_connection()
                self._connection.open(deadline)
        return self

    def disconnect(self) -> None:
        """Detaches this client; the session lives on in the engine and can be resumed by its id.

        Every listener's iteration ends. Does nothing when not connected. With ``readers``, the heartbeat thread
        closes the socket behind it, once the engine has answered or after half a second.
        """
        self._leave(frames.disconnect_session, SessionState.DISCONNECTED)

    def terminate(self) -> None:
        """Asks the engine to destroy the session, then detaches; it cannot be resumed.

        Does nothing when not connected. Over a connection that is down, or that has to be closed in the
        middle of another thread's upload, the request cannot be sent: the engine still has the session then.
        """
        if self.is_connected:
            # Noted only behind it: if it raises, the session can still be terminated.
            self._leave(frames.terminate_session, SessionState.TERMINATED)
            self._terminated = True

    def __enter__(self) -> Session:
        return self.connect()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.disconnect()

    def __del__(self) -> None:
        if not hasattr(self, "_terminated"):  # the constructor raised
            return
        # Without waiting, as in all of a finalizer.
        self._executor.stop(0.0)
        connection = self._connection
        if connection is not None and connection.channel.is_open:
            connection.discard()
            # No repr, which takes the hub's lock: the collector may run inside it.
            details = f"session {self.session_id} at {self._endpoint.host} was never disconnected"
            warnings.warn(details, ResourceWarning, stacklevel=2, source=self)

    def __repr__(self) -> str:
        waiting = f"{count_of(self._waiting, 'event')} waiting"
        return f"<Session {self.session_id or 'new'} at {self._endpoint.host}: {self.state}, {waiting}>"

    @property
    def _waiting(self) -> int:
        return sum(self._connection.hub.depths) if self._connection is not None else 0

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError("a Session cannot be pickled or copied; pass its session_id and resume it there")

    def _repr_html_(self) -> str:
        asked = self.approvals
        still_open = sum(record.is_open for record in asked)
        counts = f"{count_of(self._waiting, 'event')} waiting · {count_of(len(asked), 'approval')}, {still_open} open"
        details = f" at {self._endpoint.host} · {self.state} · {counts}"
        from sessionlib.display.markup import fold, in_code, safe_html  # for notebooks alone

        return fold(f"Session {in_code(self.session_id or 'new')}{safe_html(details)}")

    # ---- sending -------------------------------------------------------------------------------

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
        or is overwritten meanwhile, or on Ctrl-C, the message must not arrive in half: the connection is closed, and
        opened again as after any loss.

        Raises:
            TypeError: Something is of a type that cannot be sent.
            ValueError: The message is empty, or holds what JSON cannot.
            OSError: A file cannot be read.
            SessionDisconnectedError: The session is not connected, or its connection broke.
            SessionTimeoutError: The message did not go out in ``send_timeout`` seconds.
        """
        connection, session_id = self._connected()
        connection.sender.post(_message(session_id, content, files, mime_type, filename), progress=progress)

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
            SessionDisconnectedError: The session is not connected, or its connection broke.
            SessionTimeoutError: The batch did not go out in ``send_timeout`` seconds.
        """
        connection, session_id = self._connected()
        connection.sender.post(frames.post_messages(session_id, encode_batch(messages)), progress=progress)

    # ---- turns ---------------------------------------------------------------------------------

    @overload
    def ask(
        self,
        content: Content,
        *,
        into: None = None,
        timeout: float | None = ...,
        idle_timeout: float | None = ...,
        on_approval: ApprovalHandler | None = ...,
        files: Sequence[FileContent] | None = ...,
        mime_type: str | None = ...,
        filename: str | None = ...,
        progress: Progress | None = ...,
        show: bool = ...,
    ) -> Reply[None]: ...

    @overload
    def ask(
        self,
        content: Content,
        *,
        into: type[T],
        timeout: float | None = ...,
        idle_timeout: float | None = ...,
        on_approval: ApprovalHandler | None = ...,
        files: Sequence[FileContent] | None = ...,
        mime_type: str | None = ...,
        filename: str | None = ...,
        progress: Progress | None = ...,
        show: bool = ...,
    ) -> Reply[T]: ...

    def ask(
        self,
        content: Content,
        *,
        into: type[Any] | None = None,
        timeout: float | None = None,
        idle_timeout: float | None = None,
        on_approval: ApprovalHandler | None = None,
        files: Sequence[FileContent] | None = None,
        mime_type: str | None = None,
        filename: str | None = None,
        progress: Progress | None = None,
        show: bool = False,
    ) -> Reply[Any]:
        """Sends one user message, waits until the turn ends, and returns the whole answer.

        Args:
            content: As for `send`.
            into: The type of the answer: a dataclass, TypedDict or pydantic model. The agent is asked for JSON that
                fits its schema, and once again, with what is wrong, when the answer does not fit. Needs pydantic.
            timeout: Seconds that the whole call may take; None for as long as it takes.
            idle_timeout: Seconds that may pass between two events.
            on_approval: Decides about approval requests of this turn, before the registered handlers.
            files: As for `send`.
            mime_type: As for `send`.
            filename: As for `send`.
            progress: As for `send`.
            show: Whether the answer is shown as it comes: in a notebook as Markdown below the cell, with a quiet
                line for each tool, thought and approval; elsewhere as text on standard output.

        Returns:
            The answer; with ``into``, its ``value`` is of that type.

        Raises:
            AnswerFormatError: Neither answer holds a value of the type; the error has both.
            TypeError: ``into`` is no type with a JSON schema.
            SessionTimeoutError: The turn did not end in time; see `Turn.result`.
            ApprovalRequiredError: It waits for an approval that no handler answers; answer the error's
                ``request`` and go on with its ``turn``.
            ReauthRequiredError: It waits for an authorisation that no handler takes.
            SessionError: As for `send`; or the engine refused the message.
            Exception: What an approval handler raised; the request was denied.
        """
        deadline = Deadline(timeout)
        start = functools.partial(self.stream, into=into, idle_timeout=idle_timeout)
        message = functools.partial(
            start, content, timeout=timeout, files=files, mime_type=mime_type, filename=filename, progress=progress
        )
        try:
            return _await_reply(message, on_approval, show)
        except AnswerFormatError as first:
            if into is None or first.turn_error is not None:
                raise
            correction = answer_format(into).correction(first.reason)
            try:
                again = functools.partial(start, correction, timeout=deadline.remaining())
                return _await_reply(again, on_approval, show)
            except AnswerFormatError as second:
                # Both answers, for a person who wants to see what the model made of it.
                second.texts = first.texts + second.texts
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
        """Sends a message and shows the answer as it comes; for notebooks and the interactive interpreter.

        It shows what ``ask(show=True)`` shows, and where no handler decides about an approval, it asks: a cell
        that waits gets a prompt, because a kernel takes in no clicks while a cell runs. With ``wait=False`` the
        cell ends at once, the answer streams in below it all the same, and approvals are forms to click; the
        kernel handles it between cells, and pauses while one runs, so ``idle_timeout`` does not count then. Where
        there is no kernel, or no person to click (a notebook run as a script), ``wait=False`` waits as well.

        Args:
            content: As for `send`.
            wait: Whether the call waits for the end of the turn.
            on_approval: As for `ask`.
            **options: Further arguments of `ask`.

        Returns:
            The whole answer, which is not displayed again; with ``wait=False`` a `LiveReply`, whose ``reply``
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
        into: type[Any] | None = None,
        timeout: float | None = None,
        idle_timeout: float | None = None,
        on_approval: ApprovalHandler | None = None,
        files: Sequence[FileContent] | None = None,
        mime_type: str | None = None,
        filename: str | None = None,
        progress: Progress | None = None,
    ) -> Turn:
        """Sends one user message and returns its turn, to iterate over; arguments and errors as for `ask`.

        With ``into``, the turn's ``result`` has the value, or raises; nothing is asked again.

        What is not read waits, up to 8 MiB of it: deltas of a message are joined then, and where that is not enough,
        further ones are dropped and reported by one ERROR event, as for `listen`; the complete message has the whole
        text.
        """
        form = None if into is None else answer_format(into)
        connection, session_id = self._connected()
        if on_approval is not None:
            check_handler(on_approval)
        deadline = Deadline(timeout)
        message = _message(session_id, content, files, mime_type, filename, form)
        if form is not None and "response_format" in connection.protocol.features:
            # Where the engine can hold the model to the schema; elsewhere the answer is only checked.
            message = frames.with_response_format(message, form.name, form.schema)
        # Filled within `post`, so that an interrupt finds the mailbox wherever it strikes.
        opened: list[TimedMailbox] = []
        try:
            post = connection.sender.post(message, attend=opened, within=deadline, progress=progress)
            return Turn(
                connection.hub,
                self._approvals,
                post,
                opened[-1],  # of the attempt that left
                session_id=session_id,
                deadline=deadline,
                idle_timeout=idle_timeout,
                on_approval=on_approval,
                form=form,
            )
        except BaseException:
            for unread in opened:  # interrupted when the message had left and its turn has no reader yet
                connection.hub.discarded.append(unread)
            raise

    # ---- listening -----------------------------------------------------------------------------

    def listen(
        self,
        *,
        event_types: Iterable[SessionEventType | str] | None = None,
        maxsize: int = 1024,
        timeout: float | None = None,
    ) -> Listener:
        """Registers a listener, at once, and returns it: a blocking iterator over the session's events.

        It begins with what arrived since the last `send` while no listener was open. When more than ``maxsize``
        events or 8 MiB of them wait to be read, further ones are dropped and reported by one ERROR event with
        ``data["error"] == "subscriber queue overflow"``.

        Args:
            event_types: The kinds of event to receive; None for all.
            maxsize: How many events may wait to be read; 0 for any number and size.
            timeout: Longest wait for one event, in seconds, past which the iteration raises
                `SessionTimeoutError` and can go on; None for as long as it takes.

        Raises:
            SessionDisconnectedError: The session is not connected.
            ValueError: ``event_types`` holds something that is no type of event.
        """
        connection = self._connection
        if connection is not None:
            # In a fork the listener would wait for ever: the thread that fills it is the parent's.
            connection.channel.check_process()
        # What came before the connection was lost can still be read.
        if connection is None or not (connection.channel.is_open or connection.hub.has_backlog):
            connection, _ = self._connected()
        return Listener(
            connection.hub, connection.session_id, event_types=event_types, maxsize=maxsize, timeout=timeout
        )

    def get_messages(self, timeout: float | None = 30.0) -> list[SessionMessage]:
        """Returns the session's history, oldest first.

        Args:
            timeout: Seconds that it may take; None for as long as it takes.

        Raises:
            SessionDisconnectedError: The session is not connected, or its connection broke.
            SessionTimeoutError: The engine did not answer in time.
            MessageTooLargeError: It is larger than ``max_message_size``, and the engine cannot send it in parts.
            SessionProtocolError: It answered with something else than a list of messages.
            SessionError: It refused.
        """
        connection, session_id = self._connected()
        return [SessionMessage.from_dict(message) for message in _history(connection, session_id, Deadline(timeout))]

    def history(self, timeout: float | None = 30.0) -> History:
        """Returns the history as a list that can be saved and looked at; arguments and errors as for `get_messages`."""
        from sessionlib.history import History  # with all that files and tables need

        return History(self.get_messages(timeout))

    # ---- approvals -----------------------------------------------------------------------------

    @property
    def approvals(self) -> ApprovalRecords:
        """What the agent requested approval for so far, and the outcome."""
        return ApprovalRecords(self._approvals.log.records)

    def on_approval(
        self, handler: ApprovalHandler | None = None, *, tool: str | None = None, timeout: float | None = None
    ) -> Any:
        """Registers a handler of approval requests; as a call or as a decorator.

        It gets an `ApprovalRequest` and returns True, False, an `ApprovalResponse`, or None to leave the
        request to the next handler, or to the listeners. If it raises, returns anything else, or takes
        longer than ``timeout``, the request is denied. It runs on the thread that is in `ask` or reads
        a `stream`; for requests of other turns on a thread that this session keeps for it.

        Args:
            handler: The handler; None to use the result as a decorator.
            tool: The tool that it decides about, or a pattern such as "delete_*"; None for all. About a tool whose name
                only looks like that (other case, width, script or invisible characters) it can deny, not approve.
            timeout: Seconds that it may take; None for as long as it takes.

        Returns:
            The function that unregisters it; without ``handler``, a decorator that returns that function.
        """
        if handler is None:
            # What the decorated name stands for then is the function that unregisters it, as with a call.
            return lambda decorated: self._approvals.register(decorated, tool, timeout)
        return self._approvals.register(handler, tool, timeout)

    def on_reauth(self, handler: ReauthHandler) -> Callable[[], None]:
        """Registers a handler of reauthorisation requests; as a call or as a decorator.

        It gets the REAUTH_REQUEST and shows what to do; no frame answers it, and the turn goes on by itself
        once the account is authorised again. It runs where approval handlers do.

        Args:
            handler: The handler; what it returns is ignored.

        Returns:
            The function that unregisters it.
        """
        return self._approvals.register_reauth(handler)

    def respond(
        self,
        event: SessionEvent,
        *,
        approved: bool | None = None,
        confirm: Mapping[str, Any] | None = None,
        deny_reason: str | None = None,
    ) -> None:
        """Answers an event that asks for an answer: an APPROVAL_REQUEST.

        Args:
            event: The request.
            approved: Whether the tool may run.
            confirm: Arguments to run it with instead of the proposed ones, by name.
            deny_reason: The reason that the agent gets when it may not.

        Raises:
            TypeError: The event cannot be answered, or ``approved`` is missing.
            ValueError: The event is another session's, or ``confirm`` holds what JSON cannot.
            ApprovalAlreadyAnsweredError: The request was answered before.
            SessionDisconnectedError: The session is not connected, or its connection broke.
        """
        # No default: silence must not run a tool, and must not deny one either.
        if _event_type(event) is SessionEventType.APPROVAL_REQUEST and approved is None:
            raise TypeError("respond() to an APPROVAL_REQUEST needs approved=True or approved=False")
        self.respond_approval(event, approved=approved or False, confirm=confirm, deny_reason=deny_reason)

    def respond_approval(
        self,
        event: SessionEvent,
        *,
        approved: bool,
        confirm: Mapping[str, Any] | None = None,
        deny_reason: str | None = None,
    ) -> None:
        """Answers an approval request; arguments and errors as for `respond`."""
        if _event_type(event) is not SessionEventType.APPROVAL_REQUEST:
            raise TypeError(f"cannot answer an event of type {event.type}; only an APPROVAL_REQUEST takes an answer")
        _, session_id = self._connected()
        # An answer goes to the session that asked: its id means nothing in another.
        if event.session_id != session_id:
            raise ValueError(f"the request is session {event.session_id}'s and cannot be answered in {session_id}")
        self._approvals.log.answer(event, ApprovalResponse(approved, confirm, deny_reason), by="respond")

    def pending_approvals(self, timeout: float | None = 30.0) -> list[ApprovalRequest]:
        """Returns the approval requests that wait for an answer, oldest first.

        It asks the engine, so that it knows those of before the session was resumed and what was answered elsewhere.

        Args:
            timeout: Seconds that it may take; None for as long as it takes.

        Raises:
            SessionError: As for `get_messages`.
        """
        connection, session_id = self._connected()
        return self._approvals.pending(session_id, _history(connection, session_id, Deadline(timeout)))

    def answer(
        self,
        request: ApprovalRequest | SessionEvent | Mapping[str, Any] | str | bytes,
        *,
        approved: bool,
        confirm: Mapping[str, Any] | None = None,
        deny_reason: str | None = None,
        timeout: float | None = 30.0,
    ) -> None:
        """Answers a request that was kept as JSON, in this process or another; returns once the engine has the answer.

        What is approved is what was shown: a request whose tool or arguments are not those in the JSON is not approved.

        Args:
            request: What `ApprovalRequest.to_json` returned, what that JSON holds, the request itself, or its event.
            approved: Whether the tool may run.
            confirm: Arguments to run it with instead of the proposed ones, by name.
            deny_reason: The reason that the agent gets when it may not.
            timeout: Seconds that it may take; None for as long as it takes.

        Raises:
            ApprovalAlreadyAnsweredError: It was answered before, by anyone, or its turn has ended.
            ValueError: It is no request, another session's, or another one now than was shown; or ``confirm`` holds
                what JSON cannot.
            TypeError: ``request`` is of another type.
            SessionTimeoutError: The engine did not answer in time; whether it has the answer shows
                `pending_approvals`.
            SessionError: As for `get_messages`; or the engine knows no such request, or refused the answer.
        """
        shown, deadline = ShownRequest.read(request), Deadline(timeout)
        connection, session_id = self._connected()
        if shown.session_id != session_id:
            raise ValueError(
                f"the request is session {clean(shown.session_id)}'s and cannot be answered in {session_id}"
            )
        # Before it is compared: what was answered elsewhere shows only in the history.
        self._approvals.pending(session_id, _history(connection, session_id, deadline))
        event = self._approvals.check_shown(shown, approved=approved)
        self._approvals.log.answer(event, ApprovalResponse(approved, confirm, deny_reason), by="answer")
        # An engine handles the frames of a connection in order, so what it thinks of the answer is here before this is.
        _history(connection, session_id, deadline)
        self._approvals.check_taken(event, by="answer")

    # ---- within --------------------------------------------------------------------------------

    def _new_connection(self) -> Connection:
        if self.session_id is None and self._owner is None:
            raise SessionError(
                "there is nothing to create a session from: pass owner_type and owner_id, or a session_id to resume"
            )
        approvals = self._approvals
        callbacks = Callbacks(
            on_request=approvals.note,
            on_delivered=approvals.dispatch,
            on_left=approvals.hand_over,
            on_lost_answer=approvals.log.expect_again,
            on_state=self._observers.notify,
        )
        return Connection(self._endpoint, self._owner, self.session_id, self._options, callbacks, self.agent_name or "")

    def _leave(self, farewell: _Farewell, final: SessionState) -> None:
        connection = self._connection
        if connection is None:
            return
        connection.channel.check_process()
        # Other threads do not run any more, and waiting for one would never end.
        if sys.is_finalizing():
            connection.close_at_exit(_farewell(connection, farewell), final)
            return
        if connection.channel.state is SessionState.CONNECTING:
            connection.cancel()  # so that a thread in connect() releases the lock
        # One thread at a time: of two that leave at once, the second finds the session left.
        with self._changing:
            connection.close(_farewell(connection, farewell), final)
        # Behind the connection: a handler that still runs gets the error of a session that was left.
        self._executor.stop(self._options.close_timeout)

    def _connected(self) -> tuple[Connection, str]:
        usable = self._usable()
        # What a handler raised on the session's own thread has no other way to its user.
        if self._approvals.kept:
            self._approvals.raise_kept()
        return usable

    def _usable(self) -> tuple[Connection, str]:
        connection = self._connection
        session_id = None if connection is None else connection.protocol.session_id
        if connection is None or session_id is None:
            raise SessionDisconnectedError(
                f"session {self.session_id or '(new)'} is not connected; call connect() first",
                session_id=self.session_id,
            )
        if connection.channel.transport is None:
            connection.channel.check_usable()
        return connection, session_id

    def _send_answer(self, event: SessionEvent, content: dict[str, Any]) -> PendingPost:
        # An answer is sent whatever has gone wrong with another.
        connection, session_id = self._usable()
        frame = frames.post_message(session_id, content, event.message_id)
        return connection.sender.post(frame, makes_turn=False)


def _history(connection: Connection, session_id: str, deadline: Deadline) -> list[frames.Frame]:
    """Returns the messages of a session as the engine has them: in parts, where it can send parts."""
    history: list[frames.Frame] = []
    request = connection.protocol.history_request()
    while request is not None:
        reply = connection.sender.call(request, deadline)
        messages = reply.get("messages")
        if not isinstance(messages, list) or not all(isinstance(message, dict) for message in messages):
            raise SessionProtocolError("the history is not a list of messages", session_id=session_id)
        history += messages
        # None behind the last part; an engine that knows no parts sends all in the first.
        request = connection.protocol.history_request(reply)
    return history


def _await_reply(start: Callable[..., Turn], on_approval: ApprovalHandler | None, show: bool) -> Reply[Any]:
    if show:
        from sessionlib.notebook import show_turn

        return show_turn(start, on_approval)
    turn = start(on_approval=on_approval)
    try:
        return turn.result()
    except BaseException as error:
        if getattr(error, "turn", None) is not turn:
            turn.close()  # no caller can go on with it, though the error's traceback would keep it
        raise


def _farewell(connection: Connection, farewell: _Farewell) -> frames.Frame | None:
    session_id = connection.session_id
    return farewell(session_id) if connection.channel.is_open and session_id else None


def _event_type(event: object) -> SessionEventType:
    if not isinstance(event, SessionEvent):
        raise TypeError(f"takes a SessionEvent, not {type(event).__name__}")
    return event.type


def _message(
    session_id: str,
    content: object,
    files: Sequence[FileContent] | None,
    mime_type: str | None,
    filename: str | None,
    form: AnswerFormat[Any] | None = None,
) -> frames.Frame:
    if content.__class__ is str and content and not files and mime_type is None:  # as nearly always
        return frames.post_message(session_id, content if form is None else f"{content}\n\n{form.request}")
    encoded = encode_message(content, files=files or (), mime_type=mime_type, filename=filename)
    if form is not None:
        return frames.post_messages(session_id, [*encoded, form.request])
    return frames.post_messages(session_id, encoded) if files else frames.post_message(session_id, encoded[0])


def _owner(owner_type: str, owner_id: str) -> Owner | None:
    if not owner_type and not owner_id:
        return None
    return Owner(check_id("owner_type", owner_type), check_id("owner_id", owner_id))
