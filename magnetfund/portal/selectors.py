"""Reads for one investor: holding, value, returns, lots, what happened.

The time-weighted return chains the net value a unit between the investor's own flows; the
money-weighted one is the constant yearly rate of his flows (Act/365), not annualised on the page.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from investors.domain.performance import compute_mwr
from investors.models import (
    ClassNav,
    DealingDay,
    DealingOrder,
    Investor,
    InvestorSnapshot,
    LotNav,
    NavStrike,
    UnitEntry,
    UnitLot,
)
from magnetfund.core.templatetags.figures import money, signed
from magnetfund.kernel.clock import utc_now

ZERO = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownLot:
    """One purchase: its units, net value a unit and value at the last strike."""

    bought: date
    share_class: str
    units: Decimal
    entry_price: Decimal
    mark: Decimal
    net_per_unit: Decimal
    value: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """One line of the activity list."""

    at: datetime
    what: str
    note: str
    amount: Decimal | None


def find_overview(investor: Investor) -> dict[str, Any]:
    """Everything that the overview shows."""
    snapshots = list(InvestorSnapshot.objects.filter(investor=investor).order_by("day"))
    struck = [row for row in snapshots if not row.is_estimate]
    newest = struck[-1] if struck else None
    estimate = snapshots[-1] if snapshots and snapshots[-1].is_estimate else None
    strike = (
        NavStrike.objects.filter(
            state=NavStrike.State.DEALT, classes__share_class__holdings__investor=investor
        )
        .order_by("-valuation_at")
        .first()
    )
    lots = find_lots(investor, strike)
    gain = newest.value - newest.net_invested if newest is not None else None
    return {
        "newest": newest,
        "estimate": estimate,
        "strike": strike,
        "lots": lots,
        "units": sum((lot.units for lot in lots), ZERO),
        "gain": gain,
        "put_in": newest.net_invested if newest is not None else ZERO,
        "twr": find_time_weighted(investor, struck),
        "mwr": find_money_weighted(struck),
        "took_out": any(
            after.net_invested < before.net_invested for before, after in itertools.pairwise(struck)
        ),
        "gain_chart": _gain_chart(snapshots),
        "value_chart": _value_chart(snapshots),
        "months": [
            {
                "day": row.day,
                "value": row.value,
                "net_invested": row.net_invested,
                "gain": row.value - row.net_invested,
            }
            for row in struck[::-1][:24]
        ],
        "entries": find_activity(investor)[:7],
        "dealing": DealingDay.objects.filter(
            fund__classes__holdings__investor=investor, day__gt=utc_now().date()
        )
        .order_by("day")
        .first(),
        "pending": list(
            DealingOrder.objects.filter(
                investor=investor, state__in=["submitted", "accepted", "funded", "deferred"]
            ).select_related("share_class", "dealing_day")
        ),
    }


def find_lots(investor: Investor, strike: NavStrike | None) -> list[ShownLot]:
    """The investor's lots at the last strike; a lot bought there stands at its price."""
    if strike is None:
        return []
    prices = {row.share_class_id: row.price for row in ClassNav.objects.filter(strike=strike)}
    cancelled = set(
        UnitEntry.objects.filter(strike=strike, kind="fee_cancel").values_list("lot_id", flat=True)
    )
    fees = {
        lot: fee
        for lot, fee in LotNav.objects.filter(
            strike=strike, lot__holding__investor=investor
        ).values_list("lot_id", "performance_fee_per_unit")
        if lot not in cancelled
    }
    found = []
    for lot in UnitLot.objects.filter(holding__investor=investor, units__gt=0).select_related(
        "share_class"
    ):
        net = prices.get(lot.share_class_id, lot.entry_price) - fees.get(lot.pk, ZERO)
        found.append(
            ShownLot(
                bought=lot.dealing_day,
                share_class=lot.share_class.code,
                units=lot.units,
                entry_price=lot.entry_price,
                mark=lot.high_water_mark,
                net_per_unit=net,
                value=lot.units * net,
            )
        )
    return found


