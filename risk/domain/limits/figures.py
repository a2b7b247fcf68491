"""The figures of a limit set: which way is tighter, and how far code lets a person go.

Shares are fractions (0.025 is 2.5 %), leverage a multiple, times seconds unless the name says
otherwise.  Each figure carries its default, its hard ceiling and its tight direction; a stored
limit set may be tighter than the ceiling, never looser.  The ceiling lives in code on purpose:
neither a database row nor a role can lift it.
"""

# ruff: noqa: RUF009 - _figure only wraps dataclasses.field, it makes no shared mutable default

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from magnetfund.kernel.clock import require_utc
from magnetfund.kernel.errors import InvalidInput
from magnetfund.kernel.money import decimal_of


class Tighter(StrEnum):
    """The direction in which a figure becomes more careful."""

    LOWER = "lower"
    HIGHER = "higher"


@dataclass(frozen=True, slots=True, kw_only=True)
class FigureRule:
    """What is known of one figure: default, hard ceiling, tight direction, absolute range, words.

    ``ceiling`` is the loosest value that code accepts: an upper bound where lower is tighter, a
    lower bound where higher is tighter.  ``bound`` is the other end of the sensible range.
    """

    name: str
    default: Decimal | None
    ceiling: Decimal
    bound: Decimal
    tighter: Tighter
    words: str

    @property
    def is_count(self) -> bool:
        """Whether the figure counts things or steps and must be whole."""
        return self.name.endswith(("_count", "_count_max", "_bars", "_level"))


def _figure(
    default: str | None,
    *,
    ceiling: str,
    words: str,
    tighter: Tighter = Tighter.LOWER,
    bound: str = "0",
) -> Any:
    metadata = {"ceiling": ceiling, "tighter": tighter, "bound": bound, "words": words}
    return field(default=None if default is None else Decimal(default), metadata=metadata)


