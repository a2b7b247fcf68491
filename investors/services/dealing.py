"""Investors' orders up to the strike: taken in, funded, assigned to a dealing day, reserved.

Forward pricing: an order takes the first dealing day whose cut-off it meets; nobody deals at a
known price.  A redemption reserves its units under the holding's row lock, so no two orders ever
promise the same unit.
"""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal

from django.db import transaction
from django.db.models import F

from investors.domain.dealing import (
    DealingDate,
    choose_dealing_date,
)
from investors.models import (
    DealingDay,
    DealingOrder,
    Fund,
    FundHoliday,
    Holding,
    Investor,
    ShareClass,
)
from investors.models.dealing import MADE, TAKING
from investors.services.dealing_rules import (
    require_open,
    require_own,
    require_redeemable,
    require_subscribable,
)
from investors.services.estate_rules import require_living
from investors.services.policies import terms_in_force
from investors.services.receipts import release_money
from investors.services.reversed_receipts import is_taken_back
from investors.services.step_messages import tell_received
from magnetfund.core.actors import Actor
from magnetfund.core.roles import Capability
from magnetfund.core.services.audit import record_audit
from magnetfund.kernel.clock import utc_now
from magnetfund.kernel.errors import Conflict, InvalidInput

REASON_MAX = 300
CANCELLABLE = ("submitted", "accepted", "funded", "deferred", "set_aside")
OPEN_STATES = ("submitted", "accepted", "funded", "deferred")


def next_dealing_day(fund: Fund, *, received_at: datetime, notice_days: int = 0) -> DealingDay:
    """The day that an order takes by the calendar's rule.

    Raises :class:`InvalidInput` (``no_dealing_day``) where the calendar ends before.
    """
    days = {
        row.day: row for row in DealingDay.objects.filter(fund=fund, cutoff_at__gte=received_at)
    }
    holidays = (
        frozenset(FundHoliday.objects.filter(fund=fund).values_list("day", flat=True))
        if notice_days
        else frozenset[date]()
    )
    chosen = choose_dealing_date(
        calendar=[
            DealingDate(
                day=row.day,
                cutoff_at=row.cutoff_at,
                funding_deadline_at=row.funding_deadline_at,
                valuation_at=row.valuation_at,
                is_suspended=row.is_suspended,
            )
            for row in days.values()
        ],
        received_at=received_at,
        notice_days=notice_days,
        holidays=holidays,
    )
    return days[chosen.day]


def find_dealing_day(fund: Fund, *, received_at: datetime) -> DealingDay | None:
    """The next dealing day of an order that is carried over; ``None`` until the calendar is
    extended, and then the first new day takes it."""
    try:
        return next_dealing_day(fund, received_at=received_at)
    except InvalidInput:
        return None


def submit_subscription(
    *,
    investor: Investor,
    share_class: ShareClass,
    amount: Decimal,
    actor: Actor,
    at: datetime | None = None,
) -> DealingOrder:
    """Take in a subscription by amount; units and price are known only after the strike."""
    at = at or utc_now()
    power = require_own(investor, actor, may="may_subscribe")
    require_living(investor)
    require_subscribable(investor=investor, share_class=share_class, amount=amount, at=at)
    with transaction.atomic():
        day = next_dealing_day(share_class.fund, received_at=at)
        order = DealingOrder.objects.create(
            kind=DealingOrder.Kind.SUBSCRIPTION,
            investor=investor,
            share_class=share_class,
            amount=amount,
            state=DealingOrder.State.ACCEPTED,
            dealing_day=day,
            first_day=day.day,
            submitted_by=actor.user,
            under_power=power,
            received_at=at,
            updated_at=at,
        )
        _note(actor, "order.subscription", order, at)
        tell_received(order, actor=actor)
    return order


def submit_redemption(
    *,
    investor: Investor,
    share_class: ShareClass,
    units: Decimal | None,
    actor: Actor,
    reason: str = "",
    at: datetime | None = None,
) -> DealingOrder:
    """Take in a redemption by units, or of everything (``None``), and reserve it.

    An order of everything takes whatever the lots are when it is dealt, also after fee units were
    cancelled.  Raises :class:`Conflict` (``not_enough_units``) when fewer units are free, also when
    another order took them a moment ago.
    """
    at = at or utc_now()
    power = require_own(investor, actor, may="may_redeem")
    require_living(investor)
    require_open(share_class.fund)
    terms = terms_in_force(share_class, at=at)
    with transaction.atomic():
        holding = lock_holding(investor, share_class)
        day = next_dealing_day(share_class.fund, received_at=at, notice_days=terms.notice_days)
        wanted = require_redeemable(
            investor=investor, terms=terms, holding=holding, units=units, day=day.day
        )
        order = DealingOrder(
            kind=DealingOrder.Kind.REDEMPTION,
            investor=investor,
            share_class=share_class,
            units=units,
            reason=reason[:REASON_MAX],
            under_power=power,
        )
        return reserve(order, wanted, day=day, actor=actor, at=at)


