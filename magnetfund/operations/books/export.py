"""The books as one file that anybody can check offline: every chained row with what was hashed."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from typing import IO, Any

from django.db import connection

from investors.models import Fund
from investors.services.verification import one_snapshot
from investors.services.verification.ledger import read_entries
from investors.services.verification.register import read_movements
from magnetfund.core.services.audit_check import read_audit_links
from magnetfund.kernel.chains import Link, array_text
from magnetfund.operations.books.root import salt_of


def export_books(target: IO[bytes]) -> int:
    """Write the file as gzipped JSON lines; returns how many rows.  Holds names and salts: for the
    auditor, not for publication."""
    count = 0
    with gzip.GzipFile(fileobj=target, mode="wb", mtime=0) as handle, one_snapshot():
        for line in _lines():
            handle.write(json.dumps(line, ensure_ascii=True).encode() + b"\n")
            count += 1
    return count


def _lines() -> Iterator[dict[str, Any]]:
    for chain, link in read_audit_links():
        yield _line(f"audit:{chain}", link)
    for fund in Fund.objects.order_by("code"):
        for link, _, text in read_entries(fund):
            yield {**_line(f"ledger:{fund.code}", link), "content": text}
        for link in read_movements(fund):
            yield _line(f"units:{fund.code}", link)
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT DISTINCT lot_id::text FROM investors_unitentry WHERE fund_id = %s "
                "ORDER BY 1",
                [fund.pk],
            )
            for (lot,) in cursor.fetchall():
                yield {"lot": lot, "salt": salt_of(lot).hex()}


def _line(chain: str, link: Link) -> dict[str, Any]:
    return {
        "chain": chain,
        "seq": link.seq,
        "previous": link.previous.hex(),
        "hash": link.stored.hex(),
        "text": array_text(link.values),
    }
