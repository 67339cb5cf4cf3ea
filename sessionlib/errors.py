"""Everything this library raises.

::

    SessionlibError
    ├── ConfigurationError                  also a ValueError
    │   └── InsecureTransportError
    ├── ApiError                            an HTTP status that is not a success
    │   ├── BadRequestError                 400
    │   ├── AuthenticationError             401
    │   ├── PermissionDeniedError           403
    │   ├── NotFoundError                   404
    │   ├── UnprocessableEntityError        422
    │   ├── RateLimitError                  429
    │   ├── InternalServerError             5xx
    │   ├── PipelineRunFailedError          never raised here
    │   └── PollTimeoutError                never raised here; also a TimeoutError
    ├── ApiConnectionError                  no HTTP answer at all
    │   └── ApiTimeoutError
    ├── ConversationalRunActionRequiredError  also a RuntimeError
    ├── TemplateReferenceError              also a ValueError
    ├── MissingExtraError                   also an ImportError
    └── SessionError
        ├── HandshakeError                  always also the ApiError kind of its status
        ├── SessionDisconnectedError
        │   └── SessionConnectionError      also an ApiConnectionError: never got through
        ├── SessionTimeoutError             also a TimeoutError
        ├── SessionTerminatedError
        ├── SessionProtocolError
        │   └── MessageTooLargeError
        ├── DeliveryUnknownError
        ├── UnansweredError
        ├── AnswerFormatError
        ├── ApprovalRequiredError
        ├── ReauthRequiredError
        ├── ApprovalAlreadyAnsweredError
        └── ForkedSessionError

Facts are in attributes; a message names what happened, to what, and what to do next. No message
holds an API key, a header or a response body.

The official SDK's (``vectorshift`` 0.1.15) other names are names of the same classes, so that ported ``except``
clauses go on working: for `SessionlibError` VectorshiftError and VectorShiftError, for `ApiError` ApiStatusError and
further spellings of it, and for the connection errors those with API in capitals.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sessionlib._util.text import clean

if TYPE_CHECKING:
    from sessionlib.approvals import ApprovalRequest
    from sessionlib.events import SessionEvent
    from sessionlib.turn import Turn

__all__ = [
    "APIConnectionError",
    "APIStatusError",
    "APITimeoutError",
    "AnswerFormatError",
    "ApiConnectionError",
    "ApiError",
    "ApiStatusError",
    "ApiTimeoutError",
    "ApprovalAlreadyAnsweredError",
    "ApprovalRequiredError",
    "AuthenticationError",
    "BadRequestError",
    "ConfigurationError",
    "ConversationalRunActionRequiredError",
    "DeliveryUnknownError",
    "ForkedSessionError",
    "HandshakeError",
    "InsecureTransportError",
    "InternalServerError",
    "MessageTooLargeError",
    "MissingExtraError",
    "NotFoundError",
    "PermissionDeniedError",
    "PipelineRunFailedError",
    "PollTimeoutError",
    "RateLimitError",
    "ReauthRequiredError",
    "SessionConnectionError",
    "SessionDisconnectedError",
    "SessionError",
    "SessionProtocolError",
    "SessionTerminatedError",
    "SessionTimeoutError",
    "SessionlibError",
    "TemplateReferenceError",
    "UnansweredError",
    "UnprocessableEntityError",
    "VectorShiftAPIError",
    "VectorShiftError",
    "VectorshiftApiError",
    "VectorshiftError",
]


class SessionlibError(Exception):
    """Base class of everything this library raises on purpose.

    Attributes:
        message: The text of the error; without control characters, as a traceback prints it on a terminal.
    """

    def __init__(self, message: str = "") -> None:
        # Messages quote what an engine or a server sent, which may hold escape sequences.
        # Before `args` is set, which is what a traceback prints.
        message = clean(message)
        super().__init__(message)
        self.message = message


class ConfigurationError(SessionlibError, ValueError):
    """A key, URL or id that cannot be used; raised before anything is sent."""


class InsecureTransportError(ConfigurationError):
    """An API key would have to travel unencrypted to another machine."""


class ApiError(SessionlibError):
    """The server answered with an HTTP status that is not a success.

    Attributes:
        status_code: The HTTP status, 100 to 599.
        method: The HTTP method.
        endpoint: The path of the call below the base URL, without a query.
        error_message: The server's message; "" when it sent nothing readable.
        retry_after: Seconds that the server asked to wait, or None.
        raw_response: The beginning of the response's body, without the API key; "" where there was none, or where a
            WebSocket handshake was refused. It is part of no message.
    """

    def __init__(
        self,
        status_code: int,
        method: str,
        endpoint: str,
        error_message: str = "",
        *,
        retry_after: float | None = None,
        raw_response: str = "",
    ) -> None:
        self.status_code = status_code
        self.method = method
        self.endpoint = endpoint
        self.error_message = error_message
        self.retry_after = retry_after
        self.raw_response = raw_response
        super().__init__(self._describe())

    def _describe(self) -> str:
        reason_given = f": {self.error_message}" if self.error_message else ""
        hint = _HINTS.get(self.status_code // 100 * 100 if self.status_code >= 500 else self.status_code, "")
        return f"{self.method} {self.endpoint} was answered with {self.status_code}{reason_given}{hint}"

    # By the function that chose the class: the classes of handshakes are made at run time.
    def __reduce__(self) -> tuple[Any, ...]:
        details = (self.status_code, self.method, self.endpoint, self.error_message, self.retry_after)
        return (api_error, (*details, isinstance(self, HandshakeError), self.raw_response))


_HINTS = {
    401: ". Check the API key.",
    403: ". The API key has no permission for this.",
    404: ". Check the id or name, and the base URL, which usually ends in /v1.",
    429: ". Wait, then try again.",
    500: ". The server failed; try again later.",
}


class BadRequestError(ApiError):
    """HTTP 400: the server could not interpret the request."""


class AuthenticationError(ApiError):
    """HTTP 401: the API key is missing, wrong or expired."""


class PermissionDeniedError(ApiError):
    """HTTP 403: the API key may not do this."""


class NotFoundError(ApiError):
    """HTTP 404: no such object."""


class UnprocessableEntityError(ApiError):
    """HTTP 422: the server understood the request and refused its contents."""


class RateLimitError(ApiError):
    """HTTP 429: too many requests; see ``retry_after``."""


class InternalServerError(ApiError):
    """HTTP 5xx: the server failed."""


class PipelineRunFailedError(ApiError):
    """A run of a pipeline failed; nothing here runs pipelines, so only code that is ported has a use for it.

    Attributes:
        task_id: The run.
        run_error: What went wrong.
    """

    def __init__(self, task_id: str, error: str = "") -> None:
        self.task_id = task_id
        self.run_error = error
        # No HTTP status belongs to it; the SDK has it below its API errors all the same.
        super().__init__(0, "", "", error, raw_response=error)

    def _describe(self) -> str:
        return f"pipeline run {self.task_id} failed{f': {self.run_error}' if self.run_error else ''}"

    def __reduce__(self) -> tuple[Any, ...]:
        return (PipelineRunFailedError, (self.task_id, self.run_error))


class PollTimeoutError(ApiError, TimeoutError):
    """A run of a pipeline did not end in time; nothing here runs pipelines, see `PipelineRunFailedError`.

    Attributes:
        task_id: The run.
        timeout: Seconds that it was given.
    """

    def __init__(self, task_id: str, timeout: float) -> None:
        self.task_id = task_id
        self.timeout = timeout
        super().__init__(0, "", "")

    def _describe(self) -> str:
        return f"pipeline run {self.task_id} did not end within {self.timeout:g} s"

    def __reduce__(self) -> tuple[Any, ...]:
        return (PollTimeoutError, (self.task_id, self.timeout))


class ApiConnectionError(SessionlibError):
    """There was no HTTP response: refused, unreachable, disconnected, or not HTTP.

    Attributes:
        request_info: ``method`` and ``endpoint`` of the call, as in the official SDK; None where it was no call.
    """

    def __init__(self, message: str = "", *, request_info: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.request_info = request_info


class ApiTimeoutError(ApiConnectionError):
    """The HTTP response did not arrive in time."""


class ConversationalRunActionRequiredError(SessionlibError, RuntimeError):
    """A one-shot run of a conversational agent waits for an approval, and no handler answers it.

    Attributes:
        event: The request.
        session_id: The session that waits; resume it to answer.
    """

    def __init__(self, event: SessionEvent, session_id: str) -> None:
        super().__init__(
            f"the run waits for an answer ({event.type.value}); "
            f"use agent.resume_session({session_id!r}) to see the request and answer it"
        )
        self.event = event
        self.session_id = session_id

    def __reduce__(self) -> tuple[Any, ...]:
        return (ConversationalRunActionRequiredError, (self.event, self.session_id))


class TemplateReferenceError(SessionlibError, ValueError):
    """A ``[[placeholder]]`` in an agent's texts is malformed, or names what the agent does not have."""


