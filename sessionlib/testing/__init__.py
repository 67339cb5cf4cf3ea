"""Testing code that talks to live agents: recordings, a scripted engine, and broken networks."""

from sessionlib.testing.cassette import Cassette, cassette, record, replay
from sessionlib.testing.errors import RecordingError, ReplayMismatchError

__all__ = ["Cassette", "RecordingError", "ReplayMismatchError", "cassette", "record", "replay"]
