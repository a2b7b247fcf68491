"""What a dealing day does, decided before anything is written.

Order: redemptions under the gate, crystallisation of what stays where a fiscal period ends,
subscriptions, the second halves of switches, and what the open orders reserve afterwards.  Redeemed
units crystallise by leaving, so they come before the crystallisation of the rest.  A switch redeems
like any order but takes no money out of the fund, so the fund's gate does not count it.  One order
that cannot be dealt is set aside with its reason and stops nobody else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal

from investors.domain.dealing.desk import Aside, ClassDesk, ClassPlan, Redeeming
from investors.domain.dealing.liquidity import GateRequest, cap_by_holder, fill_gate
from investors.domain.dealing.locks import list_free_lots
from investors.domain.dealing.moves import Switch, deal_switch
from investors.domain.exact import ONE, ZERO, exactly, round_to_total
from investors.domain.fees import choose_clock
from investors.domain.strike.dealing import (
    Crystallisation,
    RedemptionOrder,
    RedemptionResult,
    SubscriptionResult,
    crystallise_lots,
    deal_redemptions,
    deal_subscription,
)
from investors.domain.strike.types import LotInput, LotStrike
from magnetfund.kernel.errors import InvalidInput
from magnetfund.kernel.money import Rounding, quantize

#: The gate is filled in value; this is finer than any unit step is worth.
VALUE_QUANTUM = Decimal("1e-18")


@exactly
def plan_dealing(*, desks: Sequence[ClassDesk], fund_nav: Decimal) -> tuple[ClassPlan, ...]:
    """The plan of every class; ``fund_nav`` is what the gate is a share of, net of accrued fees."""
    refused: frozenset[str] = frozenset()
    while True:
        plans = _plan_without(refused, desks, fund_nav)
        switches, small = _switch(desks, plans)
        if not small:
            return tuple(
                replace(plan, switches=switches[desk.code])
                for desk, plan in zip(desks, plans, strict=True)
            )
        # Without these orders the others are dealt anew: what they redeem may change.
        refused |= small


def _plan_without(
    refused: frozenset[str], desks: Sequence[ClassDesk], fund_nav: Decimal
) -> tuple[ClassPlan, ...]:
    asked = {desk.code: _ask(desk, refused) for desk in desks}
    capped = {desk.code: _cap_holders(desk, asked[desk.code][0]) for desk in desks}
    shares = _gate(desks, capped, fund_nav)
    return tuple(_plan_class(desk, *asked[desk.code], capped[desk.code], shares) for desk in desks)


def _switch(
    desks: Sequence[ClassDesk], plans: Sequence[ClassPlan]
) -> tuple[dict[str, dict[str, Switch]], frozenset[str]]:
    """What the proceeds of switches buy, by class left and order; and those that buy no unit."""
    by_code = {desk.code: desk for desk in desks}
    found: dict[str, dict[str, Switch]] = {}
    small = set()
    for desk, plan in zip(desks, plans, strict=True):
        into = {item.order: item.into for item in desk.redemptions if item.into}
        found[desk.code] = {}
        for result in plan.redemptions:
            if result.order not in into or result.units == 0:
                continue
            other = by_code[into[result.order]]
            try:
                found[desk.code][result.order] = deal_switch(
                    redemption=result, into=other.terms, price=other.price
                )
            except InvalidInput:
                small.add(result.order)
    return found, frozenset(small)


def _cap_holders(desk: ClassDesk, asked: Mapping[str, Decimal]) -> dict[str, Decimal]:
    """The investor gate: nobody redeems more than the class's share of his own units on a day."""
    share = desk.terms.investor_gate_share
    if share == ONE or not asked:
        return dict(asked)
    held: dict[str, Decimal] = {}
    for lot in desk.lots:
        held[lot.holder] = held.get(lot.holder, ZERO) + lot.units
    fills = cap_by_holder(
        requests=[
            GateRequest(
                order=item.order,
                holder=item.holder,
                units=asked[item.order],
                first_day=item.first_day,
            )
            for item in desk.redemptions
            if item.order in asked
        ],
        held=held,
        share=share,
        unit_quantum=desk.terms.unit_quantum,
    )
    return {fill.order: fill.filled for fill in fills}


