"""Rows by the million for benches of pages: investors, dealing, orders, fills, valuations.

Rows are multiplied inside a throwaway PostgreSQL from those that a small demo fund left, so that
each has plausible values.  The platform's walls would refuse most of them; they are off for the
load, by the superuser of that cluster, and in force again before anything is measured.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

Connection = psycopg.Connection[Any]
LOTS_EACH = 2
ORDERS_EACH = 4
YEAR = "interval '365 days'"


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How many rows of each kind."""

    investors: int = 10_000
    fills: int = 1_000_000
    trades: int = 500_000
    valuation_minutes: int = 525_600
    strikes: int = 24
    journal_entries: int = 100_000
    audit_lines: int = 500_000
    job_runs: int = 500_000
    fuse_events: int = 20_000
    #: Of the one investor who is looked at: lots, movements, orders and days of decades.
    own_lots: int = 100
    own_movements: int = 2_000
    own_days: int = 3_650


TABLES = (
    "core_user", "core_jobrun", "core_auditevent", "investors_investor", "investors_holding",
    "investors_unitlot", "investors_unitentry", "investors_dealingorder", "investors_navstrike",
    "investors_classnav", "investors_lotnav", "investors_investorsnapshot", "investors_entry",
    "investors_posting", "trading_order", "trading_orderevent", "trading_fill", "trading_trade",
    "trading_valuation", "risk_fuseevent",
)  # fmt: skip


def fill(dsn: str, *, size: Size, email: str) -> None:
    """Multiply a demo fund's rows to ``size``; ``dsn`` is the superuser's of a throwaway cluster.

    ``email`` names the investor whose own pages are read.
    """
    with psycopg.connect(dsn) as connection:
        with _without_triggers(connection):
            _add_investors(connection, size, email)
            _add_strikes(connection, size)
            _add_own(connection, size, email)
            _add_trading(connection, size)
            _add_journals(connection, size)
        # The triggers that add a fill and a trade to its sums were off.
        connection.execute(
            "SELECT trading_sum_days(book), trading_sum_fills(book)"
            " FROM (SELECT DISTINCT book FROM trading_trade) b"
        )
        connection.commit()
        connection.autocommit = True
        connection.execute("VACUUM ANALYZE")


@contextmanager
def _without_triggers(connection: Connection) -> Iterator[None]:
    """Switch every trigger of the tables off, and back to what each was."""
    found = connection.execute(
        """SELECT tgrelid::regclass::text, tgname, tgenabled::text FROM pg_trigger
           WHERE tgrelid = ANY(%s::regclass[]) AND NOT tgisinternal""",
        [list(TABLES)],
    ).fetchall()
    for table in TABLES:
        connection.execute(
            sql.SQL("ALTER TABLE {} DISABLE TRIGGER ALL").format(sql.Identifier(table))
        )
    yield
    modes = {"O": "ENABLE", "A": "ENABLE ALWAYS", "R": "ENABLE REPLICA", "D": "DISABLE"}
    for table in TABLES:
        connection.execute(
            sql.SQL("ALTER TABLE {} ENABLE TRIGGER ALL").format(sql.Identifier(table))
        )
    for table, name, mode in found:
        connection.execute(
            sql.SQL("ALTER TABLE {} {} TRIGGER {}").format(
                sql.Identifier(table), sql.SQL(modes[mode]), sql.Identifier(name)
            )
        )


def multiply(
    connection: Connection, table: str, count: int, *, where: str = "true", **changed: str
) -> None:
    """Insert ``count`` copies of the table's rows.

    ``changed`` gives columns as SQL over ``g`` (1, 2, ...) and ``t``, the copied row, taken in
    turn of the first 500 that meet ``where``.  A generated key is left to the database.
    """
    columns = [
        row[0]
        for row in connection.execute(
            """SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0
               AND NOT attisdropped AND attidentity = ''""",
            [table],
        )
    ]
    done = connection.execute(
        sql.SQL(
            """WITH source AS MATERIALIZED (
                 SELECT *, row_number() OVER () - 1 AS turn
                 FROM (SELECT * FROM {table} WHERE {where} LIMIT 500) s)
               INSERT INTO {table} ({names}) SELECT {made}
               FROM (SELECT g, g % (SELECT count(*) FROM source) AS turn
                     FROM generate_series(1, {count}) g) n JOIN source t USING (turn)"""
        ).format(
            table=sql.Identifier(table),
            where=sql.SQL(where),
            names=sql.SQL(", ").join(map(sql.Identifier, columns)),
            made=sql.SQL(", ").join(
                sql.SQL(changed[name]) if name in changed else sql.Identifier("t", name)
                for name in columns
            ),
            count=sql.Literal(count),
        )
    )
    if done.rowcount != count:
        raise ValueError(f"{table} has no row to copy where {where}")


