"""Stored candles, dated funding and trading rules of instruments, for a run."""

from __future__ import annotations

import numpy as np

from magnetfund.kernel.clock import to_milliseconds
from magnetfund.kernel.errors import InvalidInput
from trading.domain.market.candles import TIMEFRAMES, Candles
from trading.domain.research.coverage import InstrumentSeries
from trading.domain.research.request import BacktestRequest
from trading.models import Candle, CandleFile, FundingRate, Instrument
from trading.services.book_setup import instrument_rules
from trading.services.candle_store import load_candles
from trading.services.instruments import get_instrument


def load_series(request: BacktestRequest) -> dict[str, InstrumentSeries]:
    """The series of every instrument of a request, up to its end.

    Candles of the request's timeframe where they are stored, else the longest shorter ones, which
    are joined; and those of its resolution inside its span.  Raises :class:`InvalidInput`:
    ``unknown_instrument``, ``no_candles``.
    """
    return {
        name: load_instrument_series(get_instrument(name), request) for name in request.instruments
    }


def load_instrument_series(instrument: Instrument, request: BacktestRequest) -> InstrumentSeries:
    """The series of one instrument; raises :class:`InvalidInput` (``no_candles``)."""
    stamps = list(
        FundingRate.objects.filter(instrument=instrument).order_by("at").values_list("at", "rate")
    )
    return InstrumentSeries(
        rules=instrument_rules(instrument),
        candles=_find_candles(instrument, request),
        funding_ms=np.array([to_milliseconds(at) for at, _ in stamps], dtype=np.int64),
        funding_rate=np.array([rate for _, rate in stamps], dtype=np.float64),
        label=instrument.source_label,
        shorter=_find_shorter(instrument, request),
    )


def _find_shorter(instrument: Instrument, request: BacktestRequest) -> Candles | None:
    if request.resolution is None:
        return None
    return load_candles(
        instrument, request.resolution, start_ms=request.start_ms, end_ms=request.end_ms
    )


def _find_candles(instrument: Instrument, request: BacktestRequest) -> Candles:
    stored = stored_timeframes(instrument)
    fitting = [name for name in stored if request.bar_ms % TIMEFRAMES[name] == 0]
    if not fitting:
        raise InvalidInput(
            f"there are no candles of {instrument.symbol} from which {request.timeframe} candles "
            f"can be made; import them first",
            code="no_candles",
        )
    longest = max(fitting, key=lambda name: TIMEFRAMES[name])
    return load_candles(instrument, longest, end_ms=request.end_ms)


def stored_timeframes(instrument: Instrument) -> list[str]:
    """Names of the timeframes of which there are candles."""
    return [
        name
        for name in TIMEFRAMES
        if Candle.objects.filter(instrument=instrument, timeframe=name).exists()
        or CandleFile.objects.filter(instrument=instrument, timeframe=name).exists()
    ]
