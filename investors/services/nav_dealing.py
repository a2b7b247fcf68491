"""What a strike's approval sets in motion, in its transaction and at its price.

Order: fees of the period, redemptions under the gate, crystallisation of what stays where the
fiscal year turns, subscriptions, then the money: collection swept, redemptions and fees paid, the
rest to or from the trading venue as one flow of the book.  All entries are effective at the
valuation instant.

Redeemed units crystallise by leaving (their fee is withheld and payable), so they come before the
year's crystallisation: a holder gets the same money either way, and a full redemption never meets
its own fee units.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from django.db.models import F, Max

from investors.domain.fees import is_crystallisation_day
from investors.domain.ledger import build_entry
from investors.domain.strike import (
    ClassTerms,
    LotInput,
    LotStrike,
    RedemptionOrder,
    RedemptionResult,
    SubscriptionOrder,
    SubscriptionResult,
    crystallise_lots,
    deal_redemptions,
    deal_subscription,
)
from investors.models import (
    ClassNav,
    DealingOrder,
    Fund,
    Holding,
    InvestorSnapshot,
    LotNav,
    NavStrike,
    UnitEntry,
    UnitLot,
)
from investors.services.dealing import next_dealing_day
from investors.services.ledger import (
    Leg,
    NewEntry,
    class_balance,
    move,
    post_entries,
    post_entry,
    read_balances,
    unit_legs,
)
from investors.services.policies import terms_in_force
from magnetfund.core.actors import Actor
from magnetfund.kernel.identifiers import derived_uuid
from magnetfund.kernel.money import quantize
from trading.models import BookFlow

ZERO = Decimal(0)
CENT = Decimal("0.01")
DEALT_FIELDS = (
    "state",
    "dealing_day",
    "strike",
    "units",
    "dealt_units",
    "dealt_price",
    "dealt_amount",
    "fee_amount",
    "updated_at",
)


def deal_strike(strike: NavStrike, *, actor: Actor, at: datetime) -> None:
    """Carry out everything that an approved strike means, in the caller's transaction."""
    fund = strike.fund
    rows = [
        (row, terms_in_force(row.share_class, at=strike.valuation_at))
        for row in strike.classes.select_related("share_class").order_by("share_class__code")
    ]
    gate = _gate_share(strike)
    _post_unallocated(strike, actor)
    for row, terms in rows:
        _post_fees(strike, row, actor)
        _redeem(strike, row, terms, gate, actor)
        if ends_period(terms, strike.valuation_at):
            _crystallise(strike, row, terms, actor)
        _subscribe(strike, row, terms, actor)
    _settle(fund, strike, actor)
    _roll_unfunded(strike, at)
    snapshot_investors(strike)


# ---- fees ----------------------------------------------------------------------------------------


def _post_unallocated(strike: NavStrike, actor: Actor) -> None:
    """Money that stood in the books while no class had units is owed from now on."""
    amount = Decimal(strike.inputs.get("unallocated", "0"))
    if amount:
        entry = build_entry(
            event="unallocated_recognised",
            source_ref=f"unallocated:{strike.pk}",
            effective_at=strike.valuation_at,
            amounts={"amount": amount},
            currency=strike.fund.currency,
        )
        post_entries(strike.fund, [NewEntry.of(entry)], actor=actor)


def _post_fees(strike: NavStrike, row: ClassNav, actor: Actor) -> None:
    code = row.share_class.code
    change = Decimal(row.detail["accrual_change"])
    post_entries(
        strike.fund,
        [
            NewEntry(
                kind="management_fee",
                source_ref=f"management_fee:{strike.pk}:{code}",
                effective_at=strike.valuation_at,
                text=f"management fee of class {code}",
                legs=move("5010", "2100", row.management_fee, share_class=code),
            ),
            NewEntry(
                kind="performance_fee_accrual",
                source_ref=f"performance_fee:{strike.pk}:{code}",
                effective_at=strike.valuation_at,
                text=f"Performance fee accrual, class {code}",
                legs=move("5020", "2110", change, share_class=code),
            ),
        ],
        actor=actor,
    )


