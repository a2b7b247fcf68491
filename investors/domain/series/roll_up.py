"""Consolidation: series that stand at their marks are exchanged into the lead series.

Two series may become one exactly when nothing that follows could tell them apart: both at their
marks, as they are when each has just paid a fee, and (under a hurdle) with the same clock.  A
series under water, or above its mark but still within its hurdle, lives on by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

from investors.domain.exact import exactly, total_of
from investors.domain.fees import ClassTerms, Hurdle
from investors.domain.series.events import UNIT_QUANTUM
from investors.domain.series.types import RollUp, Series, SeriesHolding, UnitExchange
from magnetfund.kernel.errors import InvalidInput
from magnetfund.kernel.money import Rounding, quantize


def choose_lead(*, series: Sequence[Series]) -> Series:
    """The series that was opened first.  Raises ``InvalidInput`` (``no_series``)."""
    if not series:
        raise InvalidInput("there is no series", code="no_series")
    return min(series, key=lambda item: (item.opened, item.number))


def can_roll_up(*, terms: ClassTerms, lead: Series, series: Series) -> bool:
    """Whether ``series`` may be exchanged into ``lead`` without moving a fee between holders."""
    if lead.code == series.code or lead.price != lead.mark or series.price != series.mark:
        return False
    return terms.hurdle is Hurdle.NONE or lead.clock == series.clock


@exactly
def roll_up(
    *, terms: ClassTerms, series: Sequence[Series], unit_quantum: Decimal = UNIT_QUANTUM
) -> RollUp:
    """Exchange what may be exchanged into the oldest series, right after crystallisation.

    Each lot receives units x series price / lead price, rounded down to a unit step; price, mark
    and clock of the lead stand.  A lot too small for one unit step stays, with its whole series.
    Raises ``InvalidInput``: ``no_series``, ``duplicate_lot``.
    """
    lead = choose_lead(series=series)
    joined: list[SeriesHolding] = list(lead.holdings)
    kept: list[Series] = []
    exchanges: list[UnitExchange] = []
    for item in series:
        if item.code == lead.code:
            continue
        moved = [_exchange(holding, item, lead, unit_quantum) for holding in item.holdings]
        if not can_roll_up(terms=terms, lead=lead, series=item) or any(
            exchange.units_in == 0 for exchange in moved
        ):
            kept.append(item)
            continue
        exchanges += moved
        joined += [
            replace(holding, units=exchange.units_in)
            for holding, exchange in zip(item.holdings, moved, strict=True)
        ]
    return RollUp(
        lead=replace(lead, holdings=tuple(joined)),
        kept=tuple(kept),
        exchanges=tuple(exchanges),
        residue=total_of(exchange.residue for exchange in exchanges),
    )


def _exchange(
    holding: SeriesHolding, series: Series, lead: Series, unit_quantum: Decimal
) -> UnitExchange:
    value = holding.units * series.price
    units = quantize(value / lead.price, unit_quantum, Rounding.DOWN)
    return UnitExchange(
        lot=holding.lot,
        series=series.code,
        units_out=holding.units,
        units_in=units,
        residue=value - units * lead.price,
    )
