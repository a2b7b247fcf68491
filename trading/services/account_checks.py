"""The account as a second pair of eyes sees it: from stored rows alone, by background jobs."""

from __future__ import annotations

import logging
from datetime import datetime
from decimal import Decimal

from django.db import transaction
from django.db.models import F, Sum

from magnetfund.core.actors import Actor
from magnetfund.kernel.clock import utc_now
from risk.domain.fuse import Trigger
from risk.domain.fuse.thresholds import compute_loss_threshold, is_drawdown_trip
from risk.services.fuse import state_of, trip_fuse
from risk.services.limits import limits_in_force
from risk.services.stop_statements import FuseFacts
from trading.models import AccountSnapshot, BookFlow, Fill, FundingPayment, Valuation

_log = logging.getLogger("magnetfund.watch")
#: Cash and its moves may differ by so much (share of equity): float64 decides, exact books follow.
TOLERANCE = Decimal("0.000001")


def check_fuse(book: str) -> str:
    """Trip the fuse where the stored figures are beyond a loss limit and nobody tripped it.

    The trader trips on the price itself; this finds what it should have found.
    """
    newest = Valuation.objects.filter(book=book).order_by("-at").first()
    if newest is None or state_of(book) != "ARMED":
        return "nothing to check"
    limits = limits_in_force(book)
    daily, drawdown = float(limits.daily_loss_share), float(limits.drawdown_share)
    value, day, peak = (
        float(newest.unit_value),
        float(newest.day_start_unit_value),
        float(newest.peak_unit_value),
    )
    level = compute_loss_threshold(day, peak, daily, drawdown)
    if value > level:
        return f"unit value {value:.4f}, fuse at {level:.4f}"
    is_drawdown = is_drawdown_trip(value, peak, drawdown)
    trigger = Trigger.DRAWDOWN if is_drawdown else Trigger.DAILY_LOSS
    base, limit = (peak, drawdown) if is_drawdown else (day, daily)
    trip_fuse(
        book=book,
        facts=FuseFacts(
            trigger=trigger.code,
            reason="The stored figures are beyond the limit and the trader had not tripped.",
            severity=1.0,
            measured={"value": 1.0 - value / base, "threshold": limit},
            limits_version=limits.version,
        ),
        actor=Actor.system("fuse check"),
    )
    _log.error("the stored figures are beyond a loss limit; the fuse tripped")
    return f"tripped: unit value {value:.4f}, fuse at {level:.4f}"


def snapshot_account(book: str, *, at: datetime) -> str:
    """Keep the account at ``at`` with what its cash should be by its moves; once an instant."""
    newest = Valuation.objects.filter(book=book, at__lte=utc_now()).order_by("-at").first()
    if newest is None:
        return "nothing valued yet"
    with transaction.atomic():
        before = AccountSnapshot.objects.filter(book=book).order_by("-at").first()
        if before is not None and before.valued_at >= newest.at:
            return f"no newer valuation than {before.valued_at:%H:%M:%S}"
        moves = Decimal(0)
        expected = newest.cash
        if before is not None:
            moves = sum_moves(book, after=before.valued_at, until=newest.at)
            expected = before.cash + moves
        row, is_new = AccountSnapshot.objects.get_or_create(
            book=book,
            at=at,
            defaults={
                "valued_at": newest.at,
                "equity": newest.equity,
                "cash": newest.cash,
                "unrealised": newest.unrealised,
                "leverage": newest.leverage,
                "fuse_state": state_of(book),
                "open_positions": newest.open_positions,
                "expected_cash": expected,
                "difference": newest.cash - expected,
            },
        )
    if not is_new:
        return "already kept"
    if abs(row.difference) > max(Decimal("0.01"), TOLERANCE * row.equity):
        _log.error("cash of %s differs from its moves by %s", book, row.difference)
        return f"cash differs from its moves by {row.difference:.2f}"
    return f"equity {row.equity:,.2f}, cash agrees with its moves"


def sum_moves(book: str, *, after: datetime, until: datetime) -> Decimal:
    """Cash moved in ``(after, until]``: results less fees, funding, money in and out."""
    window = {"book": book}
    fills = Fill.objects.filter(**window, occurred_at__gt=after, occurred_at__lte=until)
    funding = FundingPayment.objects.filter(**window, stamp__gt=after, stamp__lte=until)
    flows = BookFlow.objects.filter(**window, occurred_at__gt=after, occurred_at__lte=until)
    results = fills.aggregate(s=Sum(F("realised") - F("fee")))["s"] or Decimal(0)
    paid = funding.aggregate(s=Sum("amount"))["s"] or Decimal(0)
    flowed = flows.aggregate(s=Sum("amount"))["s"] or Decimal(0)
    return Decimal(results + paid + flowed)
