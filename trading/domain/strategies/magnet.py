"""``magnet``: the founding idea, traded toward the zone that pulls most.

Signal on the hourly close, filled at the next open.  Form A (plain): direction = sign(EMA21 -
EMA55) on closed 4-hour bars; tier 3 or better in that direction; the target zone's near edge at
least 0.42 % away (three times the round trip) is the target; stop 0.1 ATR beyond the far edge of
the nearest protective zone, kept within 1.0..2.5 ATR, 1.5 ATR where there is none; out after 48
hours.  Form B (coherent, the one that ships) also asks that EMA21/55 on 1 hour agrees, that no zone
within 3 ATR on the other side is stronger than the target, and C < 0.6; its conflict trigger wants
two closed bars.  Leverage by the formula, fixed at entry; margin by tier.

Measured after costs it has no edge, and no better than rotated zones do: see docs/strategies.md.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from magnetfund.kernel.errors import InvalidInput
from trading.domain.magnets.parameters import DEFAULT_PARAMETERS, MagnetParameters
from trading.domain.magnets.stream import MagnetStream
from trading.domain.magnets.types import LONG, SHORT, MagnetSignals, ReadingReason
from trading.domain.market.candles import HOUR_MS, Candle, Candles, list_candles
from trading.domain.strategies.rules import Decisions
from trading.domain.strategies.shared import SharedBars
from trading.domain.strategies.signals import (
    LeverageRule,
    Reason,
    Signal,
    Signals,
    StrategyTraits,
    build_signals,
)
from trading.domain.strategies.streaming import ExponentialMean, LongerBars, VolatilityGauge

FloatColumn = NDArray[np.float64]
CodeColumn = NDArray[np.int8]


class MagnetForm(StrEnum):
    """Which entry rules and triggers are in force."""

    PLAIN = "A"
    COHERENT = "B"


@dataclass(frozen=True, slots=True, kw_only=True)
class MagnetContext:
    """What the strategy reads beside the magnets, one row per candle.

    ``trend_slow`` and ``trend_fast`` are sign(EMA21 - EMA55) on closed 4-hour and 1-hour bars (0
    before both exist), ``sigma`` the annualised volatility (NaN before it exists).
    """

    trend_slow: CodeColumn
    trend_fast: CodeColumn
    sigma: FloatColumn

    def __len__(self) -> int:
        return int(self.sigma.shape[0])

    def between(self, start: int, stop: int) -> MagnetContext:
        """The rows of positions ``start`` to ``stop`` (exclusive)."""
        return MagnetContext(
            trend_slow=self.trend_slow[start:stop],
            trend_fast=self.trend_fast[start:stop],
            sigma=self.sigma[start:stop],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class MagnetStrategy:
    """Parameters of ``magnet``; distances are in hourly ATR unless named otherwise."""

    version: str = "magnet.1"
    form: MagnetForm = MagnetForm.COHERENT
    ema_fast: int = 21
    ema_slow: int = 55
    target_share_min: float = 0.0042
    stop_margin_atr: float = 0.1
    stop_atr_min: float = 1.0
    stop_atr_max: float = 2.5
    stop_atr_default: float = 1.5
    conflict_max: float = 0.6
    hold_hours: int = 48
    magnets: MagnetParameters = DEFAULT_PARAMETERS

    def __post_init__(self) -> None:
        if not 1 <= self.ema_fast < self.ema_slow or self.hold_hours < 1:
            raise InvalidInput("lengths must satisfy 1 <= fast < slow", code="bad_parameter")
        ordered = self.stop_atr_min <= self.stop_atr_default <= self.stop_atr_max
        if not (self.stop_atr_min > 0.0 and ordered):
            raise InvalidInput("stop distances must be ordered", code="bad_parameter")

    def reading_opposite_within(self, reach: float) -> MagnetStrategy:
        """The strategy with the limits' reach (hourly ATR) for heavy zones on the other side."""
        return replace(self, magnets=replace(self.magnets, heavy_zone_reach=reach))

    @property
    def traits(self) -> StrategyTraits:
        """Leverage by the formula, every market trigger; form A needs no second bar of conflict."""
        coherent = self.form is MagnetForm.COHERENT
        return StrategyTraits(
            strategy_id="magnet",
            version=f"{self.version}.{self.form.value}",
            leverage_rule=LeverageRule.MAGNET,
            hold_ms_max=self.hold_hours * HOUR_MS,
            trigger_conflict=True,
            trigger_opposite=True,
            trigger_trend_flip=True,
            conflict_bars=2 if coherent else 1,
        )

    @property
    def timeframe_ms(self) -> int:
        """Reads hourly candles."""
        return HOUR_MS

    def stream(self) -> MagnetSignalStream:
        """A fresh memory."""
        return MagnetSignalStream(self)

    def context(self, *, candles: Candles, shared: SharedBars | None = None) -> MagnetContext:
        """The trends and the volatility at every close."""
        bars = shared or SharedBars(candles)
        return bars.once(
            ("magnet context", self.ema_fast, self.ema_slow), lambda: _find_context(self, bars)
        )

    def columns(self, *, candles: Candles, shared: SharedBars | None = None) -> Signals:
        """The signals of every hourly candle at once; the magnets by one compiled walk."""
        bars = shared or SharedBars(candles)
        return self.signals(
            magnets=bars.magnets(self.magnets), context=self.context(candles=candles, shared=bars)
        )

    @property
    def base_key(self) -> tuple[Any, ...]:
        """On which of its parameters :meth:`base` and :meth:`decision_rows` depend."""
        return (
            "magnet", self.magnets, self.ema_fast, self.ema_slow, self.form, self.target_share_min,
            self.conflict_max,
        )  # fmt: skip

    def base(self, shared: SharedBars) -> Signals:
        """What its signals say at every candle whatever it decides."""
        context = self.context(candles=shared.candles, shared=shared)
        return _build_base(shared.magnets(self.magnets), context)

    def decision_rows(self, shared: SharedBars) -> NDArray[np.int64]:
        """The candles at which it enters, and the last one."""
        return self._open(shared).rows

    def decide(self, shared: SharedBars, *, room: Decisions | None = None) -> Decisions:
        """What it says at those candles; their stops alone are its own."""
        found = self._open(shared)
        return Decisions(
            enter=found.enter,
            leave=np.zeros(found.rows.size, dtype=np.int8),
            reason=found.reason[found.rows],
            stop=_find_stops(self, found),
            target=found.target,
        )

    def _open(self, shared: SharedBars) -> _Openings:
        context = self.context(candles=shared.candles, shared=shared)
        return shared.once(
            ("magnet openings", *self.base_key),
            lambda: _find_openings(self, shared.magnets(self.magnets), context),
        )

    def signals(self, *, magnets: MagnetSignals, context: MagnetContext) -> Signals:
        """The signals of every bar from readings and context of the same bars, row by row."""
        if len(magnets) != len(context):
            raise InvalidInput("readings and context differ in length", code="column_length")
        return _build_columns(self, magnets, context)


