"""A fund that trades in two stablecoins: fills, funding, an open position, and a NAV of all."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from investors.services.coin_values import list_held
from investors.services.trading_books import positions_at
from investors.services.verification import verify_fund
from investors.tests.fund_support import SmallFund, make_fund_of
from investors.tests.test_coin_rates import refused, say
from magnetfund.core.roles import Role
from magnetfund.tests.walls_support import (
    arm_fuse,
    make_engine_ready,
    make_instrument,
    make_user,
    reconcile_books,
)
from trading.models import Candle, FundingPayment, Instrument
from trading.tests.test_position_rows import fill

D = Decimal
FEBRUARY, APRIL = datetime(2026, 2, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC)


@pytest.fixture
def small(fresh_database: Any, request: pytest.FixtureRequest) -> SmallFund:
    """60,000 USDC at the venue, and a second instrument that settles in USDT."""
    arm_fuse(make_user("ann", Role.RISK_OFFICER), make_user("ben", Role.RISK_OFFICER))
    make_instrument("BTC/USDC:USDC", venue="binanceusdm", settle="USDC")
    make_instrument("ETH/USDT:USDT", venue="binanceusdm")
    fund = make_fund_of("main", {"A": {"performance_rate": "0"}})
    for at in (FEBRUARY, APRIL):
        fund.day(at)
    fund.subscribe("ann", "60000", before=FEBRUARY)
    say(fund, "1", at=FEBRUARY, coin="USDC")
    fund.strike(FEBRUARY)
    request.getfixturevalue("as_gateway")
    make_engine_ready()
    return fund


def test_two_coins_each_by_its_own_rate(small: SmallFund):
    """1,000 USDC were made, and 500 USDT; 1.2 of funding came in USDT, where one unit bought at
    600 stands at 620: 61,000 and 521.2 coins.  At 0.9 and 0.99 that is -6,100 and -5.212."""
    btc, eth = Instrument.objects.get(settle="USDC"), Instrument.objects.get(settle="USDT")
    fill(btc, 1, D(1), "100", fee="0")
    fill(btc, 2, D(-1), "1100", fee="0")
    fill(eth, 3, D(1), "100", fee="0")
    fill(eth, 4, D(-1), "600", fee="0")
    fill(eth, 5, D(1), "600", fee="0")
    FundingPayment.objects.create(
        book="main", instrument=eth, strategy="trend", stamp=APRIL - timedelta(days=3), rate=0.01,
        notional=D(120), amount=D("1.2"),
    )  # fmt: skip
    Candle.objects.create(
        instrument=eth, timeframe="1h", open_time=APRIL - timedelta(hours=1), open=610.0,
        high=625.0, low=600.0, close=620.0, volume=1.0, known_at=APRIL, available_at=APRIL,
        source="test",
    )  # fmt: skip
    reconcile_books()
    say(small, "0.9", at=APRIL, coin="USDC")
    assert refused(small.prepare, APRIL) == "rate_missing"
    say(small, "0.99", at=APRIL, coin="USDT")
    row = small.strike(APRIL)
    taken = {item["coin"]: item for item in row.inputs["coins"]}
    assert {coin: item["amount"] for coin, item in taken.items()} == {
        "USDC": "61000", "USDT": "521.2",
    }  # fmt: skip
    assert {coin: item["difference"] for coin, item in taken.items()} == {
        "USDC": "-6100", "USDT": "-5.212",
    }  # fmt: skip
    told = {name: D(amount) for name, amount in row.waterfall}
    assert told["currency result of stablecoins"] == D("-6105.21")
    assert told["trading result for the period"] == D("1521.20")
    held = {
        item.coin: item
        for item in list_held(
            small.fund, before=APRIL, positions=positions_at(small.fund, at=APRIL)
        )
    }
    assert (held["USDT"].cash, held["USDT"].unrealised) == (D("501.2"), D(20))
    assert all(line["passed"] for line in row.checklist), row.checklist
    # The payment of funding was written by hand, and the book armed by no signature.
    about = ("NAV", "rates", "venue cash", "entry")
    assert [line for line in verify_fund(small.fund) if line.startswith(about)] == []