_HIGHER = Tighter.HIGHER


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """One immutable version of every limit; the defaults are the house's figures.

    ``version`` 0 is the set in code.  Figures are exact Decimals; the float64 decisions convert
    each of them once.
    Raises :class:`InvalidInput` (``limit_*``) for a figure that is no number, looser than its hard
    ceiling or outside its range.
    """

    version: int = 0
    effective_from: datetime = datetime(1970, 1, 1, tzinfo=UTC)

    # Leverage
    leverage_max: Decimal = _figure("3.0", ceiling="3.0", bound="1", words="leverage per position")
    volatility_target: Decimal | None = _figure(
        None, ceiling="3.0", words="annualised volatility of equity aimed at; empty: cap not used"
    )
    liquidation_probability_max: Decimal = _figure(
        "0.001", ceiling="0.01", words="probability of liquidation over the holding period"
    )
    liquidation_horizon_days: Decimal = _figure(
        "7",
        ceiling="1",
        bound="365",
        tighter=_HIGHER,
        words="holding period for that probability, days",
    )

    evidence_level: Decimal = _figure(
        "1",
        ceiling="0",
        bound="2",
        tighter=_HIGHER,
        words="evidence of magnets on leverage: 0 off, 1 shown beside, 2 enforced as a cap",
    )

    # Sizing: margin is equity committed
    margin_share_tier_1: Decimal = _figure("0.15", ceiling="0.15", words="margin per tier 1 trade")
    margin_share_tier_2: Decimal = _figure("0.10", ceiling="0.10", words="margin per tier 2 trade")
    margin_share_tier_3: Decimal = _figure("0.05", ceiling="0.05", words="margin per tier 3 trade")
    margin_share_position: Decimal = _figure("0.20", ceiling="0.20", words="margin per position")
    margin_share_group: Decimal = _figure(
        "0.20", ceiling="0.20", words="margin of correlated positions"
    )
    correlation_group_min: Decimal = _figure(
        "0.7", ceiling="0.7", words="absolute correlation at which positions count as one group"
    )
    margin_share_total: Decimal = _figure("0.50", ceiling="0.50", words="margin of all positions")
    loss_at_stop_share: Decimal = _figure(
        "0.01", ceiling="0.01", words="loss at stop including all costs"
    )
    gap_share_position: Decimal = _figure("0.10", ceiling="0.10", words="worst-hour loss, position")
    gap_share_book: Decimal = _figure("0.15", ceiling="0.15", words="worst-hour loss, book")
    stop_liquidation_share_max: Decimal = _figure(
        "0.6",
        ceiling="0.6",
        words="maximum share of the distance to liquidation at which a stop may be placed",
    )

    # Fuse
    daily_loss_share: Decimal = _figure("0.025", ceiling="0.025", words="loss per UTC day")
    drawdown_share: Decimal = _figure("0.05", ceiling="0.05", words="drawdown from peak")
    volatility_ratio_max: Decimal = _figure(
        "2.0", ceiling="2.0", words="volatility ratio, short over long"
    )
    conflict_max: Decimal = _figure("0.8", ceiling="0.8", words="conflict index C")
    opposite_distance_atr: Decimal = _figure(
        "3", ceiling="3", bound="6", tighter=_HIGHER, words="range for opposing zones, in ATR"
    )
    liquidity_score_min: Decimal = _figure(
        "30", ceiling="30", bound="100", tighter=_HIGHER, words="liquidity score, 0 to 100"
    )
    confirmation_bars: Decimal = _figure(
        "2", ceiling="2", bound="1", words="closed bars before conflict or trend flip counts"
    )
    losses_in_a_row_count: Decimal = _figure(
        "3",
        ceiling="3",
        bound="1",
        words="consecutive losing trades that lock a strategy for the day",
    )
    equity_age_max_s: Decimal = _figure("180", ceiling="300", words="age of the unit value")
    cut_share_min: Decimal = _figure(
        "0.30",
        ceiling="0.30",
        bound="1",
        tighter=_HIGHER,
        words="position cut per episode at severity 0",
    )
    cut_share_max: Decimal = _figure(
        "0.70",
        ceiling="0.70",
        bound="1",
        tighter=_HIGHER,
        words="position cut per episode at severity 1",
    )
    no_new_trades_s: Decimal = _figure(
        "180", ceiling="180", bound="86400", tighter=_HIGHER, words="no new trades after a cut"
    )
    rearm_after_clear_s: Decimal = _figure(
        "300", ceiling="300", bound="86400", tighter=_HIGHER, words="wait after a condition cleared"
    )
    warning_share: Decimal = _figure(
        "0.75", ceiling="0.75", words="share of a threshold from which a warning shows"
    )
    second_drawdown_days: Decimal = _figure(
        "30",
        ceiling="30",
        bound="366",
        tighter=_HIGHER,
        words="days within which a second drawdown reset needs a director",
    )

    # Pre-trade control
    price_collar_share: Decimal = _figure(
        "0.02", ceiling="0.05", words="order price away from the reference"
    )
    price_drift_share: Decimal = _figure(
        "0.10", ceiling="0.20", words="move of the reference within its window"
    )
    price_age_max_s: Decimal = _figure("120", ceiling="300", words="age of the reference price")
    order_value_max: Decimal = _figure(
        "500000", ceiling="10000000", words="value of one order, fund currency"
    )
    position_notional_share_max: Decimal = _figure(
        "0.60", ceiling="0.60", words="exposure to one instrument as a multiple of equity"
    )
    gross_notional_share_max: Decimal = _figure(
        "1.50", ceiling="1.50", words="gross exposure as a multiple of equity"
    )
    net_notional_share_max: Decimal = _figure(
        "1.50", ceiling="1.50", words="net exposure as a multiple of equity"
    )
    orders_per_second_count_max: Decimal = _figure("5", ceiling="20", words="orders per second")
    orders_per_minute_count_max: Decimal = _figure("60", ceiling="300", words="orders per minute")
    closing_reserve_share: Decimal = _figure(
        "0.25", ceiling="0.25", bound="0.9", tighter=_HIGHER, words="message rate kept for closing"
    )
    duplicate_window_s: Decimal = _figure(
        "10", ceiling="5", bound="3600", tighter=_HIGHER, words="window of the duplicate check"
    )
    unreviewed_executions_count_max: Decimal = _figure(
        "100", ceiling="500", words="live executions of a strategy between two reviews by a person"
    )
    live_approved_trades_count: Decimal = _figure(
        "10",
        ceiling="10",
        bound="10000",
        tighter=_HIGHER,
        words="first live trades of a strategy that a person approves one by one",
    )

    def __post_init__(self) -> None:
        if self.version < 0:
            raise InvalidInput("a version is 0 or more", code="limit_version")
        object.__setattr__(self, "effective_from", require_utc(self.effective_from))
        for rule in FIGURES.values():
            given = getattr(self, rule.name)
            if given is None and rule.default is None:
                continue
            if given is None:
                raise InvalidInput(f"{rule.name} is missing", code="limit_missing")
            number = decimal_of(given)
            object.__setattr__(self, rule.name, number)
            problem = find_problem(rule=rule, number=number)
            if problem is not None:
                raise InvalidInput(
                    f"{rule.name} {number} is {problem.replace('_', ' ')}",
                    code=f"limit_{problem}",
                    details={"figure": rule.name, "ceiling": str(rule.ceiling)},
                )
        if self.cut_share_min > self.cut_share_max:
            raise InvalidInput("the smallest cut exceeds the largest", code="limit_order")

    def margin_share_of_tier(self, tier: int) -> Decimal:
        """Margin that a trade of a magnet tier may commit, as a share of equity; tier 4 is none."""
        return {
            1: self.margin_share_tier_1,
            2: self.margin_share_tier_2,
            3: self.margin_share_tier_3,
        }.get(tier, Decimal(0))


def find_problem(*, rule: FigureRule, number: Decimal) -> str | None:
    """Why a figure is refused: ``above_ceiling``, ``out_of_range``, ``not_whole``, or None."""
    if rule.tighter is Tighter.LOWER:
        is_loose, is_out = number > rule.ceiling, number < rule.bound
    else:
        is_loose, is_out = number < rule.ceiling, number > rule.bound
    if is_loose:
        return "above_ceiling"
    if is_out:
        return "out_of_range"
    if rule.is_count and number != number.to_integral_value():
        return "not_whole"
    return None


FIGURES: Mapping[str, FigureRule] = {
    f.name: FigureRule(
        name=f.name,
        default=f.default,  # type: ignore[arg-type]  # dataclasses.field hides the default's type
        ceiling=Decimal(f.metadata["ceiling"]),
        bound=Decimal(f.metadata["bound"]),
        tighter=f.metadata["tighter"],
        words=f.metadata["words"],
    )
    for f in fields(Limits)
    if "ceiling" in f.metadata
}
"""Every figure by name, in the order of :class:`Limits`."""

HARD_CEILINGS: Mapping[str, Decimal] = {name: rule.ceiling for name, rule in FIGURES.items()}
"""The loosest value of each figure that code accepts."""

#: Figures that came after sets had been signed: such a set is read with their defaults.
LATER_FIGURES = ("evidence_level",)

DEFAULT_LIMITS = Limits()
"""Version 0: the figures in code."""
