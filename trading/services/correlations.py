"""How closely a book's instruments move together, measured from stored hours and kept.

Each measure is a row of ``RiskMeasure``; engine and pre-trade check both read the newest one at or
before their instant, so what counts as one group is the same for both.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import combinations

import numpy as np

from magnetfund.kernel.clock import to_milliseconds
from risk.domain.limits import Limits, group_correlated
from risk.models import RiskMeasure
from trading.models import Instrument
from trading.selectors.portfolio import CORRELATION, read_correlations
from trading.services.candle_store import load_candles

WINDOW = timedelta(days=90)
#: Hours that two instruments must share; with fewer the pair has no figure.
SHARED_HOURS_MIN = 240


def measure_correlations(
    *, book: str, instruments: Sequence[Instrument], at: datetime
) -> RiskMeasure | None:
    """Correlate hourly log returns of the last 90 days before ``at`` and keep the result.

    Nothing is kept for a single instrument.
    """
    if len(instruments) < 2:
        return None
    start_ms, end_ms = to_milliseconds(at - WINDOW), to_milliseconds(at)
    closes = {}
    for item in instruments:
        candles = load_candles(item, "1h", start_ms=start_ms, end_ms=end_ms - 3_600_000)
        closes[item.symbol] = dict(
            zip(candles.open_time.tolist(), candles.close.tolist(), strict=True)
        )
    pairs = []
    for first, second in combinations(sorted(closes), 2):
        rho = _correlate(closes[first], closes[second])
        pairs.append({"pair": [first, second], "rho": None if rho is None else round(rho, 6)})
    return RiskMeasure.objects.create(
        book=book, kind=CORRELATION, values={"pairs": pairs, "days": WINDOW.days}, occurred_at=at
    )


def _correlate(first: dict[int, float], second: dict[int, float]) -> float | None:
    shared = np.array(sorted(first.keys() & second.keys()), dtype=np.int64)
    if shared.size < SHARED_HOURS_MIN:
        return None
    steps = np.diff(shared) == 3_600_000
    ours = np.diff(np.log([first[t] for t in shared.tolist()]))[steps]
    theirs = np.diff(np.log([second[t] for t in shared.tolist()]))[steps]
    if ours.size < SHARED_HOURS_MIN or ours.std() == 0.0 or theirs.std() == 0.0:
        return None
    return float(np.corrcoef(ours, theirs)[0, 1])


def find_correlation_groups(
    *, book: str, symbols: Sequence[str], limits: Limits, at: datetime
) -> dict[str, int]:
    """The group number of each symbol under the limits, by the newest measure at ``at``."""
    if len(symbols) < 2:
        return dict.fromkeys(symbols, 0)
    return group_correlated(
        names=symbols,
        correlations=read_correlations(book, at=at),
        minimum=float(limits.correlation_group_min),
    )
