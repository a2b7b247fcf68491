"""Reads for an investor's own part of the fund: prices, trades, what is at risk.

The part is the newest one of the investor's snapshots: the value after fees over the fund's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from investors.domain.receipts import mask_number
from investors.models import Holding, Investor, InvestorSnapshot, PayeeAccount, UnitEntry
from magnetfund.kernel.clock import utc_now
from magnetfund.web.portal.own_returns import (
    BESIDE_MAX,
    PricePoint,
    find_beside,
    find_yearly,
    list_prices,
    tabulate_months,
)
from risk.models import FuseEvent
from risk.services.limits import limits_in_force
from trading.models import Instrument, Trade, Valuation
from trading.selectors import open_positions

TRADES_SIZE = 25
TRADES_PAGES_MAX = 40
CENT = Decimal("0.01")


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnTrade:
    """A closed trade with the investor's part of its result; None where no value is known."""

    trade: Trade
    share: float | None
    own: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TradesPage:
    number: int
    trades: Sequence[OwnTrade]
    has_older: bool
    first: date | None
    last: date | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PaidAccount:
    """An account that an investor is paid to, its number but for its ends, and from when on."""

    row: PayeeAccount
    shown: str
    state: str


def list_paid_accounts(investor: Investor) -> list[PaidAccount]:
    """The accounts of an investor that are not closed, the newest first."""
    rows = PayeeAccount.objects.filter(investor=investor, closed_at=None).order_by("-added_at")
    return [
        PaidAccount(row=row, shown=mask_number(row.number), state=_say_state(row, utc_now()))
        for row in rows
    ]


def _say_state(row: PayeeAccount, now: datetime) -> str:
    if row.usable_from is None:
        return "waits for a second signature"
    if row.usable_from > now:
        return f"paid from {row.usable_from:%-d %b %Y, %H:%M} UTC"
    return "paid"


def find_prices(investor: Investor, *, since: datetime | None) -> list[dict[str, Any]]:
    """Net price per unit of each class that the investor has or had, the newest NAV first."""
    held = Holding.objects.filter(investor=investor).values_list("share_class__code", "share_class")
    instruments = list(Instrument.objects.filter(is_active=True).order_by("symbol")[:BESIDE_MAX])
    found = []
    for code, share_class in sorted(set(held)):
        whole = list_prices(share_class)
        prices = [row for row in whole if since is None or row.at >= since]
        if not prices:
            continue
        lines = [
            {
                "at": row.at,
                "price": row.price,
                "change": row.price / before.price - 1 if before else None,
            }
            for row, before in zip(prices, [*prices[1:], None], strict=True)
        ]
        found.append(
            {
                "code": code,
                "lines": lines,
                "total": prices[0].price / prices[-1].price - 1 if len(prices) > 1 else None,
                "chart": _chart(prices),
                "years": tabulate_months(whole),
                "yearly": find_yearly(whole),
                "beside": find_beside(prices, instruments),
                "chart_id": f"nav-{code}",
            }
        )
    return found


def _chart(prices: Sequence[PricePoint]) -> dict[str, Any] | None:
    if len(prices) < 2:
        return None
    rows = list(reversed(prices))
    found = [float(row.price) for row in rows]
    return {
        "t": [int(row.at.timestamp()) for row in rows],
        "digits": 2,
        "axisDigits": 0 if max(found) - min(found) >= 4 else 2,
        "axis": 56,
        "series": [
            {
                "name": "Net price per unit",
                "y": found,
                "colour": "field",
                "width": 2,
                "step": True,
                "label": f"{rows[-1].price:,.2f}",
            }
        ],
    }


def find_period(investor: Investor) -> tuple[datetime | None, datetime | None]:
    """From the first units to the last movement that left none; no end while units are held."""
    entries = UnitEntry.objects.filter(lot__holding__investor=investor)
    first = entries.order_by("effective_at").values_list("effective_at", flat=True).first()
    if Holding.objects.filter(investor=investor, units__gt=0).exists():
        return first, None
    return first, entries.order_by("-effective_at").values_list("effective_at", flat=True).first()