def _uuid(word: str, number: str = "g") -> str:
    """The made key of one row, the same wherever it is written."""
    return f"md5('{word}' || ({number}))::uuid"


def _past(count: int) -> str:
    """The instant of row ``g``: evenly over a year, the last one now."""
    return f"now() - {YEAR} * (1 - g::float / {count})"


def _add_investors(connection: Connection, size: Size, email: str) -> None:
    """Each with an account, a holding of two lots, their entries, orders and monthly values."""
    count = size.investors
    multiply(
        connection, "core_user", count, where=f"email = '{email}'",
        id=_uuid("user"), email="'crowd' || g || '@example.com'", person=_uuid("person"),
        name="'Crowd ' || g",
    )  # fmt: skip
    multiply(
        connection, "investors_investor", count,
        id=_uuid("investor"), number="'C-' || g", user_id=_uuid("user"),
        legal_name="'Crowd ' || g", email="'crowd' || g || '@example.com'",
    )  # fmt: skip
    multiply(
        connection, "investors_holding", count, where="units > 0",
        investor_id=_uuid("investor"), reserved_units="0",
    )  # fmt: skip
    one = f"(g - 1) % {count} + 1"
    holding = f"(SELECT id FROM investors_holding h WHERE h.investor_id = {_uuid('investor', one)})"
    multiply(
        connection, "investors_unitlot", count * LOTS_EACH, where="units > 0",
        id=_uuid("lot"), number="1000000 + g", holding_id=holding,
    )  # fmt: skip
    multiply(
        connection, "investors_unitentry", count * LOTS_EACH, where="kind = 'issue'",
        lot_id=_uuid("lot"), seq="1000000 + g",
    )  # fmt: skip
    multiply(
        connection, "investors_dealingorder", count * ORDERS_EACH,
        id=_uuid("dealing"), investor_id=_uuid("investor", one),
        state="CASE WHEN g % 4 = 0 THEN 'accepted' ELSE t.state END",
        dealing_day_id="""CASE WHEN g % 4 = 0 THEN (SELECT id FROM investors_dealingday
            WHERE day > now() ORDER BY day LIMIT 1) ELSE t.dealing_day_id END""",
        amount="CASE WHEN t.kind = 'subscription' THEN t.amount ELSE NULL END",
        received_at=_past(count * ORDERS_EACH),
    )  # fmt: skip
    multiply(
        connection, "investors_investorsnapshot", count * size.strikes,
        investor_id=_uuid("investor", one), day=f"current_date - 31 * ((g - 1) / {count})",
        is_estimate="false",
    )  # fmt: skip


def _add_strikes(connection: Connection, size: Size) -> None:
    """Months of dealt strikes; each froze the inputs of every lot and valued every lot."""
    connection.execute(
        """UPDATE investors_navstrike SET inputs = inputs || jsonb_build_object('classes',
             (SELECT jsonb_agg(jsonb_build_array(g, 1000 + g / 7.0, 100 + g / 9.0, '2026-01-01'))
              FROM generate_series(1, %s) g))""",
        [size.investors * LOTS_EACH],
    )
    multiply(
        connection, "investors_navstrike", size.strikes, where="state = 'dealt'",
        id=_uuid("strike"), version="1", valuation_at="date_trunc('day', now()) - g * interval"
        " '31 days' - interval '1 hour'", dealing_day_id="NULL",
    )  # fmt: skip
    connection.execute(
        """INSERT INTO investors_lotnav (strike_id, lot_id, units, high_water_mark,
             performance_fee_per_unit, net_value_per_unit, net_value)
           SELECT s.id, l.id, l.units, l.high_water_mark, 0.1, 104.2, l.units * 104.2
           FROM investors_navstrike s CROSS JOIN investors_unitlot l WHERE s.state = 'dealt'
           ON CONFLICT DO NOTHING"""
    )
    columns = (
        "share_class_id, units, gav, price, price_unrounded, nav, management_fee,"
        " performance_fee_accrued, expenses, nav_per_unit, detail"
    )
    connection.execute(
        f"""INSERT INTO investors_classnav (strike_id, {columns})
            SELECT s.id, c.* FROM investors_navstrike s CROSS JOIN (
              SELECT DISTINCT ON (share_class_id) {columns} FROM investors_classnav) c
            ON CONFLICT DO NOTHING"""
    )


