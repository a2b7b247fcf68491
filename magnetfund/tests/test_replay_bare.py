"""A replay under bare rules makes the trades of the backtest, to the lot, and only in a story."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.management import call_command

from investors.models import Fund
from magnetfund.core.actors import Actor
from magnetfund.kernel.errors import Conflict, InvariantBroken
from magnetfund.operations.replay import run_replay
from magnetfund.operations.replay_plan import ReplayPlan
from magnetfund.tests.drill_size import IS_SHORT, sampled
from magnetfund.tests.flow_support import START, SYMBOL, make_candles
from risk.domain.limits import DEFAULT_LIMITS
from risk.services.pretrade import check_and_reserve
from risk.tests.test_pretrade import BOOK, NOW, ORDER
from trading.domain.engine.rules import bare_rules
from trading.domain.engine.step import open_book
from trading.domain.strategies.registry import STRATEGIES
from trading.models import Instrument, Strategy, Trade
from trading.services.book.memory import Memory
from trading.services.book.trading_book import TradingBook
from trading.services.book_setup import build_setup
from trading.services.instruments import get_instrument

pytestmark = pytest.mark.usefixtures("as_gateway")
SHORT = timedelta(days=84)
#: First full day of each file after a warm-up, and the day after its last one.
FILES = {
    "BTCUSDT-1h-2017-2024": (datetime(2018, 1, 1, tzinfo=UTC), datetime(2024, 4, 1, tzinfo=UTC)),
    "ETHUSDT-1h-2020-2025": (datetime(2021, 1, 1, tzinfo=UTC), datetime(2025, 9, 1, tzinfo=UTC)),
}


def play(book: str, instrument: Instrument, **given: Any) -> dict[str, Any]:
    plan = ReplayPlan(book=book, instruments=(instrument,), rules="bare", **given)
    return run_replay(plan, on_start=lambda bars: None, on_bar=lambda: None)


@pytest.mark.slow
def test_a_replay_under_bare_rules_makes_the_trades_of_the_backtest():
    found = play(
        "bare", make_candles(days_before=40, days=15), start=START, end=START + timedelta(days=14),
        sleeves=("moving-average", "macd"),
    )  # fmt: skip
    assert found["backtest"] == {"trades": found["trades"], "difference": ""}
    assert found["trades"] > 3
    assert (found["denied"], found["fuse_events"], found["investors"]) == (0, {}, 1)
    assert found["ledger"] == "clean", found["differences"]


@pytest.mark.slow
def test_a_reversal_of_more_than_half_the_margin_is_traded_under_the_rules_of_the_fund():
    plan = ReplayPlan(
        book="turns", instruments=(make_candles(days_before=40, days=15),), start=START,
        end=START + timedelta(days=14), sleeves=("macd",), risk=Decimal("0.01"),
    )  # fmt: skip
    found = run_replay(plan, on_start=lambda bars: None, on_bar=lambda: None)
    assert found["denied"] == 0
    margins = [
        trade.quantity * trade.entry_price / Decimal(str(trade.leverage)) / trade.account_balance
        for trade in Trade.objects.filter(book="turns")
    ]
    assert max(margins) > DEFAULT_LIMITS.margin_share_position / 2


@pytest.mark.drill
@pytest.mark.real_data
@pytest.mark.parametrize("file", sampled(list(FILES), 1))
@pytest.mark.parametrize("name", sampled(list(STRATEGIES), 1))
def test_each_strategy_trades_alike_in_replay_and_backtest_on_real_hours(
    real_data: Path, name: str, file: str
):
    path = real_data / "candles" / f"binance-spot-{file}.parquet"
    call_command("import_candles", str(path), "--instrument", SYMBOL)
    first, end = FILES[file]
    start = end - SHORT if IS_SHORT else first
    found = play("bare", get_instrument(SYMBOL), start=start, end=end, sleeves=(name,))
    assert found["backtest"] == {"trades": found["trades"], "difference": ""}
    assert found["denied"] == 0
    assert found["orders"] > 0


def test_bare_rules_are_refused_outside_the_book_of_a_replay():
    instrument = make_candles(days=3)
    with pytest.raises(Conflict, match="never without its fuse"):
        play(settings.MAGNET_BOOK, instrument, start=START, end=START + timedelta(days=2))
    assert not Fund.objects.exists()
    setup = build_setup(
        instruments=[instrument], limits=DEFAULT_LIMITS, is_bare=True,
        sleeves=[Strategy(code="trend", version=1, risk_fraction="0.0035")],
    )  # fmt: skip
    assert setup.rules == bare_rules(setup.rules)
    with pytest.raises(InvariantBroken, match="only a history"):
        TradingBook(
            code="live", rules=setup.rules, instruments=setup.instruments, sleeves=setup.sleeves,
            memory=Memory(book=open_book(rules=setup.rules, time_ms=0)), limits=DEFAULT_LIMITS,
            actor=Actor.system("test"),
        )  # fmt: skip
    with pytest.raises(InvariantBroken, match="the book of a replay alone"):
        check_and_reserve(
            order_id=uuid.uuid4(), book="live", order=ORDER, limits=DEFAULT_LIMITS, now=NOW,
            snapshot=replace(BOOK, is_bare=True),
        )  # fmt: skip
