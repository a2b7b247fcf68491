"""Block bootstrap of a mean, and Holm's correction for many tests.

Decisions overlap in time, so whole blocks of bars are drawn together: the standard error of a
share from 8,000 overlapping decisions is far above ``sqrt(p(1-p)/n)``.  Source: Kuensch 1989 for
blocks; Holm 1979 for the step-down correction.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from magnetfund.kernel.errors import InvalidInput
from trading.domain.evidence.types import Estimate

_NAN = float("nan")


def estimate_mean(
    *,
    values: NDArray[np.float64],
    blocks: NDArray[np.int64],
    null: float,
    resamples: int,
    seed: int,
) -> Estimate:
    """The mean of ``values`` with a standard error from whole blocks drawn with replacement.

    ``values`` and ``blocks`` have shape (n,); ``blocks`` numbers the time block of each value.
    ``low`` and ``high`` bound the central 95 %.  Fewer than two blocks give NaN for the error.
    Raises :class:`InvalidInput` on unequal shapes or non-finite values.
    """
    if values.shape != blocks.shape or values.ndim != 1 or not np.isfinite(values).all():
        raise InvalidInput("values and blocks must be equal columns", code="bootstrap_input")
    if values.size == 0:
        return Estimate(n=0, value=_NAN, standard_error=_NAN, z=_NAN, low=_NAN, high=_NAN)
    _, inverse = np.unique(blocks, return_inverse=True)
    count = np.bincount(inverse).astype(np.float64)
    total = np.bincount(inverse, weights=values)
    mean = float(total.sum() / count.sum())
    if count.size < 2:
        return Estimate(n=values.size, value=mean, standard_error=_NAN, z=_NAN, low=_NAN, high=_NAN)
    generator = np.random.default_rng(seed)
    means = np.empty(resamples)
    for start in range(0, resamples, 500):
        stop = min(resamples, start + 500)
        drawn = generator.integers(0, count.size, size=(stop - start, count.size))
        means[start:stop] = total[drawn].sum(axis=1) / count[drawn].sum(axis=1)
    error = float(means.std(ddof=1))
    low, high = np.percentile(means, [2.5, 97.5])
    return Estimate(
        n=values.size,
        value=mean,
        standard_error=error,
        z=(mean - null) / error if error > 0 else _NAN,
        low=float(low),
        high=float(high),
    )


def two_sided_p(z: float) -> float:
    """The two-sided normal p-value of ``z``; 1 where z is not known."""
    return math.erfc(abs(z) / math.sqrt(2.0)) if math.isfinite(z) else 1.0


def adjust_holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """Holm's adjusted p-values in the order given; compare each with the level of the family.

    Give every test that was tried, also the abandoned ones.  Raises :class:`InvalidInput` for a
    value outside [0, 1].
    """
    if not all(0.0 <= p <= 1.0 for p in p_values):
        raise InvalidInput("p-values lie in [0, 1]", code="p_value")
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = largest
    return tuple(adjusted)