def _add_own(connection: Connection, size: Size, email: str) -> None:
    """An investor who has dealt for decades, so that his own pages have much to say."""
    mine = f"(SELECT id FROM investors_investor WHERE email = '{email}')"
    holding = f"(SELECT min(id) FROM investors_holding WHERE investor_id = {mine})"
    multiply(
        connection, "investors_unitlot", size.own_lots, where="units > 0",
        id=_uuid("own lot"), number="2000000 + g", holding_id=holding,
    )  # fmt: skip
    multiply(
        connection, "investors_unitentry", size.own_movements, where="kind = 'issue'",
        lot_id=_uuid("own lot", f"g % {size.own_lots} + 1"), effective_at=_past(size.own_movements),
        seq="100000000 + g",
    )  # fmt: skip
    multiply(
        connection, "investors_dealingorder", size.own_movements,
        id=_uuid("own dealing"), investor_id=mine, received_at=_past(size.own_movements),
    )  # fmt: skip
    multiply(
        connection, "investors_investorsnapshot", size.own_days,
        where=f"investor_id = {mine}",
        day="current_date - 100 - g", is_estimate="g % 30 <> 0",
    )  # fmt: skip


def _add_trading(connection: Connection, size: Size) -> None:
    """Filled orders, each with two steps and its fill; closed trades; a valuation every minute."""
    at = _past(size.fills)
    multiply(
        connection, "trading_order", size.fills, where="state = 'FILLED'",
        id=_uuid("order"), client_order_id="md5('client' || g)", occurred_at=at, recorded_at=at,
        closed_at=at,
    )  # fmt: skip
    connection.execute(
        """INSERT INTO trading_orderevent
             (order_id, seq, kind, from_state, to_state, detail, occurred_at, recorded_at)
           SELECT o.id, s.seq, s.kind, s.before, s.after, '{}', o.occurred_at, o.recorded_at
           FROM trading_order o CROSS JOIN (VALUES (1, 'sent', 'INTENT', 'SENDING'),
             (2, 'filled', 'SENDING', 'FILLED')) s(seq, kind, before, after)
           ON CONFLICT DO NOTHING"""
    )
    multiply(
        connection, "trading_fill", size.fills,
        order_id=_uuid("order"), venue_trade_id="'crowd-' || g", occurred_at=at, recorded_at=at,
    )  # fmt: skip
    at = _past(size.trades)
    multiply(
        connection, "trading_trade", size.trades,
        id=_uuid("trade"), closed_at=at, opened_at=f"{at} - interval '5 hours'", recorded_at=at,
    )  # fmt: skip
    multiply(
        connection, "trading_valuation", size.valuation_minutes,
        at="date_trunc('minute', now()) - (g - 1) * interval '1 minute' - interval '7 seconds'",
        equity="t.equity * (1 + 0.002 * sin(g))",
        unit_value="t.unit_value * (1 + 0.002 * sin(g))",
    )  # fmt: skip


def _add_journals(connection: Connection, size: Size) -> None:
    """The ledger's entries, the audit trail, runs of jobs, events of the fuse."""
    entries = size.journal_entries
    multiply(
        connection, "investors_entry", entries,
        id=_uuid("entry"), seq="1000000 + g", source_ref="'crowd-' || g",
        effective_at=_past(entries), reverses_id="NULL",
    )  # fmt: skip
    multiply(connection, "investors_posting", entries * 3, entry_id=_uuid("entry", "(g + 2) / 3"))
    multiply(
        connection, "core_auditevent", size.audit_lines,
        seq="1000000 + g", occurred_at=_past(size.audit_lines), recorded_at=_past(size.audit_lines),
    )  # fmt: skip
    connection.execute(
        """INSERT INTO core_jobrun (job, scheduled_for, state, started_at, finished_at, detail)
           SELECT (ARRAY['equity_age', 'stop_audit', 'job_health'])[g %% 3 + 1],
             now() - g * interval '20 seconds', 'done', now(), now(), ''
           FROM generate_series(1, %s) g""",
        [size.job_runs],
    )
    multiply(
        connection, "risk_fuseevent", size.fuse_events,
        id=_uuid("fuse event"), occurred_at=_past(size.fuse_events),
    )  # fmt: skip
