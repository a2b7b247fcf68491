"""Bringing candles in: checked, compared with what is stored, stored, and accounted for.

An import is one transaction: a full disk, a lost connection or an interrupt leaves everything as
it was.  Bars that are stored already are skipped, so an import can be repeated; a stored bar whose
content differs from the incoming one is reported and kept, never overwritten.  Every way in (file,
backfill, polling, stream) ends here.

The memory of validation lives in the stored rows: the last bars taken, and the bars refused for
their price since.  One file or ten therefore store the same candles.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from django.db import transaction

from magnetfund.core.actors import Actor
from magnetfund.core.locks import AdvisoryLock, take_lock
from magnetfund.core.services.audit import record_audit
from magnetfund.kernel.clock import from_milliseconds, to_milliseconds, utc_now
from trading.domain.candle_files import RawCandles
from trading.domain.market import (
    CandleRefusal,
    Candles,
    ValidationRules,
    check_candles,
    resume_state,
    timeframe_ms,
)
from trading.models import Instrument
from trading.services.candle_comparison import (
    compare_bars,
    drop_bars,
    first_time,
    load_held_bars,
    load_stored_span,
    merge_bars,
)
from trading.services.candle_records import (
    count_open_gaps,
    drop_told,
    record_gaps,
    record_levels,
    record_refusals,
)
from trading.services.candle_store import load_last_candles, store_candles


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportReport:
    """What an import did.

    ``refused`` counts by reason; ``released`` are bars refused earlier that this import confirmed;
    ``levels`` counts the new price levels taken; gaps are those of the stored series.
    """

    rows: int
    taken: int
    released: int
    already_stored: int
    differing: int
    refused: dict[str, int]
    levels: int
    first: datetime | None
    last: datetime | None
    gaps: int
    gap_bars: int


def import_candles(
    raw: RawCandles,
    *,
    instrument: Instrument,
    timeframe: str,
    source: str,
    actor: Actor,
    confirm_jumps: bool = False,
    on_progress: Callable[[int], None] | None = None,
) -> ImportReport:
    """Check, compare, store and account for incoming bars, all or nothing.

    ``confirm_jumps`` says that a second source or a person vouches for every price in ``raw``.
    """
    now = utc_now()
    with transaction.atomic():
        _lock_series(instrument, timeframe)
        span = load_stored_span(raw, instrument, timeframe)
        known, same, differing = compare_bars(raw, span)
        held = load_held_bars(instrument, timeframe, raw, span)
        merged = merge_bars(raw, ~known, held, span)
        past = load_last_candles(
            instrument,
            timeframe,
            count=ValidationRules().range_bars + 1,
            before_ms=first_time(merged.raw),
        )
        checked = check_candles(
            instrument=instrument.symbol,
            timeframe_ms=timeframe_ms(timeframe),
            open_time=merged.raw.open_time,
            open=merged.raw.open,
            high=merged.raw.high,
            low=merged.raw.low,
            close=merged.raw.close,
            volume=merged.raw.volume,
            now_ms=to_milliseconds(now),
            state=resume_state(taken=past),
            confirmed=merged.confirmed(confirm_jumps=confirm_jumps),
            sort=True,
        )
        fresh = drop_bars(checked.candles, span.open_time)
        store_candles(
            fresh,
            instrument=instrument,
            timeframe=timeframe,
            source=source,
            available_ms=to_milliseconds(now),
            on_progress=on_progress,
        )
        new_refusals = [r for r in checked.refusals if r.row < merged.incoming]
        untold = drop_told(new_refusals, instrument, timeframe)
        record_refusals(untold, raw, merged.rows, instrument, timeframe, source)
        levels = record_levels(checked, span, instrument, timeframe, source, confirm_jumps)
        if len(fresh):
            record_gaps(instrument, timeframe, fresh)
        report = _report(
            raw=raw,
            fresh=fresh,
            released=int(np.isin(fresh.open_time, held.open_time).sum()),
            same=same,
            differing=differing,
            refusals=new_refusals,
            levels=levels,
            gaps=count_open_gaps(instrument, timeframe),
        )
        if report.taken or untold or report.differing:
            record_audit(
                actor=actor,
                action="market.imported",
                subject=("instrument", f"{instrument.venue}:{instrument.symbol}"),
                body={
                    "source": source,
                    "timeframe": timeframe,
                    "taken": report.taken,
                    "refused": report.refused,
                    "confirm_jumps": confirm_jumps,
                },
            )
    return report


def _lock_series(instrument: Instrument, timeframe: str) -> None:
    """One import of a series at a time: two would both see its bars as new."""
    take_lock(AdvisoryLock.CANDLE_SERIES, f"{instrument.pk}/{timeframe}")


def _report(
    *,
    raw: RawCandles,
    fresh: Candles,
    released: int,
    same: int,
    differing: int,
    refusals: Sequence[CandleRefusal],
    levels: int,
    gaps: tuple[int, int],
) -> ImportReport:
    refused: dict[str, int] = {}
    for refusal in refusals:
        refused[refusal.reason.value] = refused.get(refusal.reason.value, 0) + 1
    return ImportReport(
        rows=len(raw),
        taken=len(fresh),
        released=released,
        already_stored=same,
        differing=differing,
        refused=refused,
        levels=levels,
        first=from_milliseconds(int(fresh.open_time[0])) if len(fresh) else None,
        last=from_milliseconds(int(fresh.open_time[-1])) if len(fresh) else None,
        gaps=gaps[0],
        gap_bars=gaps[1],
    )
