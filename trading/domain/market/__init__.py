"""Market data: instruments, closed candles, the door they come in by, gaps, timeframes, sessions.

Pure.  Times are integer milliseconds UTC, signals float64, steps exact.  See the parts:
``instruments`` (what is traded, ticks and lots), ``candles`` (bars in columns), ``door``
(validation with coded refusals), ``gaps``, ``sessions`` (days by the instrument's rule) and
``resampling``.
"""

from trading.domain.market.candles import (
    DAY_MS,
    HOUR_MS,
    MINUTE_MS,
    TIMEFRAMES,
    WEEK_MS,
    Candle,
    Candles,
    is_stale,
    same_candles,
    timeframe_ms,
)
from trading.domain.market.door import (
    CandleReason,
    CandleRefusal,
    CheckedCandles,
    DoorRules,
    DoorState,
    build_candles,
    check_candle,
    check_candles,
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
    Instrument,
    InstrumentKind,
    lot_array,
    lots_from_quantity,
    price_from_ticks,
    quantity_from_lots,
    round_to_lots,
    round_to_ticks,
    tick_array,
    ticks_from_price,
)
from trading.domain.market.resampling import resample, resample_sessions
from trading.domain.market.sessions import (
    Period,
    is_market_open,
    new_york_offset_ms,
    session_bounds,
    session_labels,
    session_starts,
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
    "DoorRules",
    "DoorState",
    "Gap",
    "GapReason",
    "Instrument",
    "InstrumentKind",
    "Outage",
    "Period",
    "build_candles",
    "check_candle",
    "check_candles",
    "find_gaps",
    "find_restarts",
    "is_market_open",
    "is_stale",
    "lot_array",
    "lots_from_quantity",
    "new_york_offset_ms",
    "price_from_ticks",
    "quantity_from_lots",
    "resample",
    "resample_sessions",
    "round_to_lots",
    "round_to_ticks",
    "same_candles",
    "session_bounds",
    "session_labels",
    "session_starts",
    "tick_array",
    "ticks_from_price",
    "timeframe_ms",
]
