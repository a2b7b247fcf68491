"""Random markets and signals for the tests of the two engines."""

from __future__ import annotations

from decimal import Decimal

import numpy as np

from risk.domain.fuse import FuseRules, ResetPolicy
from risk.domain.limits import NO_STRATEGY_LIMITS, StrategyLimits
from trading.domain.backtest.market import MarketBars, build_instrument_bars, join_markets
from trading.domain.engine.rules import (
    EngineRules,
    LimitRules,
    SlotRules,
    TradedInstrument,
)
from trading.domain.strategies.signals import (
    HOUR_MS,
    LeverageRule,
    Signals,
    StrategyTraits,
    build_signals,
)


def make_market(rng: np.random.Generator, *, instruments: int, bars: int) -> MarketBars:
    """Fat-tailed hourly bars with opening gaps; some bars of each instrument are missing."""
    found = []
    for _ in range(instruments):
        present = np.sort(rng.choice(bars, size=max(3, int(bars * 0.95)), replace=False))
        size = present.size
        close = 100.0 * np.exp(np.cumsum(rng.standard_t(3, size) * 0.012))
        open_ = np.concatenate((close[:1], close[:-1])) * np.exp(rng.standard_t(2, size) * 0.004)
        high = np.maximum(open_, close) * np.exp(np.abs(rng.normal(0, 0.006, size)))
        low = np.minimum(open_, close) * np.exp(-np.abs(rng.normal(0, 0.006, size)))
        found.append(
            build_instrument_bars(
                time_ms=present.astype(np.int64) * HOUR_MS + 1_600_041_600_000,
                open_price=open_,
                high=high,
                low=low,
                close=close,
                tick_size=0.01,
            )
        )
    return join_markets(found)


def make_rules(rng: np.random.Generator, *, instruments: int, cash: float = 1e5) -> EngineRules:
    """Two strategies on every instrument, one of fixed and one of magnet leverage."""
    fixed = StrategyTraits(strategy_id="fixed", version="1", hold_ms_max=0)
    magnet = StrategyTraits(
        strategy_id="magnet",
        version="1",
        leverage_rule=LeverageRule.MAGNET,
        hold_ms_max=int(rng.integers(2, 30)) * HOUR_MS,
        trigger_conflict=True,
        trigger_opposite=True,
        trigger_trend_flip=True,
        conflict_bars=int(rng.integers(1, 3)),
        liquidation_share_max=0.9,
    )
    own = StrategyLimits(
        daily_loss_share=Decimal("0.002"),
        losses_in_a_row_count=2,
        loss_at_stop_share=Decimal("0.008"),
        margin_share_position=Decimal("0.3"),
        stop_liquidation_share_max=Decimal("0.7"),
    )
    limits = own if rng.integers(0, 2) else NO_STRATEGY_LIMITS
    slots = []
    for index in range(instruments):
        slots.append(SlotRules(traits=fixed, strategy=0, instrument=index, risk_share=0.01))
        slots.append(
            SlotRules(traits=magnet, strategy=1, instrument=index, risk_share=0.01, limits=limits)
        )
    return EngineRules(
        instruments=tuple(
            TradedInstrument(
                symbol=f"I{index}",
                tick_size=0.01,
                lot_size=0.001,
                maintenance_rate=float(rng.choice([0.004, 0.3])),
                correlation_group=index % 2,
                leverage_cap=1.4 if index == 2 else 3.0,
            )
            for index in range(instruments)
        ),
        slots=tuple(slots),
        limits=LimitRules(
            margin_share_position=1.0,
            margin_share_group=2.0,
            margin_share_total=4.0,
            margin_share_tier_1=1.0,
            margin_share_tier_2=0.8,
            margin_share_tier_3=0.5,
            gap_share_position=5.0,
            gap_share_book=9.0,
            loss_at_stop_share=1.0,
            stop_liquidation_share_max=0.8,
            volatility_target=float(rng.choice([0.0, 0.5])),
            liquidation_quantile=float(rng.choice([0.0, 3.29])),
        )
        if rng.integers(0, 2)
        else LimitRules(),
        fuse=FuseRules(
            acting=bool(rng.integers(0, 4) > 0),
            market_acting=bool(rng.integers(0, 2)),
            daily_loss_share=float(rng.choice([0.0025, 0.025])),
            drawdown_share=float(rng.choice([0.01, 0.05])),
            confirmation_bars=int(rng.integers(1, 4)),
            no_new_trades_ms=int(rng.choice([180_000, 5 * HOUR_MS])),
            rearm_after_clear_ms=int(rng.choice([300_000, 3 * HOUR_MS])),
            reset_policy=ResetPolicy(int(rng.integers(0, 3))),
        ),
        cash_opening=cash,
    )


def make_signals(
    rng: np.random.Generator, *, rules: EngineRules, market: MarketBars
) -> list[Signals]:
    """Signals without meaning that reach every branch: stops, targets, exits, triggers, NaN."""
    found = []
    for slot in rules.slots:
        bars = market.instruments[slot.instrument]
        size = len(bars)
        close = bars.close * rules.instruments[slot.instrument].tick_size
        direction = rng.choice([-1, 0, 0, 1], size)
        away = close * rng.uniform(0.004, 0.05, size)
        stop = close - direction * away * rng.choice(
            [1.0, 1.0, 1.0, -1.0], size, p=[0.4, 0.3, 0.28, 0.02]
        )
        stop[rng.random(size) < 0.02] = np.nan
        target = close + direction * away * rng.uniform(0.3, 4.0, size)
        target[rng.random(size) < 0.2] = np.nan
        holes = rng.random(size) < 0.05
        tense = rng.integers(0, 2)
        conflict = rng.exponential(0.08 if tense else 0.4, size)
        conflict[holes] = np.nan
        found.append(
            build_signals(
                known_at=bars.time_ms + rules.bar_ms,
                direction=direction,
                exit_long=rng.random(size) < 0.05,
                exit_short=rng.random(size) < 0.05,
                stop=stop,
                target=target,
                distance=rng.uniform(2 if tense else 0, 5, size),
                strength=rng.uniform(70 if tense else 20, 100, size),
                conflict=conflict,
                volatility_ratio=rng.gamma(4.0, 0.25, size),
                sigma=rng.uniform(0.2, 1.5, size),
                atr=close * 0.01,
                target_zone_price=target,
                trend=rng.choice([-1, 0, 1], size),
                opposite_pull_long=rng.exponential(0.2, size),
                opposite_pull_short=rng.exponential(0.2, size),
                heavy_opposite_long=rng.uniform(0, 100, size),
                heavy_opposite_short=rng.uniform(0, 100, size),
            )
        )
    return found
