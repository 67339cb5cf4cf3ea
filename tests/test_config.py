"""Keys, URLs and ids: where they come from, and what is refused before anything is sent."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import sessionlib
from sessionlib import Client, ConfigurationError, InsecureTransportError, MissingExtraError, Session
from sessionlib.config import (
    DEFAULT_BASE_URL,
    Endpoint,
    check_headers,
    check_id,
    check_key,
    find_setting,
    is_configured,
    is_loopback,
)
from tests.support.secrets import assert_keeps_secret

HOSTED = "wss://api.vectorshift.ai/v1"


def refused(error: type[Exception], match: str | None = None, **options: Any) -> pytest.ExceptionInfo[Exception]:
    """Has both what connects refuse these options; returns what the session raised."""
    with pytest.raises(error, match=match):
        Client(**options)
    with pytest.raises(error, match=match) as caught:
        Session(session_id="s1", **options)
    return caught


# ---- where they come from ----------------------------------------------------------------------

THEIRS = {
    "VECTORSHIFT_API_KEY": "theirs",
    "VECTORSHIFT_BASE_URL": "https://theirs.example.org/v1",
    "VECTORSHIFT_WS_URL": "wss://theirs.example.net",
}
OURS = {
    "SESSIONLIB_API_KEY": "ours",
    "SESSIONLIB_BASE_URL": "https://ours.example.org",
    "SESSIONLIB_WS_URL": "wss://ours.example.net",
}
SOURCES: dict[str, tuple[dict[str, str], tuple[str, ...], tuple[str, str, str]]] = {
    "the hosted engine is the default": ({}, ("k",), ("k", DEFAULT_BASE_URL, HOSTED)),
    "arguments": (
        {},
        ("k", "https://a.example.org/v1", "wss://b.example.org/v2/"),
        ("k", "https://a.example.org/v1", "wss://b.example.org/v2"),
    ),
    "the platform's names": (THEIRS, (), tuple(THEIRS.values())),
    "without a WebSocket": (
        {**THEIRS, "VECTORSHIFT_WS_URL": ""},
        (),
        ("theirs", "https://theirs.example.org/v1", "wss://theirs.example.org/v1"),
    ),
    "our own names win": ({**THEIRS, **OURS}, (), tuple(OURS.values())),
    # A WebSocket of the environment must not pair with an HTTP base given here: the key would go to both.
    "arguments win": (
        OURS,
        ("k", "https://argument.example.org"),
        ("k", "https://argument.example.org", "wss://argument.example.org"),
    ),
    "an empty variable is none": (
        {"SESSIONLIB_API_KEY": "", "SESSIONLIB_BASE_URL": "", "VECTORSHIFT_API_KEY": "theirs"},
        (),
        ("theirs", DEFAULT_BASE_URL, HOSTED),
    ),
    "no WebSocket of the other family": (
        {**THEIRS, **OURS, "SESSIONLIB_WS_URL": ""},
        (),
        ("ours", "https://ours.example.org", "wss://ours.example.org"),
    ),
}


@pytest.mark.parametrize("source", SOURCES)
def test_a_key_and_urls_come_from(monkeypatch: pytest.MonkeyPatch, source: str) -> None:
    variables, arguments, (key, base_url, ws_url) = SOURCES[source]
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    endpoint = Endpoint.resolve(*arguments)
    assert (endpoint.key(), endpoint.base_url, endpoint.ws_url) == (key, base_url, ws_url)
    assert endpoint.session_url == f"{ws_url}/ws/session"
    assert is_configured() == bool(variables)


@pytest.mark.parametrize(
    ("base_url", "session_url"),
    [
        ("HTTPS://engine.example.org/v1", "wss://engine.example.org/v1/ws/session"),
        ("HttP://127.0.0.1:8000/V1", "ws://127.0.0.1:8000/V1/ws/session"),
        ("https://engine.example.org/v1", "wss://engine.example.org/v1/ws/session"),
        ("https://engine.example.org/v1/", "wss://engine.example.org/v1/ws/session"),
        ("http://127.0.0.1:8000", "ws://127.0.0.1:8000/ws/session"),
        ("http://[::1]:8000/http://x", "ws://[::1]:8000/http://x/ws/session"),
    ],
)
def test_the_websocket_is_beside_the_http_base(base_url: str, session_url: str) -> None:
    assert Endpoint.resolve("k", base_url).session_url == session_url


def test_the_environment_is_asked_when_the_key_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    endpoint = Endpoint.resolve()
    with pytest.raises(ConfigurationError, match="SESSIONLIB_API_KEY"):
        endpoint.key()
    monkeypatch.setenv("SESSIONLIB_API_KEY", "set-later")
    assert endpoint.key() == "set-later"


@pytest.mark.parametrize("given_back", [None, 7, b"k"])
def test_a_callable_that_gives_no_text(given_back: Any) -> None:
    with pytest.raises((TypeError, ConfigurationError)):
        Endpoint.resolve(lambda: given_back).key()


# ---- one family wins as a whole ----------------------------------------------------------------


@pytest.mark.parametrize("name", ["API_KEY", "WS_URL", "BASE_URL"])
def test_any_variable_of_a_family_makes_it_count(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    for variable, value in {**THEIRS, f"SESSIONLIB_{name}": OURS[f"SESSIONLIB_{name}"]}.items():
        monkeypatch.setenv(variable, value)
    assert "theirs" not in repr(Endpoint.resolve())
    found = [setting for other in ("API_KEY", "WS_URL", "BASE_URL") if (setting := find_setting(other)) is not None]
    assert [setting.origin for setting in found] == [f"SESSIONLIB_{name}"]


def test_a_key_of_the_other_family_is_not_sent_and_the_error_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = "theirs-" + "secret"
    monkeypatch.setenv("SESSIONLIB_BASE_URL", "http://127.0.0.1:8000/v1")
    monkeypatch.setenv("VECTORSHIFT_API_KEY", theirs)
    with pytest.raises(ConfigurationError, match=r"VECTORSHIFT_API_KEY is not used.*SESSIONLIB_BASE_URL") as caught:
        Endpoint.resolve().key()
    assert_keeps_secret(caught.value, theirs)


# ---- module attributes -------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def attributes() -> Iterator[None]:
    """Takes away after the test what it assigned to the package."""
    yield
    for name in ("api_key", "base_url"):
        vars(sessionlib).pop(name, None)


def test_a_key_that_is_set_in_code_comes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SESSIONLIB_API_KEY", "environment")
    endpoint = Endpoint.resolve()
    assert sessionlib.api_key is None
    assert endpoint.key() == "environment"
    sessionlib.api_key = "code"
    assert endpoint.key() == "code"
    assert Endpoint.resolve("argument").key() == "argument"
    keys = iter(["first", "second"])
    sessionlib.api_key = lambda: next(keys)
    assert [endpoint.key(), endpoint.key()] == ["first", "second"]
    sessionlib.api_key = None
    assert endpoint.key() == "environment"


def test_a_base_url_that_is_set_in_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SESSIONLIB_BASE_URL", "https://environment.example.org")
    monkeypatch.setenv("SESSIONLIB_WS_URL", "wss://environment.example.org")
    sessionlib.base_url = "https://code.example.org"
    assert Endpoint.resolve().session_url == "wss://code.example.org/ws/session"
    assert Endpoint.resolve(base_url="https://argument.example.org").host == "argument.example.org"
    assert is_configured()


@pytest.mark.parametrize(("name", "value"), [("api_key", 7), ("base_url", 7), ("base_url", lambda: "https://x")])
def test_an_attribute_of_another_type(name: str, value: Any) -> None:
    setattr(sessionlib, name, value)
    with pytest.raises(TypeError, match=f"sessionlib.{name}"):
        Endpoint.resolve().key()


def test_an_error_names_where_a_value_came_from(monkeypatch: pytest.MonkeyPatch) -> None:
    sessionlib.api_key = "with a blank"
    with pytest.raises(ConfigurationError, match=r"sessionlib\.api_key") as caught:
        Endpoint.resolve().key()
    assert "blank" not in str(caught.value)
    sessionlib.api_key = None
    monkeypatch.setenv("VECTORSHIFT_API_KEY", "with a blank")
    with pytest.raises(ConfigurationError, match="VECTORSHIFT_API_KEY"):
        Endpoint.resolve().key()
    monkeypatch.setenv("VECTORSHIFT_BASE_URL", "nonsense")
    with pytest.raises(ConfigurationError, match="VECTORSHIFT_BASE_URL"):
        Endpoint.resolve()


# ---- .env --------------------------------------------------------------------------------------

DOTENV = "# about\nOTHER=1\nexport SESSIONLIB_API_KEY='from-a-file'\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, two below where a .env may stand."""
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    return below


