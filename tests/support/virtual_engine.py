"""A legal but wilful engine: behind a network without sockets, or on real connections.

Without sockets nothing moves and no time passes by itself. The client is the real one, with its reading thread; only
what is below `Transport` and the clock of its heartbeat are replaced. A test moves frames one by one, and every move
ends when the reading thread waits for the next frame.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from sessionlib._util.timing import Deadline
from sessionlib.config import Endpoint
from sessionlib.connection import connection, heartbeat
from sessionlib.errors import SessionDisconnectedError
from sessionlib.hooks import Dial, install_network_hook
from sessionlib.net.connect import CancelToken
from sessionlib.protocol import codec, frames
from sessionlib.protocol.codec import Payload
from sessionlib.protocol.frames import Frame
from sessionlib.transport.base import Traffic
from tests.support.script_engine import Connection, Received, ScriptEngine
from tests.support.turns import agent_message, notification, text_content, user_message

_PATIENCE = 30.0


class VirtualHeartbeat:
    """Calls each connection when its time has come on a clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0
        self._due: dict[heartbeat.Monitored, float] = {}

    def monotonic(self) -> float:
        return self.now

    def watch(self, monitored: heartbeat.Monitored, first: float) -> None:
        self._due[monitored] = first

    def wake_by(self, monitored: heartbeat.Monitored, at: float) -> None:
        if monitored in self._due:
            self._due[monitored] = min(at, self._due[monitored])

    def unwatch(self, monitored: heartbeat.Monitored) -> None:
        self._due.pop(monitored, None)

    def discard(self, monitored: heartbeat.Monitored) -> None:
        self._due.pop(monitored, None)

    def advance(self, seconds: float) -> None:
        self.now += seconds
        for monitored, due in list(self._due.items()):
            if due <= self.now:
                # As the thread does: a call that wakes it earlier meanwhile counts.
                self._due[monitored] = float("inf")
                following = monitored.beat(self.now)
                if monitored in self._due:
                    self._due[monitored] = min(following, self._due[monitored])


class VirtualTransport:
    """One connection; a `Transport`."""

    def __init__(self, network: VirtualNetwork) -> None:
        self.traffic = Traffic()
        self.bytes_received = 0
        self.last_received_at = network.clock.now
        self.to_engine: deque[Frame] = deque()
        self.to_client: deque[Frame] = deque()
        self.is_joined = False
        self.is_dead = False
        self.is_waiting = False
        self._network = network
        self._arrived: list[Payload] = []
        self._sent: object = None

    def send(self, payload: bytes, deadline: Deadline) -> None:
        with self._network.changed:
            if self.is_dead:
                raise SessionDisconnectedError("the connection has ended")
            self._sent = payload
            self.to_engine.append(codec.loads(payload))
            if self._network.is_prompt:
                self._network.engine.take_all(self)
                self.deliver(len(self.to_client))

    def send_chunks(self, pieces: Iterable[tuple[bytes, bool]], deadline: Deadline) -> None:
        raise AssertionError("only texts are sent here")

    def has_left(self, message: object) -> bool:
        return message is self._sent

    def enqueue(self, payload: bytes, *, more: bool = False) -> None:
        with self._network.changed:
            if not self.is_dead:
                self.to_engine.append(codec.loads(payload))

    def ping(self) -> None:
        self.last_received_at = self._network.clock.now

    def share(self) -> int:
        return -1

    @property
    def has_unread(self) -> bool:
        return False

    def recv(self, deadline: Deadline | None = None) -> list[Payload]:
        with self._network.changed:
            while not self._arrived:
                if self.is_dead:
                    raise SessionDisconnectedError("the connection has ended")
                self.is_waiting = True
                self._network.changed.notify_all()
                self._network.changed.wait(_PATIENCE)
            self.is_waiting = False
            arrived, self._arrived = self._arrived, []
            return arrived

    def deliver(self, count: int) -> None:
        """Has the next frames arrive, in one read."""
        with self._network.changed:
            count = min(count, len(self.to_client))
            if not count:
                return
            self._arrived += [codec.dumps(self.to_client.popleft()) for _ in range(count)]
            self.last_received_at = self._network.clock.now
            self.is_waiting = False
            self._network.changed.notify_all()

    def close(self, code: int = 1000, reason: str = "", deadline: Deadline | None = None) -> None:
        self.abort()

    def abort(self) -> None:
        with self._network.changed:
            self.is_dead = True
            self.is_waiting = False
            self.to_client.clear()
            self._network.changed.notify_all()

    def release(self) -> None:
        self.abort()


