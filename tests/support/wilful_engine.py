"""An engine that does everything that the protocol leaves open, and answers each message by quoting it."""

from __future__ import annotations

import queue
import random
import threading
import time
from dataclasses import dataclass
from typing import Any

from sessionlib.protocol import frames
from tests.support.script_engine import (
    Connection,
    Received,
    ScriptEngine,
    agent_message,
    notification,
    text_content,
    user_message,
)


@dataclass(frozen=True)
class Manners:
    """What an engine makes of what the protocol leaves open.

    Attributes:
        batches: Whether one turn answers all posts that wait for one.
        acks: "first", "late" (after Processing) or "none".
        statuses: Whether it sends Processing and Idle.
        idle_late: Seconds between an answer and its Idle.
        work: Seconds that a turn takes.
        strangers: Whether another client's turns come in between.
        stores: Whether a post is in the history once it came, or once its turn begins.
    """

    batches: bool = True
    acks: str = "first"
    statuses: bool = True
    idle_late: float = 0.0
    work: float = 0.0
    strangers: bool = False
    stores: str = "at once"


class WilfulEngine:
    """A `ScriptEngine` whose session has a queue of posts and a worker.

    Args:
        manners: What it makes of the protocol.
        seed: Of what is left to chance.
    """

    def __init__(self, manners: Manners, seed: int = 0) -> None:
        self.manners = manners
        self.script = ScriptEngine(strict=False)
        self._random = random.Random(seed)
        self._posts: queue.Queue[tuple[str, str] | None] = queue.Queue()
        self._worker = threading.Thread(target=self._work, name="wilful-engine", daemon=True)
        self._lock = threading.Lock()
        # Held while posts are acknowledged, and while a turn takes those that are: what is acknowledged before its
        # Processing is answered by it.
        self._taking = threading.Lock()
        self._numbers = 0
        self.turns = 0

    def __enter__(self) -> WilfulEngine:
        self.script.__enter__()
        self.script.on("post_message", self._posted)
        self._worker.start()
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._posts.put(None)
        self._worker.join(30)
        self.script.__exit__(kind, error, trace)

    def _next_id(self) -> str:
        with self._lock:
            self._numbers += 1
            return f"w{self._numbers}"

    def _remember(self, message: dict[str, Any]) -> None:
        with self._lock:
            self.script.history = [*self.script.history, message]

    def _posted(self, conn: Connection, frame: Received) -> None:
        text = frame["content"]
        message_id = self._next_id()
        if self.manners.stores == "at once":
            self._remember(user_message("s1", message_id, text))
        with self._taking:
            if self.manners.acks == "first":
                conn.send(frames.ack("post_message", "s1"))
            self._posts.put((text, message_id))

    def _work(self) -> None:
        while True:
            first = self._posts.get()
            if first is None:
                return
            if self.manners.strangers and self._random.random() < 0.3:
                self._begin()
                self._turn([("stranger", self._next_id())], ours=False)
            batch = [first]
            with self._taking:
                while self.manners.batches and not self._posts.empty():
                    more = self._posts.get()
                    if more is None:
                        return
                    batch.append(more)
                self._begin()
            self._turn(batch)

    def _begin(self) -> None:
        if self.manners.statuses:
            self.script.push(frames.participant_status("s1", "Processing"))

    def _turn(self, batch: list[tuple[str, str]], *, ours: bool = True) -> None:
        self.turns += 1
        send = self.script.push
        for text, message_id in batch:
            if not ours or self.manners.stores != "at once":
                self._remember(user_message("s1", message_id, text))
        if ours and self.manners.acks == "late":
            for _ in batch:
                send(frames.ack("post_message", "s1"))
        if self.manners.work:
            time.sleep(self.manners.work)
        answer_id, answer = self._next_id(), " ".join(f"<{text}>" for text, _ in batch)
        for index, word in enumerate(answer.split(" ")):
            send(frames.message_delta("s1", answer_id, index, word + " "))
        self._remember(agent_message("s1", answer_id, answer))
        send(notification("s1", answer_id, text_content(answer)))
        if self.manners.statuses:
            if self.manners.idle_late:
                time.sleep(self.manners.idle_late)
            send(frames.participant_status("s1", "Idle"))
