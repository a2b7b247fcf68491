"""What the platform does in each scenario of a market that goes wrong, as one printed table.

Every scenario runs real clients against the exchange on loopback over the close of an hour.  It
must hold in each: no wrong price is ever believed, the hour's candle is neither lost nor doubled
nor wrong, and whatever was in doubt is believed again by itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from magnetfund.kernel.clock import use_clock
from magnetfund.kernel.errors import Unavailable
from simulated_exchange.faults import Fault
from trading.domain.market import HOUR_MS
from trading.tests.stream_stage import BTC, ETH, SECOND, START, Stage, draw, set_stage
from trading.venues import binance_streams

pytestmark = pytest.mark.drill
CLOSE = START + 2 * HOUR_MS
#: A believed price may lag the true one by so much (a fraction).
LAG_MAX = 0.01
NAMES = {BTC: "BTCUSDT", ETH: "ETHUSDT"}


@dataclass(slots=True, kw_only=True)
class Scenario:
    """What goes wrong after ``before`` steps, for ``during`` of them, each ``step`` seconds long.

    ``doubts`` says whether entries must stop ("all", one symbol, or "" where nothing asks for it);
    ``event`` is one that must be recorded.
    """

    name: str
    faults: Callable[[], list[Fault]] = list
    act: Callable[[Stage, int], None] = lambda stage, step: None
    before: int = 3
    during: int = 14
    after: int = 6
    step: int = 4
    doubts: str = ""
    ends_doubted: bool = False
    event: str = ""


@dataclass(slots=True)
class Seen:
    """What was observed of one scenario."""

    reasons: dict[str, str] = field(default_factory=dict)
    doubted: int = 0
    wrong: int = 0
    at_end: dict[str, str] = field(default_factory=dict)


def drop(stage: Stage, step: int) -> None:
    if step == 5:
        asyncio.run_coroutine_threadsafe(stage.exchange.streams.drop_all(), stage.loop).result(30)


def crash(stage: Stage, step: int) -> None:
    if step == 4:
        listing = draw("BTC", 60_000.0, crash_at=121)
        stage.exchange.market.listings["BTCUSDT"] = listing


def delist(stage: Stage, step: int) -> None:
    if step == 4:
        stage.exchange.market.listings.pop("ETHUSDT", None)


def change(**terms: Any) -> Callable[[Stage, int], None]:
    def act(stage: Stage, step: int) -> None:
        if step == 4:
            listings = stage.exchange.market.listings
            listings["BTCUSDT"] = replace(listings["BTCUSDT"], **terms)

    return act


def drift(stage: Stage, step: int) -> None:
    """The exchange's clock runs away by 100 ms a step, and is set right at the end."""
    skews = [fault for fault in stage.exchange.faults if fault.kind == "skew"]
    if skews:
        skews[0].seconds = min(0.1 * step, 3.0)


def lasting(kind: str, path: str = "/", **more: Any) -> Callable[[], list[Fault]]:
    return lambda: [Fault(kind=kind, path=path, times=1_000_000, **more)]


def maintenance() -> list[Fault]:
    return [
        Fault(kind="html", path="/", times=1_000_000, status=503),
        Fault(kind="mute", path="@", times=1_000_000),
    ]


SCENARIOS = [
    Scenario(name="nothing wrong"),
    Scenario(name="silent stream", faults=lasting("mute", "@")),
    Scenario(name="stream cut", act=drop),
    Scenario(name="cut every 5 minutes", faults=lambda: [Fault(kind="drop", path="@", every=300)],
             during=70, step=10),
    Scenario(name="gap in the book", faults=lambda: [Fault(kind="gap", path="@depth")]),
    Scenario(name="messages repeated", faults=lasting("repeat", "@")),
    Scenario(name="messages reordered",
             faults=lambda: [Fault(kind="reorder", path="@markPrice", times=6)]),
    Scenario(name="closed candle revised", faults=lasting("revise", "@kline")),
    Scenario(name="closed candle 20 s late", faults=lasting("late", seconds=20.0)),
    Scenario(name="no closed candle for 10 minutes", faults=lasting("late", seconds=600.0),
             during=70, after=8, step=10),
    Scenario(name="clock 3 s ahead", faults=lasting("skew", seconds=3.0), doubts="all"),
    Scenario(name="clock 3 s behind", faults=lasting("skew", seconds=-3.0), doubts="all"),
    Scenario(name="clock drifting", faults=lasting("skew", seconds=0.0), act=drift,
             during=40, doubts="all"),
    Scenario(name="429 with Retry-After", faults=lasting("status", status=429)),
    Scenario(name="418", faults=lasting("status", status=418)),
    Scenario(name="502 with a page", faults=lasting("html")),
    Scenario(name="truncated JSON", faults=lasting("truncated")),
    Scenario(name="symbol halted", faults=lasting("halt", "ETHUSDT")),
    Scenario(name="symbol delisted", act=delist, doubts=ETH, ends_doubted=True),
    Scenario(name="tick size changed", act=change(tick="0.50")),
    Scenario(name="funding interval changed", act=change(funding_hours=4)),
    Scenario(name="price of zero",
             faults=lasting("garbage", "btcusdt@markPrice", text="0.00"), doubts=""),
    Scenario(name="price NaN", faults=lasting("garbage", "btcusdt@markPrice", text="NaN")),
    Scenario(name="spike x10, one message",
             faults=lambda: [Fault(kind="spike", path="btcusdt@markPrice", factor=10.0)],
             event="price_held"),
    Scenario(name="spike x10, lasting",
             faults=lasting("spike", "btcusdt@markPrice", factor=10.0), event="price_held"),
    Scenario(name="crash of 30 % in a minute", act=crash, during=20),
    Scenario(name="one of two silent", faults=lasting("mute", "ethusdt@")),
    Scenario(name="maintenance of an hour", faults=maintenance, during=120, after=8,
             step=30, doubts="all"),
]  # fmt: skip
ROWS: list[str] = []


