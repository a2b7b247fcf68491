"""Rows that are written once: a digest of each, kept outside the database.

A superuser can change a row and every hash that covers it; what he cannot change is a digest that
left before.  Sealed are the whole rows of every append-only table but those in ``UNSEALED``, and of
tables that live on the columns in ``FIXED``, which no way of the product ever rewrites.
"""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from django.db import connection
from psycopg import sql

from magnetfund.operations.walls import declared_append_only

#: Of tables that live on: the columns that are fixed from the first.
FIXED: Mapping[str, tuple[str, ...]] = {
    "core_user": ("person", "is_simulated", "date_joined"),
    "core_rolegrant": ("user_id", "role", "granted_by_id", "granted_at"),
    "investors_fund": ("code", "currency", "book", "inception"),
    "investors_shareclass": ("fund_id", "code", "launch_price"),
    "investors_holding": ("investor_id", "share_class_id"),
    "investors_unitlot": (
        "number", "holding_id", "share_class_id", "dealing_day", "strike_id", "entry_price",
        "cost", "parent_id", "opened_at",
    ),
    "investors_dealingorder": (
        "kind", "investor_id", "share_class_id", "amount", "is_all", "submitted_by_id",
        "received_at", "recorded_at",
    ),
    "investors_navstrike": (
        "fund_id", "valuation_at", "known_at", "version", "gross_assets", "nav", "inputs",
        "input_hash", "result_hash", "balances", "waterfall", "checklist", "second_engine",
        "prepared_by_id", "prepared_at", "recorded_at",
    ),
    "risk_limitproposal": (
        "book", "figures", "content_hash", "reason", "effective_from", "proposed_by_id",
        "proposed_at",
    ),
    "risk_fusereset": ("book", "event_id", "reason", "proposed_by_id", "proposed_at"),
    "trading_order": (
        "client_order_id", "book", "venue", "instrument_id", "strategy", "purpose", "side", "type",
        "quantity", "reference_price", "limit_price", "stop_price", "pretrade_check", "actor_id",
        "actor_label", "occurred_at", "recorded_at",
    ),
}  # fmt: skip
#: Append-only tables that are not sealed, and why.
UNSEALED: Mapping[str, str] = {
    **dict.fromkeys(
        ("trading_candle", "trading_marketevent", "trading_marketrefusal", "trading_fundingrate",
         "trading_optionsnapshot", "trading_optionlisting"),
        "market data: millions of rows that anybody can fetch again",
    ),
    **dict.fromkeys(
        ("trading_signal", "trading_valuation", "risk_riskmeasure", "trading_trial",
         "trading_paperevent", "trading_accountsnapshot", "trading_leveragereading"),
        "readings: computed again from fills and market data",
    ),
    **dict.fromkeys(
        ("investors_kyccheck", "investors_screening", "investors_kycmove", "investors_signature",
         "investors_agreementtext", "investors_screeninglist", "investors_screeningname",
         "investors_lineallocation"),
        "files of persons and payments: erased by law or matched later; the audit trail has their "
        "lines",
    ),
}  # fmt: skip
DIGEST_CHARACTERS = 24
BATCH = 5_000

Digests = dict[str, dict[str, str]]


def whole_tables() -> list[str]:
    """Tables whose rows are sealed whole: append-only by a trigger that holds for the owner too."""
    return sorted(set(declared_append_only()) - set(UNSEALED))


def read_columns() -> dict[str, tuple[str, ...]]:
    """The sealed columns of each table as the database has them now, in their order."""
    whole = whole_tables()
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT table_name, column_name FROM information_schema.columns "
            "WHERE table_schema = 'public' AND table_name = ANY(%s) "
            "ORDER BY table_name, ordinal_position",
            [[*whole, *FIXED]],
        )
        found: dict[str, list[str]] = {}
        for table, column in cursor.fetchall():
            if table in whole or column in FIXED[table]:
                found.setdefault(table, []).append(column)
    return {table: tuple(columns) for table, columns in found.items()}


def digest_rows(columns: Mapping[str, tuple[str, ...]]) -> Digests:
    """The digest of each row over the named columns, by table and primary key."""
    return {table: dict(_digest_table(table, names)) for table, names in columns.items()}


def _digest_table(table: str, columns: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    query = sql.SQL("SELECT {key}::text, ROW({columns})::text FROM {table}").format(
        key=sql.Identifier(_key_of(table)),
        columns=sql.SQL(", ").join(map(sql.Identifier, columns)),
        table=sql.Identifier(table),
    )
    with connection.cursor() as cursor:
        cursor.execute(query)
        while rows := cursor.fetchmany(BATCH):
            for key, text in rows:
                yield key, hashlib.sha256(text.encode()).hexdigest()[:DIGEST_CHARACTERS]


def _key_of(table: str) -> str:
    with connection.cursor() as cursor:
        return str(connection.introspection.get_primary_key_column(cursor, table))


def write_rows(path: Path, columns: Mapping[str, tuple[str, ...]], digests: Digests) -> str:
    """Write the digests beside and move them into place; returns the file's own sha256."""
    draft = path.with_name(f"{path.name}.draft")
    with gzip.GzipFile(draft, "wb", mtime=0) as handle:
        for table in sorted(digests):
            handle.write(f"#{table} {' '.join(columns[table])}\n".encode())
            for key in sorted(digests[table]):
                handle.write(f"{key} {digests[table][key]}\n".encode())
    draft.chmod(0o600)
    digest = hashlib.sha256(draft.read_bytes()).hexdigest()
    draft.rename(path)
    return digest


def read_rows(path: Path) -> tuple[dict[str, tuple[str, ...]], Digests]:
    """Columns and digests of a file that :func:`write_rows` made."""
    columns: dict[str, tuple[str, ...]] = {}
    digests: Digests = {}
    table = ""
    with gzip.open(path, "rt", encoding="utf-8") as handle:
        for line in handle:
            first, *rest = line.rstrip("\n").split(" ")
            if first.startswith("#"):
                table = first[1:]
                columns[table], digests[table] = tuple(rest), {}
            else:
                digests[table][first] = rest[0]
    return columns, digests


def find_changed_rows(path: Path, *, shown: int = 40) -> list[str]:
    """Rows of the file that are gone or differ; a column that was dropped since is left out."""
    columns, before = read_rows(path)
    now = read_columns()
    same = {
        table: names for table, names in columns.items() if set(names) <= set(now.get(table, ()))
    }
    after = digest_rows(same)
    found = []
    for table in sorted(same):
        for key, digest in before[table].items():
            again = after[table].get(key)
            if again is None:
                found.append(f"{table} {key}: a row that left with the last root is gone")
            elif again != digest:
                found.append(f"{table} {key}: changed since the last root")
    return found[:shown]
