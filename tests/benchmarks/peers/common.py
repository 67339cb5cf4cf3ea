"""What all peers share: the task, the clock, and the scenarios of those that read raw frames."""

from __future__ import annotations

import base64
import json
import resource
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

Task = dict[str, Any]
Figures = dict[str, float]
Scenario = Callable[[Task], Figures]

SESSION_ID = "s1"
API_KEY = "benchmark-key"


def serve(scenarios: dict[str, Scenario]) -> None:
    """Does the task of the command line and prints its figures."""
    task: Task = json.loads(sys.argv[1])
    print(json.dumps(scenarios[task["scenario"]](task)))


def order(size: int, count: int, verb: str = "blast") -> str:
    """Gives the text that makes the engine blast, or with "prepare" get ready to."""
    return json.dumps({verb: {"size": size, "count": count}})


# ---- figures -------------------------------------------------------------------------------


class Stopwatch:
    """Wall clock and processor time of this process, and its peak memory, from ``start`` to ``stop``."""

    def start(self) -> None:
        """Starts, and starts the peak anew."""
        _forget_peak()
        self._rss = rss_kib()
        self._cpu = time.process_time()
        self._wall = time.perf_counter()

    def stop(self) -> None:
        """Stops."""
        self.wall = time.perf_counter() - self._wall
        self.cpu = time.process_time() - self._cpu
        self.peak_mib = max(0.0, peak_kib() - self._rss) / 1024

    def rates(self, events: int) -> Figures:
        """Gives events per second, and peak memory."""
        return {
            "events_per_second": events / self.wall,
            "events_per_cpu_second": events / max(self.cpu, 1e-9),
            "peak_mib": self.peak_mib,
        }