def _ask(desk: ClassDesk, refused: frozenset[str]) -> tuple[dict[str, Decimal], dict[str, Aside]]:
    """Units that each due order asks for in its turn, and those that ask for what is not there.

    ``refused`` are switches whose proceeds buy no unit.
    """
    left: dict[str, Decimal] = {}
    lots = _lots_of(desk, desk.redemptions)
    free = list_free_lots(terms=desk.terms, lots=lots, day=desk.day).units
    for lot in lots:
        left[lot.holder] = left.get(lot.holder, ZERO) + free[lot.lot]
    units: dict[str, Decimal] = {}
    aside: dict[str, Aside] = {}
    for item in desk.redemptions:
        if not item.is_due:
            continue
        if item.order in refused:
            aside[item.order] = Aside.TOO_SMALL
            continue
        held = left.get(item.holder, ZERO)
        wanted = held if item.units is None else item.units
        if wanted > held:
            aside[item.order] = Aside.NOT_ENOUGH_UNITS
        elif wanted == 0:
            aside[item.order] = Aside.NO_UNITS_LEFT
        else:
            units[item.order] = wanted
            left[item.holder] = held - wanted
    return units, aside


def _gate(
    desks: Sequence[ClassDesk], asked: Mapping[str, Mapping[str, Decimal]], fund_nav: Decimal
) -> dict[str, Decimal]:
    """The part of each order that the fund's gate lets through, measured net of accrued fees.

    The strictest class rules; a share of one is no gate.
    """
    share = min((desk.terms.gate_share for desk in desks), default=ONE)
    if share == ONE:
        return {}
    strictest = next(desk for desk in desks if desk.terms.gate_share == share)
    requests = [
        GateRequest(
            order=result.order,
            holder=order.holder,
            units=result.gross,
            first_day=order.first_day,
        )
        for desk in desks
        for order, result in _value(desk, {o: u for o, u in asked[desk.code].items() if u > 0})
        if not order.into
    ]
    fills = fill_gate(
        requests=requests,
        price=ONE,
        cap=max(ZERO, fund_nav) * share,
        rank=strictest.terms.gate_rank,
        unit_quantum=VALUE_QUANTUM,
    )
    return {
        fill.order: fill.filled / request.units
        for fill, request in zip(fills, requests, strict=True)
        if fill.deferred > 0
    }


def _value(
    desk: ClassDesk, units: Mapping[str, Decimal]
) -> list[tuple[Redeeming, RedemptionResult]]:
    due = [item for item in desk.redemptions if item.order in units]
    lots = _lots_of(desk, due)
    free = list_free_lots(terms=desk.terms, lots=lots, day=desk.day)
    results = deal_redemptions(
        terms=desk.terms,
        price=desk.price,
        fees=desk.fees,
        lots=lots,
        orders=[
            RedemptionOrder(order=item.order, holder=item.holder, units=units[item.order])
            for item in due
        ],
        free=free.units,
        early_fee_rates=free.fee_rates,
    )
    return list(zip(due, results, strict=True))


def _lots_of(desk: ClassDesk, orders: Iterable[Redeeming]) -> list[LotInput]:
    """Lots of those who redeem; on most days that is nobody, or a few of many."""
    holders = {order.holder for order in orders}
    return [lot for lot in desk.lots if lot.holder in holders] if holders else []


def _plan_class(
    desk: ClassDesk,
    asked: Mapping[str, Decimal],
    aside: dict[str, Aside],
    capped: Mapping[str, Decimal],
    shares: Mapping[str, Decimal],
) -> ClassPlan:
    step = desk.terms.unit_quantum
    units = {
        order: quantize(wanted * shares[order], step, Rounding.DOWN) if order in shares else wanted
        for order, wanted in capped.items()
    }
    redemptions = [
        replace(result, deferred=asked[result.order] - result.units)
        for _, result in _value(desk, {o: u for o, u in units.items() if u > 0})
    ]
    redemptions += [_nothing(order, asked[order]) for order, dealt in units.items() if dealt == 0]
    left = _units_left(desk, redemptions)
    if desk.lots and not any(left.values()):
        redemptions = _pay_out_all(desk, redemptions)
    crystallised: tuple[Crystallisation, ...] = ()
    clocks: dict[str, date] = {}
    if desk.ends_period:
        crystallised = crystallise_lots(
            terms=desk.terms, price=desk.price, lots=_struck(desk, left)
        )
        for item in crystallised:
            left[item.lot] -= item.units
        clocks = _restart_clocks(desk, left, {item.lot for item in crystallised})
    subscriptions, small = _subscribe(desk)
    aside = {**aside, **small}
    reserved, rebased = _reserve(desk, redemptions, left, aside)
    return ClassPlan(
        code=desk.code,
        redemptions=tuple(redemptions),
        crystallised=crystallised,
        clocks=clocks,
        subscriptions=subscriptions,
        reserved=reserved,
        rebased=rebased,
        aside=aside,
    )