def lock_holding(investor: Investor, share_class: ShareClass) -> Holding | None:
    """The holding under its row lock, in the caller's transaction; ``None`` where there is none."""
    return (
        Holding.objects.select_for_update()
        .filter(investor=investor, share_class=share_class)
        .first()
    )


def reserve(
    order: DealingOrder, wanted: Decimal, *, day: DealingDay, actor: Actor, at: datetime
) -> DealingOrder:
    """Write an order that takes units and reserve them, under the holding's lock."""
    Holding.objects.filter(investor=order.investor, share_class=order.share_class).update(
        reserved_units=F("reserved_units") + wanted, updated_at=at
    )
    order.is_all = order.units is None
    order.state = DealingOrder.State.ACCEPTED
    order.dealing_day, order.first_day = day, day.day
    order.submitted_by = actor.user
    order.received_at = order.updated_at = at
    order.save(force_insert=True)
    _note(actor, f"order.{order.kind}", order, at)
    tell_received(order, actor=actor)
    return order


def can_cancel(order: DealingOrder, *, at: datetime) -> bool:
    """Whether an order can be taken back: it is open, and its cut-off lies ahead.

    One that waits for no day, or was set aside, has no cut-off.
    """
    if order.state not in CANCELLABLE or order.kind in MADE:
        return False
    if order.state == DealingOrder.State.SET_ASIDE or order.dealing_day is None:
        return True
    return at <= order.dealing_day.cutoff_at


def cancel_order(*, order: DealingOrder, actor: Actor, at: datetime | None = None) -> DealingOrder:
    """Take an order back before its cut-off, and after it one whose money the bank took back;
    reserved units are free again, and money that came for it is owed to its senders.  Of one that
    was dealt in part the rest is taken back.  A compulsory redemption is taken back by the house
    alone."""
    at = at or utc_now()
    if not order.is_compulsory:
        may = "may_redeem" if order.takes_units else "may_subscribe"
        require_own(order.investor, actor, may=may)
    with transaction.atomic():
        row = DealingOrder.objects.select_for_update().get(pk=order.pk)
        is_aside = row.state == DealingOrder.State.SET_ASIDE
        if row.state not in CANCELLABLE or row.kind in MADE:
            raise Conflict(
                "this order can no longer be cancelled: it is no longer open", code="order_closed"
            )
        if row.is_compulsory:
            actor.require(Capability.DEALING_APPROVE)
        # Its money is gone again: it is no longer an order that was paid for before its cut-off.
        if not can_cancel(row, at=at) and not is_taken_back(row):
            raise Conflict("the cut-off for this dealing day has passed", code="cutoff_passed")
        if row.takes_units and not is_aside:
            release_units(row, at)
        if row.funded_amount:
            release_money(row, actor=actor, reason="order cancelled", at=at)
        row.state = state_without_rest(row, otherwise=DealingOrder.State.CANCELLED)
        row.updated_at = at
        row.save(update_fields=["state", "updated_at", "funded_amount", "funded_at"])
        _note(actor, "order.cancelled", row, at)
    return row


def state_without_rest(order: DealingOrder, *, otherwise: str) -> str:
    """Where an order stands when nothing more of it is dealt: a part that was dealt stays owed
    until it is paid; without one it is ``otherwise``."""
    if not (order.takes_units and order.dealt_units):
        return otherwise
    if order.is_switch or order.paid_amount == order.dealt_amount:
        return DealingOrder.State.SETTLED
    return DealingOrder.State.PAYABLE


def release_units(order: DealingOrder, at: datetime) -> None:
    """Free what an order reserved, in the caller's transaction: the others keep theirs."""
    holding = Holding.objects.select_for_update().get(
        investor_id=order.investor_id, share_class_id=order.share_class_id
    )
    others = DealingOrder.objects.filter(
        investor_id=order.investor_id,
        share_class_id=order.share_class_id,
        kind__in=TAKING,
        state__in=OPEN_STATES,
    ).exclude(pk=order.pk)
    kept = sum((other.units or Decimal(0) for other in others), Decimal(0))
    if any(other.is_all for other in others):
        kept = holding.units
    Holding.objects.filter(pk=holding.pk).update(reserved_units=kept, updated_at=at)


def _note(actor: Actor, action: str, order: DealingOrder, at: datetime) -> None:
    record_audit(
        actor=actor,
        action=action,
        subject=("dealing_order", order.pk),
        body={
            "investor": str(order.investor_id),
            "class": str(order.share_class_id),
            **({"into": str(order.into_class_id)} if order.into_class_id else {}),
            "amount": None if order.amount is None else f"{order.amount:f}",
            "units": None if order.units is None else f"{order.units:f}",
            **({"attorney": order.under_power.acts_as} if order.under_power else {}),
        },
        at=at,
    )
