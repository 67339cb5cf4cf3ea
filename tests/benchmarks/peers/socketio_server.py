"""An echo and blast server of python-socketio's own, since its client speaks to no other: prints ``ready PORT``.

The event ``blast`` with a size and a count is answered with as many ``delta`` events and an ``end``;
``echo`` with one ``delta``.
"""

from __future__ import annotations

import sys
import threading

import socketio
from werkzeug.serving import make_server

from tests.benchmarks.engine import text


def main() -> int:
    """Serves until the process is ended."""
    server = socketio.Server(async_mode="threading", transports=["websocket"])

    def blast(sid: str, size: int, count: int) -> None:
        for index in range(count):
            delta = {"type": "message_delta", "message_id": "m1", "index": index, "value": text(size)}
            server.emit("delta", delta, to=sid)
        server.emit("end", {}, to=sid)

    def echo(sid: str) -> None:
        server.emit("delta", {"type": "message_delta", "value": "x"}, to=sid)

    server.on("blast", blast)
    server.on("echo", echo)
    http = make_server("127.0.0.1", 0, socketio.WSGIApp(server), threaded=True)
    print("ready", http.port, flush=True)
    # A daemon: the peer ends this process by a signal.
    serving = threading.Thread(target=http.serve_forever, daemon=True)
    serving.start()
    serving.join()
    return 0


if __name__ == "__main__":
    sys.exit(main())