@pytest.mark.parametrize("levels", [0, 1, 2])
def test_a_file_in_the_working_directory_or_above_it(folder: Path, levels: int) -> None:
    path = [folder, *folder.parents][levels] / ".env"
    path.write_text(DOTENV + "VECTORSHIFT_WS_URL=wss://other.example.org\n")
    assert is_configured()
    assert Endpoint.resolve().key() == "from-a-file"
    assert Endpoint.resolve().ws_url == HOSTED
    assert find_setting("API_KEY") == ("from-a-file", f"SESSIONLIB_API_KEY in {path}")
    assert not {"SESSIONLIB_API_KEY", "OTHER"} & os.environ.keys()


@pytest.mark.parametrize(
    "text",
    [
        "\ufeffSESSIONLIB_API_KEY=from-a-file\n",
        "export SESSIONLIB_API_KEY='from-a-file'  # of the team\r\n",
        'WHO=a\n\nSESSIONLIB_API_KEY = "from-${WHO}-file"\n',
        "SESSIONLIB_BASE_URL=\nSESSIONLIB_API_KEY=\nVECTORSHIFT_API_KEY=from-a-file\n",
    ],
    ids=["a mark at its start", "exported", "from another value", "an empty family"],
)
def test_the_forms_of_a_file(folder: Path, text: str) -> None:
    (folder / ".env").write_bytes(text.encode())
    assert Endpoint.resolve().key() == "from-a-file"


