"""One run of the compiled engine for a study: signals and costs in, measured figures out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from studies.samples import Sample, cut_rows, find_rows
from trading.domain.backtest.kernel.run import PackedMarket, pack_market, pack_signals, run_packed
from trading.domain.backtest.market import MarketBars, build_instrument_bars, join_markets
from trading.domain.backtest.result import Metrics, RawRun, measure_run
from trading.domain.engine.rules import (
    EngineRules,
    FuseRules,
    LimitRules,
    SlotRules,
    TradedInstrument,
)
from trading.domain.market.candles import Candles
from trading.domain.strategies.signals import Signals, StrategyTraits

TICK_SIZE, LOT_SIZE = 0.01, 1e-6
PLANNED_COSTS = 0.0014
"""Taker and slippage of a round trip, as the published size law adds them to a stop's distance."""
NO_FUSE = FuseRules(acting=False, market_acting=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What a run varies: risk a trade, the fuse, funding, costs, caps of leverage."""

    risk_share: float = 0.0035
    fuse: FuseRules = NO_FUSE
    with_funding: bool = True
    cost_factor: float = 1.0
    leverage_cap: float = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """A sample packed once: its rules, bars and rows, for any number of runs."""

    sample: Sample
    rules: EngineRules
    market: MarketBars
    packed: PackedMarket
    rows: Mapping[str, slice]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a run gave."""

    raw: RawRun
    metrics: Metrics


def prepare_ground(
    *,
    sample: Sample,
    candles: Mapping[str, Candles],
    traits: StrategyTraits,
    setting: Setting,
) -> Ground:
    """Bars of a sample and the rules of one strategy on all its instruments."""
    rows = {name: find_rows(candles[name], sample) for name in sample.instruments}
    bars = []
    for name in sample.instruments:
        part = cut_rows(candles[name], rows[name])
        bars.append(
            build_instrument_bars(
                time_ms=part.open_time,
                open_price=part.open,
                high=part.high,
                low=part.low,
                close=part.close,
                tick_size=TICK_SIZE,
                funding_rate=None if setting.with_funding else np.zeros(len(part)),
            )
        )
    costs = setting.cost_factor
    rules = EngineRules(
        instruments=tuple(
            TradedInstrument(
                symbol=name,
                tick_size=TICK_SIZE,
                lot_size=LOT_SIZE,
                taker_fee_rate=0.0005 * costs,
                slippage_rate=0.0002 * costs,
                fuse_slippage_rate=0.0010 * costs,
            )
            for name in sample.instruments
        ),
        slots=tuple(
            SlotRules(traits=traits, strategy=0, instrument=index, risk_share=setting.risk_share)
            for index in range(len(sample.instruments))
        ),
        limits=LimitRules(leverage_cap=setting.leverage_cap),
        fuse=setting.fuse,
    )
    market = join_markets(bars)
    return Ground(sample=sample, rules=rules, market=market, packed=pack_market(market), rows=rows)


def run_on(ground: Ground, signals: Sequence[Signals]) -> Outcome:
    """Run signals that stand on the ground's own rows, one entry per instrument."""
    raw = run_packed(
        rules=ground.rules,
        market=ground.packed,
        signals=pack_signals(rules=ground.rules, market=ground.market, signals=signals),
    )
    return Outcome(raw=raw, metrics=measure_run(rules=ground.rules, market=ground.market, raw=raw))


def run_sample(
    *,
    sample: Sample,
    candles: Mapping[str, Candles],
    signals: Mapping[str, Signals],
    traits: StrategyTraits,
    setting: Setting | None = None,
) -> Outcome:
    """Run one strategy over a sample, from the signals of the whole files."""
    ground = prepare_ground(
        sample=sample, candles=candles, traits=traits, setting=setting or Setting()
    )
    return run_on(ground, [cut_rows(signals[name], ground.rows[name]) for name in ground.rows])


def size_share(outcome: Outcome) -> float:
    """Mean notional at entry as a share of equity."""
    shares = [
        trade.lots * LOT_SIZE * trade.entry_ticks * TICK_SIZE / trade.equity_at_entry
        for trade in outcome.raw.trades
    ]
    return float(np.mean(shares)) if shares else float("nan")


def planned_multiples(outcome: Outcome) -> NDArray[np.float64]:
    """What each trade made over what its stop was planned to cost, round trip included.

    The engine's own R leaves the costs out of the divisor; the published R holds them.
    """
    return np.array(
        [
            trade.net
            / (abs(trade.decision_ticks - trade.stop_ticks) + PLANNED_COSTS * trade.decision_ticks)
            / (trade.lots * TICK_SIZE * LOT_SIZE)
            for trade in outcome.raw.trades
        ]
    )
