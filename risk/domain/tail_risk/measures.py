"""Value at risk and expected shortfall from history and from closed forms.

Returns are signed simple period returns; losses are positive.  Longer horizons: history compounds
overlapping windows; closed forms take independent periods (mean times h, deviation times sqrt(h),
skewness over sqrt(h), excess kurtosis over h).

Sources: Jorion (2006) for the historical and normal forms, Acerbi and Tasche (2002) for expected
shortfall, Cornish and Fisher (1938) with the domain of validity of Maillard (2012).
"""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np

from magnetfund.kernel.errors import InvalidInput
from risk.domain.ratios.series import FloatArray, Series, returns_of
from risk.domain.tail_risk.types import QuantileRule, TailMethod, TailRisk, horizon_of, tail_of

_NORMAL = NormalDist()


def losses_in_tail(
    *, losses: FloatArray, tail_probability: float, quantile_rule: QuantileRule
) -> tuple[float, float]:
    """Value at risk and mean of the losses at or beyond it.

    The quantile is taken of the signed results at ``tail_probability`` and its sign turned.
    Raises ``InvalidInput`` (``too_short``) where the tail holds less than one observation.
    """
    # The slack forgives the rounding of a probability such as 0.01 against 100 observations.
    if losses.size * tail_probability < 1.0 - 1e-9:
        raise InvalidInput("the tail holds less than one observation", code="too_short")
    quantile = np.quantile(-losses, tail_probability, method=quantile_rule.value)
    return -float(quantile), float(np.mean(losses[losses >= -quantile]))


def compute_historical_risk(
    *,
    returns: Series,
    tail_probability: float,
    horizon_periods: int = 1,
    quantile_rule: QuantileRule = QuantileRule.LINEAR,
) -> TailRisk:
    """Empirical quantile of the losses, and the mean of the losses at or beyond it.

    A horizon of h periods uses the n - h + 1 overlapping compounded returns, which are dependent:
    they carry less evidence than their number.  Raises ``InvalidInput``: ``too_short`` with fewer
    than 1 / tail_probability of them, and the codes of the return series.
    """
    tail, horizon = tail_of(tail_probability), horizon_of(horizon_periods)
    values = returns_of(returns, length_min=horizon)
    if horizon > 1:
        windows = np.lib.stride_tricks.sliding_window_view(1.0 + values, horizon)
        values = windows.prod(axis=1) - 1.0
    value, shortfall = losses_in_tail(
        losses=-values, tail_probability=tail, quantile_rule=quantile_rule
    )
    return TailRisk(
        value_at_risk=value,
        expected_shortfall=shortfall,
        method=TailMethod.HISTORICAL,
        tail_probability=tail,
        horizon_periods=horizon,
        quantile_rule=quantile_rule,
        observations=values.size,
    )


def value_normal_tail(
    *, mean: float, deviation: float, tail_probability: float
) -> tuple[float, float]:
    """Value at risk -(mu + z_a sigma) and expected shortfall -mu + sigma phi(z_a) / a."""
    score = _NORMAL.inv_cdf(tail_of(tail_probability))
    if not (math.isfinite(mean) and math.isfinite(deviation) and deviation >= 0.0):
        raise InvalidInput("a mean is finite, a deviation not negative", code="bad_moments")
    return (
        -(mean + score * deviation),
        -mean + deviation * _NORMAL.pdf(score) / tail_probability,
    )


def compute_normal_risk(
    *, returns: Series, tail_probability: float, horizon_periods: int = 1
) -> TailRisk:
    """The normal law with the sample's mean and deviation (ddof 1); needs two returns."""
    tail, horizon = tail_of(tail_probability), horizon_of(horizon_periods)
    values = returns_of(returns, length_min=2)
    value, shortfall = value_normal_tail(
        mean=float(np.mean(values)) * horizon,
        deviation=float(np.std(values, ddof=1)) * math.sqrt(horizon),
        tail_probability=tail,
    )
    return TailRisk(
        value_at_risk=value,
        expected_shortfall=shortfall,
        method=TailMethod.NORMAL,
        tail_probability=tail,
        horizon_periods=horizon,
        quantile_rule=None,
        observations=values.size,
    )


