"""Bytes over one WebSocket: dialling, TLS, proxies, the opening handshake, and frames in both directions.

`websocket-client` is imported here and nowhere else. A transport knows text messages and control frames; what
the messages mean belongs to `protocol`, and when to reconnect to `connection`.
"""
