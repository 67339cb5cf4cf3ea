"""``sessionlib doctor``: what is wrong, and what to do about it."""

from __future__ import annotations

import importlib.metadata
import platform
import ssl
from collections.abc import Iterator

import click

from sessionlib._version import __version__
from sessionlib.cli.checks import Patient, examine
from sessionlib.cli.findings import FAILED, OK, Finding
from sessionlib.cli.options import Where, debug_option, where_options
from sessionlib.cli.target import embedded, find_agent
from sessionlib.client import Client
from sessionlib.config import Endpoint
from sessionlib.display.text import one_line
from sessionlib.errors import SessionlibError
from sessionlib.session import Session

__all__ = ["doctor"]

_LIBRARIES = ("websocket-client", "requests", "urllib3", "orjson")


@click.command()
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    help="How long each check may take.",
)
@where_options
@debug_option
def doctor(timeout: float, where: Where) -> int:
    """Check the key, the way to the engine and the engine itself, one by one.

    The exit status is 1 when something fails. The key is never shown. With --agent or --session, checks too
    that there is such an agent, and that the session can be joined.
    """
    click.echo(_versions())
    findings = _embedded(where, timeout) if where.is_embedded else _configured(where, timeout)
    failed = False
    for finding in findings:
        failed = failed or finding.failed
        _show(finding)
    click.echo("Something is wrong." if failed else "All is well.")
    return 1 if failed else 0


def _show(finding: Finding) -> None:
    colour = {"ok": "green", "FAILED": "red"}.get(finding.outcome, "yellow")
    click.echo(f"{click.style(f'{finding.outcome:<8}', colour)}{finding.name:<12}{one_line(finding.text)}")
    if finding.advice:
        click.echo(f"{'':20}{finding.advice}")


def _configured(where: Where, timeout: float) -> Iterator[Finding]:
    broken = False
    for finding in examine(Patient(where.base_url, timeout)):
        broken = broken or finding.failed
        yield finding
    if not broken:
        with Client(base_url=where.base_url, timeout=timeout) as client:
            yield from _named(where, client, timeout)


def _embedded(where: Where, timeout: float) -> Iterator[Finding]:
    why = "--local" if where.local else "no key and no URL are set"
    advice = "For another one, set SESSIONLIB_API_KEY, and SESSIONLIB_BASE_URL if it is not the hosted one."
    yield Finding("settings", OK, f"{why}: commands run on the embedded engine", advice)
    try:
        with embedded(where.engine) as engine:
            endpoint = Endpoint(engine.base_url, engine.ws_url, engine.api_key)
            yield from examine(Patient(endpoint.base_url, timeout, endpoint))
            yield from _named(where, engine.client(), timeout)
    except (SessionlibError, ImportError, OSError) as error:
        yield Finding("engine", FAILED, one_line(str(error)), "pip install 'sessionlib[engine]' has what it needs.")


def _named(where: Where, client: Client, timeout: float) -> Iterator[Finding]:
    if where.agent:
        try:
            found = find_agent(client, where.agent)
            yield Finding("agent", OK, f"{found.name} ({found.id}), {found.agent_type}")
        except (SessionlibError, click.ClickException) as error:
            yield Finding("agent", FAILED, str(error))
    if where.session:
        try:
            with Session(session_id=where.session, client=client).connect(timeout):
                yield Finding("session", OK, f"{where.session} can be joined")
        except SessionlibError as error:
            yield Finding("session", FAILED, str(error))


def _versions() -> str:
    libraries = ", ".join(f"{name} {_version(name)}" for name in _LIBRARIES)
    python = f"Python {platform.python_version()} on {platform.platform()}"
    return f"sessionlib {__version__}, {python}\n{libraries}, {ssl.OPENSSL_VERSION}"


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "(not installed)"
