"""Units that move without cash: transfers between holders, switches, side pockets.

Every move keeps the sum of units, the sum of cost and each lot's mark and clock; what a split
leaves over from rounding stays with the first part.  A lot names its parent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from investors.domain.dealing.sizing import order_first_in_first_out
from investors.domain.exact import (
    ZERO,
    Number,
    exactly,
    positive,
)
from investors.domain.fees import ClassTerms
from investors.domain.strike.dealing import (
    RedemptionResult,
    SubscriptionOrder,
    SubscriptionResult,
    deal_subscription,
)
from investors.domain.strike.pockets import count_pocket_units
from investors.domain.strike.types import LotInput
from magnetfund.kernel.errors import InvalidInput
from magnetfund.kernel.money import Rounding, quantize

UNIT_QUANTUM = Decimal("0.000001")
CASH_QUANTUM = Decimal("0.01")


@dataclass(frozen=True, slots=True, kw_only=True)
class LotMove:
    """One lot after a move: what stays (``None`` when nothing does) and what went.

    ``stays.units + goes.units`` and ``stays.cost + goes.cost`` are the lot's own.  ``goes`` keeps
    the mark, the hurdle clock and the dealing day.
    """

    stays: LotInput | None
    goes: LotInput
    parent: str


@exactly
def transfer_units(
    *,
    lots: Sequence[LotInput],
    from_holder: str,
    to_holder: str,
    units: Number,
    first_number: int,
    cash_quantum: Decimal = CASH_QUANTUM,
) -> tuple[LotMove, ...]:
    """Move units to another holder, first in first out, with mark, clock and entry day.

    The new lots are numbered from ``first_number`` and named after their parents.  Crystallise
    before when the beneficial owner changes (:func:`strike.dealing.crystallise_lots`).  Raises
    ``InvalidInput``: ``same_holder``, ``not_enough_units``.
    """
    left = positive(units, name="units")
    if from_holder == to_holder:
        raise InvalidInput("a transfer needs a different holder", code="same_holder")
    own = order_first_in_first_out([lot for lot in lots if lot.holder == from_holder])
    if left > sum((lot.units for lot in own), ZERO):
        raise InvalidInput("more units than are held", code="not_enough_units")
    moves: list[LotMove] = []
    for lot in own:
        taken = min(left, lot.units)
        if taken == 0:
            continue
        left -= taken
        stays, goes = _cut(lot, taken, cash_quantum)
        number = first_number + len(moves)
        goes = replace(goes, lot=f"{lot.lot}/{number}", number=number, holder=to_holder)
        moves.append(LotMove(stays=stays, goes=goes, parent=lot.lot))
    return tuple(moves)


def _cut(lot: LotInput, units: Decimal, cash_quantum: Decimal) -> tuple[LotInput | None, LotInput]:
    """Cut ``units`` off a lot; cost goes in proportion, all of it with the last unit."""
    if units == lot.units:
        return None, lot
    cost = quantize(lot.cost * units / lot.units, cash_quantum, Rounding.DOWN)
    stays = replace(lot, units=lot.units - units, cost=lot.cost - cost)
    return stays, replace(lot, units=units, cost=cost)


@dataclass(frozen=True, slots=True, kw_only=True)
class Switch:
    """Redemption and subscription on one dealing day.  ``clearing`` passes between them."""

    clearing: Decimal
    subscription: SubscriptionResult


@exactly
def deal_switch(
    *, redemption: RedemptionResult, into: ClassTerms, price: Decimal, exchange_rate: Number = 1
) -> Switch:
    """Put the payout of a redemption into another class at that class's price of the same day.

    ``exchange_rate`` is units of the new class's currency for one of the old's.  The performance
    fee crystallised with the redeemed units; entry and exit fees are those of the two classes.
    """
    clearing = quantize(
        redemption.payout * positive(exchange_rate, name="exchange_rate"),
        into.cash_quantum,
        Rounding.DOWN,
    )
    order = SubscriptionOrder(order=redemption.order, amount=clearing)
    return Switch(
        clearing=clearing, subscription=deal_subscription(terms=into, price=price, order=order)
    )


@exactly
def split_side_pocket(
    *,
    lots: Sequence[LotInput],
    value: Number,
    gross: Number,
    unit_quantum: Decimal = UNIT_QUANTUM,
    cash_quantum: Decimal = CASH_QUANTUM,
) -> tuple[LotMove, ...]:
    """Put the share ``value / gross`` of every lot into a pocket: same holders, same marks, no
    later subscriber.

    ``value`` is that of the claim, ``gross`` of all classes with it.  Pocket units round down, so
    the main part keeps the dust.  A lot too small to give one unit step stays whole and is not
    listed.  Raises what :func:`count_pocket_units` raises.
    """
    claim, whole = positive(value, name="value"), positive(gross, name="gross")
    moves: list[LotMove] = []
    for lot in order_first_in_first_out(lots):
        units = count_pocket_units(lot.units, value=claim, gross=whole, step=unit_quantum)
        if units == 0:
            continue
        stays, goes = _cut(lot, units, cash_quantum)
        moves.append(
            LotMove(stays=stays, goes=replace(goes, lot=f"{lot.lot}/pocket"), parent=lot.lot)
        )
    return tuple(moves)
