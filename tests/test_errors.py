"""The tree of errors: who is caught by whom, what each tells, and that each survives a pickle."""

from __future__ import annotations

import copy
import pickle
import re

import pytest

import sessionlib
from sessionlib import errors
from sessionlib.events import SessionEvent, SessionEventType

# The official SDK's names are further names of some of them.
KINDS = [*dict.fromkeys(getattr(errors, name) for name in errors.__all__)]

STATUSES = {
    400: errors.BadRequestError,
    401: errors.AuthenticationError,
    403: errors.PermissionDeniedError,
    404: errors.NotFoundError,
    422: errors.UnprocessableEntityError,
    429: errors.RateLimitError,
    **dict.fromkeys((500, 502, 503, 599), errors.InternalServerError),
    **dict.fromkeys((200, 302, 418), errors.ApiError),
}

EXAMPLES: list[errors.SessionlibError] = [
    errors.SessionlibError("x"),
    errors.ConfigurationError("x"),
    errors.InsecureTransportError("x"),
    errors.ApiConnectionError("x"),
    errors.ApiTimeoutError("x"),
    errors.SessionError("x", session_id="s1"),
    errors.SessionError(),
    errors.SessionDisconnectedError("x", session_id="s1", code=1011, reason="why"),
    errors.SessionConnectionError("x", session_id="s1", transient=False),
    errors.SessionTimeoutError("x", session_id="s1"),
    errors.SessionTerminatedError("x", session_id="s1"),
    errors.SessionProtocolError("x", session_id="s1", close_code=1007),
    errors.MessageTooLargeError("x", session_id="s1", size=9, limit=8),
    errors.UnansweredError("no answer to it"),
    errors.AnswerFormatError("no Line", session_id="s1", texts=("a", "b"), reason="none in it", turn_error="why"),
    errors.DeliveryUnknownError("x", session_id="s1"),
    errors.ApprovalRequiredError("x", session_id="s1"),
    errors.ReauthRequiredError("x", session_id="s1", event=SessionEvent(SessionEventType.REAUTH_REQUEST, "s1")),
    errors.ApprovalAlreadyAnsweredError(
        "x", session_id="s1", event=SessionEvent(SessionEventType.APPROVAL_REQUEST, "s1"), approved=False
    ),
    errors.ForkedSessionError("x", session_id="s1"),
    errors.TemplateReferenceError("x"),
    errors.MissingExtraError("x", extra="plot"),
    errors.ConversationalRunActionRequiredError(SessionEvent(SessionEventType.APPROVAL_REQUEST, "s1"), "s1"),
    errors.PipelineRunFailedError("t1", "why"),
    errors.PollTimeoutError("t1", 2.0),
    *[errors.api_error(status, "GET", "/agent", "no", 2.0, raw_response="{}") for status in STATUSES],
    *[errors.api_error(status, "GET", "/ws/session", "", 2.0, handshake=True) for status in STATUSES],
]


def test_the_tree_is_the_one_that_is_drawn() -> None:
    drawn = re.findall(r"^( *[│├└─ ]*)([A-Z]\w+Error)\b", errors.__doc__ or "", re.MULTILINE)
    assert len(drawn) == len(KINDS)
    above: list[tuple[int, type]] = []
    for indent, name in drawn:
        kind = getattr(errors, name)
        above = [(depth, parent) for depth, parent in above if depth < len(indent)]
        for _, parent in above:
            assert issubclass(kind, parent), f"{name} is not below {parent.__name__}"
        above.append((len(indent), kind))


def test_what_is_also_something_else() -> None:
    assert issubclass(errors.ConfigurationError, ValueError)
    assert issubclass(errors.SessionTimeoutError, TimeoutError)
    assert issubclass(errors.SessionConnectionError, errors.ApiConnectionError)
    assert issubclass(errors.MessageTooLargeError, errors.SessionProtocolError)
    assert not issubclass(errors.SessionTimeoutError, errors.SessionDisconnectedError)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_error_is_exported(kind: type) -> None:
    assert getattr(sessionlib, kind.__name__) is kind
    assert issubclass(kind, errors.SessionlibError)


