"""The ledger against itself: entries balance, the chain recomputed from every posting."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from django.db import connection

from investors.domain.ledger import Leg
from investors.models import Fund
from investors.services.ledger import entry_content
from investors.services.verification.proofs import proved_since
from magnetfund.kernel.chains import Link, find_chain_breaks, plain_instant
from magnetfund.kernel.identifiers import canonical_json

BATCH = 2_000
SHOWN = 40
#: Since it, PostgreSQL takes no entry without its source.
SOURCES_ASKED_BY = "0038_entries_have_sources"


def find_unbalanced(fund: Fund) -> list[str]:
    """Every entry balances in every currency."""
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT e.seq, p.currency, sum(p.amount)
               FROM investors_entry e JOIN investors_posting p ON p.entry_id = e.id
               WHERE e.fund_id = %s GROUP BY e.seq, p.currency HAVING sum(p.amount) <> 0""",
            [fund.pk],
        )
        found = [
            f"entry {seq}: debits and credits differ by {total} {currency}"
            for seq, currency, total in cursor
        ]
        cursor.execute(
            """SELECT e.seq FROM investors_entry e
               WHERE e.fund_id = %s
                 AND NOT EXISTS (SELECT 1 FROM investors_posting p WHERE p.entry_id = e.id)""",
            [fund.pk],
        )
        found += [f"entry {seq}: no postings" for (seq,) in cursor]
    return found


def find_sourceless(fund: Fund) -> list[str]:
    """Every entry is of a kind that is posted, from the row or the signed decision it names."""
    since = proved_since(fund, asked_by=SOURCES_ASKED_BY)
    if since is None:
        return []
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT t.seq, t.kind, t.source_ref, t.fault FROM (
                 SELECT e.seq, e.kind, e.source_ref, investors_entry_fault(e) AS fault
                 FROM investors_entry e WHERE e.fund_id = %s AND e.recorded_at > %s) t
               WHERE t.fault IS NOT NULL ORDER BY t.seq LIMIT %s""",
            [fund.pk, since, SHOWN],
        )
        return [f"entry {seq}: {kind} {source} is {fault}" for seq, kind, source, fault in cursor]


def find_broken_chain(fund: Fund) -> list[str]:
    """Every entry and its postings hash to what was recorded, in an unbroken chain."""
    contents: list[str] = []

    def noted() -> Iterator[Link]:
        for link, content, text in read_entries(fund):
            if hashlib.sha256(text.encode()).hexdigest() != content:
                contents.append(f"entry {link.seq}: its postings are not those that were booked")
            yield link

    found = list(find_chain_breaks(noted(), what="entry"))
    return [*found, *contents][:SHOWN]


def read_entries(fund: Fund) -> Iterator[tuple[Link, str, str]]:
    """Entries in order: the link, the content hash that was recorded, and the text of its postings
    as it is hashed."""
    for row in _read_rows(fund):
        (
            seq, pk, kind, source, text, effective, recorded, content, reverses, maker, label,
            approver, previous, stored, postings,
        ) = row  # fmt: skip
        values = [
            fund.pk, seq, pk, kind, source, text, plain_instant(effective),
            plain_instant(recorded), content, reverses, maker, label, approver,
        ]  # fmt: skip
        link = Link(seq=seq, previous=bytes(previous), stored=bytes(stored), values=values)
        yield link, content, _content_text(kind, source, effective, postings or [])


def _content_text(kind: str, source: str, effective: Any, postings: list[list[Any]]) -> str:
    try:
        legs = [
            Leg(
                account=account,
                currency=currency,
                amount=Decimal(amount),
                share_class=share_class,
                lot=lot,
                instrument=instrument,
                strategy=strategy,
            )
            for account, currency, amount, share_class, lot, instrument, strategy in postings
        ]
    except ValueError as error:
        # A posting that no entry could have made.
        return str(error)
    return canonical_json(entry_content(kind, source, effective, legs))


def _read_rows(fund: Fund) -> Iterator[tuple[Any, ...]]:
    """Entries in order with their postings in theirs, in batches; amounts as text."""
    last = -(2**62)
    while True:
        with connection.cursor() as cursor:
            cursor.execute(
                """SELECT e.seq, e.id, e.kind, e.source_ref, e.text, e.effective_at, e.recorded_at,
                          e.content_hash, e.reverses_id, e.created_by_id, e.created_by_label,
                          e.approved_by_id, e.prev_hash, e.row_hash,
                          (SELECT array_agg(ARRAY[p.account_id, p.currency, p.amount::text,
                             p.share_class, p.lot::text, p.instrument, p.strategy] ORDER BY p.id)
                           FROM investors_posting p WHERE p.entry_id = e.id)
                   FROM investors_entry e WHERE e.fund_id = %s AND e.seq > %s
                   ORDER BY e.seq LIMIT %s""",
                [fund.pk, last, BATCH],
            )
            rows = cursor.fetchall()
        yield from rows
        if len(rows) < BATCH:
            return
        last = rows[-1][0]
