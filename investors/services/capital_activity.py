"""The capital activity of a NAV: each holding from the dealing of the NAV before to its own.

Every line adds up: opening, transferred, subscribed, less redeemed, switched, less distributed,
less what was set apart in side pockets or with what came back of them, and the result after fees
give the closing value.  Opening and closing are those of the register.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime, timedelta
from decimal import Decimal

from investors.models import DealingOrder, NavStrike, UnitEntry
from investors.models.dealing import DISTRIBUTED
from investors.services.register import sum_by_holder
from magnetfund.core.templatetags.figures import money, signed

ZERO = Decimal(0)
CENT = Decimal("0.01")
Key = tuple[str, str]
Kind = UnitEntry.Kind
#: Column of the paper by the kind of movement at the NAV.
_COLUMNS = {
    Kind.ISSUE: "subscribed",
    Kind.REDEEM: "redeemed",
    Kind.SWITCH_OUT: "switched",
    Kind.SWITCH_IN: "switched",
    Kind.SIDE_POCKET_OUT: "set_apart",
    Kind.MERGE: "set_apart",
}
HEADS = [
    "Class", "Account", "Name", "Opening", "Transferred", "Subscribed", "Redeemed", "Switched",
    "Distributed", "Set apart", "Result after fees", "Closing",
]  # fmt: skip
NAMES = (
    "opening", "transferred", "subscribed", "redeemed", "switched", "distributed", "set_apart",
    "result", "closing",
)  # fmt: skip


def read_capital(strike: NavStrike) -> dict[Key, dict[str, Decimal]]:
    """Figures of each holding by class code and account number, named by :data:`NAMES`.

    What left is below zero.  A movement at the NAV is worth what the NAV paid or took for it before
    entry and exit fees; those and the rounding are in the result.
    """
    before = _previous(strike)
    opening = sum_by_holder(strike.fund, at=before.valuation_at) if before is not None else {}
    last = strike.valuation_at - timedelta(microseconds=1)
    moved = sum_by_holder(strike.fund, at=last) if before is not None else {}
    closing = sum_by_holder(strike.fund, at=strike.valuation_at)
    dealt = _dealt(strike)
    paid = _distributed(strike, after=before.valuation_at if before is not None else None)
    found = {}
    for key in sorted(opening.keys() | moved.keys() | closing.keys() | dealt.keys()):
        line = dict.fromkeys(NAMES, ZERO)
        line["opening"], line["closing"] = opening.get(key, ZERO), closing.get(key, ZERO)
        line["transferred"] = moved.get(key, ZERO) - line["opening"]
        line |= dealt.get(key, {})
        line["distributed"] = -paid.get(key, ZERO)
        line["result"] = line["closing"] - sum(
            line[name] for name in NAMES if name not in ("result", "closing")
        )
        found[key] = line
    return found


def capital_rows(strike: NavStrike) -> list[list[str]]:
    """The lines of the paper with their sum, as text."""
    found = read_capital(strike)
    names = dict(
        UnitEntry.objects.filter(lot__share_class__fund=strike.fund_id)
        .values_list("lot__holding__investor__number", "lot__holding__investor__legal_name")
        .distinct()
    )
    rows = [
        [code, number, names[number], *_figures(line)] for (code, number), line in found.items()
    ]
    total = {name: sum((line[name] for line in found.values()), ZERO) for name in NAMES}
    return [*rows, ["Sum", "", "", *_figures(total)]]


def _figures(line: dict[str, Decimal]) -> list[str]:
    return [
        money(line[name]) if name in ("opening", "closing") else signed(line[name])
        for name in NAMES
    ]


def activity_rows(strike: NavStrike) -> list[list[str]]:
    """Each movement of units since the NAV before with its order, units, price and money."""
    before = _previous(strike)
    rows = (
        UnitEntry.objects.filter(
            lot__share_class__fund=strike.fund_id, effective_at__lte=strike.valuation_at
        )
        .exclude(units=0)
        .select_related("lot__holding__investor", "lot__share_class", "order")
        .order_by("effective_at", "lot__share_class__code", "lot__number", "pk")
    )
    if before is not None:
        rows = rows.filter(effective_at__gt=before.valuation_at)
    return [
        [
            f"{row.effective_at:%-d %b %Y}", row.lot.share_class.code,
            row.lot.holding.investor.legal_name, row.lot.holding.investor.number,
            row.order.reference if row.order else "-", Kind(row.kind).label, str(row.lot.number),
            signed(row.units, 6), money(row.price, 6), signed(row.units * row.price),
        ]
        for row in rows
    ]  # fmt: skip


def _previous(strike: NavStrike) -> NavStrike | None:
    return (
        NavStrike.objects.filter(
            fund=strike.fund_id, state=NavStrike.State.DEALT,
            valuation_at__lt=strike.valuation_at,
        )
        .only("valuation_at")
        .order_by("-valuation_at")
        .first()
    )  # fmt: skip


def _dealt(strike: NavStrike) -> dict[Key, dict[str, Decimal]]:
    """Money of the NAV's own dealing by holding and column."""
    net = dict(strike.lots.values_list("lot_id", "net_value_per_unit"))
    final = set(UnitEntry.objects.filter(strike=strike, kind=Kind.FEE_CANCEL).values_list("lot_id"))
    found: dict[Key, dict[str, Decimal]] = defaultdict(lambda: defaultdict(Decimal))
    moves = UnitEntry.objects.filter(strike=strike, kind__in=_COLUMNS).values_list(
        "lot_id", "kind", "units", "price", "lot__share_class__code",
        "lot__holding__investor__number",
    )  # fmt: skip
    for lot, kind, units, price, code, number in moves:
        is_out = units < 0 and (lot,) not in final
        worth = (units * (net.get(lot, price) if is_out else price)).quantize(CENT)
        found[code, number][_COLUMNS[Kind(kind)]] += worth
    return {key: dict(line) for key, line in found.items()}


def _distributed(strike: NavStrike, *, after: datetime | None) -> dict[Key, Decimal]:
    """Distributions declared since the NAV before, in cash or to be paid in units."""
    if after is None:
        return {}
    orders = DealingOrder.objects.filter(
        share_class__fund=strike.fund_id, kind__in=DISTRIBUTED, received_at__gt=after,
        received_at__lte=strike.valuation_at,
    )  # fmt: skip
    found: dict[Key, Decimal] = defaultdict(Decimal)
    for code, number, amount in orders.values_list(
        "share_class__code", "investor__number", "amount"
    ):
        found[code, number] += amount or ZERO
    return found
