"""The session protocol without I/O: JSON, frames, the events they become, turns, and recovery after a disconnect.

The client and the embedded engine use the same tables. No socket, thread, lock or clock may live here: what
happens is passed in, and what follows from it is returned, so that every order of frames can be tested.
"""
