"""sessionlib.Session, as its users use it."""

from __future__ import annotations

import threading
import time
from typing import Any

from tests.benchmarks.peers.common import (
    API_KEY,
    SESSION_ID,
    Figures,
    Stopwatch,
    Task,
    measure_first,
    measure_sessions,
    order,
    percentiles,
    serve,
)
from tests.benchmarks.peers.embedded import streams


def _join(task: Task) -> Any:
    # Late, so that a task which does not need it runs without it.
    from sessionlib import Session

    return Session(session_id=SESSION_ID, api_key=API_KEY, ws_url=task["ws_url"], readers=task.get("readers")).connect()


def throughput(task: Task) -> Figures:
    """Counts the events of a turn that comes as fast as it can."""
    session, watch = _join(task), Stopwatch()
    _blast(session, task["size"], task["count"] // 20 + 1, watch)
    _prepare(session, task)
    events = _blast(session, task["size"], task["count"], watch)
    session.disconnect()
    return watch.rates(events)


def _blast(session: Any, size: int, count: int, watch: Stopwatch) -> int:
    events = 0
    with session.listen(maxsize=0) as listener:
        watch.start()
        session.send(order(size, count))
        for event in listener:
            if event.type == "message_delta":
                events += 1
            elif event.is_complete:
                watch.stop()
            elif event.is_turn_end:
                return events
    raise RuntimeError("the turn did not end")


def _prepare(session: Any, task: Task) -> None:
    with session.listen(maxsize=0) as listener:
        _trip(session, listener, order(task["size"], task["count"], "prepare"))


def roundtrip(task: Task) -> Figures:
    """Times from a send to the first delta of its answer."""
    session = _join(task)
    with session.listen(maxsize=0) as listener:
        trips = [_trip(session, listener) for _ in range(task["count"])]
    session.disconnect()
    return percentiles(trips)


def _trip(session: Any, listener: Any, content: str = "echo") -> float:
    began = time.perf_counter()
    session.send(content)
    seconds = 0.0
    for event in listener:
        if event.type == "message_delta":
            seconds = time.perf_counter() - began
        elif event.is_turn_end:
            break
    return seconds


def listeners(task: Task) -> Figures:
    """Has every one of many listeners, each on a thread, hear a whole turn."""
    session, counts = _join(task), []
    _prepare(session, task)
    opened = [session.listen(maxsize=0) for _ in range(task["listeners"])]
    threads = [
        threading.Thread(target=lambda heard=heard: counts.append(_hear_turn(heard)), name=f"listener-{number}")
        for number, heard in enumerate(opened)
    ]
    for thread in threads:
        thread.start()
    began = time.perf_counter()
    session.send(order(task["size"], task["count"]))
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - began
    session.disconnect()
    return {"deliveries_per_second": sum(counts) / seconds}


def _hear_turn(listener: Any) -> int:
    events = 0
    for event in listener:
        if event.type == "message_delta":
            events += 1
        elif event.is_complete:
            break
    return events


def upload(task: Task) -> Figures:
    """Sends a file and waits for its acknowledgement."""
    session, data, watch = _join(task), bytes(task["size"]), Stopwatch()
    with session.listen() as listener:
        watch.start()
        session.send(data)
        next(event for event in listener if event.type == "message_posted")
        watch.stop()
    session.disconnect()
    return {"seconds": watch.wall, "peak_mib": watch.peak_mib}


def sessions(task: Task) -> Figures:
    """Opens many sessions."""
    return measure_sessions(task, lambda: _join(task), _whole_trip, lambda session: session.disconnect())


def first(task: Task) -> Figures:
    """Joins, posts, and waits for the first delta."""
    return measure_first(task, lambda: _join(task), _whole_trip, lambda session: session.disconnect())


def _whole_trip(session: Any) -> float:
    with session.listen(maxsize=0) as listener:
        return _trip(session, listener)


if __name__ == "__main__":
    serve(
        {
            "throughput": throughput,
            "soak": throughput,
            "first": first,
            "roundtrip": roundtrip,
            "listeners": listeners,
            "upload": upload,
            "sessions": sessions,
            "streams": streams,
        }
    )
