"""Risk with the volatility of now: exponential weights, and history rescaled by them.

``sigma_t^2 = decay sigma_{t-1}^2 + (1 - decay) r_{t-1}^2``: the volatility of a period is known
before its return, which is never used for its own forecast.  Returns are taken about zero.

Sources: RiskMetrics (1996) with decay 0.94 for daily returns; Hull and White (1998) and
Barone-Adesi, Giannopoulos and Vosper (1999) for filtered historical simulation.
"""

from __future__ import annotations

import math

import numpy as np

from magnetfund.kernel.errors import InvalidInput
from risk.domain.ratios.series import FloatArray, Series, positive_of, returns_of
from risk.domain.tail_risk.measures import losses_in_tail, value_normal_tail
from risk.domain.tail_risk.types import QuantileRule, TailMethod, TailRisk, horizon_of, tail_of

DECAY = 0.94
SEED_PERIODS = 20


def compute_ewma_volatility(
    *,
    returns: Series,
    decay: float = DECAY,
    seed_periods: int = SEED_PERIODS,
    initial_variance: float | None = None,
) -> FloatArray:
    """Volatility per period, shape (n + 1,): entry t is known before return t, the last is next.

    The recursion starts from the mean square of the first ``seed_periods`` returns, before which
    entries are NaN, so no entry sees its own or a later return; or, where it is given, from
    ``initial_variance`` at entry 0.  Raises ``InvalidInput``: ``bad_decay``, ``bad_seed_periods``,
    ``too_short``, ``not_positive``.
    """
    if not 0.0 < decay < 1.0:
        raise InvalidInput("a decay lies between 0 and 1", code="bad_decay")
    if seed_periods < 1:
        raise InvalidInput("the start needs a return", code="bad_seed_periods")
    start = 0 if initial_variance is not None else seed_periods
    values = returns_of(returns, length_min=max(start, 1))
    if initial_variance is not None:
        variance = positive_of(initial_variance, name="the initial variance")
    else:
        variance = float(np.mean(values[:start] ** 2))
    # Plain floats: a step of a recursion through an array costs ten times as much.
    variances = [math.nan] * start + [variance]
    for square in (values[start:] ** 2).tolist():
        variance = decay * variance + (1.0 - decay) * square
        variances.append(variance)
    volatilities: FloatArray = np.sqrt(np.array(variances))
    return volatilities


def compute_ewma_risk(
    *,
    returns: Series,
    tail_probability: float,
    horizon_periods: int = 1,
    decay: float = DECAY,
    seed_periods: int = SEED_PERIODS,
) -> TailRisk:
    """The normal law with mean zero and the volatility forecast for the next period.

    Over h periods the deviation grows by sqrt(h): the forecast variance of this recursion is flat.
    """
    tail, horizon = tail_of(tail_probability), horizon_of(horizon_periods)
    sigmas = compute_ewma_volatility(returns=returns, decay=decay, seed_periods=seed_periods)
    value, shortfall = value_normal_tail(
        mean=0.0, deviation=float(sigmas[-1]) * math.sqrt(horizon), tail_probability=tail
    )
    return TailRisk(
        value_at_risk=value,
        expected_shortfall=shortfall,
        method=TailMethod.EWMA,
        tail_probability=tail,
        horizon_periods=horizon,
        quantile_rule=None,
        observations=sigmas.size - 1,
    )


def compute_filtered_risk(
    *,
    returns: Series,
    tail_probability: float,
    horizon_periods: int = 1,
    quantile_rule: QuantileRule = QuantileRule.LINEAR,
    decay: float = DECAY,
    seed_periods: int = SEED_PERIODS,
    paths: int = 10_000,
    seed: int = 0,
) -> TailRisk:
    """History standardised by the volatility of its day and rescaled to the volatility of now.

    One period needs no draws: the rescaled history is the distribution.  Longer horizons draw the
    standardised returns with replacement, ``paths`` times from ``seed``, let each path's own
    volatility evolve, and compound; a path that loses everything stays at -100 %.  Raises
    ``InvalidInput``: ``no_variance`` where a volatility is zero, ``too_short``, ``bad_paths``.
    """
    tail, horizon = tail_of(tail_probability), horizon_of(horizon_periods)
    if paths < 1:
        raise InvalidInput("a simulation has a path", code="bad_paths")
    values = returns_of(returns, length_min=seed_periods + 1)
    sigmas = compute_ewma_volatility(returns=values, decay=decay, seed_periods=seed_periods)
    if not (sigmas[seed_periods:] > 0.0).all():
        raise InvalidInput("a flat history cannot be standardised", code="no_variance")
    shocks = values[seed_periods:] / sigmas[seed_periods:-1]
    if horizon == 1:
        results = np.maximum(shocks * sigmas[-1], -1.0)
    else:
        results = _simulate(
            shocks=shocks, sigma=float(sigmas[-1]), decay=decay, shape=(horizon, paths), seed=seed
        )
    value, shortfall = losses_in_tail(
        losses=-results, tail_probability=tail, quantile_rule=quantile_rule
    )
    return TailRisk(
        value_at_risk=value,
        expected_shortfall=shortfall,
        method=TailMethod.FILTERED_HISTORICAL,
        tail_probability=tail,
        horizon_periods=horizon,
        quantile_rule=quantile_rule,
        observations=results.size,
    )


def _simulate(
    *, shocks: FloatArray, sigma: float, decay: float, shape: tuple[int, int], seed: int
) -> FloatArray:
    periods, paths = shape
    generator = np.random.default_rng(seed)
    variances = np.full(paths, sigma**2)
    wealth = np.ones(paths)
    for _ in range(periods):
        step = generator.choice(shocks, size=paths) * np.sqrt(variances)
        wealth = wealth * np.maximum(1.0 + step, 0.0)
        variances = decay * variances + (1.0 - decay) * step**2
    return wealth - 1.0
