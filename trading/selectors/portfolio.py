"""How the book's instruments move together, what portfolios that suggests, and factor scores.

Daily closes are the last hourly candle of each UTC day; returns are logarithmic for correlations
and simple for weights.  Nothing here sizes an order.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from itertools import pairwise

import numpy as np
from django.db import connection
from numpy.typing import NDArray

from magnetfund.kernel.clock import utc_midnight, utc_now
from magnetfund.kernel.errors import InvalidInput
from risk.domain.factors import Factor, FactorScore, assign_quantiles, compute_factor_scores
from risk.domain.portfolio import (
    compute_maximum_sharpe,
    compute_minimum_variance,
    compute_risk_contributions,
    compute_risk_parity,
    shrink_covariance,
)
from risk.models import RiskMeasure
from trading.models import Instrument, Position

FloatArray = NDArray[np.float64]
#: The kind of measure that holds correlations.
CORRELATION = "correlation"
WINDOWS = (30, 90, 180, 365)
DAYS_A_YEAR = 365
#: Fewer shared days say nothing of a correlation.
DAYS_MIN = 20
MOMENTUM_DAYS, MOMENTUM_SKIPPED, VOLATILITY_DAYS, LIQUIDITY_DAYS = 90, 7, 30, 30
NAMES_MIN = 3
QUANTILES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposedWeights:
    """One portfolio: weights that add to 1, each name's share of its variance, annual volatility.

    ``problem`` says in words why there is none.
    """

    name: str
    words: str
    weights: tuple[float, ...] = ()
    risk_shares: tuple[float, ...] = ()
    volatility: float | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PortfolioView:
    """The window with its matrix and proposals; empty where days or names are too few.

    ``acting`` are the correlations by pair of symbols that limits and fuse use now.
    """

    days: int
    symbols: tuple[str, ...]
    first: date | None = None
    last: date | None = None
    returns: int = 0
    correlations: tuple[tuple[float | None, ...], ...] = ()
    volatilities: tuple[float, ...] = ()
    means: tuple[float, ...] = ()
    mean_errors: tuple[float, ...] = ()
    shrinkage: float | None = None
    proposals: tuple[ProposedWeights, ...] = ()
    acting: dict[tuple[str, str], float] = field(default_factory=dict)
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredName:
    """A name with its raw factors (None where unknown), its score and its fifth (1 is best)."""

    symbol: str
    kind: str
    momentum: float | None
    volatility: float | None
    liquidity: float | None
    score: FactorScore
    quantile: int | None


def read_daily_closes(
    instruments: Sequence[Instrument], *, start: datetime, end: datetime
) -> dict[str, dict[date, float]]:
    """The close of each complete UTC day in ``[start, end)`` by symbol and day."""
    found: dict[str, dict[date, float]] = {item.symbol: {} for item in instruments}
    symbols = {item.pk: item.symbol for item in instruments}
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT DISTINCT ON (instrument_id, open_time) instrument_id, open_time, close
               FROM trading_candle
               WHERE instrument_id = ANY(%s) AND timeframe = '1h'
                 AND open_time = ANY(SELECT generate_series(%s::timestamptz + interval '23 hours',
                                                            %s::timestamptz, interval '24 hours'))
               ORDER BY instrument_id, open_time, version DESC""",
            [list(symbols), start, end],
        )
        for pk, at, close in cursor.fetchall():
            found[symbols[pk]][at.date()] = float(close)
    return found


