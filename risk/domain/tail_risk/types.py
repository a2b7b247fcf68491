"""What a tail figure says about itself: value, method, tail, horizon and quantile rule.

Signs: returns come in signed, losses go out positive; a negative value at risk is a gain that even
the tail keeps.  Invariant: the expected shortfall is never below the value at risk.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from magnetfund.kernel.errors import InvalidInput


class TailMethod(StrEnum):
    """How the loss distribution was obtained."""

    HISTORICAL = "historical"
    NORMAL = "normal"
    CORNISH_FISHER = "cornish_fisher"
    EWMA = "ewma"
    FILTERED_HISTORICAL = "filtered_historical"


class QuantileRule(StrEnum):
    """Which empirical quantile: numpy's names, types 7 and 1 of Hyndman and Fan (1996)."""

    LINEAR = "linear"
    INVERTED_CDF = "inverted_cdf"


@dataclass(frozen=True, slots=True, kw_only=True)
class TailRisk:
    """Losses as fractions of the value held, over ``horizon_periods``.

    ``quantile_rule`` is None for a law given by a formula.  ``observations`` is the count of
    losses, or of simulated ones, that the figures rest on.
    """

    value_at_risk: float
    expected_shortfall: float
    method: TailMethod
    tail_probability: float
    horizon_periods: int
    quantile_rule: QuantileRule | None
    observations: int

    @property
    def metric_id(self) -> str:
        """Names the measure: two figures compare only where these are equal."""
        rule = "formula" if self.quantile_rule is None else self.quantile_rule.value
        return f"{self.method.value}:{self.tail_probability:g}:{self.horizon_periods}:{rule}"


def tail_of(tail_probability: float) -> float:
    """A tail probability in (0, 0.5); raises ``InvalidInput`` (``bad_tail_probability``)."""
    if not 0.0 < tail_probability < 0.5:
        raise InvalidInput("a tail lies strictly between 0 and 0.5", code="bad_tail_probability")
    return tail_probability


def horizon_of(horizon_periods: int) -> int:
    """A whole number of periods >= 1; raises ``InvalidInput`` (``bad_horizon``)."""
    if horizon_periods < 1 or horizon_periods != int(horizon_periods):
        raise InvalidInput("a horizon is one period or more", code="bad_horizon")
    return int(horizon_periods)
