"""All sessions of an engine: finding them, posting to them, answering for them, ending them."""

from __future__ import annotations

import logging
import threading
import weakref
from typing import Any

from sessionlib.engine.errors import RefusedError
from sessionlib.engine.sessions import content as contents
from sessionlib.engine.sessions.broadcast import Subscriber, encode
from sessionlib.engine.sessions.session import LiveSession
from sessionlib.engine.sessions.turn import ENGINE_STOPPED, EngineContext, check_arguments, interrupt_turn
from sessionlib.engine.sessions.worker import Runner
from sessionlib.engine.store import Store
from sessionlib.engine.store.records import Json, SessionRecord, StoredCall, StoredTurn
from sessionlib.protocol import frames

__all__ = ["SessionRegistry", "put_in_order"]


def put_in_order(store: Store, session: SessionRecord) -> bool:
    """Brings the turns into order that an earlier engine left open, or whose end could not be kept.

    A turn that waits for a person, or was answered and had not gone on yet, can go on; a tool that had been
    started is never run again, and the model gets an error instead. Queued turns can be answered. All other turns are
    closed with an error message.

    Args:
        store: What is kept.
        session: The session; no worker has it.

    Returns:
        Whether there is something to do now, other than to wait for a person.
    """
    for turn in store.sessions.open_turns(session.id):
        if turn.state == "queued":
            continue
        calls = store.calls.open(turn)
        states = {call.state for call in calls}
        answered = any(call.approval_id is not None and call.state in ("approved", "denied") for call in calls)
        # It waits for a person, or for the engine to act on what a person has sent; all others cannot go on.
        if "pending" not in states and (not answered or "started" in states):
            # Closed as a turn that failed: its history must show why there is no answer.
            interrupt_turn(store, turn, session.sender, ENGINE_STOPPED)
    # Read again, since some of them have just been closed.
    first = next(iter(store.sessions.open_turns(session.id)), None)
    if first is None or first.state == "queued":
        return first is not None
    return any(call.state not in ("pending", "done") for call in store.calls.open(first))


logger = logging.getLogger(__name__)

OBJECT_TYPES = ("agent", "chatbot")
_PART_MESSAGES = 10_000
# So many sessions are looked at in one read, and so many removed in one write, which other threads wait for.
_SCANNED = 2000
_REMOVED = 32


