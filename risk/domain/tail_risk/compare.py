"""The five methods side by side: what each says now, and whether its past forecasts held.

A forecast for a day rests on the ``window`` returns before it and on nothing of that day or later.
Returns are signed fractions per day, losses positive fractions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from magnetfund.kernel.errors import InvalidInput
from risk.domain.ratios.series import FloatArray, Series, returns_of
from risk.domain.tail_risk.backtests import (
    BaselVerdict,
    LikelihoodTest,
    ShortfallTest,
    check_conditional_coverage,
    check_coverage,
    check_shortfall,
    compute_basel_zone,
    find_exceptions,
)
from risk.domain.tail_risk.measures import (
    compute_cornish_fisher_risk,
    compute_historical_risk,
    compute_normal_risk,
)
from risk.domain.tail_risk.types import TailMethod, TailRisk
from risk.domain.tail_risk.volatility import SEED_PERIODS, compute_ewma_risk, compute_filtered_risk

METHODS: dict[TailMethod, Callable[..., TailRisk]] = {
    TailMethod.HISTORICAL: compute_historical_risk,
    TailMethod.NORMAL: compute_normal_risk,
    TailMethod.CORNISH_FISHER: compute_cornish_fisher_risk,
    TailMethod.EWMA: compute_ewma_risk,
    TailMethod.FILTERED_HISTORICAL: compute_filtered_risk,
}
#: A hundred losses for the tail of one in a hundred, after those that start a volatility.
WINDOW_DAYS = 100 + SEED_PERIODS
FORECASTS_MAX = 250
TAIL, TAIL_BASEL = 0.05, 0.01
SIMULATIONS = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class TailRecord:
    """How the forecasts of a method did; tests are None where too few days stand."""

    forecasts: int
    exceptions: int
    coverage: LikelihoodTest | None
    conditional: LikelihoodTest | None
    shortfall: ShortfallTest | None
    basel: BaselVerdict | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TailRow:
    """A method: 95 % and 99 % now (None with ``problem`` where it cannot say), and its record."""

    method: TailMethod
    now: TailRisk | None
    now_far: TailRisk | None
    problem: str
    record: TailRecord | None


def compare_tails(returns: Series, *, window: int = WINDOW_DAYS) -> tuple[TailRow, ...]:
    """All five methods on daily returns, the newest last.

    Raises :class:`InvalidInput` (``too_short``) with fewer than ``window`` returns.
    """
    return _compare(returns_of(returns, length_min=window).tobytes(), window)


@lru_cache(maxsize=8)
def _compare(column: bytes, window: int) -> tuple[TailRow, ...]:
    """The answer for exactly these returns: 2,500 forecasts, asked again until a day is added."""
    values = np.frombuffer(column)
    return tuple(_measure(method, values, window) for method in METHODS)


def _measure(method: TailMethod, values: FloatArray, window: int) -> TailRow:
    compute, newest = METHODS[method], values[-window:]
    try:
        now = compute(returns=newest, tail_probability=TAIL)
        far = compute(returns=newest, tail_probability=TAIL_BASEL)
    except InvalidInput as error:
        return TailRow(method=method, now=None, now_far=None, problem=error.message, record=None)
    return TailRow(
        method=method, now=now, now_far=far, problem="", record=_judge(method, values, window)
    )


def _judge(method: TailMethod, values: FloatArray, window: int) -> TailRecord | None:
    """Forecast each of the last days from the days before it; None where none could be made."""
    limits, far_limits, shortfalls, came = [], [], [], []
    for day in range(max(window, values.size - FORECASTS_MAX), values.size):
        before = values[day - window : day]
        try:
            found = METHODS[method](returns=before, tail_probability=TAIL)
            far = METHODS[method](returns=before, tail_probability=TAIL_BASEL)
        except InvalidInput:
            continue  # this window has no answer by this method; the count of forecasts shows it
        limits.append(found.value_at_risk)
        far_limits.append(far.value_at_risk)
        shortfalls.append(found.expected_shortfall)
        came.append(float(values[day]))
    if len(came) < 2:
        return None
    marks = find_exceptions(returns=came, values_at_risk=limits)
    count, hits = len(came), int(marks.sum())
    is_whole = count == FORECASTS_MAX
    return TailRecord(
        forecasts=count,
        exceptions=hits,
        coverage=check_coverage(exceptions=hits, periods=count, tail_probability=TAIL),
        conditional=check_conditional_coverage(exceptions=marks, tail_probability=TAIL),
        shortfall=check_shortfall(
            returns=came,
            values_at_risk=limits,
            expected_shortfalls=shortfalls,
            tail_probability=TAIL,
            simulations=SIMULATIONS,
        )
        if min(shortfalls) > 0.0 and bool(np.all(np.array(shortfalls) >= np.array(limits)))
        else None,
        basel=compute_basel_zone(
            exceptions=int(find_exceptions(returns=came, values_at_risk=far_limits).sum()),
            periods=count,
            tail_probability=TAIL_BASEL,
        )
        if is_whole
        else None,
    )
