"""Which instruments count as one for the margin of correlated positions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def group_correlated(
    *, names: Sequence[str], correlations: Mapping[tuple[str, str], float], minimum: float
) -> dict[str, int]:
    """A group number for each name: pairs whose absolute correlation is at least ``minimum``.

    ``correlations`` is keyed by pairs in alphabetical order.  A pair without a figure counts as
    correlated, because what was not measured is not diversification.  Groups join: two names that
    move with a third are one group with it.
    """
    ordered = sorted(set(names))
    group = {name: index for index, name in enumerate(ordered)}
    for place, first in enumerate(ordered):
        for second in ordered[place + 1 :]:
            rho = correlations.get((first, second))
            if rho is None or not abs(rho) < minimum:
                joined, left = group[first], group[second]
                group = {name: joined if g == left else g for name, g in group.items()}
    numbers = {g: n for n, g in enumerate(dict.fromkeys(group[name] for name in ordered))}
    return {name: numbers[g] for name, g in group.items()}
