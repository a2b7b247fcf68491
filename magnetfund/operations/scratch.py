"""Run a replay in a scratch database and bring back its result alone.

Invented people and funds never enter a production home.  The market's past is copied there, the
replay runs there as a process of its own, and one row of results returns.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg
from django.db import connection
from psycopg import sql

from magnetfund.env import PROJECT
from magnetfund.kernel.errors import InvalidInput, Unavailable
from trading.models import ReplayRun

URL = "SCRATCH_DATABASE_URL"
#: How a command that was refused ends.
REFUSED = re.compile(r"CommandError: (?P<message>.+) \((?P<code>[a-z0-9_]+)\)")
#: Variables that say how programs run here, not what they run on.
KEPT_VARIABLES = (
    "PATH", "HOME", "LANG", "LC_ALL", "TZ", "NUMBA_CACHE_DIR", "LOG_LEVEL", "MAGNET_BOOK",
)  # fmt: skip
#: What a replay reads of the market, and how far.
MARKET = {
    "trading_instrument": "id = ANY(%(instruments)s)",
    "trading_candle": (
        "instrument_id = ANY(%(instruments)s) AND open_time < %(end)s "
        "AND timeframe = ANY(%(timeframes)s)"
    ),
    "trading_fundingrate": "instrument_id = ANY(%(instruments)s)",
    "trading_magnet": (
        "instrument_id = ANY(%(instruments)s) AND known_at < %(end)s "
        "AND kind IN ('bid_wall', 'ask_wall')"
    ),
    "trading_eventblackout": (
        "starts_at < %(end)s AND (instrument_id IS NULL OR instrument_id = ANY(%(instruments)s))"
    ),
    "trading_optionsnapshot": "instrument_id = ANY(%(instruments)s)",
}
#: Columns that name a person of the home, who is not there.
LEFT_OUT = {"trading_eventblackout": ("created_by_id",)}
#: Rows that change where they are; those of the other tables are only ever added.
CHANGING = frozenset({"trading_instrument", "trading_eventblackout"})


def scratch_url() -> str:
    """The database for replays; raises :class:`Unavailable` where none is named."""
    url = os.environ.get(URL, "")
    if not url:
        raise Unavailable(
            f"a replay in a production installation needs a database apart: set {URL}",
            code="no_scratch",
        )
    if url in {os.environ.get(name) for name in ("DATABASE_URL", "DATABASE_GATEWAY_URL")}:
        raise InvalidInput(f"{URL} names the fund's own database", code="scratch_is_fund")
    return url


def copy_market(
    url: str, *, instruments: Sequence[int], timeframes: Sequence[str], end: datetime
) -> dict[str, int]:
    """Copy the market's past to the scratch database; new rows by table.

    A named database keeps what earlier replays brought, so rows that are there stay, and the terms
    of an instrument become those of today.
    """
    chosen = {"instruments": list(instruments), "timeframes": list(timeframes), "end": end}
    connection.ensure_connection()
    with psycopg.connect(url) as target:
        return {table: _copy_table(target, table, chosen) for table in MARKET}


def _copy_table(target: psycopg.Connection[Any], table: str, chosen: Mapping[str, Any]) -> int:
    name, incoming = sql.Identifier(table), sql.Identifier(f"incoming_{table}")
    with connection.cursor() as catalogue:
        catalogue.execute(
            "SELECT column_name FROM information_schema.columns "
            "WHERE table_schema = 'public' AND table_name = %s ORDER BY ordinal_position",
            [table],
        )
        left_out = LEFT_OUT.get(table, ())
        names = [row[0] for row in catalogue.fetchall() if row[0] not in left_out]
    columns = sql.SQL(", ").join(map(sql.Identifier, names))
    select = sql.SQL("COPY (SELECT {} FROM {} WHERE ").format(columns, name)
    with psycopg.ClientCursor(connection.connection) as plain:
        condition = plain.mogrify(MARKET[table], chosen)
        take = select.as_string(plain) + condition + ") TO STDOUT"
    make = sql.SQL("CREATE TEMPORARY TABLE {} (LIKE {}) ON COMMIT DROP").format(incoming, name)
    target.execute(make)
    into = sql.SQL("COPY {} ({}) FROM STDIN").format(incoming, columns)
    with (
        psycopg.Cursor(connection.connection) as source,
        source.copy(take.encode()) as reading,
        target.cursor().copy(into) as writing,
    ):
        for block in reading:
            writing.write(block)
    conflict: sql.Composable = sql.SQL("DO NOTHING")
    if table in CHANGING:
        newer = [sql.SQL("{0} = excluded.{0}").format(sql.Identifier(column)) for column in names]
        conflict = sql.SQL("(id) DO UPDATE SET {}").format(sql.SQL(", ").join(newer))
    added = target.execute(
        sql.SQL("INSERT INTO {} ({}) SELECT {} FROM {} ON CONFLICT {}").format(
            name, columns, columns, incoming, conflict
        )
    )
    return added.rowcount


def run_apart(url: str, arguments: Sequence[str], *, book: str) -> dict[str, Any]:
    """Run ``manage.py replay`` in the scratch database; its result, whose row is kept here.

    Raises :class:`InvalidInput` with the reason where the replay was refused.
    """
    command = [sys.executable, str(PROJECT / "manage.py"), "replay", "--json", *arguments]
    with tempfile.TemporaryDirectory(prefix="magnetfund-scratch-") as name:
        folder = Path(name)
        with (
            (folder / "answer").open("w+") as answer,
            subprocess.Popen(
                command,
                env=_environment(url, folder),
                stdout=answer,
                stderr=subprocess.PIPE,
                text=True,
            ) as process,
        ):
            assert process.stderr is not None
            refusal = _pass_on(process.stderr)
        if process.returncode != 0:
            raise refusal
        result: dict[str, Any] = json.loads((folder / "answer").read_text())
    names = ("id", "book", "parameters", "result", "started_at", "finished_at")
    with psycopg.connect(url) as scratch:
        row = scratch.execute(
            "SELECT id, book, parameters, result, started_at, finished_at "
            "FROM trading_replayrun WHERE book = %s ORDER BY started_at DESC LIMIT 1",
            [book],
        ).fetchone()
    if row is None:
        raise InvalidInput("the replay left no result", code="replay")
    ReplayRun.objects.create(**dict(zip(names, row, strict=True)))
    return result


def _pass_on(told: Iterable[str]) -> InvalidInput:
    """Show what the replay says while it runs, but for the line with which it is refused.

    Returns that refusal, or what stands for one that was never said.
    """
    refusal = InvalidInput("the replay failed in its scratch database; see above", code="replay")
    for line in told:
        found = REFUSED.fullmatch(line.rstrip("\n"))
        if found is None:
            sys.stderr.write(line)
            sys.stderr.flush()
        else:
            refusal = InvalidInput(found["message"], code=found["code"])
    return refusal


def _environment(url: str, folder: Path) -> dict[str, str]:
    """What the replay may know: its own database, no server, key or folder of the fund."""
    kept = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
    return {
        **kept,
        "DATABASE_URL": url,
        "MAGNET_DB_ROLE": "gateway",
        "MAGNET_ENV": "demo",
        "MAGNET_HOME": str(folder),
        "REDIS_URL": f"unix://{folder}/none",
        "SECRET_KEY": secrets.token_urlsafe(48),
    }
