"""Every cap of leverage on the running path: from ``Trader.beat`` to the stored order."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from magnetfund.kernel.clock import VirtualClock, from_milliseconds, to_milliseconds, use_clock
from trading.domain.magnets import DEFAULT_PARAMETERS
from trading.domain.magnets.types import MagnetSignals
from trading.domain.market import HOUR_MS
from trading.domain.strategies.magnet import MagnetContext, MagnetStrategy
from trading.domain.strategies.signals import Signals, build_signals
from trading.models import Instrument, Order, ResearchRun, RunState
from trading.services.leverage_caps import find_fixed_cap
from trading.services.trader import Trader
from trading.tests.parity import CASH, Market, PriceSequence, arm, build_ground
from trading.tests.test_limits_in_force import approve
from trading.tests.test_trader_parity import START_MS, STEP_MS, SYMBOL, make_market

pytestmark = pytest.mark.usefixtures("as_gateway")


@pytest.fixture(autouse=True)
def cash(settings: Any) -> None:
    settings.INITIAL_EQUITY = CASH


@pytest.fixture
def wish(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """The magnet sleeve wants a long of three times leverage at each close; it can be changed."""
    given = {"volatility_ratio": 1.0}

    def signals(self: MagnetStrategy, *, magnets: MagnetSignals, context: MagnetContext) -> Signals:
        close = magnets.close
        values = {
            "direction": 1.0,
            "stop": close * 0.97,
            "target": close * 1.2,
            "distance": 3.0,
            "strength": 95.0,
            "conflict": 0.0,
            "atr": close * 0.01,
            **given,
        }
        columns = {name: value * np.ones(len(magnets)) for name, value in values.items()}
        return build_signals(known_at=magnets.known_at, **columns)

    monkeypatch.setattr(MagnetStrategy, "signals", signals)
    return given


def study(*, attracting: bool, age: timedelta = timedelta(0)) -> ResearchRun:
    """A stored study that judged one kind at the start of the market, less ``age``."""
    at = from_milliseconds(START_MS) - age
    judged = {
        "name": "vwap",
        "state": "supported" if attracting else "unproven",
        "judged_at": to_milliseconds(at),
        "rules_version": DEFAULT_PARAMETERS.version,
    }
    return ResearchRun.objects.create(
        kind=ResearchRun.Kind.EVIDENCE, state=RunState.DONE, title="magnets", actor_label="test",
        request={"instrument": SYMBOL}, result={"judged": [judged]}, finished_at=at,
    )  # fmt: skip


def set_evidence(policy: str) -> None:
    """Two people put a policy in force an hour before the market begins."""
    before = START_MS - HOUR_MS
    with use_clock(VirtualClock(from_milliseconds(before))):
        approve(before, evidence_level=Decimal(("off", "advisory", "enforced").index(policy)))


def trade(market: Market, *, hours: int = 2, between: Any = None) -> tuple[Trader, list[Order]]:
    """Beat through the first hours; ``between`` is called after the first."""
    source = PriceSequence(market)
    clock = VirtualClock(from_milliseconds(market.start_ms))
    with use_clock(clock):
        arm("live", market.start_ms)
        trader = Trader(book="live", source=source)
        trader.start()
        for at in range(market.start_ms, market.start_ms + hours * HOUR_MS, STEP_MS):
            if between is not None and at == market.start_ms + HOUR_MS - STEP_MS:
                between()
            clock.move_to(from_milliseconds(at))
            source.now_ms = at
            trader.beat()
        trader.stop()
    entries = Order.objects.filter(book="live", strategy="magnet", purpose="entry")
    return trader, list(entries.order_by("occurred_at"))


def test_without_a_cap_the_formula_stands(wish: dict[str, float]) -> None:
    market = make_market(seed=33, days=1)
    build_ground(market, tick="0.1")
    _, orders = trade(market)
    assert [order.leverage for order in orders] == [3.0]


@pytest.mark.parametrize(
    ("policy", "attracting", "age_days", "leverage"),
    [
        ("advisory", None, 0, 3.0),
        ("off", False, 0, 3.0),
        ("enforced", None, 0, 1.0),
        ("enforced", False, 0, 1.0),
        ("enforced", True, 0, 2.5),
        ("enforced", True, 181, 1.0),
    ],
)
def test_the_evidence_caps_what_is_sent_where_it_is_enforced(
    wish: dict[str, float],
    policy: str,
    attracting: bool | None,
    age_days: int,
    leverage: float,
) -> None:
    set_evidence(policy)
    market = make_market(seed=33, days=1)
    build_ground(market, tick="0.1")
    if attracting is not None:
        study(attracting=attracting, age=timedelta(days=age_days))
    _, orders = trade(market)
    assert [order.leverage for order in orders] == [leverage]


def test_a_policy_approved_while_trading_acts_from_its_effective_time(
    wish: dict[str, float],
) -> None:
    market = make_market(seed=33, days=1)
    build_ground(market, tick="0.1")
    at = START_MS + HOUR_MS - STEP_MS
    trader, orders = trade(market, between=lambda: approve(at, evidence_level=Decimal(2)))
    assert [order.leverage for order in orders] == [1.0]
    assert trader.slots.evidence_caps == {SYMBOL: 1.0}


def test_a_new_study_acts_in_a_running_trader_from_the_next_hour(wish: dict[str, float]) -> None:
    set_evidence("enforced")
    market = make_market(seed=33, days=1)
    build_ground(market, tick="0.1")
    study(attracting=True)
    trader, orders = trade(market, between=lambda: study(attracting=False))
    assert [order.leverage for order in orders] == [1.0]
    assert trader.setup.rules.instruments[0].leverage_cap == 1.0


def test_the_venue_caps_what_is_sent(
    wish: dict[str, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The gateway may not change an instrument, so its tiers are told to the readers of the row."""
    market = make_market(seed=33, days=1)
    build_ground(market, tick="0.1")
    from_row = Instrument.from_db.__func__  # type: ignore[attr-defined]

    def read(cls: type[Instrument], *arguments: Any) -> Instrument:
        row: Instrument = from_row(cls, *arguments)
        cap, rate, *_ = row.maintenance_tiers[0]
        row.maintenance_tiers = [[cap, rate, 1.5]]
        return row

    monkeypatch.setattr(Instrument, "from_db", classmethod(read))
    _, orders = trade(market)
    assert [order.leverage for order in orders] == [1.5]


def test_the_class_of_an_instrument_caps_it() -> None:
    row = Instrument(kind=Instrument.Kind.SPOT, maintenance_tiers=[["inf", 0.004, 20]])
    assert find_fixed_cap(row) == 1.0
    row.kind = Instrument.Kind.LINEAR_PERPETUAL
    assert find_fixed_cap(row) == 20.0
    row.maintenance_tiers = [["inf", 0.004]]
    assert find_fixed_cap(row) is None


def test_the_chance_of_liquidation_caps_what_is_sent(wish: dict[str, float]) -> None:
    wish["sigma"] = 1.2
    market = make_market(seed=33, days=1)
    build_ground(market, tick="0.1")
    _, orders = trade(market)
    assert len(orders) == 1
    assert 2.2 < orders[0].leverage < 2.5
