"""The login roles of the database: what each is for, its limits, and the SQL that makes them so.

Run on every start of the embedded server and by ``manage.py prepare_roles``; it changes nothing
where all is in place, completes what an earlier version left, and needs no superuser: a role with
CREATEROLE that made the others (or was granted them WITH ADMIN OPTION) is enough.

Timeouts protect against honest hangs.  A session may lift its own, so nothing that must not wait
relies on them; connection limits cannot be lifted by the role itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

OWNER = "fa_owner"


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseRole:
    """One login role.  Times are PostgreSQL's notation; ``connections`` is its limit.

    ``inherits`` names a role whose grants it has as well.
    """

    name: str
    connections: int
    inherits: str = ""
    statement: str = "60s"
    lock: str = "5s"
    idle: str = "60s"


#: The sum of the limits stays below max_connections, so no role can take another's slots.
ROLES = (
    DatabaseRole(name=OWNER, connections=6, statement="0", lock="30s", idle="10min"),
    DatabaseRole(name="fa_app", connections=52),
    # Background jobs: what the web may write, but for people, approvals, money and orders, which
    # ``wall_not_by_worker`` refuses.
    DatabaseRole(name="fa_worker", connections=16, inherits="fa_app"),
    DatabaseRole(name="fa_gateway", connections=24),
    DatabaseRole(name="fa_stop", connections=12, statement="5s", lock="2s", idle="5s"),
    DatabaseRole(name="fa_watchdog", connections=4, statement="5s", lock="2s", idle="5s"),
    DatabaseRole(name="fa_signer", connections=6, statement="5s", lock="2s", idle="5s"),
    DatabaseRole(name="fa_auditor", connections=6),
    # Reads every table for a dump, which may take long, and records that it did.
    DatabaseRole(name="fa_backup", connections=4, statement="0", idle="10min"),
)
ROLE_NAMES = tuple(role.name for role in ROLES)
RUN_TIME_ROLES = tuple(name for name in ROLE_NAMES if name != OWNER)
#: ``max_connections``: the limits and the slots that they leave to a superuser's maintenance.
CONNECTIONS = 136


def prepare_roles(connection: psycopg.Connection[Any], passwords: Mapping[str, str]) -> list[str]:
    """Bring every role to its declared form; returns the names of those that were made.

    ``connection`` is in autocommit mode.  A role that ``passwords`` does not name keeps its own; a
    new one cannot sign in before it has one.  Raises :class:`psycopg.Error` where it may not.
    """
    known = {row[0] for row in connection.execute("SELECT rolname FROM pg_roles")}
    made = []
    for role in ROLES:
        name = sql.Identifier(role.name)
        if role.name not in known:
            connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(name))
            made.append(role.name)
        connection.execute(
            sql.SQL("ALTER ROLE {} LOGIN CONNECTION LIMIT {}").format(
                name, sql.Literal(role.connections)
            )
        )
        if role.name in passwords:
            connection.execute(
                sql.SQL("ALTER ROLE {} PASSWORD {}").format(name, sql.Literal(passwords[role.name]))
            )
        connection.execute(sql.SQL("ALTER ROLE {} RESET ALL").format(name))
        for setting, value in (
            ("statement_timeout", role.statement),
            ("lock_timeout", role.lock),
            ("idle_in_transaction_session_timeout", role.idle),
        ):
            connection.execute(
                sql.SQL("ALTER ROLE {} SET {} = {}").format(
                    name, sql.Identifier(setting), sql.Literal(value)
                )
            )
    for role in ROLES:
        if role.inherits:
            connection.execute(
                sql.SQL("GRANT {} TO {}").format(
                    sql.Identifier(role.inherits), sql.Identifier(role.name)
                )
            )
    # The owner's functions end sessions that hold up a stop, which takes membership in their role.
    connection.execute(
        sql.SQL("GRANT {} TO {}").format(
            sql.SQL(", ").join(map(sql.Identifier, RUN_TIME_ROLES)), sql.Identifier(OWNER)
        )
    )
    return made


def prepare_schema(connection: psycopg.Connection[Any]) -> None:
    """Base grants of one database, for whoever owns its schema; a dump reads later tables too."""
    connection.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    for kind in ("TABLES", "SEQUENCES"):
        connection.execute(f"GRANT SELECT ON ALL {kind} IN SCHEMA public TO fa_backup".encode())
        connection.execute(
            f"ALTER DEFAULT PRIVILEGES FOR ROLE {OWNER} IN SCHEMA public "
            f"GRANT SELECT ON {kind} TO fa_backup".encode()
        )
    connection.execute(
        sql.SQL("GRANT USAGE ON SCHEMA public TO {}").format(
            sql.SQL(", ").join(map(sql.Identifier, RUN_TIME_ROLES))
        )
    )
