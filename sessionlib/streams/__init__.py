"""From the reader thread to the user's threads: bounded queues, the backlog, fan-out, listeners and counters.

Whatever is delivered to a user's thread passes through a `Mailbox`. Nothing here may touch a socket or start a
thread.
"""
