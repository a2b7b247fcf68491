"""What a sizing decision is asked and what it answers.

Money and prices are float64 in the quote currency, rates and shares fractions, margin is equity
committed (notional = margin * leverage).  ``lot_units`` is the amount of the base that one lot
holds, contract multiplier included; lots are integers.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum, StrEnum

from risk.domain.limits import NO_STRATEGY_LIMITS, StrategyLimits


class SizeCap(IntEnum):
    """Which law set the size; the numbers are those of the compiled kernel."""

    NONE = 0
    RISK = 1
    TIER_MARGIN = 2
    POSITION_MARGIN = 3
    GROUP_MARGIN = 4
    TOTAL_MARGIN = 5
    GAP_POSITION = 6
    GAP_BOOK = 7

    @property
    def code(self) -> str:
        """The stable word for APIs and records."""
        return self.name.lower()


class SizingReason(StrEnum):
    """Why there is no trade, or what else must be known about the size."""

    NO_EQUITY = "no_equity"
    BAD_ENTRY = "bad_entry"
    NO_STOP = "no_stop"
    STOP_WRONG_SIDE = "stop_wrong_side"
    BAD_TARGET = "bad_target"
    BAD_LEVERAGE = "bad_leverage"
    BAD_SIZE_FACTOR = "bad_size_factor"
    BAD_COST = "bad_cost"
    BAD_BOOK = "bad_book"
    BAD_LOT = "bad_lot"
    TIER_FOUR = "tier_four"
    STOP_BEYOND_LIQUIDATION = "stop_beyond_liquidation"
    NO_ROOM = "no_room"
    BELOW_LOT = "below_lot"
    BELOW_MINIMUM = "below_minimum"
    LIQUIDATION_NOT_EVALUATED = "liquidation_not_evaluated"


@dataclass(frozen=True, slots=True, kw_only=True)
class SizingCase:
    """One case.

    ``equity`` is the latest reconciled one less pending withdrawals.  ``side`` None is read from
    the stop (below the entry is long).  ``tier`` None means that the strategy's margin is bound by
    the position limit alone (fixed-leverage strategies).  ``funding_rate`` is the expected funding
    over the holding time as a share of notional (a gain counts as 0).  ``gap_rate`` is the worst
    adverse hour known for the side; the larger of it and ``gap_rate_floor`` counts.
    ``is_isolated`` False drops the isolated wallet's shelter from the gap law.  ``risk_share`` is
    the strategy's own risk a trade; limits can only make it smaller.
    ``maintenance_rate`` or ``liquidation_price`` (the latter rules) lets the stop be compared with
    liquidation.  The ``*_open`` figures are the present book with open orders at their worst fill.
    """

    equity: float
    entry_price: float
    stop_price: float | None
    leverage: float
    lot_units: float
    tier: int | None = None
    side: int | None = None
    target_price: float | None = None
    size_factor: float = 1.0
    notional_min: float = 0.0
    fee_rate_in: float = 0.0005
    fee_rate_out: float = 0.0005
    slippage_rate_in: float = 0.0002
    slippage_rate_out: float = 0.0002
    funding_rate: float = 0.0
    gap_rate: float = 0.0
    gap_rate_floor: float = 0.25
    is_isolated: bool = True
    risk_share: float | None = None
    maintenance_rate: float | None = None
    liquidation_price: float | None = None
    stop_liquidation_share: float = 0.5
    margin_open_instrument: float = 0.0
    margin_open_group: float = 0.0
    margin_open_total: float = 0.0
    gap_loss_open_instrument: float = 0.0
    gap_loss_open_book: float = 0.0
    strategy_limits: StrategyLimits = field(default=NO_STRATEGY_LIMITS)


@dataclass(frozen=True, slots=True, kw_only=True)
class SizeRoom:
    """One law: the money it grants (loss or margin) and the notional that this allows."""

    cap: SizeCap
    money: float
    notional_max: float
    is_binding: bool
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SizingDecision:
    """The answer; every figure is computed from the final, rounded lots.

    ``quantity`` = lots * lot_units.  ``risk`` is the loss at the stop with fees, slippage and
    expected funding, ``gap_loss`` the one in the worst hour.  ``*_share`` are shares of equity.
    ``reward`` is the profit at the target after costs, None without a target; ``reward_risk``
    their ratio.  ``is_safe`` says that there is a trade; with no trade every figure is 0.
    """

    case: SizingCase
    limits_version: int
    lots: int
    quantity: float
    notional: float
    margin: float
    margin_share: float
    risk: float
    risk_share: float
    gap_loss: float
    reward: float | None
    reward_risk: float | None
    side: int
    liquidation_price: float | None
    is_safe: bool
    binding_cap: SizeCap
    rooms: tuple[SizeRoom, ...]
    reasons: tuple[SizingReason, ...]
    reasoning: str
