"""The variants of a sweep: which values to try, and the number of each variant in the grid."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from magnetfund.kernel.errors import InvalidInput
from trading.domain.research.parameters import parameters_of, read_parameters
from trading.domain.research.request import BacktestRequest

VARIANTS_MAX = 20_000
SEARCHES = ("grid", "tpe")
#: Variants of a grid of which a draw or a search tries some.
GRID_MAX = 10**15


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepSpace:
    """Values to try by parameter.  ``count`` 0 is the whole grid, else that many drawn by seed.

    ``search`` is ``grid``, or ``tpe``: ``count`` variants that a search chooses by ``objectives``.
    """

    values: Mapping[str, tuple[Any, ...]]
    count: int = 0
    seed: int = 1
    search: str = "grid"
    objectives: tuple[str, ...] = ("sharpe",)

    @property
    def size(self) -> int:
        """Variants of the whole grid."""
        return math.prod(len(values) for values in self.values.values())

    @property
    def tried(self) -> int:
        """Variants that are tried, at most."""
        return min(self.count, self.size) if self.count else self.size

    def at(self, index: int) -> dict[str, Any]:
        """The parameters of one variant of the grid; the last parameter moves fastest."""
        found: list[tuple[str, Any]] = []
        for name in reversed(list(self.values)):
            index, place = divmod(index, len(self.values[name]))
            found.append((name, self.values[name][place]))
        return dict(reversed(found))


def read_space(
    builder: Any,
    texts: Mapping[str, str],
    *,
    count: int = 0,
    seed: int = 1,
    search: str = "grid",
    objectives: tuple[str, ...] = ("sharpe",),
) -> SweepSpace:
    """A space from texts such as ``10,20,50`` or ``10:100:10`` (both ends counted).

    Raises :class:`InvalidInput`: codes of the parameters, ``bad_space``, ``bad_search``,
    ``sweep_too_large``.
    """
    if not texts:
        raise InvalidInput("name a parameter to sweep, for example fast=10:50:10", code="bad_space")
    lists = {item.name for item in parameters_of(builder) if item.kind == "list"}
    values: dict[str, tuple[Any, ...]] = {}
    for name, text in texts.items():
        parts = text.split(";") if name in lists else _expand(text)
        read = (read_parameters(builder, {name: part})[name] for part in parts)
        values[name] = tuple(dict.fromkeys(read))  # 20 and 20.0 are one variant
        if not values[name]:
            raise InvalidInput(f"name the values of {name} to try", code="bad_space")
    if search not in SEARCHES:
        raise InvalidInput(f"a sweep searches by {' or '.join(SEARCHES)}", code="bad_search")
    if search == "tpe" and not count:
        raise InvalidInput("say how many variants the search may try", code="bad_search")
    space = SweepSpace(values=values, count=count, seed=seed, search=search, objectives=objectives)
    if space.tried > VARIANTS_MAX or space.size > GRID_MAX:
        raise InvalidInput(
            f"{space.tried:,} variants; at most {VARIANTS_MAX:,} in one sweep",
            code="sweep_too_large",
        )
    return space


def _expand(text: str) -> list[str]:
    if ":" not in text:
        return [part for part in text.split(",") if part.strip()]
    try:
        low, high, step = (float(part) for part in text.split(":"))
    except ValueError:
        raise InvalidInput(f"{text} is not a range low:high:step", code="bad_space") from None
    if not (step > 0 and high >= low and (high - low) / step <= VARIANTS_MAX):
        raise InvalidInput(f"{text} is not a range low:high:step", code="bad_space")
    return [f"{low + k * step:.10g}" for k in range(math.floor((high - low) / step + 1e-9) + 1)]


def list_places(space: SweepSpace) -> list[int]:
    """The numbers of the variants to try: the whole grid, or a seeded draw without repeats."""
    if space.tried == space.size:
        return list(range(space.size))
    rng = np.random.default_rng(space.seed)
    drawn: list[int] = rng.choice(space.size, size=space.tried, replace=False).tolist()
    return sorted(drawn)


def check_sweepable(request: BacktestRequest) -> None:
    """Raise :class:`InvalidInput` for what a sweep cannot vary or execute."""
    if len(request.sleeves) != 1:
        raise InvalidInput("a sweep varies one strategy", code="one_sleeve")
    if request.resolution is not None:
        raise InvalidInput(
            "a sweep executes on the strategy's own candles; run the variants that matter as "
            f"backtests with --resolution {request.resolution}",
            code="resolution_not_swept",
        )
