"""Did the forecasts hold?  Coverage of value at risk, Basel zones, and expected shortfall.

An exception is a period whose loss lies strictly beyond its value at risk.  Each test states a
likelihood ratio or statistic and the probability of one at least as bad if the forecasts were
right; 0 ln 0 is 0.

Sources: Kupiec (1995), Christoffersen (1998), Basel Committee (January 1996, Supervisory framework
for the use of backtesting), Acerbi and Szekely (2014, second test).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from magnetfund.kernel.errors import InvalidInput
from risk.domain.ratios.series import FloatArray, Series, returns_of
from risk.domain.tail_risk.types import tail_of

ExceptionArray = NDArray[np.bool_]

SHORTFALL_CRITICAL_5_PERCENT = -0.70
"""Z2 below it rejects at 5 %: 250 days at 2.5 %, nearly the same for all tails that Acerbi and
Szekely (2014) tried, from the normal law (-0.70) to Student's t with 3 degrees (-0.82)."""

#: Simulated at once, which bounds the memory.
HISTORIES_AT_ONCE = 100
_BASEL_PLUS = (0.0, 0.0, 0.0, 0.0, 0.0, 0.40, 0.50, 0.65, 0.75, 0.85, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class LikelihoodTest:
    """``statistic`` is chi-square with ``degrees_of_freedom`` if the forecasts were right."""

    statistic: float
    degrees_of_freedom: int
    p_value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TransitionCounts:
    """Days by (yesterday, today): calm or exception; n00, n01, n10 and n11 in that order."""

    calm_calm: int
    calm_exception: int
    exception_calm: int
    exception_exception: int

    def __post_init__(self) -> None:
        counts = (
            self.calm_calm,
            self.calm_exception,
            self.exception_calm,
            self.exception_exception,
        )
        if min(counts) < 0 or sum(counts) == 0:
            raise InvalidInput("counts are not negative, and some day counts", code="bad_counts")


class BaselZone(StrEnum):
    """Traffic light of the Basel Committee for 250 days at 99 %."""

    GREEN = "green"
    YELLOW = "yellow"
    RED = "red"


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselVerdict:
    """``plus_factor`` adds to the capital multiplier of 3; ``cumulative_probability`` is that of
    so many exceptions or fewer from a model that is right."""

    zone: BaselZone
    exceptions: int
    plus_factor: float
    cumulative_probability: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ShortfallTest:
    """``statistic`` Z2: 0 is expected of a right model, -1 is a shortfall of twice the forecast.

    ``p_value`` is the share of ``simulations`` under the forecasts that came out as low.
    """

    statistic: float
    exceptions: int
    periods: int
    p_value: float
    simulations: int


def find_exceptions(*, returns: Series, values_at_risk: Series) -> ExceptionArray:
    """Which losses lie beyond the value at risk forecast for their period (a positive loss).

    Raises ``InvalidInput``: ``bad_shape`` for unequal lengths, ``not_finite``.
    """
    values, limits = returns_of(returns), np.asarray(values_at_risk, dtype=np.float64)
    if limits.shape != values.shape:
        raise InvalidInput("a forecast is needed for each return", code="bad_shape")
    if not np.isfinite(limits).all():
        raise InvalidInput("a forecast is not finite", code="not_finite")
    return -values > limits


def count_transitions(*, exceptions: Sequence[bool] | ExceptionArray) -> TransitionCounts:
    """Counts of the n - 1 pairs of consecutive days; needs two days (``too_short``)."""
    marks = np.asarray(exceptions, dtype=np.bool_)
    if marks.ndim != 1 or marks.size < 2:
        raise InvalidInput("a pair of days is needed", code="too_short")
    before, after = marks[:-1], marks[1:]
    return TransitionCounts(
        calm_calm=int((~before & ~after).sum()),
        calm_exception=int((~before & after).sum()),
        exception_calm=int((before & ~after).sum()),
        exception_exception=int((before & after).sum()),
    )


def check_coverage(*, exceptions: int, periods: int, tail_probability: float) -> LikelihoodTest:
    """Kupiec's unconditional coverage: is the rate of exceptions the promised one?

    ``-2 ln[(1-p)^(T-x) p^x] + 2 ln[(1-x/T)^(T-x) (x/T)^x]``, one degree of freedom.
    """
    promised = tail_of(tail_probability)
    if not 0 <= exceptions <= periods or periods < 1:
        raise InvalidInput("exceptions lie in 0..periods", code="bad_counts")
    observed = _log_likelihood(exceptions, periods - exceptions, exceptions / periods)
    expected = _log_likelihood(exceptions, periods - exceptions, promised)
    return _likelihood_test(2.0 * (observed - expected), degrees_of_freedom=1)


def check_independence(*, counts: TransitionCounts) -> LikelihoodTest:
    """Christoffersen's independence: is an exception likelier after an exception?

    Likelihood ratio of two rates, one for each kind of yesterday, against one; one degree of
    freedom.
    """
    after_calm = counts.calm_calm + counts.calm_exception
    after_exception = counts.exception_calm + counts.exception_exception
    hits = counts.calm_exception + counts.exception_exception
    misses = counts.calm_calm + counts.exception_calm
    split = _log_likelihood(
        counts.calm_exception, counts.calm_calm, counts.calm_exception / max(after_calm, 1)
    ) + _log_likelihood(
        counts.exception_exception,
        counts.exception_calm,
        counts.exception_exception / max(after_exception, 1),
    )
    joint = _log_likelihood(hits, misses, hits / (hits + misses))
    return _likelihood_test(2.0 * (split - joint), degrees_of_freedom=1)


def check_conditional_coverage(
    *, exceptions: Sequence[bool] | ExceptionArray, tail_probability: float
) -> LikelihoodTest:
    """Kupiec's ratio over all days plus Christoffersen's over the pairs, two degrees of freedom."""
    marks = np.asarray(exceptions, dtype=np.bool_)
    counts = count_transitions(exceptions=marks)
    coverage = check_coverage(
        exceptions=int(marks.sum()), periods=marks.size, tail_probability=tail_probability
    )
    independence = check_independence(counts=counts)
    return _likelihood_test(coverage.statistic + independence.statistic, degrees_of_freedom=2)


def compute_basel_zone(*, exceptions: int, periods: int, tail_probability: float) -> BaselVerdict:
    """Green to 4 exceptions, yellow 5 to 9, red from 10: drawn for 250 days at 99 % alone.

    Raises ``InvalidInput`` (``not_basel_sample``) for any other sample, ``bad_counts``.
    """
    if periods != 250 or not math.isclose(tail_probability, 0.01, rel_tol=1e-9):
        raise InvalidInput("the zones hold for 250 days at 99 % only", code="not_basel_sample")
    if not 0 <= exceptions <= periods:
        raise InvalidInput("exceptions lie in 0..periods", code="bad_counts")
    if exceptions <= 4:
        zone = BaselZone.GREEN
    else:
        zone = BaselZone.YELLOW if exceptions <= 9 else BaselZone.RED
    cumulative = math.fsum(
        math.comb(periods, x) * 0.01**x * 0.99 ** (periods - x) for x in range(exceptions + 1)
    )
    return BaselVerdict(
        zone=zone,
        exceptions=exceptions,
        plus_factor=_BASEL_PLUS[min(exceptions, 10)],
        cumulative_probability=min(cumulative, 1.0),
    )


def check_shortfall(
    *,
    returns: Series,
    values_at_risk: Series,
    expected_shortfalls: Series,
    tail_probability: float,
    simulations: int = 2_000,
    seed: int = 0,
) -> ShortfallTest:
    """Acerbi and Szekely's second test: ``Z2 = 1 + sum over exceptions of r / (T a ES)``.

    Its p-value draws ``simulations`` histories from ``seed`` under the normal law that each day's
    pair of forecasts implies: ``sigma = (ES - VaR) / (phi(z)/a + z)``, ``mu = -VaR - z sigma``.
    Fatter tails push the 5 % point from -0.70 to -0.82 at most (250 days at 2.5 %), so a p-value
    near a threshold deserves :data:`SHORTFALL_CRITICAL_5_PERCENT` beside it.  Raises
    ``InvalidInput``: ``bad_shape``, ``bad_shortfall`` unless ES >= VaR and ES > 0 each day,
    ``bad_paths``.
    """
    tail = tail_of(tail_probability)
    hits = find_exceptions(returns=returns, values_at_risk=values_at_risk)
    values = returns_of(returns)
    limits = np.asarray(values_at_risk, dtype=np.float64)
    shortfalls = np.asarray(expected_shortfalls, dtype=np.float64)
    if shortfalls.shape != values.shape:
        raise InvalidInput("a forecast is needed for each return", code="bad_shape")
    if not (np.isfinite(shortfalls) & (shortfalls >= limits) & (shortfalls > 0.0)).all():
        raise InvalidInput("a shortfall is positive and not below its VaR", code="bad_shortfall")
    if simulations < 1:
        raise InvalidInput("a simulation has a path", code="bad_paths")
    weights = 1.0 / (values.size * tail * shortfalls)
    statistic = 1.0 + float(np.sum(values * hits * weights))
    as_low = _count_as_low(
        limits=limits,
        shortfalls=shortfalls,
        weights=weights,
        tail_probability=tail,
        statistic=statistic,
        simulations=simulations,
        seed=seed,
    )
    return ShortfallTest(
        statistic=statistic,
        exceptions=int(hits.sum()),
        periods=values.size,
        p_value=(1 + as_low) / (1 + simulations),
        simulations=simulations,
    )


def _count_as_low(
    *,
    limits: FloatArray,
    shortfalls: FloatArray,
    weights: FloatArray,
    tail_probability: float,
    statistic: float,
    simulations: int,
    seed: int,
) -> int:
    normal = NormalDist()
    score = normal.inv_cdf(tail_probability)
    sigmas = (shortfalls - limits) / (normal.pdf(score) / tail_probability + score)
    means = -limits - score * sigmas
    generator = np.random.default_rng(seed)
    as_low = 0
    for first in range(0, simulations, HISTORIES_AT_ONCE):
        count = min(HISTORIES_AT_ONCE, simulations - first)
        drawn = means + sigmas * generator.standard_normal((count, limits.size))
        statistics = 1.0 + np.sum(drawn * (-drawn > limits) * weights, axis=1)
        as_low += int(np.count_nonzero(statistics <= statistic))
    return as_low


def _log_likelihood(hits: int, misses: int, rate: float) -> float:
    """ln[(1 - rate)^misses rate^hits] with 0 ln 0 = 0."""
    total = 0.0
    if hits > 0:
        total += hits * math.log(rate)
    if misses > 0:
        total += misses * math.log1p(-rate)
    return total


def _likelihood_test(statistic: float, *, degrees_of_freedom: int) -> LikelihoodTest:
    """The upper tail of chi-square: erfc(sqrt(x/2)) with one degree, exp(-x/2) with two."""
    ratio = max(statistic, 0.0)  # rounding may leave a perfect fit a hair below zero
    p_value = math.erfc(math.sqrt(ratio / 2.0)) if degrees_of_freedom == 1 else math.exp(-ratio / 2)
    return LikelihoodTest(statistic=ratio, degrees_of_freedom=degrees_of_freedom, p_value=p_value)
