"""Tests of the embedded engine: real sockets, real processes."""
