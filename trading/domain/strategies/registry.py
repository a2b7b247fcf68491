"""Every strategy by its name, built from stored parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from enum import Enum
from typing import Any

from magnetfund.kernel.errors import InvalidInput
from trading.domain.market.candles import Candles
from trading.domain.strategies.base import Strategy, compute_signals
from trading.domain.strategies.magnet import MagnetStrategy
from trading.domain.strategies.rules import RuleStrategy
from trading.domain.strategies.shared import SharedBars
from trading.domain.strategies.signals import Signals
from trading.domain.strategies.swing_rules import BollingerBreakout, MomentumScalping, RsiReversion
from trading.domain.strategies.trend import TrendStrategy
from trading.domain.strategies.trend_rules import (
    AlwaysLong,
    DonchianStrategy,
    MacdStrategy,
    MomentumStrategy,
    MovingAverageCross,
)

STRATEGIES: Mapping[str, Callable[..., Strategy]] = {
    "trend": TrendStrategy,
    "magnet": MagnetStrategy,
    "moving-average": MovingAverageCross,
    "rsi-reversion": RsiReversion,
    "bollinger-breakout": BollingerBreakout,
    "macd": MacdStrategy,
    "momentum-scalping": MomentumScalping,
    "momentum": MomentumStrategy,
    "donchian": DonchianStrategy,
    "always-long": AlwaysLong,
}
"""The first two trade in the demo fund; the others are comparisons."""
#: Strategies whose columns take what variants share.
SHARING = (MagnetStrategy, RuleStrategy, TrendStrategy)


def build_strategy(name: str, parameters: Mapping[str, Any] | None = None) -> Strategy:
    """The strategy of a name with ``parameters`` over its defaults.

    Parameters may come from JSON: lists become tuples and words become members of their
    enumeration.  Raises :class:`InvalidInput`: ``unknown_strategy`` or ``bad_parameter``.
    """
    try:
        builder = STRATEGIES[name]
    except KeyError:
        raise InvalidInput(f"there is no strategy {name!r}", code="unknown_strategy") from None
    defaults = {item.name: item.default for item in fields(builder)}  # type: ignore[arg-type]  # all are dataclasses
    try:
        return builder(
            **{key: _fit(value, defaults.get(key)) for key, value in (parameters or {}).items()}
        )
    except InvalidInput:
        raise
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"parameters of {name}: {error}", code="bad_parameter") from None


def compute_columns(
    *, strategy: Strategy, candles: Candles, shared: SharedBars | None = None
) -> Signals:
    """The signals of every candle of one instrument: what a backtest takes, row for row the stream.

    A strategy that can tell a whole history at once has ``columns``; every other runs its stream.
    ``shared`` holds what variants of a sweep have in common on these candles.
    Raises :class:`InvalidInput` for candles of another timeframe.
    """
    if candles.timeframe_ms != strategy.timeframe_ms:
        raise InvalidInput("the strategy reads another timeframe", code="bad_timeframe")
    at_once = getattr(strategy, "columns", None)
    if at_once is None:
        return compute_signals(strategy=strategy, candles=candles)
    if shared is not None and isinstance(strategy, SHARING):
        return strategy.columns(candles=candles, shared=shared)
    signals: Signals = at_once(candles=candles)
    return signals


def _fit(value: Any, default: Any) -> Any:
    """A stored value in the type of the field's default, where JSON has no such type."""
    if isinstance(default, Enum):
        return type(default)(value)
    if isinstance(default, tuple) and isinstance(value, list):
        return tuple(value)
    return value