class MissingExtraError(SessionlibError, ImportError):
    """An optional dependency is not installed.

    Attributes:
        extra: The extra that brings it, as in ``pip install 'sessionlib[plot]'``.
    """

    def __init__(self, message: str = "", *, extra: str = "") -> None:
        super().__init__(message)
        self.extra = extra


class SessionError(SessionlibError):
    """A session operation failed.

    Args:
        message: What happened, and what to do next; "session ID: " is put before it, unless it begins so already.
        session_id: The session.

    Attributes:
        session_id: The session that it happened to, or None when there is none yet.
        engine_reason: The engine's own text where it refused to create or to join a session, else None.
    """

    engine_reason: str | None = None

    def __init__(self, message: str = "", *, session_id: str | None = None) -> None:
        # Many messages go on from "session ID" in a sentence of their own, and an error that is copied or was
        # unpickled is made of a message that is complete.
        if message and session_id and not message.startswith(f"session {session_id}"):
            message = f"session {session_id}: {message}"
        super().__init__(message)
        self.session_id = session_id

    def __reduce__(self) -> tuple[Any, ...]:
        # A turn and an open request are tied to a live connection, which does not travel.
        facts = {name: None if name in ("turn", "request") else fact for name, fact in self.__dict__.items()}
        return (_rebuild, (type(self), self.args, facts))


