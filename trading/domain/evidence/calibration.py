"""The calibrated strength, shown beside the descriptive one.

``S_cal = 100 * clip(2 (p - 1/2), 0, 1)`` with p the chance that a target of strength S is reached
before its mirror point, from an isotonic fit (pool adjacent violators) to earlier races only: a
race counts once its outcome is known, so the fit at t never sees what came after t.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from magnetfund.kernel.errors import InvalidInput
from trading.domain.evidence.types import EvidenceParameters
from trading.domain.magnets.types import FloatArray, MagnetSignals
from trading.domain.market.candles import HOUR_MS, Candles

DEFAULT_RACES = EvidenceParameters()


@dataclass(frozen=True, slots=True, kw_only=True)
class StrengthCalibration:
    """A non-decreasing step function from S (0..100) to the chance of "level first"."""

    strengths: FloatArray  # upper end of each step, increasing
    chances: FloatArray
    counts: FloatArray  # races in each step
    races: int

    def calibrate(self, strength: float) -> float:
        """S_cal of a descriptive strength, 0..100; 0 when nothing was fitted."""
        if not self.races or not np.isfinite(strength):
            return 0.0
        step = min(int(np.searchsorted(self.strengths, strength)), self.chances.size - 1)
        return float(100.0 * np.clip(2.0 * (self.chances[step] - 0.5), 0.0, 1.0))


def fit_strength_calibration(
    *,
    strengths: NDArray[np.float64],
    level_first: NDArray[np.bool_],
    decided_at: NDArray[np.int64],
    at: int,
) -> StrengthCalibration:
    """Fit on the races decided by ``at`` (ms).  Columns have shape (n,); S in 0..100.

    Raises :class:`InvalidInput` on unequal shapes or strengths outside 0..100.
    """
    if not strengths.shape == level_first.shape == decided_at.shape or strengths.ndim != 1:
        raise InvalidInput("races need equal columns", code="calibration_shape")
    if not ((strengths >= 0) & (strengths <= 100)).all():
        raise InvalidInput("strengths lie in 0..100", code="calibration_input")
    seen = decided_at <= at
    order = np.argsort(strengths[seen], kind="stable")
    ordered = strengths[seen][order]
    ends, starts = np.unique(ordered, return_index=True)
    if not ends.size:
        return StrengthCalibration(
            strengths=np.zeros(0), chances=np.zeros(0), counts=np.zeros(0), races=0
        )
    wins = np.add.reduceat(level_first[seen][order].astype(np.float64), starts)
    counts = np.diff(np.append(starts, ordered.size)).astype(np.float64)
    pools: list[list[float]] = []  # wins, races, upper end
    for won, raced, end in zip(wins, counts, ends, strict=True):
        pools.append([float(won), float(raced), float(end)])
        while len(pools) > 1 and pools[-2][0] * pools[-1][1] >= pools[-1][0] * pools[-2][1]:
            last = pools.pop()
            pools[-1] = [pools[-1][0] + last[0], pools[-1][1] + last[1], last[2]]
    return StrengthCalibration(
        strengths=np.array([pool[2] for pool in pools]),
        chances=np.array([pool[0] / pool[1] for pool in pools]),
        counts=np.array([pool[1] for pool in pools]),
        races=int(counts.sum()),
    )


def calibrate_targets(
    *,
    candles: Candles,
    signals: MagnetSignals,
    first_at: int,
    last_at: int,
    parameters: EvidenceParameters = DEFAULT_RACES,
) -> StrengthCalibration:
    """Race the target of each direction against its mirror point, and fit the strength to it.

    ``signals`` are the readings of the hourly ``candles``, row for row.  Decisions fall as in the
    evidence test, on bars that close in ``[first_at, last_at]`` (ms); a race counts once its
    horizon was over by the last candle.
    """
    from trading.domain.evidence.outcomes import LEVEL_FIRST, race_levels

    known_at = signals.known_at
    usable = np.isfinite(signals.atr) & (signals.atr > 0)
    usable &= (known_at // HOUR_MS) % parameters.decide_every == 0
    usable &= (known_at >= first_at) & (known_at <= last_at)
    rows = np.flatnonzero(usable).astype(np.int64)
    outcome = race_levels(
        high=candles.high,
        low=candles.low,
        decisions=rows,
        price=candles.close[rows],
        level=signals.target_price[rows],
        parameters=parameters,
    )
    raced = outcome <= LEVEL_FIRST
    over_at = known_at[rows] + parameters.horizon_bars * HOUR_MS
    return fit_strength_calibration(
        strengths=signals.target_strength[rows][raced],
        level_first=outcome[raced] == LEVEL_FIRST,
        decided_at=np.broadcast_to(over_at[:, None], raced.shape)[raced],
        at=int(known_at[-1]),
    )
