"""What a strike's approval sets in motion, in its transaction and at its price.

Read once (orders, holdings, lots), decided by :func:`investors.domain.dealing.plan.plan_dealing`,
written once: one ledger entry per class and event with the lots as its postings, then the money
(:mod:`investors.services.nav_settlement`).  All entries are effective at the valuation instant.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from django.db import connection
from django.db.models import Max

from investors.domain.dealing import DealingDate, SubscriptionStep, decide_subscription
from investors.domain.dealing.plan import ClassDesk, ClassPlan, Redeeming, plan_dealing
from investors.domain.exact import round_to_total
from investors.domain.fees import ClassTerms, is_crystallisation_day
from investors.domain.ledger import JointLine, JournalEntry, Tags, build_joint_entry
from investors.domain.strike import LotInput, RedemptionResult, SubscriptionOrder
from investors.models import (
    ClassNav,
    DealingDay,
    DealingOrder,
    Holding,
    Investor,
    NavStrike,
    UnitEntry,
    UnitLot,
)
from investors.services.ledger import NewEntry, post_entries
from investors.services.nav_orders import save_orders
from investors.services.nav_settlement import settle_strike, snapshot_investors
from investors.services.policies import terms_in_force
from magnetfund.core.actors import Actor
from magnetfund.kernel.identifiers import derived_uuid

ZERO, CENT = Decimal(0), Decimal("0.01")
REDEEMING = ("submitted", "accepted", "deferred")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Book:
    """What the day knows: the strike, its classes with terms, and the open orders by id."""

    strike: NavStrike
    rows: Sequence[tuple[ClassNav, ClassTerms]]
    orders: dict[str, DealingOrder]
    due: frozenset[str]
    funded: dict[str, Sequence[SubscriptionOrder]]


def ends_period(terms: ClassTerms, valuation_at: datetime) -> bool:
    """Whether a valuation ends a fiscal period of the class: its fees become final there."""
    day = (valuation_at - timedelta(microseconds=1)).date()
    return is_crystallisation_day(terms=terms, day=day)


def deal_strike(strike: NavStrike, *, actor: Actor, at: datetime) -> None:
    """Carry out everything that an approved strike means, in the caller's transaction."""
    book = _open_book(strike)
    _post_fees(book, actor)
    plans = plan_dealing(
        desks=[_desk(book, row, terms) for row, terms in book.rows], fund_nav=strike.nav
    )
    paid_in = ZERO
    for (row, _), plan in zip(book.rows, plans, strict=True):
        _reserve(row, plan)
        lots = {lot.lot: lot for lot in _lots(row)}
        _redeem(book, row, plan, lots, actor)
        _crystallise(book, row, plan, lots, actor)
        paid_in += _subscribe(book, row, plan, actor)
    save_orders(
        strike=strike,
        plans=[(row, plan) for (row, _), plan in zip(book.rows, plans, strict=True)],
        orders=book.orders,
        due=book.due,
        actor=actor,
        at=at,
    )
    settle_strike(strike, paid_in=paid_in, actor=actor)
    snapshot_investors(strike)


def preview_dealing(strike: NavStrike) -> Sequence[tuple[ClassNav, ClassPlan]]:
    """What approving a prepared strike would deal; nothing is written."""
    book = _open_book(strike, lock=False)
    plans = plan_dealing(
        desks=[_desk(book, row, terms) for row, terms in book.rows], fund_nav=strike.nav
    )
    return list(zip((row for row, _ in book.rows), plans, strict=True))


# ---- reading -------------------------------------------------------------------------------------


def _open_book(strike: NavStrike, *, lock: bool = True) -> _Book:
    rows = [
        (row, terms_in_force(row.share_class, at=strike.valuation_at))
        for row in strike.classes.select_related("share_class").order_by("share_class__code")
    ]
    query = (
        DealingOrder.objects.filter(
            share_class__fund=strike.fund_id, state__in=(*REDEEMING, "funded")
        )
        .select_related("dealing_day")
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
    return _Book(
        strike=strike,
        rows=rows,
        orders={str(order.pk): order for order in found},
        due=due,
        funded=_find_funded(strike, found, due, rows),
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
    approved = set(
        Investor.objects.filter(
            pk__in=[order.investor_id for order in orders], kyc_state=Investor.Kyc.APPROVED
        ).values_list("pk", flat=True)
    )
    for order in orders:
        if order.kind == DealingOrder.Kind.SUBSCRIPTION and str(order.pk) in due:
            step = decide_subscription(
                dealing_date=date,
                is_kyc_approved=order.investor_id in approved,
                cleared_at=order.funded_at,
                rolls=order.rolls,
                rolls_max=order.rolls + 1,
            )
            if step is SubscriptionStep.DEAL:
                found[str(order.share_class_id)].append(
                    SubscriptionOrder(order=str(order.pk), amount=order.amount or ZERO)
                )
    return dict(found)


def _desk(book: _Book, row: ClassNav, terms: ClassTerms) -> ClassDesk:
    strike = book.strike
    ends = ends_period(terms, strike.valuation_at)
    asked = [
        order
        for order in book.orders.values()
        if order.share_class_id == row.share_class_id and order.kind == DealingOrder.Kind.REDEMPTION
    ]
    is_needed = bool(asked) or ends
    return ClassDesk(
        code=row.share_class.code,
        terms=terms,
        price=row.issue_price,
        nav=row.nav,
        day=strike.valuation_at.date(),
        lots=tuple(_lots(row)) if is_needed else (),
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
                units=None if order.is_all else order.units,
                first_day=order.first_day or strike.valuation_at.date(),
                is_due=str(order.pk) in book.due,
            )
            for order in asked
        ),
        subscriptions=tuple(book.funded.get(str(row.share_class_id), ())),
    )


