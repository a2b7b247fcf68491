"""The demo fund: invented people, a simulated market, months of past made by the flow itself."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from allauth.account.models import EmailAddress
from django.conf import settings
from django.db import transaction

from investors.models import Fund
from investors.services.verification import verify_fund
from magnetfund.core.actors import Actor
from magnetfund.core.models import User
from magnetfund.core.roles import Role
from magnetfund.kernel.clock import to_milliseconds, utc_now
from magnetfund.kernel.errors import InvariantBroken
from magnetfund.operations.demo.real_market import read_real_market, refuse_simulated_home
from magnetfund.operations.people import (
    ScenarioPeople,
    arm_by_scenario,
    ensure_scenario_people,
    ensure_user,
    rearm_by_scenario,
    sign_limits_by_scenario,
)
from magnetfund.operations.scenario import (
    FundKeeper,
    Scenario,
    add_months,
    build_fund,
    enter_expenses,
    load_scenario,
)
from risk.domain.fuse import ResetPolicy
from risk.services.limits import limits_in_force
from risk.services.scenario_clock import close_scenario, open_scenario
from risk.services.stop_audit import chain_stops
from trading.domain.engine.step import open_book
from trading.domain.market import HOUR_MS
from trading.domain.simulated_market import SimulatedInstrument
from trading.models import BookFlow, Instrument, Strategy, Trade
from trading.services.book.memory import Memory
from trading.services.book.trading_book import TradingBook
from trading.services.book_setup import active_sleeves, build_setup
from trading.services.candle_store import load_candles, store_candles
from trading.services.correlations import find_correlation_groups, measure_correlations
from trading.services.history import TradingHistory
from trading.services.instruments import add_simulated_instrument
from trading.services.market_choice import names_real_market
from trading.services.market_source import SimulatedSource, SimulationConfig, save_simulation

#: Investors of the story who can sign in, so that their side can be looked at.
SHOWN_INVESTORS = ("ines@example.com", "harbor@example.com")
LOGIN_FILE = "demo-logins.txt"


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoReport:
    """What was made."""

    months: int
    bars: int
    trades: int
    navs: int
    investors: int
    equity: Decimal


def is_loaded(scenario: Scenario) -> bool:
    """Whether the demo fund is there."""
    return Fund.objects.filter(code=scenario.fund["code"]).exists()


def load_demo(
    *,
    on_start: Callable[[int], None],
    on_bar: Callable[[], None],
    scenario: Scenario | None = None,
) -> DemoReport | None:
    """Make the demo fund with its past up to the last full hour; None when it is there already.

    ``scenario`` is the story to tell; the one of ``fund.toml`` if absent.  With ``MARKET`` set its
    past runs on the hours of that exchange, which are fetched before anything is written.
    """
    scenario = scenario or load_scenario()
    if names_real_market():
        refuse_simulated_home()
    if is_loaded(scenario):
        close_scenario(scenario.fund["book"])
        return None
    now = utc_now()
    months = int(scenario.fund["months_of_history"])
    inception = add_months(now.replace(minute=0, second=0, microsecond=0), -months)
    end = now.replace(minute=0, second=0, microsecond=0)
    book = scenario.fund["book"]
    real = None
    if names_real_market():
        real = read_real_market(
            [item["symbol"] for item in scenario.market["instruments"]],
            start=inception - timedelta(days=int(scenario.market["warm_up_days"])),
            end=end,
        )
    with transaction.atomic():
        open_scenario(book)
        people = ensure_scenario_people()
        if real is not None:
            instruments = real.store()
        else:
            instruments, source = _make_market(scenario, inception)
            _store_past(scenario, instruments, source, inception, end)
        _make_sleeves(scenario, inception)
        accounts = _make_people(scenario, inception)
        fund = build_fund(
            scenario, book=book, inception=inception, months=months + 24, people=people,
            is_demo=True,
        )  # fmt: skip
        enter_expenses(scenario, fund=fund, people=people, at=inception - timedelta(days=30))
        keeper = FundKeeper(
            scenario=scenario, fund=fund, people=people, numbers="MF", with_events=True
        )
        for email, user in accounts.items():
            keeper.account_for(email, user)
        cash = keeper.begin()
        sign_limits_by_scenario(book=book, people=people, at=inception)
        arm_by_scenario(book=book, people=people, at=inception, reason="Fund launch")
    history = _history(
        instruments, keeper, people, cash=cash, start=inception, end=end, on_bar=on_bar
    )
    on_start(history.bars)
    history.run()
    chain_stops()
    rearm_by_scenario(book=book, people=people, at=end, reason="the demo begins armed")
    close_scenario(book)
    problems = verify_fund(fund)
    if problems:
        raise InvariantBroken(f"the demo's books do not reconcile: {problems[0]}")

    return DemoReport(
        months=months,
        bars=history.paper.counts.bars,
        trades=Trade.objects.filter(book=book).count(),
        navs=keeper.strikes,
        investors=keeper.investor_count,
        equity=history.values[-1].equity,
    )


def _make_market(
    scenario: Scenario, inception: datetime
) -> tuple[list[Instrument], SimulatedSource]:
    plain = scenario.market
    start = inception - timedelta(days=int(plain["warm_up_days"]))
    config = SimulationConfig(
        seed=int(scenario.fund["seed"]),
        start_ms=to_milliseconds(start),
        correlation=float(plain["correlation"]),
        instruments=tuple(
            SimulatedInstrument(
                symbol=item["symbol"],
                start_price=float(item["start_price"]),
                tick=float(item["tick"]),
                volatility_hour=float(item["volatility_hour"]),
            )
            for item in plain["instruments"]
        ),
    )
    save_simulation(config)
    rows = [
        add_simulated_instrument(
            item["symbol"],
            tick=Decimal(item["tick"]),
            lot=Decimal(item["lot"]),
            minimum_notional=Decimal(plain["minimum_notional"]),
            maker_fee=Decimal(plain["maker_fee"]),
            taker_fee=Decimal(plain["taker_fee"]),
            maintenance_rate=Decimal(plain["maintenance_rate"]),
            actor=Actor.system("load_demo"),
        )
        for item in plain["instruments"]
    ]
    return rows, SimulatedSource(config)


def _make_sleeves(scenario: Scenario, at: datetime) -> None:
    for item in scenario.sleeves:
        Strategy.objects.get_or_create(
            code=item["code"],
            version=1,
            defaults={
                "name": item["name"],
                "risk_fraction": Decimal(item["risk_fraction"]),
                "expectation": " ".join(item["expectation"].split()),
                "created_at": at,
            },
        )


def _make_people(scenario: Scenario, at: datetime) -> dict[str, User]:
    """Staff and the investors who can sign in; their passwords go to one private file."""
    lines = ["Demo accounts (invented people, passwords of this installation only):"]
    for item in scenario.staff:
        if item.get("simulated"):
            continue
        password = secrets.token_urlsafe(9)
        user = ensure_user(
            email=item["email"],
            name=item["name"],
            roles=[Role(role) for role in item["roles"]],
            password=password,
            joined_at=at,
        )
        _confirm(user)
        lines.append(f"  {item['email']:<28} {password}   {', '.join(item['roles'])}")
    accounts = {}
    for item in scenario.investors:
        if item["email"] in SHOWN_INVESTORS:
            password = secrets.token_urlsafe(9)
            user = ensure_user(
                email=item["email"], name=item["name"], roles=[Role.INVESTOR],
                password=password, joined_at=at,
            )  # fmt: skip
            _confirm(user)
            accounts[item["email"]] = user
            lines.append(f"  {item['email']:<28} {password}   investor")
    _write_private(settings.MAGNET_HOME / LOGIN_FILE, "\n".join(lines) + "\n")
    return accounts


def _confirm(user: User) -> None:
    EmailAddress.objects.get_or_create(
        user=user, email=user.email, defaults={"verified": True, "primary": True}
    )


def _write_private(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as handle:
        handle.write(text)


def _store_past(
    scenario: Scenario,
    instruments: list[Instrument],
    source: SimulatedSource,
    inception: datetime,
    end: datetime,
) -> None:
    start = inception - timedelta(days=int(scenario.market["warm_up_days"]))
    for row in instruments:
        candles = source.candles(row.symbol, to_milliseconds(start), to_milliseconds(end))
        store_candles(
            candles,
            instrument=row,
            timeframe="1h",
            source=source.label,
            available_ms=int(candles.open_time[0]) + HOUR_MS,
        )


def _history(
    instruments: list[Instrument],
    keeper: FundKeeper,
    people: ScenarioPeople,
    *,
    cash: Decimal,
    start: datetime,
    end: datetime,
    on_bar: Callable[[], None],
) -> TradingHistory:
    book = keeper.fund.book
    limits = limits_in_force(book, at=start)
    ordered = sorted(instruments, key=lambda row: row.symbol)
    measure_correlations(book=book, instruments=ordered, at=start)
    setup = build_setup(
        instruments=ordered,
        sleeves=active_sleeves(),
        limits=limits,
        cash=float(cash),
        groups=find_correlation_groups(
            book=book, symbols=[row.symbol for row in ordered], limits=limits, at=start
        ),
        reset_policy=ResetPolicy.COOLDOWN_7D,
    )
    opening = open_book(rules=setup.rules, time_ms=to_milliseconds(start))
    newest = BookFlow.objects.filter(book=book).order_by("-id").first()

    def reset(name: str, at: datetime) -> None:
        rearm_by_scenario(
            book=name, people=people, at=at, reason="seven days after the trip, conditions clear"
        )

    paper = TradingBook(
        code=book,
        rules=setup.rules,
        instruments=setup.instruments,
        sleeves=setup.sleeves,
        memory=Memory(
            book=opening, flow_id=newest.pk if newest else 0, shares=float(cash) / 100.0
        ),
        is_history=True,
        actor=Actor.system("trader (SIMULATED past)"),
        limits=limits,
        reset=reset,
    )  # fmt: skip
    candles: dict[str, Any] = {row.symbol: load_candles(row, "1h") for row in ordered}
    return TradingHistory(
        paper=paper,
        setup=setup,
        candles=candles,
        start_ms=to_milliseconds(start),
        end_ms=to_milliseconds(end),
        keeper=keeper,
        valuation_hours=1,
        on_bar=on_bar,
    )