def find_time_weighted(investor: Investor, struck: list[InvestorSnapshot]) -> Decimal | None:
    """Chained return between strikes; None before the second strike.

    A snapshot stands after its dealing, so the value before it is the value less what came in.
    """
    growth = Decimal(1)
    chained = False
    for before, after in itertools.pairwise(struck):
        flow = after.net_invested - before.net_invested
        if before.value <= 0:
            continue
        growth *= (after.value - flow) / before.value
        chained = True
    return growth - 1 if chained else None


def find_money_weighted(struck: list[InvestorSnapshot]) -> Decimal | None:
    """The constant rate of the investor's own flows over his whole time, not annualised."""
    if len(struck) < 2:
        return None
    first, last = struck[0], struck[-1]
    found = compute_mwr(
        opening_value=first.net_invested,
        closing_value=last.value,
        flows=[
            (after.day, after.net_invested - before.net_invested)
            for before, after in itertools.pairwise(struck)
            if after.net_invested != before.net_invested
        ],
        start=first.day,
        end=last.day,
    )
    if found.value is None or found.value <= -1:
        return found.value
    years = Decimal((last.day - first.day).days) / 365
    return (1 + found.value) ** years - 1


def find_activity(investor: Investor) -> list[Happening]:
    """Orders and movements of units, newest first."""
    found = [
        Happening(
            at=entry.effective_at,
            what=_entry_words(entry),
            note=f"class {entry.lot.share_class.code}, "
            f"{abs(entry.units).normalize():,f} units at {entry.price.normalize():,f}",
            amount=-entry.units * entry.price
            if entry.kind == "redeem"
            else entry.units * entry.price,
        )
        for entry in UnitEntry.objects.filter(lot__holding__investor=investor).select_related(
            "lot__share_class"
        )
    ]
    found += [
        Happening(
            at=order.received_at,
            what=f"{order.get_kind_display()} order received",
            note=f"class {order.share_class.code}, {order.get_state_display().lower()}",
            amount=order.amount,
        )
        for order in DealingOrder.objects.filter(investor=investor).select_related("share_class")
    ]
    return sorted(found, key=lambda item: item.at, reverse=True)


def _entry_words(entry: UnitEntry) -> str:
    words = {
        "issue": "Deposit dealt",
        "redeem": "Redemption dealt",
        "fee_cancel": "Performance fee taken in units",
    }
    return words.get(entry.kind, entry.get_kind_display().capitalize())


def _gain_chart(rows: list[InvestorSnapshot]) -> dict[str, Any] | None:
    if len(rows) < 2:
        return None
    return {
        "t": [_seconds(row.day) for row in rows],
        "digits": 2,
        "axisDigits": 0,
        "sign": True,
        "axis": 64,
        "pad": 140,
        "sync": "own",
        "x": False,
        "series": [
            {
                "name": "Gain",
                "y": [float(row.value - row.net_invested) for row in rows],
                "colour": "field",
                "width": 2,
                "fill": True,
                "label": "Gain, estimate" if rows[-1].is_estimate else "Gain",
                "end": f"{signed(rows[-1].value - rows[-1].net_invested)} USD",
            }
        ],
        "levels": [{"y": 0, "label": "", "colour": "ink-3", "dash": [2, 4]}],
    }


def _value_chart(rows: list[InvestorSnapshot]) -> dict[str, Any] | None:
    if len(rows) < 2:
        return None
    word = "Estimate" if rows[-1].is_estimate else "Value"
    return {
        "t": [_seconds(row.day) for row in rows],
        "digits": 2,
        "axisDigits": 0,
        "axis": 64,
        "pad": 140,
        "sync": "own",
        "series": [
            {
                "name": "Deposited",
                "y": [float(row.net_invested) for row in rows],
                "colour": "benchmark",
                "ink": "ink-3",
                "width": 1.25,
                "step": True,
                "label": f"Put in {money(rows[-1].net_invested)}",
                "nudge": 14,
            },
            {
                "name": "Value",
                "y": [float(row.value) for row in rows],
                "colour": "field",
                "width": 2,
                "step": True,
                "label": f"{word} {money(rows[-1].value)}",
                "nudge": -8,
            },
        ],
    }


def _seconds(day: date) -> int:
    from datetime import UTC

    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())
