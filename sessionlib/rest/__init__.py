"""HTTP below the public objects: calls as values in `calls`, connections in `pool`.

`requests` and `urllib3` are imported here alone, and only when a call is made. Nothing here may know of
sessions; `resource` is the base class of the objects that REST calls create.
"""
