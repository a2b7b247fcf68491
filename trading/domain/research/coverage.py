"""The candles that a run is given, and what its span holds of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from magnetfund.kernel.errors import InvalidInput
from trading.domain.engine.rules import TradedInstrument
from trading.domain.market.candles import Candles, timeframe_ms
from trading.domain.market.slices import SlicePlan, plan_slices
from trading.domain.research.request import BacktestRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class InstrumentSeries:
    """Candles of one instrument as they are stored, how it trades, and its dated funding.

    ``funding_ms`` and ``funding_rate`` are stamps and rates (a positive rate is paid by longs),
    empty where none is stored.  ``label`` says where prices come from ("spot proxy").  ``shorter``
    are the candles of a request's resolution, None where ``candles`` are those.
    """

    rules: TradedInstrument
    candles: Candles
    funding_ms: NDArray[np.int64]
    funding_rate: NDArray[np.float64]
    label: str = ""
    shorter: Candles | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """What the span of one instrument holds: its bars, and how many are missing between them.

    ``shorter`` and ``shorter_missing`` count the candles on which it executes, where it executes on
    shorter ones.
    """

    instrument: str
    first_ms: int
    last_ms: int
    bars: int
    missing: int
    funding_stamps: int
    label: str
    shorter: int = 0
    shorter_missing: int = 0

    @property
    def missing_share(self) -> float:
        """Missing bars as a share of those that the span should hold."""
        return self.missing / (self.bars + self.missing)

    @property
    def shorter_missing_share(self) -> float:
        """The same of the shorter candles; 0 where there are none."""
        count = self.shorter + self.shorter_missing
        return self.shorter_missing / count if count else 0.0


def plan_execution(
    request: BacktestRequest,
    series: Mapping[str, InstrumentSeries],
    candles: Sequence[Candles],
    rows: Sequence[slice],
) -> tuple[tuple[Candles, ...], SlicePlan | None]:
    """The shorter candles on which the span executes, and how they cut its bars."""
    if request.resolution is None:
        return (), None
    given = (series[name] for name in request.instruments)
    shorter = tuple(item.candles if item.shorter is None else item.shorter for item in given)
    if any(item.timeframe_ms != timeframe_ms(request.resolution) for item in shorter):
        raise InvalidInput(
            f"the candles that were given are not those of {request.resolution}",
            code="bad_resolution",
        )
    spans = [item.between(part.start, part.stop) for item, part in zip(candles, rows, strict=True)]
    return shorter, plan_slices(candles=spans, shorter=shorter)


def check_gaps(item: Coverage, request: BacktestRequest) -> None:
    """Raise ``too_many_gaps`` where more candles are missing than the request allows."""
    for share, missing, length in (
        (item.missing_share, item.missing, request.timeframe),
        (item.shorter_missing_share, item.shorter_missing, request.resolution),
    ):
        if share > request.gap_share_max:
            raise InvalidInput(
                f"{item.instrument} lacks {share:.1%} of its {length} candles in this span "
                f"({missing:,} bars); at most {request.gap_share_max:.1%} may be missing",
                code="too_many_gaps",
            )


def cover_span(
    candles: Candles, rows: slice, series: InstrumentSeries, plan: SlicePlan | None, index: int
) -> Coverage:
    times = candles.open_time[rows]
    first, last = int(times[0]), int(times[-1])
    held = (series.funding_ms >= first) & (series.funding_ms <= last)
    return Coverage(
        instrument=candles.instrument,
        first_ms=first,
        last_ms=last + candles.timeframe_ms,
        bars=times.size,
        missing=(last - first) // candles.timeframe_ms + 1 - times.size,
        funding_stamps=int(held.sum()),
        label=series.label,
        shorter=int((plan.rows[index] >= 0).sum()) if plan is not None else 0,
        shorter_missing=plan.missing[index] if plan is not None else 0,
    )
