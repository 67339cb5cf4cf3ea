"""The tests of the session client."""
