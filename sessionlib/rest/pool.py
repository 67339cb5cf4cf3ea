"""Exchanges over pooled connections: a call out, and what came back.

What `requests` does by itself (measured with 2.34.2) and this module does not want: a ``.netrc``
overrides the ``Authorization`` header; proxies of the environment apply to this machine too; bodies are
read whole and unpacked, without a bound, even those of redirects that are not followed.
"""

from __future__ import annotations

import contextlib
import io
import weakref
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, NoReturn
from urllib.parse import urlsplit

import requests

from sessionlib._util.timing import Deadline
from sessionlib._version import USER_AGENT
from sessionlib.net.proxies import default_context, environment_proxy
from sessionlib.rest.calls import Answer, Call, Failure, OpenLines
from sessionlib.rest.deadlines import FOREIGN, Limit, UnwantedAnswerError, failure_of, open_session

if TYPE_CHECKING:
    import ssl

__all__ = ["Lines", "Pool"]

# What an engine answers is small; these bound the memory that a peer which is none can take.
MAX_BODY = 32 * 2**20
MAX_ERROR_BODY = 64 * 2**10
MAX_LINE = 4 * 2**20
_CHUNK = 64 * 2**10


class Pool:
    """The connections of one client in one process. Threads may share it.

    Args:
        proxy: The proxy for every call; None for the environment's, which is never used for this machine.
        tls: What to verify servers by; None for the environment's certificates, or the default ones.
        headers: Further headers of every call.
    """

    def __init__(
        self, proxy: str | None = None, tls: ssl.SSLContext | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        self._proxy = proxy
        self._tls = tls
        self._headers = dict(headers or {})
        # Of one process: a child that forks while a connection is in use would write into the parent's.
        self._session = open_session(tls)

    def close(self) -> None:
        """Closes the connections that no call uses; idempotent."""
        # Those in use are closed behind their calls: urllib3 finds its pool closed when it puts them back.
        self._session.close()

    def exchange(self, call: Call, base_url: str, key: str, deadline: Deadline) -> Answer | Failure | Lines:
        """Makes a call once.

        Args:
            call: The call.
            base_url: Where to.
            key: The API key.
            deadline: When the answer has to be there, to its last byte; for a stream, to its headers.

        Returns:
            What came back: lines for a stream that was answered with 2xx. Nothing is raised for a
            call that got no answer, because the libraries' exceptions hold the request, and with it
            the key.
        """
        try:
            with Limit(deadline) as limit:
                # Whatever is read below, headers, redirects and TLS included, is read within this block.
                return self._exchange(call, base_url, key, limit)
        except FOREIGN as error:
            return failure_of(call, urlsplit(base_url).netloc, error, deadline)

    def _exchange(self, call: Call, base_url: str, key: str, limit: Limit) -> Answer | Lines:
        # Only the head has been read then: how much of the body is wanted depends on the status.
        response = self._open(call, base_url, key, limit)
        answer = None
        try:
            answer = _read(call, response, key, limit)
        finally:
            # An answer that was read to its end has returned its connection to the pool already; one that was not
            # takes its connection with it, as the rest of the body would stand before the next answer.
            if not isinstance(answer, Lines):
                response.close()
        return answer

    def _open(self, call: Call, base_url: str, key: str, limit: Limit) -> requests.Response:
        url = base_url + call.path
        parts, proxy = urlsplit(url), self._proxy
        # What a client was given takes precedence over the environment, also for this machine.
        if proxy is None and (found := environment_proxy(parts)) is not None:
            proxy = found.url
        if self._tls is None and url.startswith("https:"):
            default_context()  # kept for the connection; here, what is wrong with it is raised as it is
        # `identity`: a packed answer could be a thousand times larger than what came, and the bound is on what came.
        headers = {
            "Authorization": f"Bearer {key}",
            "Accept-Encoding": "identity",
            "User-Agent": USER_AGENT,
            **self._headers,
        }
        if call.body is not None:
            headers["Content-Type"] = "application/json"
        return self._session.request(
            call.method,
            url,
            params=call.query,
            data=call.body if call.form is None else call.form,
            files=call.files or None,
            headers=headers,
            # Of each wait on the socket; that of the whole call is the limit's, which shuts the socket down.
            timeout=limit.left(),
            proxies={} if proxy is None else {parts.scheme: proxy},
            # A redirect would carry the client's further headers to another host: requests strips only Authorization.
            allow_redirects=False,
            stream=True,
        )


class Lines(OpenLines):
    """The lines of a streamed answer, without empty ones, as they come.

    An iterator and a context manager; the end of the iteration closes it.

    Args:
        call: The call it answers.
        response: The open response.
        limit: The limit of its connection.
    """

    def __init__(self, call: Call, response: requests.Response, limit: Limit) -> None:
        self._call = call
        self._response = response
        self._limit = limit
        # The same seconds for each line: a deadline for the whole would end every long stream.
        self._timeout = limit.deadline.timeout
        self._lines = _split(response)
        # An answer that is dropped half read must not keep its connection out of the pool for ever.
        self._close = weakref.finalize(self, response.close)

    def __repr__(self) -> str:
        return f"<Lines of {self._call}, {'open' if self._close.alive else 'closed'}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("the lines of an open answer cannot be pickled; read them first")

    def __next__(self) -> bytes:
        """Waits for the next line, no longer than the call's timeout.

        Raises:
            ApiConnectionError: The answer was truncated, or a line is larger than 4 MiB.
            ApiTimeoutError: No line came in time.
        """
        # Set again for each line: a stream may last for hours as long as something comes.
        self._limit.deadline = Deadline(self._timeout)
        outcome = self._next()
        if isinstance(outcome, Failure):
            outcome.value()
        if outcome is None:
            raise StopIteration
        return outcome

    def value(self) -> Lines:
        """Returns the lines themselves."""
        return self

    def close(self) -> None:
        """Closes the connection; idempotent."""
        self._close()

    def _next(self) -> bytes | Failure | None:
        if not self._close.alive:
            return None
        try:
            line = next(self._lines, None)
        except FOREIGN as error:
            host = urlsplit(self._response.url).netloc
            self.close()
            return failure_of(self._call, host, error, self._limit.deadline)
        # Ctrl-C in the middle of a line: where the next line begins is not known any more.
        except BaseException:
            self.close()
            raise
        if line is None:
            self.close()
        return line


def _split(response: requests.Response) -> Iterator[bytes]:
    # Not a method: a generator that held the lines it feeds would keep them from being freed.
    rest = b""
    # read1() returns what has come. read(n) would wait for n bytes, and so hold back the lines of a slow stream.
    while chunk := response.raw.read1(_CHUNK, decode_content=False):
        # At bytes: a chunk may end within a character of UTF-8, but no byte of one is a line break.
        *lines, rest = (rest + chunk).split(b"\n")
        yield from (line.rstrip(b"\r") for line in lines if line.strip())
        if len(rest) > MAX_LINE:
            raise UnwantedAnswerError(f"has a line of more than {MAX_LINE} bytes")
    if rest.strip():
        yield rest.rstrip(b"\r")


def _read(call: Call, response: requests.Response, key: str, limit: Limit) -> Answer | Lines:
    status = response.status_code
    ok = 200 <= status < 300
    encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
    if not ok:
        # Its beginning is enough for the server's message, and a server may quote the key in it.
        # A packed one is not unpacked, for the reason that is given in `_open`.
        body = b""
        # The status matters more than a body that does not come.
        with contextlib.suppress(*FOREIGN):
            body = response.raw.read(MAX_ERROR_BODY, decode_content=False) if encoding == "identity" else b""
        return Answer(call, status, response.headers, body.replace(key.encode(), b"***"))
    if encoding != "identity":
        raise UnwantedAnswerError("is packed, although it was asked for unpacked")
    if call.stream:
        return Lines(call, response, limit)
    return Answer(call, status, response.headers, _whole(response))


def _whole(response: requests.Response) -> bytes:
    # Refused by its announcement where there is one; counted as it comes where that is missing or untrue.
    announced = response.headers.get("Content-Length", "")
    body = io.BytesIO()
    too_large = announced.isdecimal() and int(announced) > MAX_BODY
    while not too_large and (chunk := response.raw.read(_CHUNK, decode_content=False)):
        body.write(chunk)
        too_large = body.tell() > MAX_BODY
    if too_large:
        raise UnwantedAnswerError(f"is larger than {MAX_BODY} bytes")
    return body.getvalue()
