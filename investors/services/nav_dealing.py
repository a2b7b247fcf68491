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

from investors.domain.dealing import size_holdback
from investors.domain.dealing.desk import ClassDesk, ClassPlan
from investors.domain.dealing.plan import plan_dealing
from investors.domain.exact import round_to_total
from investors.domain.fees import ClassTerms
from investors.domain.ledger import JointLine, JournalEntry, Tags
from investors.domain.strike import LotInput
from investors.models import (
    ClassNav,
    DealingOrder,
    Holding,
    NavStrike,
    UnitEntry,
)
from investors.services.ledger import NewEntry, post_entries
from investors.services.nav_dealing_book import DealingBook, describe_class, open_book
from investors.services.nav_lots import (
    Bought,
    Move,
    entry_of,
    lines_of_cuts,
    open_lots,
    record_cuts,
    record_issues,
    record_moves,
)
from investors.services.nav_orders import reserve_everything, save_orders
from investors.services.nav_settlement import settle_strike, snapshot_investors
from investors.services.nav_switches import deal_switches
from investors.services.pocket_dealing import (
    PocketSplit,
    create_pockets,
    lots_apart,
    plan_pockets,
)
from investors.services.pocket_proceeds import book_changes
from investors.services.rebate_accruals import post_rebates
from magnetfund.core.actors import Actor

ZERO, CENT = Decimal(0), Decimal("0.01")


def deal_strike(strike: NavStrike, *, actor: Actor, at: datetime) -> None:
    """Carry out everything that an approved strike means, in the caller's transaction."""
    book = open_book(strike)
    _post_fees(book, actor)
    splits = plan_pockets(strike, book.rows)
    desks, plans = _plan(book, splits)
    lots = {lot.lot: lot for desk in desks for lot in desk.lots}
    paid_in, held = ZERO, dict[str, Decimal]()
    for (row, _), plan in zip(book.rows, plans, strict=True):
        _reserve(row, plan)
    create_pockets(book, splits, actor=actor)
    paid_in += book_changes(book, actor)
    for (row, _), plan in zip(book.rows, plans, strict=True):
        _redeem(book, row, plan, lots, actor)
    deal_switches(book, plans, lots, actor)
    for (row, terms), plan in zip(book.rows, plans, strict=True):
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
    reserve_everything(strike.fund)
    post_rebates(book, actor)
    settle_strike(strike, paid_in=paid_in, actor=actor)
    snapshot_investors(strike)


def preview_dealing(strike: NavStrike) -> Sequence[tuple[ClassNav, ClassPlan]]:
    """What approving a prepared strike would deal; nothing is written."""
    book = open_book(strike, lock=False)
    _, plans = _plan(book, plan_pockets(strike, book.rows))
    return list(zip((row for row, _ in book.rows), plans, strict=True))


def _plan(
    book: DealingBook, splits: Sequence[PocketSplit]
) -> tuple[list[ClassDesk], Sequence[ClassPlan]]:
    """What is dealt of the units that stay when the pockets have theirs."""
    apart = {row.pk: lots_apart(splits, row) for row, _ in book.rows}
    desks = [describe_class(book, row, terms, apart[row.pk]) for row, terms in book.rows]
    left = book.strike.nav - sum((item.nav for item in apart.values()), ZERO)
    return desks, plan_dealing(desks=desks, fund_nav=left)


def _post_fees(book: DealingBook, actor: Actor) -> None:
    strike, news = book.strike, []
    unallocated = Decimal(strike.inputs.get("unallocated", "0"))
    if unallocated:
        news.append(_entry(book, "unallocated_recognised", "", {"amount": unallocated}))
    for row, _ in book.rows:
        change = Decimal(row.detail["accrual_change"])
        for event, amount in (
            ("management_fee", row.management_fee), ("performance_fee_accrual", change)
        ):  # fmt: skip
            if amount:
                news.append(_entry(book, event, row.share_class.code, {"amount": amount}))
    post_entries(strike.fund, [NewEntry.of(entry) for entry in news], actor=actor)


def _entry(
    book: DealingBook, event: str, code: str, amounts: Mapping[str, Decimal]
) -> JournalEntry:
    """The entry of an event that concerns a class as a whole."""
    return entry_of(book, event, code, [JointLine(amounts=amounts, tags=Tags(share_class=code))])


def _fee_line(code: str, lot: UUID, fee: Decimal) -> JointLine:
    """A dealing fee, named by a lot of the order that pays it: so it is found by its holder."""
    return JointLine(amounts={"to_fund": fee}, tags=Tags(share_class=code, lot=lot))


def _reserve(row: ClassNav, plan: ClassPlan) -> None:
    """Reservations fall before the units do: they may never exceed them."""
    for holder, units in plan.reserved.items():
        Holding.objects.filter(investor_id=UUID(holder), share_class=row.share_class).update(
            reserved_units=units
        )