def test_the_nearest_file_is_read_alone(folder: Path) -> None:
    (folder / ".env").write_text("OTHER=1\n")
    (folder.parent / ".env").write_text(DOTENV)
    assert not is_configured()


def test_the_environment_comes_before_a_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / ".env").write_text(DOTENV + "SESSIONLIB_BASE_URL=https://file.example.org\n")
    monkeypatch.setenv("VECTORSHIFT_API_KEY", "environment")
    assert Endpoint.resolve().key() == "environment"
    assert Endpoint.resolve().base_url == DEFAULT_BASE_URL


def test_a_change_of_the_file_is_seen(folder: Path) -> None:
    endpoint = Endpoint.resolve()
    for key in ("first", "second"):
        (folder / ".env").write_text(f"VECTORSHIFT_API_KEY={key}\n")
        assert endpoint.key() == key


@pytest.fixture
def no_dotenv(monkeypatch: pytest.MonkeyPatch) -> None:
    """python-dotenv is not installed."""
    monkeypatch.setitem(sys.modules, "dotenv", None)


@pytest.mark.usefixtures("no_dotenv")
def test_without_the_library_the_error_names_file_and_extra(folder: Path) -> None:
    (folder / ".env").write_text(DOTENV)
    with pytest.raises(MissingExtraError, match=r"\.env .*sessionlib\[cli\]") as caught:
        Endpoint.resolve()
    assert caught.value.extra == "cli"
    assert "from-a-file" not in str(caught.value)
    assert Endpoint.resolve("k", "https://engine.example.org").key() == "k"


@pytest.mark.usefixtures("no_dotenv")
@pytest.mark.parametrize("text", ["", "OTHER=1\n", "# SESSIONLIB_API_KEY=k\n", "MY_SESSIONLIB_API_KEY=k\n"])
def test_a_file_about_something_else_needs_no_library(folder: Path, text: str) -> None:
    (folder / ".env").write_text(text)
    assert Endpoint.resolve().base_url == DEFAULT_BASE_URL
    with pytest.raises(ConfigurationError, match="No API key"):
        Endpoint.resolve().key()


