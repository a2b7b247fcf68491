"""Whether the audit trail is whole: no line missing, none changed, each after its predecessor."""

from __future__ import annotations

from django.db import connection


def find_audit_breaks(*, limit: int = 20) -> list[str]:
    """Sentences about lines that are missing or do not follow; empty when the chains are whole."""
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT chain, seq, before_seq FROM (
                 SELECT chain, seq, prev_hash, lag(seq) OVER w AS before_seq,
                        lag(row_hash) OVER w AS before_hash
                 FROM core_auditevent WINDOW w AS (PARTITION BY chain ORDER BY seq)) t
               WHERE before_seq IS NOT NULL
                 AND (seq <> before_seq + 1 OR prev_hash IS DISTINCT FROM before_hash)
               ORDER BY chain, seq LIMIT %s""",
            [limit],
        )
        return [
            f"audit chain {chain}: hash chain broken at line {seq}, after line {before}"
            for chain, seq, before in cursor.fetchall()
        ]