def _redeem(
    book: DealingBook, row: ClassNav, plan: ClassPlan, lots: dict[str, LotInput], actor: Actor
) -> None:
    code = row.share_class.code
    dealt = [r for r in plan.redemptions if r.units > 0 and r.order not in plan.switches]
    if not dealt:
        return
    lines = [line for result in dealt for line in lines_of_cuts(code, result)]
    news = [NewEntry.of(entry_of(book, "redemption_dealt", code, lines))]
    fees = [
        _fee_line(code, UUID(result.cuts[0].lot), result.exit_fee)
        for result in dealt
        if result.exit_fee
    ]
    if fees:
        news.append(NewEntry.of(entry_of(book, "exit_fee", code, fees)))
    entry = post_entries(book.strike.fund, news, actor=actor)[0]
    record_cuts(book, row, dealt, lots, kind=UnitEntry.Kind.REDEEM, entry=entry)


def _hold_back(
    book: DealingBook, row: ClassNav, terms: ClassTerms, plan: ClassPlan, actor: Actor
) -> dict[str, Decimal]:
    """Keep the class's share of each order that leaves whole until the audit; by order."""
    held = {}
    for result in plan.redemptions:
        order = book.orders[result.order]
        if order.is_switch:
            continue
        share = size_holdback(
            payout=(order.dealt_amount or ZERO) + result.payout,
            share=terms.holdback_share,
            is_full_redemption=order.is_all and result.deferred == 0,
        )
        if share.held:
            held[result.order] = min(share.held, result.payout)
    if held:
        code, total = row.share_class.code, sum(held.values(), ZERO)
        entry = _entry(book, "holdback_set", code, {"amount": total})
        post_entries(book.strike.fund, [NewEntry.of(entry)], actor=actor)
    return held


def _crystallise(
    book: DealingBook, row: ClassNav, plan: ClassPlan, lots: dict[str, LotInput], actor: Actor
) -> None:
    """Fee units leave, the mark of a charged lot moves to g, clocks start anew by the terms."""
    strike, code = book.strike, row.share_class.code
    day = strike.valuation_at.date()
    moves: list[Move] = []
    if plan.crystallised:
        charged = [UUID(item.lot) for item in plan.crystallised]
        lines = [
            JointLine(
                amounts={"payable": item.payable, "units": item.units},
                tags=Tags(share_class=code, lot=lot),
            )
            for lot, item in zip(charged, plan.crystallised, strict=True)
        ]
        dust = round_to_total([sum((i.dust for i in plan.crystallised), ZERO)], quantum=CENT)[0]
        lines.append(JointLine(amounts={"dust": dust}, tags=Tags(share_class=code)))
        new = NewEntry.of(entry_of(book, "performance_fee_crystallised", code, lines))
        entry = post_entries(strike.fund, [new], actor=actor)[0]
        moves = [
            (lot, UnitEntry.Kind.FEE_CANCEL.value, -item.units, row.issue_price,
             row.issue_price, day, None, entry)
            for lot, item in zip(charged, plan.crystallised, strict=True)
        ]  # fmt: skip
    moves += [
        (UUID(lot), UnitEntry.Kind.CLOCK.value, ZERO, row.issue_price, lots[lot].mark, clock, None,
         None)
        for lot, clock in plan.clocks.items()
    ]  # fmt: skip
    record_moves(strike, moves)


def _subscribe(
    book: DealingBook, row: ClassNav, terms: ClassTerms, plan: ClassPlan, actor: Actor
) -> Decimal:
    """New lots and their entries; gives the money that left client money for them."""
    dealt = [(book.orders[result.order], result) for result in plan.subscriptions]
    paid = [item for item in dealt if item[0].kind == DealingOrder.Kind.SUBSCRIPTION]
    reinvested = [item for item in dealt if item[0].kind != DealingOrder.Kind.SUBSCRIPTION]
    for event, bought in (("units_issued", paid), ("distribution_reinvested", reinvested)):
        if bought:
            _issue(book, row, terms, event, bought, actor)
    return sum((order.funded_amount for order, _ in paid), ZERO)


def _issue(
    book: DealingBook,
    row: ClassNav,
    terms: ClassTerms,
    event: str,
    bought: Sequence[Bought],
    actor: Actor,
) -> None:
    code = row.share_class.code
    lots = open_lots(book, row, terms, bought)
    lines = [
        JointLine(
            amounts={"consideration": r.consideration, "residue": r.residue, "units": r.units},
            tags=Tags(share_class=code, lot=lot.pk),
        )
        for (_, r), lot in zip(bought, lots, strict=True)
    ]
    news = [NewEntry.of(entry_of(book, event, code, lines))]
    fees = [
        _fee_line(code, lot.pk, result.entry_fee)
        for (order, result), lot in zip(bought, lots, strict=True)
        if result.entry_fee and order.kind == DealingOrder.Kind.SUBSCRIPTION
    ]
    if fees:
        news.append(NewEntry.of(entry_of(book, "entry_fee", code, fees)))
    entry = post_entries(book.strike.fund, news, actor=actor)[0]
    record_issues(book, row, bought, lots, kind=UnitEntry.Kind.ISSUE, entry=entry)