def ends_period(terms: ClassTerms, valuation_at: datetime) -> bool:
    """Whether a valuation ends a fiscal period of the class: its fees become final there."""
    day = (valuation_at - timedelta(microseconds=1)).date()
    return is_crystallisation_day(terms=terms, day=day)


def _crystallise(strike: NavStrike, row: ClassNav, terms: ClassTerms, actor: Actor) -> None:
    """Fee units leave the lots, the mark of a lot that paid moves to g, every clock restarts."""
    lots = [
        _lot_strike(n)
        for n in strike.lots.filter(
            lot__share_class=row.share_class, lot__units__gt=0
        ).select_related("lot")
    ]
    found = crystallise_lots(terms=terms, price=row.issue_price, lots=lots)
    code, day = row.share_class.code, strike.valuation_at.date()
    for item in found:
        lot = UUID(item.lot)
        entry = post_entry(
            strike.fund,
            NewEntry(
                kind="performance_fee_crystallised",
                source_ref=f"crystallised:{strike.pk}:{item.lot}",
                effective_at=strike.valuation_at,
                text="Performance fee crystallised, units cancelled",
                legs=[
                    *move("2110", "2120", item.payable, share_class=code, lot=lot),
                    *move("2110", "5020", quantize(item.dust, CENT), share_class=code, lot=lot),
                    *unit_legs(fund=strike.fund, share_class=code, lot=lot, units=-item.units),
                ],
            ),
            actor=actor,
        )
        UnitEntry.objects.create(
            lot_id=lot,
            kind=UnitEntry.Kind.FEE_CANCEL,
            units=-item.units,
            price=row.issue_price,
            high_water_mark=row.issue_price,
            hurdle_start=day,
            strike=strike,
            entry=entry,
            effective_at=strike.valuation_at,
        )


def _lot_strike(n: LotNav) -> LotStrike:
    return LotStrike(
        lot=str(n.lot_id),
        number=n.lot.number,
        units=n.lot.units,
        mark=n.high_water_mark,
        fee_per_unit=n.performance_fee_per_unit,
        net_per_unit=n.net_value_per_unit,
    )


# ---- redemptions ---------------------------------------------------------------------------------


def _due(strike: NavStrike, kind: str, *states: str) -> list[DealingOrder]:
    if strike.dealing_day is None:
        return []
    return list(
        DealingOrder.objects.select_for_update()
        .filter(dealing_day=strike.dealing_day, kind=kind, state__in=states)
        .order_by("received_at", "id")
    )


def _gate_share(strike: NavStrike) -> Decimal:
    """The part of every redemption that the fund's gate lets through today."""
    orders = _due(strike, "redemption", "accepted", "deferred")
    prices = {
        row.share_class_id: row.issue_price for row in strike.classes.select_related("share_class")
    }
    wanted = sum(((o.units or ZERO) * prices[o.share_class_id] for o in orders), ZERO)
    limits = [
        terms_in_force(row.share_class, at=strike.valuation_at).gate_share
        for row in strike.classes.select_related("share_class")
    ]
    limit = min(limits) * strike.nav
    return Decimal(1) if wanted <= limit else limit / wanted


