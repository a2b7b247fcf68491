"""Indicators with named conventions: columns at once, or a stream that agrees on every prefix.

Batch functions take float64 columns of shape (n,) and give the same shape, NaN before the first
value; none looks ahead.  Streaming classes have ``update``, which takes the next close (or closed
bar) and returns what the batch function has at that index, within 1e-9.  The ``id`` of a stream
names the recipe ("rsi.wilder.14"), so that stored values of two recipes are never compared.
"""

from trading.domain.indicators.averages import Ema, Sma, Wilder, ema, sma, warm_up_bars, wilder
from trading.domain.indicators.momentum import Macd, MacdColumns, MacdValue, Rsi, macd, rsi
from trading.domain.indicators.ranges import (
    Atr,
    Bollinger,
    BollingerColumns,
    BollingerValue,
    atr,
    bollinger,
    true_range,
)
from trading.domain.indicators.segments import over_segments
from trading.domain.indicators.volatility import (
    EwmaVolatility,
    RealisedVolatility,
    VolatilityRatio,
    annual_factor,
    ewma_volatility,
    log_returns,
    realised_volatility,
    volatility_ratio,
)
from trading.domain.indicators.volume_price import Vwap, VwapColumns, VwapValue, vwap

__all__ = [
    "Atr",
    "Bollinger",
    "BollingerColumns",
    "BollingerValue",
    "Ema",
    "EwmaVolatility",
    "Macd",
    "MacdColumns",
    "MacdValue",
    "RealisedVolatility",
    "Rsi",
    "Sma",
    "VolatilityRatio",
    "Vwap",
    "VwapColumns",
    "VwapValue",
    "Wilder",
    "annual_factor",
    "atr",
    "bollinger",
    "ema",
    "ewma_volatility",
    "log_returns",
    "macd",
    "over_segments",
    "realised_volatility",
    "rsi",
    "sma",
    "true_range",
    "volatility_ratio",
    "vwap",
    "warm_up_bars",
    "wilder",
]
