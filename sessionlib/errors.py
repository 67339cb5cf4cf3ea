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
    │   └── InternalServerError             5xx
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
        ├── ApprovalRequiredError
        ├── ReauthRequiredError
        ├── ApprovalAlreadyAnsweredError
        └── ForkedSessionError

Facts are in attributes; a message says what happened, to what, and what to do next. No message
holds an API key, a header or a response body.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sessionlib._util.text import clean

if TYPE_CHECKING:
    from sessionlib.approvals import ApprovalRequest
    from sessionlib.events import SessionEvent
    from sessionlib.turn import Turn

__all__ = [
    "ApiConnectionError",
    "ApiError",
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
]


class SessionlibError(Exception):
    """Base class of everything this library raises on purpose.

    Attributes:
        message: The text of the error; without control characters, as a traceback prints it on a terminal.
    """

    def __init__(self, message: str = "") -> None:
        # Messages quote what an engine or a server sent, which may hold escape sequences.
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
    """

    def __init__(
        self,
        status_code: int,
        method: str,
        endpoint: str,
        error_message: str = "",
        *,
        retry_after: float | None = None,
    ) -> None:
        self.status_code = status_code
        self.method = method
        self.endpoint = endpoint
        self.error_message = error_message
        self.retry_after = retry_after
        super().__init__(self._describe())

    def _describe(self) -> str:
        reason_given = f": {self.error_message}" if self.error_message else ""
        hint = _HINTS.get(self.status_code // 100 * 100 if self.status_code >= 500 else self.status_code, "")
        return f"{self.method} {self.endpoint} was answered with {self.status_code}{reason_given}{hint}"

    def __reduce__(self) -> tuple[Any, ...]:
        details = (self.status_code, self.method, self.endpoint, self.error_message, self.retry_after)
        return (api_error, (*details, isinstance(self, HandshakeError)))


_HINTS = {
    401: ". Check the API key.",
    403: ". The API key has no permission for this.",
    404: ". Check the id or name, and the base URL.",
    429: ". Wait, then try again.",
    500: ". The server failed; try again later.",
}


class BadRequestError(ApiError):
    """HTTP 400: the server could not make sense of the request."""


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


class ApiConnectionError(SessionlibError):
    """No HTTP answer could be had: refused, unreachable, cut, or not HTTP."""


class ApiTimeoutError(ApiConnectionError):
    """No HTTP answer came in time."""


class ConversationalRunActionRequiredError(SessionlibError, RuntimeError):
    """A one-shot run of a conversational agent waits for an approval that no handler gives.

    Attributes:
        event: The event that asks.
        session_id: The session that waits; resume it to answer.
    """

    def __init__(self, event: SessionEvent, session_id: str) -> None:
        super().__init__(
            f"the run waits for an answer ({event.type.value}); "
            f"use agent.resume_session({session_id!r}) to see the request and give it"
        )
        self.event = event
        self.session_id = session_id

    def __reduce__(self) -> tuple[Any, ...]:
        return (ConversationalRunActionRequiredError, (self.event, self.session_id))


class TemplateReferenceError(SessionlibError, ValueError):
    """A ``[[placeholder]]`` in an agent's texts is malformed, or names what the agent does not have."""


class MissingExtraError(SessionlibError, ImportError):
    """A library is not installed that only some of this package needs.

    Attributes:
        extra: The extra that brings it, as in ``pip install 'sessionlib[plot]'``.
    """

    def __init__(self, message: str = "", *, extra: str = "") -> None:
        super().__init__(message)
        self.extra = extra


class SessionError(SessionlibError):
    """A session could not do what was asked.

    Attributes:
        session_id: The session it happened to, or None when there is none yet.
    """

    def __init__(self, message: str = "", *, session_id: str | None = None) -> None:
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
        reason: The reason given with it, or "".
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
    """Something did not happen in the time it was given; the session stays usable.

    Attributes:
        turn: The turn that did not end in time, which can be waited for again; None for other waits.
    """

    turn: Turn | None = None


class SessionTerminatedError(SessionError):
    """The session was terminated; its id cannot be used again."""


class SessionProtocolError(SessionError):
    """The peer sent what the protocol does not allow.

    Attributes:
        close_code: The WebSocket close code that this client answers with.
        transient: Whether joining the session again can help.
    """

    transient = False

    def __init__(self, message: str = "", *, session_id: str | None = None, close_code: int = 1002) -> None:
        super().__init__(message, session_id=session_id)
        self.close_code = close_code


class MessageTooLargeError(SessionProtocolError):
    """A message is larger than allowed, in one direction or the other.

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
    """The connection broke around a post, and nothing can tell whether the engine has it.

    It was not sent again. Read the history (`Session.get_messages`) before doing so.
    """


class UnansweredError(SessionError):
    """The engine has a message, reports that it is idle, and its history holds no answer to it."""


class ApprovalRequiredError(SessionError):
    """A turn waits for an approval that no registered handler gives.

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
    """An approval request was answered before; the first answer stands.

    Attributes:
        event: The request.
        approved: The answer that stands.
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


def _kind_of(status_code: int) -> type[ApiError]:
    return InternalServerError if status_code >= 500 else _KINDS.get(status_code, ApiError)


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
) -> ApiError:
    """Makes the most specific `ApiError` of a status.

    Args:
        status_code: The HTTP status.
        method: The HTTP method.
        endpoint: The path below the base URL.
        error_message: The server's message.
        retry_after: Seconds that the server asked to wait.
        handshake: Whether it refused a WebSocket handshake: the error is then a `HandshakeError` too.

    Returns:
        The error, not raised.
    """
    kind = _kind_of(status_code)
    if handshake:
        kind = _HANDSHAKE_KINDS[kind]
    return kind(status_code, method, endpoint, error_message, retry_after=retry_after)