class VirtualNetwork:
    """Stands in for the network of this process, for a block; a `NetworkHook`.

    Attributes:
        clock: The time of the heartbeat.
        is_prompt: Whether each request is answered at once.
        links: The connections, the last of which is the current one.
    """

    def __init__(self, engine: VirtualEngine) -> None:
        self.engine = engine
        self.clock = VirtualHeartbeat()
        self.changed = threading.Condition(threading.RLock())
        self.is_prompt = True
        self.links: list[VirtualTransport] = []
        engine.network = self

    def __enter__(self) -> VirtualNetwork:
        self._uninstall = install_network_hook(self)
        self._heartbeat, self._time = heartbeat._heartbeat, connection.time
        heartbeat._heartbeat = self.clock  # type: ignore[assignment]
        connection.time = self.clock  # type: ignore[assignment]
        return self

    def __exit__(self, *_: object) -> None:
        self._uninstall()
        heartbeat._heartbeat, connection.time = self._heartbeat, self._time

    @property
    def link(self) -> VirtualTransport:
        return self.links[-1]

    def open(self, endpoint: Endpoint, dial: Dial, deadline: Deadline, attempt: CancelToken) -> Any:
        with self.changed:
            self.links.append(VirtualTransport(self))
        return self.link

    def admit(self, transport: object, frame: Frame, deadline: Deadline) -> None:
        """Any post may be sent."""

    def exchange(self, call: Any, endpoint: Endpoint, exchange: Any) -> Any:
        raise AssertionError("no HTTP call is made here")

    def await_reader(self) -> None:
        """Waits until the reading thread has taken in all that has arrived, and waits for more."""
        with self.changed:
            ready = self.changed.wait_for(lambda: self.link.is_waiting and not self.link.is_dead, _PATIENCE)
        assert ready, "the reading thread does not read any more"


@dataclass(frozen=True)
class Manners:
    """What an engine makes of what the protocol leaves open.

    Attributes:
        batches: Whether one turn answers all posts that wait for one.
        acks: "first", "late" (after Processing), "last" (after Idle), "some" (left out at times) or "none".
        statuses: Whether it sends Processing and Idle.
        ids: Whether acks and statuses name the turn.
        stores: Whether a post is in the history "at once", or "with its turn".
        join_status: Whether it reports its status to a client that joins.
        repeats: Whether it sends the latest messages again to a client that joins again.
        work: Seconds that a turn takes, on real connections.
    """

    batches: bool = True
    acks: str = "first"
    statuses: bool = True
    ids: bool = False
    stores: str = "at once"
    join_status: bool = True
    repeats: bool = False
    work: float = 0.0


@dataclass
class Post:
    """A message to the engine."""

    text: str
    is_ours: bool
    message_id: str
    turn_id: str


@dataclass
class _Turn:
    turn_id: str
    plan: deque[Callable[[], None]]
    said: list[Frame] = field(default_factory=list)
    is_over: bool = False


