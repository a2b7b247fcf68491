"""Market data: instruments, closed candles, their validation, gaps, timeframes, sessions.

Pure.  Times are integer milliseconds UTC, signals float64, steps exact.  See the parts:
``instruments`` (what is traded, ticks and lots), ``candles`` (bars in columns), ``validation``
(with coded refusals), ``price_levels`` (which jumps are believed), ``gaps``, ``sessions`` (days by
the instrument's rule) and ``resampling``.
"""

from trading.domain.market.candles import (
    DAY_MS,
    HOUR_MS,
    MINUTE_MS,
    TIMEFRAMES,
    WEEK_MS,
    Candle,
    Candles,
    timeframe_ms,
)
from trading.domain.market.gaps import (
    GAP_BARS_MAX,
    Gap,
    GapReason,
    Outage,
    find_gaps,
    find_restarts,
)
from trading.domain.market.instruments import (
    DayRule,
    InstrumentKind,
    InstrumentTerms,
)
from trading.domain.market.price_levels import (
    LevelChange,
    SeriesState,
    ValidationRules,
    resume_state,
)
from trading.domain.market.resampling import resample
from trading.domain.market.sessions import (
    is_market_open,
    new_york_offset_ms,
)
from trading.domain.market.validation import (
    CandleReason,
    CandleRefusal,
    CheckedCandles,
    check_candles,
)

__all__ = [
    "DAY_MS",
    "GAP_BARS_MAX",
    "HOUR_MS",
    "MINUTE_MS",
    "TIMEFRAMES",
    "WEEK_MS",
    "Candle",
    "CandleReason",
    "CandleRefusal",
    "Candles",
    "CheckedCandles",
    "DayRule",
    "Gap",
    "GapReason",
    "InstrumentKind",
    "InstrumentTerms",
    "LevelChange",
    "Outage",
    "SeriesState",
    "ValidationRules",
    "check_candles",
    "find_gaps",
    "find_restarts",
    "is_market_open",
    "new_york_offset_ms",
    "resample",
    "resume_state",
    "timeframe_ms",
]
