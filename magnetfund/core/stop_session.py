"""What a session that stops the fund asks for when it begins.

A role may change its own defaults for all later sessions (``ALTER ROLE CURRENT_USER SET``): read
only, a search path that finds nothing, a library that does not exist.  What a session asks for at
its start stands above them, so nobody who holds the role's password spoils the sessions of others.
Needs no Django.
"""

from __future__ import annotations

OPTIONS = " ".join(
    f"-c {name}={value}"
    for name, value in {
        "default_transaction_read_only": "off",
        "default_transaction_isolation": r"read\ committed",
        "default_transaction_deferrable": "off",
        "search_path": "public",
        "local_preload_libraries": "",
        "role": "none",
        "statement_timeout": "5s",
        "lock_timeout": "2s",
        "idle_in_transaction_session_timeout": "5s",
        "idle_session_timeout": "0",
    }.items()
)
