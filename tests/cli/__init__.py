"""Tests of the command line: real processes, real pipes and a real terminal."""
