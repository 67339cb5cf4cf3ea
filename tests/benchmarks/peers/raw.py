"""websocket-client and json.loads in a loop: the least that a synchronous client can be written with."""

from __future__ import annotations

import websocket

from tests.benchmarks.peers.common import Wire, raw_scenarios, serve


def _open(url: str, authorization: str) -> Wire:
    wire: Wire = websocket.create_connection(url, header=[f"Authorization: {authorization}"], http_no_proxy=["*"])
    return wire


if __name__ == "__main__":
    serve(raw_scenarios(_open))
