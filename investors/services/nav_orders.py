"""What a dealing day leaves of each order: dealt, deferred, re-based, rolled or set aside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from django.db.models import Exists, F, OuterRef

from investors.domain.dealing.desk import ClassPlan
from investors.domain.strike import SubscriptionResult
from investors.models import ClassNav, DealingDay, DealingOrder, Fund, Holding, NavStrike
from investors.services.dealing import OPEN_STATES, find_dealing_day, state_without_rest
from investors.services.step_messages import tell_dealt
from magnetfund.core.actors import Actor
from magnetfund.core.bulk import update_rows
from magnetfund.core.services.audit import record_audit

ZERO = Decimal(0)
ASIDE_WORDS = {
    "not_enough_units": "more units asked for than are held",
    "no_units_left": "no units are left for this order",
    "amount_too_small": "the amount does not buy the smallest step of units",
}
SAVED_FIELDS = (
    "state", "dealing_day_id", "strike_id", "units", "dealt_units", "dealt_price", "dealt_amount",
    "fee_amount", "into_units", "into_price", "into_fee", "held_amount", "reason", "rolls",
    "updated_at",
)  # fmt: skip


def save_orders(
    *,
    strike: NavStrike,
    plans: Sequence[tuple[ClassNav, ClassPlan]],
    orders: Mapping[str, DealingOrder],
    due: frozenset[str],
    held: Mapping[str, Decimal],
    actor: Actor,
    at: datetime,
) -> None:
    """Bring every open order to where the day left it; one set aside is noted with its reason."""
    after = find_dealing_day(
        strike.fund, received_at=strike.valuation_at + timedelta(microseconds=1)
    )
    touched: dict[str, DealingOrder] = {}
    answered: set[str] = set()
    for row, plan in plans:
        answered |= {item.order for item in plan.redemptions}
        answered |= {item.order for item in plan.subscriptions} | set(plan.aside)
        for redeemed in plan.redemptions:
            order = touched.setdefault(redeemed.order, orders[redeemed.order])
            _deal(
                order, strike, row, units=redeemed.units, money=redeemed.payout,
                fee=redeemed.exit_fee,
            )  # fmt: skip
            order.held_amount = held.get(redeemed.order, ZERO)
            if redeemed.order in plan.switches:
                _buy(order, plan.switches[redeemed.order].subscription)
            order.state = DealingOrder.State.PAYABLE
            if (order.dealt_amount or ZERO) == order.paid_amount or order.is_switch:
                order.state = DealingOrder.State.SETTLED
            if redeemed.deferred > 0:
                order.state, order.dealing_day = DealingOrder.State.DEFERRED, after
                order.units = None if order.is_all else redeemed.deferred
        for bought in plan.subscriptions:
            order = touched.setdefault(bought.order, orders[bought.order])
            _deal(
                order, strike, row, units=bought.units, money=bought.consideration,
                fee=bought.entry_fee,
            )  # fmt: skip
            order.state = DealingOrder.State.SETTLED
        for pk, units in plan.rebased.items():
            order = touched.setdefault(pk, orders[pk])
            if units > 0:
                order.units = units
            else:
                _set_aside(order, "no_units_left", actor, at)
        for pk, reason in plan.aside.items():
            _set_aside(touched.setdefault(pk, orders[pk]), reason.value, actor, at)
    for pk in due - answered:
        _roll(touched.setdefault(pk, orders[pk]), after)
    for order in touched.values():
        order.updated_at = at
    update_rows(
        DealingOrder,
        SAVED_FIELDS,
        [
            (order.pk, *(getattr(order, name) for name in SAVED_FIELDS))
            for order in touched.values()
        ],
    )
    moved = {item.order for _, plan in plans for item in plan.redemptions if item.units > 0}
    moved |= {item.order for _, plan in plans for item in plan.subscriptions}
    told = [
        order
        for pk, order in touched.items()
        if pk in moved or order.state == DealingOrder.State.SET_ASIDE or order.takes_units
    ]
    tell_dealt(strike, told, at=at)


def reserve_everything(fund: Fund) -> None:
    """An open order of everything reserves also what came to its holder since."""
    orders = DealingOrder.objects.filter(
        investor=OuterRef("investor"),
        share_class=OuterRef("share_class"),
        is_all=True,
        state__in=OPEN_STATES,
    )
    Holding.objects.filter(Exists(orders), share_class__fund=fund).exclude(
        reserved_units=F("units")
    ).update(reserved_units=F("units"))


def _deal(
    order: DealingOrder,
    strike: NavStrike,
    row: ClassNav,
    *,
    units: Decimal,
    money: Decimal,
    fee: Decimal,
) -> None:
    if units == 0:
        return
    order.dealt_units = (order.dealt_units or ZERO) + units
    order.dealt_amount = (order.dealt_amount or ZERO) + money
    order.fee_amount += fee
    order.dealt_price, order.strike = row.issue_price, strike


def _buy(order: DealingOrder, bought: SubscriptionResult) -> None:
    """The second half of a switch."""
    order.into_units += bought.units
    order.into_price, order.into_fee = bought.price, order.into_fee + bought.entry_fee


def _roll(order: DealingOrder, after: DealingDay | None) -> None:
    """Without its money, or without an approved investor, an order waits for the next day."""
    order.dealing_day = after
    order.rolls += 1


def _set_aside(order: DealingOrder, reason: str, actor: Actor, at: datetime) -> None:
    order.state = state_without_rest(order, otherwise=DealingOrder.State.SET_ASIDE)
    order.reason = ASIDE_WORDS[reason]
    if order.kind == DealingOrder.Kind.REINVESTMENT:
        # What buys no unit is owed in cash.
        order.state, order.dealt_amount = DealingOrder.State.PAYABLE, order.amount
    record_audit(
        actor=actor,
        action="order.set_aside",
        subject=("dealing_order", order.pk),
        body={"reason": reason},
        at=at,
    )
