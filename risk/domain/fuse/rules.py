"""The figures of the fuse as its functions take them: float64 and whole milliseconds.

:meth:`FuseRules.of_limit_set` is the only way from an approved limit set to what acts: the engine,
the checks of services and the pages all hold the rules that it made.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from magnetfund.kernel.errors import InvalidInput
from risk.domain.limits import Limits


class ResetPolicy(IntEnum):
    """When a scenario re-arms a tripped fuse; live re-arming is for two people."""

    NONE = 0  # never
    NEXT_DAY = 1  # every trip at the next 00:00 UTC
    COOLDOWN_7D = 2  # a daily loss at the next 00:00 UTC, a drawdown seven days after the trip

    @property
    def code(self) -> str:
        """The word that commands and records use."""
        return ("none", "next-day", "cooldown:7d")[self]

    @classmethod
    def parse(cls, text: str) -> ResetPolicy:
        """The policy of a command's word; raises :class:`InvalidInput` for another."""
        for policy in cls:
            if policy.code == text:
                return policy
        raise InvalidInput(f"unknown reset policy {text!r}", code="reset_policy")


@dataclass(frozen=True, slots=True, kw_only=True)
class FuseRules:
    """The fuse of a run.  With ``acting`` off nothing is tripped or cut, losses are only borne.

    ``market_acting`` switches the instrument triggers alone.  A bar's timers shorter than the bar
    act at the next close.  ``limits_version`` names the set that the figures came from.
    """

    acting: bool = True
    market_acting: bool = True
    daily_loss_share: float = 0.025
    drawdown_share: float = 0.05
    losses_in_a_row: int = 3
    volatility_ratio_max: float = 2.0
    conflict_max: float = 0.8
    liquidity_score_min: float = 30.0
    confirmation_bars: int = 2
    cut_share_min: float = 0.30
    cut_share_max: float = 0.70
    no_new_trades_ms: int = 180_000
    rearm_after_clear_ms: int = 300_000
    equity_age_max_ms: int = 180_000
    second_drawdown_days: float = 30.0
    warning_share: float = 0.75
    reset_policy: ResetPolicy = ResetPolicy.COOLDOWN_7D
    limits_version: int = 0

    @classmethod
    def of_limit_set(
        cls, limits: Limits, *, reset_policy: ResetPolicy = ResetPolicy.NONE
    ) -> FuseRules:
        """Every fuse figure of an approved limit set; ``reset_policy`` is for scenarios only."""
        return cls(
            daily_loss_share=float(limits.daily_loss_share),
            drawdown_share=float(limits.drawdown_share),
            losses_in_a_row=int(limits.losses_in_a_row_count),
            volatility_ratio_max=float(limits.volatility_ratio_max),
            conflict_max=float(limits.conflict_max),
            liquidity_score_min=float(limits.liquidity_score_min),
            confirmation_bars=int(limits.confirmation_bars),
            cut_share_min=float(limits.cut_share_min),
            cut_share_max=float(limits.cut_share_max),
            no_new_trades_ms=int(limits.no_new_trades_s * 1000),
            rearm_after_clear_ms=int(limits.rearm_after_clear_s * 1000),
            equity_age_max_ms=int(limits.equity_age_max_s * 1000),
            second_drawdown_days=float(limits.second_drawdown_days),
            warning_share=float(limits.warning_share),
            reset_policy=reset_policy,
            limits_version=limits.version,
        )
