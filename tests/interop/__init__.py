"""The tests beside other implementations of the protocol."""