def _redeem(
    strike: NavStrike, row: ClassNav, terms: ClassTerms, gate: Decimal, actor: Actor
) -> None:
    orders = [
        order
        for order in _due(strike, "redemption", "accepted", "deferred")
        if order.share_class_id == row.share_class_id
    ]
    if not orders:
        return
    # The holding's row is what every change of its units locks.
    list(Holding.objects.select_for_update().filter(share_class=row.share_class).order_by("pk"))
    lots = [
        _lot_input(lot)
        for lot in UnitLot.objects.select_related("holding")
        .filter(share_class=row.share_class, units__gt=0)
        .order_by("number")
    ]
    fees = {
        str(n.lot_id): n.performance_fee_per_unit
        for n in strike.lots.filter(lot__share_class=row.share_class)
    }
    wanted = sum((order.units or ZERO for order in orders), ZERO) * row.issue_price
    results = deal_redemptions(
        terms=terms,
        price=row.issue_price,
        fees=fees,
        lots=lots,
        orders=[
            RedemptionOrder(
                order=str(order.pk), holder=str(order.investor_id), units=order.units or ZERO
            )
            for order in orders
        ],
        gate_value=wanted * gate,
    )
    for order, result in zip(orders, results, strict=True):
        _book_redemption(strike, row, order, result, lots, actor)


def _lot_input(lot: UnitLot) -> LotInput:
    return LotInput(
        lot=str(lot.pk),
        number=lot.number,
        units=lot.units,
        mark=lot.high_water_mark,
        clock=lot.hurdle_start,
        dealing_day=lot.dealing_day,
        cost=lot.cost,
        holder=str(lot.holding.investor_id),
    )


def _book_redemption(
    strike: NavStrike,
    row: ClassNav,
    order: DealingOrder,
    result: RedemptionResult,
    lots: Sequence[LotInput],
    actor: Actor,
) -> None:
    code, by_lot = row.share_class.code, {lot.lot: lot for lot in lots}
    legs: list[Leg] = []
    for cut in result.cuts:
        gross = quantize(cut.gross, CENT)
        tags = {"share_class": code, "lot": UUID(cut.lot)}
        legs += move("3010", "2020", cut.cost, **tags)
        legs += move("3100", "2020", gross - cut.cost, **tags)
        legs += move("2110", "2120", cut.fee, **tags)
        legs += unit_legs(fund=strike.fund, share_class=code, lot=UUID(cut.lot), units=-cut.units)
    credited = sum((quantize(cut.gross, CENT) for cut in result.cuts), ZERO)
    legs += move("2020", "4060", result.exit_fee, share_class=code)
    legs += move("2020", "3900", credited - result.exit_fee - result.payout, share_class=code)
    entry = post_entry(
        strike.fund,
        NewEntry(
            kind="redemption_dealt",
            source_ref=f"redeemed:{order.pk}:{strike.pk}",
            effective_at=strike.valuation_at,
            text=f"redemption of {result.units.normalize():f} units of class {code}",
            legs=legs,
        ),
        actor=actor,
    )
    # The reservation falls before the units do: it may never exceed them.
    Holding.objects.filter(investor_id=order.investor_id, share_class=row.share_class).update(
        reserved_units=F("reserved_units") - result.units, updated_at=strike.valuation_at
    )
    UnitEntry.objects.bulk_create(
        [
            UnitEntry(
                lot_id=UUID(cut.lot),
                kind=UnitEntry.Kind.REDEEM,
                units=-cut.units,
                price=row.issue_price,
                high_water_mark=by_lot[cut.lot].mark,
                hurdle_start=by_lot[cut.lot].clock,
                strike=strike,
                order=order,
                entry=entry,
                effective_at=strike.valuation_at,
            )
            for cut in result.cuts
        ]
    )
    order.dealt_units = (order.dealt_units or ZERO) + result.units
    order.dealt_amount = (order.dealt_amount or ZERO) + result.payout
    order.dealt_price, order.strike = row.issue_price, strike
    order.fee_amount += result.exit_fee
    if result.deferred > 0:
        order.state, order.units = DealingOrder.State.DEFERRED, result.deferred
        order.dealing_day = next_dealing_day(
            strike.fund, received_at=strike.valuation_at + timedelta(microseconds=1)
        )
    else:
        order.state = DealingOrder.State.SETTLED
    order.updated_at = strike.valuation_at
    order.save(update_fields=DEALT_FIELDS)


