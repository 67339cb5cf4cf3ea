"""One session's connection: it owns every thread and every socket of the client.

Joining, reading, sending, keepalive, reconnecting and closing live here. What frames mean is decided by
`protocol`; user code is never called from here with a lock held.
"""