class HandshakeError(SessionError):
    """The server answered the WebSocket handshake with a status other than 101.

    What is raised is always also the `ApiError` kind of that status, so ``except
    AuthenticationError`` and ``except SessionError`` both catch a refused key.
    """


class SessionDisconnectedError(SessionError):
    """The session is not connected, or its connection was lost for good.

    Attributes:
        code: The WebSocket close code (RFC 6455, 7.4), or None when there was no close frame.
        reason: The close frame's reason, or "".
    """

    def __init__(
        self,
        message: str = "",
        *,
        session_id: str | None = None,
        code: int | None = None,
        reason: str = "",
    ) -> None:
        super().__init__(message, session_id=session_id)
        self.code = code
        self.reason = reason


class SessionConnectionError(SessionDisconnectedError, ApiConnectionError):
    """The engine could not be reached: name resolution, TCP, TLS or proxy.

    Attributes:
        transient: Whether trying again later can help; not so for a bad certificate.
    """

    def __init__(self, message: str = "", *, session_id: str | None = None, transient: bool = True) -> None:
        super().__init__(message, session_id=session_id)
        self.transient = transient


class SessionTimeoutError(SessionError, TimeoutError):
    """An operation did not finish within its timeout; the session stays usable.

    Attributes:
        turn: The turn that did not end in time, which can be waited for again; None for other waits.
    """

    turn: Turn | None = None


class SessionTerminatedError(SessionError):
    """The session was terminated; its id cannot be used again."""


class SessionProtocolError(SessionError):
    """The peer violated the protocol.

    Attributes:
        close_code: The WebSocket close code that this client answers with.
        transient: Whether joining the session again can help.
    """

    transient = False

    def __init__(self, message: str = "", *, session_id: str | None = None, close_code: int = 1002) -> None:
        super().__init__(message, session_id=session_id)
        self.close_code = close_code


class MessageTooLargeError(SessionProtocolError):
    """A message, sent or received, is larger than allowed.

    Attributes:
        size: Its declared size in bytes, or None when unknown.
        limit: The largest size allowed, in bytes, or None when only the peer knows it.
    """

    def __init__(
        self,
        message: str = "",
        *,
        session_id: str | None = None,
        size: int | None = None,
        limit: int | None = None,
    ) -> None:
        super().__init__(message, session_id=session_id, close_code=1009)
        self.size = size
        self.limit = limit


class DeliveryUnknownError(SessionError):
    """The connection was lost around a post, and whether the engine has it cannot be determined.

    It is never resent automatically. Read the history (`Session.get_messages`) before doing so.
    """


class UnansweredError(SessionError):
    """The engine has a message, reports that it is idle, and its history holds no answer to it.

    Also raised when the connection broke in a turn, and the engine does not report what it is doing: the turn may be
    over without an answer, or go on.

    Attributes:
        turn: The turn that may go on, which can be waited for again.
    """

    turn: Turn | None = None


