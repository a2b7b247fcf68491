"""What is written beside imported candles: refusals, new price levels, gaps."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from magnetfund.kernel.clock import from_milliseconds, to_milliseconds, utc_now
from trading.domain.candle_files import RawCandles
from trading.domain.market import (
    CandleRefusal,
    Candles,
    CheckedCandles,
    DayRule,
    find_gaps,
    timeframe_ms,
)
from trading.domain.market.events import MarketEventKind
from trading.models import CandleGap, Instrument, MarketRefusal
from trading.services.candle_comparison import PRICES
from trading.services.candle_store import first_open_after, load_candles, load_last_candles
from trading.services.market_events import NewMarketEvent, record_market_events

#: Refused bars that are kept with their content; the rest is counted.
REFUSALS_KEPT = 1_000


def drop_told(
    refusals: Sequence[CandleRefusal], instrument: Instrument, timeframe: str
) -> list[CandleRefusal]:
    """The refusals but for bars that were refused before for the same reason and content: a source
    is asked for such an hour until the next one comes."""
    if not refusals:
        return []
    rows = MarketRefusal.objects.filter(
        instrument=instrument,
        raw__timeframe=timeframe,
        raw__open_time__gte=min(refusal.open_time for refusal in refusals),
        raw__open_time__lte=max(refusal.open_time for refusal in refusals),
    )
    told = {(reason, _identify(raw)) for reason, raw in rows.values_list("reason", "raw")}
    return [
        refusal
        for refusal in refusals
        if (refusal.reason.value, _identify({"timeframe": timeframe, **_plain_bar(refusal)}))
        not in told
    ]


def _identify(raw: dict[str, object]) -> str:
    return json.dumps(raw, sort_keys=True)


def record_refusals(
    refusals: Sequence[CandleRefusal],
    raw: RawCandles,
    rows: NDArray[np.int64],
    instrument: Instrument,
    timeframe: str,
    source: str,
) -> None:
    MarketRefusal.objects.bulk_create(
        MarketRefusal(
            instrument=instrument,
            source=source,
            reason=refusal.reason.value,
            line=int(raw.line[rows[refusal.row]]),
            raw={"timeframe": timeframe, **_plain_bar(refusal)},
        )
        for refusal in refusals[:REFUSALS_KEPT]
    )


def record_levels(
    checked: CheckedCandles,
    stored: Candles,
    instrument: Instrument,
    timeframe: str,
    source: str,
    confirm_jumps: bool,
) -> int:
    """One event per new price level; a level that was stored before is no news."""
    known = frozenset(stored.open_time.tolist())
    fresh = [level for level in checked.levels if level.open_time not in known]
    record_market_events(
        NewMarketEvent(
            kind=MarketEventKind.LEVEL_CONFIRMED if confirm_jumps else MarketEventKind.LEVEL_HELD,
            instrument=instrument,
            occurred_at=from_milliseconds(level.open_time),
            source=source,
            detail={
                "timeframe": timeframe,
                "close_before": level.close_before,
                "close_after": level.close_after,
                "bars": level.bars,
            },
        )
        for level in fresh
    )
    return len(fresh)


def record_gaps(instrument: Instrument, timeframe: str, fresh: Candles) -> None:
    """Bring the recorded holes around new bars to those of the stored series.

    A filled hole is closed, not lost.
    """
    first, last = int(fresh.open_time[0]), int(fresh.open_time[-1])
    before = load_last_candles(instrument, timeframe, count=1, before_ms=first)
    start = int(before.open_time[0]) if len(before) else first
    after = first_open_after(instrument, timeframe, last)
    end = after if after is not None else last
    window = load_candles(instrument, timeframe, start_ms=start, end_ms=end + 1)
    found = find_gaps(candles=window, day_rule=DayRule.UTC_MIDNIGHT)
    now = utc_now()
    open_starts = {from_milliseconds(gap.start): gap for gap in found}
    for row in CandleGap.objects.filter(
        instrument=instrument,
        timeframe=timeframe,
        refilled_at=None,
        start__gte=from_milliseconds(start),
        start__lt=from_milliseconds(end + 1),
    ):
        gap = open_starts.get(row.start)
        if gap is None:
            row.refilled_at = now
            row.save(update_fields=["refilled_at"])
        elif row.end != from_milliseconds(gap.end):
            row.end = from_milliseconds(gap.end)
            row.save(update_fields=["end"])
    CandleGap.objects.bulk_create(
        [
            CandleGap(
                instrument=instrument,
                timeframe=timeframe,
                start=at,
                end=from_milliseconds(gap.end),
                reason=gap.reason.value,
                found_at=now,
            )
            for at, gap in open_starts.items()
        ],
        ignore_conflicts=True,
    )


def count_open_gaps(instrument: Instrument, timeframe: str) -> tuple[int, int]:
    """The holes of the stored series that nobody filled yet, and the bars missing in them."""
    step = timeframe_ms(timeframe)
    rows = CandleGap.objects.filter(
        instrument=instrument, timeframe=timeframe, refilled_at=None
    ).values_list("start", "end")
    bars = [(to_milliseconds(end) - to_milliseconds(start)) // step for start, end in rows]
    return len(bars), sum(bars)


def _plain_bar(refusal: CandleRefusal) -> dict[str, object]:
    """The refused bar as JSON: what is no number is told in words."""
    plain: dict[str, object] = {}
    for name in ("open_time", *PRICES):
        value = getattr(refusal, name)
        plain[name] = value if isinstance(value, int) or np.isfinite(value) else str(value)
    return plain
