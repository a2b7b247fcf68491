"""Attribution, odds and the present book, from rows that the trader's role wrote."""

from __future__ import annotations

from bisect import bisect_left
from datetime import timedelta
from decimal import Decimal
from io import StringIO
from typing import Any

import numpy as np
import pytest
from django.core.management import call_command
from django.db import ProgrammingError, connection, transaction

from magnetfund.kernel.clock import utc_midnight, utc_now
from magnetfund.tests.test_desk_portfolio import add, make_market
from trading.models import Instrument, Magnet, Position, Trade, TradeDay
from trading.selectors import strategies
from trading.selectors.attribution import BANDS, EDGES, LEVERAGES, view_attribution
from trading.selectors.calculators import observed_odds
from trading.selectors.portfolio import view_portfolio
from trading.selectors.strategies import find_result_curve
from trading.services.kept_sums import find_sum_differences

pytestmark = pytest.mark.usefixtures("as_gateway", "placed_positions")


def test_the_present_book_stands_beside_the_proposals() -> None:
    market = make_market()
    rows = list(Instrument.objects.order_by("symbol"))
    for row, quantity in zip(rows, (1, -2), strict=False):
        Position.objects.create(
            book="main", instrument=row, strategy="trend", quantity=quantity, average_price=100
        )
    held = view_portfolio("main", rows, days=30).proposals[0]
    exposure = np.array([market[rows[0].symbol][-1], -2 * market[rows[1].symbol][-1], 0.0])
    np.testing.assert_allclose(held.weights, exposure / np.abs(exposure).sum())
    assert sum(held.risk_shares) == pytest.approx(1.0)


def make_trade(row: Instrument, net: str, **values: Any) -> Trade:
    fees, funding, slippage = Decimal("1.5"), Decimal("-0.25"), Decimal("0.75")
    usual = {
        "book": "main", "instrument": row, "strategy": "trend", "direction": "long",
        "quantity": 1, "entry_price": 100, "exit_price": 101,
        "gross_pnl": Decimal(net) + fees - funding, "commission": fees, "funding": funding,
        "slippage": slippage, "net_pnl": Decimal(net), "account_balance": 1000,
        "closure_reason": "target", "opened_at": utc_now() - timedelta(hours=5),
        "closed_at": utc_now() - timedelta(hours=1),
    }  # fmt: skip
    return Trade.objects.create(**{**usual, **values})


def test_every_split_of_the_trades_adds_to_the_whole_to_the_last_cent() -> None:
    first, second = add("AAA/USDT:USDT"), add("BBB/USDT:USDT")
    Magnet.objects.create(
        instrument=first, kind="vwap", timeframe="1d", price=110.1,
        created_at=utc_now() - timedelta(days=2), known_at=utc_now() - timedelta(days=1),
    )  # fmt: skip
    for gone in (timedelta(hours=6), timedelta(hours=-1)):
        Magnet.objects.create(
            instrument=first, kind="dead" if gone > timedelta(0) else "unborn", timeframe="1d",
            price=110.0, created_at=utc_now() - timedelta(days=3),
            known_at=utc_now() - (timedelta(days=2) if gone > timedelta(0) else timedelta(hours=1)),
            dead_at=utc_now() - gone if gone > timedelta(0) else None,
        )  # fmt: skip
    make_trade(first, "12.34", leverage=1.0)
    make_trade(first, "-7.89", strategy="magnet", tier=2, target_price=110, leverage=2.2,
               closure_reason="stop")  # fmt: skip
    make_trade(second, "3.21", strategy="magnet", tier=1, target_price=50, leverage=3.0)
    make_trade(second, "99", closed_at=utc_now() - timedelta(days=400))
    view = view_attribution("main", since=utc_now() - timedelta(days=365))
    assert view.whole.net == Decimal("7.66")
    for name in ("strategy", "instrument", "leverage", "exit"):
        parts = view.by[name]
        for figure in ("net", "gross", "fees", "funding", "slippage", "before"):
            assert sum(getattr(part, figure) for part in parts) == getattr(view.whole, figure)
    whole = view.whole
    for part in (whole, *view.by["strategy"], *view.by["magnet"]):
        assert sum(part.steps[:-1]) == part.steps[-1] == part.net
    assert {part.key: part.trades for part in view.by["magnet"]} == {
        "vwap": 1, "no stored level": 1,
    }  # fmt: skip
    assert [part.key for part in view.by["leverage"]] == ["1.0x", "2.0x to 2.5x", "above 2.5x"]
    assert [trade.net_pnl for trade in view.winners] == [Decimal("12.34"), Decimal("3.21")]
    assert [trade.net_pnl for trade in view.losers] == [Decimal("-7.89")]
    assert view.spread is not None
    assert sum(count for _, count, _ in view.spread.bins) == 3
    assert view.spread.worst == pytest.approx(-0.00789)
    everything = view_attribution("main")
    assert everything.whole.trades == 4


