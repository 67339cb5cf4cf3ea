"""The session protocol as pure functions: JSON, frames, and the events they become.

No socket, thread or clock may live here. The client and the embedded engine use the same tables.
"""
