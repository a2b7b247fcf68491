"""Reads for one investor: holding, value, returns, lots.

The time-weighted return chains the net value per unit between the investor's own flows; the
money-weighted one is the constant yearly rate of his flows (Act/365), not annualised on the page.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db.models import Exists, OuterRef, Q

from investors.domain.exact import round_to_total
from investors.domain.fee_presentation import PresentedLot, present_lot
from investors.domain.performance import (
    BridgeLine,
    ReturnBridge,
    build_return_bridge,
    compute_modified_dietz,
    compute_mwr,
    compute_twr,
)
from investors.models import (
    ClassNav,
    DealingDay,
    DealingOrder,
    Holding,
    Investor,
    InvestorSnapshot,
    NavStrike,
    ShareClass,
    SidePocket,
    UnitLot,
)
from investors.services.lot_presentation import read_presentations
from investors.services.lot_values import net_values
from investors.services.pocket_books import read_own_pockets
from magnetfund.core.templatetags.figures import money, signed
from magnetfund.kernel.clock import utc_now
from magnetfund.web.portal.activity import find_activity

ZERO, CENT = Decimal(0), Decimal("0.01")
LATELY_SHOWN = 7
PENDING_MAX = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownLot:
    """One purchase: its units, net value per unit and value at the last strike."""

    bought: date
    share_class: str
    units: Decimal
    entry_price: Decimal
    mark: Decimal
    net_per_unit: Decimal
    value: Decimal
    presented: PresentedLot | None


def find_overview(investor: Investor) -> dict[str, Any]:
    """Everything that the overview shows."""
    snapshots = find_values(investor)
    struck = [row for row in snapshots if not row.is_estimate]
    newest = struck[-1] if struck else None
    estimate = snapshots[-1] if snapshots and snapshots[-1].is_estimate else None
    classes = Holding.objects.filter(investor=investor).values("share_class")
    strike = (
        NavStrike.objects.filter(
            Exists(ClassNav.objects.filter(strike=OuterRef("pk"), share_class__in=classes)),
            state=NavStrike.State.DEALT,
        )
        .annotate(
            has_pockets=Exists(
                SidePocket.objects.filter(fund=OuterRef("fund")).exclude(strike=None)
            )
        )
        .defer("inputs", "waterfall", "checklist", "second_engine")
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
        "pockets": read_own_pockets(investor.pk) if strike and strike.has_pockets else [],
        "gain": gain,
        "put_in": newest.net_invested if newest is not None else ZERO,
        "twr": compute_time_weighted(struck),
        "own": build_own_bridge(struck),
        "mwr": compute_money_weighted(struck),
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
        "entries": find_activity(investor, size=LATELY_SHOWN).happenings,
        "dealing": DealingDay.objects.filter(
            fund__in=ShareClass.objects.filter(holdings__investor=investor).values("fund"),
            day__gt=utc_now().date(),
        )
        .order_by("day")
        .first(),
        "pending": list(
            DealingOrder.objects.filter(
                investor=investor, state__in=["submitted", "accepted", "funded", "deferred"]
            ).select_related("share_class", "dealing_day")[:PENDING_MAX]
        ),
    }


def find_values(investor: Investor) -> list[InvestorSnapshot]:
    """Every struck value, oldest first, and between them the daily estimates of the last year."""
    year = utc_now().date() - timedelta(days=365)
    own = InvestorSnapshot.objects.filter(investor=investor)
    return list(own.filter(Q(is_estimate=False) | Q(day__gte=year)).order_by("day"))


def find_lots(investor: Investor, strike: NavStrike | None) -> list[ShownLot]:
    """The investor's lots at the last strike; a lot bought there stands at its price."""
    if strike is None:
        return []
    rows = list(
        UnitLot.objects.filter(holding__investor=investor, units__gt=0).select_related(
            "share_class"
        )
    )
    worth = net_values([lot.pk for lot in rows], strike)
    shown = read_presentations(strike, is_dealt=True)
    found = []
    for lot in rows:
        net = worth[lot.pk]
        found.append(
            ShownLot(
                bought=lot.dealing_day,
                share_class=lot.share_class.code,
                units=lot.units,
                entry_price=lot.entry_price,
                mark=lot.high_water_mark,
                net_per_unit=net,
                value=lot.units * net,
                presented=present_lot(
                    shown.get(lot.share_class.code),
                    opened=lot.dealing_day,
                    units=lot.units,
                    net_per_unit=net,
                ),
            )
        )
    # The lines add to the value of the holding to the cent.
    values = round_to_total([lot.value for lot in found], quantum=CENT)
    return [replace(lot, value=value) for lot, value in zip(found, values, strict=True)]


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnPath:
    """An investor's values from his first units on: each flow with the value before it.

    ``put_in`` is what was paid for the opening value, entry fees included.
    """

    opening: Decimal
    put_in: Decimal
    closing: Decimal
    flows: tuple[tuple[date, Decimal, Decimal], ...]
    start: date
    end: date


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnBridge:
    """How the gain comes of each amount that was put in, and the three returns beside it."""

    bridge: ReturnBridge
    lines: tuple[tuple[date, BridgeLine], ...]
    entry_cost: Decimal
    dietz: Decimal | None


