"""The official async SDK, unchanged, next to this client."""
