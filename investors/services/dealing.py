"""Investors' orders up to the strike: taken in, funded, assigned to a dealing day, reserved.

Forward pricing: an order takes the first dealing day whose cut-off it meets; nobody deals at a
known price.  A redemption reserves its units under the holding's row lock, so no two orders ever
promise the same unit.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from django.db import transaction
from django.db.models import F

from investors.models import DealingDay, DealingOrder, Fund, Holding, Investor, ShareClass
from investors.services.ledger import NewEntry, move, post_entry
from investors.services.policies import terms_in_force
from magnetfund.core.actors import Actor
from magnetfund.core.services.audit import record_audit
from magnetfund.kernel.clock import utc_now
from magnetfund.kernel.errors import Conflict, InvalidInput, NotAllowed
from magnetfund.kernel.money import currency_quantum, decimal_of, quantize

#: What the fund is kept in.
CURRENCY = "USD"
OPEN_STATES = ("submitted", "accepted", "funded", "deferred")


def next_dealing_day(fund: Fund, *, received_at: datetime) -> DealingDay:
    """The first day with ``received_at <= cutoff_at`` that is not suspended.

    Raises :class:`InvalidInput` where the calendar ends before.
    """
    day = (
        DealingDay.objects.filter(fund=fund, cutoff_at__gte=received_at, is_suspended=False)
        .order_by("day")
        .first()
    )
    if day is None:
        raise InvalidInput(
            "no dealing day is open for orders; try again once the calendar is extended",
            code="no_dealing_day",
        )
    return day


def require_open(fund: Fund) -> None:
    """Raise :class:`Conflict` (``fund_suspended``) while dealing in this fund is suspended; no
    orders are accepted until it is lifted."""
    if Fund.objects.filter(pk=fund.pk, is_suspended=True).exists():
        raise Conflict(
            "dealing in this fund is suspended; no orders are accepted until it is lifted",
            code="fund_suspended",
        )


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
    _require_own(investor, actor)
    require_open(share_class.fund)
    _require_kyc(investor)
    _require_measure(amount, quantum=currency_quantum(CURRENCY), what="amount")
    if amount < share_class.minimum_subscription and not _holds(investor, share_class):
        raise InvalidInput(
            f"the minimum first subscription is {share_class.minimum_subscription:,.2f} USD",
            code="below_minimum",
        )
    with transaction.atomic():
        order = DealingOrder.objects.create(
            kind=DealingOrder.Kind.SUBSCRIPTION,
            investor=investor,
            share_class=share_class,
            amount=amount,
            state=DealingOrder.State.ACCEPTED,
            dealing_day=next_dealing_day(share_class.fund, received_at=at),
            submitted_by=actor.user,
            received_at=at,
            updated_at=at,
        )
        _note(actor, "order.subscription", order, at)
    return order


def submit_redemption(
    *,
    investor: Investor,
    share_class: ShareClass,
    units: Decimal,
    actor: Actor,
    at: datetime | None = None,
) -> DealingOrder:
    """Take in a redemption by units and reserve them.

    Raises :class:`Conflict` (``not_enough_units``) when fewer units are free, also when another
    order took them a moment ago.
    """
    at = at or utc_now()
    _require_own(investor, actor)
    require_open(share_class.fund)
    terms = terms_in_force(share_class, at=at)
    _require_measure(units, quantum=terms.unit_quantum, what="number of units")
    with transaction.atomic():
        holding = (
            Holding.objects.select_for_update()
            .filter(investor=investor, share_class=share_class)
            .first()
        )
        free = holding.units - holding.reserved_units if holding is not None else Decimal(0)
        if holding is None or units > free:
            raise Conflict(
                f"only {free.normalize():f} units are available to redeem",
                code="not_enough_units",
                details={"free": f"{free:f}"},
            )
        Holding.objects.filter(pk=holding.pk).update(
            reserved_units=F("reserved_units") + units, updated_at=at
        )
        order = DealingOrder.objects.create(
            kind=DealingOrder.Kind.REDEMPTION,
            investor=investor,
            share_class=share_class,
            units=units,
            state=DealingOrder.State.ACCEPTED,
            dealing_day=next_dealing_day(share_class.fund, received_at=at),
            submitted_by=actor.user,
            received_at=at,
            updated_at=at,
        )
        _note(actor, "order.redemption", order, at)
    return order


def cancel_order(*, order: DealingOrder, actor: Actor, at: datetime | None = None) -> DealingOrder:
    """Take an order back before its cut-off; reserved units are free again."""
    at = at or utc_now()
    _require_own(order.investor, actor)
    with transaction.atomic():
        row = DealingOrder.objects.select_for_update().get(pk=order.pk)
        if row.state not in ("submitted", "accepted") or row.dealing_day is None:
            raise Conflict(
                "this order can no longer be cancelled: it is no longer open", code="order_closed"
            )
        if at > row.dealing_day.cutoff_at:
            raise Conflict("the cut-off for this dealing day has passed", code="cutoff_passed")
        if row.kind == DealingOrder.Kind.REDEMPTION:
            release_units(row, row.units or Decimal(0), at)
        row.state, row.updated_at = DealingOrder.State.CANCELLED, at
        row.save(update_fields=["state", "updated_at"])
        _note(actor, "order.cancelled", row, at)
    return row


def receive_money(
    *, order: DealingOrder, amount: Decimal, actor: Actor, at: datetime | None = None
) -> DealingOrder:
    """Book the cleared money of a subscription: client money, a liability until units exist.

    Raises :class:`InvalidInput` when it is not the order's amount: an unknown receipt is not dealt.
    """
    at = at or utc_now()
    with transaction.atomic():
        row = DealingOrder.objects.select_for_update().get(pk=order.pk)
        if row.state != DealingOrder.State.ACCEPTED or row.kind != "subscription":
            raise Conflict("this order is not awaiting funds", code="not_waiting")
        if amount != row.amount:
            raise InvalidInput(
                "the amount received differs from the order amount", code="wrong_amount"
            )
        fund = row.share_class.fund
        post_entry(
            fund,
            NewEntry(
                kind="subscription_received",
                source_ref=f"received:{row.pk}",
                effective_at=at,
                text=f"Cleared funds for order {row.pk}",
                legs=move("1020", "2010", amount, share_class=row.share_class.code),
            ),
            actor=actor,
        )
        row.state, row.updated_at = DealingOrder.State.FUNDED, at
        row.save(update_fields=["state", "updated_at"])
        _note(actor, "order.funded", row, at)
    return row


def release_units(order: DealingOrder, units: Decimal, at: datetime) -> None:
    """Free reserved units in the caller's transaction."""
    Holding.objects.select_for_update().get(
        investor_id=order.investor_id, share_class_id=order.share_class_id
    )
    Holding.objects.filter(
        investor_id=order.investor_id, share_class_id=order.share_class_id
    ).update(reserved_units=F("reserved_units") - units, updated_at=at)


