"""How much the engine takes from its clients, its tools and its models; every bound in one place."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Limits"]

KIB = 1024
MIB = 1024 * KIB


@dataclass(frozen=True)
class Limits:
    """Bounds of one engine. Sizes are in bytes, times in seconds.

    Attributes:
        connections: Connections open at once, and fewer where the process may not open so many descriptors; when there
            is no room, one that has sent no request for a second is closed, else the new one is answered with 503.
        head_bytes: Size of a request line and its headers together; more is answered with 431.
        header_count: Headers in one request; more are answered with 431.
        head_seconds: Time in which a whole head has to arrive; else 408.
        body_bytes: Size of a request's body; more is answered with 413.
        body_seconds: Time in which a whole body has to arrive; else 408.
        message_bytes: Size of one WebSocket message; more closes the connection with 1009.
        history_bytes: Size of one part of a history, where a client asks for parts; one message may be larger.
        outbound_bytes: What may be queued for one client before it is closed, retryably, with 1013.
        frames_per_second: Frames one connection may send for long; more are refused as ``rate_limited``.
        frame_burst: Frames one connection may send at once.
        refusals: Frames in a row that may be refused so before the connection is closed with 1008.
        auth_failures: Wrong keys a minute after which a wrong key is answered with 429.
        silence_seconds: Silence after which the engine pings a client; after three times that it is gone.
        attached_sessions: Sessions one connection may be attached to at once.
        batch_messages: Messages in one ``post_messages``.
        queued_turns: Posts of one session that may wait behind the running turn.
        session_file_bytes: All files of one session together.
        busy_seconds: Time that the database may be kept locked by another program.
        turn_seconds: Time a turn may run; waiting for a person does not count.
        stop_seconds: Time that the turns have to end as the engine stops; a model that blocks longer is left behind.
        tool_seconds: Time a tool may run, unless it has its own limit.
        steps: Model steps in one turn.
        step_calls: Tool calls in one step.
        parallel_tools: Tools of one step that run at the same time.
        tool_processes: Tools of a file that run at the same time in the whole engine, each in its process.
        tool_output_bytes: What is kept of a tool's result, as JSON.
        answer_chars: Characters of one answer.
        memory_messages: Messages of earlier turns that the model is shown.
        memory_chars: Characters that the model is shown; of earlier turns as many as still have room. Posts
            that wait are answered in one turn until they hold as many.
    """

    connections: int = 1024
    head_bytes: int = 16 * KIB
    header_count: int = 64
    head_seconds: float = 10.0
    body_bytes: int = 4 * MIB
    body_seconds: float = 30.0
    # A file of nearly 24 MiB, which base64 makes a third longer.
    message_bytes: int = 32 * MIB
    history_bytes: int = 8 * MIB
    # For each client: 1,024 slow ones take about 1 GiB.
    outbound_bytes: int = 1 * MIB
    frames_per_second: float = 500.0
    frame_burst: int = 2000
    refusals: int = 100
    auth_failures: int = 20
    silence_seconds: float = 20.0
    attached_sessions: int = 256
    batch_messages: int = 256
    queued_turns: int = 1000
    session_file_bytes: int = 256 * MIB
    busy_seconds: float = 5.0
    turn_seconds: float = 300.0
    stop_seconds: float = 5.0
    tool_seconds: float = 60.0
    steps: int = 16
    step_calls: int = 32
    parallel_tools: int = 8
    tool_processes: int = 32
    tool_output_bytes: int = 64 * KIB
    answer_chars: int = 1 * MIB
    memory_messages: int = 400
    # About 50,000 tokens of English, at four characters each.
    memory_chars: int = 200_000
