"""Rates of stablecoins: read, entered and signed, held where they jump, and asked for by NAVs."""

from __future__ import annotations

import asyncio
import io
import threading
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.core.management import CommandError, call_command
from django.db import transaction

from investors.domain.coins import RateSource, is_at_par, is_jump, read_sources
from investors.models import CoinRate, RateProposal
from investors.services.coin_rates import (
    decide_rates,
    find_rate,
    poll_rates,
    propose_rates,
    take_rate,
)
from investors.services.coin_values import list_held
from investors.services.verification import verify_fund
from investors.tests.fund_support import FIRST, SmallFund, first_of, make_fund_of
from magnetfund.kernel.clock import VirtualClock, use_clock, utc_now
from magnetfund.kernel.errors import FundError, InvalidInput
from magnetfund.tests.walls_support import make_instrument
from simulated_exchange.market import Listing, Market
from simulated_exchange.server import Exchange

D = Decimal
FEBRUARY, MARCH = first_of(2025, 2), first_of(2025, 3)
HOUR = timedelta(hours=1)
KRAKEN = RateSource(coin="USDT", currency="USD", venue="kraken", symbol="USDT/USD")
COINBASE = RateSource(coin="USDT", currency="USD", venue="coinbase", symbol="USDT/USD")


@pytest.fixture
def small(db: Any) -> SmallFund:
    """Ann's 100,000 went to a market that settles in USDT."""
    make_instrument(venue="binanceusdm")
    fund = make_fund_of("main", {"A": {"performance_rate": "0"}})
    say(fund, "1", at=FIRST)
    return begun(fund)


def begun(fund: SmallFund) -> SmallFund:
    for at in (FIRST, FEBRUARY, MARCH):
        fund.day(at)
    fund.subscribe("ann", "100000", before=FIRST)
    fund.strike(FIRST)
    return fund


def say(small: SmallFund, rate: str, *, at: Any, coin: str = "USDT") -> RateProposal:
    """A rate that an accountant entered and a controller signed."""
    row = propose_rates(
        fund=small.fund, coin=coin, source="exchange page", lines=[(at, D(rate))], actor=small.maker
    )
    return decide_rates(proposal=row, is_approved=True, actor=small.checker)


def refused(step: Any, *args: Any, **more: Any) -> str:
    with pytest.raises(FundError) as found, transaction.atomic():
        step(*args, **more)
    return found.value.code


def test_what_the_setting_says():
    assert read_sources(" usdt=Kraken:USDT/USD, USDC=binanceusdm:USDC/USDT:USDT ,") == (
        KRAKEN, RateSource(coin="USDC", currency="USDT", venue="binanceusdm",
                           symbol="USDC/USDT:USDT"),
    )  # fmt: skip
    for wrong in ("USDT", "USDT=kraken", "USDT=kraken:USDC/USD", "=kraken:USDT/USD"):
        with pytest.raises(InvalidInput, match="STABLECOIN_RATES"):
            read_sources(wrong)


def test_the_edges_of_par_and_of_a_jump():
    assert [is_at_par(D(rate)) for rate in ("0.995", "1.005", "0.994999", "1.005001")] == [
        True, True, False, False,
    ]  # fmt: skip
    assert [is_jump(D("1"), D(rate)) for rate in ("0.98", "1.02", "0.9799", "1.0201")] == [
        False, False, True, True,
    ]  # fmt: skip


def test_a_nav_on_a_real_market_waits_for_a_rate(small: SmallFund):
    """Six hours old still counts, a microsecond older does not, and none of after the valuation."""
    assert list_held(small.fund, before=FEBRUARY, positions=[])[0].amount == 100_000
    assert refused(small.prepare, FEBRUARY) == "rate_too_old"
    say(small, "0.999", at=FEBRUARY + HOUR)
    assert refused(small.prepare, FEBRUARY) == "rate_too_old"
    say(small, "0.999", at=FEBRUARY - 6 * HOUR - timedelta(microseconds=1))
    assert refused(small.prepare, FEBRUARY) == "rate_too_old"
    say(small, "0.998", at=FEBRUARY - 6 * HOUR)
    row = small.prepare(FEBRUARY)
    [taken] = row.inputs["coins"]
    assert (taken["coin"], taken["rate"], taken["amount"]) == ("USDT", "0.998", "100000")
    assert verify_fund(small.fund) == []


