"""The client: where an engine is, who asks, and the HTTP calls to it."""

from __future__ import annotations

import logging
import math
import os
import threading
import time
from collections.abc import Iterable, Mapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from sessionlib import hooks
from sessionlib._util.timing import Deadline
from sessionlib.config import ApiKey, ConnectionSettings, Endpoint, check_headers, check_readers
from sessionlib.errors import ApiTimeoutError, ConfigurationError
from sessionlib.net.connect import CancelToken
from sessionlib.net.proxies import Certificates, check_proxy, given_certificates, trusting
from sessionlib.net.retry import Pace, Throttle, Tries
from sessionlib.rest.calls import Answer, Call, Failure, Upload, make_call

if TYPE_CHECKING:
    from types import TracebackType

    from sessionlib.rest.pool import Lines, Pool

__all__ = ["Client", "RequestClient", "default_client", "request_client"]

log = logging.getLogger("sessionlib.rest")


class Client:
    """An engine's address and a key for it, with pooled HTTP connections. Threads may share it.

    A client is a context manager; leaving it closes its connections. It may be pickled and
    survives a fork: connections stay behind, and so does a key that was given as ``api_key``. On the
    other side the key comes from the environment.

    Args:
        api_key: The key, or a callable that returns one and is called for each try of a call; else
            ``sessionlib.api_key``, then the environment's or that of a ``.env`` file, read when it is needed.
        base_url: HTTP base; else ``sessionlib.base_url``, then the environment's or that of a ``.env`` file, then the
            hosted engine.
        ws_url: WebSocket base; else as `Endpoint.resolve` finds it.
        timeout: Seconds for a whole call, from name resolution to the last byte of its answer, with
            all retries and the waits between them; None waits without limit.
        proxy: URL of the proxy for every call and session; None for the environment's (``https_proxy``,
            ``all_proxy``, ``no_proxy`` and their like), which are never used for an engine on this machine.
        tls: What to verify the engine by, and a proxy with an ``https://`` URL: the certificates to trust, as the
            path of a file or folder or as PEM, or an `ssl.SSLContext`. None for the certificates that
            ``SSL_CERT_FILE``, ``REQUESTS_CA_BUNDLE`` or ``CURL_CA_BUNDLE`` names, or else the default ones. Paths and
            PEM travel with a pickle; a client with a context cannot be pickled.
        headers: Further headers of every call and of every session's handshake. They travel with a pickle.
        allow_insecure: Lets a key travel unencrypted to another machine.
        max_retries: How often a call is made again where that is harmless: one that changes nothing
            after a failed connection, 408, 425, 429 or 5xx; any after 429 or 503 with Retry-After.
        rate: The most sessions that `Agent.run` and `Agent.map` open in a second, all threads of a process
            together, and all processes of one map; None for no limit. A refusal with 429 or Retry-After pauses all of
            them in any case.
        max_active: The most sessions that they have open at a time; None for no limit.
        readers: How many threads read all sessions of this process that ask for it; 1 serves thousands of them with
            less memory and processor time than a thread each, which None stands for. So does every number on Windows
            and under gevent.

    Attributes:
        endpoint: The addresses and the key.
        timeout: Seconds for a whole call, or None.
        proxy: The proxy for every call and session, or None.
        tls: What the engine is verified by: an absolute path, PEM as bytes, a context, or None.
        headers: Further headers of every call and handshake.
        allow_insecure: Whether a key may travel unencrypted to another machine.
        max_retries: How often a call is made again.
        readers: How many threads read all sessions, or None for a thread each.
        pace: When `Agent.run` and `Agent.map` may open a session; shared by all threads of a process. An object of
            your own may take its place, which has the methods ``admit``, ``refused`` and ``active`` of this one
            and is pickled with the client: over Redis, for instance, it is one pace for any number of programs.

    Raises:
        ConfigurationError: Something is empty, malformed or holds control characters.
        InsecureTransportError: A URL is unencrypted and not on this machine.
    """

    def __init__(
        self,
        api_key: ApiKey | None = None,
        base_url: str | None = None,
        ws_url: str | None = None,
        timeout: float | None = 30.0,
        *,
        proxy: str | None = None,
        tls: Certificates | None = None,
        headers: Mapping[str, str] | None = None,
        allow_insecure: bool = False,
        max_retries: int = 2,
        rate: float | None = None,
        max_active: int | None = None,
        readers: int | None = None,
    ) -> None:
        self.endpoint = Endpoint.resolve(api_key, base_url, ws_url, allow_insecure=allow_insecure)
        self.timeout = _check_timeout(timeout)
        if proxy is not None:
            check_proxy(proxy, "proxy")
        self.proxy = proxy
        self.tls = None if tls is None else given_certificates(tls)
        # Made now, so that a path without certificates is an error here and not at the first call.
        self._context = None if tls is None else trusting(tls)
        self.headers = check_headers(headers)
        if not isinstance(max_retries, int) or max_retries < 0:
            raise ConfigurationError("max_retries takes a whole number, 0 or above")
        self.max_retries = max_retries
        self.allow_insecure = allow_insecure
        self.pace: Throttle = _pace(rate, max_active)
        self.readers = check_readers(readers)
        # By process id, so that a forked child never touches its parent's connections. setdefault is
        # atomic and a new pool holds nothing yet, so threads that race for it need no lock.
        self._pools: dict[int, Pool] = {}

    def __repr__(self) -> str:
        return f"<Client {self.host}>"

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    # Shared and not copied: an agent that is copied keeps the connections, the key and the pace.
    def __copy__(self) -> Client:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Client:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        if self.tls is not None and not isinstance(self.tls, (str, bytes)):
            # Without it, the copy would verify the engine by other certificates than it should.
            raise TypeError(
                "a Client whose tls is an ssl.SSLContext cannot be pickled; give it the path of a file of "
                "certificates, or their PEM bytes"
            )
        options = {
            "base_url": self.endpoint.base_url,
            "ws_url": self.endpoint.ws_url,
            "timeout": self.timeout,
            # A proxy with a password is a secret like the key.
            "proxy": None if self.proxy and "@" in self.proxy else self.proxy,
            "tls": self.tls,
            "headers": self.headers,
            "allow_insecure": self.allow_insecure,
            "max_retries": self.max_retries,
            "pace": self.pace,
            "readers": self.readers,
        }
        return (_rebuild, (options,))

    @property
    def host(self) -> str:
        """Host and port of the engine."""
        return urlsplit(self.endpoint.base_url).netloc

    def connection_settings(self) -> ConnectionSettings:
        """Returns what a session of this client needs besides its endpoint.

        Returns:
            The settings, as they were given to the client.
        """
        return ConnectionSettings(
            self.allow_insecure, self.proxy, self._context, self.headers, self.timeout, self.readers
        )

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        json: Any = None,
        form: Mapping[str, Any] | None = None,
        files: Iterable[Upload] = (),
        timeout: float | None = None,
    ) -> Any:
        """Makes one HTTP call and returns the JSON value of its answer.

        Args:
            method: The HTTP method.
            path: The path below the base URL, such as ``/agent``.
            query: Fields of the query; None values are left out, flags become ``true`` and ``false``.
            json: The JSON body.
            form: Fields of a form, sent instead of ``json``.
            files: Files of a multipart form, as ``(field, (name, bytes))`` or ``(field, (name, bytes, type))``.
            timeout: Seconds for the whole call; None takes the client's.

        Returns:
            The value; ``{}`` for an empty body.

        Raises:
            ApiError: The server answered with a status that is not 2xx; redirects are not followed.
            ApiTimeoutError: The answer was not complete in time.
            ApiConnectionError: There was no answer, or one that is not JSON or is larger than 32 MiB.
            ConfigurationError: There is no key, or the call cannot be one; nothing was sent.
            TypeError: The body holds something that has no JSON form; nothing was sent.
        """
        call = make_call(method, path, query=query, json=json, form=form, files=files)
        return self._outcome(call, timeout).value()

    def stream(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        json: Any = None,
        timeout: float | None = None,
    ) -> Lines:
        """Makes one HTTP call and yields the lines of its answer as they come.

        Args:
            method: The HTTP method.
            path: The path below the base URL.
            query: Fields of the query.
            json: The JSON body.
            timeout: Seconds until the answer begins, and then for each line; None takes the client's.

        Returns:
            An iterator over the lines that are not empty, which closes the connection at its end.

        Raises:
            ApiError: The server answered with a status that is not 2xx.
            ApiTimeoutError: The answer did not begin in time.
            ApiConnectionError: There was no answer.
            ConfigurationError: There is no key, or the call cannot be one; nothing was sent.
            TypeError: The body holds something that has no JSON form; nothing was sent.
        """
        call = make_call(method, path, query=query, json=json, stream=True)
        lines: Lines = self._outcome(call, timeout).value()
        return lines

    def close(self) -> None:
        """Closes the pooled connections; idempotent. A later call opens new ones."""
        pool = self._pools.pop(os.getpid(), None)
        if pool is not None:
            pool.close()

    def _outcome(self, call: Call, timeout: float | None) -> Answer | Failure | Lines:
        deadline = Deadline(self.timeout if timeout is None else _check_timeout(timeout))
        tries = Tries(call.changes_nothing, deadline, self.max_retries)
        while True:
            outcome = self._try(call, deadline)
            delay = None if not isinstance(outcome, (Answer, Failure)) else tries.delay_after(outcome)
            if delay is None:
                return outcome
            log.debug("= %s again in %.3f s", call, delay)
            # Bounded by the deadline, which `Tries` knows.
            time.sleep(delay)

    def _try(self, call: Call, deadline: Deadline) -> Answer | Failure | Lines:
        log.debug("> %s", call)
        began = time.monotonic()
        outcome = self._exchange(call, deadline)
        status = outcome.status if isinstance(outcome, Answer) else type(outcome).__name__
        log.debug("< %s %s after %.3f s", call, status, time.monotonic() - began)
        return outcome

    def _exchange(self, call: Call, deadline: Deadline) -> Answer | Failure | Lines:
        def exchange(key: str) -> Answer | Failure | Lines:
            pid = os.getpid()
            pool = self._pools.get(pid)
            if pool is None:
                # Here, because it imports requests.
                from sessionlib.rest.pool import Pool

                # Dropped and not closed: the connections are the parent's as well.
                for parent in self._pools.keys() - {pid}:
                    self._pools.pop(parent, None)
                pool = self._pools.setdefault(pid, Pool(self.proxy, self._context, self.headers))
            return pool.exchange(call, self.endpoint.base_url, key, deadline)

        # Asked at each call: a recording may begin after the client was made.
        stand_in = hooks.network_hook
        if stand_in is not None:
            return stand_in.exchange(call, self.endpoint, exchange)
        # At each try, as a callable may have a new key by now.
        key = self.endpoint.key_within(deadline, CancelToken())
        if key is None:
            late = f"{call}: the api_key callable did not return within {deadline.timeout:.3g} s"
            return Failure(call, ApiTimeoutError(late, request_info=call.info), may_pass=False)
        return exchange(key)


