"""The engine's live sessions: their queue of turns, who is subscribed, and what a turn does.

It may use the store, the models and the tools; it never sees an HTTP request or a WebSocket.
"""
