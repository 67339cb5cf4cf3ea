"""What is measured, and of whom."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

Task = dict[str, Any]


@dataclass(frozen=True)
class Peer:
    """A program that is measured.

    Attributes:
        name: As in tables.
        program: Its module in ``tests.benchmarks.peers``.
        modules: What it imports, without which it is left out.
    """

    name: str
    program: str
    modules: tuple[str, ...]

    @property
    def installed(self) -> bool:
        """Whether what it needs is there."""
        return all(importlib.util.find_spec(module.partition(".")[0]) for module in self.modules)


OURS = Peer("sessionlib", "ours", ("sessionlib",))
OFFICIAL = Peer("official async SDK", "official", ("vectorshift.session",))
RAW = Peer("websocket-client + json", "raw", ("websocket",))
WEBSOCKETS = Peer("websockets.sync + json", "websockets_sync", ("websockets.sync.client",))
SOCKETIO = Peer("python-socketio", "socketio_client", ("socketio", "simple_websocket", "werkzeug"))
LIMIT = Peer("split + orjson only", "limit", ("orjson",))
# Not a client: what ours stands on, to be imported.
GROUND = Peer("websocket, dataclasses_json", "raw", ("websocket", "dataclasses_json"))
WIRE_PEERS = (OURS, OFFICIAL, RAW, WEBSOCKETS, LIMIT)
PEERS = (*WIRE_PEERS, SOCKETIO, GROUND)
SESSION_PEERS = (OURS, OFFICIAL)
# It sends one event at a time, and its server is the slower end of it.
_SMALL = (*WIRE_PEERS, SOCKETIO)
_SOAKED = (OURS, OFFICIAL, LIMIT)


@dataclass(frozen=True)
class Metric:
    """A figure of a case.

    Attributes:
        name: As the peers call it.
        unit: As in tables.
        more_is_better: Which way a ratio is turned.
        noise: Figures below it are as good as equal, and have no ratio.
    """

    name: str
    unit: str
    more_is_better: bool = False
    noise: float = 0.0


@dataclass(frozen=True)
class Case:
    """A task for several peers.

    Attributes:
        scenario: As the peers call it.
        title: As in tables.
        metrics: What is told of it.
        task: Its parameters.
        peers: Who does it.
    """

    scenario: str
    title: str
    metrics: tuple[Metric, ...]
    task: Task = field(default_factory=dict)
    peers: tuple[Peer, ...] = WIRE_PEERS


_SIZES = {"20 B": (20, 50_000), "110 B": (110, 50_000), "1 KiB": (1024, 20_000)}
_LARGE_SIZES = {"16 KiB": (16 * 1024, 2000), "1 MiB": (1 << 20, 48)}

_RATE = (
    Metric("events_per_second", "events/s", more_is_better=True),
    Metric("events_per_cpu_second", "events/CPU s", more_is_better=True),
    Metric("peak_mib", "MiB peak", noise=2.0),
)
_TRIP = (Metric("p50_us", "µs p50"), Metric("p99_us", "µs p99"))
_FIRST = (Metric("first_ms", "ms"),)
_IMPORT = (Metric("import_ms", "ms"), Metric("modules", "modules"))
_MADE = {
    "ours": "sessionlib.Session(session_id='s1', api_key='k')",
    "official": "vectorshift.session.Session(owner_type='agent', owner_id='a1', session_id='s1', api_key='k')",
}
_UPLOAD = (Metric("seconds", "s"), Metric("peak_mib", "MiB peak"))
_SESSIONS = (
    Metric("join_ms", "ms to join"),
    Metric("joins_per_second", "joins/s", more_is_better=True),
    Metric("trip_ms", "ms round trip"),
    Metric("leave_ms", "ms to leave"),
    # By the clock it is also the engine, and who else is at the processor.
    Metric("join_cpu_ms", "CPU ms to join"),
    Metric("leave_cpu_ms", "CPU ms to leave"),
    Metric("rss_kib", "KiB each"),
    Metric("idle_cpu_ms", "CPU ms/s idle", noise=1.0),
    Metric("threads", "threads each"),
)


def all_cases(quick: bool = False) -> list[Case]:
    """Gives every case; quick ones are a tenth as long, and less certain."""
    share = 10 if quick else 1
    megabytes = (1, 8) if quick else (1, 64)
    huge = 64 if quick else 512
    return [
        *_throughput(share),
        Case("roundtrip", "Round trip", _TRIP, {"count": 3000 // share}, _SMALL),
        Case("first", "From nothing to the first delta", _FIRST, {"count": 200 // share}),
        *_listeners(share),
        *(Case("upload", f"Upload of {size} MiB", _UPLOAD, {"size": size << 20}) for size in megabytes),
        Case("upload", f"Upload of {huge} MiB", _UPLOAD, {"size": huge << 20}, (OURS,)),
        *_many_sessions(quick),
        Case("soak", f"Soak: {1_000_000 // share:,} events", _RATE, {"size": 20, "count": 1_000_000 // share}, _SOAKED),
        Case("streams", "Embedded engine: 200 streams", _RATE, {"sessions": 200, "deltas": 2000 // share}, (OURS,)),
        Case("import", "Import", _IMPORT, peers=(OURS, OFFICIAL, GROUND)),
        Case("import", "Import, and a session made", _IMPORT, {"statements": _MADE}, SESSION_PEERS),
    ]


def _throughput(share: int) -> Iterator[Case]:
    for label, (size, count) in {**_SIZES, **_LARGE_SIZES}.items():
        task = {"size": size, "count": max(8, count // share)}
        yield Case("throughput", f"Stream of {label} deltas", _RATE, task, _SMALL if label == "110 B" else WIRE_PEERS)


def _many_sessions(quick: bool) -> Iterator[Case]:
    for count in (1, 10, 100) if quick else (1, 10, 100, 1000):
        # Pings leave every 5 s; what those of a few sessions cost is not to be seen.
        task = {"count": count, "idle": 6.0 if count >= 100 and not quick else 1.0}
        yield Case("sessions", f"Sessions: {count}", _SESSIONS, task, SESSION_PEERS if count == 1000 else WIRE_PEERS)
    for count in () if quick else (1000, 2000, 10_000):
        task = {"count": count, "idle": 15.0, "readers": 1}
        yield Case("sessions", f"Sessions: {count}, ours read by one thread", _SESSIONS, task, SESSION_PEERS)


def _listeners(share: int) -> Iterator[Case]:
    metric = (Metric("deliveries_per_second", "deliveries/s", more_is_better=True),)
    for number in (1, 8, 64):
        task = {"size": 20, "count": 20_000 // share // (4 if number > 8 else 1), "listeners": number}
        yield Case("listeners", f"Listeners: {number}", metric, task, SESSION_PEERS)