def percentiles(seconds: Sequence[float]) -> Figures:
    """Gives the median and the 99th percentile, in microseconds."""
    ordered = sorted(seconds)
    return {"p50_us": ordered[len(ordered) // 2] * 1e6, "p99_us": ordered[len(ordered) * 99 // 100] * 1e6}


def rss_kib() -> float:
    """Gives this process's memory now."""
    return _status("VmRSS")


def peak_kib() -> float:
    """Gives this process's peak memory."""
    return _status("VmHWM") or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _status(name: str) -> float:
    path = Path("/proc/self/status")
    if not path.exists():
        return 0.0
    line = next(line for line in path.read_text().splitlines() if line.startswith(name))
    return float(line.split()[1])


def _forget_peak() -> None:
    path = Path("/proc/self/clear_refs")
    if path.exists():
        path.write_text("5")


# ---- peers that read frames ----------------------------------------------------------------


class Wire(Protocol):
    """A WebSocket with no idea of sessions."""

    def send(self, text: str, /) -> Any:
        """Sends a text message."""

    def recv(self) -> str | bytes:
        """Receives a message."""

    def close(self) -> Any:
        """Closes."""


Open = Callable[[str, str], Wire]
Loads = Callable[[Any], Any]


def raw_scenarios(open_wire: Open, loads: Loads = json.loads) -> dict[str, Scenario]:
    """Gives the scenarios of a peer that receives a message and parses its JSON, and no more.

    Args:
        open_wire: Opens a WebSocket to a URL with an Authorization header.
        loads: Parses.
    """

    def join(task: Task) -> Wire:
        wire = open_wire(task["ws_url"] + "/ws/session", f"Bearer {API_KEY}")
        wire.send(json.dumps({"type": "connect_session", "session_id": SESSION_ID}))
        _read_until(wire, loads, "connect_session")
        return wire

    def throughput(task: Task) -> Figures:
        wire, watch = join(task), Stopwatch()
        _blast(wire, loads, task["size"], task["count"] // 20 + 1, watch)
        _trip(wire, loads, order(task["size"], task["count"], "prepare"))
        events = _blast(wire, loads, task["size"], task["count"], watch)
        wire.close()
        return watch.rates(events)

    def roundtrip(task: Task) -> Figures:
        wire = join(task)
        trips = [_trip(wire, loads) for _ in range(task["count"])]
        wire.close()
        return percentiles(trips)

    def upload(task: Task) -> Figures:
        wire, data, watch = join(task), bytes(task["size"]), Stopwatch()
        watch.start()
        wire.send(json.dumps(_file_post(data)))
        _read_until(wire, loads, "post_message")
        watch.stop()
        wire.close()
        return {"seconds": watch.wall, "peak_mib": watch.peak_mib}

    def sessions(task: Task) -> Figures:
        return measure_sessions(task, lambda: join(task), lambda wire: _trip(wire, loads), lambda w: w.close())

    def first(task: Task) -> Figures:
        return measure_first(task, lambda: join(task), lambda wire: _trip(wire, loads), lambda w: w.close())

    return {
        "throughput": throughput,
        "soak": throughput,
        "roundtrip": roundtrip,
        "first": first,
        "upload": upload,
        "sessions": sessions,
    }


def measure_first(
    task: Task, join: Callable[[], Any], trip: Callable[[Any], Any], leave: Callable[[Any], Any]
) -> Figures:
    """Times from nothing to the first delta of an answer: joining, a post, and its way back.

    Args:
        task: How often.
        join: Opens a session.
        trip: Does a round trip on one.
        leave: Leaves one.
    """
    seconds = []
    for _ in range(task["count"]):
        began = time.perf_counter()
        session = join()
        trip(session)
        seconds.append(time.perf_counter() - began)
        leave(session)
    return {"first_ms": sorted(seconds)[len(seconds) // 2] * 1000}


Moment = tuple[float, float]


def now() -> Moment:
    """Gives the clock, and the processor's time of this process."""
    return time.perf_counter(), time.process_time()


def session_figures(count: int, trip: float, join: tuple[Moment, Moment], leave: tuple[Moment, Moment]) -> Figures:
    """Gives the figures of many sessions, from the times that all of them took together.

    Args:
        count: How many.
        trip: The seconds of their round trips.
        join: When the first began to join, and when the last had.
        leave: Likewise.
    """
    figures = {"trip_ms": trip / count * 1000, "joins_per_second": count / (join[1][0] - join[0][0])}
    for name, (began, ended) in {"join": join, "leave": leave}.items():
        figures[f"{name}_ms"] = (ended[0] - began[0]) / count * 1000
        figures[f"{name}_cpu_ms"] = (ended[1] - began[1]) / count * 1000
    return figures


def measure_sessions(
    task: Task, join: Callable[[], Any], trip: Callable[[Any], Any], leave: Callable[[Any], Any]
) -> Figures:
    """Opens sessions one after the other, has each do a round trip, lets them be idle, and leaves them.

    Args:
        task: How many, and for how long they are idle.
        join: Opens one.
        trip: Does a round trip on one.
        leave: Leaves one.
    """
    count = task["count"]
    leave(join())
    rss, threads = rss_kib(), threading.active_count()
    began = now()
    opened = [join() for _ in range(count)]
    joined = now()
    for session in opened:
        trip(session)
    trip_seconds = time.perf_counter() - joined[0]
    figures = {"rss_kib": (rss_kib() - rss) / count, "threads": (threading.active_count() - threads) / count}
    cpu = time.process_time()
    time.sleep(task["idle"])
    figures["idle_cpu_ms"] = (time.process_time() - cpu) / task["idle"] * 1000
    leaving = now()
    for session in opened:
        leave(session)
    return {**session_figures(count, trip_seconds, (began, joined), (leaving, now())), **figures}


def _post(content: str) -> str:
    return json.dumps({"type": "post_message", "session_id": SESSION_ID, "content": content})


def _file_post(data: bytes) -> dict[str, Any]:
    value = {
        "raw_bytes": base64.b64encode(data).decode("ascii"),
        "metadata": {"name": "file", "mime_type": "application/octet-stream"},
    }
    return {"type": "post_message", "session_id": SESSION_ID, "content": {"type_string": "file", "value": value}}


def _read_until(wire: Wire, loads: Loads, kind: str) -> None:
    while loads(wire.recv())["type"] != kind:
        pass


def _read_turn_end(wire: Wire, loads: Loads) -> None:
    _read_until(wire, loads, "participant_status")


def _blast(wire: Wire, loads: Loads, size: int, count: int, watch: Stopwatch) -> int:
    watch.start()
    wire.send(_post(order(size, count)))
    _read_until(wire, loads, "participant_status")
    events, recv = 0, wire.recv
    while loads(recv())["type"] == "message_delta":
        events += 1
    watch.stop()
    _read_turn_end(wire, loads)
    return events


def _trip(wire: Wire, loads: Loads, content: str = "echo") -> float:
    began = time.perf_counter()
    wire.send(_post(content))
    _read_until(wire, loads, "message_delta")
    seconds = time.perf_counter() - began
    _read_turn_end(wire, loads)
    return seconds
