"""What an approved strike has to deal: orders that are due, holders, lots and terms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from uuid import UUID

from django.db import connection

from investors.domain.dealing import DealingDate, SubscriptionStep, decide_subscription
from investors.domain.dealing.desk import ClassDesk, Redeeming
from investors.domain.fees import ClassTerms
from investors.domain.ledger.chart import UNIT_CAPITAL
from investors.domain.onboarding import KycState
from investors.domain.strike import LotInput, SubscriptionOrder
from investors.models import (
    ClassNav,
    DealingDay,
    DealingOrder,
    Holding,
    Investor,
    NavStrike,
)
from investors.services.nav_calendar import ends_period
from investors.services.policies import terms_in_force
from magnetfund.kernel.money import Rounding, quantize

ZERO = Decimal(0)
_REDEEMING = ("submitted", "accepted", "deferred")


@dataclass(frozen=True, slots=True, kw_only=True)
class DealingBook:
    """What the day knows: the strike, its classes with terms, and the open orders by id.

    ``dealable`` are those of ``due`` whose investor may take units: a switch of an investor who is
    not approved now waits, as his subscription would.
    """

    strike: NavStrike
    rows: Sequence[tuple[ClassNav, ClassTerms]]
    orders: dict[str, DealingOrder]
    due: frozenset[str]
    dealable: frozenset[str]
    funded: dict[str, Sequence[SubscriptionOrder]]


@dataclass(frozen=True, slots=True, kw_only=True)
class LotsApart:
    """Units and cost by lot of a class that go into side pockets at a NAV, and what they are of its
    NAV."""

    units: Mapping[str, Decimal]
    cost: Mapping[str, Decimal]
    nav: Decimal


NOTHING_APART = LotsApart(units={}, cost={}, nav=ZERO)


def open_book(strike: NavStrike, *, lock: bool = True) -> DealingBook:
    rows = [
        (row, terms_in_force(row.share_class, at=strike.valuation_at))
        for row in strike.classes.select_related("share_class").order_by("share_class__code")
    ]
    query = (
        DealingOrder.objects.filter(
            share_class__fund=strike.fund_id, state__in=(*_REDEEMING, "funded")
        )
        .select_related("dealing_day", "share_class")
        .order_by("received_at", "id")
    )
    found = list(query.select_for_update(of=("self",)) if lock else query)
    if lock:
        # The holding's row is what every change of its units locks.
        holders = [order.investor_id for order in found]
        list(
            Holding.objects.select_for_update()
            .filter(share_class__fund=strike.fund_id, investor__in=holders)
            .order_by("pk")
        )
    due = frozenset(str(order.pk) for order in found if _is_due(order, strike.dealing_day))
    approved = _find_approved(found)
    return DealingBook(
        strike=strike,
        rows=rows,
        orders={str(order.pk): order for order in found},
        due=due,
        dealable=frozenset(
            str(order.pk)
            for order in found
            if str(order.pk) in due and (not order.is_switch or order.investor_id in approved)
        ),
        funded=_find_funded(strike, found, due, approved, rows),
    )


def _find_approved(orders: Sequence[DealingOrder]) -> set[UUID]:
    """Investors of these orders whose KYC is approved now."""
    return set(
        Investor.objects.filter(
            pk__in=[order.investor_id for order in orders], kyc_state=KycState.APPROVED
        ).values_list("pk", flat=True)
    )


def _is_due(order: DealingOrder, day: DealingDay | None) -> bool:
    """Orders of this day, of a day that was passed over, and of none yet; none on a shut day."""
    if day is None or day.is_suspended:
        return False
    if order.dealing_day is None:
        return order.received_at <= day.cutoff_at
    return order.dealing_day.day <= day.day


def _find_funded(
    strike: NavStrike,
    orders: Sequence[DealingOrder],
    due: frozenset[str],
    approved: set[UUID],
    rows: Sequence[tuple[ClassNav, ClassTerms]],
) -> dict[str, Sequence[SubscriptionOrder]]:
    """Subscriptions to deal by class id: money cleared in time and the investor approved now."""
    day = strike.dealing_day
    found: dict[str, list[SubscriptionOrder]] = {str(row.share_class_id): [] for row, _ in rows}
    if day is None:
        return dict(found)
    date = DealingDate(
        day=day.day,
        cutoff_at=day.cutoff_at,
        funding_deadline_at=day.funding_deadline_at,
        valuation_at=day.valuation_at,
        is_suspended=day.is_suspended,
    )
    for order in orders:
        if str(order.share_class_id) not in found:
            continue  # a class whose terms are still to come is not priced: the order waits
        if order.kind == DealingOrder.Kind.REINVESTMENT and str(order.pk) in due:
            # Its money never left the fund: it knows no deadline.
            if order.investor_id in approved:
                found[str(order.share_class_id)].append(
                    SubscriptionOrder(
                        order=str(order.pk), amount=order.funded_amount, pays_entry_fee=False
                    )
                )
        elif order.kind == DealingOrder.Kind.SUBSCRIPTION and str(order.pk) in due:
            step = decide_subscription(
                dealing_date=date,
                is_kyc_approved=order.investor_id in approved,
                cleared_at=order.funded_at,
                rolls=order.rolls,
                rolls_max=order.rolls + 1,
            )
            if step is SubscriptionStep.DEAL:
                found[str(order.share_class_id)].append(
                    SubscriptionOrder(order=str(order.pk), amount=order.funded_amount)
                )
    return dict(found)


def describe_class(
    book: DealingBook, row: ClassNav, terms: ClassTerms, apart: LotsApart = NOTHING_APART
) -> ClassDesk:
    """A class as the day finds it, after what of it goes ``apart`` into side pockets."""
    strike = book.strike
    ends = ends_period(terms, strike.valuation_at)
    asked = [
        order
        for order in book.orders.values()
        if order.share_class_id == row.share_class_id and order.takes_units
    ]
    codes = {item.share_class_id: item.share_class.code for item, _ in book.rows}
    is_needed = bool(asked) or ends
    forced = {str(order.investor_id) for order in asked if order.is_compulsory}
    lots = [_without(lot, apart) for lot in read_lots_of(row.share_class_id)] if is_needed else []
    size = _fit_orders(asked, lots, apart, book.dealable, terms.unit_quantum)
    return ClassDesk(
        code=row.share_class.code,
        terms=terms,
        price=row.issue_price,
        nav=row.nav - apart.nav,
        day=strike.valuation_at.date(),
        lots=tuple(
            replace(lot, lockup_until=None) if lot.holder in forced else lot for lot in lots
        ),
        fees={
            str(lot): fee
            for lot, fee in strike.lots.filter(
                lot__share_class=row.share_class, performance_fee_per_unit__gt=0
            ).values_list("lot_id", "performance_fee_per_unit")
        }
        if is_needed
        else {},
        ends_period=ends,
        redemptions=tuple(
            Redeeming(
                order=str(order.pk),
                holder=str(order.investor_id),
                units=None if order.is_all else size.get(order.pk, order.units),
                first_day=order.first_day or strike.valuation_at.date(),
                is_due=str(order.pk) in book.dealable,
                into=codes[order.into_class_id] if order.into_class_id else "",
            )
            for order in asked
        ),
        subscriptions=tuple(book.funded.get(str(row.share_class_id), ())),
    )


def _without(lot: LotInput, apart: LotsApart) -> LotInput:
    if lot.lot not in apart.units:
        return lot
    units, cost = lot.units - apart.units[lot.lot], lot.cost - apart.cost[lot.lot]
    return replace(lot, units=units, cost=cost)


def _fit_orders(
    asked: Sequence[DealingOrder],
    lots: Sequence[LotInput],
    apart: LotsApart,
    dealable: frozenset[str],
    step: Decimal,
) -> dict[UUID, Decimal]:
    """New sizes of due orders that ask for more than a side pocket leaves their holder: each in
    proportion, so that the part of the order that can be dealt is."""
    if not apart.units:
        return {}
    held: dict[str, Decimal] = {}
    for lot in lots:
        held[lot.holder] = held.get(lot.holder, ZERO) + lot.units
    found = {}
    by_holder: dict[str, list[DealingOrder]] = {}
    for order in asked:
        if str(order.pk) in dealable and not order.is_all:
            by_holder.setdefault(str(order.investor_id), []).append(order)
    for holder, orders in by_holder.items():
        wanted = sum((order.units or ZERO for order in orders), ZERO)
        left = held.get(holder, ZERO)
        if wanted > left:
            for order in orders:
                share = (order.units or ZERO) * left / wanted
                found[order.pk] = quantize(share, step, Rounding.DOWN)
    return found


def read_lots_of(share_class_id: int) -> list[LotInput]:
    """Open lots of a class with what is left of their capital in the ledger."""
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT l.id::text, l.number, l.units, l.high_water_mark, l.hurdle_start,
                      l.dealing_day, h.investor_id::text, coalesce(c.cost, 0), l.lockup_until
               FROM investors_unitlot l JOIN investors_holding h ON h.id = l.holding_id
               LEFT JOIN (SELECT p.lot, -sum(p.amount) AS cost FROM investors_posting p
                          WHERE p.account_id = %s AND p.lot IS NOT NULL GROUP BY p.lot) c
                 ON c.lot = l.id
               WHERE l.share_class_id = %s AND l.units > 0 ORDER BY l.number""",
            [UNIT_CAPITAL, share_class_id],
        )
        return [
            LotInput(lot=lot, number=number, units=units, mark=mark, clock=clock,
                     dealing_day=day, holder=holder, cost=cost, lockup_until=locked)
            for lot, number, units, mark, clock, day, holder, cost, locked in cursor.fetchall()
        ]  # fmt: skip