def cornish_fisher_is_monotone(*, skewness: float, excess_kurtosis: float) -> bool:
    """Whether the expansion keeps the order of all quantiles, and so is a distribution at all.

    Its derivative in z is A z^2 + B z + C with A = K/8 - S^2/6, B = S/3, C = 1 - K/8 + 5 S^2/36;
    it must not fall below zero on the whole line (Maillard 2012).  So a sample with less kurtosis
    than the normal law is outside too.
    """
    squared = excess_kurtosis / 8.0 - skewness**2 / 6.0
    linear = skewness / 3.0
    constant = 1.0 - excess_kurtosis / 8.0 + 5.0 * skewness**2 / 36.0
    if squared == 0.0:
        return linear == 0.0 and constant >= 0.0
    return squared > 0.0 and linear**2 <= 4.0 * squared * constant


def value_cornish_fisher_tail(
    *,
    mean: float,
    deviation: float,
    skewness: float,
    excess_kurtosis: float,
    tail_probability: float,
) -> tuple[float, float]:
    """Value at risk and expected shortfall of the expanded quantile, K EXCESS kurtosis.

    ``z' = z + (z^2-1)S/6 + (z^3-3z)K/24 - (2z^3-5z)S^2/36``.  The shortfall integrates z' over the
    tail: with Hermite polynomials, ``-phi(z)/a (1 + zS/6 + (z^2-1)K/24 - (2z^2-1)S^2/36)``.
    Raises ``InvalidInput`` (``cornish_fisher_not_monotone``) outside the domain of validity: use
    filtered historical simulation there.
    """
    if not all(math.isfinite(v) for v in (mean, deviation, skewness, excess_kurtosis)):
        raise InvalidInput("moments are finite", code="bad_moments")
    if deviation < 0.0:
        raise InvalidInput("a deviation is not negative", code="bad_moments")
    if not cornish_fisher_is_monotone(skewness=skewness, excess_kurtosis=excess_kurtosis):
        raise InvalidInput(
            "the expansion is not monotone at these moments; use filtered historical simulation",
            code="cornish_fisher_not_monotone",
            details={"skewness": skewness, "excess_kurtosis": excess_kurtosis},
        )
    z = _NORMAL.inv_cdf(tail_of(tail_probability))
    s, k = skewness, excess_kurtosis
    quantile = z + (z**2 - 1) * s / 6 + (z**3 - 3 * z) * k / 24 - (2 * z**3 - 5 * z) * s**2 / 36
    lift = 1 + z * s / 6 + (z**2 - 1) * k / 24 - (2 * z**2 - 1) * s**2 / 36
    tail_mean = -_NORMAL.pdf(z) / tail_probability * lift
    return -(mean + deviation * quantile), -(mean + deviation * tail_mean)


def compute_cornish_fisher_risk(
    *, returns: Series, tail_probability: float, horizon_periods: int = 1
) -> TailRisk:
    """The expansion at the sample's moments (deviation ddof 1, skewness and kurtosis ddof 0).

    Raises ``InvalidInput``: ``no_variance`` for a constant series, and the codes of
    :func:`value_cornish_fisher_tail`.
    """
    tail, horizon = tail_of(tail_probability), horizon_of(horizon_periods)
    values = returns_of(returns, length_min=4)
    centred = values - np.mean(values)
    spread = float(np.sqrt(np.mean(centred**2)))
    if spread <= 1e-14 * float(np.abs(values).max()):
        raise InvalidInput("a constant series has no shape", code="no_variance")
    value, shortfall = value_cornish_fisher_tail(
        mean=float(np.mean(values)) * horizon,
        deviation=float(np.std(values, ddof=1)) * math.sqrt(horizon),
        skewness=float(np.mean((centred / spread) ** 3)) / math.sqrt(horizon),
        excess_kurtosis=(float(np.mean((centred / spread) ** 4)) - 3.0) / horizon,
        tail_probability=tail,
    )
    return TailRisk(
        value_at_risk=value,
        expected_shortfall=shortfall,
        method=TailMethod.CORNISH_FISHER,
        tail_probability=tail,
        horizon_periods=horizon,
        quantile_rule=None,
        observations=values.size,
    )