def _holds(investor: Investor, share_class: ShareClass) -> bool:
    return Holding.objects.filter(investor=investor, share_class=share_class, units__gt=0).exists()


def _require_kyc(investor: Investor) -> None:
    if investor.kyc_state != Investor.Kyc.APPROVED:
        raise NotAllowed("your identity verification (KYC) is not complete", code="kyc_open")


def _require_measure(value: Decimal, *, quantum: Decimal, what: str) -> None:
    """A finite positive number of the ledger's range in whole quanta."""
    number = decimal_of(value)
    if number <= 0:
        raise InvalidInput(f"the {what} must be positive", code="not_positive")
    if quantize(number, quantum) != number:
        raise InvalidInput(f"the {what} must be a multiple of {quantum:f}", code="too_fine")


def _require_own(investor: Investor, actor: Actor) -> None:
    """Investors may order only for themselves; staff need the capability dealing.process."""
    if actor.user is None:
        return
    if investor.user_id == actor.user.pk:
        return
    from magnetfund.core.roles import Capability

    actor.require(Capability.DEALING_PROCESS)


def _note(actor: Actor, action: str, order: DealingOrder, at: datetime) -> None:
    record_audit(
        actor=actor,
        action=action,
        subject=("dealing_order", order.pk),
        body={
            "investor": str(order.investor_id),
            "class": str(order.share_class_id),
            "amount": None if order.amount is None else f"{order.amount:f}",
            "units": None if order.units is None else f"{order.units:f}",
        },
        at=at,
    )