class SessionRegistry:
    """The sessions; used by every connection's thread.

    Args:
        kit: What turns work with.
        runner: Works on turns.
        batching: Whether posts that wait together are answered in one turn.
    """

    def __init__(self, kit: EngineContext, runner: Runner, *, batching: bool = True) -> None:
        self._kit = kit
        self._batching = batching
        self._store = kit.store
        self._runner = runner
        # Protects the table. Held while a session is read from the database as well: two of one id would
        # each take the other's turn for their own.
        self._lock = threading.Lock()
        # Weak: a session that no connection, worker or turn refers to is as it is in the database.
        self._live: weakref.WeakValueDictionary[str, LiveSession] = weakref.WeakValueDictionary()

    def create(self, object_type: Any, object_id: Any) -> str:
        """Makes a session of an agent or chatbot, and returns its id.

        Raises:
            RefusedError: There is no such object, or it has no sessions.
        """
        if object_type not in OBJECT_TYPES or not isinstance(object_id, str):
            raise RefusedError('object_type is "agent" or "chatbot", and object_id a text', "bad_request")
        found = self._store.objects.find(object_type, object_id)
        if found is None:
            raise RefusedError(f"there is no {object_type} {object_id[:80]}", "object_not_found")
        if object_type == "agent" and found[1].get("agent_type") == "functional":
            raise RefusedError(
                f"agent {object_id} is functional; only conversational agents have sessions", "no_sessions"
            )
        session_id = self._store.sessions.add(object_type, object_id)
        logger.info("= session %s was created for %s %s", session_id, object_type, object_id)
        return session_id

    def find(self, session_id: Any) -> LiveSession:
        """Returns a session that can be used.

        Raises:
            RefusedError: There is none of that id, or it was terminated.
        """
        if not isinstance(session_id, str) or not session_id:
            raise RefusedError("session_id is missing", "bad_request")
        with self._lock:
            session = self._live.get(session_id)
            if session is None:
                record = self._store.sessions.find(session_id)
                if record is None:
                    raise RefusedError(f"there is no session {session_id[:80]}", "session_not_found")
                # May close turns, and below a worker is begun, which is why it is done once, and under the lock.
                unfinished = put_in_order(self._store, record)
                turns = self._store.sessions.open_turns(session_id)
                pending: dict[str, Json] = {}
                for call in self._store.calls.pending(session_id):
                    if call.approval_id:
                        asking = self._store.sessions.find_message(call.approval_id)
                        wire = asking.to_wire() if asking else {}
                        pending[call.approval_id] = frames.message_notification(session_id, wire)
                session = LiveSession(record, turns, pending)
                if unfinished and session.resume():
                    self._runner.begin(session)
            self._live[session_id] = session
        session.check()
        return session

    def post(
        self, session: LiveSession, by: Subscriber, request_type: str, items: list[Any], response_format: Any = None
    ) -> StoredTurn:
        """Stores a post, acknowledges it, and has it answered: with the posts that wait already, if there are any.

        Args:
            session: The session.
            by: Who gets the ack.
            request_type: "post_message" or "post_messages".
            items: The contents.
            response_format: What the answer has to fit, as it came; None for any text.

        Raises:
            RefusedError: It cannot be taken.
            StorageError: It could not be kept; it is not acknowledged.
        """
        posting = contents.read_posting(items, contents.read_format(response_format))
        limits = self._kit.limits
        # Storing and queueing together: the order of turns in the queue is that in the database.
        with session.posting:
            # Before it is stored, so that what is refused leaves nothing behind.
            session.room(limits.queued_turns)
            # As the hosted engine does: what arrives before a turn begins is answered in that turn.
            into = session.open_turn(limits.memory_chars) if self._batching else None
            posted = self._store.sessions.post(
                session.id, contents.USER, posting.contents, posting.files, limits.session_file_bytes, into
            )
            # Beyond the protocol: a client that knows them finds its message in the history.
            facts = {"message_id": posted.message_ids[0], "message_ids": posted.message_ids}
            ack = frames.ack(request_type, session.id, turn_id=posted.turn.id, **facts)
            begin = session.queue(posted.turn, posting.chars, by, ack)
        # Outside of the lock, as a worker begins by taking it.
        if begin:
            self._runner.begin(session)
        return posted.turn

    def answer(self, session: LiveSession, by: Subscriber, answer: contents.ApprovalAnswer, parent_id: Any) -> None:
        """Takes an answer to an approval request, and lets its turn go on; the first one stands.

        Raises:
            RefusedError: There is no such request, it was answered before, or the changed arguments do
                not fit the tool.
        """
        call = self._find_call(session, parent_id)
        # What a person changes replaces what the model proposed; the rest stays.
        arguments = {**call.arguments, **answer.confirm}
        if answer.approved:
            # Before the answer is kept: one with arguments that do not fit can be given again.
            check_arguments(self._kit.tools.get(call.tool), arguments)
        # The ack is queued before the worker can send what follows from the answer.
        with session.answering:
            message_id = self._store.calls.answer(
                call, answer.approved, arguments, answer.reason, contents.USER, answer.content
            )
            facts = {"message_id": message_id, "approved": answer.approved}
            by.put(encode(frames.ack("post_message", session.id, **facts)))
        by.flush()
        if session.answered(call.approval_id or ""):
            self._runner.begin(session)

    def history(self, session: LiveSession, limit: Any = None, after: Any = None) -> Json:
        """Returns the frame with all messages or a part of them, that which is being streamed included.

        Args:
            session: The session.
            limit: How many messages a part may have; None for all messages in one frame.
            after: The message behind which a part begins; None for the first part.

        Raises:
            RefusedError: There is no such part.
        """
        # First: a message that is finished in between is then in the history, and left out here by its id.
        streamed = session.audience.streamed()
        part: dict[str, bool] = {}
        if limit is None and after is None:
            found = self._store.sessions.history(session.id)
        else:
            limit = _PART_MESSAGES if limit is None else limit
            # True is an int in Python, and as good as 1.
            if not isinstance(limit, int) or limit < 1 or not isinstance(after, (str, type(None))):
                raise RefusedError("limit is a number of messages, and after a message's id", "bad_request")
            size = self._kit.limits.history_bytes
            found, part["more"] = self._store.sessions.history_part(session.id, after, min(limit, _PART_MESSAGES), size)
        messages = [message.to_wire() for message in found]
        # What is streamed comes behind the last message, and so with the last part.
        if part.get("more"):
            return frames.history(session.id, messages, **part)
        if streamed and all(message["id"] != streamed[0] for message in messages):
            content = contents.text_content(streamed[1], "Streaming")
            messages.append({"id": streamed[0], "session_id": session.id, "sender": session.sender, "content": content})
        return frames.history(session.id, messages, **part)

    def outcome(self, session: LiveSession, turn: StoredTurn) -> tuple[str, str]:
        """Returns how a turn ended ("success", "error" or "action_required") and its last words."""
        if any(call.turn == turn.number for call in self._store.calls.pending(session.id)):
            return "action_required", ""
        # A turn that has ended has an answer or an error as its last message.
        last = [m.content for m in self._store.sessions.history(session.id) if m.turn == turn.number and m.step][-1:]
        content = last[0] if last else {}
        if content.get("type") == "data_type_message":
            return "success", content["value"]
        return "error", str(content.get("error", ""))

    def terminate(self, session: LiveSession, by: Subscriber) -> None:
        """Ends a session for good."""
        with session.terminating():
            self._store.sessions.terminate(session.id)
        # When it is kept: a failure to do so is the caller's error, and leaves the session as it was.
        session.terminate(by)
        logger.info("= session %s was terminated", session.id)

    def expire(self, before: float) -> int:
        """Removes the sessions in which nothing was sent for long, unless a client has joined them or a turn runs.

        Args:
            before: When something was last sent in them, at the latest.

        Returns:
            How many there were.
        """
        removed = 0
        after: int | None = 0
        while after is not None:
            idle, after = self._store.sessions.idle_since(before, after, _SCANNED)
            for at in range(0, len(idle), _REMOVED):
                with self._lock:  # no client may join one meanwhile; few at a time, for all who join wait
                    unused = [session_id for session_id in idle[at : at + _REMOVED] if session_id not in self._live]
                    removed += self._store.sessions.remove(unused, before) if unused else 0
        return removed

    def recover(self) -> None:
        """Takes up what an earlier engine left undone; a turn that waits for a person is found when it is joined."""
        turns = self._store.sessions.unfinished()
        # To find a session is to load it, which takes up its turns.
        for session_id in dict.fromkeys(turn.session_id for turn in turns):
            self.find(session_id)
        if turns:
            logger.info("= %d open turns of an earlier run were taken up", len(turns))

    def close(self) -> None:
        """Ends all waits for turns."""
        with self._lock:
            # A copy: what is closed may be dropped from the table meanwhile.
            sessions = list(self._live.values())
        for session in sessions:
            session.close()

    def _find_call(self, session: LiveSession, parent_id: Any) -> StoredCall:
        # Without a parent it can only be the one request that is open.
        if parent_id is None:
            pending = self._store.calls.pending(session.id)
            if len(pending) == 1:
                return pending[0]
        found = self._store.calls.find_approval(session.id, str(parent_id))
        if found is None:
            raise RefusedError(f"there is no approval request {str(parent_id)[:80]}", "approval_not_found")
        return found[0]
