"""Random lives of a fund through its services and its database: no value appears, none is lost.

Each history subscribes, redeems, switches, transfers and forces out at random, with gains and
losses between, running costs by day, rebates of fees, claims that are set apart and come to more,
less or nothing or back into units, and payments of whatever is owed, some of which come back.
After every NAV: money in and earned = what was paid out + what is owed (to suppliers too) + what
holders have + what stands apart for them; both engines agreed (a strike with a failing check is not
approved); every book agrees with itself and every NAV replays to the bytes that were signed.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.db.models import Sum

from investors.domain.ledger.chart import EXPENSES, POCKET_SOURCES
from investors.domain.payments import PaymentKind, PaymentState, is_director_needed
from investors.models import (
    DealingOrder,
    DealingProposal,
    Holding,
    InvestorSnapshot,
    PayeeAccount,
    Payment,
    PocketEntry,
    Posting,
    StatementLine,
    UnitEntry,
)
from investors.services.dealing import CANCELLABLE, cancel_order
from investors.services.dealing_proposals import decide_dealing, propose_dealing
from investors.services.distributions import decide_distribution, propose_distribution
from investors.services.expenses import (
    decide_expense,
    propose_expense,
    propose_invoice,
    read_expenses,
)
from investors.services.ledger import read_balances
from investors.services.payment_drafts import (
    owed,
    prepare_fee,
    prepare_of_lots,
    prepare_proceeds,
    prepare_rebate,
    release_holdback,
)
from investors.services.payments import (
    approve_payment,
    cancel_payment,
    confirm_payment,
    release_payments,
    return_payment,
)
from investors.services.pocket_books import read_pocket_balances
from investors.services.pocket_changes import decide_change, propose_change, propose_merge
from investors.services.pockets import decide_pocket, propose_pocket
from investors.services.rebates import decide_rebate, propose_rebate
from investors.services.switching import submit_switch
from investors.services.verification import verify_fund
from investors.tests.fund_support import FIRST, SmallFund, first_of, make_fund_of
from investors.tests.test_payments import bank_of, payee_of
from magnetfund.core.actors import Actor
from magnetfund.core.roles import Role
from magnetfund.kernel.errors import FundError, InvalidInput
from magnetfund.operations.people import ensure_user
from magnetfund.tests.drill_size import IS_SHORT
from magnetfund.tests.rebates_by_day import require_rebate

pytestmark = pytest.mark.django_db
D = Decimal
HISTORIES = 3 if IS_SHORT else 1_000
MONTHS = 3 if IS_SHORT else 6
NAMES = ("ann", "bob", "cyd", "dan")
KINDS = ("subscribe", "redeem", "redeem", "switch", "compulsory", "cancel")
#: Owed to others; 2110 is computed anew by each NAV and stands on the holders' side.
OWED = ("2010", "2015", "2020", "2030", "2040", "2100", "2120", "2160", "2340")
TERMS: tuple[dict[str, Any], ...] = (
    {},
    {"management_rate": "0.02", "performance_rate": "0.2"},
    {
        "management_rate": "0.01", "performance_rate": "0.15", "hurdle": "hard",
        "hurdle_rate": "0.05", "crystallisation_months": [3, 12],
    },
    {"performance_rate": "0.3", "gate_share": "0.25", "exit_fee_rate": "0.01"},
    {"entry_fee_rate": "0.02", "exit_fee_rate": "0.005", "investor_gate_share": "0.5"},
    {
        "performance_rate": "0.1", "lock_up": "soft", "lock_up_days": 45,
        "soft_lock_fee_rate": "0.02",
    },
    {"performance_rate": "0.2", "lock_up": "hard", "lock_up_days": 40, "holdback_share": "0.1"},
)  # fmt: skip


class History:
    """One fund of two classes and what random people do with it."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.small: SmallFund = make_fund_of(
            "life", {"A": self.dice.choice(TERMS), "B": self.dice.choice(TERMS)}
        )
        self.days = [FIRST, *(first_of(2025, month) for month in range(2, 2 + MONTHS))]
        for day in self.days:
            self.small.day(day)
        self.director = Actor.of(
            ensure_user(email="director@example.com", name="Dir", roles=[Role.DIRECTOR])
        )
        self.account = bank_of(self.small)
        self.payees: dict[str | None, PayeeAccount] = {}
        self.earned = D(0)
        self.done: Counter[str] = Counter()

    def live(self) -> None:
        for name in NAMES[:3]:
            self.small.subscribe(name, self._money(), before=FIRST, code=self._code())
        self._strike(FIRST)
        for before, day in zip(self.days, self.days[1:], strict=False):
            for _ in range(self.dice.randint(0, 2)):
                self._try("transfer", lambda at=before: self._propose("transfer", at))
            if self.dice.random() < 0.4:
                self._try("expense", lambda at=before: self._cost(at))
            if self.dice.random() < 0.3:
                self._try("distribution", lambda at=before: self._distribute(at))
            if self.dice.random() < 0.5:
                self._try("rebate", lambda at=before: self._agree(at))
            if self.dice.random() < 0.3:
                self._try("pocket", self._set_apart)
            if self.dice.random() < 0.5:
                self._try("pocket change", self._come_to)
            for _ in range(self.dice.randint(0, 3)):
                self._try("payment", lambda at=before: self._pay(at + timedelta(days=3)))
            for _ in range(self.dice.randint(1, 4)):
                kind = self.dice.choice(KINDS)
                act: Callable[[datetime], Any] = getattr(self, f"_{kind}")
                self._try(kind, lambda act=act, at=day: act(at))
            self._earn(before + timedelta(days=4))
            try:
                self._strike(day)
            except InvalidInput as error:
                self._require_eaten(error, before)
                return

    def _try(self, kind: str, act: Callable[[], Any]) -> None:
        """A refusal is an answer too: nothing may change by it, which the NAV shows."""
        try:
            act()
        except FundError as error:
            self.done[f"{kind}: {error.code}"] += 1
        else:
            self.done[kind] += 1

    def _money(self) -> str:
        return f"{D(self.dice.randint(1, 3_000_000)) / 100:.2f}"

    def _code(self) -> str:
        return self.dice.choice("AB")

    def _held(self) -> tuple[str, str, Decimal | None]:
        """A holder with units, his class, and a part of what is free (``None``: everything)."""
        rows = list(
            Holding.objects.filter(units__gt=0, share_class__fund=self.small.fund)
            .order_by("pk")
            .values_list("investor__legal_name", "share_class__code", "units")
        )
        name, code, units = self.dice.choice(rows) if rows else ("Ann", "A", D(1))
        share = D(self.dice.randint(1, 100)) / 100
        some = (units * share).quantize(D("0.000001"))
        return name.lower(), code, None if self.dice.random() < 0.3 else some

    def _subscribe(self, day: datetime) -> None:
        self.small.subscribe(
            self.dice.choice(NAMES), self._money(), before=day, code=self._code(),
            paid=self.dice.random() < 0.9,
        )  # fmt: skip

    def _redeem(self, day: datetime) -> None:
        name, code, units = self._held()
        self.small.redeem(name, None if units is None else str(units), before=day, code=code)

    def _switch(self, day: datetime) -> None:
        name, code, units = self._held()
        submit_switch(
            investor=self.small.investor(name),
            share_class=self.small.share_class(code),
            into_class=self.small.share_class("B" if code == "A" else "A"),
            units=units,
            actor=self.small.maker,
            at=day - timedelta(days=10),
        )

    def _cancel(self, day: datetime) -> None:
        orders = DealingOrder.objects.filter(state__in=CANCELLABLE, is_compulsory=False)
        rows = list(orders.order_by("received_at", "pk"))
        if rows:
            order = self.dice.choice(rows)
            cancel_order(order=order, actor=self.small.maker, at=day - timedelta(days=9))

    def _compulsory(self, day: datetime) -> None:
        self._propose("compulsory", day - timedelta(days=10))

    def _cost(self, last: datetime) -> None:
        """A cost that began before the last NAV or after, for a period or a year."""
        first = last.date() + timedelta(days=self.dice.randint(-40, 40))
        row = propose_expense(
            fund=self.small.fund,
            account=self.dice.choice(EXPENSES),
            supplier="Auditor",
            reference=f"{self.dice.random()}",
            amount=D(self.dice.randint(1, 20_000)) / 100,
            first_day=first,
            last_day=first + timedelta(days=self.dice.randint(0, 90)),
            is_yearly=self.dice.random() < 0.3,
            actor=self.small.maker,
        )
        decide_expense(proposal=row, is_approved=True, actor=self.small.checker)
        if self.dice.random() < 0.5:
            bill = propose_invoice(
                expense=row, amount=D(self.dice.randint(0, 20_000)) / 100, reference="bill",
                actor=self.small.maker,
            )  # fmt: skip
            decide_expense(proposal=bill, is_approved=True, actor=self.small.checker)

    def _distribute(self, last: datetime) -> None:
        """To some in cash, to the others in units; declared after the day's transfers."""
        row = propose_distribution(
            share_class=self.small.share_class(self._code()),
            per_unit=D(self.dice.randint(1, 30_000_000)) / 1_000_000,
            is_in_units=self.dice.random() < 0.5,
            exceptions=[f"life-{self.dice.choice(NAMES)}"] if self.dice.random() < 0.3 else [],
            reason="income",
            actor=self.small.maker,
        )
        decide_distribution(
            distribution=row, is_approved=True, actor=self.small.checker,
            at=last + timedelta(days=2),
        )  # fmt: skip

    def _agree(self, last: datetime) -> None:
        """A rebate that begins in the days that the next NAV counts, or one that is too late."""
        shares = [D(self.dice.choice((0, 1, 333_333, 500_000, 1_000_000))) / 10**6 for _ in "mp"]
        row = propose_rebate(
            investor=self.small.investor(self.dice.choice(NAMES)),
            share_class=self.small.share_class(self._code()),
            management_share=shares[0],
            performance_share=shares[1],
            first_day=last.date() + timedelta(days=self.dice.randint(-1, 30)),
            reference="drawn",
            actor=self.small.maker,
        )
        decide_rebate(proposal=row, is_approved=True, actor=self.small.checker)

    def _set_apart(self) -> None:
        """A claim of up to a third of what the venue holds."""
        cash = read_balances(self.small.fund, accounts=["1030"]).get(("1030", "USD"), D(0))
        row = propose_pocket(
            fund=self.small.fund, asset="a claim", account="1030",
            value=(cash * D(self.dice.randint(1, 33)) / 100).quantize(D("0.01")),
            cause="drawn", notice="drawn", actor=self.small.maker,
        )  # fmt: skip
        decide_pocket(proposal=row, is_approved=True, actor=self.director)

    def _come_to(self) -> None:
        """A claim comes to nothing or to half more, a part of it in cash, or back into units."""
        pockets = list(self.small.fund.pockets.exclude(strike=None).order_by("number"))
        if not pockets:
            return
        pocket = self.dice.choice(pockets)
        stands = read_pocket_balances(self.small.fund)[pocket.name].assets
        if self.dice.random() < 0.3:
            row = propose_merge(
                pocket=pocket, account=self.dice.choice(POCKET_SOURCES), source="drawn",
                actor=self.small.maker,
            )  # fmt: skip
            decide_change(proposal=row, is_approved=True, actor=self.director)
            self.done["merge"] += 1
            return
        worth = (stands * D(self.dice.choice((0, 50, 100, 150))) / 100).quantize(D("0.01"))
        cash = (worth * D(self.dice.choice((0, 0, 30, 100))) / 100).quantize(D("0.01"))
        row = propose_change(
            pocket=pocket, value=worth - cash, cash=cash, source="drawn", actor=self.small.maker
        )
        decide_change(proposal=row, is_approved=True, actor=self.director)

    def _payee(self, name: str | None) -> PayeeAccount:
        if name not in self.payees:
            self.payees[name] = payee_of(self.small, name, f"ACCOUNT{len(self.payees):08d}")
        return self.payees[name]

    def _prepare_payment(self, at: datetime) -> Payment:
        by: dict[str, Any] = {"actor": self.small.maker, "at": at}
        kind = self.dice.choice(("fee", "rebate", "pocket", "proceeds", "proceeds"))
        if kind == "fee":
            fee = self.dice.choice((PaymentKind.MANAGEMENT_FEE, PaymentKind.PERFORMANCE_FEE))
            part = owed(self.small.fund, fee) * D(self.dice.randint(1, 10)) / 10
            return prepare_fee(
                fund=self.small.fund, kind=fee, payee=self._payee(None), text="fee",
                amount=part.quantize(D("0.01")), **by,
            )  # fmt: skip
        name = self.dice.choice(NAMES)
        if kind == "pocket":
            return prepare_of_lots(
                fund=self.small.fund, kind=PaymentKind.POCKET, payee=self._payee(name), **by
            )
        if kind == "rebate":
            return prepare_rebate(fund=self.small.fund, payee=self._payee(name), **by)
        orders = DealingOrder.objects.filter(
            share_class__fund=self.small.fund,
            investor=self.small.investor(name),
            state__in=("payable", "deferred"),
        )
        order = orders.order_by("received_at", "pk").first()
        if order is None:
            return prepare_rebate(fund=self.small.fund, payee=self._payee(name), **by)
        if order.held_amount and self.dice.random() < 0.5:
            order = release_holdback(order=order, actor=self.small.checker, reason="audited", at=at)
        return prepare_proceeds(order=order, payee=self._payee(name), **by)

    def _pay(self, at: datetime) -> None:
        """A payment goes some steps of its way: taken back, left, confirmed, or returned after."""
        row, small, steps = self._prepare_payment(at), self.small, self.dice.randint(0, 9)
        if steps == 0:
            cancel_payment(payment=row, reason="drawn", actor=small.maker, at=at)
        if steps <= 1:
            return
        signers = [small.checker]
        if is_director_needed(amount=row.amount, band=small.fund.payment_band):
            signers.append(self.director)
        for signer in signers:
            approve_payment(payment=row, seen_hash=row.content_hash, actor=signer, at=at)
        release_payments(payments=[row], account=self.account, actor=small.maker, at=at)
        if steps > 2:
            confirm_payment(payment=row, bank_reference="B", actor=small.maker, at=at)
        if steps <= 4:
            return_payment(payment=row, reason="drawn", actor=small.maker, at=at)

    def _propose(self, kind: str, at: datetime) -> DealingProposal:
        name, code, units = self._held()
        others = [other for other in NAMES if other != name]
        is_move = kind == "transfer"
        row = propose_dealing(
            kind=kind,
            investor=self.small.investor(name),
            share_class=self.small.share_class(code),
            receiver=self.small.investor(self.dice.choice(others)) if is_move else None,
            units=units,
            is_all=units is None,
            reason="drawn",
            notice="drawn",
            actor=self.small.maker if is_move else self.small.checker,
        )
        return decide_dealing(
            proposal=row, is_approved=True, at=at + timedelta(hours=30),
            actor=self.small.checker if is_move else self.director,
        )  # fmt: skip

    def _earn(self, at: datetime) -> None:
        """A result in the size of what holders have after the last dealing."""
        last = self.small.fund.strikes.filter(state="dealt").latest("valuation_at")
        if last.nav <= 0:
            return
        worth = _value_of(last.valuation_at)
        amount = (worth * D(self.dice.randint(-15, 25)) / 100).quantize(D("0.01"))
        if amount:
            self.small.earn(f"{amount:f}", at=at)
            self.earned += amount

    def _strike(self, at: datetime) -> None:
        strike = self.small.strike(at)
        self._require_law(at)
        self._require_payables()
        before = self.days[max(0, self.days.index(at) - 1)].date()
        for name in NAMES:
            for row in strike.classes.all():
                require_rebate(row, self.small.investor(name), since=before)

    def _require_eaten(self, error: InvalidInput, before: datetime) -> None:
        """A NAV is refused only where its costs are worth as much as a small fund."""
        costs = sum((state.total for state in read_expenses(self.small.fund)), D(0))
        assert error.code == "nav_not_positive", self.done
        assert costs * 2 > _value_of(before), (costs, self.done)

    def _require_payables(self) -> None:
        """What the ledger owes for orders is what they say is left to pay and held back."""
        orders = DealingOrder.objects.filter(share_class__fund=self.small.fund)
        held = orders.aggregate(n=Sum("held_amount"))["n"] or D(0)
        waiting = orders.filter(kind="reinvestment", state="funded")
        left = waiting.aggregate(n=Sum("amount"))["n"] or D(0)
        for order in orders.exclude(kind__in=("subscription", "switch")):
            if not (order.buys_units and order.dealt_units):
                left += (order.dealt_amount or D(0)) - order.held_amount - order.paid_amount
        balances = read_balances(self.small.fund, accounts=["2020", "2030"])
        booked = [-balances.get((code, "USD"), D(0)) for code in ("2020", "2030")]
        assert booked == [left, held], self.done

    def _require_law(self, at: datetime) -> None:
        """Money in and earned is owed to somebody or belongs to a holder, to the cent."""
        balances = read_balances(self.small.fund, before=at + timedelta(microseconds=1))
        paid = StatementLine.objects.filter(fund=self.small.fund).aggregate(n=Sum("amount"))["n"]
        debts = -sum((balances.get((code, "USD"), D(0)) for code in OWED), D(0))
        # Account 2130 also takes the losses that these histories make up, so it is not asked.
        debts += sum((state.total for state in read_expenses(self.small.fund)), D(0))
        accrued = -balances.get(("2110", "USD"), D(0))
        held = _value_of(at) + balances.get(("1500", "USD"), D(0))
        # What claims came to beyond what they were carried at.
        gained = PocketEntry.objects.filter(kind="valued").aggregate(n=Sum("value"))["n"] or D(0)
        # Fees that the fund keeps are nobody's until the next price holds them.
        kept = -(
            Posting.objects.filter(
                account="4060", entry__fund=self.small.fund, entry__effective_at=at
            ).aggregate(n=Sum("amount"))["n"]
            or D(0)
        )
        gone = Payment.objects.filter(fund=self.small.fund, state=PaymentState.CONFIRMED)
        out = gone.aggregate(n=Sum("amount"))["n"] or D(0)
        gap = paid + self.earned + gained - out - debts - accrued - held - kept
        # Each price is rounded at the sixth place, each holder's value at the second, and what
        # each movement pays is cut to a cent; the next price holds what was cut.
        units = Holding.objects.aggregate(n=Sum("units"))["n"] or D(0)
        moves = UnitEntry.objects.filter(effective_at=at).count()
        bound = units * D("0.000001") + D("0.05") + moves * D("0.01")
        assert abs(gap) <= bound, (at, gap, self.done)


def _value_of(at: datetime) -> Decimal:
    """What holders have after the dealing of an instant."""
    rows = InvestorSnapshot.objects.filter(day=at.date())
    return rows.aggregate(n=Sum("value"))["n"] or D(0)


def _find_refused() -> list[tuple[Any, ...]]:
    """What a live book's walls would have refused of these; results were made out of nothing."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT e.source_ref, investors_entry_fault(e) FROM investors_entry e "
            "WHERE e.source_ref NOT LIKE 'earned:%' AND investors_entry_fault(e) IS NOT NULL "
            "UNION ALL SELECT y.number::text, investors_payment_fault(y) FROM investors_payment y "
            "WHERE investors_payment_fault(y) IS NOT NULL"
        )
        return cursor.fetchall()


@pytest.mark.parametrize("seed", range(HISTORIES))
def test_no_value_appears_and_none_is_lost(seed: int):
    history = History(seed)
    history.live()
    assert verify_fund(history.small.fund) == [], history.done
    assert _find_refused() == [], history.done