class VirtualEngine:
    """Answers each message by quoting it, when it is told to."""

    network: VirtualNetwork

    def __init__(self, manners: Manners) -> None:
        self.manners = manners
        self.history: list[Frame] = []
        self.queue: list[Post] = []
        self.turn: _Turn | None = None
        self.refused: set[str] = set()
        self._numbers = 0
        self._said: list[Frame] = []
        self._next_turn = "t0"
        self.omit_ack = False

    @property
    def is_idle(self) -> bool:
        return self.turn is None and not self.queue

    @property
    def _status_now(self) -> str:
        # Of a turn that has ended nothing is left but acks that come last.
        return "Processing" if self.queue or (self.turn is not None and not self.turn.is_over) else "Idle"

    def _number(self, prefix: str) -> str:
        self._numbers += 1
        return f"{prefix}{self._numbers}"

    # ---- what clients send -----------------------------------------------------------------------

    def take_all(self, link: VirtualTransport) -> None:
        while link.to_engine:
            self.take(link)

    def take(self, link: VirtualTransport, *, refuse: bool = False) -> None:
        """Takes in the next frame of a client."""
        if not link.to_engine:
            return
        frame = link.to_engine.popleft()
        kind = frame["type"]
        if kind == "create_session":
            link.to_client.append(frames.session_created("s1"))
        elif kind == "connect_session":
            self._join(link)
        elif kind == "get_messages":
            link.to_client.append(frames.history("s1", list(self.history)))
        elif kind == "ping_session":
            link.to_client.append(frames.pong("s1"))
        elif kind == "post_message":
            self._take_post(link, frame["content"], refuse)

    def _join(self, link: VirtualTransport) -> None:
        facts: dict[str, Any] = {}
        if self.manners.statuses and self.manners.join_status:
            facts = {"status": self._status_now}
        link.to_client.append(frames.ack("connect_session", "s1", **facts))
        link.is_joined = True
        if self.manners.repeats and len(self.network.links) > 1:
            link.to_client.extend(self._said[-4:])
            if self.turn is not None:
                link.to_client.extend(self.turn.said)

    def _take_post(self, link: VirtualTransport, text: str, refuse: bool) -> None:
        if refuse:
            self.refused.add(text)
            link.to_client.append(frames.refusal("post_message", "s1", f"no <{text}>"))
            return
        post = self.post(text, is_ours=True)
        if self.manners.acks == "first" or (self.manners.acks == "some" and not self.omit_ack):
            facts = {"turn_id": post.turn_id} if self.manners.ids else {}
            link.to_client.append(frames.ack("post_message", "s1", **facts))

    def post(self, text: str, *, is_ours: bool) -> Post:
        """Takes in a message, of ours or of another client's."""
        if not self.manners.batches:
            self._next_turn = self._number("t")
        post = Post(text, is_ours, self._number("u"), self._next_turn)
        if self.manners.stores == "at once":
            self._store(post)
        self.queue.append(post)
        return post

    def _store(self, post: Post) -> None:
        self.history = [*self.history, user_message("s1", post.message_id, post.text)]

    # ---- what it does ----------------------------------------------------------------------------

    def send(self, frame: Frame) -> None:
        """Sends a frame to the client, if it is there."""
        if self.network.links and self.network.link.is_joined and not self.network.link.is_dead:
            self.network.link.to_client.append(frame)

    def _say(self, frame: Frame) -> None:
        assert self.turn is not None
        self.turn.said.append(frame)
        self.send(frame)

    def _status(self, status: str) -> None:
        if self.manners.statuses:
            facts = {"turn_id": self.turn.turn_id} if self.manners.ids and self.turn is not None else {}
            self.send(frames.participant_status("s1", status, **facts))

    def _end(self) -> None:
        assert self.turn is not None
        self.turn.is_over = True
        self._status("Idle")

    def begin(self, kind: str = "plain") -> None:
        """Begins the next turn."""
        count = len(self.queue) if self.manners.batches else 1
        posts, self.queue = self.queue[:count], self.queue[count:]
        self.turn = _Turn(posts[0].turn_id, deque())
        self._next_turn = self._number("t")
        self._status("Processing")
        for post in posts:
            if self.manners.stores != "at once":
                self._store(post)
            if self.manners.acks == "late" and post.is_ours:
                self.send(frames.ack("post_message", "s1"))
        answer = " ".join(f"<{post.text}>" for post in posts)
        plan = self.turn.plan
        if self.manners.statuses and kind == "tools":
            plan.append(lambda: self._tell({"type": "tool_call", "tool_name": "t", "tool_id": "t", "status": "done"}))
            kind = "two"
        if self.manners.statuses and kind == "two":
            plan.append(lambda: self._tell(text_content("Let me see.")))
        message_id = self._number("m")
        if kind != "whole":
            for index, word in enumerate(answer.split(" ")):
                text = word if index == 0 else f" {word}"
                plan.append(
                    lambda index=index, text=text: self._say(frames.message_delta("s1", message_id, index, text))  # type: ignore[misc]
                )
        content = {"type": "error_message", "error": answer} if kind == "error" else text_content(answer)
        plan.append(lambda: self._tell(content, message_id))
        if self.manners.statuses:
            plan.append(self._end)
        if self.manners.acks == "last":
            plan.extend([lambda: self.send(frames.ack("post_message", "s1"))] * sum(post.is_ours for post in posts))

    def _tell(self, content: Frame, message_id: str | None = None) -> None:
        message_id = message_id or self._number("m")
        self.history = [*self.history, agent_message("s1", message_id, content)]
        self._say(notification("s1", message_id, content))

    def step(self) -> None:
        turn = self.turn
        assert turn is not None
        turn.plan.popleft()()
        if not turn.plan:
            self._said = turn.said
            self.turn = None


class WilfulEngine(VirtualEngine):
    """The same on real connections, where a thread takes its turns."""

    def __init__(self, manners: Manners) -> None:
        super().__init__(manners)
        self.script = ScriptEngine(strict=False)
        self._is_over = False
        # Held while a post is taken in and while a turn goes on: what is acknowledged before its Processing is answered
        # by it.
        self._moves = threading.Condition()
        self._worker = threading.Thread(target=self._work, name="wilful-engine", daemon=True)

    def __enter__(self) -> WilfulEngine:
        self.script.__enter__()
        self.script.on("post_message", self._posted)
        self.script.on("get_messages", lambda conn, frame: conn.send(frames.history("s1", self.history)))
        self._worker.start()
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        with self._moves:
            self._is_over = True
            self._moves.notify()
        self._worker.join(30)
        self.script.__exit__(kind, error, trace)

    def send(self, frame: Frame) -> None:
        """Sends a frame to all clients."""
        self.script.push(frame)

    def _posted(self, conn: Connection, frame: Received) -> None:
        with self._moves:
            self.post(frame["content"], is_ours=True)
            if self.manners.acks == "first":
                conn.send(frames.ack("post_message", "s1"))
            self._moves.notify()

    def _work(self) -> None:
        while True:
            with self._moves:
                self._moves.wait_for(lambda: self.queue or self._is_over)
                if self._is_over:
                    return
                self.begin()
            time.sleep(self.manners.work)
            while self.turn is not None:
                with self._moves:
                    self.step()
