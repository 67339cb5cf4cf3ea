"""Calls as values: encoding, what errors say, and the rules of repeating."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessionlib._util.timing import Deadline
from sessionlib.errors import ApiConnectionError, ConfigurationError, RateLimitError
from sessionlib.net.retry import Backoff, Tries
from sessionlib.rest.calls import Answer, Call, Failure, error_text, make_call, segment

GET, POST = Call("GET", "/agent"), Call("POST", "/agent")


def answer(status: int, body: bytes = b"", call: Call = GET, **headers: str) -> Answer:
    return Answer(call, status, {name.replace("_", "-"): value for name, value in headers.items()}, body)


def unreachable(call: Call = GET, may_pass: bool = True) -> Failure:
    return Failure(call, ApiConnectionError("refused"), ConnectionRefusedError(), may_pass)


def tries(call: Call, timeout: float | None = None, max_retries: int = 2, drawn: float = 0.25) -> Tries:
    backoff = Backoff(uniform=lambda low, high: drawn)
    return Tries(call.changes_nothing, Deadline(timeout), max_retries, backoff)


# ---- encoding ----------------------------------------------------------------------------------


def test_flags_and_missing_values_of_a_query() -> None:
    call = make_call("get", "/agents", query={"verbose": True, "shared": False, "limit": 50, "name": None})
    assert call.method == "GET"
    assert call.query == {"verbose": "true", "shared": "false", "limit": "50"}


def test_form_values() -> None:
    call = make_call("POST", "/x", form={"inputs": {"a": 1}, "flag": True, "text": "hi", "index": 0})
    assert call.form == {"inputs": '{"a":1}', "flag": "true", "text": "hi", "index": "0"}


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        *[(value, TypeError) for value in (object(), b"bytes", {1, 2})],
        *[(value, ValueError) for value in (float("nan"), float("inf"))],
    ],
)
def test_a_body_that_json_cannot_say(value: object, kind: type[Exception]) -> None:
    with pytest.raises(kind):
        make_call("POST", "/agent", json={"x": value})


_PATHS = ["agent", "", "/", "/a b", "/a\r\nX: y", "/a?b=c", "//host/x", "/agent/é", "/a\\b"]


@pytest.mark.parametrize(
    ("method", "path"),
    [*[("GET", path) for path in _PATHS], *[(method, "/agent") for method in ("", "GET /x", "G\r\nT")]],
)
def test_a_method_or_path_that_cannot_be_one(method: str, path: str) -> None:
    with pytest.raises(ConfigurationError):
        make_call(method, path)


@pytest.mark.parametrize("value", ["", " ", ".", "..", "a\r\nb", "a\x00b", "x" * 513])
def test_an_id_that_cannot_stand_in_a_path(value: str) -> None:
    with pytest.raises(ConfigurationError):
        segment("agent id", value)


def test_an_id_that_is_no_text() -> None:
    with pytest.raises(TypeError, match="agent id takes a str, not NoneType"):
        segment("agent id", None)


@given(st.text(min_size=1, max_size=40))
def test_an_id_never_leaves_its_segment(value: str) -> None:
    try:
        made = segment("id", value)
    except ConfigurationError:
        return
    assert not set(made) & set("/?#\r\n ")
    assert make_call("GET", f"/agent/{made}").path == f"/agent/{made}"


# ---- what an error says ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b'{"error": "no such agent"}', "no such agent"),
        (b'{"message": "m", "detail": "d"}', "m"),
        (b'{"error": "", "detail": "d"}', "d"),
        (b'{"errors": ["a", "b"]}', "a; b"),
        (b'{"detail": [{"loc": ["name"], "msg": "field required"}]}', "field required"),
        (b'{"error": {"message": "nested", "code": 7}}', "nested"),
        (b'{"error": "line\\r\\nbreak \\u001b[31m red"}', "line break [31m red"),
        (b'{"other": "x"}', ""),
        (b"[1]", ""),
        (b"<html>secret page</html>", ""),
        (b"", ""),
        (b"\xff\xfe", ""),
    ],
)
def test_error_text(body: bytes, told: str) -> None:
    assert error_text(body) == told


def test_error_text_is_bounded() -> None:
    assert len(error_text(b'{"error": "' + b"x" * 60_000 + b'"}')) == 500
    assert len(error_text(b'{"errors": ' + str([["y" * 200] * 9] * 90).replace("'", '"').encode() + b"}")) <= 500


def test_error_text_of_a_deep_body() -> None:
    assert error_text(b'{"error":' * 900 + b"1" + b"}" * 900) == ""


def test_an_error_has_the_kind_of_its_status_and_what_the_answer_says() -> None:
    with pytest.raises(RateLimitError) as caught:
        answer(429, b'{"error": "why"}', Retry_After="7").value()
    error = caught.value
    assert (error.status_code, error.method, error.endpoint) == (429, "GET", "/agent")
    assert (error.error_message, error.retry_after) == ("why", 7.0)
    assert "429" in str(error)
    assert "why" in str(error)


@pytest.mark.parametrize("body", [b"", b" \n"])
def test_an_empty_body_is_an_empty_object(body: bytes) -> None:
    assert answer(204, body).value() == {}


@pytest.mark.parametrize("body", [b"<html>a login page</html>", b"{", b"\xff", b'{"a": NaN}'])
def test_a_body_that_is_not_json(body: bytes) -> None:
    with pytest.raises(ApiConnectionError, match="not JSON") as caught:
        answer(200, body).value()
    assert "login" not in str(caught.value)


@pytest.mark.parametrize(
    ("location", "named"),
    [
        ("https://elsewhere.example/path?token=s3cret", "https://elsewhere.example"),
        ("/v2/agent?token=s3cret", "another path"),
        ("http://user:s3cret@host.example/", "http://host.example"),
        ("https://[broken", "not a URL"),
    ],
)
def test_a_redirect_names_its_target_and_no_more(location: str, named: str) -> None:
    error = answer(307, b"", Location=location).error()
    assert named in str(error)
    assert "s3cret" not in str(error)


# ---- tries -------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_what_changes_nothing_is_made_again(status: int) -> None:
    assert tries(GET).delay_after(answer(status)) == 0.25
    assert tries(POST).delay_after(answer(status, call=POST)) is None


@pytest.mark.parametrize("status", [200, 204, 302, 400, 401, 403, 404, 407, 409, 422])
@pytest.mark.parametrize("call", [GET, POST])
def test_what_stands(call: Call, status: int) -> None:
    assert tries(call).delay_after(answer(status, call=call, Retry_After="1")) is None


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("call", [GET, POST, Call("DELETE", "/agent/a")])
def test_turned_away_with_a_time_to_come_back(call: Call, status: int) -> None:
    delay = tries(call).delay_after(answer(status, call=call, Retry_After="10"))
    assert delay is not None
    assert 10 <= delay <= 12


@pytest.mark.parametrize("status", [500, 502, 504])
def test_other_failures_with_a_time_do_not_make_a_post_harmless(status: int) -> None:
    assert tries(POST).delay_after(answer(status, call=POST, Retry_After="1")) is None


def test_garbage_is_no_time() -> None:
    assert tries(POST).delay_after(answer(429, call=POST, Retry_After="soon")) is None
    assert tries(GET).delay_after(answer(429, Retry_After="soon")) == 0.25


def test_a_long_wait_is_capped() -> None:
    delay = tries(GET).delay_after(answer(503, Retry_After="1000000000"))
    assert delay is not None
    assert 60 <= delay <= 72


def test_a_wait_that_outlasts_the_deadline_is_not_begun() -> None:
    assert tries(GET, timeout=5).delay_after(answer(503, Retry_After="6")) is None
    assert tries(GET, timeout=5).delay_after(answer(503, Retry_After="2")) is not None


def test_connections_that_failed() -> None:
    assert tries(GET).delay_after(unreachable()) == 0.25
    assert tries(GET).delay_after(unreachable(may_pass=False)) is None
    assert tries(POST).delay_after(unreachable(POST)) is None


def test_tries_are_counted() -> None:
    policy = tries(GET, max_retries=2)
    assert [policy.delay_after(answer(500)) for _ in range(4)] == [0.25, 0.25, None, None]
    assert tries(GET, max_retries=0).delay_after(answer(500)) is None
