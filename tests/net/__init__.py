"""Tests of `sessionlib.net`, on real sockets."""