def find_path(struck: list[InvestorSnapshot]) -> OwnPath | None:
    """The values between the first units and the newest NAV; None before the second NAV.

    A snapshot stands after its dealing, so the value before it is the value less what came in.
    """
    held = list(itertools.dropwhile(lambda row: row.value <= 0, struck))
    while len(held) > 1 and held[-1].value == held[-2].value == 0:
        held.pop()
    if len(held) < 2:
        return None
    flows = [
        (after.day, after.value - flow, flow)
        for before, after in itertools.pairwise(held)
        if (flow := after.net_invested - before.net_invested)
    ]
    # Who took everything out ends with what it was worth, not with nothing.
    left = held[-1].value == 0 and bool(flows) and flows[-1][0] == held[-1].day
    return OwnPath(
        opening=held[0].value,
        put_in=held[0].net_invested,
        closing=flows[-1][1] if left else held[-1].value,
        flows=tuple(flows[:-1] if left else flows),
        start=held[0].day,
        end=held[-1].day,
    )


def compute_time_weighted(struck: list[InvestorSnapshot]) -> Decimal | None:
    """Chained return between strikes; None before the second strike."""
    path = find_path(struck)
    if path is None:
        return None
    return compute_twr(
        opening_value=path.opening,
        closing_value=path.closing,
        flows=path.flows,
        start=path.start,
        end=path.end,
    ).value


def build_own_bridge(struck: list[InvestorSnapshot]) -> OwnBridge | None:
    """The gain by each amount put in or taken out; None before the second NAV."""
    path = find_path(struck)
    if path is None:
        return None
    bridge = build_return_bridge(
        opening_value=path.opening,
        closing_value=path.closing,
        flows=path.flows,
        start=path.start,
        end=path.end,
    )
    dietz = compute_modified_dietz(
        opening_value=path.opening,
        closing_value=path.closing,
        flows=[(day, amount) for day, _, amount in path.flows],
        start=path.start,
        end=path.end,
    )
    return OwnBridge(
        bridge=bridge,
        lines=tuple((date.fromordinal(line.day), line) for line in bridge.lines),
        entry_cost=path.opening - path.put_in,
        dietz=dietz.value,
    )


def compute_money_weighted(struck: list[InvestorSnapshot]) -> Decimal | None:
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
                "name": "Net invested",
                "y": [float(row.net_invested) for row in rows],
                "colour": "benchmark",
                "ink": "ink-3",
                "width": 1.25,
                "step": True,
                "label": f"Invested {money(rows[-1].net_invested)}",
            },
            {
                "name": "Value",
                "y": [float(row.value) for row in rows],
                "colour": "field",
                "width": 2,
                "step": True,
                "label": f"{word} {money(rows[-1].value)}",
            },
        ],
    }


def _seconds(day: date) -> int:
    from datetime import UTC

    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())
