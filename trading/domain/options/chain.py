"""A dated option chain: implied volatility and greeks of each option, its gamma and walls.

An option is valued on the forward of its own expiry (the spot where the venue states none) with no
rate beside it, as Black 1976 does.  The volatility is the venue's where it states one, otherwise
the one that its mark, or the middle of bid and ask, implies.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from trading.domain.magnets.gamma import GammaWall
from trading.domain.market import DAY_MS
from trading.domain.options.chain_file import ListedOption
from trading.domain.options.exposure import (
    GammaExposure,
    OpenInterest,
    StrikeGamma,
    compute_gamma_exposure,
    sum_strike_gamma,
)
from trading.domain.options.implied import ImpliedFailure, compute_implied_volatility
from trading.domain.options.pricing import (
    DAYS_A_YEAR,
    YEARS_MIN,
    Greeks,
    OptionKind,
    compute_greeks,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadOption:
    """An option with its volatility and greeks; ``failure`` says why it has none.

    ``is_stated`` where the venue stated the volatility, ``forward`` the price valued on, ``years``
    to the expiry.
    """

    option: ListedOption
    years: float
    forward: float
    volatility: float | None
    is_stated: bool
    failure: ImpliedFailure | None
    greeks: Greeks | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Expiry:
    """All options of one expiry, by strike; ``middle_volatility`` is at the strike nearest to it.

    ``calls`` and ``puts`` are contracts open, ``forward`` the price that the strikes surround.
    """

    expires_ms: int
    days: float
    forward: float
    calls: float
    puts: float
    middle_volatility: float | None
    options: tuple[ReadOption, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainGamma:
    """Exposure and walls of a chain, each wall with the expiry of the last option behind it."""

    exposure: GammaExposure
    call_wall: GammaWall | None
    put_wall: GammaWall | None


def read_option(option: ListedOption, *, stated_ms: int, spot: float) -> ReadOption:
    """Implied volatility and greeks of one option at ``stated_ms``."""
    years = (option.expires_ms - stated_ms) / (DAYS_A_YEAR * DAY_MS)
    forward = option.forward or spot
    volatility, failure = option.volatility, None
    if volatility is None and (price := option.middle_price) is not None:
        found = compute_implied_volatility(
            kind=option.kind, price=price, spot=forward, strike=option.strike, years=years
        )
        volatility, failure = found.volatility, found.failure
    greeks = None
    if volatility is not None:
        greeks = compute_greeks(
            kind=option.kind,
            spot=forward,
            strike=option.strike,
            years=max(years, YEARS_MIN),
            volatility=volatility,
        )
    return ReadOption(
        option=option,
        years=years,
        forward=forward,
        volatility=volatility,
        is_stated=option.volatility is not None,
        failure=failure,
        greeks=greeks,
    )


def build_expiries(
    options: Iterable[ListedOption], *, stated_ms: int, spot: float
) -> tuple[Expiry, ...]:
    """The chain by expiry, the next one first."""
    ordered = sorted(options, key=lambda o: (o.expires_ms, o.strike, o.kind))
    found = []
    for expires_ms, rows in groupby(ordered, key=lambda option: option.expires_ms):
        read = tuple(read_option(row, stated_ms=stated_ms, spot=spot) for row in rows)
        forward = read[0].forward
        priced = [row for row in read if row.volatility is not None]
        middle = min(priced, key=lambda row: abs(row.option.strike - forward), default=None)
        found.append(
            Expiry(
                expires_ms=expires_ms,
                days=(expires_ms - stated_ms) / DAY_MS,
                forward=forward,
                calls=_interest(read, OptionKind.CALL),
                puts=_interest(read, OptionKind.PUT),
                middle_volatility=middle.volatility if middle is not None else None,
                options=read,
            )
        )
    return tuple(found)


def find_middle_volatility(expiries: Sequence[Expiry], *, days: float = 30.0) -> float | None:
    """The volatility at the money of the expiry nearest to ``days``; None where none has one."""
    priced = [expiry for expiry in expiries if expiry.middle_volatility is not None]
    nearest = min(priced, key=lambda expiry: abs(expiry.days - days), default=None)
    return nearest.middle_volatility if nearest is not None else None


def compute_chain_gamma(
    expiries: Sequence[Expiry], *, spot: float, multiplier: float
) -> ChainGamma:
    """Exposure over all expiries, and its walls; options without a volatility are left out."""
    exposure = compute_gamma_exposure(
        interest=_open_interest(expiries), spot=spot, multiplier=multiplier
    )
    return ChainGamma(
        exposure=exposure,
        call_wall=_wall(expiries, OptionKind.CALL, exposure.call_wall),
        put_wall=_wall(expiries, OptionKind.PUT, exposure.put_wall),
    )


def list_strike_gamma(
    expiries: Sequence[Expiry], *, spot: float, multiplier: float
) -> tuple[StrikeGamma, ...]:
    """Dollar gamma by strike, as :func:`compute_chain_gamma` sums it."""
    return sum_strike_gamma(interest=_open_interest(expiries), spot=spot, multiplier=multiplier)


def _interest(rows: Iterable[ReadOption], kind: OptionKind) -> float:
    return math.fsum(row.option.interest for row in rows if row.option.kind is kind)


def _open_interest(expiries: Sequence[Expiry]) -> list[OpenInterest]:
    return [
        OpenInterest(
            kind=row.option.kind,
            strike=row.option.strike,
            years=row.years,
            volatility=row.volatility,
            contracts=row.option.interest,
        )
        for expiry in expiries
        for row in expiry.options
        if row.volatility is not None and row.option.interest > 0.0
    ]


def _wall(expiries: Sequence[Expiry], kind: OptionKind, strike: float | None) -> GammaWall | None:
    if strike is None:
        return None
    ends = [
        expiry.expires_ms
        for expiry in expiries
        for row in expiry.options
        if row.option.kind is kind and row.option.strike == strike and row.option.interest > 0.0
    ]
    return GammaWall(strike=strike, expires_ms=max(ends))
