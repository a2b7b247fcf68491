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
from numpy.typing import NDArray

from magnetfund.core.actors import Actor
from magnetfund.core.locks import AdvisoryLock, take_lock
from magnetfund.core.services.audit import record_audit
from magnetfund.kernel.clock import from_milliseconds, to_milliseconds, utc_now
from trading.domain.candle_files import RawCandles
from trading.domain.market import (
    CandleReason,
    CandleRefusal,
    Candles,
    CheckedCandles,
    DayRule,
    ValidationRules,
    check_candles,
    find_gaps,
    resume_state,
    timeframe_ms,
)
from trading.domain.market.events import MarketEventKind
from trading.models import CandleGap, Instrument, MarketRefusal
from trading.services.candle_store import load_candles, load_last_candles, store_candles
from trading.services.market_events import NewMarketEvent, record_market_events

#: Refused bars that are kept with their content; the rest is counted.
REFUSALS_KEPT = 1_000
_PRICES = ("open", "high", "low", "close", "volume")
_HELD = (CandleReason.JUMP.value, CandleReason.SCALE.value)


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
        span = _stored_span(raw, instrument, timeframe)
        known, same, differing = _compare(raw, span)
        held = _held_bars(instrument, timeframe, raw, span)
        merged = _merge(raw, ~known, held, span)
        past = load_last_candles(
            instrument,
            timeframe,
            count=ValidationRules().range_bars + 1,
            before_ms=_first_time(merged.raw),
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
        fresh = _without(checked.candles, span.open_time)
        store_candles(
            fresh,
            instrument=instrument,
            timeframe=timeframe,
            source=source,
            available_ms=to_milliseconds(now),
            on_progress=on_progress,
        )
        new_refusals = [r for r in checked.refusals if r.row < merged.incoming]
        _record_refusals(new_refusals, raw, merged.rows, instrument, timeframe, source)
        levels = _record_levels(checked, span, instrument, timeframe, source, confirm_jumps)
        if len(fresh):
            _record_gaps(instrument, timeframe, fresh)
        report = _report(
            raw=raw,
            fresh=fresh,
            released=int(np.isin(fresh.open_time, held.open_time).sum()),
            same=same,
            differing=differing,
            refusals=new_refusals,
            levels=levels,
            gaps=_open_gaps(instrument, timeframe),
        )
        if report.taken or report.refused or report.differing:
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


# ---- what is there already ---------------------------------------------------------------------


def _lock_series(instrument: Instrument, timeframe: str) -> None:
    """One import of a series at a time: two would both see its bars as new."""
    take_lock(AdvisoryLock.CANDLE_SERIES, f"{instrument.pk}/{timeframe}")


def _usable_times(raw: RawCandles) -> NDArray[np.int64]:
    return raw.open_time[(raw.open_time > 0) & (raw.open_time < 4_102_444_800_000)]


def _first_time(raw: RawCandles) -> int:
    times = _usable_times(raw)
    return int(times.min()) if times.size else 0


def _stored_span(raw: RawCandles, instrument: Instrument, timeframe: str) -> Candles:
    """The stored bars between the first and the last incoming one."""
    times = _usable_times(raw)
    if not times.size:
        return load_candles(instrument, timeframe, start_ms=0, end_ms=0)
    return load_candles(
        instrument, timeframe, start_ms=int(times.min()), end_ms=int(times.max()) + 1
    )


def _compare(raw: RawCandles, stored: Candles) -> tuple[NDArray[np.bool_], int, int]:
    """Which incoming bars are stored already; how many of them agree, and how many do not.

    A row of garbage at a stored time is left to validation, which names what is wrong with it.
    """
    nothing = np.zeros(len(raw), dtype=np.bool_)
    if not len(stored):
        return nothing, 0, 0
    position = np.searchsorted(stored.open_time, raw.open_time)
    position = np.minimum(position, len(stored) - 1)
    known = stored.open_time[position] == raw.open_time
    same = known.copy()
    for name in _PRICES:
        same &= getattr(stored, name)[position] == getattr(raw, name)
    with np.errstate(invalid="ignore"):
        sane = known & (raw.low > 0) & (raw.volume >= 0) & np.isfinite(raw.high + raw.volume)
        sane &= (raw.low <= np.minimum(raw.open, raw.close)) & (
            raw.high >= np.maximum(raw.open, raw.close)
        )
    return same | sane, int(same.sum()), int((sane & ~same).sum())


def _held_bars(
    instrument: Instrument, timeframe: str, raw: RawCandles, stored: Candles
) -> RawCandles:
    """Bars refused for their price after the last one stored before these, which they may confirm.

    A bar that came again in this import is judged as the import gives it.
    """
    first = _first_time(raw)
    before = load_last_candles(instrument, timeframe, count=1, before_ms=first)
    since = int(before.open_time[-1]) if len(before) else 0
    times = set(raw.open_time.tolist()) | set(stored.open_time.tolist())
    bars: dict[int, dict[str, float]] = {}
    found = MarketRefusal.objects.filter(
        instrument=instrument,
        reason__in=_HELD,
        raw__timeframe=timeframe,
        raw__open_time__gt=since,
        raw__open_time__lt=int(_usable_times(raw).max(initial=0)),
    ).order_by("id")
    for row in found.values_list("raw", flat=True):
        if row["open_time"] not in times:
            bars[row["open_time"]] = row
    ordered = sorted(bars)
    columns = {
        name: np.array([bars[time][name] for time in ordered], dtype=np.float64) for name in _PRICES
    }
    return RawCandles(
        open_time=np.array(ordered, dtype=np.int64),
        **columns,
        line=np.zeros(len(ordered), dtype=np.int64),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Merged:
    """Incoming bars first (``incoming`` of them), then those held before, then those stored."""

    raw: RawCandles
    rows: NDArray[np.int64]
    incoming: int
    stored: NDArray[np.int64]

    def confirmed(self, *, confirm_jumps: bool) -> frozenset[int]:
        times = self.raw.open_time if confirm_jumps else self.stored
        return frozenset(times.tolist())


def _merge(
    raw: RawCandles, wanted: NDArray[np.bool_], held: RawCandles, stored: Candles
) -> _Merged:
    """The incoming bars among those that surround them, so that each has its neighbours."""
    rows = np.flatnonzero(wanted)
    if not rows.size:
        stored = stored.between(0, 0)
    columns = {
        name: np.concatenate((getattr(raw, name)[rows], getattr(held, name), getattr(stored, name)))
        for name in ("open_time", *_PRICES)
    }
    line = np.zeros(columns["open_time"].size, dtype=np.int64)
    line[: rows.size] = raw.line[rows]
    return _Merged(
        raw=RawCandles(**columns, line=line),
        rows=rows,
        incoming=int(rows.size),
        stored=stored.open_time,
    )


def _without(candles: Candles, times: NDArray[np.int64]) -> Candles:
    keep = ~np.isin(candles.open_time, times)
    return Candles(
        instrument=candles.instrument,
        timeframe_ms=candles.timeframe_ms,
        open_time=candles.open_time[keep],
        open=candles.open[keep],
        high=candles.high[keep],
        low=candles.low[keep],
        close=candles.close[keep],
        volume=candles.volume[keep],
    )


# ---- what is written beside the candles --------------------------------------------------------


def _record_refusals(
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


def _record_levels(
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


def _record_gaps(instrument: Instrument, timeframe: str, fresh: Candles) -> None:
    """Bring the recorded holes around new bars to those of the stored series.

    A filled hole is closed, not lost.
    """
    first, last = int(fresh.open_time[0]), int(fresh.open_time[-1])
    before = load_last_candles(instrument, timeframe, count=1, before_ms=first)
    start = int(before.open_time[0]) if len(before) else first
    after = (
        instrument.candles.filter(timeframe=timeframe, open_time__gt=from_milliseconds(last))
        .order_by("open_time")
        .values_list("open_time", flat=True)
        .first()
    )
    end = to_milliseconds(after) if after is not None else last
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


def _open_gaps(instrument: Instrument, timeframe: str) -> tuple[int, int]:
    """The holes of the stored series that nobody filled yet, and the bars missing in them."""
    step = timeframe_ms(timeframe)
    rows = CandleGap.objects.filter(
        instrument=instrument, timeframe=timeframe, refilled_at=None
    ).values_list("start", "end")
    bars = [(to_milliseconds(end) - to_milliseconds(start)) // step for start, end in rows]
    return len(bars), sum(bars)


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


def _plain_bar(refusal: CandleRefusal) -> dict[str, object]:
    """The refused bar as JSON: what is no number is told in words."""
    plain: dict[str, object] = {}
    for name in ("open_time", *_PRICES):
        value = getattr(refusal, name)
        plain[name] = value if isinstance(value, int) or np.isfinite(value) else str(value)
    return plain
