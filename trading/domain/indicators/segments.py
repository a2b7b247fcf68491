"""Indicators over data with holes: warm up anew where the feed was lost for too long."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np

from magnetfund.kernel.errors import InvalidInput
from trading.domain.indicators.rolling import FloatArray


def over_segments(
    *,
    measure: Callable[..., FloatArray],
    restarts: Sequence[int],
    **columns: FloatArray,
) -> FloatArray:
    """``measure(**columns)`` run on each stretch between restarts, joined to one column.

    ``restarts`` are bar positions, rising from 0 (:func:`trading.domain.market.find_restarts`).
    """
    sizes = {column.shape[0] for column in columns.values()}
    if len(sizes) != 1:
        raise InvalidInput("the columns have different lengths", code="bad_shape")
    n = sizes.pop()
    if n == 0:
        return np.empty(0)
    edges = [*restarts, n]
    if edges[0] != 0 or any(a >= b for a, b in pairwise(edges)):
        raise InvalidInput("restarts rise from 0", code="bad_restarts")
    return np.concatenate(
        [
            measure(**{name: column[a:b] for name, column in columns.items()})
            for a, b in pairwise(edges)
        ]
    )
