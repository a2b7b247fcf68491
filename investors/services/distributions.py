"""Distributions of a class: proposed by one person, declared by another, paid or reinvested.

The record date is the newest dealt NAV: who held units after its dealing is paid, whoever holds
them now.  Declaring takes the money out of the class at once, lowers every mark by it, and makes
one order a holder: money owed, which a payment of two people pays, or money that buys units at the
next NAV.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.db import connection, transaction

from investors.domain.dealing import Allotment, allot_distribution, lower_mark
from investors.domain.ledger import Tags, build_entry
from investors.models import (
    DealingDay,
    DealingOrder,
    Distribution,
    Entry,
    Fund,
    Investor,
    NavStrike,
    ShareClass,
    UnitEntry,
    UnitLot,
)
from investors.services.dealing_rules import last_price, require_open
from investors.services.ledger import NewEntry, post_entries
from investors.services.lot_values import net_values
from investors.services.messages import send_message
from investors.services.nav_settlement import level_bank
from investors.services.policies import terms_in_force
from investors.services.transfers import require_struck
from magnetfund.core.actors import Actor
from magnetfund.core.locks import AdvisoryLock, take_lock
from magnetfund.core.roles import Capability
from magnetfund.core.services.audit import record_audit
from magnetfund.core.services.signing import DISTRIBUTION, signed_step, signed_to
from magnetfund.kernel.clock import utc_now
from magnetfund.kernel.errors import Conflict, InvalidInput
from magnetfund.kernel.identifiers import derived_uuid

BATCH = 5000


def propose_distribution(
    *,
    share_class: ShareClass,
    actor: Actor,
    reason: str,
    per_unit: Decimal | None = None,
    amount: Decimal | None = None,
    is_in_units: bool = False,
    exceptions: Sequence[str] = (),
) -> Distribution:
    """Propose a distribution to the holders of a class at its newest dealt NAV.

    ``exceptions`` are numbers of holders who get the other form: units instead of cash, or cash
    instead of units.  Raises :class:`Conflict` (``no_nav``, ``fund_suspended``) and
    :class:`InvalidInput`: ``reason_missing``, ``no_investor``, what :func:`allot_distribution` and
    :func:`lower_mark` raise.
    """
    actor.require(Capability.DEALING_PROCESS)
    assert actor.user is not None
    if not reason.strip():
        raise InvalidInput("a reason is needed", code="reason_missing")
    require_open(share_class.fund)
    row = Distribution(
        share_class=share_class,
        strike=_newest(share_class.fund),
        per_unit=per_unit,
        amount=amount,
        is_in_units=is_in_units,
        exceptions=sorted(set(exceptions)),
        reason=reason.strip()[:300],
        proposed_by=actor.user,
    )
    with transaction.atomic():
        held = held_at(row.strike, share_class)
        found = preview_distribution(row)
        _lowered(row, found)
        strangers = set(row.exceptions) - set(
            Investor.objects.filter(pk__in=held).values_list("number", flat=True)
        )
        if strangers:
            raise InvalidInput(
                f"no holder of this class at that NAV: {', '.join(sorted(strangers))}",
                code="no_investor",
            )
        row.save(force_insert=True)
        _note(actor, "distribution.proposed", row, total=f"{found.total:f}")
    return row


def preview_distribution(row: Distribution) -> Allotment:
    """What each holder (by id) would get; nothing is written."""
    terms = terms_in_force(row.share_class, at=row.strike.valuation_at)
    return allot_distribution(
        units={str(who): units for who, units in held_at(row.strike, row.share_class).items()},
        per_unit=row.per_unit,
        amount=row.amount,
        price_quantum=terms.price_quantum,
        cash_quantum=terms.cash_quantum,
    )


def decide_distribution(
    *, distribution: Distribution, is_approved: bool, actor: Actor, at: datetime | None = None
) -> Distribution:
    """Declare a proposed distribution, or decline it, by another person than the proposer.

    Raises :class:`NotAllowed` (``same_person``) and :class:`Conflict`: ``proposal_closed``,
    ``record_passed`` where a newer NAV was dealt, ``day_unstruck``, ``fund_suspended``; and
    :class:`SignatureMissing` until the actor has signed what he decides.
    """
    actor.require(Capability.DEALING_APPROVE)
    at = at or utc_now()
    with transaction.atomic():
        fund = distribution.share_class.fund
        take_lock(AdvisoryLock.STRIKE_OF_FUND, fund.pk)
        row = (
            Distribution.objects.select_for_update(of=("self",))
            .select_related("share_class__fund", "strike__dealing_day", "proposed_by")
            .get(pk=distribution.pk)
        )
        if row.decided_at is not None:
            raise Conflict("this proposal has been decided", code="proposal_closed")
        user = actor.require_other_than(row.proposed_by, "a distribution")
        if is_approved:
            Actor.of(row.proposed_by).require(Capability.DEALING_PROCESS)
            _declare(row, actor, at)
        row.decided_by, row.decided_at, row.is_approved = user, at, is_approved
        action = signed_to(DISTRIBUTION, is_approved=is_approved)
        with signed_step(action=action, subject=row.pk):
            row.save(
                update_fields=[
                    "decided_by", "decided_at", "is_approved", "total", "lowers_marks_by",
                ]
            )  # fmt: skip
        if is_approved:
            _owe(row, preview_distribution(row), actor, at)
            level_bank(
                fund, at=at, source=f"distribution:{row.pk}",
                text=f"Distribution {row.reference}", actor=actor,
            )  # fmt: skip
        _note(actor, "distribution.decided", row, approved=is_approved)
    return row


def _declare(row: Distribution, actor: Actor, at: datetime) -> None:
    """Take the money out of the class and lower its marks."""
    fund = row.share_class.fund
    require_open(fund)
    if _newest(fund).pk != row.strike_id:
        raise Conflict("a newer NAV was dealt since; propose it again", code="record_passed")
    require_struck(fund, at)
    found = preview_distribution(row)
    marks = _lowered(row, found)
    row.total, row.lowers_marks_by = found.total, found.per_unit
    entry = build_entry(
        event="distribution_declared",
        source_ref=f"distribution_declared:{row.pk}",
        effective_at=at,
        amounts={"amount": found.total},
        currency=fund.currency,
        tags=Tags(share_class=row.share_class.code),
        text=f"Distribution {row.reference}",
    )
    (posted,) = post_entries(fund, [NewEntry.of(entry)], actor=actor)
    _write_marks(row, marks, posted, at)


def _lowered(row: Distribution, found: Allotment) -> list[tuple[UnitLot, Decimal]]:
    """Each open lot with its mark after the distribution."""
    lots = list(UnitLot.objects.filter(share_class=row.share_class, units__gt=0).order_by("number"))
    net = net_values([lot.pk for lot in lots], row.strike)
    return [
        (
            lot,
            lower_mark(
                mark=lot.high_water_mark,
                net_value=net[lot.pk],
                per_unit=found.per_unit,
            ),
        )
        for lot in lots
    ]


def _write_marks(
    row: Distribution, marks: Sequence[tuple[UnitLot, Decimal]], entry: Entry, at: datetime
) -> None:
    price = last_price(row.share_class)
    UnitEntry.objects.bulk_create(
        [
            UnitEntry(
                lot=lot,
                kind=UnitEntry.Kind.DISTRIBUTION,
                units=Decimal(0),
                price=price,
                high_water_mark=mark,
                hurdle_start=lot.hurdle_start,
                strike=None,
                entry=entry,
                effective_at=at,
            )
            for lot, mark in marks
        ],
        batch_size=BATCH,
    )


def _owe(row: Distribution, found: Allotment, actor: Actor, at: datetime) -> None:
    """One order for each holder who gets something, and a message that says what."""
    day = (
        DealingDay.objects.filter(
            fund=row.share_class.fund, is_suspended=False, valuation_at__gt=at
        )
        .order_by("valuation_at")
        .first()
    )
    people = Investor.objects.in_bulk([UUID(who) for who in found.shares])
    orders = []
    for who, money in found.shares.items():
        is_other = people[UUID(who)].number in row.exceptions
        orders.append(_order(row, people[UUID(who)], money, row.is_in_units != is_other, day, at))
    DealingOrder.objects.bulk_create(orders, batch_size=BATCH)
    for order in orders:
        assert order.amount is not None
        body = {
            "investor": str(order.investor_id),
            "class": str(order.share_class_id),
            "amount": f"{order.amount:f}",
        }
        actions = [f"order.{order.kind}"]
        if order.buys_units:
            actions.append("order.funded")
        for action in actions:
            record_audit(
                actor=actor, action=action, subject=("dealing_order", order.pk), body=body, at=at
            )
        _tell(row, order)


def _order(
    row: Distribution,
    investor: Investor,
    money: Decimal,
    is_reinvested: bool,
    day: DealingDay | None,
    at: datetime,
) -> DealingOrder:
    order = DealingOrder(
        id=derived_uuid("distribution", f"{row.pk}:{investor.pk}"),
        investor=investor,
        share_class=row.share_class,
        distribution=row,
        amount=money,
        received_at=at,
        updated_at=at,
        first_day=row.strike.valuation_at.date(),
        submitted_by=row.proposed_by,
    )
    if is_reinvested:
        order.kind, order.state = DealingOrder.Kind.REINVESTMENT, DealingOrder.State.FUNDED
        order.funded_amount, order.funded_at, order.dealing_day = money, at, day
    else:
        order.kind, order.state = DealingOrder.Kind.DISTRIBUTION, DealingOrder.State.PAYABLE
        order.dealt_amount, order.strike = money, row.strike
    return order


def _tell(row: Distribution, order: DealingOrder) -> None:
    fund = row.share_class.fund
    what = "is paid to your account on file, by two people of the fund"
    if order.buys_units:
        what = "buys units at the next NAV, without an entry fee"
    send_message(
        investor=order.investor,
        key=f"distribution:{order.pk}",
        subject=f"Distribution of {order.amount:,.2f} {fund.currency}",
        body=(
            f"Class {row.share_class.code} of {fund.name} distributes "
            f"{row.lowers_marks_by:,.6f} {fund.currency} per unit to those who held units on "
            f"{row.strike.valuation_at:%-d %b %Y}. Your part of {order.amount:,.2f} "
            f"{fund.currency} {what}. The price of a unit and its high-water mark fall by the "
            f"distribution. Order {order.reference}."
        ),
    )


def held_at(strike: NavStrike, share_class: ShareClass) -> dict[UUID, Decimal]:
    """Units of each holder of a class after the dealing at a NAV, by number of the holder."""
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT h.investor_id, sum(u.units)
               FROM investors_unitentry u JOIN investors_unitlot l ON l.id = u.lot_id
               JOIN investors_holding h ON h.id = l.holding_id
               JOIN investors_investor i ON i.id = h.investor_id
               WHERE l.share_class_id = %s AND u.effective_at <= %s
               GROUP BY h.investor_id, i.number HAVING sum(u.units) > 0 ORDER BY i.number""",
            [share_class.pk, strike.valuation_at],
        )
        return dict(cursor.fetchall())


def _newest(fund: Fund) -> NavStrike:
    found = (
        NavStrike.objects.filter(fund=fund, state=NavStrike.State.DEALT)
        .order_by("-valuation_at", "-version")
        .first()
    )
    if found is None:
        raise Conflict("there is no dealt NAV yet", code="no_nav")
    return found


def _note(actor: Actor, action: str, row: Distribution, **more: object) -> None:
    record_audit(
        actor=actor,
        action=action,
        subject=("distribution", row.pk),
        body={
            "class": str(row.share_class_id),
            "nav": str(row.strike_id),
            "per_unit": None if row.per_unit is None else f"{row.per_unit:f}",
            "amount": None if row.amount is None else f"{row.amount:f}",
            "in_units": row.is_in_units,
            "exceptions": row.exceptions,
            "reason": row.reason,
            **more,
        },
    )
