"""Limits of one strategy beside the fund's: the stricter one rules, figure by figure."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from magnetfund.kernel.errors import InvalidInput


@dataclass(frozen=True, slots=True, kw_only=True)
class StrategyLimits:
    """What one strategy is held to; None leaves the fund's figure alone.

    ``loss_at_stop_share`` is the share of equity risked a trade, ``margin_share_position`` the
    margin of a position, ``daily_loss_share`` the day's loss (share of the fund's equity) that
    locks the strategy until the next 00:00 UTC, ``losses_in_a_row_count`` likewise,
    ``stop_liquidation_share_max`` how far on the way to liquidation its stop may lie.
    """

    loss_at_stop_share: Decimal | None = None
    margin_share_position: Decimal | None = None
    daily_loss_share: Decimal | None = None
    losses_in_a_row_count: int | None = None
    stop_liquidation_share_max: Decimal | None = None

    def __post_init__(self) -> None:
        for name in self.__slots__:
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise InvalidInput(f"{name} must be positive", code="limit_out_of_range")


NO_STRATEGY_LIMITS = StrategyLimits()
"""A strategy without limits of its own."""

OPTION_STRATEGY_LIMITS = StrategyLimits(
    loss_at_stop_share=Decimal("0.02"),
    margin_share_position=Decimal("0.05"),
    daily_loss_share=Decimal("0.03"),
    losses_in_a_row_count=3,
)
"""The option strategies: 2 % risk (the fund's 1 % rules), 5 % position, -3 % a day, 3 losses."""


def stricter(fund: Decimal, strategy: Decimal | None) -> Decimal:
    """The smaller of the fund's figure and the strategy's."""
    return fund if strategy is None or fund <= strategy else strategy