def test_a_fund_begins_with_a_rate(db: Any):
    """Its money becomes coins with the first NAV."""
    make_instrument(venue="binanceusdm")
    fund = make_fund_of("main", {"A": {}})
    assert refused(fund.prepare, FIRST) == "rate_missing"
    say(fund, "1", at=FIRST)
    assert fund.prepare(FIRST).inputs["coins"][0]["amount"] == "0"


def test_the_simulated_market_and_a_book_without_any_need_no_rate(db: Any):
    make_instrument(venue="sim")
    plain = begun(make_fund_of("plain", {"A": {}}))
    assert list_held(plain.fund, before=FEBRUARY, positions=[]) == []
    assert "coins" not in plain.strike(FEBRUARY).inputs


def test_a_fund_in_the_coin_that_it_trades_needs_no_rate(db: Any):
    make_instrument(venue="binanceusdm")
    own = begun(make_fund_of("main", {"A": {}}, currency="USDT"))
    assert "coins" not in own.strike(FEBRUARY).inputs


def test_a_rate_takes_two_people_and_says_where_it_was_read(small: SmallFund):
    def propose(
        coin: str = "USDT", source: str = "page", at: Any = FEBRUARY, rate: str = "1"
    ) -> Any:
        return propose_rates(
            fund=small.fund, coin=coin, source=source, lines=[(at, D(rate))], actor=small.maker
        )

    assert refused(propose, coin="USD") == "unknown_coin"
    assert refused(propose, coin="DOGE") == "unknown_coin"
    assert refused(propose, source=" ") == "no_source"
    assert refused(propose, at=utc_now() + HOUR) == "in_future"
    assert refused(propose, rate="0.0001") == "bad_rate"
    assert refused(propose, rate="1.0000000000001") == "bad_rate"
    twice = [(FEBRUARY, D(1)), (FEBRUARY, D("0.99"))]
    assert refused(
        propose_rates, fund=small.fund, coin="USDT", source="x", lines=twice, actor=small.maker
    ) == "rate_twice"  # fmt: skip
    row = propose()
    assert refused(decide_rates, proposal=row, is_approved=True, actor=small.maker) != ""
    assert CoinRate.objects.count() == 1
    assert (
        refused(decide_rates, proposal=row, is_approved=False, actor=small.checker)
        == "reason_missing"
    )
    decide_rates(proposal=row, is_approved=False, actor=small.checker, reason="another page")
    assert CoinRate.objects.count() == 1
    assert refused(decide_rates, proposal=row, is_approved=True, actor=small.checker) != ""
    assert verify_fund(small.fund) == []


def test_a_jump_is_held_until_a_second_source_or_two_people_show_it(small: SmallFund):
    def take(source: RateSource, rate: str, minutes: int) -> CoinRate:
        row = take_rate(source, rate=D(rate), observed_at=FEBRUARY + timedelta(minutes=minutes))
        assert row is not None
        return row

    def now() -> Decimal:
        row = find_rate("USDT", "USD", at=FEBRUARY + timedelta(days=1))
        assert row is not None
        return row.rate

    assert take(KRAKEN, "1", 0).held == ""
    assert take_rate(KRAKEN, rate=D("0.5"), observed_at=FEBRUARY) is None, "known"
    assert "-12.0% from kraken USDT/USD" in take(KRAKEN, "0.88", 5).held
    assert take(KRAKEN, "0.88", 10).held != "", "one source confirms nothing, however often"
    assert take(COINBASE, "0.95", 12).held != "", "another that shows something else neither"
    assert now() == 1
    assert take(COINBASE, "0.885", 15).held == "", "two sources agree"
    assert take(KRAKEN, "0.88", 20).held == ""
    assert take(KRAKEN, "0.96", 60).held != ""
    say(small, "0.96", at=FEBRUARY + timedelta(minutes=61))
    assert take(KRAKEN, "0.962", 65).held == "", "two people vouch for the new level"
    assert now() == D("0.962")