@pytest.mark.parametrize(("status", "kind"), STATUSES.items())
def test_the_kind_of_a_status(status: int, kind: type[errors.ApiError]) -> None:
    error = errors.api_error(status, "POST", "/agent", "it said so", 3.0)
    assert type(error) is kind
    assert (error.status_code, error.method, error.endpoint) == (status, "POST", "/agent")
    assert (error.error_message, error.retry_after) == ("it said so", 3.0)
    assert str(error).startswith(f"POST /agent was answered with {status}: it said so")
    assert error.message == str(error)
    if status in (401, 403, 404, 429, 500, 503):  # it names what to do next
        assert re.search(r"\d\. \w.*\.$", str(errors.api_error(status, "GET", "/agent")))
    refused = errors.api_error(status, "GET", "/ws/session", handshake=True)
    assert isinstance(refused, kind)
    assert isinstance(refused, errors.HandshakeError)
    assert isinstance(refused, errors.SessionError)
    assert type(refused).__name__ == kind.__name__
    assert refused.session_id is None
    assert str(status) in str(refused)


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: f"{type(error).__name__}-{error}"[:60])
def test_an_error_survives_a_pickle_and_a_copy(error: errors.SessionlibError) -> None:
    for back in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
        assert type(back) is type(error)
        assert (str(back), back.message) == (str(error), error.message)
        facts, before = ({name: it for name, it in vars(one).items() if name[:2] != "__"} for one in (back, error))
        assert facts == before


def test_the_examples_are_of_every_kind() -> None:
    assert {kind for error in EXAMPLES for kind in type(error).__mro__} >= set(KINDS)


def test_errors_keep_their_facts() -> None:
    lost = errors.SessionDisconnectedError("x", session_id="s1", code=1011, reason="why")
    assert (lost.session_id, lost.code, lost.reason) == ("s1", 1011, "why")
    large = errors.MessageTooLargeError("x", size=9, limit=8)
    assert (large.size, large.limit, large.close_code, large.session_id) == (9, 8, 1009, None)
    assert errors.SessionProtocolError("x").close_code == 1002
    assert errors.SessionConnectionError("x").transient
    required = errors.ApprovalRequiredError("x")
    assert (required.request, required.turn) == (None, None)
    answered = errors.ApprovalAlreadyAnsweredError("x", approved=True)
    assert (answered.event, answered.approved) == (None, True)


def test_the_official_sdks_names_are_names_of_the_same_classes() -> None:
    from sessionlib.request import ApiStatusError, NotFoundError, VectorshiftApiError, VectorshiftError, request_client

    assert VectorshiftError is errors.SessionlibError is errors.VectorShiftError is sessionlib.VectorshiftError
    assert (
        VectorshiftApiError is ApiStatusError is errors.ApiError is errors.VectorShiftAPIError is errors.APIStatusError
    )
    assert errors.APIConnectionError is errors.ApiConnectionError
    assert errors.APITimeoutError is errors.ApiTimeoutError
    assert NotFoundError is errors.NotFoundError
    assert request_client is sessionlib.client.request_client
    assert issubclass(errors.PollTimeoutError, TimeoutError)
    with pytest.raises(ImportError, match="nothing_of_the_kind"):
        from sessionlib.request import nothing_of_the_kind  # noqa: F401


def test_a_session_error_names_its_session_once() -> None:
    assert str(errors.SessionError("it broke", session_id="s1")) == "session s1: it broke"
    assert str(errors.SessionError("session s1: it broke", session_id="s1")) == "session s1: it broke"
    assert str(errors.SessionError("session s1 was terminated", session_id="s1")) == "session s1 was terminated"
    assert str(errors.SessionError("it broke")) == "it broke"
    assert str(errors.SessionError(session_id="s1")) == ""
    assert errors.SessionTimeoutError("late", session_id="s1").message == "session s1: late"
    assert str(errors.MessageTooLargeError("too large", session_id="s1", size=9)) == "session s1: too large"
