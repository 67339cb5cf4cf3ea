"""Tests of the engine's sessions."""
