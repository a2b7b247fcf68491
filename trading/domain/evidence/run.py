"""The evidence test of one market: does price reach levels before their mirror points?

Every four hours and for each candidate, the nearest level on each side races its mirror image.
A driftless price gives one half, whatever its volatility.  Matched random levels and bounces give
context; controls run with every test, and a random-price control beyond two standard errors voids
the run.  Seeds are passed in; the same candles and seed give the same run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from magnetfund.kernel.errors import InvalidInput
from trading.domain.evidence.bootstrap import adjust_holm, estimate_mean, two_sided_p
from trading.domain.evidence.types import (
    ControlKind,
    Estimate,
    EvidenceParameters,
    EvidenceRow,
    EvidenceRun,
)
from trading.domain.magnets.external import ExternalLevel
from trading.domain.magnets.history import (
    check_columns,
    compute_magnet_history,
)
from trading.domain.magnets.parameters import DEFAULT_PARAMETERS, MagnetParameters
from trading.domain.magnets.types import FloatArray, IntArray
from trading.domain.market.candles import Candles

DEFAULT_EVIDENCE = EvidenceParameters()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Setting:
    """What every candidate of a run shares."""

    high: FloatArray
    low: FloatArray
    close: FloatArray
    decisions: IntArray
    price: FloatArray
    atr: FloatArray
    blocks: IntArray
    cells: IntArray
    excursion: FloatArray
    partners: IntArray
    parameters: EvidenceParameters
    seed: int


def run_evidence_test(
    *,
    candles: Candles,
    market: str,
    seed: int,
    first_at: int | None = None,
    last_at: int | None = None,
    parameters: EvidenceParameters = DEFAULT_EVIDENCE,
    levels: MagnetParameters = DEFAULT_PARAMETERS,
    external: Sequence[ExternalLevel] = (),
    earlier_p_values: Sequence[float] = (),
) -> EvidenceRun:
    """Test every candidate on hourly candles of ``market``.

    Decisions fall on bars closing in ``[first_at, last_at)`` (ms; None: all); earlier candles only
    warm up.  ``earlier_p_values`` are those of every other market, timeframe or candidate tried,
    also of the abandoned: Holm's correction counts them.  Raises :class:`InvalidInput` on malformed
    candles or when no decision is possible.
    """
    from trading.domain.evidence.nearest import find_control_levels, find_nearest_levels

    _, (_, _, _, close, _) = check_columns(candles)
    history = compute_magnet_history(candles=candles, parameters=levels, external=external)
    known_at = history.signals.known_at
    usable = np.isfinite(history.signals.atr) & (history.signals.atr > 0)
    usable &= (known_at // 3_600_000) % parameters.decide_every == 0
    if first_at is not None:
        usable &= known_at >= first_at
    if last_at is not None:
        usable &= known_at < last_at
    decisions = np.flatnonzero(usable).astype(np.int64)
    if not decisions.size:
        raise InvalidInput("no decision is possible on these candles", code="no_decisions")
    setting = _prepare(candles, history.signals.atr, known_at, decisions, parameters, seed)
    candidates = find_nearest_levels(
        levels=history.levels,
        decisions=decisions,
        price=setting.price,
        atr=setting.atr,
        round_shares=(levels.round_minor_share, levels.round_major_share),
        parameters=parameters,
    )
    controls = find_control_levels(
        levels=history.levels,
        close=close,
        decisions=decisions,
        price=setting.price,
        atr=setting.atr,
        parameters=parameters,
        seed=seed + 1,
    )
    rows = [_test(setting, name.value, False, found) for name, found in candidates.items()]
    adjusted = adjust_holm([*(row.p_value for row in rows), *earlier_p_values])
    rows = [replace(row, p_holm=p) for row, p in zip(rows, adjusted, strict=False)]
    rows += [_test(setting, name.value, True, found) for name, found in controls.items()]
    random_z = next(row for row in rows if row.name == ControlKind.RANDOM_PRICE.value).first.z
    return EvidenceRun(
        market=market,
        timeframe="1h",
        first_at=int(known_at[decisions[0]]),
        last_at=int(known_at[decisions[-1]]),
        bars=int(decisions[-1] - decisions[0] + 1),
        decisions=int(decisions.size),
        seed=seed,
        parameters=parameters,
        levels_version=levels.version,
        rows=tuple(rows),
        void=not abs(random_z) <= parameters.random_control_z_max,
    )


def _prepare(
    candles: Candles,
    atr: FloatArray,
    known_at: IntArray,
    decisions: IntArray,
    parameters: EvidenceParameters,
    seed: int,
) -> _Setting:
    from trading.domain.evidence.outcomes import draw_partners, measure_excursions, number_cells

    _, (_, high, low, close, _) = check_columns(candles)
    price, ranges = close[decisions], atr[decisions]
    cells = number_cells(
        bar_known_at=known_at,
        close=close,
        decisions=decisions,
        volatility=ranges / price,
        momentum_bars=parameters.momentum_bars,
    )
    excursion = np.full((decisions.size, 2), np.nan)
    horizon = parameters.matched_horizon_bars
    measure_excursions(high, low, decisions, price, ranges, horizon, excursion)
    return _Setting(
        high=high,
        low=low,
        close=close,
        decisions=decisions,
        price=price,
        atr=ranges,
        blocks=decisions // parameters.block_bars,
        cells=cells,
        excursion=excursion,
        partners=draw_partners(cells=cells, draws=parameters.bounce_draws, seed=seed + 2),
        parameters=parameters,
        seed=seed,
    )


def _test(setting: _Setting, name: str, control: bool, level: FloatArray) -> EvidenceRow:
    from trading.domain.evidence.outcomes import (
        BOTH,
        LEVEL_FIRST,
        NEITHER,
        compare_bounces,
        compare_hits,
        race_levels,
    )

    parameters = setting.parameters
    outcome = race_levels(
        high=setting.high,
        low=setting.low,
        decisions=setting.decisions,
        price=setting.price,
        level=level,
        parameters=parameters,
    )
    decided = outcome <= LEVEL_FIRST
    first = _estimate(setting, np.where(decided, outcome == LEVEL_FIRST, np.nan), 0.5)
    hits = compare_hits(
        level=level,
        price=setting.price,
        atr=setting.atr,
        excursion=setting.excursion,
        cells=setting.cells,
    )
    bounces = np.full(level.shape, np.nan)
    compare_bounces(
        setting.high,
        setting.low,
        setting.close,
        setting.decisions,
        setting.price,
        setting.atr,
        np.where(setting.cells[:, None] >= 0, level, np.nan),
        setting.partners,
        parameters.matched_horizon_bars,
        parameters.bounce_bars,
        bounces,
    )
    return EvidenceRow(
        name=name,
        control=control,
        first=first,
        dropped_both=int((outcome == BOTH).sum()),
        dropped_neither=int((outcome == NEITHER).sum()),
        p_value=two_sided_p(first.z),
        p_holm=float("nan"),
        matched=_estimate(setting, hits, 0.0),
        bounce=_estimate(setting, bounces, 0.0),
    )


def _estimate(setting: _Setting, values: FloatArray, null: float) -> Estimate:
    """Both sides pooled; every test draws its blocks from the run's one seed."""
    known = np.isfinite(values)
    blocks = np.broadcast_to(setting.blocks[:, None], values.shape)
    return estimate_mean(
        values=values[known].astype(np.float64),
        blocks=blocks[known],
        null=null,
        resamples=setting.parameters.resamples,
        seed=setting.seed,
    )
