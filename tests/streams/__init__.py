"""Tests of the way from the reader to listeners."""
