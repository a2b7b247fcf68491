"""What every strategy has: traits, a stream that takes closed candles, and columns made by it.

A strategy is a frozen dataclass of its parameters.  ``stream()`` gives a fresh memory that takes
one closed candle at a time and answers with that bar's :class:`Signal`; columns are what the stream
says over all candles.  Nothing can look ahead, and a backtest, a replay and a trader cannot differ.
"""

from __future__ import annotations

import math
from dataclasses import fields
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from magnetfund.kernel.errors import InvalidInput
from trading.domain.market.candles import Candle, Candles, list_candles
from trading.domain.strategies.signals import (
    Reason,
    Signal,
    Signals,
    StrategyTraits,
    build_signals,
)

NAN = math.nan


class SignalStream(Protocol):
    """The memory of a strategy on one instrument."""

    def update(self, candle: Candle) -> Signal:
        """Take the next closed candle; candles come in the order of their times."""
        ...


class Strategy(Protocol):
    """A strategy with its parameters; see the modules of this package."""

    @property
    def traits(self) -> StrategyTraits:
        """What the decision must know beyond the signals."""
        ...

    @property
    def timeframe_ms(self) -> int:
        """Length of the candles that the stream takes."""
        ...

    def stream(self) -> SignalStream:
        """A fresh memory."""
        ...


def compute_signals(*, strategy: Strategy, candles: Candles) -> Signals:
    """The signals of every candle in columns, exactly as the stream gives them.

    Raises :class:`InvalidInput` for candles of another timeframe.
    """
    if candles.timeframe_ms != strategy.timeframe_ms:
        raise InvalidInput("the strategy reads another timeframe", code="bad_timeframe")
    stream = strategy.stream()
    rows = [stream.update(candle) for candle in list_candles(candles)]
    columns: dict[str, NDArray[np.generic]] = {}
    for item in fields(Signal):
        if item.name != "known_at":
            columns[item.name] = np.array([getattr(row, item.name) for row in rows])
    return build_signals(known_at=candles.known_at, **columns)


def make_signal(
    *,
    known_at: int,
    reason: Reason = Reason.NOTHING,
    direction: int = 0,
    exit_long: bool = False,
    exit_short: bool = False,
    stop: float = NAN,
    target: float = NAN,
    atr: float = NAN,
    volatility_ratio: float = NAN,
    sigma: float = NAN,
) -> Signal:
    """A signal of a strategy that reads no magnets: leverage and zone columns have no source."""
    return Signal(
        known_at=known_at,
        direction=direction,
        exit_long=exit_long,
        exit_short=exit_short,
        stop=stop,
        target=target,
        reason=int(reason),
        distance=NAN,
        strength=NAN,
        conflict=NAN,
        volatility_ratio=volatility_ratio,
        sigma=sigma,
        atr=atr,
        target_zone_price=NAN,
        trend=0,
        opposite_pull_long=NAN,
        opposite_pull_short=NAN,
        heavy_opposite_long=NAN,
        heavy_opposite_short=NAN,
    )
