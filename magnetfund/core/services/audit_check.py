"""Whether the audit trail is whole: no line missing, none changed, each after its predecessor."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby, islice
from typing import Any

from django.db import connection

from magnetfund.kernel.chains import Link, Raw, find_chain_breaks, plain_instant

BATCH = 2_000


def find_audit_breaks(*, limit: int = 20) -> list[str]:
    """Each audit line hashes to what was recorded, and follows its predecessor."""
    found: list[str] = []
    for chain, links in groupby(read_audit_links(), key=lambda item: item[0]):
        breaks = find_chain_breaks((link for _, link in links), what="line")
        found += [f"audit chain {chain}: {words}" for words in islice(breaks, limit)]
    return found[:limit]


def read_audit_links() -> Iterator[tuple[str, Link]]:
    """All lines in order, with the bodies as PostgreSQL writes them, read in batches."""
    last: tuple[str, int] = ("", 0)
    while True:
        rows = _read_batch(last)
        for chain, seq, occurred, recorded, *rest, body, trace, previous, stored in rows:
            values: list[Any] = [
                chain, seq, plain_instant(occurred), plain_instant(recorded), *rest,
                Raw(body), trace,
            ]  # fmt: skip
            yield (
                chain,
                Link(seq=seq, previous=bytes(previous), stored=bytes(stored), values=values),
            )
        if len(rows) < BATCH:
            return
        last = (rows[-1][0], rows[-1][1])


def _read_batch(after: tuple[str, int]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT chain, seq, occurred_at, recorded_at, actor_id, actor_label, action,
                      subject_type, subject_id, body::text, trace_id, prev_hash, row_hash
               FROM core_auditevent WHERE (chain, seq) > (%s, %s)
               ORDER BY chain, seq LIMIT %s""",
            [*after, BATCH],
        )
        return list(cursor.fetchall())
