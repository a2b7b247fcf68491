"""Sliding sums and windows, without look-ahead and without cancellation.

A sliding sum by differences of one long cumulative sum loses digits when the scale of the series
changes.  Here a window is the tail of one block plus the head of the next (van Herk's scheme), so
only numbers inside the window are ever added.  Row i depends on values up to i alone.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from magnetfund.kernel.errors import InvalidInput

FloatArray = NDArray[np.float64]
_CHUNK_CELLS = 2_000_000


def series(values: FloatArray, name: str = "the series") -> FloatArray:
    """A contiguous float64 column; raises :class:`InvalidInput` for another shape or NaN, inf."""
    column = np.ascontiguousarray(values, dtype=np.float64)
    if column.ndim != 1:
        raise InvalidInput(f"{name} must have one dimension", code="bad_shape")
    if not np.isfinite(column).all():
        raise InvalidInput(f"{name} holds a value that is not finite", code="not_finite")
    return column


def require_length(length: int, least: int = 1) -> int:
    """A window length; raises :class:`InvalidInput` below ``least``."""
    if isinstance(length, bool) or not isinstance(length, int) or length < least:
        raise InvalidInput(f"a window is a whole number >= {least}", code="bad_window")
    return length


def sliding_sum(values: FloatArray, length: int) -> FloatArray:
    """Sums of the last ``length`` values, NaN before index ``length - 1``."""
    n = values.size
    out = np.full(n, np.nan)
    if n < length:
        return out
    blocks = -(-n // length)
    padded = np.zeros((blocks, length))
    padded.reshape(-1)[:n] = values
    heads = np.cumsum(padded, axis=1)
    tails = np.cumsum(padded[:, ::-1], axis=1)[:, ::-1]
    # The window that ends at position k of a block begins at position k + 1 of the block before.
    sums = heads.copy()
    sums[1:, :-1] += tails[:-1, 1:]
    out[length - 1 :] = sums.reshape(-1)[length - 1 : n]
    return out


def over_windows(
    values: FloatArray, length: int, measure: Callable[[FloatArray], FloatArray]
) -> FloatArray:
    """``measure`` of each window: it takes (m, length) and gives (m,); NaN before the first."""
    n = values.size
    out = np.full(n, np.nan)
    if n < length:
        return out
    windows = np.lib.stride_tricks.sliding_window_view(values, length)
    step = max(1, _CHUNK_CELLS // length)
    for start in range(0, windows.shape[0], step):
        part = windows[start : start + step]
        out[length - 1 + start : length - 1 + start + part.shape[0]] = measure(part)
    return out
