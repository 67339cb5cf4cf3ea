"""A synchronous, blocking client for live AI agent sessions."""

from sessionlib._version import __version__

__all__ = ["__version__"]
