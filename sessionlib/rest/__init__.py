"""HTTP below the public objects: calls as values in `calls`, connections in `pool`.

`requests` and `urllib3` are imported by `pool` alone, and `pool` only when a call is made.
"""
