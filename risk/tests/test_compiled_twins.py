"""The scalar functions compile, and their compiled twins give the same bits on random input."""

from __future__ import annotations

import math
import random

import numba
import pytest

from risk.domain.fuse import thresholds
from risk.domain.leverage import core as leverage
from risk.domain.sizing import core as sizing

pytestmark = pytest.mark.slow

CASES = 10_000
SEED = 20_251_121


def same(left: object, right: object) -> bool:
    if isinstance(left, tuple) and isinstance(right, tuple):
        return all(same(a, b) for a, b in zip(left, right, strict=True))
    if isinstance(left, float) and math.isnan(left):
        return math.isnan(right)  # type: ignore[arg-type]
    return left == right


def uniform(rng: random.Random, low: float, high: float) -> float:
    """Mostly inside, now and then exactly on an edge; a float always, or each mix of types is
    compiled apart."""
    roll = rng.random()
    return float(low) if roll < 0.02 else float(high) if roll < 0.04 else rng.uniform(low, high)


def side(rng: random.Random) -> int:
    return rng.choice((1, -1))


DRAWS = {
    leverage.leverage_core: lambda r: (
        uniform(r, 0, 8),
        uniform(r, 0, 100),
        r.choice((0.0, 0.15, uniform(r, 0, 10))),
        r.choice((0.0, uniform(r, 0, 3))),
    ),
    leverage.tier_core: lambda r: (
        r.choice((50.0, 65.0, 80.0, math.nan, uniform(r, 0, 100))),
        r.choice((0.3, 0.5, 0.8, uniform(r, 0, 2))),
        r.choice((1.2, 1.5, 2.0, uniform(r, 0, 3))),
    ),
    leverage.volatility_cap_core: lambda r: (uniform(r, 0, 3), uniform(r, 0, 4)),
    leverage.liquidation_cap_core: lambda r: (
        side(r),
        uniform(r, 0, 50),
        uniform(r, 0, 0.5),
        uniform(r, 0, 100),
        uniform(r, 0, 5),
    ),
    leverage.capped_core: lambda r: (uniform(r, 1, 3), uniform(r, 0, 4)),
    sizing.stop_loss_rate_core: lambda r: (
        uniform(r, 1, 1e5),
        uniform(r, 1, 1e5),
        *(uniform(r, 0, 0.01) for _ in range(4)),
        uniform(r, -0.01, 0.01),
    ),
    sizing.gap_loss_rate_core: lambda r: (
        uniform(r, 1, 1e5),
        side(r),
        uniform(r, 1, 3),
        uniform(r, 0, 1.2),
        uniform(r, 0, 0.01),
        uniform(r, 0, 0.01),
        r.random() < 0.5,
    ),
    sizing.lots_within_core: lambda r: (
        r.choice((-1.0, 0.0, uniform(r, 0, 1e6), float(r.randrange(1, 1000)) * 0.1)),
        r.choice((0.0, 0.1, uniform(r, 0, 10))),
    ),
    sizing.lots_core: lambda r: (
        uniform(r, 1, 1e5),
        uniform(r, 1, 3),
        r.choice((1e-5, 0.001, 1.0)),
        uniform(r, 0.01, 1e4),
        uniform(r, 0.01, 1e4),
        *(
            r.choice((0.0, -1.0, uniform(r, 0, 1e6))) if r.random() < 0.1 else uniform(r, 1e3, 1e6)
            for _ in range(7)
        ),
    ),
    sizing.liquidation_price_core: lambda r: (
        uniform(r, 1, 1e5),
        side(r),
        uniform(r, 1, 3),
        uniform(r, 0, 0.5),
    ),
    sizing.is_stop_before_liquidation_core: lambda r: (
        uniform(r, 1, 1e5),
        uniform(r, 1, 1e5),
        uniform(r, 0, 1e5),
        uniform(r, 0, 1),
    ),
    thresholds.compute_day_threshold: lambda r: (uniform(r, 1, 1e6), uniform(r, 0, 1)),
    thresholds.compute_drawdown_threshold: lambda r: (uniform(r, 1, 1e6), uniform(r, 0, 1)),
    thresholds.compute_cut_lots: lambda r: (
        r.randint(1, 1000),
        r.randint(1000, 2000),
        uniform(r, 0.3, 0.7),
        uniform(r, 0, 1e5),
        uniform(r, 0, 2e5),
        uniform(r, 0, 2),
        uniform(r, 0, 2e3),
    ),
    thresholds.is_drawdown_trip: lambda r: (uniform(r, 1, 1e6), uniform(r, 1, 1e6), 0.05),
    thresholds.compute_rearm_time: lambda r: (
        r.randint(0, 2**41),
        r.random() < 0.5,
        r.randint(0, 2),
        86_400_000,
        2**62,
    ),
    thresholds.compute_open_conflict: lambda r: (
        uniform(r, 1, 1e5),
        uniform(r, 0, 1e3),
        uniform(r, 1, 1e5),
        uniform(r, 0, 100),
        uniform(r, 0, 1),
    ),
    thresholds.compute_severity: lambda r: (uniform(r, 0, 4), r.choice((0.0, 0.8, 2.0))),
    thresholds.compute_shortfall_severity: lambda r: (uniform(r, 0, 100), 30.0),
    thresholds.compute_cut_share: lambda r: (uniform(r, 0, 1), 0.3, 0.7),
    thresholds.compute_liquidity_score: lambda r: (
        uniform(r, 0, 1e7),
        r.choice((0.0, uniform(r, 1, 1e6))),
    ),
}


def compiled(function):  # type: ignore[no-untyped-def]
    """The compiled twin, with the helpers of its module compiled as well."""
    import types

    names = {
        name: compiled(value)
        for name in function.__code__.co_names
        if isinstance(value := function.__globals__.get(name), types.FunctionType)
    }
    twin = types.FunctionType(function.__code__, {**function.__globals__, **names})
    return numba.njit(twin)


@pytest.mark.parametrize("function", DRAWS, ids=lambda f: f.__name__)
def test_compiled_and_plain_give_the_same_bits(function) -> None:  # type: ignore[no-untyped-def]
    twin, rng = compiled(function), random.Random(SEED)
    for _ in range(CASES):
        arguments = DRAWS[function](rng)
        assert same(function(*arguments), twin(*arguments)), arguments


def test_the_loss_threshold_compiles_with_its_parts() -> None:
    twin, rng = compiled(thresholds.compute_loss_threshold), random.Random(SEED)
    for _ in range(CASES):
        arguments = (uniform(rng, 1, 1e6), uniform(rng, 1, 1e6), 0.025, 0.05)
        assert thresholds.compute_loss_threshold(*arguments) == twin(*arguments)
