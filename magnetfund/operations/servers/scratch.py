"""Scratch databases: where replays invent people and funds, apart from the fund's own books.

A role ``scratch`` may create databases and has no rights in any other: it cannot even connect to
the fund's.  It copies an empty, migrated template, which is made once per schema, in a moment.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any
from urllib.parse import quote

import psycopg
from psycopg import sql

from magnetfund.core.locks import HOLD_SCRATCH_TEMPLATE
from magnetfund.env import PROJECT
from magnetfund.operations.servers.postgres import Postgres

ROLE = "scratch"
TEMPLATE = "scratch_template"
#: Copies are named by this and a random word.
COPY = "scratch_copy_"
CONNECTIONS_MAX = 8
#: The walls' triggers stay, and of functions scratch may call those that a replay's role may.
TEMPLATE_GRANTS = """
GRANT USAGE ON SCHEMA public TO scratch;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO scratch;
GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO scratch;
DO $$
DECLARE
  called regprocedure;
BEGIN
  FOR called IN
    SELECT oid FROM pg_proc
    WHERE pronamespace = 'public'::regnamespace
      AND has_function_privilege('fa_gateway', oid, 'EXECUTE')
  LOOP
    EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO scratch', called);
  END LOOP;
END
$$;
INSERT INTO risk_wallinstance (id, kind, live_book, recorded_at)
  VALUES (1, 'scratch', '', clock_timestamp()) ON CONFLICT DO NOTHING;
"""


def schema_digest() -> str:
    """Digest of every migration: a template of another digest is made anew."""
    digest = hashlib.sha256(TEMPLATE_GRANTS.encode())
    for path in sorted(PROJECT.glob("**/migrations/*.py")):
        if ".venv" not in path.parts:
            digest.update(path.read_bytes())
    digest.update((PROJECT / "requirements.txt").read_bytes())
    return digest.hexdigest()[:32]


class ScratchServer:
    """The scratch role, its template and its databases on one cluster."""

    def __init__(self, postgres: Postgres, *, migrate: Callable[[str], None]) -> None:
        """``migrate`` brings the database of a URL, which is its owner's, to today's schema."""
        self._postgres = postgres
        self._migrate = migrate
        seed = postgres.secrets["postgres"].encode()
        self._password = hmac.new(seed, b"scratch", hashlib.sha256).hexdigest()

    def dsn(self, database: str) -> str:
        """URL of a database for the scratch role; holds its password, so it is never printed."""
        folder = quote(str(self._postgres.home.sockets), safe="")
        return f"postgresql://{ROLE}:{self._password}@/{database}?host={folder}"

    @contextmanager
    def database(self) -> Iterator[str]:
        """URL of a new empty database with the fund's schema; it is gone afterwards.

        A copy that a killed process left behind goes with the next call.
        """
        plain = f"{COPY}{secrets.token_hex(6)}"
        name = sql.Identifier(plain)
        with self._administer("postgres") as administrator:
            # One process at a time makes the template, copies it and clears up.
            administrator.execute(HOLD_SCRATCH_TEMPLATE)
            self._make_role(administrator)
            if self._kept_digest(administrator) != schema_digest():
                self._make_template(administrator)
            self._drop_abandoned(administrator)
            with self._as_scratch() as scratch:
                scratch.execute(
                    sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(name, sql.Identifier(TEMPLATE))
                )
            # A copy in which somebody is signed in is in use.
            sign = psycopg.connect(self.dsn(plain), autocommit=True)
        try:
            with closing(sign):
                yield self.dsn(plain)
        finally:
            # In it may be what scratch cannot end, such as the server's own automatic vacuum.
            with self._administer("postgres") as administrator:
                administrator.execute(
                    sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name)
                )

    def _administer(self, database: str) -> psycopg.Connection[Any]:
        return psycopg.connect(self._postgres.dsn("postgres", database), autocommit=True)

    def _as_scratch(self) -> psycopg.Connection[Any]:
        return psycopg.connect(self.dsn("postgres"), autocommit=True)

    def _make_role(self, connection: psycopg.Connection[Any]) -> None:
        if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname = 'scratch'").fetchone():
            connection.execute("CREATE ROLE scratch")
        connection.execute(
            sql.SQL("ALTER ROLE scratch LOGIN CREATEDB CONNECTION LIMIT {} PASSWORD {}").format(
                sql.Literal(CONNECTIONS_MAX), sql.Literal(self._password)
            )
        )

    def _kept_digest(self, connection: psycopg.Connection[Any]) -> str | None:
        row = connection.execute(
            "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = %s",
            [TEMPLATE],
        ).fetchone()
        return None if row is None or row[0] is None else str(row[0])

    def _make_template(self, connection: psycopg.Connection[Any]) -> None:
        connection.execute(
            "UPDATE pg_database SET datistemplate = false WHERE datname = %s", [TEMPLATE]
        )
        connection.execute(f"DROP DATABASE IF EXISTS {TEMPLATE} WITH (FORCE)")
        self._postgres.make_database(TEMPLATE)
        self._migrate(self._postgres.dsn("fa_owner", TEMPLATE))
        with self._administer(TEMPLATE) as inside:
            inside.execute(TEMPLATE_GRANTS)
        # The digest is noted last: a template that is half made has none and is made anew.
        connection.execute(f"ALTER DATABASE {TEMPLATE} IS_TEMPLATE true")
        connection.execute(
            sql.SQL("COMMENT ON DATABASE {} IS {}").format(
                sql.Identifier(TEMPLATE), sql.Literal(schema_digest())
            )
        )

    def _drop_abandoned(self, connection: psycopg.Connection[Any]) -> None:
        rows = connection.execute(
            "SELECT datname FROM pg_database d WHERE starts_with(datname, %s) "
            "AND NOT EXISTS (SELECT 1 FROM pg_stat_activity a WHERE a.datname = d.datname)",
            [COPY],
        ).fetchall()
        for (name,) in rows:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(sql.Identifier(name)))
