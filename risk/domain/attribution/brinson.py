"""Why a portfolio differed from its benchmark: allocation, selection, interaction; linked in time.

Brinson and Fachler (1985): allocation (wp - wb)(Rb_i - Rb), selection wb (Rp_i - Rb_i), interaction
(wp - wb)(Rp_i - Rb_i); they add to Rp - Rb.  Carino (1999) scales each period's effects so that
they add to the difference of the compounded returns.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from magnetfund.kernel.errors import InvalidInput

_WEIGHT_GAP_MAX = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """One sleeve or sector over one period.  Weights are at the start; returns are simple.

    What one side does not hold has weight 0 there; give it the other side's return, so that no
    selection is made up.
    """

    name: str
    portfolio_weight: float
    benchmark_weight: float
    portfolio_return: float
    benchmark_return: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Effects:
    """What one segment added to the active return."""

    name: str
    allocation: float
    selection: float
    interaction: float

    @property
    def total(self) -> float:
        """Allocation + selection + interaction."""
        return self.allocation + self.selection + self.interaction


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribution:
    """``sum(effect.total) == portfolio_return - benchmark_return`` up to float rounding."""

    portfolio_return: float
    benchmark_return: float
    effects: tuple[Effects, ...]

    @property
    def active_return(self) -> float:
        """Portfolio less benchmark."""
        return self.portfolio_return - self.benchmark_return


def attribute_active_return(*, segments: Sequence[Segment]) -> Attribution:
    """Split one period's active return by segment.

    Raises ``InvalidInput``: ``no_segments``, ``duplicate_segment``, ``not_finite``,
    ``weights_not_one`` unless both sides' weights add to 1 (cash is a segment).
    """
    _require_whole(segments)
    portfolio = math.fsum(row.portfolio_weight * row.portfolio_return for row in segments)
    benchmark = math.fsum(row.benchmark_weight * row.benchmark_return for row in segments)
    effects = []
    for row in segments:
        tilt = row.portfolio_weight - row.benchmark_weight
        skill = row.portfolio_return - row.benchmark_return
        effects.append(
            Effects(
                name=row.name,
                allocation=tilt * (row.benchmark_return - benchmark),
                selection=row.benchmark_weight * skill,
                interaction=tilt * skill,
            )
        )
    return Attribution(
        portfolio_return=portfolio, benchmark_return=benchmark, effects=tuple(effects)
    )


def _require_whole(segments: Sequence[Segment]) -> None:
    if not segments:
        raise InvalidInput("there is no segment", code="no_segments")
    if len({row.name for row in segments}) != len(segments):
        raise InvalidInput("a segment is named twice", code="duplicate_segment")
    for row in segments:
        numbers = (
            row.portfolio_weight,
            row.benchmark_weight,
            row.portfolio_return,
            row.benchmark_return,
        )
        if not all(math.isfinite(number) for number in numbers):
            raise InvalidInput("a weight or return is not finite", code="not_finite")
    for side in ("portfolio_weight", "benchmark_weight"):
        if abs(math.fsum(getattr(row, side) for row in segments) - 1.0) > _WEIGHT_GAP_MAX:
            raise InvalidInput(f"the {side}s do not add to 1", code="weights_not_one")


def link_attributions(*, periods: Sequence[Attribution]) -> Attribution:
    """Attribution of several periods together; a segment may be absent from some.

    Effect = sum_t effect_t k_t / k, k_t = (ln(1 + Rp) - ln(1 + Rb)) / (Rp - Rb), its limit
    1 / (1 + Rp) where both are equal, and k the same of the compounded returns.  Raises
    ``InvalidInput``: ``no_segments``, ``total_loss`` for a return of -100 % or less.
    """
    if not periods:
        raise InvalidInput("there is no period", code="no_segments")
    portfolio = math.prod(1.0 + row.portfolio_return for row in periods) - 1.0
    benchmark = math.prod(1.0 + row.benchmark_return for row in periods) - 1.0
    whole = _link(portfolio, benchmark)
    added: dict[str, list[float]] = {}
    for period in periods:
        scale = _link(period.portfolio_return, period.benchmark_return) / whole
        for effect in period.effects:
            sums = added.setdefault(effect.name, [0.0, 0.0, 0.0])
            sums[0] += effect.allocation * scale
            sums[1] += effect.selection * scale
            sums[2] += effect.interaction * scale
    return Attribution(
        portfolio_return=portfolio,
        benchmark_return=benchmark,
        effects=tuple(
            Effects(name=name, allocation=sums[0], selection=sums[1], interaction=sums[2])
            for name, sums in added.items()
        ),
    )


def _link(portfolio: float, benchmark: float) -> float:
    """Carino's coefficient; log1p keeps it steady where both returns nearly agree."""
    if portfolio <= -1.0 or benchmark <= -1.0:
        raise InvalidInput("a return of -100 % cannot be linked", code="total_loss")
    ratio = (portfolio - benchmark) / (1.0 + benchmark)
    return (math.log1p(ratio) / ratio if ratio else 1.0) / (1.0 + benchmark)
