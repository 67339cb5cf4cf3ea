"""The official async SDK. The one program here that uses asyncio, because its subject does."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Coroutine
from typing import Any

from vectorshift.session import Session

from tests.benchmarks.peers.common import (
    API_KEY,
    SESSION_ID,
    Figures,
    Scenario,
    Stopwatch,
    Task,
    now,
    order,
    percentiles,
    rss_kib,
    serve,
    session_figures,
)


async def _join(task: Task) -> Any:
    os.environ["VECTORSHIFT_WS_URL"] = task["ws_url"]
    return await Session(session_id=SESSION_ID, api_key=API_KEY).connect()


async def _start(hearing: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
    # Its listen() subscribes when its first item is asked for, so it has to be running before a send: one turn of the
    # loop does.
    task = asyncio.create_task(hearing)
    await asyncio.sleep(0)
    return task


async def throughput(task: Task) -> Figures:
    session, watch = await _join(task), Stopwatch()
    await _blast(session, task["size"], task["count"] // 20 + 1, watch)
    await _trips(session, 1, order(task["size"], task["count"], "prepare"))
    events = await _blast(session, task["size"], task["count"], watch)
    await session.disconnect()
    return watch.rates(events)


async def _blast(session: Any, size: int, count: int, watch: Stopwatch) -> int:
    hearing = await _start(_count(session, watch))
    watch.start()
    await session.send(order(size, count))
    events: int = await hearing
    return events


async def _count(session: Any, watch: Stopwatch) -> int:
    events = 0
    async for event in session.listen(maxsize=0):
        if event.type == "message_delta":
            events += 1
        elif event.is_complete:
            watch.stop()
        elif event.type == "participant_status" and event.data["status"] == "Idle":
            return events
    raise RuntimeError("the turn did not end")


async def roundtrip(task: Task) -> Figures:
    session = await _join(task)
    trips = await _trips(session, task["count"])
    await session.disconnect()
    return percentiles(trips)


async def _trips(session: Any, count: int, content: str = "echo") -> list[float]:
    seconds: list[float] = []
    arrived, over = asyncio.Event(), asyncio.Event()

    async def hear() -> None:
        async for event in session.listen(maxsize=0):
            if event.type == "message_delta":
                seconds.append(time.perf_counter() - began)
                arrived.set()
            elif event.type == "participant_status" and event.data["status"] == "Idle":
                over.set()

    began = 0.0
    hearing = await _start(hear())
    for _ in range(count):
        over.clear()
        began = time.perf_counter()
        await session.send(content)
        await over.wait()
    hearing.cancel()
    await asyncio.gather(hearing, return_exceptions=True)
    return seconds


async def listeners(task: Task) -> Figures:
    session = await _join(task)
    await _trips(session, 1, order(task["size"], task["count"], "prepare"))
    hearing = [asyncio.create_task(_hear_turn(session)) for _ in range(task["listeners"])]
    await asyncio.sleep(0.1)
    began = time.perf_counter()
    await session.send(order(task["size"], task["count"]))
    counts = await asyncio.gather(*hearing)
    seconds = time.perf_counter() - began
    await session.disconnect()
    return {"deliveries_per_second": sum(counts) / seconds}


async def _hear_turn(session: Any) -> int:
    events = 0
    async for event in session.listen(maxsize=0):
        if event.type == "message_delta":
            events += 1
        elif event.is_complete:
            break
    return events


async def upload(task: Task) -> Figures:
    session, data, watch = await _join(task), bytes(task["size"]), Stopwatch()
    hearing = await _start(_hear_ack(session))
    watch.start()
    await session.send(data)
    await hearing
    watch.stop()
    await session.disconnect()
    return {"seconds": watch.wall, "peak_mib": watch.peak_mib}


async def _hear_ack(session: Any) -> None:
    async for event in session.listen():
        if event.type == "message_posted":
            return


async def sessions(task: Task) -> Figures:
    count = task["count"]
    await (await _join(task)).disconnect()
    rss, threads = rss_kib(), threading.active_count()
    began = now()
    opened = [await _join(task) for _ in range(count)]
    joined = now()
    trip = sum([sum(await _trips(session, 1)) for session in opened])
    figures = {"rss_kib": (rss_kib() - rss) / count, "threads": (threading.active_count() - threads) / count}
    cpu = time.process_time()
    await asyncio.sleep(task["idle"])
    figures["idle_cpu_ms"] = (time.process_time() - cpu) / task["idle"] * 1000
    leaving = now()
    for session in opened:
        await session.disconnect()
    return {**session_figures(count, trip, (began, joined), (leaving, now())), **figures}


async def first(task: Task) -> Figures:
    seconds = []
    for _ in range(task["count"]):
        began = time.perf_counter()
        session = await _join(task)
        joined = time.perf_counter()
        (trip,) = await _trips(session, 1)  # without the time that its listener needs to get ready
        seconds.append(joined - began + trip)
        await session.disconnect()
    return {"first_ms": sorted(seconds)[len(seconds) // 2] * 1000}


def _blocking(scenario: Any) -> Scenario:
    return lambda task: asyncio.run(scenario(task))


if __name__ == "__main__":
    scenarios = (throughput, roundtrip, first, listeners, upload, sessions)
    serve({"soak": _blocking(throughput), **{scenario.__name__: _blocking(scenario) for scenario in scenarios}})
