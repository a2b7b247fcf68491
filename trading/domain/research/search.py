"""A search that learns: which variants to try next, from those that were tried.

The tree-structured Parzen estimator of Bergstra, Bardenet, Bengio and Kegl (2011), for several
objectives as Ozaki et al. (2022), from the library optuna.  It is asked for a whole generation at
once from nothing but the finished generations and a seed, so a search is the same on one worker or
ten, and after a killed one.  What it learns from is seen days alone.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from magnetfund.kernel.errors import InvalidInput
from trading.domain.research.space import SweepSpace
from trading.domain.research.tried import Variant

#: Variants of a generation: a tenth of the search, between these, in whole chunks.
GENERATION_MIN, GENERATION_MAX, CHUNK = 8, 64, 8
#: A place that was tried before is asked for again, so often on average, before chance decides.
ASKED_AGAIN = 4
OBJECTIVES: Mapping[str, Callable[[Variant], float]] = {
    "sharpe": lambda variant: variant.seen,
    "return": lambda variant: variant.seen_return,
    "drawdown": lambda variant: variant.seen_fall,
}
"""What a search raises, by name; a drawdown is at most 0, so the smallest fall is the largest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """Finished generations in order: numbers of variants, and the objectives of those that ran.

    ``values`` has a row for each of ``places``; a variant that could not be built has NaN.
    """

    places: tuple[int, ...] = ()
    values: tuple[tuple[float, ...], ...] = ()


def read_objectives(names: Sequence[str]) -> tuple[str, ...]:
    """Checked names of objectives; raises :class:`InvalidInput` (``unknown_objective``)."""
    found = tuple(dict.fromkeys(names)) or ("sharpe",)
    for name in found:
        if name not in OBJECTIVES:
            raise InvalidInput(
                f"{name} is no objective; there are {', '.join(OBJECTIVES)}",
                code="unknown_objective",
            )
    return found


def size_generation(count: int) -> int:
    """How many variants are tried before the search learns from them."""
    size = min(max(count // 10, GENERATION_MIN), GENERATION_MAX)
    return size // CHUNK * CHUNK


def suggest_places(
    *, space: SweepSpace, history: History, count: int, seed: Sequence[int]
) -> list[int]:
    """The numbers of ``count`` variants to try next, none of them tried before.

    The first generation is drawn by chance.  ``count`` is at most what is left of the grid.
    """
    rng = np.random.default_rng(list(seed))
    known = set(history.places)
    found = [] if not known else _ask(space, history, count, int(rng.integers(2**31)), known)
    while len(found) < count:
        place = int(rng.integers(space.size))
        if len(known) * 2 > space.size:
            free = np.setdiff1d(np.arange(space.size), np.fromiter(known, dtype=np.int64))
            place = int(rng.choice(free))
        if place not in known:
            known.add(place)
            found.append(place)
    return found


def _ask(space: SweepSpace, history: History, count: int, seed: int, known: set[int]) -> list[int]:
    """Ask the estimator; ``known`` grows by what it gives."""
    import optuna  # only a search pays for loading it

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    shapes = {name: _shape(values) for name, values in space.values.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler = optuna.samplers.TPESampler(
            seed=seed, multivariate=True, constant_liar=True, n_startup_trials=1
        )
        study = optuna.create_study(
            directions=["maximize"] * len(space.objectives), sampler=sampler
        )
        study.add_trials(
            [
                optuna.trial.create_trial(
                    params=_split(space, place), distributions=dict(shapes), values=list(values)
                )
                for place, values in zip(history.places, history.values, strict=True)
                if np.isfinite(values).all()
            ]
        )
        found: list[int] = []
        for _ in range(ASKED_AGAIN * count):
            if len(found) == count:
                break
            trial = study.ask(dict(shapes))
            place = _join(space, trial.params)
            if place in known:
                study.tell(trial, state=optuna.trial.TrialState.FAIL)
            else:
                known.add(place)
                found.append(place)
    return found


def _shape(values: Sequence[Any]) -> Any:
    """Numbers keep their order as steps; everything else is a choice."""
    import optuna

    is_number = all(type(value) in (int, float) for value in values)
    if is_number and list(values) == sorted(values):
        return optuna.distributions.IntDistribution(0, len(values) - 1)
    return optuna.distributions.CategoricalDistribution(list(range(len(values))))


def _split(space: SweepSpace, place: int) -> dict[str, int]:
    steps: dict[str, int] = {}
    for name in reversed(list(space.values)):
        place, steps[name] = divmod(place, len(space.values[name]))
    return steps


def _join(space: SweepSpace, steps: Mapping[str, int]) -> int:
    place = 0
    for name, values in space.values.items():
        place = place * len(values) + int(steps[name])
    return place


def find_front(values: NDArray[np.float64]) -> list[int]:
    """Rows that no other row beats in every objective (Pareto), best in the first one first."""
    front = [
        row
        for row in range(values.shape[0])
        if not ((values >= values[row]).all(axis=1) & (values > values[row]).any(axis=1)).any()
    ]
    return sorted(front, key=lambda row: -values[row, 0])
