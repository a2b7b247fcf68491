"""Every figure of a limit set is read by what runs: changing it changes what that does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from magnetfund.core.actors import Actor
from magnetfund.core.roles import Role
from magnetfund.kernel.clock import utc_now
from magnetfund.operations import watch
from magnetfund.tests.walls_support import arm_fuse, make_engine_ready, make_instrument, make_user
from magnetfund.web.desk.gauges import build_market_gauges
from risk.domain.fuse import FuseRules, FuseState, Trigger, Trip, find_reset_denial
from risk.domain.limits import FIGURES, Limits, figures_of
from risk.domain.pretrade import (
    BookPosition,
    BookSnapshot,
    EngineState,
    InstrumentRules,
    Mode,
    OrderRequest,
    OrderType,
    RecentOrder,
    ReferencePrice,
    Side,
    check_order,
)
from risk.models import FuseEvent, RiskMeasure
from risk.services.limits import approve_limits, propose_limits
from trading.domain.backtest.kernel.run import run_kernel
from trading.domain.engine.rules import LimitRules
from trading.domain.engine.step import open_book, process_bar
from trading.models import Instrument, Strategy, Valuation
from trading.selectors.fuse import LossStreak, Measured
from trading.services.book_setup import build_setup
from trading.services.correlations import find_correlation_groups
from trading.services.leverage_caps import evidence_policy
from trading.tests.engine_cases import make_market, make_rules, make_signals

AT = datetime(2026, 1, 5, 12, tzinfo=UTC)
BTC = "BTC/USDT:USDT"


def changed(name: str, value: str) -> Limits:
    return replace(Limits(), **{name: Decimal(value)})


# ---- figures of the decision: the compiled run of random books -----------------------------------


def runs(limits: Limits) -> list[Any]:
    """What random books do under the rules that a running book is given for these limits."""
    found = []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        rules = make_rules(rng, instruments=2)
        market = make_market(rng, instruments=2, bars=250)
        signals = make_signals(rng, rules=rules, market=market)
        slots = tuple(
            replace(slot, traits=replace(slot.traits, liquidation_share_max=0.9, conflict_bars=3))
            for slot in rules.slots
        )
        under = replace(
            rules,
            slots=slots,
            limits=LimitRules.of_limit_set(limits),
            fuse=FuseRules.of_limit_set(limits),
        )
        raw = run_kernel(rules=under, market=market, signals=signals)
        found.append((raw.trades, raw.fuse_events, dict(raw.refusals)))
    return found


DECISION = {
    "leverage_max": "1.0",
    "volatility_target": "0.1",
    "liquidation_probability_max": "0.000001",
    "liquidation_horizon_days": "365",
    "margin_share_tier_1": "0.001",
    "margin_share_tier_2": "0.001",
    "margin_share_tier_3": "0.001",
    "margin_share_position": "0.001",
    "margin_share_group": "0.001",
    "margin_share_total": "0.001",
    "loss_at_stop_share": "0.0001",
    "gap_share_position": "0.001",
    "gap_share_book": "0.001",
    "stop_liquidation_share_max": "0.01",
    "daily_loss_share": "0.001",
    "drawdown_share": "0.002",
    "volatility_ratio_max": "0.8",
    "conflict_max": "0.1",
    "confirmation_bars": "1",
    "losses_in_a_row_count": "1",
    "cut_share_min": "0.6",
    "cut_share_max": "0.95",
    "no_new_trades_s": "86400",
    "rearm_after_clear_s": "86400",
}


@pytest.fixture(scope="module")
def usual() -> list[Any]:
    return runs(Limits())


@pytest.mark.parametrize("name", DECISION)
def test_a_figure_of_the_decision_changes_what_a_book_does(name: str, usual: list[Any]) -> None:
    assert runs(changed(name, DECISION[name])) != usual


# ---- figures of the pre-trade check --------------------------------------------------------------

PRETRADE = {
    "price_collar_share": "0.001",
    "price_drift_share": "0.001",
    "price_age_max_s": "1",
    "order_value_max": "1000",
    "position_notional_share_max": "0.01",
    "gross_notional_share_max": "0.01",
    "net_notional_share_max": "0.01",
    "orders_per_second_count_max": "1",
    "orders_per_minute_count_max": "1",
    "closing_reserve_share": "0.9",
    "duplicate_window_s": "3600",
    "unreviewed_executions_count_max": "1",
    "live_approved_trades_count": "10000",
}


def verdict(limits: Limits) -> Any:
    order = OrderRequest(
        instrument=BTC,
        strategy="magnet",
        side=Side.BUY,
        type=OrderType.LIMIT,
        quantity=Decimal("0.1"),
        price=Decimal(100),
        stop_price=Decimal(98),
    )
    position = BookPosition(
        instrument=BTC,
        strategy="trend",
        quantity=Decimal("0.5"),
        mark=Decimal(100),
        margin=Decimal(50),
        gap_loss=Decimal(12),
    )
    book = BookSnapshot(
        equity=Decimal(1000),
        mode=Mode.LIVE,
        fuse_state=FuseState.ARMED,
        engine_state=EngineState.READY,
        instrument=InstrumentRules(
            instrument=BTC, tick_size=Decimal("0.1"), lot_size=Decimal("0.001")
        ),
        reference=ReferencePrice(
            price=Decimal(101), observed_at=AT - timedelta(seconds=30), price_before=Decimal(99)
        ),
        positions=(position,),
        executions_since_review=5,
        live_trades_of_strategy=20,
        recent=RECENT,
    )
    return check_order(order=order, book=book, limits=limits, now=AT).checks


RECENT = (
    RecentOrder(
        instrument=BTC,
        strategy="magnet",
        side=Side.BUY,
        quantity=Decimal("0.1"),
        price=Decimal(100),
        submitted_at=AT - timedelta(seconds=20),
        is_message_only=False,
    ),
)


@pytest.mark.parametrize("name", PRETRADE)
def test_a_figure_of_the_check_changes_its_verdict(name: str) -> None:
    assert verdict(changed(name, PRETRADE[name])) != verdict(Limits())


# ---- the others, each where it acts --------------------------------------------------------------


def groups_of(limits: Limits) -> Any:
    RiskMeasure.objects.create(
        book="main",
        kind="correlation",
        values={"pairs": [{"pair": ["A", "B"], "rho": 0.5}]},
        occurred_at=AT,
    )
    return find_correlation_groups(book="main", symbols=["A", "B"], limits=limits, at=AT)


def reach_of(limits: Limits) -> Any:
    sleeve = Strategy(code="magnet", version=1, risk_fraction=Decimal("0.0035"))
    setup = build_setup(
        instruments=[Instrument.objects.first() or make_instrument()],
        sleeves=[sleeve],
        limits=limits,
        cash=1e5,
    )
    return setup.strategies["magnet"].magnets.heavy_zone_reach  # type: ignore[attr-defined]


def cuts_of(limits: Limits) -> Any:
    """A held position over a thin order book, score 40."""
    rng = np.random.default_rng(1)
    rules = replace(make_rules(rng, instruments=1), fuse=FuseRules.of_limit_set(limits))
    market = make_market(rng, instruments=1, bars=120)
    signals = make_signals(rng, rules=rules, market=market)
    book = open_book(rules=rules, time_ms=int(market.time_ms[0]))
    for row, time_ms in enumerate(market.time_ms[market.rows[0] >= 0].tolist()):
        bar = market.instruments[0].bar(row)
        held = sum(p.lots * bar.close * 1e-5 for p in book.positions if p is not None)
        if held and not book.pending:  # what is held now is what the close will find
            bar = replace(bar, depth_value=0.4 * 20.0 * held)
        book, events = process_bar(
            rules=rules, book=book, time_ms=time_ms, bars=[bar],
            signals=[columns.at(row) for columns in signals],
        )  # fmt: skip
        if any(getattr(event, "trigger", 0) == Trigger.LIQUIDITY for event in events):
            return "cut"
    return "kept"


def warned_of(limits: Limits) -> Any:
    item = Measured(
        symbol=BTC, base="BTC", known_at=AT, volatility_ratio=1.0, conflicts={1: None, -1: None},
        volatility_ratios=[], conflicts_past={1: [], -1: []},
    )  # fmt: skip
    row = SimpleNamespace(
        instrument=SimpleNamespace(symbol=BTC), strategy="trend", quantity=Decimal(1)
    )
    gauges = build_market_gauges(
        limits, [SimpleNamespace(row=row)], [item],  # type: ignore[list-item]
        [LossStreak(strategy="trend", losses=0, locked_until=None)], at=AT,
    )  # fmt: skip
    return [gauge.is_warning for gauge in gauges]


def put_in_force(limits: Limits) -> None:
    proposal = propose_limits(
        book="main",
        figures=figures_of(limits=limits),
        reason="test",
        effective_from=utc_now() - timedelta(days=400),
        actor=Actor.of(make_user("pia", Role.RISK_OFFICER)),
    )
    approver = Actor.of(make_user("per", Role.RISK_OFFICER))
    approve_limits(proposal=proposal, seen_hash=proposal.content_hash, actor=approver)


def needs_director(limits: Limits) -> Any:
    return find_reset_denial(
        trips=[Trip(trigger="drawdown", tripped_at=AT)],
        drawdown_resets=[AT - timedelta(days=40)],
        has_director=False,
        at=AT,
        rules=FuseRules.of_limit_set(limits),
    )


def policy_of(limits: Limits) -> Any:
    return evidence_policy(limits)


OTHERS: dict[str, tuple[str, Callable[[Limits], Any]]] = {
    "evidence_level": ("2", policy_of),
    "correlation_group_min": ("0.4", groups_of),
    "opposite_distance_atr": ("5", reach_of),
    "liquidity_score_min": ("60", cuts_of),
    "warning_share": ("0.4", warned_of),
    "second_drawdown_days": ("60", needs_director),
}


@pytest.mark.django_db
@pytest.mark.parametrize("name", OTHERS)
def test_a_figure_acts_where_it_is_read(name: str) -> None:
    value, act = OTHERS[name]
    assert act(changed(name, value)) != act(Limits())


@pytest.mark.usefixtures("as_gateway")
@pytest.mark.parametrize(("limit", "trips"), [("180", False), ("100", True)])
def test_stale_equity_trips_the_fuse_by_its_figure(
    limit: str, trips: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_in_force(changed("equity_age_max_s", limit))
    arm_fuse(make_user("ann", Role.RISK_OFFICER), make_user("ben", Role.RISK_OFFICER))
    make_engine_ready()
    now = utc_now()
    monkeypatch.setattr(watch, "utc_now", lambda: now + timedelta(seconds=120))
    Valuation.objects.create(
        book="main", at=now, equity=1, cash=1, unit_value=1, peak_unit_value=1,
        day_start_unit_value=1,
    )  # fmt: skip
    watch.trip_on_stale_equity()
    found = FuseEvent.objects.filter(trigger="equity_stale").first()
    assert (found is not None) is trips
    if found is not None:
        assert float(found.measured["threshold"]) == 100
        assert found.limits_version == 1


def test_no_figure_is_without_its_proof() -> None:
    proven = {*DECISION, *PRETRADE, *OTHERS, "equity_age_max_s"}
    assert proven == set(FIGURES)
