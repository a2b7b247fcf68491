"""Long columns run compiled where the compiler is loaded: the same bits as Python's loops."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from trading.domain.backtest import compiled
from trading.domain.indicators.averages import ema, wilder
from trading.domain.strategies.columns import compute_volatility
from trading.domain.strategies.streaming import VolatilityGauge

pytestmark = pytest.mark.slow


def test_a_long_column_has_the_same_bits_compiled_and_in_python(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import numba  # noqa: F401

    rng = np.random.default_rng(8)
    close = 100.0 * np.exp(np.cumsum(rng.standard_normal(2 * compiled.ROWS_MIN) * 0.01))

    def compute() -> list[np.ndarray]:
        return [
            wilder(values=close, length=14),
            ema(values=close[::-1], length=30),
            *compute_volatility(close),
        ]

    fast = compute()
    with monkeypatch.context() as without:
        without.delitem(sys.modules, "numba")
        assert compiled.find_compiled(compute_volatility, close.size) is None
        plain = compute()
    for one, other in zip(fast, plain, strict=True):
        np.testing.assert_array_equal(one, other)
    gauge = VolatilityGauge()
    ratios = []
    for value in close.tolist():
        gauge.update(value)
        ratios.append(gauge.ratio)
    np.testing.assert_array_equal(fast[2], ratios)
