"""The threaded client of ``websockets`` and json.loads in a loop."""

from __future__ import annotations

from websockets.sync.client import connect

from tests.benchmarks.peers.common import Wire, raw_scenarios, serve


def _open(url: str, authorization: str) -> Wire:
    headers = {"Authorization": authorization}
    return connect(url, additional_headers=headers, compression=None, max_size=None, proxy=None)


if __name__ == "__main__":
    serve(raw_scenarios(_open))