class AnswerFormatError(SessionError):
    """An answer, and the one after it, hold no value of the type that was asked for with ``into``.

    Attributes:
        texts: The answers, as they came.
        reason: What is wrong with the last one.
        turn_error: The error that its turn ended with, or None; the question is not asked again then.
    """

    def __init__(
        self,
        message: str = "",
        *,
        session_id: str | None = None,
        texts: tuple[str, ...] = (),
        reason: str = "",
        turn_error: str | None = None,
    ) -> None:
        super().__init__(message, session_id=session_id)
        self.texts = texts
        self.reason = reason
        self.turn_error = turn_error


class ApprovalRequiredError(SessionError):
    """A turn waits for an approval, and no registered handler answers it.

    Attributes:
        request: The open approval request.
        turn: The turn that waits; answer the request, then go on with it.
    """

    turn: Turn | None = None

    def __init__(
        self, message: str = "", *, session_id: str | None = None, request: ApprovalRequest | None = None
    ) -> None:
        super().__init__(message, session_id=session_id)
        self.request = request


class ReauthRequiredError(SessionError):
    """A turn waits until an account is authorised again, which no frame of the protocol can do.

    Attributes:
        event: The REAUTH_REQUEST.
        turn: The turn that waits; it goes on by itself once the account is authorised.
    """

    turn: Turn | None = None

    def __init__(self, message: str = "", *, session_id: str | None = None, event: SessionEvent | None = None) -> None:
        super().__init__(message, session_id=session_id)
        self.event = event


class ApprovalAlreadyAnsweredError(SessionError):
    """An approval request was answered before; the first answer takes effect.

    Attributes:
        event: The request.
        approved: The first answer.
    """

    def __init__(
        self,
        message: str = "",
        *,
        session_id: str | None = None,
        event: SessionEvent | None = None,
        approved: bool | None = None,
    ) -> None:
        super().__init__(message, session_id=session_id)
        self.event = event
        self.approved = approved


class ForkedSessionError(SessionError):
    """The session belongs to the parent process; open one of your own in the child."""


def _rebuild(kind: type[SessionError], args: tuple[Any, ...], state: dict[str, Any]) -> SessionError:
    error = kind(*args)
    error.__dict__.update(state)
    return error


_KINDS: dict[int, type[ApiError]] = {
    400: BadRequestError,
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: NotFoundError,
    422: UnprocessableEntityError,
    429: RateLimitError,
}


# Both worlds in one class, so that neither `except SessionError` (what a refused connect is to
# ported code) nor `except AuthenticationError` misses a refused handshake.
_ALL_KINDS: tuple[type[ApiError], ...] = (ApiError, InternalServerError, *_KINDS.values())
_HANDSHAKE_KINDS: dict[type[ApiError], type[ApiError]] = {
    kind: type(
        kind.__name__, (kind, HandshakeError), {"__module__": __name__, "__doc__": kind.__doc__, "session_id": None}
    )
    for kind in _ALL_KINDS
}


def api_error(
    status_code: int,
    method: str,
    endpoint: str,
    error_message: str = "",
    retry_after: float | None = None,
    handshake: bool = False,
    raw_response: str = "",
) -> ApiError:
    """Makes the most specific `ApiError` of a status.

    Args:
        status_code: The HTTP status.
        method: The HTTP method.
        endpoint: The path below the base URL.
        error_message: The server's message.
        retry_after: Seconds that the server asked to wait.
        handshake: Whether it refused a WebSocket handshake: the error is then a `HandshakeError` too.
        raw_response: The beginning of the response's body.

    Returns:
        The error, not raised.
    """
    # Statuses without a class of their own are plain `ApiError`s, from 500 on all one kind.
    kind = InternalServerError if status_code >= 500 else _KINDS.get(status_code, ApiError)
    if handshake:
        kind = _HANDSHAKE_KINDS[kind]
    return kind(status_code, method, endpoint, error_message, retry_after=retry_after, raw_response=raw_response)


# ---- the official SDK's names --------------------------------------------------------------

VectorshiftError = VectorShiftError = SessionlibError
VectorshiftApiError = VectorShiftAPIError = ApiStatusError = APIStatusError = ApiError
APIConnectionError = ApiConnectionError
APITimeoutError = ApiTimeoutError
