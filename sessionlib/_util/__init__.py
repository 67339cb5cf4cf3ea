"""Small helpers that know nothing of sessions: time, optional imports, an executor, model base classes.

Everything here could be used by another project as it stands. Nothing here may import another package of
sessionlib but `errors`, open a socket, or know what a session, an event or an agent is.
"""