class _ContextMemory:
    """Trends and volatility, one candle at a time."""

    def __init__(self, strategy: MagnetStrategy) -> None:
        self._fast = ExponentialMean(strategy.ema_fast), ExponentialMean(strategy.ema_slow)
        self._slow = ExponentialMean(strategy.ema_fast), ExponentialMean(strategy.ema_slow)
        self._four_hours = LongerBars(child_ms=HOUR_MS, timeframe_ms=4 * HOUR_MS)
        self._volatility = VolatilityGauge()
        self._trend_slow = 0

    def update(self, candle: Candle) -> tuple[int, int, float]:
        """``(trend_slow, trend_fast, sigma)`` at the close of a candle."""
        self._volatility.update(candle.close)
        longer = self._four_hours.update(candle)
        if longer is not None:
            self._trend_slow = _sign_of_means(self._slow, longer.close)
        return self._trend_slow, _sign_of_means(self._fast, candle.close), self._volatility.sigma


def _sign_of_means(means: tuple[ExponentialMean, ExponentialMean], close: float) -> int:
    spread = means[0].update(close) - means[1].update(close)
    return int(spread > 0.0) - int(spread < 0.0)


def _find_context(strategy: MagnetStrategy, bars: SharedBars) -> MagnetContext:
    count, rows = len(bars.candles), bars.joined(4).rows
    slow = _signs_of_means(strategy, bars, hours=4)
    at = np.searchsorted(rows, np.arange(count), side="right")
    return MagnetContext(
        trend_slow=np.concatenate((np.zeros(1, dtype=np.int8), slow))[at],
        trend_fast=_signs_of_means(strategy, bars, hours=1),
        sigma=bars.volatility()[1],
    )


