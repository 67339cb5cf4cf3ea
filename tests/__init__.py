"""The tests of sessionlib."""
