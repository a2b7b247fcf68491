"""Indicators: the published recipes, TA-Lib as oracle, streams equal to columns, bad input."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from magnetfund.kernel.errors import InvalidInput
from trading.domain import indicators as ind
from trading.domain.market import Candles
from trading.tests.magnet_bars import make_random_bars

talib = pytest.importorskip("talib", reason="TA-Lib (dev extra) is the oracle")
BARS = make_random_bars(count=1500, seed=3)
CLOSES = st.lists(st.floats(0.01, 1e6), min_size=1, max_size=90).map(np.array)


def same(mine: np.ndarray, theirs: np.ndarray) -> None:
    np.testing.assert_allclose(mine, theirs, rtol=1e-9, atol=1e-9, equal_nan=True)


def test_simple_and_exponential_averages_agree_with_ta_lib() -> None:
    same(ind.sma(values=BARS.close, length=20), talib.SMA(BARS.close, 20))
    same(ind.ema(values=BARS.close, length=21), talib.EMA(BARS.close, 21))


def test_rsi_agrees_with_ta_lib() -> None:
    same(ind.rsi(close=BARS.close), talib.RSI(BARS.close, 14))


def test_bollinger_bands_agree_with_ta_lib() -> None:
    mine = ind.bollinger(close=BARS.close)
    upper, middle, lower = talib.BBANDS(BARS.close, 20, 2.0, 2.0)
    same(mine.upper, upper)
    same(mine.middle, middle)
    same(mine.lower, lower)


def test_true_range_agrees_with_ta_lib_after_the_first_bar() -> None:
    mine = ind.true_range(high=BARS.high, low=BARS.low, close=BARS.close)
    assert mine[0] == BARS.high[0] - BARS.low[0]
    same(mine[1:], talib.TRANGE(BARS.high, BARS.low, BARS.close)[1:])


def test_average_true_range_forgets_its_different_seed_and_agrees_with_ta_lib() -> None:
    mine = ind.atr(high=BARS.high, low=BARS.low, close=BARS.close)
    theirs = talib.ATR(BARS.high, BARS.low, BARS.close, 14)
    np.testing.assert_allclose(mine[500:], theirs[500:], rtol=1e-9)


def test_macd_agrees_with_ta_lib_once_the_seeds_are_forgotten() -> None:
    mine = ind.macd(close=BARS.close)
    line, signal, histogram = talib.MACD(BARS.close, 12, 26, 9)
    np.testing.assert_allclose(mine.line[600:], line[600:], atol=1e-7)
    np.testing.assert_allclose(mine.signal[600:], signal[600:], atol=1e-7)
    np.testing.assert_allclose(mine.histogram[600:], histogram[600:], atol=1e-7)


@settings(max_examples=30, deadline=None)
@given(close=CLOSES)
def test_a_stream_says_on_every_prefix_what_the_columns_say(close: np.ndarray) -> None:
    streams = {
        "sma": (ind.Sma(length=5), ind.sma(values=close, length=5)),
        "ema": (ind.Ema(length=5), ind.ema(values=close, length=5)),
        "wilder": (ind.Wilder(length=5), ind.wilder(values=close, length=5)),
        "rsi": (ind.Rsi(length=5), ind.rsi(close=close, length=5)),
        "realised": (
            ind.RealisedVolatility(length=6),
            ind.realised_volatility(close=close, length=6),
        ),
        "ewma": (
            ind.EwmaVolatility(seed_length=4),
            ind.ewma_volatility(close=close, seed_length=4),
        ),
    }
    for name, (stream, columns) in streams.items():
        told = np.array([stream.update(float(value)) for value in close])
        scale = max(1.0, float(close.max()))
        np.testing.assert_allclose(told, columns, rtol=1e-9, atol=1e-9 * scale, err_msg=name)


def test_streams_of_several_values_say_what_their_columns_say() -> None:
    close = BARS.close[:200]
    bands, macd = ind.bollinger(close=close), ind.macd(close=close)
    band_stream, macd_stream = ind.Bollinger(), ind.Macd()
    for row, value in enumerate(close.tolist()):
        band, lines = band_stream.update(value), macd_stream.update(value)
        for name in ("lower", "middle", "upper", "width"):
            same(np.array(getattr(band, name)), getattr(bands, name)[row])
        for name in ("line", "signal", "histogram"):
            same(np.array(getattr(lines, name)), getattr(macd, name)[row])


def test_the_volatility_ratio_stream_agrees_and_is_silent_before_720_returns() -> None:
    close = BARS.close[:900]
    columns = ind.volatility_ratio(close=close)
    stream = ind.VolatilityRatio()
    told = np.array([stream.update(float(value)) for value in close])
    assert np.isnan(columns[:720]).all()
    assert np.isfinite(columns[720:]).all()
    same(told, columns)


def test_vwap_begins_anew_at_its_anchors() -> None:
    marks = np.zeros(48, dtype=bool)
    marks[[0, 24]] = True
    day: Candles = BARS.between(0, 48)
    volume = np.arange(1.0, 49.0)
    found = ind.vwap(high=day.high, low=day.low, close=day.close, volume=volume, anchors=marks)
    typical = (day.high + day.low + day.close) / 3.0
    assert found.mean[23] == pytest.approx(np.average(typical[:24], weights=volume[:24]))
    assert found.mean[47] == pytest.approx(np.average(typical[24:], weights=volume[24:]))


def test_nothing_that_moves_gives_a_middling_rsi() -> None:
    assert ind.rsi(close=np.full(20, 7.0))[-1] == 50.0


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_is_refused(bad: float) -> None:
    with pytest.raises(InvalidInput) as caught:
        ind.sma(values=np.array([1.0, bad]), length=1)
    assert caught.value.code == "not_finite"


@pytest.mark.parametrize("length", [0, -1, True, 2.5])
def test_a_window_that_is_no_positive_whole_number_is_refused(length: object) -> None:
    with pytest.raises(InvalidInput) as caught:
        ind.ema(values=np.ones(3), length=length)  # type: ignore[arg-type]
    assert caught.value.code == "bad_window"