def _signs_of_means(strategy: MagnetStrategy, bars: SharedBars, *, hours: int) -> CodeColumn:
    fast, slow = (
        bars.exponential_means(hours, length) for length in (strategy.ema_fast, strategy.ema_slow)
    )
    return np.nan_to_num(np.sign(fast - slow)).astype(np.int8)


class MagnetSignalStream:
    """The memory of ``magnet`` on one instrument: its magnets and its context."""

    def __init__(self, strategy: MagnetStrategy) -> None:
        self._strategy = strategy
        self._magnets = MagnetStream(parameters=strategy.magnets)
        self._context = _ContextMemory(strategy)

    @property
    def magnets(self) -> MagnetStream:
        """The memory of levels, for those who show them."""
        return self._magnets

    def set_heavy_reach(self, reach: float) -> None:
        """How far, in ATR, an opposite zone counts from the next bar on."""
        self._magnets.set_heavy_reach(reach)

    def warm(self, candles: Candles) -> None:
        """Take closed candles of the past at once; what is said later is the same."""
        self._magnets.extend(candles=candles)
        for candle in list_candles(candles):
            self._context.update(candle)

    def update(self, candle: Candle) -> Signal:
        """The signal at the close of an hourly candle."""
        reading = self._magnets.extend(candles=_one_candle(candle))
        slow, fast, sigma = self._context.update(candle)
        context = MagnetContext(
            trend_slow=np.array([slow], dtype=np.int8),
            trend_fast=np.array([fast], dtype=np.int8),
            sigma=np.array([sigma], dtype=np.float64),
        )
        return self._strategy.signals(magnets=reading, context=context).at(0)