def find_trades(investor: Investor, *, book: str, number: int) -> TradesPage:
    """Trades that closed in the investor's own period, the newest first."""
    begin, end = find_period(investor)
    number = max(1, min(number, TRADES_PAGES_MAX))
    if begin is None:
        return TradesPage(number=number, trades=(), has_older=False, first=None, last=None)
    rows = Trade.objects.filter(book=book, closed_at__gte=begin).select_related("instrument")
    if end is not None:
        rows = rows.filter(closed_at__lte=end)
    at = (number - 1) * TRADES_SIZE
    found = list(rows.order_by("-closed_at", "-id")[at : at + TRADES_SIZE + 1])
    shares = _shares(investor, found)
    return TradesPage(
        number=number,
        trades=tuple(
            OwnTrade(
                trade=trade,
                share=shares[trade.pk],
                own=None
                if shares[trade.pk] is None
                else (trade.net_pnl * Decimal(str(shares[trade.pk]))).quantize(CENT),
            )
            for trade in found[:TRADES_SIZE]
        ),
        has_older=len(found) > TRADES_SIZE and number < TRADES_PAGES_MAX,
        first=begin.date(),
        last=end.date() if end is not None else None,
    )


def _shares(investor: Investor, trades: Sequence[Trade]) -> dict[Any, float | None]:
    """The investor's part of the fund on the day of each trade: the last one known by then."""
    if not trades:
        return {}
    rows = list(
        InvestorSnapshot.objects.filter(
            investor=investor, day__lte=max(trade.closed_at for trade in trades).date()
        )
        .order_by("day")
        .values_list("day", "share_of_fund")
    )
    found: dict[Any, float | None] = {}
    for trade in trades:
        day = trade.closed_at.date()
        known = [share for on, share in rows if on <= day]
        found[trade.pk] = known[-1] if known else None
    return found


def find_risk(
    investor: Investor, *, book: str, valuation: Valuation | None
) -> dict[str, Any] | None:
    """The investor's part of positions, stops and limits in money; None without a value."""
    newest = InvestorSnapshot.objects.filter(investor=investor).order_by("-day").first()
    if newest is None or newest.units <= 0 or valuation is None:
        return None
    share, limits = Decimal(str(newest.share_of_fund)), limits_in_force(book)
    lines: list[dict[str, Any]] = []
    for row in open_positions(book):
        # At its average price: what stands between entry and stop, the loss that was planned for.
        exposure = row.quantity * row.average_price
        stop = (
            (row.stop_price - row.average_price) * row.quantity
            if row.stop_price is not None
            else None
        )
        lines.append(
            {
                "symbol": row.instrument.symbol.split("/")[0],
                "side": "long" if row.quantity > 0 else "short",
                "strategy": row.strategy,
                "leverage": row.leverage,
                "fund": exposure,
                "own": exposure * share,
                "stop_price": row.stop_price,
                "to_stop": None if stop is None else stop * share,
            }
        )
    own_exposure = sum((abs(line["own"]) for line in lines), Decimal(0))
    trips = FuseEvent.objects.filter(book=book)
    return {
        "share": newest.share_of_fund,
        "value": newest.value,
        "day": newest.day,
        "is_estimate": newest.is_estimate,
        "lines": lines,
        "exposure": own_exposure,
        "leverage": float(own_exposure / newest.value) if newest.value else 0.0,
        "to_stops": sum((line["to_stop"] or Decimal(0) for line in lines), Decimal(0)),
        "without_stop": sum(1 for line in lines if line["to_stop"] is None),
        "at_daily_limit": -newest.value * limits.daily_loss_share,
        "at_drawdown_limit": -newest.value * limits.drawdown_share,
        "cuts": trips.filter(kind="reducing").count(),
        "closings": trips.filter(kind="tripped").count(),
    }
