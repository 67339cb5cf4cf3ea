"""Network faults: a TCP proxy and what it does to the bytes that pass. Knows nothing of sessions or frames."""