def view_portfolio(book: str, instruments: Sequence[Instrument], *, days: int) -> PortfolioView:
    """Correlations and proposals over the last ``days`` complete days that all names share.

    Raises :class:`InvalidInput` (``bad_window``).
    """
    if days not in WINDOWS:
        raise InvalidInput(
            f"choose a window of {', '.join(map(str, WINDOWS))} days", code="bad_window"
        )
    symbols = tuple(item.symbol for item in instruments)
    if len(symbols) < 2:
        return PortfolioView(
            days=days, symbols=symbols, problem="A correlation takes at least two instruments."
        )
    end = utc_midnight(utc_now())
    closes = read_daily_closes(instruments, start=end - timedelta(days=days + 1), end=end)
    shared = sorted(set.intersection(*(set(closes[name]) for name in symbols)))
    prices = np.array([[closes[name][day] for name in symbols] for day in shared])
    steps = np.array(
        [(after - before).days == 1 for before, after in pairwise(shared)],
        dtype=np.bool_,
    )
    if steps.sum() < DAYS_MIN:
        return PortfolioView(
            days=days,
            symbols=symbols,
            problem=f"The instruments share {int(steps.sum())} daily returns in this window; "
            f"{DAYS_MIN} are needed before a correlation says anything.",
        )
    simple: FloatArray = np.asarray(prices[1:] / prices[:-1] - 1.0)[steps]
    covariance, intensity = shrink_covariance(returns=simple)
    return PortfolioView(
        days=days,
        symbols=symbols,
        first=shared[0],
        last=shared[-1],
        returns=int(steps.sum()),
        correlations=_correlate(np.log1p(simple)),
        volatilities=tuple((simple.std(axis=0, ddof=1) * math.sqrt(DAYS_A_YEAR)).tolist()),
        means=tuple((simple.mean(axis=0) * DAYS_A_YEAR).tolist()),
        mean_errors=tuple(
            (simple.std(axis=0, ddof=1) / math.sqrt(len(simple)) * DAYS_A_YEAR).tolist()
        ),
        acting=read_correlations(book),
        shrinkage=intensity,
        proposals=_propose(simple, covariance, _held_weights(book, instruments, prices[-1])),
    )