# ---- subscriptions -------------------------------------------------------------------------------


def _subscribe(strike: NavStrike, row: ClassNav, terms: ClassTerms, actor: Actor) -> None:
    for order in _due(strike, "subscription", "funded"):
        if order.share_class_id != row.share_class_id:
            continue
        result = deal_subscription(
            terms=terms,
            price=row.issue_price,
            order=SubscriptionOrder(order=str(order.pk), amount=order.amount or ZERO),
        )
        _book_subscription(strike, row, order, result, actor)


def _book_subscription(
    strike: NavStrike,
    row: ClassNav,
    order: DealingOrder,
    result: SubscriptionResult,
    actor: Actor,
) -> None:
    code, day = row.share_class.code, strike.valuation_at.date()
    holding, _ = Holding.objects.get_or_create(
        investor=order.investor,
        share_class=row.share_class,
        defaults={"updated_at": strike.valuation_at},
    )
    newest = UnitLot.objects.aggregate(n=Max("number"))["n"] or 0
    lot = UnitLot.objects.create(
        id=derived_uuid("lot", str(order.pk)),
        number=newest + 1,
        holding=holding,
        share_class=row.share_class,
        dealing_day=day,
        strike=strike,
        entry_price=row.issue_price,
        units=ZERO,
        high_water_mark=row.issue_price,
        hurdle_start=day,
        cost=result.consideration,
        opened_at=strike.valuation_at,
    )
    tags = {"share_class": code, "lot": lot.pk}
    entry = post_entry(
        strike.fund,
        NewEntry(
            kind="units_issued",
            source_ref=f"issued:{order.pk}",
            effective_at=strike.valuation_at,
            text=f"{result.units.normalize():f} units of class {code} at "
            f"{row.issue_price.normalize():f}",
            legs=[
                *move("2010", "3010", result.consideration, **tags),
                *move("2010", "3900", result.residue, **tags),
                *move("2010", "4060", result.entry_fee, **tags),
                *unit_legs(fund=strike.fund, share_class=code, lot=lot.pk, units=result.units),
            ],
        ),
        actor=actor,
    )
    UnitEntry.objects.create(
        lot=lot,
        kind=UnitEntry.Kind.ISSUE,
        units=result.units,
        price=row.issue_price,
        high_water_mark=row.issue_price,
        hurdle_start=day,
        strike=strike,
        order=order,
        entry=entry,
        effective_at=strike.valuation_at,
    )
    order.dealt_units, order.dealt_price = result.units, row.issue_price
    order.dealt_amount, order.fee_amount = result.consideration, result.entry_fee
    order.state, order.strike = DealingOrder.State.SETTLED, strike
    order.updated_at = strike.valuation_at
    order.save(update_fields=DEALT_FIELDS)


# ---- money ---------------------------------------------------------------------------------------


def _settle(fund: Fund, strike: NavStrike, actor: Actor) -> None:
    """Sweep the collection account for dealt money, pay what is payable, balance with the venue."""
    at = strike.valuation_at
    issued = sum(
        (
            order.amount or ZERO
            for order in DealingOrder.objects.filter(strike=strike, kind="subscription")
        ),
        ZERO,
    )
    just_after = at + timedelta(microseconds=1)
    balances = read_balances(fund, before=just_after)
    owed = {
        account: -balances.get((account, fund.currency), ZERO)
        for account in ("2020", "2100", "2120")
    }
    paid = sum(owed.values(), ZERO)
    flow = issued - paid
    names = {
        "2020": "Redemption proceeds paid",
        "2100": "management fee paid",
        "2120": "performance fee paid",
    }
    news = [
        NewEntry(
            kind="collection_swept",
            source_ref=f"swept:{strike.pk}",
            effective_at=at,
            text="Subscription money of dealt orders, to operating account",
            legs=move("1010", "1020", issued),
        ),
        NewEntry(
            kind="venue_transfer",
            source_ref=f"venue:{strike.pk}",
            effective_at=at,
            text="Transfer to venue" if flow > 0 else "Transfer from venue",
            legs=move("1030", "1010", flow),
        ),
    ]
    news += [
        NewEntry(
            kind="paid",
            source_ref=f"paid:{strike.pk}:{account}",
            effective_at=at,
            text=names[account],
            legs=_paid_legs(fund, account, amount, just_after),
        )
        for account, amount in owed.items()
    ]
    post_entries(fund, news, actor=actor)
    if flow:
        BookFlow.objects.create(
            book=fund.book,
            amount=flow,
            source_ref=f"strike:{strike.pk}",
            text=f"Dealing day {at:%Y-%m-%d}",
            occurred_at=at,
        )


