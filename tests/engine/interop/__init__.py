"""The official async SDK, unchanged, as a client of the engine; collected where it is installed."""