def run(scenario: Scenario, stage: Stage) -> Seen:
    seen = Seen()
    faults: list[Fault] = []
    for step in range(scenario.before + scenario.during + scenario.after):
        if step == scenario.before:
            faults = scenario.faults()
            stage.exchange.faults += faults
        if step == scenario.before + scenario.during:
            for fault in faults:
                stage.exchange.faults.remove(fault)
        scenario.act(stage, step)
        stage.move(scenario.step * SECOND)
        look(scenario, stage, seen)
    stage.exchange.faults.clear()
    for _ in range(60):
        if not stage.prices.stream_reason and not seen.at_end:
            break
        stage.move(2 * SECOND)
        look(scenario, stage, seen)
        if scenario.ends_doubted and not stage.prices.stream_reason:
            break
    return seen


def look(scenario: Scenario, stage: Stage, seen: Seen) -> None:
    """Note what is doubted, and every believed price that is not the true one."""
    found = stage.market.find_doubts(stage.now_ms, since_ms=stage.now_ms - SECOND)
    doubts = dict.fromkeys(NAMES, found.venue) if found.venue else dict(found.instruments)
    seen.at_end = doubts
    seen.reasons.update(doubts)
    seen.doubted += scenario.step if doubts else 0
    for symbol, name in NAMES.items():
        if symbol in doubts or name not in stage.exchange.market.listings:
            continue
        quote = stage.prices.newest(symbol)
        assert quote is not None
        listing_price = stage.exchange.market.price_at(name, quote.arrived_ms)
        seen.wrong += abs(float(quote.price) / listing_price - 1) > LAG_MAX


def check_hour(stage: Stage) -> str:
    """The hour that closed meanwhile, from the stream or by polling."""
    for _ in range(5):
        with use_clock(stage.clock):
            hour = stage.market.candles(BTC, CLOSE - HOUR_MS, CLOSE)
        if len(hour):
            break
        stage.move(2 * SECOND)
    bars = stage.exchange.market.listings["BTCUSDT"].bars[60:120]
    assert hour.open_time.tolist() == [CLOSE - HOUR_MS]
    assert (hour.high[0], hour.low[0]) == (bars[:, 2].max(), bars[:, 3].min())
    assert hour.close[0] == bars[-1, 4]
    return "whole"


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda item: item.name)
def test_scenario(scenario: Scenario, settings: Any, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(binance_streams, "PAUSE_SECONDS", 0.05)
    monkeypatch.setattr(binance_streams, "PAUSE_MAX_SECONDS", 0.1)
    monkeypatch.setattr(binance_streams, "SILENT_SECONDS", 2.0)
    with set_stage(settings, at_ms=CLOSE - 120 * SECOND) as stage:
        assert stage.now_ms < CLOSE - 20 * SECOND, "opening took too long"
        stage.move(CLOSE - 20 * SECOND - stage.now_ms)
        seen = run(scenario, stage)
        hour = check_hour(stage)
        events = sorted(set(stage.kinds()))
    doubted = ", ".join(sorted(seen.reasons)) or "nothing"
    ROWS.append(
        f"{scenario.name:<34} {doubted:<30} {seen.doubted:>5} s  {seen.wrong:>5}  {hour:<6} "
        f"{', '.join(events) or '-'}"
    )
    assert seen.wrong == 0
    if scenario.doubts == "all":
        assert set(seen.reasons) == set(NAMES)
    elif scenario.doubts:
        assert scenario.doubts in seen.reasons
    assert not scenario.event or scenario.event in events
    assert bool(seen.at_end) == scenario.ends_doubted, seen.at_end


def test_nobody_there_at_the_start_is_one_line(settings: Any):
    with set_stage(settings, opens=False) as stage:
        stage.market._client.urls["api"] = dict.fromkeys(
            stage.market._client.urls["api"], "http://nowhere.invalid/fapi/v1"
        )
        with pytest.raises(Unavailable, match="cannot be reached"):
            stage.open()
    ROWS.append(f"{'name not found at the start':<34} does not start, one line")


def test_the_table_is_printed(on_record: Any):
    head = f"{'scenario':<34} {'reduced only':<30} {'for':>7}  wrong  hour   events"
    with on_record():
        print("\n" + "\n".join([head, *ROWS]))
    assert ROWS