def test_the_spread_is_that_of_the_shares_at_entry() -> None:
    row = add("AAA/USDT:USDT")
    nets = ("-70", "-10", "-9.99", "-4", "0", "0.5", "1", "3.3", "19", "250", "7.77")
    for net in nets:
        make_trade(row, net, closed_at=utc_now() - timedelta(days=0 if net == "250" else 3))
    shares = np.array([float(Decimal(net) / 1000) for net in nets])
    found = view_attribution("main").spread
    assert found is not None
    assert (found.mean, found.deviation) == pytest.approx((shares.mean(), shares.std(ddof=1)))
    skewness = ((shares - shares.mean()) ** 3).mean() / shares.std() ** 3
    assert found.skewness == pytest.approx(skewness)
    assert (found.best, found.worst) == (0.25, -0.07)
    counts, _ = np.histogram(1_000 * shares, bins=np.array([-np.inf, *EDGES, np.inf]))
    assert [count for _, count, _ in found.bins] == list(counts)
    alone = view_attribution("main", since=utc_now()).spread
    assert alone is not None
    assert (alone.deviation, alone.skewness, alone.mean) == (None, None, 0.25)


def test_the_kept_sums_are_those_of_their_rows_and_are_made_anew() -> None:
    rng = np.random.default_rng(11)
    rows = [add("AAA/USDT:USDT"), add("BBB/USDT:USDT")]
    edges = [*(edge for edge, _ in LEVERAGES), 3.0]
    made = [
        make_trade(
            rows[k % 2],
            str(Decimal(str(round(float(rng.normal(0, 6)), 6)))) if k % 9 else "0",
            strategy=("trend", "magnet")[k % 3 % 2],
            closure_reason=("stop", "target", "")[k % 3],
            leverage=edges[k % 5],
            account_balance=0 if k % 17 == 0 else 1000,
            opened_at=utc_now() - timedelta(hours=7 * k + 3),
            closed_at=utc_now() - timedelta(hours=7 * k),
        )
        for k in range(60)
    ]
    assert find_sum_differences("main") == []
    since = utc_midnight(utc_now()) - timedelta(days=9)
    for start in (None, since):
        told = [row for row in made if start is None or row.closed_at >= start]
        view = view_attribution("main", since=start)
        assert (view.whole.trades, view.whole.net) == (len(told), sum(row.net_pnl for row in told))
        for part in view.by["leverage"]:
            same = [row for row in told if BANDS[bisect_left(edges[:4], row.leverage)] == part.key]
            assert (part.trades, part.won, part.net) == (
                len(same), sum(row.net_pnl > 0 for row in same), sum(row.net_pnl for row in same),
            )  # fmt: skip
        by_net = sorted(told, key=lambda row: row.net_pnl)
        assert [row.net_pnl for row in view.losers] == [row.net_pnl for row in by_net[:5]]
        assert [row.net_pnl for row in view.winners] == [row.net_pnl for row in by_net[:-6:-1]]
        shares = np.array([float(row.net_pnl) / 1000 for row in told if row.account_balance])
        assert view.spread is not None
        assert view.spread.deviation == pytest.approx(shares.std(ddof=1), rel=1e-12)
    odds = observed_odds("main")
    won, lost = ([row.net_pnl for row in made if (row.net_pnl * sign) > 0] for sign in (1, -1))
    assert odds is not None
    assert odds.trades == len(won) + len(lost)
    assert odds.payoff == pytest.approx(float(np.mean(won) / -np.mean(lost)))
    with connection.cursor() as cursor, pytest.raises(ProgrammingError), transaction.atomic():
        cursor.execute("UPDATE trading_tradeday SET net = net + 1")
    before = sorted(TradeDay.objects.values_list("day", "net", "bins"))
    call_command("recalculate_performance", stdout=StringIO())
    assert find_sum_differences("main") == []
    assert sorted(TradeDay.objects.values_list("day", "net", "bins")) == before


def test_a_sleeve_with_many_trades_is_drawn_by_day(monkeypatch: pytest.MonkeyPatch) -> None:
    row, now = add("AAA/USDT:USDT"), utc_now().replace(hour=12)
    for number in range(9):
        make_trade(row, f"{number}", closed_at=now - timedelta(days=5 - number // 2, hours=number))
    each = find_result_curve("main", "trend")
    assert len(each[1]) == 9
    monkeypatch.setattr(strategies, "TRADES_MAX", 9)
    times, sums = find_result_curve("main", "trend")
    days = {at.date() for at in each[0]}
    assert [at.date() for at in times] == sorted(days)
    assert dict(zip(*each, strict=True)).items() >= dict(zip(times, sums, strict=True)).items()
    assert sums[-1] == 36


def test_closed_trades_give_the_odds() -> None:
    row = add("AAA/USDT:USDT")
    assert observed_odds("main") is None
    for net in ("10", "20", "-10"):
        make_trade(row, net)
    odds = observed_odds("main")
    assert odds is not None
    assert odds.usual == {"win_rate": "66.67", "payoff": "1.500", "trades": "3"}
