"""What is left of a result once everything that was tried is counted.

Sharpe ratios in records are per day; the annual ones that people read are sqrt(365) times them.
Sources: Bailey and Lopez de Prado (2014), the deflated Sharpe ratio; Bailey, Borwein, Lopez de
Prado and Zhu (2017), the probability of backtest overfitting by CSCV.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from magnetfund.kernel.errors import InvalidInput
from risk.domain.ratios import compute_sharpe_of_sums
from risk.domain.ratios.inference import (
    SharpeFacts,
    compute_deflated_sharpe,
    compute_expected_sharpe_max,
    compute_track_record_min,
)
from trading.domain.research.moments import CSCV_BLOCKS, DayMoments, find_block_edges

SURVIVES_FROM = 0.95
#: Below these the errors of a Sharpe ratio and of its skewness are no normal ones: three good days,
#: or two equal gains in five idle years, would pass any test that counts on them.
RECORD_DAYS_MIN, RECORD_TRADES_MIN = 90, 20
YEAR_DAYS = 365.0


class Verdict(StrEnum):
    """What may be said of a result."""

    NO_TRADES = "no_trades"
    STILL_OPEN = "still_open"
    TOO_SHORT = "too_short"
    LOSES = "loses_money"
    LUCK = "does_not_survive"
    SURVIVES = "survives"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialFacts:
    """One tried variant: daily Sharpe with what its error depends on."""

    sharpe: float
    days: int
    skewness: float
    kurtosis: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """A result beside its trials; ``luck`` is the annual Sharpe that chance alone would reach.

    ``deflated`` is the probability that the true Sharpe exceeds it, ``track_record_years`` what a
    record must last to show that with 95 % (infinite where the Sharpe does not exceed it).
    """

    verdict: Verdict
    trials: int
    sharpe: float
    luck: float
    deflated: float
    track_record_years: float
    headline: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialFamily:
    """All trials of a family: how many, and the variance of their daily Sharpe ratios (or None)."""

    trials: int
    variance: float | None = None

    def spread(self, days: int) -> float:
        """The variance that counts: never less than that of pure chance over ``days``.

        Variants of one rule resemble each other; a narrow spread of theirs is no proof of skill.
        """
        chance = 1.0 / max(days - 1, 1)
        known = self.variance if self.variance and math.isfinite(self.variance) else 0.0
        return max(known, chance)


def judge(
    *, facts: TrialFacts | None, family: TrialFamily, trades: int, is_open: bool = False
) -> Judgement:
    """Judge a result by its family, itself among it.

    ``trades`` are closed ones; ``is_open`` says that a position stood at the end.  Equity that
    moved without a closed trade says the same, where nobody counted the open ones.
    """
    trials = max(1, family.trials)
    if trades == 0:
        if not is_open and facts is None:
            return _say(Verdict.NO_TRADES, trials, "No trades", "nothing can be said of this rule")
        held = "what it opened is still held at its mark, so nothing can be said of this rule yet"
        return _say(Verdict.STILL_OPEN, trials, "No closed trade", held)
    if facts is None or not math.isfinite(facts.sharpe):
        return _say(
            Verdict.TOO_SHORT, trials, "Too short to judge",
            "it traded, but a Sharpe ratio needs the changes of three days",
        )  # fmt: skip
    year = math.sqrt(YEAR_DAYS)
    variance = family.spread(facts.days)
    luck = compute_expected_sharpe_max(trials=trials, trials_variance=variance)
    stated = SharpeFacts(
        sharpe=facts.sharpe, periods=facts.days, skewness=facts.skewness, kurtosis=facts.kurtosis
    )
    try:
        deflated = compute_deflated_sharpe(facts=stated, trials=trials, trials_variance=variance)
        needed = compute_track_record_min(facts=stated, benchmark=luck) / YEAR_DAYS
    except InvalidInput:
        deflated, needed = math.nan, math.inf
    counted = f"{trials:,} trial{'s' if trials > 1 else ''}"
    if facts.sharpe <= 0:
        verdict, headline = Verdict.LOSES, "Loses money"
        detail = f"Sharpe {facts.sharpe * year:.2f} after costs, {counted}"
    elif facts.days < RECORD_DAYS_MIN or trades < RECORD_TRADES_MIN:
        verdict, headline = Verdict.TOO_SHORT, "Too short to judge"
        detail = (
            f"{trades:,} closed trade{'s' if trades > 1 else ''} in {facts.days:,} days; "
            f"a verdict needs {RECORD_TRADES_MIN} in {RECORD_DAYS_MIN}"
        )
    elif deflated >= SURVIVES_FROM:
        verdict, headline = Verdict.SURVIVES, "Survives the count of its trials"
        detail = f"{counted}: luck alone would reach {luck * year:.2f}"
    else:
        verdict, headline = Verdict.LUCK, "Does not survive the count of its trials"
        detail = f"{counted}: luck alone would reach {luck * year:.2f}"
        if trials == 1:
            detail = "one trial, and its record is too short to tell it from chance"
    return Judgement(
        verdict=verdict,
        trials=trials,
        sharpe=facts.sharpe * year,
        luck=luck * year,
        deflated=deflated,
        track_record_years=needed,
        headline=headline,
        detail=detail,
    )


def _say(verdict: Verdict, trials: int, headline: str, detail: str) -> Judgement:
    return Judgement(
        verdict=verdict,
        trials=trials,
        sharpe=math.nan,
        luck=math.nan,
        deflated=math.nan,
        track_record_years=math.inf,
        headline=headline,
        detail=detail,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Overfitting:
    """CSCV: ``probability`` that the best variant in one half is below the median in the other.

    ``splits`` pairs of halves were looked at; ``best_unseen_median`` is the median relative rank
    (0 worst, 1 best) of the best one where it was not chosen.
    """

    probability: float
    splits: int
    best_unseen_median: float


def measure_overfitting(moments: DayMoments) -> Overfitting:
    """Probability of backtest overfitting of the daily returns of many variants.

    Combinatorially symmetric cross-validation: the days are cut into ten equal blocks, each half of
    them chosen in turn.  Raises :class:`InvalidInput` (``too_few``) for fewer than two variants or
    four days a block.
    """
    size = moments.days // CSCV_BLOCKS
    if moments.variants < 2 or size < 4:
        raise InvalidInput("too few variants or days to split", code="too_few")
    edges = find_block_edges(moments.days)
    parts = [moments.between(first, stop) for first, stop in itertools.pairwise(edges)]
    sums, squares = (np.stack([part[k] for part in parts]) for k in (0, 1))
    whole, whole_squares = sums.sum(axis=0), squares.sum(axis=0)
    below, ranks = 0, []
    splits = list(itertools.combinations(range(CSCV_BLOCKS), CSCV_BLOCKS // 2))
    count = size * CSCV_BLOCKS // 2
    for half in splits:
        chosen = list(half)
        first, second = sums[chosen].sum(axis=0), squares[chosen].sum(axis=0)
        seen = compute_sharpe_of_sums(sums=first, squares=second, count=count)
        best = int(np.argmax(seen))
        unseen = compute_sharpe_of_sums(
            sums=whole - first, squares=whole_squares - second, count=count
        )
        level = int((unseen == unseen[best]).sum())
        rank = (int((unseen < unseen[best]).sum()) + 0.5 * level) / moments.variants
        ranks.append(rank)
        below += rank < 0.5
    return Overfitting(
        probability=below / len(splits),
        splits=len(splits),
        best_unseen_median=float(np.median(ranks)),
    )