_defaults: dict[Endpoint, Client] = {}

client_in_use: ContextVar[Client | None] = ContextVar("client_in_use", default=None)
"""The client that takes the default's place for a while: what an agent's tools look up goes where the agent goes."""


def default_client() -> Client:
    """Returns the client in use, else that of this process for the current environment.

    Raises:
        ConfigurationError: The environment names a URL that cannot be used.
        InsecureTransportError: It names one that is unencrypted and not on this machine.
    """
    if found := client_in_use.get():
        return found
    endpoint = Endpoint.resolve()
    # By what the environment names at the moment, so that a test that sets it gets a client of its own.
    return _defaults.get(endpoint) or _defaults.setdefault(endpoint, Client())


def given_client(client: Client | None, api_key: ApiKey | None) -> Client | None:
    """Returns the client that a public call names, or None for the environment's.

    Raises:
        TypeError: Both are given, or ``client`` is not a `Client`.
        ConfigurationError: The key cannot be used.
    """
    if client is not None and not isinstance(client, Client):
        raise TypeError(f"client takes a Client, not {type(client).__name__}")
    if client is not None and api_key is not None:
        raise TypeError("give client or api_key, not both: a client has its key")
    return client if api_key is None else Client(api_key)


class RequestClient:
    """HTTP calls in the form of the official SDK's ``vectorshift.request``; `Client` has more.

    Attributes:
        api_key: A key for these calls; None takes what `Client` takes without one.
        base_url: A base URL for these calls; None likewise.
    """

    def __init__(self) -> None:
        self.api_key: ApiKey | None = None
        self.base_url: str | None = None

    def request(
        self,
        method: str,
        endpoint: str,
        query: Mapping[str, Any] | None = None,
        json: Any = None,
        api_key: ApiKey | None = None,
        files: Iterable[tuple[str, Any]] | None = None,
        form: Mapping[str, Any] | None = None,
    ) -> Any:
        """Makes one HTTP call; arguments and errors are as for `Client.request`, but for these.

        Args:
            method: The HTTP method.
            endpoint: The path below the base URL.
            query: Fields of the query.
            json: The JSON body; with ``files``, fields of the form.
            api_key: A key for this call.
            files: Files of a multipart form: ``(field, file)``, an open file or ``(name, content[, type])``.
            form: Fields of a form, sent instead of ``json``.

        Returns:
            The JSON value of the response.
        """
        uploads = [(field, _upload(file)) for field, file in files or ()]
        # With files it is a multipart body, whose fields the SDK takes from `json`.
        fields = json if uploads and form is None else form
        body = None if uploads else json
        return self._client(api_key).request(method, endpoint, query=query, json=body, form=fields, files=uploads)

    def stream_request(
        self,
        method: str,
        endpoint: str,
        query: Mapping[str, Any] | None = None,
        json: Any = None,
        api_key: ApiKey | None = None,
    ) -> Lines:
        """Makes one HTTP call and returns the lines of its response; arguments and errors as for `request`."""
        return self._client(api_key).stream(method, endpoint, query=query, json=json)

    # The names of the SDK's asynchronous client, whose ``await`` is deleted when a script is ported.
    arequest = request
    astream_request = stream_request

    def _client(self, api_key: ApiKey | None) -> Client:
        key = api_key or self.api_key
        return default_client() if key is None and self.base_url is None else Client(key, self.base_url)