def _paid_legs(fund: Fund, account: str, amount: Decimal, until: datetime) -> list[Leg]:
    """The payment of a liability, class by class so that each class's account ends at zero."""
    legs: list[Leg] = []
    left = amount
    for item in fund.classes.order_by("code"):
        part = -class_balance(fund, account, item.code, until=until)
        legs += move(account, "1010", part, share_class=item.code)
        left -= part
    return [*legs, *move(account, "1010", left)]


def _roll_unfunded(strike: NavStrike, at: datetime) -> None:
    """A subscription without cleared money waits for the next dealing day."""
    for order in _due(strike, "subscription", "accepted"):
        order.dealing_day = next_dealing_day(
            strike.fund, received_at=strike.valuation_at + timedelta(microseconds=1)
        )
        order.updated_at = at
        order.save(update_fields=["dealing_day", "updated_at"])


def snapshot_investors(strike: NavStrike) -> None:
    """Each investor's units and net value after dealing, for the portal's curve."""
    fees = {n.lot_id: n.performance_fee_per_unit for n in strike.lots.all()}
    cancelled = set(
        UnitEntry.objects.filter(strike=strike, kind="fee_cancel").values_list("lot_id", flat=True)
    )
    prices = {
        row.share_class_id: row.issue_price for row in strike.classes.select_related("share_class")
    }
    units: dict[UUID, Decimal] = {}
    values: dict[UUID, Decimal] = {}
    lots = UnitLot.objects.filter(share_class__fund=strike.fund, units__gt=0)
    for lot in lots.select_related("holding"):
        who = lot.holding.investor_id
        fee = ZERO if lot.pk in cancelled else fees.get(lot.pk, ZERO)
        units[who] = units.get(who, ZERO) + lot.units
        values[who] = values.get(who, ZERO) + lot.units * (prices[lot.share_class_id] - fee)
    total = sum(values.values(), ZERO)
    invested = _net_invested(strike)
    InvestorSnapshot.objects.bulk_create(
        [
            InvestorSnapshot(
                investor_id=who,
                day=strike.valuation_at.date(),
                units=units.get(who, ZERO),
                value=quantize(values.get(who, ZERO), CENT),
                net_invested=invested[who],
                share_of_fund=float(values.get(who, ZERO) / total) if total > 0 else 0.0,
            )
            for who in sorted(invested, key=str)
        ],
        update_conflicts=True,
        unique_fields=["investor", "day"],
        update_fields=["units", "value", "net_invested", "share_of_fund", "is_estimate"],
    )


def _net_invested(strike: NavStrike) -> dict[UUID, Decimal]:
    """Money put in less money taken out, per investor who ever dealt."""
    orders = DealingOrder.objects.filter(share_class__fund=strike.fund, dealt_amount__isnull=False)
    found: dict[UUID, Decimal] = {}
    for order in orders:
        sign = 1 if order.kind == DealingOrder.Kind.SUBSCRIPTION else -1
        moved = (order.amount or ZERO) if sign > 0 else (order.dealt_amount or ZERO)
        found[order.investor_id] = found.get(order.investor_id, ZERO) + sign * moved
    return found
