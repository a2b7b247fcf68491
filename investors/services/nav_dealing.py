"""What a strike's approval sets in motion, in its transaction and at its price.

Read once (orders, holdings, lots), decided by :func:`investors.domain.dealing.plan.plan_dealing`,
written once: one ledger entry per class and event with the lots as its postings, then the money
(:mod:`investors.services.nav_settlement`).  All entries are effective at the valuation instant.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.db.models import Max

from investors.domain.dealing import find_lockup_end, size_holdback
from investors.domain.dealing.plan import ClassPlan, plan_dealing
from investors.domain.exact import round_to_total
from investors.domain.fees import ClassTerms
from investors.domain.ledger import JointLine, JournalEntry, Tags, build_joint_entry
from investors.domain.strike import LotInput, RedemptionResult
from investors.models import (
    ClassNav,
    Holding,
    NavStrike,
    UnitEntry,
    UnitLot,
)
from investors.services.ledger import NewEntry, post_entries
from investors.services.nav_dealing_book import DealingBook, describe_class, load_lots, open_book
from investors.services.nav_orders import save_orders
from investors.services.nav_settlement import settle_strike, snapshot_investors
from magnetfund.core.actors import Actor
from magnetfund.kernel.identifiers import derived_uuid

ZERO, CENT = Decimal(0), Decimal("0.01")


def deal_strike(strike: NavStrike, *, actor: Actor, at: datetime) -> None:
    """Carry out everything that an approved strike means, in the caller's transaction."""
    book = open_book(strike)
    _post_fees(book, actor)
    plans = plan_dealing(
        desks=[describe_class(book, row, terms) for row, terms in book.rows], fund_nav=strike.nav
    )
    paid_in, held = ZERO, dict[str, Decimal]()
    for (row, terms), plan in zip(book.rows, plans, strict=True):
        _reserve(row, plan)
        lots = {lot.lot: lot for lot in load_lots(row)}
        _redeem(book, row, plan, lots, actor)
        held |= _hold_back(book, row, terms, plan, actor)
        _crystallise(book, row, plan, lots, actor)
        paid_in += _subscribe(book, row, terms, plan, actor)
    save_orders(
        strike=strike,
        plans=[(row, plan) for (row, _), plan in zip(book.rows, plans, strict=True)],
        orders=book.orders,
        due=book.due,
        held=held,
        actor=actor,
        at=at,
    )
    settle_strike(strike, paid_in=paid_in, actor=actor)
    snapshot_investors(strike)


def preview_dealing(strike: NavStrike) -> Sequence[tuple[ClassNav, ClassPlan]]:
    """What approving a prepared strike would deal; nothing is written."""
    book = open_book(strike, lock=False)
    plans = plan_dealing(
        desks=[describe_class(book, row, terms) for row, terms in book.rows], fund_nav=strike.nav
    )
    return list(zip((row for row, _ in book.rows), plans, strict=True))


def _post_fees(book: DealingBook, actor: Actor) -> None:
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
    book: DealingBook, event: str, code: str, lines: Sequence[tuple[Mapping[str, Decimal], Tags]]
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
    book: DealingBook, row: ClassNav, plan: ClassPlan, lots: dict[str, LotInput], actor: Actor
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


def _hold_back(
    book: DealingBook, row: ClassNav, terms: ClassTerms, plan: ClassPlan, actor: Actor
) -> dict[str, Decimal]:
    """Keep the class's share of each order that leaves whole until the audit; by order."""
    held = {}
    for result in plan.redemptions:
        order = book.orders[result.order]
        share = size_holdback(
            payout=(order.dealt_amount or ZERO) + result.payout,
            share=terms.holdback_share,
            is_full_redemption=order.is_all and result.deferred == 0,
        )
        if share.held:
            held[result.order] = min(share.held, result.payout)
    if held:
        code, total = row.share_class.code, sum(held.values(), ZERO)
        entry = _entry(book, "holdback_set", code, [({"amount": total}, Tags(share_class=code))])
        post_entries(book.strike.fund, [NewEntry.of(entry)], actor=actor)
    return held


def _gross_of_cuts(result: RedemptionResult) -> list[Decimal]:
    """What each lot pays in cents; together the payout and the exit fee."""
    parts = list(round_to_total([cut.gross for cut in result.cuts], quantum=CENT))
    parts[0] += result.payout + result.exit_fee - sum(parts, ZERO)
    return parts


def _crystallise(
    book: DealingBook, row: ClassNav, plan: ClassPlan, lots: dict[str, LotInput], actor: Actor
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


def _subscribe(
    book: DealingBook, row: ClassNav, terms: ClassTerms, plan: ClassPlan, actor: Actor
) -> Decimal:
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
    lockup_until = find_lockup_end(terms=terms, dealing_day=day)
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
            lockup_until=lockup_until,
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
    return sum((order.funded_amount for order in orders), ZERO)
