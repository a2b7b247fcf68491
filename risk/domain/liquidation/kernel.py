"""The compiled year of an account over bootstrapped hours; imports numba, so import it late.

Prices are multiples of the entry, money multiples of the starting equity.  One random state a path.
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

DAY, FUNDING_HOURS = 24, 8
LIQUIDATED, TRIPS, LOWEST, FINAL = range(4)
RUIN_SHARE = 0.1


@njit(cache=True, inline="always")
def _next(state):  # type: ignore[no-untyped-def]  # compiled; uint64 in and out
    state ^= state << np.uint64(13)
    state ^= state >> np.uint64(7)
    state ^= state << np.uint64(17)
    return state


@njit(cache=True, inline="always")
def _uniform(state):  # type: ignore[no-untyped-def]  # compiled; uint64 to [0, 1)
    return (state >> np.uint64(11)) * (1.0 / 9007199254740992.0)


@njit(cache=True)
def _seed(seed, path):  # type: ignore[no-untyped-def]  # compiled; splitmix64 of both
    z = np.uint64(seed) + (np.uint64(path) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z ^= z >> np.uint64(31)
    return z if z != np.uint64(0) else np.uint64(1)


@njit(cache=True)
def _run_path(bars, rules, hours, state, out):  # type: ignore[no-untyped-def]  # compiled
    """One account's year; ``rules`` in the order of ``AccountRules.as_row``."""
    (leverage, cap, mmr, fee, slippage, funding, restart, with_fuse, daily, drawdown, latency,
     cool_off, outage_chance, outage_hours, gap_chance, gap_size) = rules  # fmt: skip
    count = bars.shape[0]
    row = 0
    cash, peak, day_start = 1.0, 1.0, 1.0
    side, notional, margin, price = 0.0, 0.0, 0.0, 1.0
    blocked_until, outage_until, exit_at = 0, 0, -1
    liquidations, trips, lowest = 0, 0, 1.0
    for hour in range(hours):
        state = _next(state)
        if hour == 0 or _uniform(state) < restart:
            state = _next(state)
            row = int(_uniform(state) * count)
        else:
            row += 1
            if row == count:
                row = 0
        if hour % DAY == 0:
            if side != 0.0:
                cash += side * notional * (price - 1.0) - fee * notional * price
                side = 0.0
            day_start = cash
            lowest = min(lowest, cash)
            if cash < RUIN_SHARE:
                break
            if hour >= blocked_until:
                if blocked_until > 0:
                    peak = cash  # released after the cool-off: the drawdown counts anew
                    blocked_until = 0
                state = _next(state)
                side = 1.0 if _uniform(state) < 0.5 else -1.0
                margin = cap * cash / (1.0 + cap * leverage * fee)
                notional = margin * leverage
                cash -= fee * notional
                price = 1.0
        if side == 0.0:
            exit_at = -1  # a late exit finds nothing to close
            continue
        if hour % FUNDING_HOURS == 0:
            paid = side * notional * price * funding
            cash -= paid
            margin -= paid
        if outage_chance > 0.0:
            state = _next(state)
            if _uniform(state) < outage_chance:
                outage_until = hour + int(outage_hours)
        opened = price
        if gap_chance > 0.0:
            state = _next(state)
            if _uniform(state) < gap_chance:
                opened = price * (1.0 - side * gap_size)
        worst = opened * (bars[row, 2] if side > 0.0 else bars[row, 1])
        closed = opened * bars[row, 0]
        # Liquidation: margin + side * notional * (x - 1) = mmr * notional * x.
        edge = (notional - side * margin) / (notional * (1.0 - side * mmr))
        level = max(day_start * (1.0 - daily), peak * (1.0 - drawdown))
        stop = 1.0 + side * (level - cash) / notional
        watching = with_fuse > 0.0 and hour >= outage_until
        gone = side * (worst - edge) <= 0.0
        if watching and exit_at < 0 and side * (worst - stop) <= 0.0:
            trips += 1
            if latency == 0:
                # The open is nearer to both; a gap through the edge is past saving.
                if side * (opened - edge) > 0.0 and side * (stop - edge) >= 0.0:
                    filled = stop if side * (opened - stop) > 0.0 else opened
                    filled *= 1.0 - side * slippage
                    cash += side * notional * (filled - 1.0) - fee * notional * filled
                    side = 0.0
            else:
                exit_at = hour + int(latency)
            if side == 0.0:
                lowest = min(lowest, cash)
                if cash <= peak * (1.0 - drawdown):
                    blocked_until = hour + int(cool_off) if cool_off > 0 else hours
                continue
        if gone:
            liquidations += 1
            cash -= margin  # the whole isolated margin is lost
            side = 0.0
            lowest = min(lowest, cash)
            if with_fuse > 0.0 and cash <= peak * (1.0 - drawdown):
                blocked_until = hour + int(cool_off) if cool_off > 0 else hours
            continue
        price = closed
        if exit_at >= 0 and hour >= exit_at:
            filled = closed * (1.0 - side * slippage)
            cash += side * notional * (filled - 1.0) - fee * notional * filled
            side = 0.0
            exit_at = -1
            lowest = min(lowest, cash)
            if cash <= peak * (1.0 - drawdown):
                blocked_until = hour + int(cool_off) if cool_off > 0 else hours
            continue
        equity = cash + side * notional * (price - 1.0)
        peak, lowest = max(peak, equity), min(lowest, equity)
    if side != 0.0:
        cash += side * notional * (price - 1.0) - fee * notional * price
    out[LIQUIDATED] = liquidations
    out[TRIPS] = trips
    out[LOWEST] = lowest
    out[FINAL] = max(0.0, cash)


@njit(cache=True, parallel=True)
def run_paths(
    bars: NDArray[np.float64],
    rules: tuple[float, ...],
    hours: int,
    seed: int,
    out: NDArray[np.float64],
) -> None:
    """Fill ``out`` (paths, 4): liquidations, fuse trips, lowest and final equity."""
    for path in prange(out.shape[0]):
        _run_path(bars, rules, hours, _seed(seed, path), out[path])