def test_a_file_that_another_user_may_have_left_is_not_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / ".env").write_text(DOTENV)
    monkeypatch.setattr(os, "geteuid", lambda: (folder / ".env").stat().st_uid + 1)
    assert is_configured()
    folder.chmod(0o1777)
    assert not is_configured()


def test_a_file_that_is_no_text(folder: Path) -> None:
    (folder / ".env").write_bytes(b"SESSIONLIB_API_KEY=\xff\n")
    with pytest.raises(ConfigurationError, match=r"\.env cannot be read"):
        Endpoint.resolve()


# ---- headers -----------------------------------------------------------------------------------


def test_further_headers() -> None:
    assert check_headers(None) == {}
    assert check_headers({"X-Team": "a b; c"}) == {"X-Team": "a b; c"}
    assert check_headers({"user-agent": "mine"}) == {"User-Agent": "mine"}
    with pytest.raises(ConfigurationError, match="headers has x-team twice"):
        check_headers({"X-Team": "a", "x-team": "b"})


@pytest.mark.parametrize(
    "name", ["", "X Team", "X:", "X\r\nY", "Authorization", "HOST", "sec-websocket-key", "Upgrade"]
)
def test_a_header_that_cannot_be_set(name: str) -> None:
    with pytest.raises(ConfigurationError):
        check_headers({name: "value"})


@pytest.mark.parametrize("value", ["a\r\nX: y", "a\n", "ä", "\0"])
def test_a_value_that_no_header_can_have(value: str) -> None:
    with pytest.raises(ConfigurationError, match="X-Team"):
        check_headers({"X-Team": value})


# ---- what is refused, before anything is sent --------------------------------------------------

BAD_KEYS = ["", " ", "k\r\nX-Injected: 1", "k\n", "k\0", "k k", " k", "schlüssel", "k\x7f", "k\t"]


@pytest.mark.parametrize("key", BAD_KEYS, ids=repr)
def test_a_key_that_cannot_stand_in_a_header(key: str) -> None:
    assert isinstance(refused(ConfigurationError, api_key=key).value, ValueError)
    with pytest.raises(ConfigurationError):
        Endpoint.resolve(lambda: key).key()


@pytest.mark.parametrize("value", [7, b"k", ["k"], {"k": 1}])
@pytest.mark.parametrize("name", ["api_key", "base_url"])
def test_a_key_or_url_of_another_type(name: str, value: Any) -> None:
    refused(TypeError, type(value).__name__, **{"api_key": "k", name: value})


BAD_URLS = [
    "",
    "engine.example.org",
    "//engine.example.org",
    "https://",
    "https:///v1",
    "ftp://engine.example.org",
    "javascript:alert(1)",
    "https://user@engine.example.org",
    "https://user:password@engine.example.org",
    "https://engine.example.org/?key=1",
    "https://engine.example.org/#part",
    "https://engine.example.org/\r\nX-Injected: 1",
    "https://engine.example.org/a b",
    "https://engine.example.org:port",
    "https://engine.example.org:99999",
    "https://[::1",
    "https://ëngine.example.org",
    "https://engine.example.org\0",
]


@pytest.mark.parametrize("url", BAD_URLS, ids=repr)
def test_a_url_that_cannot_be_used(url: str) -> None:
    refused(ConfigurationError, "base_url", api_key="k", base_url=url)
    with pytest.raises(ConfigurationError, match="ws_url"):
        Session(session_id="s1", api_key="k", ws_url=url.replace("https:", "wss:"))


def test_the_wrong_kind_of_url() -> None:
    refused(ConfigurationError, "https://", api_key="k", base_url="wss://engine.example.org")
    with pytest.raises(ConfigurationError, match="wss://"):
        Session(session_id="s1", api_key="k", ws_url="https://engine.example.org")
    with pytest.raises(TypeError, match=r"ws_url.*int"):
        Session(session_id="s1", api_key="k", ws_url=7)  # type: ignore[arg-type]


