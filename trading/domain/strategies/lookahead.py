"""The look-ahead detector of strategies: signals from data up to t against full data read at t.

The law: for every t, the rows 0..t of the signals made from bars 0..t equal those rows of the
signals made from all bars, field for field.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields

import numpy as np

from magnetfund.kernel.errors import InvalidInput
from trading.domain.market.candles import Candles
from trading.domain.strategies.signals import Signals


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalDifference:
    """A row of a column that bars after ``index`` changed."""

    index: int
    column: str
    row: int


def find_signal_differences(
    *, candles: Candles, indices: Iterable[int], compute: Callable[[Candles], Signals]
) -> tuple[SignalDifference, ...]:
    """The first differing row of every column at each bar of ``indices``; empty is the law.

    Raises :class:`InvalidInput` for an index outside the candles.
    """
    full = compute(candles)
    found: list[SignalDifference] = []
    for index in indices:
        if not 0 <= index < len(candles):
            raise InvalidInput("no such bar", code="bar_index", details={"index": index})
        part = compute(candles.between(0, index + 1))
        for item in fields(Signals):
            mine, theirs = getattr(part, item.name), getattr(full, item.name)[: index + 1]
            same = mine == theirs
            if mine.dtype.kind == "f":
                same |= np.isnan(mine) & np.isnan(theirs)
            wrong = np.flatnonzero(~same)
            if wrong.size:
                found.append(SignalDifference(index=index, column=item.name, row=int(wrong[0])))
    return tuple(found)
