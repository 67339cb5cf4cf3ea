"""Tests of the package's tools."""
