"""From what an investor asks for to what is dealt: fees on top, gross and net redemptions, swing.

The dealing engine takes a subscription by gross amount and a redemption by units
(:mod:`investors.domain.strike.dealing`); these functions turn every other wording into those two.
Money is rounded at the cash quantum and units down, so nobody receives more than was asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from investors.domain.exact import (
    ONE,
    ZERO,
    Number,
    exactly,
    fraction_below_one,
    not_negative,
    positive,
)
from investors.domain.fees import FeeForm
from investors.domain.strike.types import LotInput
from magnetfund.kernel.errors import InvalidInput
from magnetfund.kernel.money import Rounding, decimal_of, quantize


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryFee:
    """``fee + net == amount`` exactly; ``net`` buys units."""

    amount: Decimal
    fee: Decimal
    net: Decimal


@exactly
def size_entry_fee(
    *, amount: Number, rate: Number, form: FeeForm, cash_quantum: Decimal = Decimal("0.01")
) -> EntryFee:
    """Split the money received into fee and net; ``rate`` in [0, 1), the fee rounds half even."""
    paid, share = positive(amount, name="amount"), fraction_below_one(rate, name="rate")
    exact = paid * share if form is FeeForm.INSIDE else paid - paid / (ONE + share)
    fee = quantize(exact, cash_quantum)
    return EntryFee(amount=paid, fee=fee, net=paid - fee)


@dataclass(frozen=True, slots=True, kw_only=True)
class LotUnits:
    """Units of one lot."""

    lot: str
    units: Decimal


def order_first_in_first_out(lots: Sequence[LotInput]) -> tuple[LotInput, ...]:
    """By dealing day, then number of issue: the order in which lots are redeemed and moved."""
    return tuple(sorted(lots, key=lambda lot: (lot.dealing_day, lot.number)))


@exactly
def size_gross_redemption(
    *,
    lots: Sequence[LotInput],
    price: Number,
    fees: Mapping[str, Decimal],
    gross: Number,
    unit_quantum: Decimal = Decimal("0.000001"),
) -> tuple[LotUnits, ...]:
    """Units, lot by lot first in first out, that are worth at most ``gross`` at n = g - pf.

    Falls short by less than one unit step at the last lot's value.  Raises ``InvalidInput``
    (``not_enough_value``) when all lots together are worth less.
    """
    g, wanted = positive(price, name="price"), positive(gross, name="gross")
    found: list[LotUnits] = []
    for lot in order_first_in_first_out(lots):
        net = g - fees.get(lot.lot, ZERO)
        if net <= 0:
            raise InvalidInput("a lot has no value to redeem", code="not_positive")
        units = min(lot.units, quantize(wanted / net, unit_quantum, Rounding.DOWN))
        if units > 0:
            found.append(LotUnits(lot=lot.lot, units=units))
            wanted -= units * net
        if units < lot.units:
            return tuple(found)
    if wanted > 0:
        raise InvalidInput("the amount exceeds the value of the holding", code="not_enough_value")
    return tuple(found)


@exactly
def gross_of_net(*, net: Number, exit_fee_rate: Number) -> Decimal:
    """Gross proceeds that leave ``net`` after the exit fee: net / (1 - x), unrounded."""
    return positive(net, name="net") / (
        ONE - fraction_below_one(exit_fee_rate, name="exit_fee_rate")
    )


@exactly
def swing_price(
    *,
    price: Number,
    net_flow: Number,
    net_assets: Number,
    threshold_share: Number,
    factor: Number,
    price_quantum: Decimal = Decimal("0.000001"),
) -> Decimal:
    """The price of the day, moved against the larger side once net flow passes the threshold.

    ``net_flow`` is subscriptions minus redemptions.  Strictly above ``threshold_share`` of
    ``net_assets`` the price becomes g (1 + factor) for inflow and g (1 - factor) for outflow, so
    that those who trade carry the cost of it.  At the threshold the price stands.
    """
    g, assets = positive(price, name="price"), positive(net_assets, name="net_assets")
    flow, share = decimal_of(net_flow), not_negative(threshold_share, name="threshold_share")
    move = fraction_below_one(factor, name="factor")
    if abs(flow) <= share * assets:
        return g
    return quantize(g * (ONE + move if flow > 0 else ONE - move), price_quantum)