request_client = RequestClient()
"""The `RequestClient` that ``from sessionlib.request import request_client`` imports."""


def _upload(file: Any) -> Any:
    # Where the SDK takes an open file, a client takes its name and content.
    if isinstance(file, (tuple, list)):
        name, content, *kind = file
        return (name, content.read() if hasattr(content, "read") else content, *kind)
    return (os.path.basename(str(getattr(file, "name", "file"))), file.read())


def _rebuild(options: dict[str, Any]) -> Client:
    pace = options.pop("pace")
    client = Client(**options)
    # Every copy in a process has the same one: the jobs of a map bring a copy each.
    client.pace = pace
    return client


def _pace(rate: float | None, max_active: int | None) -> Pace:
    if rate is not None and not (isinstance(rate, (int, float)) and 0 < rate < math.inf):
        raise ConfigurationError(f"rate takes a number of sessions a second above 0, or None, not {rate!r}")
    if max_active is not None and (not isinstance(max_active, int) or max_active < 1):
        raise ConfigurationError(f"max_active takes a whole number above 0, or None, not {max_active!r}")
    return Pace(rate, max_active)


def _check_timeout(timeout: float | None) -> float | None:
    if timeout is not None and not timeout > 0:
        raise ConfigurationError("timeout takes a number of seconds above 0, or None for no limit")
    # Longer than a socket can wait: infinity, for one.
    return None if timeout is None or timeout > threading.TIMEOUT_MAX else timeout
