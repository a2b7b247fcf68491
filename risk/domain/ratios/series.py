"""Validation of return series: one-dimensional, finite, no return below -100 %."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from magnetfund.kernel.errors import InvalidInput

FloatArray = NDArray[np.float64]
Series = FloatArray | Sequence[float]


def returns_of(returns: Series, *, length_min: int = 1) -> FloatArray:
    """Simple period returns as float64, shape (n,).

    Raises ``InvalidInput``: ``bad_shape``, ``too_short``, ``not_finite``,
    ``return_below_minus_one``.
    """
    values = np.asarray(returns, dtype=np.float64)
    if values.ndim != 1:
        raise InvalidInput("returns have one dimension", code="bad_shape")
    if values.size < length_min:
        raise InvalidInput(f"at least {length_min} returns are needed", code="too_short")
    if not np.isfinite(values).all():
        raise InvalidInput("a return is not finite", code="not_finite")
    if (values < -1.0).any():
        raise InvalidInput("a return lies below -100 %", code="return_below_minus_one")
    return values


def positive_of(value: float, *, name: str) -> float:
    """A finite number above zero; raises ``InvalidInput`` (``not_positive``)."""
    if not (np.isfinite(value) and value > 0):
        raise InvalidInput(f"{name} must be positive", code="not_positive")
    return value
