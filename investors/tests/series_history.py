"""A class played by series: entries at par, redemptions at the net price, roll-up.

The fund deals by marks per lot and does none of this; the tests play whole histories by it and hold
marks per lot against it.  The figures of its steps come from published examples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal

from investors.domain.exact import Number, coerce_decimals, exactly, positive, total_of
from investors.domain.fees import ClassTerms
from investors.domain.series import Series, SeriesHolding, can_roll_up, choose_lead, value_series
from magnetfund.kernel.errors import InvalidInput
from magnetfund.kernel.money import Rounding, quantize

UNIT_QUANTUM = Decimal("0.000001")
CASH_QUANTUM = Decimal("0.01")


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesOrder:
    """One subscription of the day; ``amount`` is money after any entry fee."""

    lot: str
    holder: str
    amount: Decimal

    def __post_init__(self) -> None:
        coerce_decimals(self, "amount")


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesOpening:
    """A new series and the money that whole unit steps could not take."""

    series: Series
    residue: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesRedemption:
    """Units that left at ``net_price``.  ``payout + payable + residue`` is their gross value.

    ``series`` is what stays, ``None`` when nothing does.
    """

    lot: str
    units: Decimal
    net_price: Decimal
    payout: Decimal
    payable: Decimal
    residue: Decimal
    series: Series | None


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitExchange:
    """One lot's move into the lead series.

    ``units_out x series price == units_in x lead price + residue``; the residue is the fund's.
    """

    lot: str
    series: str
    units_out: Decimal
    units_in: Decimal
    residue: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class RollUp:
    """The lead series with what rolled into it, and the series that live on."""

    lead: Series
    kept: tuple[Series, ...]
    exchanges: tuple[UnitExchange, ...]
    residue: Decimal


@exactly
def open_series(
    *,
    code: str,
    number: int,
    day: date,
    orders: Sequence[SeriesOrder],
    par: Number = 100,
    unit_quantum: Decimal = UNIT_QUANTUM,
) -> SeriesOpening:
    """All subscriptions of one dealing day in a new series: price and mark at ``par``.

    Units round down.  Raises ``InvalidInput``: ``no_orders``, ``amount_too_small``,
    ``duplicate_lot``.
    """
    price = positive(par, name="par")
    if not orders:
        raise InvalidInput("a series opens with a subscription", code="no_orders")
    holdings: list[SeriesHolding] = []
    for order in orders:
        units = quantize(order.amount / price, unit_quantum, Rounding.DOWN)
        if units <= 0:
            raise InvalidInput("the amount is too small for one unit step", code="amount_too_small")
        holdings.append(SeriesHolding(lot=order.lot, holder=order.holder, units=units))
    series = Series(
        code=code,
        number=number,
        opened=day,
        price=price,
        mark=price,
        clock=day,
        holdings=tuple(holdings),
    )
    paid = total_of(order.amount for order in orders)
    return SeriesOpening(series=series, residue=paid - series.units * price)


@exactly
def redeem_from_series(
    *,
    terms: ClassTerms,
    series: Series,
    lot: str,
    units: Number,
    day: date,
    cash_quantum: Decimal = CASH_QUANTUM,
) -> SeriesRedemption:
    """Redeem units of one lot at the net price; their fee becomes payable, the rest is unmoved.

    Payout and fee round down; ``residue`` is what that leaves the fund.  Raises ``InvalidInput``:
    ``unknown_lot``, ``not_enough_units``, ``not_positive``.
    """
    wanted = positive(units, name="units")
    held = {holding.lot: holding for holding in series.holdings}
    if lot not in held:
        raise InvalidInput(f"no lot {lot} in series {series.code}", code="unknown_lot")
    if wanted > held[lot].units:
        raise InvalidInput("more units than are held", code="not_enough_units")
    value = value_series(terms=terms, series=series, day=day)
    fee, net = value.fee_per_unit, value.net_price
    payout = quantize(wanted * net, cash_quantum, Rounding.DOWN)
    payable = quantize(wanted * fee, cash_quantum, Rounding.DOWN)
    held[lot] = replace(held[lot], units=held[lot].units - wanted)
    left = tuple(holding for holding in held.values() if holding.units > 0)
    return SeriesRedemption(
        lot=lot,
        units=wanted,
        net_price=net,
        payout=payout,
        payable=payable,
        residue=wanted * series.price - payout - payable,
        series=replace(series, holdings=left) if left else None,
    )


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
