"""Which proxy and whose certificates the environment names."""

from __future__ import annotations

import os
import ssl
from pathlib import Path
from urllib.parse import urlsplit

import certifi
import pytest
import trustme

from sessionlib.errors import ConfigurationError
from sessionlib.net.proxies import CA_VARIABLES, ca_bundle, default_context, environment_proxy, is_bypassed, trusting
from sessionlib.transport.proxy import choose_proxy

# By host: the exceptions that name it, and those that do not.
EXCEPTIONS = {
    "engine.example": (
        [
            *("*", "engine.example", "example", ".example", "*.example", "eng*.example", "other, engine.example"),
            *("other engine.example", "engine.example:443", "*:443"),
        ],
        ["ngine.example", "example.engine", "a.engine.example", "engine.example:8443", "", " , ,", "."],
    ),
    "Engine.Example": (["ENGINE.example"], []),
    "engine.example.": (["engine.example"], []),
    "10.1.2.3": (
        ["10.0.0.0/8", "10.1.2.3", "10.1.2.3:443", "10.*"],
        ["10.1.2.3:80", "10.1.2", "2.3", "2001:db8::/32", "10.0.0.0/99"],
    ),
    "10.9.9.9": (["10.1.2.3/8"], []),
    "11.1.2.3": ([], ["10.0.0.0/8"]),
    "10.example": ([], ["10.0.0.0/8"]),
    "2001:db8::1": (["2001:db8::/32", "[2001:db8::1]", "[2001:db8::1]:443"], ["[2001:db8::1]:80", "10.0.0.0/8"]),
    "2001:db8:0:0::1": (["2001:db8::1"], []),
    "2001:db9::1": ([], ["2001:db8::/32"]),
}


@pytest.mark.parametrize(
    ("exceptions", "host", "bypassed"),
    [
        (exceptions, host, exceptions in named)
        for host, (named, others) in EXCEPTIONS.items()
        for exceptions in named + others
    ],
)
def test_exceptions(monkeypatch: pytest.MonkeyPatch, exceptions: str, host: str, bypassed: bool) -> None:
    assert is_bypassed(host, 443, exceptions) is bypassed
    name = f"[{host}]" if ":" in host else host
    monkeypatch.setenv("https_proxy", "http://p:1")
    for variable in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(variable, exceptions)
    # One rule for both: what HTTP calls ask, and what sessions do.
    assert (environment_proxy(urlsplit(f"https://{name}/v1")) is None) is bypassed
    assert (choose_proxy(None, urlsplit(f"wss://{name}/v1")) is None) is bypassed


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
def test_this_machine_is_never_reached_through_a_proxy(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    monkeypatch.setenv("all_proxy", "http://p:1")
    assert environment_proxy(urlsplit(f"http://{host}:8000")) is None


def test_the_default_certificates_are_the_systems_and_those_that_come_with_requests(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in CA_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    known = {str(one["subject"]) for one in default_context().get_ca_certs()}
    for brought in (ssl.create_default_context(cafile=certifi.where()), ssl.create_default_context()):
        assert {str(one["subject"]) for one in brought.get_ca_certs()} <= known
    # Loaded once, for every connection: it takes longer than a handshake.
    assert default_context() is default_context()
    bundle = tmp_path / "bundle.pem"
    trustme.CA().cert_pem.write_to_path(str(bundle))
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    [first] = default_context().get_ca_certs()
    trustme.CA().cert_pem.write_to_path(str(bundle))
    os.utime(bundle, (1, 1))
    [second] = default_context().get_ca_certs()
    assert first["serialNumber"] != second["serialNumber"]


@pytest.mark.parametrize("given", ["path", "Path", "folder", "bytes", "str"])
def test_certificates_of_an_argument(tmp_path: Path, given: str) -> None:
    authority = trustme.CA()
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    pem = authority.cert_pem.bytes()
    forms = {"path": str(path), "Path": path, "folder": tmp_path, "bytes": pem, "str": pem.decode()}
    context = trusting(forms[given])
    # Those of a folder are read when they are asked for.
    assert len(context.get_ca_certs()) == (given != "folder")
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert trusting(context) is context


@pytest.mark.parametrize("given", ["", b"", "missing.pem", b"junk", b"\xff", "-----BEGIN CERTIFICATE-----\nsecret"])
def test_certificates_that_are_none(given: str | bytes) -> None:
    with pytest.raises(ConfigurationError) as caught:
        trusting(given)
    assert "secret" not in str(caught.value)
    with pytest.raises(TypeError, match="not int"):
        trusting(7)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", CA_VARIABLES)
def test_any_of_the_variables_names_the_certificates(
    monkeypatch: pytest.MonkeyPatch, name: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    for other in CA_VARIABLES:
        monkeypatch.delenv(other, raising=False)
    assert ca_bundle() is None
    path = tmp_path_factory.mktemp("certificates") / "bundle.pem"
    monkeypatch.setenv(name, str(path))
    with pytest.raises(ConfigurationError, match=name):
        ca_bundle()
    path.touch()
    assert ca_bundle() == str(path)
