"""Networks that break: a proxy and what it does to the bytes that pass."""