def _nothing(order: str, deferred: Decimal) -> RedemptionResult:
    return RedemptionResult(
        order=order, units=ZERO, deferred=deferred, gross=ZERO, exit_fee=ZERO, payout=ZERO,
        residue=ZERO, performance_fee=ZERO, cuts=(),
    )  # fmt: skip


def _units_left(desk: ClassDesk, redemptions: Sequence[RedemptionResult]) -> dict[str, Decimal]:
    left = {lot.lot: lot.units for lot in desk.lots}
    for result in redemptions:
        for cut in result.cuts:
            left[cut.lot] -= cut.units
    return left


def _pay_out_all(
    desk: ClassDesk, redemptions: Sequence[RedemptionResult]
) -> list[RedemptionResult]:
    """Nobody remains: no exit fee, and the class pays all that it is worth, to the cent."""
    payouts = round_to_total(
        [result.gross for result in redemptions],
        quantum=desk.terms.cash_quantum,
    )
    rest = desk.nav - sum(payouts, ZERO)
    first = max(range(len(payouts)), key=lambda k: (payouts[k], -k))
    return [
        replace(
            result,
            exit_fee=ZERO,
            residue=ZERO,
            payout=payout + (rest if k == first else ZERO),
        )
        for k, (result, payout) in enumerate(zip(redemptions, payouts, strict=True))
    ]


def _struck(desk: ClassDesk, left: Mapping[str, Decimal]) -> list[LotStrike]:
    return [
        LotStrike(
            lot=lot.lot,
            number=lot.number,
            units=left[lot.lot],
            mark=lot.mark,
            fee_per_unit=desk.fees.get(lot.lot, ZERO),
            net_per_unit=desk.price - desk.fees.get(lot.lot, ZERO),
        )
        for lot in desk.lots
        if left[lot.lot] > 0
    ]


def _restart_clocks(
    desk: ClassDesk, left: Mapping[str, Decimal], charged: set[str]
) -> dict[str, date]:
    found = {}
    for lot in desk.lots:
        if left[lot.lot] > 0 and lot.lot not in charged:
            clock = choose_clock(terms=desk.terms, clock=lot.clock, day=desk.day, fee_taken=False)
            if clock != lot.clock:
                found[lot.lot] = clock
    return found


def _subscribe(
    desk: ClassDesk,
) -> tuple[tuple[SubscriptionResult, ...], dict[str, Aside]]:
    done: list[SubscriptionResult] = []
    small: dict[str, Aside] = {}
    for order in desk.subscriptions:
        try:
            done.append(deal_subscription(terms=desk.terms, price=desk.price, order=order))
        except InvalidInput:
            small[order.order] = Aside.TOO_SMALL
    return tuple(done), small


def _reserve(
    desk: ClassDesk,
    redemptions: Sequence[RedemptionResult],
    left: Mapping[str, Decimal],
    aside: Mapping[str, Aside],
) -> tuple[dict[str, Decimal], dict[str, Decimal]]:
    """Reservations after the day; orders by units shrink in proportion to what fee units left."""
    deferred = {result.order: result.deferred for result in redemptions}
    held: dict[str, Decimal] = {}
    for lot in _lots_of(desk, desk.redemptions):
        held[lot.holder] = held.get(lot.holder, ZERO) + left[lot.lot]
    reserved: dict[str, Decimal] = {}
    rebased: dict[str, Decimal] = {}
    orders: dict[str, list[Redeeming]] = {}
    for item in desk.redemptions:
        orders.setdefault(item.holder, []).append(item)
    for holder, own in orders.items():
        open_orders = [
            (item, deferred.get(item.order, item.units))
            for item in own
            if item.order not in aside and (not item.is_due or deferred.get(item.order, ZERO) > 0)
        ]
        units = held.get(holder, ZERO)
        if any(item.units is None for item, _ in open_orders):
            reserved[holder] = units
            continue
        wanted = sum((rest or ZERO for _, rest in open_orders), ZERO)
        if wanted > units:
            for item, rest in open_orders:
                rebased[item.order] = quantize(
                    (rest or ZERO) * units / wanted, desk.terms.unit_quantum, Rounding.DOWN
                )
            wanted = sum((rebased[item.order] for item, _ in open_orders), ZERO)
        reserved[holder] = wanted
    return reserved, rebased
