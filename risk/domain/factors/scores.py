"""From raw factors of a cross-section to one score in 0..100 for each name.

Each factor is winsorised over all names, standardised within its sector, clipped at three and
averaged by weight; the average is standardised again over all names and read through the normal
law, so 50 is the middle of the cross-section.  Values are those known at the moment of scoring:
point-in-time data is the caller's duty.

Invariants: scores lie in 0..100; a positive affine change of a factor changes nothing, and turning
its sign together with ``higher_is_better`` changes nothing either; a missing factor reduces the
weight that a name was scored on, is never filled in, and is disclosed.

Sources: Grinold and Kahn (2000) for standardised, sector-neutral scores; Tukey (1962) for
winsorising.
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

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

SECTOR_SIZE_MIN = 5
Z_MAX = 3.0
#: A spread this small against the size of the values is rounding of a constant group.
_FLAT = 1e-12


class Winsor(StrEnum):
    """Where outliers are drawn in: quantiles 1 and 99 % (linear), or median +- 3 MAD.

    MAD is the median absolute deviation as it stands, not scaled to a normal deviation.  Where it
    is zero, because most values are equal, nothing is drawn in.
    """

    QUANTILES = "quantiles"
    MEDIAN_DEVIATIONS = "median_deviations"


@dataclass(frozen=True, slots=True, kw_only=True)
class Factor:
    """One measure of all names: ``values[i]`` is that of name i, None or NaN where missing."""

    name: str
    values: tuple[float | None, ...]
    weight: float = 1.0
    higher_is_better: bool = True

    def __post_init__(self) -> None:
        if not (math.isfinite(self.weight) and self.weight > 0.0):
            raise InvalidInput("a weight is positive", code="bad_weight")
        if any(value is not None and math.isinf(value) for value in self.values):
            raise InvalidInput("a factor is finite or missing", code="not_finite")


@dataclass(frozen=True, slots=True, kw_only=True)
class FactorScore:
    """A name's score.

    ``score`` is 0..100 and ``composite`` the standardised average behind it, both None for a name
    without any factor.  ``weight_share`` is the part of all weight that it was scored on and
    ``missing`` names the factors that it lacks; ``pooled`` names those on which its sector was too
    small to stand alone.
    """

    name: str
    score: float | None
    composite: float | None
    weight_share: float
    missing: tuple[str, ...]
    pooled: tuple[str, ...]


def standardise_factor(
    *,
    values: Sequence[float | None],
    sectors: Sequence[str],
    winsor: Winsor = Winsor.QUANTILES,
) -> tuple[FloatArray, BoolArray]:
    """Sector-neutral z of one factor, within +-3, and which names were pooled; shapes (n,).

    NaN where a value is missing.  A sector with fewer than five values is pooled with the other
    small ones; a pool that is still smaller than five is measured against all names.  Deviations
    have ddof 1; a group without spread has z = 0.
    """
    raw = np.array([math.nan if value is None else value for value in values], dtype=np.float64)
    if raw.size != len(sectors):
        raise InvalidInput("a sector is needed for each name", code="bad_shape")
    present = ~np.isnan(raw)
    scores: FloatArray = np.full(raw.size, np.nan)
    pooled: BoolArray = np.zeros(raw.size, dtype=np.bool_)
    if not present.any():
        return scores, pooled
    drawn = _winsorise(raw, present, winsor)
    labels = np.asarray(sectors, dtype=np.str_)
    for label in np.unique(labels[present]):
        group = present & (labels == label)
        if group.sum() >= SECTOR_SIZE_MIN:
            scores[group] = _standardise(drawn[group], drawn[group])
        else:
            pooled |= group
    if pooled.any():
        against = pooled if pooled.sum() >= SECTOR_SIZE_MIN else present
        scores[pooled] = _standardise(drawn[pooled], drawn[against])
    return np.clip(scores, -Z_MAX, Z_MAX), pooled


def compute_factor_scores(
    *,
    names: Sequence[str],
    sectors: Sequence[str],
    factors: Sequence[Factor],
    winsor: Winsor = Winsor.QUANTILES,
) -> tuple[FactorScore, ...]:
    """A score for each name, in their order: ``100 Phi(z)`` of the re-standardised weighted mean.

    A cross-section without spread scores 50.  Raises ``InvalidInput``: ``no_factors``,
    ``bad_shape``, ``name_twice`` for names or factors, ``not_finite``, ``bad_weight``.
    """
    _check_panel(names=names, sectors=sectors, factors=factors)
    columns, pools = [], []
    for factor in factors:
        scores, pooled = standardise_factor(values=factor.values, sectors=sectors, winsor=winsor)
        columns.append(scores if factor.higher_is_better else -scores)
        pools.append(pooled)
    table = np.column_stack(columns)
    present = ~np.isnan(table)
    weights = np.array([factor.weight for factor in factors])
    held = present @ weights
    scored = held > 0.0
    composite: FloatArray = np.full(len(names), np.nan)
    means = (np.where(present, table, 0.0) @ weights)[scored] / held[scored]
    composite[scored] = _standardise(means, means)
    normal = NormalDist()
    return tuple(
        FactorScore(
            name=name,
            score=100.0 * normal.cdf(float(composite[at])) if scored[at] else None,
            composite=float(composite[at]) if scored[at] else None,
            weight_share=min(1.0, float(held[at] / weights.sum())),
            missing=tuple(
                factor.name for factor, has in zip(factors, present[at], strict=True) if not has
            ),
            pooled=tuple(
                factor.name for factor, pool in zip(factors, pools, strict=True) if pool[at]
            ),
        )
        for at, name in enumerate(names)
    )


def assign_quantiles(*, scores: Sequence[FactorScore], count: int) -> tuple[int | None, ...]:
    """The quantile of each name among those with a score, 1 for the best of ``count``.

    Names are spread as evenly as their number allows, equal scores by name; None without a score.
    Raises ``InvalidInput`` (``bad_count``).
    """
    if count < 1:
        raise InvalidInput("there is at least one quantile", code="bad_count")
    scored = [item for item in scores if item.composite is not None]
    ranked = sorted(scored, key=lambda item: (-(item.composite or 0.0), item.name))
    found = {item.name: rank * count // len(ranked) + 1 for rank, item in enumerate(ranked)}
    return tuple(found.get(item.name) for item in scores)


def _check_panel(
    *, names: Sequence[str], sectors: Sequence[str], factors: Sequence[Factor]
) -> None:
    if not factors:
        raise InvalidInput("a score needs a factor", code="no_factors")
    if not names or any(
        len(column) != len(names) for column in (sectors, *(factor.values for factor in factors))
    ):
        raise InvalidInput("each name has a sector and a place in each factor", code="bad_shape")
    if len(set(names)) != len(names) or len({factor.name for factor in factors}) != len(factors):
        raise InvalidInput("names and factors come once", code="name_twice")


def _winsorise(raw: FloatArray, present: BoolArray, winsor: Winsor) -> FloatArray:
    values = raw[present]
    if winsor is Winsor.QUANTILES:
        low, high = np.quantile(values, [0.01, 0.99])
    else:
        middle = np.median(values)
        reach = 3.0 * np.median(np.abs(values - middle))
        if reach == 0.0:
            return raw
        low, high = middle - reach, middle + reach
    drawn: FloatArray = np.clip(raw, low, high)
    return drawn


def _standardise(values: FloatArray, against: FloatArray) -> FloatArray:
    """(value - mean) / deviation of a group; zeros where the group has no spread."""
    if against.size < 2:
        return np.zeros_like(values)
    spread = float(np.std(against, ddof=1))
    if spread <= _FLAT * float(np.abs(against).max()):
        return np.zeros_like(values)
    scores: FloatArray = (values - np.mean(against)) / spread
    return scores
