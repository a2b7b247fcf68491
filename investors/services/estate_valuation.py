"""The estate's valuation paper: a holding at the last NAV up to the day of a death."""

from __future__ import annotations

import hashlib
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from investors.models import Fund, Holding, Investor, NavStrike, Paper
from investors.services.nav_inputs import last_dealt
from investors.services.papers import render_paper
from investors.services.pocket_books import PocketHolding, read_pocket_holdings
from investors.services.register import HeldLot, read_lots_of_holder
from magnetfund.core.actors import Actor
from magnetfund.kernel.clock import utc_now

ZERO = Decimal(0)
TICK = timedelta(microseconds=1)


def make_valuation(
    *, investor: Investor, deceased: str, died_on: date, actor: Actor
) -> Paper | None:
    """Make and keep the paper in the caller's transaction; ``None`` where nothing was held.

    The NAV is the last one valued up to the end of the day (UTC), with what was dealt at it; values
    are after the accrued performance fee of each lot, in the fund's currency.  Units of side
    pockets stand beside it with what they were carried at.  Raises
    :class:`Conflict` (``missing_glyph``) where a name has letters that the paper's font lacks.
    """
    ends = datetime.combine(died_on + timedelta(days=1), time(), tzinfo=UTC)
    at = min(ends - TICK, utc_now())
    for fund in Fund.objects.filter(
        pk__in=Holding.objects.filter(investor=investor).values("share_class__fund")
    ):
        strike = last_dealt(fund, before=at + TICK)
        lots = read_lots_of_holder(fund, investor.pk, at=at, actor=actor)
        lots = [lot for lot in lots if lot.units > 0]
        apart = read_pocket_holdings(fund, investor=investor.pk, at=at)
        if strike is not None and (lots or apart):
            return _keep(investor, strike, lots, apart, deceased=deceased, died_on=died_on)
    return None


def _keep(
    investor: Investor,
    strike: NavStrike,
    lots: list[HeldLot],
    apart: list[PocketHolding],
    *,
    deceased: str,
    died_on: date,
) -> Paper:
    number = f"EV-{investor.number}-{died_on:%Y%m%d}"
    kept = Paper.objects.filter(kind=Paper.Kind.ESTATE, investor=investor).count()
    number = f"{number}-{kept + 1}"
    data = describe_valuation(
        investor, strike, lots, apart, number, deceased=deceased, died_on=died_on
    )
    content = render_paper("contract_note.typ", data)
    return Paper.objects.create(
        kind=Paper.Kind.ESTATE, number=number, investor=investor, strike=strike, data=data,
        content=content, sha256=hashlib.sha256(content).hexdigest(),
    )  # fmt: skip


def describe_valuation(
    investor: Investor,
    strike: NavStrike,
    lots: list[HeldLot],
    apart: list[PocketHolding],
    number: str,
    *,
    deceased: str,
    died_on: date,
) -> dict[str, Any]:
    """Everything that the paper prints, as text."""
    currency = strike.fund.currency
    classes = sorted({lot.share_class for lot in lots} | {row.share_class for row in apart})
    units = sum((lot.units for lot in lots), ZERO)
    value = sum((lot.value for lot in lots), ZERO)
    return {
        "title": "Valuation for the estate",
        "number": number,
        "fund": strike.fund.name,
        "summary": f"{units:,.6f} units held by {investor.legal_name}, worth {value:,.2f} "
        f"{currency} after accrued fees."
        + (" Units of side pockets stand apart." if apart else ""),
        "parts": [
            {
                "name": "Valuation",
                "rows": [
                    ["Holder", f"{investor.legal_name}, {investor.number}"],
                    ["Deceased", f"{deceased}, {died_on:%-d %b %Y}"],
                    ["Classes", ", ".join(classes)],
                    ["Units", f"{units:,.6f}"],
                    ["Value after accrued fees", f"{value:,.2f} {currency}"],
                    ["NAV", f"{strike.valuation_at:%-d %b %Y}, version {strike.version}"],
                    ["Valuation point", f"{strike.valuation_at:%-d %b %Y, %H:%M} UTC"],
                ],
            },
            *([{"name": "Side pockets", "rows": _say_apart(apart, currency)}] if apart else []),
        ],
        "lots": [
            [
                str(lot.number),
                f"{lot.dealing_day:%-d %b %Y}",
                f"{lot.units:,.6f}",
                f"{lot.high_water_mark:,.6f}",
                f"{lot.value / lot.units:,.6f}",
                f"{lot.units:,.6f}",
            ]
            for lot in lots
        ],
        "remarks": "The value is that of the last NAV up to the day of the death. It is neither an "
        "offer nor a dealing price; units stay with the estate until they are transferred.",
    }


def _say_apart(apart: list[PocketHolding], currency: str) -> list[list[str]]:
    """Units of each side pocket over all lots, and what they were carried at."""
    sums: dict[str, tuple[Decimal, Decimal]] = {}
    for row in apart:
        name = f"{row.pocket.name}, {row.pocket.asset}"
        units, value = sums.get(name, (ZERO, ZERO))
        sums[name] = units + row.units, value + row.value
    return [
        [name, f"{units:,.6f} units, carried at {value:,.2f} {currency} before any fee"]
        for name, (units, value) in sums.items()
    ]
