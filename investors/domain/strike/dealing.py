"""Dealing at an approved price: crystallisation, redemptions, then subscriptions.

Everybody deals at g.  A redeemed unit pays n = g - pf and its pf becomes payable to the manager; a
crystallised lot gives up whole fee units and its mark moves to g.  Units round down, payouts round
down, and what rounding leaves goes to the fund's residue, never to the manager.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from investors.domain.exact import exactly, round_to_total
from investors.domain.fees import ClassTerms, crystallise_units
from investors.domain.strike.types import LotInput, LotStrike
from magnetfund.kernel.errors import InvalidInput
from magnetfund.kernel.money import Rounding, quantize

ZERO = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Crystallisation:
    """Fee units that leave one lot.  ``payable`` is the manager's cash, ``dust`` what rounding
    left of the accrued fee (positive: accrued more than is paid)."""

    lot: str
    units: Decimal
    payable: Decimal
    dust: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class LotCut:
    """Units redeemed from one lot, the money they pay and the fee that they leave payable.

    ``cost`` is the part of the lot's cost that leaves with them.
    """

    lot: str
    units: Decimal
    gross: Decimal
    fee: Decimal
    cost: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class RedemptionOrder:
    order: str
    holder: str
    units: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class RedemptionResult:
    """What one redemption got.  ``deferred`` waits for the next dealing day and its price.

    ``payout`` is rounded down to cash, ``residue`` what that left, ``exit_fee`` stays in the fund.
    """

    order: str
    units: Decimal
    deferred: Decimal
    gross: Decimal
    exit_fee: Decimal
    payout: Decimal
    residue: Decimal
    performance_fee: Decimal
    cuts: tuple[LotCut, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionOrder:
    """Money that buys units; a reinvested distribution pays no entry fee."""

    order: str
    amount: Decimal
    pays_entry_fee: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionResult:
    """Units of one subscription.  ``consideration`` is units times price at cash scale; the rest
    of the amount after the entry fee is ``residue``."""

    order: str
    units: Decimal
    price: Decimal
    entry_fee: Decimal
    consideration: Decimal
    residue: Decimal


@exactly
def crystallise_lots(
    *, terms: ClassTerms, price: Decimal, lots: Sequence[LotStrike]
) -> tuple[Crystallisation, ...]:
    """Fee units of each lot whose fee buys at least one unit step; the formula is ``fees``'s."""
    found = []
    for lot in lots:
        if lot.fee_per_unit <= 0:
            continue
        taken = crystallise_units(
            units=lot.units,
            price=price,
            fee_per_unit=lot.fee_per_unit,
            mark=lot.mark,
            unit_quantum=terms.unit_quantum,
            cash_quantum=terms.cash_quantum,
        )
        if taken.cancelled > 0:
            found.append(
                Crystallisation(
                    lot=lot.lot, units=taken.cancelled, payable=taken.payable, dust=taken.dust
                )
            )
    return tuple(found)


@exactly
def deal_redemptions(
    *,
    terms: ClassTerms,
    price: Decimal,
    fees: Mapping[str, Decimal],
    lots: Sequence[LotInput],
    orders: Sequence[RedemptionOrder],
    free: Mapping[str, Decimal] | None = None,
    early_fee_rates: Mapping[str, Decimal] | None = None,
    gate_value: Decimal | None = None,
) -> tuple[RedemptionResult, ...]:
    """Redeem lots first in, first out, at g less each lot's fee, under the gate.


    ``free`` is what may leave of each lot (``None``: all of it), ``early_fee_rates`` what the fund
    keeps beside the exit fee of a lot that leaves within its soft lock-up.

    ``fees`` is pf by lot; ``gate_value`` the most that may leave today at g (``None``: the caller
    has applied the fund's gate).  Requests above it are filled in proportion, rounded down, and the
    rest is deferred.  Raises :class:`InvalidInput`
    (``not_enough_units``) when a holder asks for more than is free.
    """
    wanted = sum((order.units for order in orders), ZERO) * price
    share = Decimal(1)
    if gate_value is not None and wanted > 0:
        share = min(share, gate_value / wanted)
    left = {lot.lot: lot.units if free is None else free[lot.lot] for lot in lots}
    held = {lot.lot: lot.units for lot in lots}
    early = early_fee_rates or {}
    cost_left = {lot.lot: lot.cost for lot in lots}
    by_holder: dict[str, list[LotInput]] = {}
    for lot in lots:
        by_holder.setdefault(lot.holder, []).append(lot)
    results = []
    for order in orders:
        own = sorted(by_holder.get(order.holder, ()), key=lambda lot: (lot.dealing_day, lot.number))
        if order.units > sum((left[lot.lot] for lot in own), ZERO):
            raise InvalidInput("more units than are free", code="not_enough_units")
        units = order.units
        if share < 1:
            units = quantize(order.units * share, terms.unit_quantum, Rounding.DOWN)
        results.append(
            _redeem(terms, price, fees, own, (left, held, cost_left), early, order, units)
        )
    return tuple(results)


