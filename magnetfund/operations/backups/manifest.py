"""What a database held when a backup was made: versions, counts and a hash of every table.

The hash of a table is SHA-256 over its rows as PostgreSQL writes them in COPY text format, ordered
by primary key, under fixed settings.  Two databases with equal manifests hold equal rows.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import Any

import psycopg
from psycopg import sql

#: Settings under which rows have one text form.
TEXT_SETTINGS = (
    "SET LOCAL timezone = 'UTC'; SET LOCAL datestyle = 'ISO, YMD';"
    " SET LOCAL intervalstyle = 'iso_8601'; SET LOCAL extra_float_digits = 1;"
    " SET LOCAL bytea_output = 'hex'"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TableState:
    """Rows of one table and the SHA-256 of them all."""

    rows: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """``migrations`` are "app.name"; ``heads`` the newest link of each hash chain."""

    made_at: str
    version: str
    postgresql: int
    mode: str
    migrations: tuple[str, ...]
    tables: dict[str, TableState]
    sequences: dict[str, int]
    heads: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)

    def to_bytes(self) -> bytes:
        """Canonical JSON."""
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":")).encode()

    @staticmethod
    def of_bytes(data: bytes) -> Manifest:
        """The manifest of its JSON; unknown fields are refused by their names."""
        raw: dict[str, Any] = json.loads(data)
        raw["migrations"] = tuple(raw["migrations"])
        raw["tables"] = {name: TableState(**state) for name, state in raw["tables"].items()}
        return Manifest(**raw)

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical JSON."""
        return hashlib.sha256(self.to_bytes()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseState:
    """The part of a manifest that is read from a database."""

    postgresql: int
    migrations: tuple[str, ...]
    tables: dict[str, TableState]
    sequences: dict[str, int]
    heads: dict[str, str]


def read_migrations(connection: psycopg.Connection[Any]) -> tuple[str, ...]:
    """Names of the migrations that were applied; none where Django never was there."""
    if connection.execute("SELECT to_regclass('django_migrations')").fetchone() == (None,):
        return ()
    rows = connection.execute("SELECT app, name FROM django_migrations ORDER BY app, name")
    return tuple(f"{app}.{name}" for app, name in rows)


def read_state(connection: psycopg.Connection[Any]) -> DatabaseState:
    """Read every table of the public schema inside the caller's transaction."""
    connection.execute(TEXT_SETTINGS)
    tables = {
        name: _read_table(connection, name, keys)
        for name, keys in sorted(_tables(connection).items())
    }
    return DatabaseState(
        postgresql=connection.info.server_version // 10000,
        migrations=read_migrations(connection),
        tables=tables,
        sequences=dict(
            connection.execute(
                "SELECT sequencename, coalesce(last_value, 0) FROM pg_sequences "
                "WHERE schemaname = 'public' ORDER BY 1"
            ).fetchall()
        ),
        heads=_heads(connection, tables),
    )


def _tables(connection: psycopg.Connection[Any]) -> dict[str, list[str]]:
    """Ordinary tables and partitions with the columns of their primary keys, in key order."""
    rows = connection.execute(
        "SELECT c.relname, coalesce(array_agg(a.attname ORDER BY k.place) "
        "FILTER (WHERE a.attname IS NOT NULL), '{}') "
        "FROM pg_class c "
        "LEFT JOIN pg_index i ON i.indrelid = c.oid AND i.indisprimary "
        "LEFT JOIN LATERAL unnest(i.indkey) WITH ORDINALITY k(number, place) ON true "
        "LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.number "
        "WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace GROUP BY c.relname"
    )
    return {name: list(keys) for name, keys in rows}


def _read_table(connection: psycopg.Connection[Any], name: str, keys: list[str]) -> TableState:
    order = sql.SQL(", ").join(sql.Identifier(key) for key in keys) if keys else sql.SQL("t::text")
    digest = hashlib.sha256()
    rows = 0
    statement = sql.SQL("COPY (SELECT * FROM {} t ORDER BY {}) TO STDOUT").format(
        sql.Identifier(name), order
    )
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for block in copy:
            digest.update(block)
            rows += bytes(block).count(b"\n")
    return TableState(rows=rows, sha256=digest.hexdigest())


def _heads(connection: psycopg.Connection[Any], tables: dict[str, TableState]) -> dict[str, str]:
    """Newest hash of each chain of the ledger and of the audit trail."""
    heads: dict[str, str] = {}
    for table, chain in (("core_auditevent", "chain"), ("investors_entry", "fund_id")):
        if table not in tables:
            continue
        rows = connection.execute(
            sql.SQL(
                "SELECT DISTINCT ON ({0}) {0}::text, seq, row_hash::text FROM {1} "
                "ORDER BY {0}, seq DESC"
            ).format(sql.Identifier(chain), sql.Identifier(table))
        )
        for name, number, digest in rows:
            heads[f"{table}:{name}"] = f"{number}:{digest}"
    return heads


def find_differences(wanted: Manifest, found: DatabaseState) -> list[str]:
    """What of a restored database is not as the manifest says, one line each."""
    lines = []
    for name in sorted(wanted.tables.keys() | found.tables.keys()):
        then, now = wanted.tables.get(name), found.tables.get(name)
        if then is None:
            lines.append(f"table {name} is not in the manifest")
        elif now is None:
            lines.append(f"table {name} is missing")
        elif then != now:
            lines.append(
                f"table {name}: {then.rows} rows backed up, {now.rows} restored or changed"
            )
    if wanted.migrations != found.migrations:
        lines.append("the migrations differ")
    for name in sorted(wanted.sequences):
        # No snapshot holds a sequence: while the dump runs, others take numbers. One that is
        # behind would give a number twice.
        if found.sequences.get(name, -1) < wanted.sequences[name]:
            lines.append(f"sequence {name} is behind")
    if wanted.heads != found.heads:
        lines.append("the heads of the hash chains differ")
    return lines
