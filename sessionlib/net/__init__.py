"""TCP on this machine's sockets, and retries: readiness, connecting within a deadline, accepting, when to try again.

The client, the embedded engine and the fault proxy share these. Which failures of a connection or of a request are
transient is decided here, for all of them. What is sent over a connection (TLS, HTTP, WebSocket, the session protocol)
belongs to `transport`, `rest`, `engine.server` and `protocol`.
"""
