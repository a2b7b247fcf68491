"""A simulated market: minute prices and hourly candles as a pure function of a seed and of time.

Used where no exchange can be reached; every page that shows it says SIMULATED.  It imitates the
measured facts of hourly crypto returns, not a forecast: volatility that clusters over days, fat
tails, rare crashes, instruments that move together, slow drifts of either sign, no edge built in.

Model of the log return of minute m in hour h, instrument i::

    r = drift_i(h)/60 + sigma(h)/sqrt(60) * (sqrt(rho) f + sqrt(1-rho) e_i) + crash(h, m)

``ln sigma`` is the sum of a fast and a slow AR(1) (half-lives about 7 hours and 11 days); f and e_i
are unit-variance Student t with 5 degrees of freedom; a crash is a burst of negative returns over
two hours, about once in nine months.  Draws are taken hour by hour in a fixed number, so a longer
run repeats a shorter one exactly (prefix law).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from magnetfund.kernel.errors import InvalidInput

HOUR_MS = 3_600_000
MINUTES = 60
_DEGREES = 5.0
#: Chance that a crash begins in an hour: one in about nine months.
_CRASH_CHANCE = 1.0 / (9 * 30 * 24)


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedInstrument:
    """Start price, typical hourly volatility (0.006 is 0.6 %) and typical hourly volume."""

    symbol: str
    start_price: float
    tick: float
    volatility_hour: float = 0.0062
    volume_hour: float = 1_500.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedMarket:
    """``minutes`` has shape (instruments, hours * 60): prices at each minute's end, on the tick.

    ``candles`` has shape (instruments, 5, hours): open, high, low, close, volume; ``open_time`` is
    integer milliseconds UTC.
    """

    symbols: tuple[str, ...]
    open_time: NDArray[np.int64]
    minutes: NDArray[np.float64]
    candles: NDArray[np.float64]


def simulate_market(
    *,
    seed: int,
    instruments: tuple[SimulatedInstrument, ...],
    start_ms: int,
    hours: int,
    correlation: float = 0.75,
) -> SimulatedMarket:
    """Simulate ``hours`` whole hours from ``start_ms`` (a full hour).

    Raises :class:`InvalidInput` for a start off the hour, no instrument, or no hours.
    """
    if start_ms % HOUR_MS or hours < 1 or not instruments:
        raise InvalidInput("the simulation needs full hours and an instrument", code="bad_run")
    n = len(instruments)
    streams = [np.random.default_rng([seed, k]) for k in range(6)]
    level = _volatility_path(streams[0].standard_normal((hours, 2)))
    drift = _drift_path(streams[1].standard_normal((hours, n)))
    normal = streams[2].standard_normal((hours, MINUTES, n + 1))
    chi = streams[3].chisquare(_DEGREES, (hours, 1, n + 1))
    # One chi-square an hour and source: minutes of a wild hour are wild together.
    shocks = normal * np.sqrt((_DEGREES - 2.0) / chi)
    common = np.sqrt(correlation) * shocks[:, :, :1]
    own = np.sqrt(1.0 - correlation) * shocks[:, :, 1:]
    base = np.array([item.volatility_hour for item in instruments])
    sigma = base[None, :] * level[:, None]
    returns = drift[:, None, :] * base / MINUTES
    returns = returns + sigma[:, None, :] / np.sqrt(MINUTES) * (common + own)
    returns = returns + _crashes(streams[4].random((hours, 3)))[:, :, None]
    log_price = np.cumsum(returns.reshape(hours * MINUTES, n), axis=0)
    start = np.array([item.start_price for item in instruments])
    ticks = np.array([item.tick for item in instruments])
    prices = np.maximum(np.round(start * np.exp(log_price) / ticks), 1.0) * ticks
    minutes = np.round(prices.T, 10)
    volume = _volumes(instruments, returns, sigma, streams[5].standard_normal((hours, n)))
    return SimulatedMarket(
        symbols=tuple(item.symbol for item in instruments),
        open_time=start_ms + HOUR_MS * np.arange(hours, dtype=np.int64),
        minutes=np.ascontiguousarray(minutes),
        candles=_hourly(minutes, start, ticks, volume),
    )


def _volatility_path(noise: NDArray[np.float64]) -> NDArray[np.float64]:
    """Multiplier of the typical volatility, hour by hour, mean about 1."""
    fast, slow = 0.0, 0.0
    out = np.empty(noise.shape[0])
    for hour in range(noise.shape[0]):
        fast = 0.90 * fast + 0.17 * noise[hour, 0]
        slow = 0.9974 * slow + 0.030 * noise[hour, 1]
        out[hour] = np.exp(fast + slow - 0.16)
    return out


def _drift_path(noise: NDArray[np.float64]) -> NDArray[np.float64]:
    """Slow drift in units of hourly volatility; half-life about ten days, either sign."""
    drift = np.zeros(noise.shape[1])
    out = np.empty_like(noise)
    for hour in range(noise.shape[0]):
        drift = 0.9971 * drift + 0.0045 * noise[hour]
        out[hour] = drift
    return out


def _crashes(draws: NDArray[np.float64]) -> NDArray[np.float64]:
    """Common extra log return of each minute, shape (hours, 60): rare falls of 8 to 22 %."""
    hours = draws.shape[0]
    out = np.zeros((hours, MINUTES))
    # The shape of a fall: most of it in the first half hour, then half an hour of tremor.
    fall = np.exp(-np.arange(MINUTES) / 18.0)
    fall /= fall.sum()
    for hour in np.flatnonzero(draws[:, 0] < _CRASH_CHANCE):
        depth = -(0.08 + 0.14 * draws[hour, 1])
        out[hour] += depth * fall
        if hour + 1 < hours:
            out[hour + 1] -= depth * 0.35 * draws[hour, 2] * fall
    return out


def _volumes(
    instruments: tuple[SimulatedInstrument, ...],
    returns: NDArray[np.float64],
    sigma: NDArray[np.float64],
    noise: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Hourly volume grows with the size of the hour's move, as it does in real markets."""
    typical = np.array([item.volume_hour for item in instruments])
    move = np.abs(returns.sum(axis=1)) / np.maximum(sigma, 1e-9)
    base = np.array([item.volatility_hour for item in instruments])
    volume = typical * (sigma / base) * (0.6 + 0.4 * move) * np.exp(0.35 * noise)
    rounded: NDArray[np.float64] = np.round(volume, 3)
    return rounded


def _hourly(
    minutes: NDArray[np.float64],
    start: NDArray[np.float64],
    ticks: NDArray[np.float64],
    volume: NDArray[np.float64],
) -> NDArray[np.float64]:
    n, total = minutes.shape
    by_hour = minutes.reshape(n, total // MINUTES, MINUTES)
    close = by_hour[:, :, -1]
    first = np.round(np.round(start / ticks) * ticks, 10)
    open_ = np.concatenate([first[:, None], close[:, :-1]], axis=1)
    high = np.maximum(by_hour.max(axis=2), open_)
    low = np.minimum(by_hour.min(axis=2), open_)
    return np.stack([open_, high, low, close, volume.T], axis=1)
