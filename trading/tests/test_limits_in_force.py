"""Approved limits reach the running trader at their effective time, without a restart."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from magnetfund.kernel.clock import VirtualClock, from_milliseconds, use_clock
from magnetfund.tests.walls_support import sign_limits
from risk.domain.fuse import Trigger
from risk.domain.limits import Limits
from risk.models import FuseEvent, PreTradeCheck
from trading.domain.market import HOUR_MS
from trading.models import Proposal
from trading.services.trader import Trader
from trading.tests.parity import PriceSequence, arm, build_ground
from trading.tests.test_trader_parity import SHORT_OF_ENTRY, STEP_MS, SYMBOL, make_market

pytestmark = pytest.mark.usefixtures("as_gateway")
BOOK = "live"


@pytest.fixture(autouse=True)
def cash(settings: Any) -> None:
    settings.INITIAL_EQUITY = 100_000.0


def approve(at_ms: int, **figures: Decimal) -> None:
    """One officer proposes a set that acts from ``at_ms``, another approves it."""
    sign_limits(Limits(**figures), at=from_milliseconds(at_ms), book=BOOK)


def test_a_running_trader_takes_new_limits_at_their_effective_time():
    market = make_market(seed=33, days=1, from_hour=SHORT_OF_ENTRY)
    build_ground(market, tick="0.1")
    effective = market.start_ms + 6 * HOUR_MS
    with use_clock(VirtualClock(from_milliseconds(market.start_ms - HOUR_MS))):
        approve(
            effective,
            volatility_ratio_max=Decimal("0.05"),
            conflict_max=Decimal("0.5"),
            losses_in_a_row_count=Decimal(2),
            opposite_distance_atr=Decimal(4),
        )
    source = PriceSequence(market)
    clock = VirtualClock(from_milliseconds(market.start_ms))
    with use_clock(clock):
        arm(BOOK, market.start_ms)
        trader = Trader(book=BOOK, source=source)
        trader.start()
        for at in range(market.start_ms, effective + 2 * HOUR_MS, STEP_MS):
            clock.move_to(from_milliseconds(at))
            source.now_ms = at
            trader.beat()
            under = trader.setup.rules.fuse
            assert under.volatility_ratio_max == (0.05 if at >= effective else 2.0)
            assert trader.paper.rules is trader.setup.rules
            if at >= effective:
                assert (under.conflict_max, under.losses_in_a_row) == (0.5, 2)
        trader.stop()
    cuts = FuseEvent.objects.filter(book=BOOK, trigger=Trigger.VOLATILITY.code)
    acted = cuts.filter(occurred_at__gte=from_milliseconds(effective)).first()
    assert acted is not None, "a ratio above 0.05 reduces as soon as the new set is in force"
    assert acted.limits_version == 1
    assert float(acted.measured["threshold"]) == 0.05
    assert acted.scope == SYMBOL
    assert acted.latency_ms is not None
    assert acted.latency_ms >= 0
    for event in cuts.filter(occurred_at__lt=from_milliseconds(effective)):
        assert float(event.measured["threshold"]) == 2.0
        assert event.limits_version == 0


def test_a_thin_order_book_cuts_what_the_trader_holds():
    market = make_market(seed=33, days=1, from_hour=SHORT_OF_ENTRY)
    build_ground(market, tick="0.1")
    source = PriceSequence(market)
    clock = VirtualClock(from_milliseconds(market.start_ms))
    with use_clock(clock):
        arm(BOOK, market.start_ms)
        trader = Trader(book=BOOK, source=source)
        trader.start()
        for at in range(market.start_ms, market.end_ms, STEP_MS):
            clock.move_to(from_milliseconds(at))
            source.now_ms = at
            trader.beat()
            if source.depths and not any(trader.paper.book.pending):
                break
            if any(trader.paper.book.positions):
                source.depths[SYMBOL] = 10.0
        trader.stop()
    event = FuseEvent.objects.get(book=BOOK, trigger=Trigger.LIQUIDITY.code)
    assert float(event.measured["threshold"]) == 30.0
    assert float(event.measured["value"]) < 1.0
    assert event.positions_closed == 1


def test_a_refused_signal_says_which_trigger_holds():
    """Every refusal for a market trigger keeps trigger, value and threshold with the decision."""
    market = make_market(seed=33, days=1, from_hour=SHORT_OF_ENTRY)
    build_ground(market, tick="0.1")
    with use_clock(VirtualClock(from_milliseconds(market.start_ms - HOUR_MS))):
        approve(market.start_ms, volatility_ratio_max=Decimal("0.05"))
    source = PriceSequence(market)
    clock = VirtualClock(from_milliseconds(market.start_ms))
    with use_clock(clock):
        arm(BOOK, market.start_ms)
        trader = Trader(book=BOOK, source=source)
        trader.start()
        for at in range(market.start_ms, market.end_ms, STEP_MS):
            clock.move_to(from_milliseconds(at))
            source.now_ms = at
            trader.beat()
            if Proposal.objects.filter(book=BOOK, is_trade=False).exists():
                break
        trader.stop()
    refused = Proposal.objects.filter(book=BOOK, is_trade=False).latest("decided_at")
    assert refused.reason == "instrument_reducing"
    assert refused.why.startswith("volatility ")
    assert refused.why.endswith("limit 0.05.")
    assert refused.decided_at <= from_milliseconds(market.end_ms) + timedelta(hours=1)
    assert not PreTradeCheck.objects.filter(book=BOOK).exists()
