"""Scenario around a trading history: share classes, invented investors, monthly dealing, signed-
off NAVs.

Read from one TOML file and told by :class:`FundKeeper` at the midnights of a history.  Nothing is
typed in as a result: prices, units and values come out of the flow itself.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from investors.domain.onboarding import KycState
from investors.models import (
    DealingDay,
    DealingOrder,
    Entry,
    Fund,
    Holding,
    Investor,
    Posting,
    ShareClass,
)
from investors.services.dealing import submit_redemption, submit_subscription
from investors.services.expenses import decide_expense, propose_expense
from investors.services.ledger import ensure_chart
from investors.services.nav import approve_strike, prepare_strike
from investors.services.policies import set_terms
from investors.services.statements import record_receipt
from magnetfund.core.actors import Actor
from magnetfund.core.bulk import is_doubled, refresh_statistics
from magnetfund.core.models import User
from magnetfund.kernel.clock import VirtualClock, use_clock
from magnetfund.kernel.errors import InvalidInput
from magnetfund.kernel.money import Rounding, quantize
from magnetfund.operations.people import ScenarioPeople, rearm_by_scenario
from magnetfund.operations.scenario_money import pay_what_is_owed
from risk.services.fuse import trip_fuse
from risk.services.stop_statements import FuseFacts
from trading.models import BookFlow
from trading.services.history import TradingHistory
from trading.services.reconcile import reconcile

SCENARIO_FILE = Path(__file__).parent / "demo" / "fund.toml"
UNIT = Decimal("0.000001")
ORDER_LEAD = timedelta(days=10)
MONEY_LEAD = timedelta(days=3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """The file as read."""

    fund: Mapping[str, Any]
    market: Mapping[str, Any]
    sleeves: tuple[Mapping[str, Any], ...]
    classes: tuple[Mapping[str, Any], ...]
    dealing: Mapping[str, Any]
    staff: tuple[Mapping[str, Any], ...]
    events: tuple[Mapping[str, Any], ...]
    investors: tuple[Mapping[str, Any], ...]
    expenses: tuple[Mapping[str, Any], ...] = ()


def load_scenario(path: Path = SCENARIO_FILE) -> Scenario:
    """Read a scenario file; raises :class:`InvalidInput` naming what is missing."""
    with path.open("rb") as handle:
        raw = tomllib.load(handle)
    try:
        return Scenario(
            fund=raw["fund"],
            market=raw["market"],
            sleeves=tuple(raw["sleeves"]),
            classes=tuple(raw["classes"]),
            dealing=raw["dealing"],
            staff=tuple(raw["staff"]),
            events=tuple(raw.get("events", ())),
            investors=tuple(raw["investors"]),
            expenses=tuple(raw.get("expenses", ())),
        )
    except KeyError as error:
        raise InvalidInput(f"{path.name} lacks {error}", code="bad_scenario") from None


def add_months(day: datetime, months: int) -> datetime:
    """The first day of the month ``months`` after that of ``day``, at midnight."""
    index = day.year * 12 + day.month - 1 + months
    return day.replace(year=index // 12, month=index % 12 + 1, day=1, hour=0, minute=0, second=0)


def dealing_instant(inception: datetime, month: int) -> datetime:
    """Dealing ``month`` of a fund: the inception itself, then the first days of months.

    The first of them lies far enough behind the inception for its orders to be given.
    """
    return add_months(inception + ORDER_LEAD, month) if month else inception


def build_fund(
    scenario: Scenario,
    *,
    book: str,
    inception: datetime,
    months: int,
    people: ScenarioPeople,
    is_demo: bool = False,
) -> Fund:
    """The fund with its classes, terms and dealing calendar of ``months`` months."""
    ensure_chart()
    code = scenario.fund["code"] if is_demo else book
    fund = Fund.objects.create(
        code=code,
        name=scenario.fund["name"] if is_demo else f"Replay {book}",
        currency=scenario.fund["currency"],
        book=book,
        inception=inception,
        is_simulated=True,
    )
    for item in scenario.classes:
        row = ShareClass.objects.create(
            fund=fund,
            code=item["code"],
            name=item["name"],
            tier=item.get("tier", ""),
            launch_price=Decimal(item["launch_price"]),
            minimum_subscription=Decimal(item["minimum"]),
        )
        set_terms(
            share_class=row,
            terms={
                "management_rate": item["management_fee"],
                "performance_rate": item["performance_fee"],
                "hurdle": item.get("hurdle", "none"),
                "hurdle_rate": item.get("hurdle_rate", "0"),
                "gate_share": str(scenario.dealing["gate"]),
            },
            effective_from=inception - timedelta(days=60),
            proposer=people.maker,
            approver=people.checker,
        )
    rules = scenario.dealing
    for month in range(months + 1):
        day = dealing_instant(inception, month)
        cutoff = day - timedelta(days=rules["cutoff_days"])
        DealingDay.objects.create(
            fund=fund,
            day=day.date(),
            cutoff_at=cutoff.replace(hour=rules["cutoff_hour"]),
            funding_deadline_at=day - timedelta(days=2),
            valuation_at=day,
            settlement_day=day.date(),
        )
    return fund


def enter_expenses(scenario: Scenario, *, fund: Fund, people: ScenarioPeople, at: datetime) -> None:
    """The running costs of a story: proposed and approved at ``at``, accrued from the fund's
    inception on."""
    with use_clock(VirtualClock(at)):
        for item in scenario.expenses:
            row = propose_expense(
                fund=fund, account=item["account"], supplier=item["supplier"],
                reference=item["reference"], amount=Decimal(item["yearly"]), is_yearly=True,
                first_day=fund.inception.date(), actor=people.maker,
            )  # fmt: skip
            decide_expense(proposal=row, is_approved=True, actor=people.checker)


@dataclass(slots=True, kw_only=True)
class FundKeeper:
    """Applies the scenario's events at each 00:00 UTC of the history."""

    scenario: Scenario
    fund: Fund
    people: ScenarioPeople
    numbers: str = "I"
    with_events: bool = False
    on_strike: Callable[[datetime], None] | None = None
    strikes: int = 0
    _accounts: dict[str, User | None] = field(default_factory=dict)
    _investors: dict[str, Investor] = field(default_factory=dict)

    @property
    def investor_count(self) -> int:
        """Number of investors created so far."""
        return len(self._investors)

    def begin(self) -> Decimal:
        """Everything before the first bar: first orders, their money, the first dealing.

        Returns the money that the book starts with.
        """
        inception = self.fund.inception
        self._orders_of(0, inception - ORDER_LEAD)
        self._money_of(inception, inception - MONEY_LEAD)
        self._strike(inception)
        flows = BookFlow.objects.filter(book=self.fund.book)
        return sum((flow.amount for flow in flows), Decimal(0))

    def open_day(self, history: TradingHistory, day: datetime) -> None:
        """Scenario events due at this 00:00 UTC."""
        if day <= self.fund.inception:
            return
        ordered, paid = day + ORDER_LEAD, day + MONEY_LEAD
        if ordered.day == 1 and (month := self._month_of(ordered)) > 0:
            self._orders_of(month, day)
        if paid.day == 1 and self._month_of(paid) > 0:
            self._money_of(paid, day)
        if day.day == 1:
            history.save()
            reconcile(history.paper, at=day)
            self._strike(day)
        if self.with_events:
            self._events(day)

    def _month_of(self, dealing: datetime) -> int:
        """Which month of dealing begins so, as :func:`dealing_instant` counts them."""
        first = self.fund.inception + ORDER_LEAD
        return (dealing.year - first.year) * 12 + dealing.month - first.month

    # ---- investors -------------------------------------------------------------------------------

    def account_for(self, email: str, user: User | None) -> None:
        """Give an investor of the story an account to sign in with."""
        self._accounts[email] = user

    def _investor(self, plain: Mapping[str, Any], at: datetime) -> Investor:
        key = plain["email"]
        if key not in self._investors:
            self._investors[key] = Investor.objects.create(
                number=f"{self.numbers}-{len(self._investors) + 1:03d}",
                user=self._accounts.get(key),
                kind=plain.get("kind", "person"),
                legal_name=plain["name"],
                email=key,
                country=plain["country"],
                kyc_state=KycState.APPROVED,
                kyc_approved_at=at - timedelta(days=2),
                is_fictitious=True,
                joined_at=at - timedelta(days=14),
            )
        return self._investors[key]

    def _orders_of(self, month: int, at: datetime) -> None:
        classes = {row.code: row for row in self.fund.classes.all()}
        actor = Actor.system("scenario (SIMULATED)")
        for plain in self.scenario.investors:
            for order in plain["orders"]:
                if order["month"] != month:
                    continue
                investor = self._investor(plain, at)
                share_class = classes[order["class"]]
                if "amount" in order:
                    submit_subscription(
                        investor=investor,
                        share_class=share_class,
                        amount=Decimal(order["amount"]),
                        actor=actor,
                        at=at,
                    )
                    continue
                held = Holding.objects.get(investor=investor, share_class=share_class)
                free, share = held.units - held.reserved_units, Decimal(order["redeem"])
                units = None if share == 1 else quantize(free * share, UNIT, Rounding.DOWN)
                submit_redemption(
                    investor=investor, share_class=share_class, units=units, actor=actor, at=at
                )

    def _money_of(self, dealing: datetime, at: datetime) -> None:
        waiting = DealingOrder.objects.filter(
            dealing_day__fund=self.fund,
            dealing_day__day=dealing.date(),
            kind="subscription",
            state="accepted",
        )
        for order in waiting:
            record_receipt(
                order=order,
                party=order.investor.legal_name,
                amount=order.amount or Decimal(0),
                reference=f"SIM-{order.pk}",
                actor=self.people.maker,
                at=at,
            )

    # ---- strikes and events ----------------------------------------------------------------------

    def _strike(self, at: datetime) -> None:
        day = DealingDay.objects.filter(fund=self.fund, day=at.date()).first()
        if day is None:
            return
        strike = prepare_strike(
            fund=self.fund,
            valuation_at=at,
            dealing_day=day,
            actor=self.people.maker,
            at=at + timedelta(microseconds=2),
        )
        approve_strike(
            strike=strike,
            seen_hash=strike.result_hash,
            actor=self.people.checker,
            at=at + timedelta(microseconds=3),
        )
        pay_what_is_owed(self.fund, people=self.people, at=at + timedelta(microseconds=4))
        self.strikes += 1
        if is_doubled(self.strikes):
            refresh_statistics(Entry, Posting)
        if self.on_strike is not None:
            self.on_strike(at)

    def _events(self, day: datetime) -> None:
        for event in self.scenario.events:
            when = add_months(self.fund.inception, event["month"]).replace(day=event["day"])
            if when != day:
                continue
            at = day + timedelta(microseconds=10)
            if event["kind"] == "trip":
                trip_fuse(
                    book=self.fund.book,
                    facts=FuseFacts(
                        trigger="manual", reason=event["reason"], action="close all positions"
                    ),
                    actor=self.people.maker,
                    at=at,
                )
            else:
                rearm_by_scenario(
                    book=self.fund.book, people=self.people, at=at, reason=event["reason"]
                )