def _lots(row: ClassNav) -> list[LotInput]:
    """Open lots of a class with what is left of their capital in the ledger."""
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT l.id, l.number, l.units, l.high_water_mark, l.hurdle_start, l.dealing_day,
                      h.investor_id, coalesce(c.cost, 0)
               FROM investors_unitlot l JOIN investors_holding h ON h.id = l.holding_id
               LEFT JOIN (SELECT p.lot, -sum(p.amount) AS cost FROM investors_posting p
                          WHERE p.account_id = '3010' AND p.lot IS NOT NULL GROUP BY p.lot) c
                 ON c.lot = l.id
               WHERE l.share_class_id = %s AND l.units > 0 ORDER BY l.number""",
            [row.share_class_id],
        )
        return [
            LotInput(lot=str(lot), number=number, units=units, mark=mark, clock=clock,
                     dealing_day=day, holder=str(holder), cost=cost)
            for lot, number, units, mark, clock, day, holder, cost in cursor.fetchall()
        ]  # fmt: skip


# ---- writing -------------------------------------------------------------------------------------


def _post_fees(book: _Book, actor: Actor) -> None:
    strike, news = book.strike, []
    unallocated = Decimal(strike.inputs.get("unallocated", "0"))
    if unallocated:
        news.append(_entry(book, "unallocated_recognised", "", [({"amount": unallocated}, Tags())]))
    for row, _ in book.rows:
        tags = Tags(share_class=row.share_class.code)
        change = Decimal(row.detail["accrual_change"])
        for event, amount in (
            ("management_fee", row.management_fee), ("performance_fee_accrual", change)
        ):  # fmt: skip
            if amount:
                news.append(_entry(book, event, tags.share_class, [({"amount": amount}, tags)]))
    post_entries(strike.fund, [NewEntry.of(entry) for entry in news], actor=actor)


def _entry(
    book: _Book, event: str, code: str, lines: Sequence[tuple[Mapping[str, Decimal], Tags]]
) -> JournalEntry:
    strike = book.strike
    return build_joint_entry(
        event=event,
        source_ref=f"{event}:{strike.pk}:{code}",
        effective_at=strike.valuation_at,
        lines=[JointLine(amounts=amounts, tags=tags) for amounts, tags in lines],
        currency=strike.fund.currency,
        fund=strike.fund.code,
    )


def _reserve(row: ClassNav, plan: ClassPlan) -> None:
    """Reservations fall before the units do: they may never exceed them."""
    for holder, units in plan.reserved.items():
        Holding.objects.filter(investor_id=UUID(holder), share_class=row.share_class).update(
            reserved_units=units
        )


def _redeem(
    book: _Book, row: ClassNav, plan: ClassPlan, lots: dict[str, LotInput], actor: Actor
) -> None:
    code, dealt = row.share_class.code, [item for item in plan.redemptions if item.units > 0]
    if not dealt:
        return
    lines = []
    for result in dealt:
        for cut, gross in zip(result.cuts, _gross_of_cuts(result), strict=True):
            amounts = {
                "capital": cut.cost,
                "result": gross - cut.cost,
                "performance_fee": cut.fee,
                "units": cut.units,
            }
            lines.append((amounts, Tags(share_class=code, lot=UUID(cut.lot))))
    news = [NewEntry.of(_entry(book, "redemption_dealt", code, lines))]
    exit_fees = sum((result.exit_fee for result in dealt), ZERO)
    if exit_fees:
        tags = Tags(share_class=code)
        news.append(NewEntry.of(_entry(book, "exit_fee", code, [({"to_fund": exit_fees}, tags)])))
    entry = post_entries(book.strike.fund, news, actor=actor)[0]
    UnitEntry.objects.bulk_create(
        [
            UnitEntry(
                lot_id=UUID(cut.lot),
                kind=UnitEntry.Kind.REDEEM,
                units=-cut.units,
                price=row.issue_price,
                high_water_mark=lots[cut.lot].mark,
                hurdle_start=lots[cut.lot].clock,
                strike=book.strike,
                order=book.orders[result.order],
                entry=entry,
                effective_at=book.strike.valuation_at,
            )
            for result in dealt
            for cut in result.cuts
        ],
        batch_size=5000,
    )


def _gross_of_cuts(result: RedemptionResult) -> list[Decimal]:
    """What each lot pays in cents; together the payout and the exit fee."""
    parts = list(round_to_total([cut.gross for cut in result.cuts], quantum=CENT))
    parts[0] += result.payout + result.exit_fee - sum(parts, ZERO)
    return parts


def _crystallise(
    book: _Book, row: ClassNav, plan: ClassPlan, lots: dict[str, LotInput], actor: Actor
) -> None:
    """Fee units leave, the mark of a charged lot moves to g, clocks start anew by the terms."""
    strike, code = book.strike, row.share_class.code
    day, moves, entry = strike.valuation_at.date(), [], None
    if plan.crystallised:
        lines = [
            (
                {"payable": item.payable, "units": item.units},
                Tags(share_class=code, lot=UUID(item.lot)),
            )
            for item in plan.crystallised
        ]
        dust = round_to_total([sum((i.dust for i in plan.crystallised), ZERO)], quantum=CENT)[0]
        lines.append(({"dust": dust}, Tags(share_class=code)))
        new = NewEntry.of(_entry(book, "performance_fee_crystallised", code, lines))
        entry = post_entries(strike.fund, [new], actor=actor)[0]
        moves = [
            (UnitEntry.Kind.FEE_CANCEL, item.lot, -item.units, row.issue_price, day)
            for item in plan.crystallised
        ]
    moves += [
        (UnitEntry.Kind.CLOCK, lot, ZERO, lots[lot].mark, clock)
        for lot, clock in plan.clocks.items()
    ]
    UnitEntry.objects.bulk_create(
        [
            UnitEntry(
                lot_id=UUID(lot),
                kind=kind,
                units=units,
                price=row.issue_price,
                high_water_mark=mark,
                hurdle_start=clock,
                strike=strike,
                entry=entry if units else None,
                effective_at=strike.valuation_at,
            )
            for kind, lot, units, mark, clock in moves
        ],
        batch_size=5000,
    )


def _subscribe(book: _Book, row: ClassNav, plan: ClassPlan, actor: Actor) -> Decimal:
    """New lots and their entries; gives the money that left client money for them."""
    strike, code, dealt = book.strike, row.share_class.code, plan.subscriptions
    if not dealt:
        return ZERO
    orders = [book.orders[result.order] for result in dealt]
    at, day = strike.valuation_at, strike.valuation_at.date()
    Holding.objects.bulk_create(
        [
            Holding(investor_id=who, share_class=row.share_class, updated_at=at)
            for who in dict.fromkeys(order.investor_id for order in orders)
        ],
        ignore_conflicts=True,
    )
    holdings = dict(
        Holding.objects.filter(
            share_class=row.share_class, investor__in=[order.investor_id for order in orders]
        ).values_list("investor_id", "pk")
    )
    newest = UnitLot.objects.aggregate(n=Max("number"))["n"] or 0
    lots = [
        UnitLot(
            id=derived_uuid("lot", result.order),
            number=newest + k,
            holding_id=holdings[order.investor_id],
            share_class=row.share_class,
            dealing_day=day,
            strike=strike,
            entry_price=row.issue_price,
            units=ZERO,
            high_water_mark=row.issue_price,
            hurdle_start=day,
            cost=result.consideration,
            opened_at=at,
        )
        for k, (result, order) in enumerate(zip(dealt, orders, strict=True), start=1)
    ]
    UnitLot.objects.bulk_create(lots, batch_size=5000)
    lines = [
        (
            {"consideration": r.consideration, "residue": r.residue, "units": r.units},
            Tags(share_class=code, lot=lot.pk),
        )
        for r, lot in zip(dealt, lots, strict=True)
    ]
    news = [NewEntry.of(_entry(book, "units_issued", code, lines))]
    fees = sum((result.entry_fee for result in dealt), ZERO)
    if fees:
        tags = Tags(share_class=code)
        news.append(NewEntry.of(_entry(book, "entry_fee", code, [({"to_fund": fees}, tags)])))
    entry = post_entries(strike.fund, news, actor=actor)[0]
    UnitEntry.objects.bulk_create(
        [
            UnitEntry(
                lot=lot,
                kind=UnitEntry.Kind.ISSUE,
                units=result.units,
                price=row.issue_price,
                high_water_mark=row.issue_price,
                hurdle_start=day,
                strike=strike,
                order=order,
                entry=entry,
                effective_at=at,
            )
            for result, order, lot in zip(dealt, orders, lots, strict=True)
        ],
        batch_size=5000,
    )
    return sum((order.amount or ZERO for order in orders), ZERO)
