"""Candles of a file as a series for a run, without any stored instrument and without Django."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from magnetfund.kernel.errors import InvalidInput
from trading.domain.candle_files import RawCandles, require_length
from trading.domain.engine.rules import TradedInstrument
from trading.domain.market import check_candles
from trading.domain.market.candles import Candles, timeframe_ms
from trading.domain.research.coverage import InstrumentSeries
from trading.services.candle_files import read_candle_file

LOT_DEFAULT = 1e-6
"""Quantity step where none is given; smaller than a venue's, and the report says so."""

#: Whole steps of a price that are exact in float64.
STEPS_MAX = 2**53
LOT_MIN = 1e-12


def load_file_series(
    path: Path,
    *,
    instrument: str,
    timeframe: str,
    tick: float | None = None,
    lot: float | None = None,
    fee_rate: float = 0.0005,
) -> InstrumentSeries:
    """Checked candles of a file with the given steps.

    ``tick`` None is the finest step of the prices in the file.  Raises :class:`InvalidInput`.
    """
    candles = check_raw(read_candle_file(path), instrument=instrument, timeframe=timeframe)
    tick = derive_tick(candles) if tick is None else tick
    rules = TradedInstrument(
        symbol=instrument,
        tick_size=tick,
        lot_size=LOT_DEFAULT if lot is None else lot,
        taker_fee_rate=fee_rate,
    )
    if not (float(candles.low.min()) >= tick and float(candles.high.max()) / tick <= STEPS_MAX):
        raise InvalidInput(f"the prices of the file have no steps of {tick:g}", code="bad_tick")
    if rules.lot_size < LOT_MIN:
        raise InvalidInput(f"a lot of {rules.lot_size:g} is too small", code="bad_lot")
    return InstrumentSeries(
        rules=rules,
        candles=candles,
        funding_ms=np.empty(0, dtype=np.int64),
        funding_rate=np.empty(0, dtype=np.float64),
        label="from a file" if lot else "from a file, quantity step assumed",
    )


def check_raw(raw: RawCandles, *, instrument: str, timeframe: str) -> Candles:
    """Sane candles of a file; raises ``InvalidInput``: ``wrong_timeframe``, ``no_candles`` where
    none is left."""
    require_length(raw, length_ms=timeframe_ms(timeframe))
    checked = check_candles(
        instrument=instrument,
        timeframe_ms=timeframe_ms(timeframe),
        open_time=raw.open_time,
        open=raw.open,
        high=raw.high,
        low=raw.low,
        close=raw.close,
        volume=raw.volume,
        now_ms=int(raw.open_time.max(initial=0)) + 2 * timeframe_ms(timeframe),
        sort=True,
    )
    if not len(checked.candles):
        reason = checked.refusals[0].reason.value if checked.refusals else "empty"
        raise InvalidInput(f"no candle of the file is usable ({reason})", code="no_candles")
    return checked.candles


def derive_tick(candles: Candles) -> float:
    """The finest decimal step of the closes, at most eight places."""
    sample = candles.close[:: max(1, len(candles) // 2_000)]
    for places in range(9):
        if np.allclose(sample, np.round(sample, places), rtol=0, atol=1e-9):
            return float(10.0**-places)
    return 1e-8
