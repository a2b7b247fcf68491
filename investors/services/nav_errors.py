"""How wrong published NAVs were, and whom their prices cost or favoured.  Nothing is written here.

The NAVs from the first wrong one on are computed again from their own inputs with what net assets
lacked; deals at a wrong price are weighed by units x (published - right).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from uuid import UUID

from investors.domain.restatement import (
    Compensation,
    CompensationTerms,
    DealKind,
    PriceError,
    Restated,
    WrongDeal,
    compute_compensations,
    restate_strikes,
    value_fund_loss,
)
from investors.models import Fund, NavStrike, UnitEntry, UnitLot
from investors.services.nav_as_known import inputs_as_known
from magnetfund.kernel.errors import InvalidInput

ZERO = Decimal(0)
#: Share of the right price from which an error is material where the policy names none.
MATERIAL_FROM = Decimal("0.01")
#: Holders are compensated in cash, whether they stayed or left.
CASH_TERMS = CompensationTerms(in_units=False)
Kind = UnitEntry.Kind
#: Movements that a holder paid or was paid for by the price of the NAV; what comes back from a side
#: pocket buys its units at it.
DEALT = (Kind.ISSUE, Kind.REDEEM, Kind.SWITCH_OUT, Kind.SWITCH_IN, Kind.MERGE)


@dataclass(frozen=True, slots=True, kw_only=True)
class DealAtError:
    """Units of one lot that were dealt at a wrong price, with their settlement."""

    entry: UnitEntry
    found: Compensation


@dataclass(frozen=True, slots=True, kw_only=True)
class NavErrors:
    """The NAVs computed again, their price errors, and the deals at material ones."""

    restated: tuple[Restated, ...]
    deals: tuple[DealAtError, ...]

    @property
    def errors(self) -> tuple[PriceError, ...]:
        """Every price that was off, NAV after NAV."""
        return tuple(error for item in self.restated for error in item.errors)

    @property
    def is_material(self) -> bool:
        """Whether any price was off by the policy's share or more."""
        return any(error.material for error in self.errors)

    @property
    def owed(self) -> Decimal:
        """What holders lost by the wrong prices, in money of the fund."""
        return sum((row.found.due for row in self.deals if row.found.due > 0), ZERO)

    @property
    def gained(self) -> Decimal:
        """What others took out of the fund by them."""
        return sum((-row.found.due for row in self.deals if row.found.due < 0), ZERO)

    @property
    def fund_loss(self) -> Decimal:
        """The part of it that nobody is asked for, which the manager makes good first."""
        return value_fund_loss([row.found for row in self.deals])


def measure_nav_errors(
    *,
    fund: Fund,
    first: date,
    amount: Decimal,
    last: date | None = None,
    material_from: Decimal = MATERIAL_FROM,
    terms: CompensationTerms = CASH_TERMS,
) -> NavErrors:
    """Compute the NAVs from ``first`` on again, with ``amount`` more net assets until ``last``.

    ``amount`` is what net assets of each NAV from ``first`` to ``last`` (None: to the newest)
    lacked, in money of the fund, below zero where they held too much.  ``material_from`` is a
    fraction of the right price.  Raises :class:`InvalidInput`: ``no_such_nav`` where no NAV was
    dealt on ``first``, ``bad_span``, ``bad_amount``, and what the restatement raises.
    """
    if last is not None and last < first:
        raise InvalidInput("the error ends before it begins", code="bad_span")
    if not amount.is_finite() or amount == 0:
        raise InvalidInput("name the amount that net assets lacked", code="bad_amount")
    strikes = list(
        NavStrike.objects.filter(fund=fund, state=NavStrike.State.DEALT).order_by("valuation_at")
    )
    days = [strike.valuation_at.date() for strike in strikes]
    if first not in days:
        raise InvalidInput(f"no NAV was dealt on {first}", code="no_such_nav")
    at = days.index(first)
    restated = restate_strikes(
        inputs=[
            inputs_as_known(
                fund,
                strike.valuation_at,
                previous=strikes[number - 1] if number else None,
                versions={item["code"]: item.get("terms") for item in strike.inputs["classes"]},
            )
            for number, strike in enumerate(strikes)
            if number >= at
        ],
        corrections={day: amount for day in days[at:] if last is None or day <= last},
        threshold=material_from,
    )
    dealt = _list_deals(strikes[at:])
    found = compute_compensations(
        errors=[error for item in restated for error in item.errors],
        deals=[deal for _, deal in dealt],
        prices_today={
            item.code: item.price for item in restated[-1].right.classes if item.price is not None
        },
        terms=terms,
    )
    entries = {deal.deal: entry for entry, deal in dealt}
    return NavErrors(
        restated=restated,
        deals=tuple(DealAtError(entry=entries[item.deal.deal], found=item) for item in found),
    )


def _list_deals(strikes: Sequence[NavStrike]) -> list[tuple[UnitEntry, WrongDeal]]:
    """What was dealt at these NAVs, lot by lot; a switch is a redemption and a subscription."""
    rows = list(
        UnitEntry.objects.filter(strike__in=strikes, kind__in=DEALT)
        .select_related("strike", "lot__share_class", "lot__holding__investor", "order")
        .defer("strike__inputs")
        .order_by("strike__valuation_at", "seq")
    )
    lots = _lots_today({row.lot.holding_id for row in rows})
    found = []
    for row in rows:
        if row.strike is None:
            continue
        kind = DealKind.SUBSCRIPTION if row.units > 0 else DealKind.REDEMPTION
        deal = WrongDeal(
            deal=str(row.pk),
            kind=kind,
            day=row.strike.valuation_at.date(),
            share_class=row.lot.share_class.code,
            units=abs(row.units),
            lot=row.lot_id if row.lot.units > 0 else lots.get(row.lot.holding_id),
        )
        found.append((row, deal))
    return found


def _lots_today(holdings: Collection[int]) -> dict[int, UUID]:
    """A lot that still has units, by holding: the last one is kept."""
    rows = UnitLot.objects.filter(holding__in=holdings, units__gt=0).order_by("-number")
    return dict(rows.values_list("holding_id", "pk"))
