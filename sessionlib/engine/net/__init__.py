"""The engine's side of HTTP and WebSocket: a strict, small part of HTTP/1.1, one request a connection.

Sockets and threads are the engine's own; the framing of WebSocket is wsproto's.
"""
