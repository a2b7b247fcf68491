"""Sessions of trading: one UTC day of a book, with what was checked before it.

The job of beat opens a day's session as soon as it can and closes the one before it, so a session
that begins late (``started_at``) tells of a time in which no job ran.  A failed check locks nothing
by itself: what acts are the fuse and the pre-trade check.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Count, Sum

from magnetfund.core.locks import AdvisoryLock, take_lock
from magnetfund.kernel.clock import utc_now
from trading.models import Trade, TradingSession
from trading.selectors.strategies import SleeveRow, check_session, find_readings, list_sleeves


def open_session(book: str, *, at: datetime | None = None) -> bool:
    """Open the session of the present UTC day unless it is open; closes the one before it.

    Returns whether a session was opened.
    """
    at = at or utc_now()
    midnight = datetime.combine(at.astimezone(UTC).date(), time(), tzinfo=UTC)
    if _is_open(book, midnight):
        return False
    with transaction.atomic():
        take_lock(AdvisoryLock.PERFORMANCE, f"{book} sessions")
        if _is_open(book, midnight):
            return False
        for row in TradingSession.objects.filter(book=book, ended_at=None):
            _close(row)
        TradingSession.objects.create(
            book=book,
            mode=settings.TRADING_MODE,
            started_at=at,
            checklist={"sleeves": [_check(book, sleeve) for sleeve in _active(book)]},
        )
    return True


def _is_open(book: str, midnight: datetime) -> bool:
    return TradingSession.objects.filter(book=book, started_at__gte=midnight).exists()


def _active(book: str) -> list[SleeveRow]:
    return [item for item in list_sleeves(book) if item.row.is_active and item.members]


def _check(book: str, sleeve: SleeveRow) -> dict[str, Any]:
    """The checklist, the five facts and the score of one sleeve as they stand now."""
    found = sleeve.performance
    return {
        "strategy": sleeve.row.code,
        "version": sleeve.row.version,
        "checks": [asdict(item) for item in check_session(book, sleeve, find_readings(sleeve))],
        "facts": found.detail.get("facts", []) if found is not None else [],
        "confidence_score": found.confidence_score if found is not None else None,
        "ready_for_live": found is not None and found.ready_for_live,
        "ready_for_live_reason": found.ready_for_live_reason if found is not None else "",
    }


def _close(row: TradingSession) -> None:
    """End a session at the midnight after its start, with what was closed in it."""
    day = row.started_at.astimezone(UTC).date() + timedelta(days=1)
    row.ended_at = datetime.combine(day, time(), tzinfo=UTC)
    rows = (
        Trade.objects.filter(
            book=row.book, closed_at__gte=row.started_at, closed_at__lt=row.ended_at
        )
        .values("strategy")
        .annotate(trades=Count("id"), net=Sum("net_pnl"))
        .order_by("strategy")
    )
    row.summary = {
        item["strategy"]: {"trades": item["trades"], "net": f"{item['net'] or Decimal(0):f}"}
        for item in rows
    }
    row.save(update_fields=["ended_at", "summary"])
