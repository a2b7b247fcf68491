"""How sure a Sharpe ratio is: PSR, deflated Sharpe, minimum track record; and Kelly.

All Sharpe ratios here are per period, not annual.  Kurtosis is raw (3 for a normal).  Sources:
Bailey and Lopez de Prado (2012, 2014); Kelly (1956), Thorp (2006).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from magnetfund.kernel.errors import InvalidInput
from risk.domain.ratios.measures import compute_sharpe
from risk.domain.ratios.series import Series, positive_of, returns_of

EULER_MASCHERONI = 0.5772156649015329
_NORMAL = NormalDist()


@dataclass(frozen=True, slots=True, kw_only=True)
class SharpeFacts:
    """A per-period Sharpe ratio with what its error depends on."""

    sharpe: float
    periods: int
    skewness: float = 0.0
    kurtosis: float = 3.0

    @property
    def error_scale(self) -> float:
        """1 - g3 SR + (g4 - 1)/4 SR^2; raises ``InvalidInput`` unless positive."""
        value = 1.0 - self.skewness * self.sharpe + (self.kurtosis - 1.0) / 4.0 * self.sharpe**2
        return positive_of(value, name="the variance of the Sharpe ratio")


def compute_sharpe_facts(*, returns: Series) -> SharpeFacts | None:
    """Sharpe, skewness and raw kurtosis (population moments); ``None`` for a constant series."""
    values = returns_of(returns, length_min=2)
    sharpe = compute_sharpe(returns=values)
    if sharpe is None:
        return None
    centred = values - values.mean()
    variance = float(np.mean(centred**2))
    return SharpeFacts(
        sharpe=sharpe,
        periods=values.size,
        skewness=float(np.mean(centred**3)) / variance**1.5,
        kurtosis=float(np.mean(centred**4)) / variance**2,
    )


def compute_probabilistic_sharpe(*, facts: SharpeFacts, benchmark: float = 0.0) -> float:
    """PSR: probability that the true Sharpe exceeds ``benchmark``.

    Phi((SR - SR*) sqrt(T - 1) / sqrt(1 - g3 SR + (g4 - 1)/4 SR^2)).
    """
    if facts.periods < 2:
        raise InvalidInput("at least two periods are needed", code="too_short")
    distance = (facts.sharpe - benchmark) * math.sqrt(facts.periods - 1)
    return _NORMAL.cdf(distance / math.sqrt(facts.error_scale))


def compute_expected_sharpe_max(*, trials: float, trials_variance: float) -> float:
    """SR0: expected best Sharpe of ``trials`` independent tries without any skill.

    sqrt(V) ((1 - e) z(1 - 1/N) + e z(1 - 1/(N exp 1))), e = Euler-Mascheroni; 0 for one trial.
    """
    if not trials >= 1 or not trials_variance >= 0:
        raise InvalidInput("at least one trial and a variance >= 0", code="bad_trials")
    if trials == 1:
        return 0.0
    first = _NORMAL.inv_cdf(1.0 - 1.0 / trials)
    second = _NORMAL.inv_cdf(1.0 - 1.0 / (trials * math.e))
    best = (1.0 - EULER_MASCHERONI) * first + EULER_MASCHERONI * second
    return math.sqrt(trials_variance) * best


def compute_deflated_sharpe(*, facts: SharpeFacts, trials: float, trials_variance: float) -> float:
    """DSR: PSR against the best Sharpe that luck alone would have found in ``trials`` tries."""
    luck = compute_expected_sharpe_max(trials=trials, trials_variance=trials_variance)
    return compute_probabilistic_sharpe(facts=facts, benchmark=luck)


def compute_track_record_min(
    *, facts: SharpeFacts, benchmark: float = 0.0, error_probability: float = 0.05
) -> float:
    """MinTRL in periods: 1 + error scale (z(1 - a) / (SR - SR*))^2; infinite if SR <= SR*."""
    if not 0 < error_probability < 1:
        raise InvalidInput("a probability lies in (0, 1)", code="rate_out_of_range")
    if facts.sharpe <= benchmark:
        return math.inf
    z = _NORMAL.inv_cdf(1.0 - error_probability)
    return 1.0 + facts.error_scale * (z / (facts.sharpe - benchmark)) ** 2


def compute_kelly_binary(*, win_probability: float, payoff: float) -> float:
    """p - (1 - p)/b for a bet that wins b times the stake; negative means do not bet."""
    if not 0 <= win_probability <= 1:
        raise InvalidInput("a probability lies in [0, 1]", code="rate_out_of_range")
    return win_probability - (1.0 - win_probability) / positive_of(payoff, name="payoff")


def compute_kelly_continuous(*, mean: float, rate: float, deviation: float) -> float:
    """(mu - r) / sigma^2: the leverage that maximises growth, before any caution."""
    return (mean - rate) / positive_of(deviation, name="deviation") ** 2


def compute_kelly_shrinkage(*, facts: SharpeFacts) -> float:
    """max(0, 1 - 1/(T SR^2)): what is left of a Kelly fraction that was only estimated."""
    evidence = facts.periods * facts.sharpe**2
    return max(0.0, 1.0 - 1.0 / evidence) if evidence > 0 else 0.0


def compute_fall_probability(*, kelly_multiple: float, fraction: float) -> float:
    """Chance of ever falling to ``fraction`` of the start at c times Kelly: x^(2/c - 1).

    For 0 < c < 2; from 2 on the fall is certain.
    """
    multiple = positive_of(kelly_multiple, name="kelly_multiple")
    if not 0 < fraction < 1:
        raise InvalidInput("the fraction lies in (0, 1)", code="rate_out_of_range")
    return 1.0 if multiple >= 2 else float(fraction ** (2.0 / multiple - 1.0))
