"""The bands in which the readings of a market should lie, and the alarm when they do not.

Shares are fractions of the bars given.  The better direction of a bar is the one of the lower
conflict among those with a usable reading.  The bands come from the calibration (hourly BTC to
2021); live shares of 90 days that leave a band by more than a factor of two raise an alarm.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from magnetfund.kernel.errors import InvalidInput
from risk.domain.leverage import leverage_core, tier_core
from trading.domain.magnets.types import (
    LONG,
    SHORT,
    FloatArray,
    IntArray,
    MagnetSignals,
    ReadingReason,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class GradedReadings:
    """Per bar and direction (n, 2): raw and clamped leverage by the formula, tension, tier.

    A direction without a usable reading is tier 4 at 1.0x, its raw NaN.
    """

    raw: FloatArray
    leverage: FloatArray
    high_tension: NDArray[np.bool_]
    tier: IntArray


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectionShares:
    """Distribution of one direction's readings: quantiles (5, 50, 95 %) and shares of bars."""

    distance: tuple[float, float, float]
    strength: tuple[float, float, float]
    conflict: tuple[float, float, float]
    raw: tuple[float, float, float]
    leverage_bins: tuple[float, float, float, float, float]  # 1, ..1.5, ..2, ..2.5, above
    high_tension: float
    tiers: tuple[float, float, float, float]

    @property
    def leverage_above_one(self) -> float:
        """Share of bars whose leverage by the formula is above 1.0x."""
        return sum(self.leverage_bins[1:])


@dataclass(frozen=True, slots=True, kw_only=True)
class MagnetBands:
    """The distribution of a stretch of bars; ``bars`` without the warm-up."""

    bars: int
    better: DirectionShares
    long: DirectionShares
    short: DirectionShares
    volatility_ratio: tuple[float, float, float, float, float]  # 5, 25, 50, 75, 95 %
    unmapped: tuple[float, float]
    no_target: tuple[float, float]


CALIBRATED_BANDS: dict[str, tuple[float, float]] = {
    "leverage_above_one": (0.15, 0.35),
    "high_tension": (0.005, 0.025),
    "tier_1": (0.01, 0.05),
    "tier_2": (0.05, 0.15),
    "tier_3": (0.15, 0.35),
}


def grade_readings(*, signals: MagnetSignals) -> GradedReadings:
    """Tier and formula leverage of every bar and direction (no caps)."""
    shape = signals.conflict.shape
    raw, leverage = np.full(shape, np.nan), np.ones(shape)
    tension = np.zeros(shape, dtype=np.bool_)
    tier = np.full(shape, 4, dtype=np.int64)
    usable = (signals.reason == ReadingReason.OK) & np.isfinite(signals.volatility_ratio)[:, None]
    for i, side in zip(*np.nonzero(usable), strict=True):
        strength = float(signals.target_strength[i, side])
        conflict = float(signals.conflict[i, side])
        raw[i, side], leverage[i, side], tension[i, side] = leverage_core(
            float(signals.distance[i, side]),
            strength,
            conflict,
            float(signals.volatility_pressure[i]),
        )
        tier[i, side] = tier_core(strength, conflict, float(signals.volatility_ratio[i]))
    return GradedReadings(raw=raw, leverage=leverage, high_tension=tension, tier=tier)


def measure_bands(*, signals: MagnetSignals, first_at: int, last_at: int) -> MagnetBands:
    """The distribution of the bars that close in ``(first_at, last_at]`` (ms UTC).

    Raises :class:`InvalidInput` when there is no such bar after warm-up.
    """
    within = (signals.known_at > first_at) & (signals.known_at <= last_at)
    within &= np.isfinite(signals.volatility_ratio)
    rows = np.flatnonzero(within)
    if not rows.size:
        raise InvalidInput("no bar after warm-up in this stretch", code="no_bars")
    graded = grade_readings(signals=signals)
    usable = signals.reason[rows] == ReadingReason.OK
    rank = np.where(usable, signals.conflict[rows], np.inf)
    better = np.where(rank[:, SHORT] < rank[:, LONG], SHORT, LONG)
    quantiles = np.percentile(signals.volatility_ratio[rows], [5, 25, 50, 75, 95])
    return MagnetBands(
        bars=int(rows.size),
        better=_shares(signals, graded, rows, better),
        long=_shares(signals, graded, rows, np.full(rows.size, LONG)),
        short=_shares(signals, graded, rows, np.full(rows.size, SHORT)),
        volatility_ratio=(
            float(quantiles[0]),
            float(quantiles[1]),
            float(quantiles[2]),
            float(quantiles[3]),
            float(quantiles[4]),
        ),
        unmapped=_reason_shares(signals, rows, ReadingReason.UNMAPPED_SIDE),
        no_target=_reason_shares(signals, rows, ReadingReason.NO_TARGET),
    )


def find_band_alarms(*, bands: MagnetBands, factor: float = 2.0) -> tuple[str, ...]:
    """Names of the shares that left their calibrated band by more than ``factor``."""
    better = bands.better
    measured = {
        "leverage_above_one": better.leverage_above_one,
        "high_tension": better.high_tension,
        "tier_1": better.tiers[0],
        "tier_2": better.tiers[1],
        "tier_3": better.tiers[2],
    }
    return tuple(
        name
        for name, (low, high) in CALIBRATED_BANDS.items()
        if not low / factor <= measured[name] <= high * factor
    )


def _shares(
    signals: MagnetSignals, graded: GradedReadings, rows: IntArray, side: IntArray
) -> DirectionShares:
    leverage = graded.leverage[rows, side]
    tier = graded.tier[rows, side]
    edges = (1.0, 1.5, 2.0, 2.5)
    bins = np.searchsorted(edges, leverage, side="left")
    parts = np.bincount(bins, minlength=5)[:5] / rows.size
    tiers = np.bincount(tier, minlength=5)[1:5] / rows.size
    return DirectionShares(
        distance=_quantiles(signals.distance[rows, side]),
        strength=_quantiles(
            np.where(
                signals.reason[rows, side] == ReadingReason.NO_TARGET,
                np.nan,
                signals.target_strength[rows, side],
            )
        ),
        conflict=_quantiles(signals.conflict[rows, side]),
        raw=_quantiles(graded.raw[rows, side]),
        leverage_bins=(
            float(parts[0]),
            float(parts[1]),
            float(parts[2]),
            float(parts[3]),
            float(parts[4]),
        ),
        high_tension=float(graded.high_tension[rows, side].mean()),
        tiers=(float(tiers[0]), float(tiers[1]), float(tiers[2]), float(tiers[3])),
    )


def _quantiles(values: FloatArray) -> tuple[float, float, float]:
    known = values[np.isfinite(values)]
    if not known.size:
        return (float("nan"),) * 3
    low, middle, high = np.percentile(known, [5, 50, 95])
    return float(low), float(middle), float(high)


def _reason_shares(
    signals: MagnetSignals, rows: IntArray, reason: ReadingReason
) -> tuple[float, float]:
    shares = (signals.reason[rows] == reason).mean(axis=0)
    return float(shares[LONG]), float(shares[SHORT])