def test_a_password_in_a_url_is_not_quoted() -> None:
    password = "hunter" + "2"
    with pytest.raises(ConfigurationError) as caught:
        Endpoint.resolve("k", f"https://user:{password}@engine.example.org")
    assert_keeps_secret(caught.value, password)


@pytest.mark.parametrize("host", ["engine.example.org", "192.0.2.1", "localhost.evil.org", "127.0.0.1.evil.org"])
def test_a_key_does_not_travel_unencrypted_to_another_machine(host: str) -> None:
    refused(InsecureTransportError, "allow_insecure", api_key="k", base_url=f"http://{host}")
    with pytest.raises(InsecureTransportError):
        Session(session_id="s1", api_key="k", ws_url=f"ws://{host}:80/v1")
    assert Session(session_id="s1", api_key="k", ws_url=f"ws://{host}", allow_insecure=True).session_id == "s1"
    assert Client("k", f"http://{host}", allow_insecure=True).host == host


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "127.0.0.1", "127.9.9.9", "[::1]"])
def test_this_machine_needs_no_encryption(host: str) -> None:
    assert Endpoint.resolve("k", f"http://{host}:8000").host == f"{host}:8000"
    assert is_loopback(host.strip("[]"))


BAD_IDS = ["", " ", "\t", "a\r\nb", "a\0b", "x" * 513, "\u2028"]


@pytest.mark.parametrize("value", [*BAD_IDS, 7, b"s1", ["s1"]], ids=lambda value: ascii(value)[:20])
@pytest.mark.parametrize("name", ["session_id", "owner_id", "owner_type"])
def test_an_id_that_cannot_be_used(name: str, value: Any) -> None:
    known = {"session_id": "s1"} if name == "session_id" else {"owner_type": "agent", "owner_id": "a"}
    error, named = (ConfigurationError, "") if isinstance(value, str) else (TypeError, type(value).__name__)
    with pytest.raises(error, match=f"{name}.*{named}"):
        Session(api_key="k", **{**known, name: value})


@pytest.mark.parametrize("value", ["s1", "6f9619ff-8b86-d011", "x" * 512, "a b", "ä/../?#"])
def test_an_id_is_any_text_that_can_be_printed(value: str) -> None:
    assert check_id("session_id", value) == value


@pytest.mark.slow
@given(st.text(max_size=30))
def test_any_text_is_a_key_or_refused(text: str) -> None:
    try:
        key = check_key(text)
    except ConfigurationError:
        return
    assert key.encode("ascii").split() == [key.encode("ascii")]


@given(st.text(max_size=40) | st.from_regex(r"(https|wss?|http)://\S{0,20}(:\d{1,6})?(/\S{0,10})?", fullmatch=True))
def test_any_text_is_a_url_or_refused(text: str) -> None:
    for arguments in ((text, None), (None, text)):
        try:
            endpoint = Endpoint.resolve("k", *arguments)
        except ConfigurationError:
            continue
        assert endpoint.session_url.isascii()
        assert not set("\r\n\0 ") & set(endpoint.session_url)


# ---- secrets -----------------------------------------------------------------------------------


def test_the_key_shows_in_no_text(sentinel_key: str) -> None:
    for source in (sentinel_key, lambda: sentinel_key):
        endpoint = Endpoint.resolve(source)
        session = Session(session_id="s1", api_key=source)
        assert endpoint.key() == sentinel_key
        for shown in (repr(endpoint), str(endpoint), repr(vars(session)), f"{session}"):
            assert sentinel_key not in shown
        assert_keeps_secret(session)


def test_a_refused_key_shows_in_no_text(sentinel_key: str) -> None:
    for key in (sentinel_key + "\r\n", sentinel_key + " ", "ä" + sentinel_key):
        with pytest.raises(ConfigurationError) as caught:
            Session(session_id="s1", api_key=key)
        assert_keeps_secret(caught.value)
