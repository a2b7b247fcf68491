"""A strategy of one's own: a class of 20 to 40 lines that backtest, sweep and trader run unchanged.

Two ways to write one.  A *rule* (:class:`~trading.domain.strategies.rules.RuleStrategy`) takes one
closed bar at a time and says what it wants; it can never look ahead.  *Columns*
(:class:`ColumnStrategy`) compute whole arrays in numpy, which is faster and can go wrong, so
``check_strategy`` tests them.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections import deque
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from magnetfund.kernel.errors import InvalidInput
from trading.domain.market.candles import HOUR_MS, Candle, Candles, timeframe_ms
from trading.domain.strategies.columns import compute_volatility
from trading.domain.strategies.signals import Reason, Signal, Signals, StrategyTraits, build_signals

FloatColumn = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entries:
    """What a strategy of columns wants at each close; every column has one row per candle.

    ``direction``: +1 enter long, -1 short, 0 nothing.  ``stop`` is a price on the losing side of
    the close, needed where ``direction`` is not 0.  ``target`` may be NaN (none).  ``leave_long``
    and ``leave_short`` close such a position at the next open.  ``ready`` is False while the
    indicators warm up.
    """

    direction: NDArray[np.integer]
    stop: FloatColumn
    ready: NDArray[np.bool_]
    target: FloatColumn | None = None
    leave_long: NDArray[np.bool_] | None = None
    leave_short: NDArray[np.bool_] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnStrategy(ABC):
    """Parameters are the fields of the subclass; ``entries`` computes all rows at once.

    ``timeframe`` names the candles it reads.  A running book keeps the last ``memory_bars``
    candles and asks for the newest row of ``entries`` on them, so no indicator may reach further
    back than that.
    """

    version: str = "1"
    timeframe: ClassVar[str] = "1h"
    memory_bars: ClassVar[int] = 2_000
    hold_bars_max: ClassVar[int] = 0

    @property
    def name(self) -> str:
        """The class's name in lower case with hyphens."""
        return name_of(type(self))

    @property
    def timeframe_ms(self) -> int:
        """Length of the candles."""
        return timeframe_ms(self.timeframe)

    @property
    def traits(self) -> StrategyTraits:
        """1.0x, stop within 60 % of the way to liquidation; volatility is the one trigger."""
        return StrategyTraits(
            strategy_id=self.name,
            version=f"{self.name}.{self.version}",
            hold_ms_max=self.hold_bars_max * self.timeframe_ms,
            liquidation_share_max=0.6,
        )

    @abstractmethod
    def entries(self, candles: Candles) -> Entries:
        """The wishes at every close, from that candle and earlier ones alone."""

    def columns(self, *, candles: Candles) -> Signals:
        """The signals of every candle."""
        wanted = self.entries(candles)
        direction = np.asarray(wanted.direction, dtype=np.int64)
        if direction.shape != (len(candles),) or not np.isin(direction, (-1, 0, 1)).all():
            raise InvalidInput(
                "direction must hold -1, 0 or 1, one row per candle", code="bad_columns"
            )
        # A signal without a stop cannot be sized; it is no entry.
        direction = np.where(np.isfinite(wanted.stop), direction, 0)
        reason = np.where(direction != 0, int(Reason.ENTRY), int(Reason.NO_DIRECTION))
        reason = np.where(wanted.ready, reason, int(Reason.WARM_UP))
        ratio = sigma = np.full(len(candles), np.nan)
        if self.timeframe_ms == HOUR_MS:
            ratio, sigma = compute_volatility(candles.close)
        entering = direction != 0
        target = wanted.target if wanted.target is not None else np.full(len(candles), np.nan)
        leaves = {
            name: column
            for name, column in (
                ("exit_long", wanted.leave_long),
                ("exit_short", wanted.leave_short),
            )
            if column is not None
        }
        return build_signals(
            known_at=candles.known_at,
            direction=np.where(wanted.ready, direction, 0),
            stop=np.where(entering, wanted.stop, np.nan),
            target=np.where(entering, target, np.nan),
            reason=reason,
            volatility_ratio=ratio,
            sigma=sigma,
            **leaves,
        )

    def stream(self) -> ColumnStream:
        """A fresh memory of the newest candles."""
        return ColumnStream(self)


class ColumnStream:
    """The newest candles of a column strategy, asked for their last row at each close."""

    def __init__(self, strategy: ColumnStrategy) -> None:
        self._strategy = strategy
        self._bars: deque[Candle] = deque(maxlen=max(2, strategy.memory_bars))

    def warm(self, candles: Candles) -> None:
        """Take the past without asking for signals."""
        first = max(0, len(candles) - (self._bars.maxlen or 0))
        self._bars.extend(candles.at(index) for index in range(first, len(candles)))

    def update(self, candle: Candle) -> Signal:
        """The signal at the close of a candle."""
        self._bars.append(candle)
        return self._strategy.columns(candles=candles_of(list(self._bars), self._strategy)).at(-1)


def candles_of(bars: list[Candle], strategy: ColumnStrategy) -> Candles:
    """Columns of single candles."""
    return Candles(
        instrument="",
        timeframe_ms=strategy.timeframe_ms,
        open_time=np.array([bar.open_time for bar in bars], dtype=np.int64),
        **{
            name: np.array([getattr(bar, name) for bar in bars], dtype=np.float64)
            for name in ("open", "high", "low", "close", "volume")
        },
    )


def name_of(kind: type) -> str:
    """A class's name as strategies are named: ``MyPullback`` is ``my-pullback``."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", kind.__name__).lower()