def _correlate(returns: FloatArray) -> tuple[tuple[float | None, ...], ...]:
    """The matrix; None where a name never moved."""
    spread = returns.std(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        matrix = np.atleast_2d(np.corrcoef(returns, rowvar=False))
    flat = (spread == 0.0)[:, None] | (spread == 0.0)[None, :]
    return tuple(
        tuple(None if flat[i, j] else float(matrix[i, j]) for j in range(len(spread)))
        for i in range(len(spread))
    )


def read_correlations(book: str, *, at: datetime | None = None) -> dict[tuple[str, str], float]:
    """The newest measure of each pair, known at ``at`` where that is given."""
    rows = RiskMeasure.objects.filter(book=book, kind=CORRELATION)
    if at is not None:
        rows = rows.filter(occurred_at__lte=at)
    newest = rows.order_by("-occurred_at").values_list("values", flat=True).first()
    return {
        (row["pair"][0], row["pair"][1]): row["rho"]
        for row in (newest or {}).get("pairs", [])
        if row["rho"] is not None
    }


def _held_weights(
    book: str, instruments: Sequence[Instrument], closes: FloatArray
) -> FloatArray | None:
    """Signed exposure of each name as a share of the gross one; None where nothing is held."""
    held = np.zeros(len(instruments))
    index = {item.pk: at for at, item in enumerate(instruments)}
    rows = Position.objects.filter(book=book, instrument__in=list(index)).exclude(quantity=0)
    for pk, quantity in rows.values_list("instrument_id", "quantity"):
        held[index[pk]] += float(quantity) * closes[index[pk]]
    gross = float(np.abs(held).sum())
    return held / gross if gross > 0 else None


def _propose(
    simple: FloatArray, covariance: FloatArray, held: FloatArray | None
) -> tuple[ProposedWeights, ...]:
    annual = covariance * DAYS_A_YEAR
    means = simple.mean(axis=0) * DAYS_A_YEAR
    found = []
    if held is None:
        found.append(
            ProposedWeights(
                name="Present book",
                words="signed exposure as a share of the gross one",
                problem="Nothing is held now.",
            )
        )
    else:
        found.append(
            _weigh(
                "Present book", "signed exposure as a share of the gross one", annual, lambda: held
            )
        )
    found += [
        _weigh(
            "Minimum variance",
            "least volatility; a negative weight is a short",
            annual,
            lambda: compute_minimum_variance(covariance=annual),
        ),
        _weigh(
            "Risk parity",
            "long only; each name carries the same share of the variance",
            annual,
            lambda: compute_risk_parity(covariance=annual),
        ),
        _weigh(
            "Maximum Sharpe",
            "highest past mean for its volatility; a negative weight is a short",
            annual,
            lambda: compute_maximum_sharpe(covariance=annual, means=means.tolist()),
        ),
    ]
    return tuple(found)


def _weigh(
    name: str, words: str, covariance: FloatArray, make: Callable[[], FloatArray]
) -> ProposedWeights:
    try:
        weights = make()
        shares = compute_risk_contributions(covariance=covariance, weights=weights)
    except InvalidInput as error:
        return ProposedWeights(name=name, words=words, problem=f"{error.message.capitalize()}.")
    return ProposedWeights(
        name=name,
        words=words,
        weights=tuple(weights.tolist()),
        risk_shares=tuple(shares.tolist()),
        volatility=float(math.sqrt(weights @ covariance @ weights)),
    )


def score_names(instruments: Sequence[Instrument]) -> tuple[tuple[ScoredName, ...], str]:
    """Every instrument scored against the others, best first, or why none can be.

    Momentum: return over 90 days without the last seven.  Volatility: annualised, of 30 daily
    returns, lower is better.  Liquidity: mean traded value of a day over 30 days.  Value has no
    source for what is traded here and is left out.
    """
    if len(instruments) < NAMES_MIN:
        return (), f"A cross-section takes at least {NAMES_MIN} instruments with hourly candles."
    end = utc_midnight(utc_now())
    start = end - timedelta(days=MOMENTUM_DAYS + MOMENTUM_SKIPPED + 1)
    closes = read_daily_closes(instruments, start=start, end=end)
    traded = _read_turnover(instruments, start=end - timedelta(days=LIQUIDITY_DAYS), end=end)
    momentum = [_momentum(closes[item.symbol], end.date()) for item in instruments]
    spread = [_volatility(closes[item.symbol], end.date()) for item in instruments]
    liquidity = [traded.get(item.pk) for item in instruments]
    if all(value is None for value in (*momentum, *spread)):
        return (), "No instrument has the days of hourly candles that a factor takes."
    scores = compute_factor_scores(
        names=[item.symbol for item in instruments],
        sectors=[item.kind for item in instruments],
        factors=[
            Factor(name="momentum", values=tuple(momentum)),
            Factor(name="volatility", values=tuple(spread), higher_is_better=False),
            Factor(
                name="liquidity",
                values=tuple(None if v is None else math.log(v) for v in liquidity),
            ),
        ],
    )
    fifths = assign_quantiles(scores=scores, count=QUANTILES)
    rows = [
        ScoredName(
            symbol=item.symbol,
            kind=item.kind,
            momentum=momentum[at],
            volatility=spread[at],
            liquidity=liquidity[at],
            score=scores[at],
            quantile=fifths[at],
        )
        for at, item in enumerate(instruments)
    ]
    return tuple(sorted(rows, key=lambda row: (row.quantile or 99, -(row.score.score or 0.0)))), ""


def _read_turnover(
    instruments: Sequence[Instrument], *, start: datetime, end: datetime
) -> dict[int, float]:
    """Mean traded value a day by instrument, where any was traded."""
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT instrument_id, sum(volume * close)::float / %s FROM trading_candle
               WHERE instrument_id = ANY(%s) AND timeframe = '1h'
                 AND open_time >= %s AND open_time < %s
               GROUP BY 1 HAVING sum(volume * close) > 0""",
            [LIQUIDITY_DAYS, [item.pk for item in instruments], start, end],
        )
        return dict(cursor.fetchall())


def _momentum(closes: dict[date, float], today: date) -> float | None:
    last = closes.get(today - timedelta(days=MOMENTUM_SKIPPED + 1))
    first = closes.get(today - timedelta(days=MOMENTUM_DAYS + MOMENTUM_SKIPPED))
    return None if first is None or last is None else last / first - 1.0


def _volatility(closes: dict[date, float], today: date) -> float | None:
    days = [today - timedelta(days=back) for back in range(VOLATILITY_DAYS + 1, 0, -1)]
    if not all(day in closes for day in days):
        return None
    values = np.log([closes[day] for day in days])
    return float(np.diff(values).std(ddof=1) * math.sqrt(DAYS_A_YEAR))