def test_another_rate_after_the_preparing_makes_a_nav_stale(small: SmallFund):
    say(small, "0.999", at=FEBRUARY - HOUR)
    row = small.prepare(FEBRUARY)
    say(small, "0.9985", at=FEBRUARY - HOUR / 2)
    with pytest.raises(FundError) as found, transaction.atomic():
        small.approve(row)
    assert (found.value.code, found.value.details["changed"]) == ("stale", ["rate of USDT"])


def test_a_file_is_entered_and_signed_as_a_whole(small: SmallFund, tmp_path: Path):
    path = tmp_path / "usdt.csv"
    path.write_text("time,rate\n2025-01-31T23:00:00Z,0.9991\n2025-02-01T00:00:00+00:00,0.9992\n")
    said = io.StringIO()
    assert small.maker.user is not None
    given = {"coin": "usdt", "email": small.maker.user.email, "stdout": said}
    call_command("import_rates", path, **given)
    assert "2 rates of USDT entered" in said.getvalue()
    row = RateProposal.objects.get(is_approved=None)
    decide_rates(proposal=row, is_approved=True, actor=small.checker)
    found = find_rate("USDT", "USD", at=FEBRUARY)
    assert found is not None
    assert (found.rate, found.source) == (D("0.9992"), "usdt.csv")
    assert verify_fund(small.fund) == []
    for text in ("time,price\n2025-01-31T23:00:00Z,1\n", "time,rate\nyesterday,1\n",
                 "time,rate\n2025-01-31T23:00:00Z,x\n", "time,rate\n"):  # fmt: skip
        path.write_text(text)
        with pytest.raises(CommandError):
            call_command("import_rates", path, **given)
    assert RateProposal.objects.count() == 2


@pytest.fixture
def exchange(settings: Any) -> Iterator[Exchange]:
    """An exchange on loopback that shows a coin at 0.9991 from 1 February 2025 on."""
    opened = FEBRUARY.timestamp() * 1000
    bars = np.array([[opened, 0.9991, 0.9991, 0.9991, 0.9991, 1.0]])
    listing = Listing(symbol="USDCUSDT", base="USDC", interval="1h", bars=bars, tick="0.0001")
    served = Exchange(Market(listings={"USDCUSDT": listing}, clock=lambda: int(opened) + 60_000))
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    port = asyncio.run_coroutine_threadsafe(served.start(), loop).result(30)
    settings.EXCHANGE_HOST = f"http://127.0.0.1:{port}"
    yield served
    asyncio.run_coroutine_threadsafe(served.stop(), loop).result(30)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(30)


def test_the_job_reads_the_middle_of_bid_and_ask(db: Any, exchange: Exchange, settings: Any):
    settings.STABLECOIN_RATES = "USDC=binanceusdm:USDC/USDT:USDT"
    clock = VirtualClock(FEBRUARY + timedelta(minutes=1))
    with use_clock(clock):
        assert poll_rates() == "1 rate read"
        assert poll_rates() == "", "five minutes did not pass"
        clock.move_to(FEBRUARY + timedelta(minutes=6, seconds=1))
        assert poll_rates() == "1 rate read"
    rows = list(CoinRate.objects.values_list("coin", "currency", "rate", "source", "held"))
    assert rows == [("USDC", "USDT", D("0.9991"), "binanceusdm USDC/USDT:USDT", "")] * 2
    settings.STABLECOIN_RATES = "USDC=binanceusdm:USDC/BUSD:BUSD,nonsense"
    assert "not of the form" in poll_rates()
    settings.STABLECOIN_RATES = "USDC=binanceusdm:USDC/BUSD:BUSD"
    with use_clock(VirtualClock(FEBRUARY + timedelta(hours=1))):
        assert "does not list" in poll_rates()
    settings.STABLECOIN_RATES = ""
    assert poll_rates() == ""
