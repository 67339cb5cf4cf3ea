"""Tests of the engine's server."""
