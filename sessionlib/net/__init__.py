"""TCP on this machine's sockets: waiting for readiness, connecting within a deadline, accepting connections.

The client, the embedded engine and the fault proxy share these. What is sent over a connection (TLS, HTTP,
WebSocket, the session protocol) belongs to `transport`, `rest`, `engine.server` and `protocol`.
"""
