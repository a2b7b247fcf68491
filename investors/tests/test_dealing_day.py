"""A dealing day through the services: what once stopped a NAV, priced wrongly or left dust."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext

from investors.domain.ledger import build_entry
from investors.models import (
    DealingOrder,
    Entry,
    Holding,
    Investor,
    NavStrike,
    UnitEntry,
    UnitLot,
)
from investors.selectors import read_dealing
from investors.services.dealing import cancel_order
from investors.services.ledger import NewEntry, post_entry, read_balances
from investors.services.nav_orders import _set_aside
from investors.services.payment_drafts import payable_of, prepare_proceeds
from investors.services.policies import set_terms
from investors.services.statements import record_receipt
from investors.services.verification import verify_fund
from investors.tests.fund_support import FIRST, SmallFund, first_of, make_fund, make_fund_of
from investors.tests.test_payments import PAYDAY, bank_of, director, pay, payee_of, sign
from magnetfund.core.actors import Actor
from magnetfund.kernel.errors import Conflict, FundError, InvalidInput, NotAllowed

pytestmark = pytest.mark.django_db
D = Decimal
FEBRUARY, JANUARY = first_of(2025, 2), first_of(2026, 1)


def founded(small: SmallFund, *months: object, **money: str) -> SmallFund:
    """The fund after its first dealing, with further dealing days."""
    for at in (FIRST, *months):
        small.day(at)  # type: ignore[arg-type]
    for name, amount in money.items():
        small.subscribe(name, amount, before=FIRST)
    small.strike(FIRST)
    return small


def holding(small: SmallFund, name: str) -> Holding:
    return Holding.objects.get(investor=small.investor(name))


class TestAYearEndWithAFullRedemptionPending:
    """Order on 29 December for 1 February; fee units are taken on 31 December."""

    def test_an_order_of_everything_takes_what_is_left(self):
        small = founded(make_fund(performance_rate="0.2"), first_of(2026, 2), ann="1000", bob="500")
        small.earn("300", at=JANUARY - timedelta(days=30))
        order = small.redeem("ann", None, before=first_of(2026, 1) + timedelta(days=9))
        assert holding(small, "ann").reserved_units == 10
        small.strike(JANUARY)
        after = holding(small, "ann")
        assert after.units < 10
        assert after.reserved_units == after.units
        small.strike(first_of(2026, 2))
        order.refresh_from_db()
        assert (order.state, order.dealt_units) == ("payable", after.units)
        assert holding(small, "ann").units == 0
        assert verify_fund(small.fund) == []

    def test_an_order_by_units_shrinks_to_what_the_fee_units_left(self):
        small = founded(make_fund(performance_rate="0.2"), first_of(2026, 2), ann="1000", bob="500")
        small.earn("300", at=JANUARY - timedelta(days=30))
        order = small.redeem("ann", "10", before=first_of(2026, 1) + timedelta(days=9))
        small.strike(JANUARY)
        order.refresh_from_db()
        assert order.units == holding(small, "ann").units == holding(small, "ann").reserved_units
        small.strike(first_of(2026, 2))
        order.refresh_from_db()
        assert order.state == "payable"
        assert verify_fund(small.fund) == []

    def test_the_period_end_cannot_be_passed_over(self):
        small = founded(make_fund(performance_rate="0.2"), first_of(2026, 2), ann="1000")
        with pytest.raises(Conflict) as refused:
            small.prepare(first_of(2026, 2))
        assert refused.value.code == "period_end_unstruck"

    def test_every_hurdle_clock_restarts_unless_the_class_is_cumulative(self):
        small = founded(make_fund(performance_rate="0.2", hurdle="hard", hurdle_rate="0.05"),
                        ann="1000")  # fmt: skip
        small.strike(JANUARY)
        lot = UnitLot.objects.get(share_class__fund=small.fund)
        assert (lot.hurdle_start, lot.high_water_mark, lot.units) == (JANUARY.date(), 100, 10)
        assert UnitEntry.objects.get(kind="clock").units == 0
        assert verify_fund(small.fund) == []


class TestTheGate:
    """1,000 units, gross 1,000.00 and 33.33 accrued: asked and let through in the same measure."""

    def gated(self, share: str, *, ann: str) -> tuple[SmallFund, DealingOrder]:
        small = founded(make_fund(performance_rate="0.2", gate_share=share), FEBRUARY,
                        first_of(2025, 3), ann="100000")  # fmt: skip
        small.earn("20000", at=FEBRUARY - timedelta(days=2))
        order = small.redeem("ann", ann, before=FEBRUARY)
        small.strike(FEBRUARY)
        order.refresh_from_db()
        return small, order

    def pay(self, small: SmallFund, order: DealingOrder) -> None:
        payment = prepare_proceeds(order=order, payee=payee_of(small), actor=small.maker, at=PAYDAY)
        sign(small, payment, director())
        pay(small, payment, bank_of(small))

    def test_a_hundred_per_cent_is_no_gate(self):
        small, order = self.gated("1", ann="1000")
        assert (order.state, order.dealt_units) == ("payable", 1000)
        assert order.dealt_amount == 116_000
        assert verify_fund(small.fund) == []

    def test_a_quarter_is_a_quarter(self):
        small, order = self.gated("0.25", ann="500")
        assert (order.state, order.dealt_units, order.units) == ("deferred", 250, 250)
        assert order.units_asked == 500
        assert order.first_day == FEBRUARY.date()
        assert holding(small, "ann").reserved_units == 250
        small.strike(first_of(2025, 3))
        assert verify_fund(small.fund) == []

    def test_a_deferred_order_is_withdrawn_before_the_next_cut_off(self):
        small, order = self.gated("0.25", ann="500")
        dealt = order.dealt_amount
        with pytest.raises(IntegrityError, match="stays owed"), transaction.atomic():
            DealingOrder.objects.filter(pk=order.pk).update(state="cancelled")
        order = cancel_order(order=order, actor=small.maker, at=FEBRUARY + timedelta(days=1))
        assert holding(small, "ann").reserved_units == 0
        # What its first part came to is owed as before: else no list of payments had it.
        assert (order.state, order.units_asked, payable_of(order)) == ("payable", 250, dealt)
        small.strike(first_of(2025, 3))
        self.pay(small, order)
        order.refresh_from_db()
        assert (order.state, order.paid_amount) == ("settled", dealt)
        assert verify_fund(small.fund) == []

    def test_a_rest_is_taken_back_when_the_dealt_part_is_paid(self):
        small, order = self.gated("0.25", ann="500")
        self.pay(small, order)
        order = cancel_order(order=order, actor=small.maker, at=FEBRUARY + timedelta(days=1))
        assert order.state == "settled"

    def test_a_rest_without_units_is_set_aside_and_the_dealt_part_stays_owed(self):
        _, order = self.gated("0.25", ann="500")
        _set_aside(order, "no_units_left", Actor.system("test"), FEBRUARY)
        assert (order.state, order.reason) == ("payable", "no units are left for this order")


class TestTheEmptyClass:
    def test_the_last_holder_takes_all_to_the_cent_without_an_exit_fee(self):
        """Left behind, 502.51 on 0.000004 units priced the next subscription at 125,627,500."""
        small = founded(make_fund(exit_fee_rate="0.05", performance_rate="0.2"), FEBRUARY,
                        first_of(2025, 3), ann="10000.37")  # fmt: skip
        small.earn("33.33", at=FEBRUARY - timedelta(days=2))
        order = small.redeem("ann", None, before=FEBRUARY)
        strike = small.strike(FEBRUARY)
        order.refresh_from_db()
        assert (order.fee_amount, order.dealt_amount) == (0, strike.nav)
        assert holding(small, "ann").units == 0
        small.subscribe("bob", "1000", before=first_of(2025, 3))
        after = small.strike(first_of(2025, 3))
        assert (after.nav, after.classes.get().price) == (0, None)
        assert UnitLot.objects.get(holding__investor=small.investor("bob")).entry_price == 100
        assert verify_fund(small.fund) == []

    def test_who_remains_keeps_the_exit_fee(self):
        small = founded(make_fund(exit_fee_rate="0.05"), FEBRUARY, ann="1000", bob="1000")
        order = small.redeem("ann", None, before=FEBRUARY)
        small.strike(FEBRUARY)
        order.refresh_from_db()
        assert (order.fee_amount, order.dealt_amount) == (50, 950)
        assert verify_fund(small.fund) == []


def test_a_thousand_lots_never_pay_more_fee_than_was_accrued():
    """1,000 lots of 0.098 pay 98.00, not 1,000 x 0.10."""
    small = make_fund(performance_rate="0.2")
    for at in (FIRST, FEBRUARY):
        small.day(at)
    for _ in range(40):
        small.subscribe("ann", "4.90", before=FIRST)
    small.strike(FIRST)
    small.earn("19.60", at=FEBRUARY - timedelta(days=2))
    small.redeem("ann", None, before=FEBRUARY)
    strike = small.strike(FEBRUARY)
    accrued = strike.classes.get().performance_fee_accrued
    assert accrued == D("3.92")
    assert -read_balances(small.fund)["2120", "USD"] == accrued
    assert verify_fund(small.fund) == []


def test_the_approver_sees_what_the_approval_deals():
    small = founded(make_fund(exit_fee_rate="0.01"), FEBRUARY, ann="1000", bob="1000")
    out = small.redeem("ann", "5", before=FEBRUARY)
    bought = small.subscribe("cay", "250", before=FEBRUARY)
    strike = small.prepare(FEBRUARY)
    seen = read_dealing(strike)
    assert [(line.kind, line.units, line.money) for line in seen.lines] == [
        ("Redemption", -5, -495), ("Subscription", D("2.5"), 250),
    ]  # fmt: skip
    assert (seen.money_in, seen.money_out) == (250, -495)
    small.approve(strike)
    out.refresh_from_db()
    bought.refresh_from_db()
    assert (out.dealt_amount, bought.dealt_units) == (495, D("2.5"))


def test_one_entry_per_class_and_event_holds_the_lots_as_postings():
    small = founded(make_fund(), ann="1000", bob="2000", cay="3000")
    entry = Entry.objects.get(fund=small.fund, kind="units_issued")
    assert entry.postings.filter(account_id="8010").count() == 3


def test_units_need_an_approved_investor_and_money_in_time_at_allotment():
    small = founded(make_fund(), FEBRUARY, first_of(2025, 3), ann="1000")
    held = small.subscribe("bob", "1000", before=FEBRUARY)
    late = small.subscribe("cay", "1000", before=FEBRUARY, paid=False)
    record_receipt(order=late, amount=D(1000), reference="late", party="Cay", actor=small.maker,
                  at=FEBRUARY - timedelta(days=1))  # fmt: skip
    Investor.objects.filter(pk=small.investor("bob").pk).update(kyc_state="restricted")
    small.strike(FEBRUARY)
    for order in (held, late):
        order.refresh_from_db()
        assert (order.state, order.rolls) == ("funded", 1)
        assert order.dealing_day.day == first_of(2025, 3).date()
    assert read_balances(small.fund)["2010", "USD"] == -2000
    small.strike(first_of(2025, 3))
    late.refresh_from_db()
    held.refresh_from_db()
    assert (late.state, held.state, held.dealing_day) == ("settled", "funded", None)
    assert verify_fund(small.fund) == []


def test_a_day_with_orders_cannot_be_passed_over():
    small = founded(make_fund(), FEBRUARY, first_of(2025, 3), ann="1000")
    small.subscribe("bob", "1000", before=FEBRUARY)
    with pytest.raises(Conflict) as refused:
        small.prepare(first_of(2025, 3))
    assert refused.value.code == "day_unstruck"


def test_one_order_that_cannot_be_dealt_is_set_aside_and_stops_nobody():
    small = founded(make_fund(), FEBRUARY, ann="1000", bob="1000")
    good = small.redeem("bob", "3", before=FEBRUARY)
    bad = small.redeem("ann", "4", before=FEBRUARY)
    DealingOrder.objects.filter(pk=bad.pk).update(units=D(400))
    small.strike(FEBRUARY)
    good.refresh_from_db()
    bad.refresh_from_db()
    assert good.state == "payable"
    assert (bad.state, bad.reason) == ("set_aside", "more units asked for than are held")
    assert holding(small, "ann").reserved_units == 0
    cancel_order(order=bad, actor=small.maker, at=FEBRUARY + timedelta(days=1))
    assert verify_fund(small.fund) == []


def test_a_second_partial_redemption_takes_its_share_of_the_capital_that_is_left():
    small = founded(make_fund(), FEBRUARY, first_of(2025, 3), ann="1000", bob="1000")
    small.redeem("ann", "5", before=FEBRUARY)
    small.strike(FEBRUARY)
    small.redeem("ann", "2.5", before=first_of(2025, 3))
    small.strike(first_of(2025, 3))
    lot = UnitLot.objects.get(holding__investor=small.investor("ann"))
    capital = -sum(
        posting.amount
        for entry in Entry.objects.filter(fund=small.fund)
        for posting in entry.postings.filter(account_id="3010", lot=lot.pk)
    )
    assert (lot.units, capital) == (D("2.5"), 250)


class TestMoney:
    def test_it_takes_a_person_of_accounting_and_a_reference_used_once(self):
        small = make_fund()
        small.day(FIRST)
        orders = [small.subscribe(n, "1000", before=FIRST, paid=False) for n in ("ann", "bob")]
        paid = {"amount": D(1000), "party": "Ann", "at": FIRST - timedelta(days=3)}
        for actor in (small.checker, Actor.system("web")):
            with pytest.raises(NotAllowed):
                record_receipt(order=orders[0], reference="W1", actor=actor, **paid)
        for given, code in (
            ({"reference": " "}, "reference_missing"),
            ({"reference": "W1", "currency": "EUR"}, "currency_differs"),
        ):
            with pytest.raises(FundError) as refused:
                record_receipt(order=orders[0], actor=small.maker, **given, **paid)
            assert refused.value.code == code
        record_receipt(order=orders[0], reference="W1", actor=small.maker, **paid)
        with pytest.raises(Conflict) as used:
            record_receipt(
                order=orders[1], reference="W1", actor=small.maker, **{**paid, "party": "Bob"}
            )
        assert used.value.code == "reference_used"
        orders[1].refresh_from_db()
        assert orders[1].state == "accepted"


class TestClosedPeriods:
    def test_nothing_is_booked_before_the_last_nav(self):
        small = founded(make_fund(), ann="1000")
        late = build_entry(event="expense_accrued", source_ref="late", account="5040",
                           effective_at=FIRST - timedelta(days=1),
                           amounts={"amount": 5})  # fmt: skip
        with pytest.raises(IntegrityError, match="closed"), transaction.atomic():
            post_entry(small.fund, NewEntry.of(late), actor=small.maker)
        with pytest.raises(Conflict) as refused:
            set_terms(share_class=small.share_class(), terms={}, proposer=small.maker,
                      approver=small.checker,
                      effective_from=FIRST - timedelta(days=1))  # fmt: skip
        assert refused.value.code == "period_closed"

    def test_recorded_time_is_the_databases(self):
        small = founded(make_fund(), ann="1000")
        strike = NavStrike.objects.get(fund=small.fund)
        assert strike.known_at.year > 2025
        assert all(entry.recorded_at.year > 2025 for entry in Entry.objects.all())


class TestWhatBlocks:
    @pytest.mark.usefixtures("forged_entries")
    def test_suspense_blocks_and_a_strangers_money_does_not(self):
        small = founded(make_fund(), FEBRUARY, first_of(2025, 3), ann="1000")
        at = FEBRUARY - timedelta(days=1)
        stranger = build_entry(event="unknown_receipt", source_ref="s", effective_at=at,
                               amounts={"amount": 1})  # fmt: skip
        post_entry(small.fund, NewEntry.of(stranger), actor=small.maker)
        assert small.strike(FEBRUARY).nav == 1000
        difference = build_entry(event="difference_suspended", source_ref="d", account="1010",
                                 effective_at=first_of(2025, 3) - timedelta(days=1),
                                 amounts={"amount": -1})  # fmt: skip
        post_entry(small.fund, NewEntry.of(difference), actor=small.maker)
        strike = small.prepare(first_of(2025, 3))
        with pytest.raises(Conflict, match="suspense"):
            small.approve(strike)

    def test_a_fund_worth_nothing_is_not_priced_and_deals_nothing(self):
        small = founded(make_fund(), FEBRUARY, ann="1000")
        small.earn("-1000", at=FEBRUARY - timedelta(days=2))
        with pytest.raises(InvalidInput) as refused:
            small.prepare(FEBRUARY)
        assert refused.value.code == "nav_not_positive"
        assert not NavStrike.objects.filter(fund=small.fund, valuation_at=FEBRUARY).exists()


def test_a_fund_gate_is_shared_by_its_classes():
    small = make_fund_of("two", {"A": {"gate_share": "0.5"}, "B": {"gate_share": "0.5"}})
    for at in (FIRST, FEBRUARY, first_of(2025, 3)):
        small.day(at)
    for code in "AB":
        small.subscribe("ann", "1000", before=FIRST, code=code)
    small.strike(FIRST)
    orders = [small.redeem("ann", "10", before=FEBRUARY, code=code) for code in "AB"]
    small.strike(FEBRUARY)
    for order in orders:
        order.refresh_from_db()
        assert (order.dealt_units, order.state) == (5, "deferred")
    assert verify_fund(small.fund) == []


def test_an_order_of_everything_reserves_what_came_to_its_holder_on_the_same_day():
    small = make_fund_of("two", {"A": {}, "B": {"investor_gate_share": "0.5"}})
    for at in (FIRST, FEBRUARY, first_of(2025, 3)):
        small.day(at)
    for code in "AB":
        small.subscribe("ann", "1000", before=FIRST, code=code)
    small.strike(FIRST)
    small.redeem("ann", None, before=FEBRUARY, code="B")
    small.subscribe("ann", "500", before=FEBRUARY, code="B")
    small.strike(FEBRUARY)
    row = small.investor("ann").holdings.get(share_class__code="B")
    assert (row.units, row.reserved_units) == (10, 10)
    assert verify_fund(small.fund) == []


def test_no_order_costs_a_query_of_its_own():
    """Thousands of orders are dealt in batches: what one more asks of the database is nothing."""
    small = make_fund("main")
    days = [FIRST, first_of(2025, 2), first_of(2025, 3)]
    for at in days:
        small.day(at)
    few, many = ["ann", "bob"], [f"holder{k}" for k in range(9)]
    small.subscribe("ann", "1000", before=FIRST)
    small.subscribe("bob", "1000", before=FIRST)
    small.strike(FIRST)
    counts = []
    for at, names in zip(days[1:], (few, many), strict=True):
        for name in names:
            small.subscribe(name, "100", before=at)
        for name in few[: len(names) // 2]:
            small.redeem(name, "1", before=at)
        strike = small.prepare(at)
        with CaptureQueriesContext(connection) as asked:
            small.approve(strike)
        counts.append(len(asked))
    assert counts[1] <= counts[0] + 2, counts
