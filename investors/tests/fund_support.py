"""A small fund without any trading: classes, people, calendar; orders and NAVs by the services."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from investors.domain.ledger import build_entry
from investors.domain.onboarding import KycState
from investors.models import (
    DealingDay,
    DealingOrder,
    Fund,
    Investor,
    NavStrike,
    ShareClass,
)
from investors.services.dealing import submit_redemption, submit_subscription
from investors.services.ledger import NewEntry, ensure_chart, post_entry
from investors.services.nav import approve_strike, prepare_strike
from investors.services.policies import set_terms
from investors.services.statements import record_receipt
from investors.services.suspension import decide_suspension, propose_suspension
from magnetfund.core.actors import Actor
from magnetfund.core.roles import Role
from magnetfund.operations.people import ensure_user
from trading.models import BookFlow, Valuation

D = Decimal
FIRST = datetime(2025, 1, 1, tzinfo=UTC)


@dataclass(slots=True, kw_only=True)
class SmallFund:
    """One fund, its two signatories, and the steps of a dealing day."""

    fund: Fund
    maker: Actor
    checker: Actor
    investors: dict[str, Investor] = field(default_factory=dict)

    def share_class(self, code: str = "A") -> ShareClass:
        return self.fund.classes.get(code=code)

    def day(self, at: datetime, **changes: Any) -> DealingDay:
        return DealingDay.objects.create(
            fund=self.fund,
            day=at.date(),
            **{
                "cutoff_at": at - timedelta(days=5),
                "funding_deadline_at": at - timedelta(days=2),
                "valuation_at": at,
                "settlement_day": at.date(),
                **changes,
            },
        )

    def investor(self, name: str) -> Investor:
        if name not in self.investors:
            self.investors[name] = Investor.objects.create(
                number=f"{self.fund.code}-{name}",
                legal_name=name.title(),
                email=f"{name}@example.com",
                kyc_state=KycState.APPROVED,
                joined_at=FIRST - timedelta(days=30),
            )
        return self.investors[name]

    def subscribe(
        self, name: str, amount: str, *, before: datetime, code: str = "A", paid: bool = True
    ) -> DealingOrder:
        """An order in time for the dealing day at ``before``, with its money unless unpaid."""
        order = submit_subscription(
            investor=self.investor(name),
            share_class=self.share_class(code),
            amount=D(amount),
            actor=self.maker,
            at=before - timedelta(days=10),
        )
        if paid:
            record_receipt(
                order=order,
                amount=D(amount),
                party=order.investor.legal_name,
                reference=f"REF-{order.pk}",
                actor=self.maker,
                at=before - timedelta(days=3),
            )
        return order

    def redeem(
        self, name: str, units: str | None, *, before: datetime, code: str = "A"
    ) -> DealingOrder:
        return submit_redemption(
            investor=self.investor(name),
            share_class=self.share_class(code),
            units=None if units is None else D(units),
            actor=self.maker,
            at=before - timedelta(days=10),
        )

    def prepare(self, at: datetime) -> NavStrike:
        return prepare_strike(
            fund=self.fund,
            valuation_at=at,
            dealing_day=DealingDay.objects.filter(fund=self.fund, valuation_at=at).first(),
            actor=self.maker,
            at=at + timedelta(microseconds=2),
        )

    def approve(self, strike: NavStrike) -> NavStrike:
        return approve_strike(
            strike=strike,
            seen_hash=strike.result_hash,
            actor=self.checker,
            at=strike.valuation_at + timedelta(microseconds=3),
        )

    def strike(self, at: datetime) -> NavStrike:
        return self.approve(self.prepare(at))

    def earn(self, amount: str, *, at: datetime, by_trading: bool = False) -> None:
        """A result of the fund; ``by_trading`` in venue cash, as a fill would post it."""
        part, event, account, value = "amount", "error_recovered", "", amount
        if by_trading:
            part, event = "realised", "trade_fill"
        elif D(amount) < 0:
            event, account, value = "expense_accrued", "5040", amount.lstrip("-")
        entry = build_entry(
            event=event,
            source_ref=f"earned:{self.fund.code}:{at.isoformat()}:{amount}",
            effective_at=at,
            amounts={part: value},
            currency=self.fund.currency,
            account=account,
        )
        post_entry(self.fund, NewEntry.of(entry), actor=Actor.system("test"))

    def value_book(self, equity: str, *, at: datetime) -> Valuation:
        return Valuation.objects.create(
            book=self.fund.book,
            at=at,
            equity=D(equity),
            cash=D(equity),
            unit_value=D(100),
            peak_unit_value=D(100),
            day_start_unit_value=D(100),
        )

    def book_cash(self) -> Decimal:
        flows = BookFlow.objects.filter(book=self.fund.book)
        return sum((flow.amount for flow in flows), D(0))


def make_fund(code: str = "small", **terms: Any) -> SmallFund:
    """A fund of one class A at 100 with the given terms, founded before :data:`FIRST`."""
    return make_fund_of(code, {"A": terms})


def make_fund_of(
    code: str, classes: Mapping[str, Mapping[str, Any]], *, currency: str = "USD"
) -> SmallFund:
    ensure_chart()
    maker = Actor.of(
        ensure_user(email=f"maker-{code}@example.com", name="Maker", roles=[Role.ACCOUNTANT])
    )
    checker = Actor.of(
        ensure_user(email=f"checker-{code}@example.com", name="Checker", roles=[Role.CONTROLLER])
    )
    fund = Fund.objects.create(code=code, name=code, book=code, inception=FIRST, currency=currency)
    for name, terms in classes.items():
        row = ShareClass.objects.create(fund=fund, code=name, name=name, launch_price=D(100))
        set_terms(
            share_class=row,
            terms=dict(terms),
            effective_from=FIRST - timedelta(days=60),
            proposer=maker,
            approver=checker,
        )
    return SmallFund(fund=fund, maker=maker, checker=checker)


def switch_dealing(fund: Fund, *, suspends: bool) -> None:
    """Dealing is suspended, or opened again: a controller proposes, a director signs."""
    people = [
        Actor.of(ensure_user(email=f"switch-{role}@example.com", name=role.value, roles=[role]))
        for role in (Role.CONTROLLER, Role.DIRECTOR)
    ]
    row = propose_suspension(
        fund=fund, suspends=suspends, reason="outage", notice="as told", actor=people[0]
    )
    decide_suspension(proposal=row, is_approved=True, actor=people[1])


def first_of(year: int, month: int) -> datetime:
    return datetime.combine(date(year, month, 1), datetime.min.time(), tzinfo=UTC)
