"""The engine's network side: a strict, small part of HTTP/1.1, one request a connection, and WebSockets.

Framing of WebSocket messages is wsproto's. What requests and frames ask for is done by `engine.sessions`.
"""
