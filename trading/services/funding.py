"""Funding rates by date: from files into the store, and from there to replays and books."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
from django.db import transaction

from magnetfund.core.actors import Actor
from magnetfund.core.locks import AdvisoryLock, take_lock
from magnetfund.core.services.audit import record_audit
from magnetfund.kernel.clock import from_milliseconds, to_milliseconds
from magnetfund.kernel.errors import InvalidInput
from trading.domain.candle_files import to_floats, to_milliseconds_utc
from trading.domain.market import DAY_MS
from trading.domain.market.funding import FUNDING_PERIOD_MS, FundingRates, round_stamps
from trading.models import FundingRate, Instrument

TIME_NAMES = ("date", "time", "timestamp", "fundingtime", "funding_time", "calc_time")
RATE_NAMES = ("funding_rate", "fundingrate", "last_funding_rate", "rate", "funding_mean")
#: A rate of more than 10 % at one stamp is a percentage, or garbage.
RATE_MAX = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class FundingReport:
    """What an import of rates did; ``differing`` rows contradict stored ones, which were kept."""

    rows: int
    taken: int
    already_stored: int
    differing: int
    refused: int
    first: datetime | None
    last: datetime | None


def load_funding(
    instrument: Instrument, *, start_ms: int | None = None, end_ms: int | None = None
) -> FundingRates:
    """Stored rates with ``start_ms <= stamp < end_ms``."""
    rows = FundingRate.objects.filter(instrument=instrument)
    if start_ms is not None:
        rows = rows.filter(at__gte=from_milliseconds(start_ms))
    if end_ms is not None:
        rows = rows.filter(at__lt=from_milliseconds(end_ms))
    pairs = list(rows.order_by("at").values_list("at", "rate"))
    return FundingRates(
        stamp_ms=np.array([to_milliseconds(at) for at, _ in pairs], dtype=np.int64),
        rate=np.array([rate for _, rate in pairs], dtype=np.float64),
    )


def read_funding_file(path: Path) -> FundingRates:
    """Rates of a CSV, Parquet or feather file with a time and a rate column, as they stand there.

    A file of one mean rate per day gives that rate to each of the day's three stamps.  Raises
    :class:`InvalidInput` with the codes of candle files.
    """
    if not path.is_file():
        raise InvalidInput(f"file not found: {path.name}", code="no_such_file")
    name = path.name.lower()
    if name.endswith(".csv"):
        columns = _csv_columns(path)
    elif name.endswith((".parquet", ".pq", ".feather")):
        columns = _arrow_columns(path)
    else:
        raise InvalidInput(
            f"{path.name}: unsupported file type; use .csv, .feather or .parquet",
            code="unknown_format",
        )
    time = next((columns[key] for key in TIME_NAMES if key in columns), None)
    rate = next((columns[key] for key in RATE_NAMES if key in columns), None)
    if time is None or rate is None:
        raise InvalidInput(
            f"{path.name} needs a time and a rate column; it has {', '.join(columns)}"[:300],
            code="wrong_columns",
        )
    stamps, rates = to_milliseconds_utc(time), to_floats(rate)
    if not stamps.size:
        raise InvalidInput("the file holds no rows", code="empty_file")
    if "funding_mean" in columns and (stamps % DAY_MS == 0).all():
        thirds = np.arange(3, dtype=np.int64) * FUNDING_PERIOD_MS
        stamps, rates = (stamps[:, None] + thirds).ravel(), np.repeat(rates, 3)
    return FundingRates(stamp_ms=stamps, rate=rates)


def import_funding(
    raw: FundingRates, *, instrument: Instrument, source: str, actor: Actor
) -> FundingReport:
    """Store the rates that are new, all or nothing; garbage is refused and counted.

    Imports of one instrument wait for each other: two would both see its rates as new.
    """
    good = (raw.stamp_ms > 0) & np.isfinite(raw.rate) & (np.abs(raw.rate) < RATE_MAX)
    stamps = round_stamps(raw.stamp_ms[good])
    found: dict[int, float] = {}
    differing = 0
    for stamp, rate in zip(stamps.tolist(), raw.rate[good].tolist(), strict=True):
        differing += found.setdefault(stamp, rate) != rate
    same = 0
    with transaction.atomic():
        take_lock(AdvisoryLock.FUNDING_RATES, instrument.pk)
        if found:
            stored = load_funding(instrument, start_ms=min(found), end_ms=max(found) + 1)
            for stamp, rate in zip(stored.stamp_ms.tolist(), stored.rate.tolist(), strict=True):
                if stamp in found:
                    same += found[stamp] == rate
                    differing += found.pop(stamp) != rate
        FundingRate.objects.bulk_create(
            [
                FundingRate(
                    instrument=instrument,
                    at=from_milliseconds(stamp),
                    rate=rate,
                    source=source[:40],
                )
                for stamp, rate in sorted(found.items())
            ],
            batch_size=5_000,
        )
        report = FundingReport(
            rows=int(raw.stamp_ms.size),
            taken=len(found),
            already_stored=same,
            differing=differing,
            refused=int((~good).sum()),
            first=from_milliseconds(min(found)) if found else None,
            last=from_milliseconds(max(found)) if found else None,
        )
        if report.taken or report.differing or report.refused:
            record_audit(
                actor=actor,
                action="funding.imported",
                subject=("instrument", f"{instrument.venue}:{instrument.symbol}"),
                body={"source": source, "taken": report.taken, "refused": report.refused},
            )
    return report


def _csv_columns(path: Path) -> dict[str, list[str]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise InvalidInput(f"{path.name} is not text in UTF-8", code="broken_file") from None
    try:
        rows = [row for row in csv.reader(io.StringIO(text)) if row]
    except csv.Error as error:
        raise InvalidInput(f"{path.name} cannot be read: {error}", code="broken_file") from None
    if len(rows) < 2:
        raise InvalidInput("the file holds no rows", code="empty_file")
    if any(len(row) != len(rows[0]) for row in rows):
        raise InvalidInput("the rows have different lengths", code="wrong_columns")
    names = [cell.strip().lower() for cell in rows[0]]
    return {name: [row[k] for row in rows[1:]] for k, name in enumerate(names)}


def _arrow_columns(path: Path) -> dict[str, list[str]]:
    import pyarrow as pa  # loaded only when such a file is read
    from pyarrow import feather, parquet

    read = feather.read_table if path.name.lower().endswith(".feather") else parquet.read_table
    try:
        table = read(path)
    except (pa.ArrowInvalid, OSError) as error:
        reason = str(error).splitlines()[0][:120]
        raise InvalidInput(f"{path.name} cannot be read: {reason}", code="broken_file") from None
    return {
        name.strip().lower(): table.column(name).to_numpy(zero_copy_only=False)
        for name in table.column_names
    }
