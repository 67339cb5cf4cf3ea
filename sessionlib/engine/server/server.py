"""One port: HTTP and WebSocket, each request checked before anything is done for it."""

from __future__ import annotations

import logging
import socket
import threading

from sessionlib._util.timing import Deadline
from sessionlib.engine.limits import Limits
from sessionlib.engine.server import http
from sessionlib.engine.server.auth import Authenticator
from sessionlib.engine.server.connection import ClientConnection
from sessionlib.engine.server.http import HttpError, Request, Response
from sessionlib.engine.server.routes import Rest
from sessionlib.engine.server.send_queue import Flusher, SendQueue
from sessionlib.engine.server.websocket import WebSocket, accept
from sessionlib.engine.sessions.registry import SessionRegistry
from sessionlib.net.listener import ThreadedServer

__all__ = ["SESSION_PATH", "Server"]

logger = logging.getLogger(__name__)

SESSION_PATH = "/v1/ws/session"
_GOODBYE_SECONDS = 2.0


class Server:
    """Serves one engine.

    Args:
        host: Address to listen on.
        port: Port to listen on; 0 takes a free one.
        hub: The sessions.
        rest: Answers HTTP.
        limits: Of connections, requests and messages.

    Raises:
        OSError: The address cannot be listened on.
    """

    def __init__(self, host: str, port: int, hub: SessionRegistry, rest: Rest, limits: Limits) -> None:
        self._hub = hub
        self._rest = rest
        self._limits = limits
        self._guard: Authenticator | None = None
        # Protects the set of clients.
        self._lock = threading.Lock()
        self._peers: set[ClientConnection] = set()
        # For each tool that may run a few pipes; and for the database, the model, and what else the process does.
        spare = 64 + 4 * limits.tool_processes
        self._listener = ThreadedServer(host, port, self._serve, limits.connections, spare)
        self.port = self._listener.port
        self._flusher = Flusher(str(self.port))

    def start(self, guard: Authenticator) -> None:
        """Begins to serve those whom the guard lets pass."""
        self._guard = guard
        self._listener.start()

    def close(self) -> None:
        """Closes the connections of all clients, and waits for their threads."""
        self._listener.stop()
        with self._lock:
            peers = list(self._peers)
        for peer in peers:
            # A close frame each, so that clients know why, and come back when it runs again.
            peer.leave()
        # The time for their answers; then what is left is shut down.
        self._listener.close(Deadline(_GOODBYE_SECONDS if peers else 0.0))
        # Last, for until now there may be something to send.
        self._flusher.close()

    def _serve(self, sock: socket.socket) -> None:
        request = None
        try:
            request = http.read_head(sock, self._limits)
            if request is None:
                return
            # From here on it keeps its place, however silent it is.
            self._listener.note_request()
            response = self._answer(sock, request)
        except HttpError as error:
            what = f"{request.method} {request.path[:200]!a}" if request else "a request"
            level = logging.INFO if error.status < 500 else logging.WARNING
            # In ASCII and bounded: the path is the peer's, and a log line must stay one.
            logger.log(level, "! %s was refused with %d: %s", what, error.status, ascii(error.message)[1:-1])
            response = Response.error(error)
        if response is not None:
            http.send_response(sock, response)
            http.linger(sock)

    def _answer(self, sock: socket.socket, request: Request) -> Response | None:
        # None when the connection was a WebSocket and is over.
        assert self._guard is not None
        # Before the path is looked at: who has no key does not learn what is there.
        self._guard.check(request)
        if request.path == SESSION_PATH:
            self._converse(sock, request)
            return None
        handler, call = self._rest.find(request)
        body = http.read_body(sock, request, self._limits)
        try:
            return self._rest.answer(handler, call, body)
        except HttpError:
            raise
        except Exception:
            logger.exception("! %s %s failed", request.method, request.path)
            raise HttpError(500, "the engine failed; its log has the reason") from None

    def _converse(self, sock: socket.socket, request: Request) -> None:
        if request.method != "GET":
            raise HttpError(405, "a WebSocket begins with GET", {"Allow": "GET"})
        accepted = accept(request.head)
        outlet = SendQueue(sock, self._limits.outbound_bytes, self._flusher)
        # Before other threads know the connection, so that no frame comes before the handshake's answer.
        outlet.send(accepted)
        peer = ClientConnection(WebSocket(sock, request.rest, outlet, self._limits), outlet, self._hub, self._limits)
        with self._lock:
            self._peers.add(peer)
        try:
            peer.serve()
        finally:
            with self._lock:
                self._peers.discard(peer)
        # The close frame may still be queued.
        outlet.drain()
        http.linger(sock)