def _redeem(
    terms: ClassTerms,
    price: Decimal,
    fees: Mapping[str, Decimal],
    own: Sequence[LotInput],
    stock: tuple[dict[str, Decimal], dict[str, Decimal], dict[str, Decimal]],
    early: Mapping[str, Decimal],
    order: RedemptionOrder,
    units: Decimal,
) -> RedemptionResult:
    left, held, cost_left = stock
    cuts, wanted = [], units
    for lot in own:
        taken = min(wanted, left[lot.lot])
        if taken <= 0:
            continue
        wanted -= taken
        left[lot.lot] -= taken
        held[lot.lot] -= taken
        # The cut that empties a lot takes the cost that is left: no cent stays on nothing.
        cost = cost_left[lot.lot]
        if held[lot.lot]:
            cost = quantize(lot.cost * taken / lot.units, terms.cash_quantum)
        cost_left[lot.lot] -= cost
        fee = fees.get(lot.lot, ZERO)
        cuts.append(
            LotCut(
                lot=lot.lot,
                units=taken,
                gross=taken * (price - fee),
                fee=taken * fee,
                cost=cost,
            )
        )
    cuts = _round_fees(cuts, terms)
    gross = sum((cut.gross for cut in cuts), ZERO)
    early_fee = sum((cut.gross * early.get(cut.lot, ZERO) for cut in cuts), ZERO)
    exit_fee = quantize(gross * terms.exit_fee_rate + early_fee, terms.cash_quantum)
    payout = quantize(gross - exit_fee, terms.cash_quantum, Rounding.DOWN)
    return RedemptionResult(
        order=order.order,
        units=units,
        deferred=order.units - units,
        gross=gross,
        exit_fee=exit_fee,
        payout=payout,
        residue=gross - exit_fee - payout,
        performance_fee=sum((cut.fee for cut in cuts), ZERO),
        cuts=tuple(cuts),
    )


def _round_fees(cuts: list[LotCut], terms: ClassTerms) -> list[LotCut]:
    """Fees in whole cents that together never exceed what was accrued for these units."""
    owed = sum((cut.fee for cut in cuts), ZERO)
    total = quantize(owed, terms.cash_quantum, Rounding.DOWN)
    fees = round_to_total([cut.fee for cut in cuts], quantum=terms.cash_quantum, total=total)
    return [replace(cut, fee=fee) for cut, fee in zip(cuts, fees, strict=True)]


@exactly
def deal_subscription(
    *, terms: ClassTerms, price: Decimal, order: SubscriptionOrder
) -> SubscriptionResult:
    """Units = ROUND_DOWN(net amount / g); the entry fee is inside the amount.

    Raises :class:`InvalidInput` (``amount_too_small``) where not even one unit step is bought.
    """
    rate = terms.entry_fee_rate if order.pays_entry_fee else ZERO
    fee = quantize(order.amount * rate, terms.cash_quantum)
    net = order.amount - fee
    units = quantize(net / price, terms.unit_quantum, Rounding.DOWN)
    if units <= 0:
        raise InvalidInput("the amount is too small for one unit step", code="amount_too_small")
    consideration = quantize(units * price, terms.cash_quantum)
    consideration = min(consideration, net)
    return SubscriptionResult(
        order=order.order,
        units=units,
        price=price,
        entry_fee=fee,
        consideration=consideration,
        residue=net - consideration,
    )
