"""What was said in a session: to be read, saved, loaded again, and looked at as a table."""

from sessionlib.history.history import History

__all__ = ["History"]
