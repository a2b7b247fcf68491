"""Unusual options activity: four facts that must all hold.

Open interest is the one published before the trades.  The observation is known when the last trade
of its cluster was received.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import fmean, stdev

from magnetfund.kernel.errors import InvalidInput
from trading.domain.options.chain import Expiry, ReadOption

HISTORY_DAYS = 20
#: Width of a bucket of delta.
BUCKET_DELTA = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivityRules:
    """The least of each fact that counts as unusual."""

    volume_over_interest: float = 2.0
    volume_contracts: float = 500.0
    premium_score: float = 3.0
    ask_share: float = 0.6


@dataclass(frozen=True, slots=True, kw_only=True)
class OptionActivity:
    """One option's trades of a day.

    ``premium`` is the money paid; ``past_premiums`` that of the same delta bucket on each of the
    past 20 days, today not among them; ``ask_volume`` the contracts bought at the ask.
    """

    volume: float
    interest: float
    ask_volume: float
    premium: float
    past_premiums: Sequence[float]
    last_trade_ms: int

    def __post_init__(self) -> None:
        values = (self.volume, self.interest, self.ask_volume, self.premium, *self.past_premiums)
        if not all(math.isfinite(value) and value >= 0.0 for value in values):
            raise InvalidInput("activity is counted in finite numbers >= 0", code="bad_activity")
        if self.ask_volume > self.volume:
            raise InvalidInput("more was bought at the ask than traded", code="bad_activity")


class ActivityFact(StrEnum):
    """A fact that is missing for activity to be unusual."""

    VOLUME_OVER_INTEREST = "volume_over_interest"
    VOLUME = "volume"
    PREMIUM = "premium"
    ASK_SHARE = "ask_share"
    HISTORY = "history"


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivityVerdict:
    """``missing`` names what did not hold; None where a number has no meaning.

    ``volume_over_interest`` is None without open interest: any volume is then a new position.
    """

    missing: tuple[ActivityFact, ...]
    volume_over_interest: float | None
    premium_score: float | None
    ask_share: float | None
    known_at: int

    @property
    def is_unusual(self) -> bool:
        return not self.missing


def find_unusual_activity(
    *, activity: OptionActivity, rules: ActivityRules | None = None
) -> ActivityVerdict:
    """Judge one option's day.  Fewer than 20 past days are no history and never unusual."""
    least = rules or ActivityRules()
    past = activity.past_premiums[-HISTORY_DAYS:]
    ratio = activity.volume / activity.interest if activity.interest > 0.0 else None
    share = activity.ask_volume / activity.volume if activity.volume > 0.0 else None
    score = None
    if len(past) == HISTORY_DAYS and (spread := stdev(past)) > 0.0:
        score = (activity.premium - fmean(past)) / spread
    missing = []
    if ratio is not None and ratio < least.volume_over_interest:
        missing.append(ActivityFact.VOLUME_OVER_INTEREST)
    if activity.volume < least.volume_contracts:
        missing.append(ActivityFact.VOLUME)
    if score is None:
        missing.append(ActivityFact.HISTORY)
    elif score < least.premium_score:
        missing.append(ActivityFact.PREMIUM)
    if share is None or share < least.ask_share:
        missing.append(ActivityFact.ASK_SHARE)
    return ActivityVerdict(
        missing=tuple(missing),
        volume_over_interest=ratio,
        premium_score=score,
        ask_share=share,
        known_at=activity.last_trade_ms,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class TradedOption:
    """An option that traded, the money paid for it, and the verdict on it."""

    row: ReadOption
    premium: float
    verdict: ActivityVerdict


def sum_premiums(expiries: Sequence[Expiry], *, multiplier: float) -> dict[str, float]:
    """Money paid since the day began, by kind and bucket of delta."""
    found: dict[str, float] = defaultdict(float)
    for row, premium in _traded(expiries, multiplier):
        found[_bucket(row)] += premium
    return dict(found)


def judge_chain_activity(
    expiries: Sequence[Expiry],
    *,
    multiplier: float,
    stated_ms: int,
    interest: Mapping[tuple[str, float, int], float],
    past: Sequence[Mapping[str, float]],
) -> tuple[TradedOption, ...]:
    """Every option that traded, judged; the largest premium first.

    ``interest`` is the open interest published before, by kind, strike and expiry; ``past`` holds
    :func:`sum_premiums` of each day before, oldest first.  An option of which the venue does not
    say how much was bought at the ask is never unusual.
    """
    judged = [
        TradedOption(
            row=row,
            premium=premium,
            verdict=find_unusual_activity(
                activity=OptionActivity(
                    volume=row.option.volume or 0.0,
                    interest=interest.get(
                        (row.option.kind.value, row.option.strike, row.option.expires_ms), 0.0
                    ),
                    ask_volume=row.option.ask_volume or 0.0,
                    premium=premium,
                    past_premiums=[day.get(_bucket(row), 0.0) for day in past],
                    last_trade_ms=stated_ms,
                )
            ),
        )
        for row, premium in _traded(expiries, multiplier)
    ]
    return tuple(sorted(judged, key=lambda item: -item.premium))


def _traded(expiries: Sequence[Expiry], multiplier: float) -> Iterator[tuple[ReadOption, float]]:
    """Options with a volume, a delta and a price, each with the money paid for it."""
    for expiry in expiries:
        for row in expiry.options:
            price = row.option.middle_price
            if row.option.volume and row.greeks is not None and price is not None:
                yield row, row.option.volume * price * multiplier


def _bucket(row: ReadOption) -> str:
    delta = abs(row.greeks.delta) if row.greeks is not None else 0.0
    return f"{row.option.kind.value} {min(math.floor(delta / BUCKET_DELTA), 9)}"