def _one_candle(candle: Candle) -> Candles:
    return Candles(
        instrument="",
        timeframe_ms=HOUR_MS,
        open_time=np.array([candle.open_time], dtype=np.int64),
        open=np.array([candle.open]),
        high=np.array([candle.high]),
        low=np.array([candle.low]),
        close=np.array([candle.close]),
        volume=np.array([candle.volume]),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Openings:
    """``reason`` of every candle; the rest has a row for each entry, and one for the last candle.

    ``enter`` is 0 and ``target`` NaN where the last candle is no entry.
    """

    reason: CodeColumn
    rows: NDArray[np.int64]
    enter: CodeColumn
    target: FloatColumn
    close: FloatColumn
    atr: FloatColumn
    protective_far: FloatColumn


def _build_columns(
    strategy: MagnetStrategy, magnets: MagnetSignals, context: MagnetContext
) -> Signals:
    """Entry, protection and fuse columns; the same arithmetic for one row and for many."""
    found = _find_openings(strategy, magnets, context)
    direction = np.zeros(len(magnets), dtype=np.int8)
    stop, target = np.full(len(magnets), np.nan), np.full(len(magnets), np.nan)
    direction[found.rows], target[found.rows] = found.enter, found.target
    stop[found.rows] = _find_stops(strategy, found)
    return replace(
        _build_base(magnets, context),
        direction=direction,
        stop=stop,
        target=target,
        reason=found.reason,
    )


def _build_base(magnets: MagnetSignals, context: MagnetContext) -> Signals:
    """What magnets and context say at every candle, without entries."""
    rows, toward = np.arange(len(magnets)), _look_toward(context)
    return build_signals(
        known_at=magnets.known_at,
        distance=magnets.distance[rows, toward],
        strength=magnets.target_strength[rows, toward],
        conflict=magnets.conflict[rows, toward],
        volatility_ratio=magnets.volatility_ratio,
        sigma=context.sigma,
        atr=magnets.atr,
        target_zone_price=magnets.target_price[rows, toward],
        trend=context.trend_fast,
        opposite_pull_long=magnets.opposite_pull[:, LONG],
        opposite_pull_short=magnets.opposite_pull[:, SHORT],
        heavy_opposite_long=magnets.heavy_opposite_strength[:, LONG],
        heavy_opposite_short=magnets.heavy_opposite_strength[:, SHORT],
    )


def _look_toward(context: MagnetContext) -> NDArray[np.int64]:
    return np.where(context.trend_slow < 0, SHORT, LONG)


def _find_openings(
    strategy: MagnetStrategy, magnets: MagnetSignals, context: MagnetContext
) -> _Openings:
    toward = _look_toward(context)
    reason = _find_reasons(strategy, magnets, context, toward)
    entering = reason == Reason.ENTRY
    kept = entering.copy()
    kept[-1:] = True
    rows = np.flatnonzero(kept)
    side, enters = toward[rows], entering[rows]
    return _Openings(
        reason=reason,
        rows=rows,
        enter=np.where(enters, context.trend_slow[rows], 0).astype(np.int8),
        target=np.where(enters, magnets.target_near[rows, side], np.nan),
        close=magnets.close[rows],
        atr=magnets.atr[rows],
        protective_far=magnets.protective_far[rows, side],
    )


def _find_reasons(
    strategy: MagnetStrategy,
    magnets: MagnetSignals,
    context: MagnetContext,
    toward: NDArray[np.int64],
) -> CodeColumn:
    """Why each bar enters or does not: the first rule that fails, in the order of the rules."""
    rows = np.arange(len(magnets))
    reading = magnets.reason[rows, toward]
    strength = magnets.target_strength[rows, toward]
    conflict = magnets.conflict[rows, toward]
    away = np.abs(magnets.target_near[rows, toward] - magnets.close) / magnets.close
    tier_three = (strength >= 50.0) & (conflict < 0.8) & (magnets.volatility_ratio < 2.0)
    rules = [
        (reading == ReadingReason.WARM_UP, Reason.WARM_UP),
        (context.trend_slow == 0, Reason.NO_DIRECTION),
        (reading == ReadingReason.NO_TARGET, Reason.NO_TARGET),
        (reading == ReadingReason.UNMAPPED_SIDE, Reason.UNMAPPED_SIDE),
        (~tier_three, Reason.TIER),
        (~(away >= strategy.target_share_min), Reason.TARGET_TOO_NEAR),
    ]
    if strategy.form is MagnetForm.COHERENT:
        heavy = magnets.heavy_opposite_strength[rows, toward]
        rules += [
            (context.trend_fast != context.trend_slow, Reason.TREND_DISAGREES),
            (heavy > strength, Reason.OPPOSITE_STRONGER),
            (~(conflict < strategy.conflict_max), Reason.CONFLICT),
        ]
    found = np.select(
        [failed for failed, _ in rules], [int(code) for _, code in rules], int(Reason.ENTRY)
    )
    return found.astype(np.int8)


def _find_stops(strategy: MagnetStrategy, found: _Openings) -> FloatColumn:
    """Stops behind the protective zone, within the allowed distances of the close; NaN for none."""
    side, atr = found.enter.astype(np.int64), found.atr
    behind = found.protective_far - side * strategy.stop_margin_atr * atr
    distance = (found.close - behind) * side / atr
    distance = np.clip(distance, strategy.stop_atr_min, strategy.stop_atr_max)
    distance = np.where(np.isnan(found.protective_far), strategy.stop_atr_default, distance)
    return np.where(side != 0, found.close - side * distance * atr, np.nan)
