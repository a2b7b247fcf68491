"""Which backups are kept: the newest of each of the last 30 days, 12 weeks and 12 months."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from datetime import datetime

DAYS, WEEKS, MONTHS = 30, 12, 12


def choose_kept(times: Iterable[datetime]) -> frozenset[datetime]:
    """Times (aware, UTC) of the backups to keep; the newest is always among them.

    A day, ISO week or month without a backup does not use up its place, so a platform that stood
    still for a quarter still has 30 daily ones.
    """
    newest_first = sorted(set(times), reverse=True)
    rules: tuple[tuple[Callable[[datetime], Hashable], int], ...] = (
        (lambda at: at.date(), DAYS),
        (lambda at: at.isocalendar()[:2], WEEKS),
        (lambda at: (at.year, at.month), MONTHS),
    )
    kept: set[datetime] = set(newest_first[:1])
    for period_of, count in rules:
        seen: dict[Hashable, datetime] = {}
        for at in newest_first:
            seen.setdefault(period_of(at), at)
        kept.update(sorted(seen.values(), reverse=True)[:count])
    return frozenset(kept)
