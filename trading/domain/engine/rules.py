"""Configuration of a run: instruments, slots, limits, reset policy.

A *slot* is one strategy on one instrument; it holds at most one position.  Prices are integer
ticks and quantities integer lots everywhere behind this module; one tick of one lot is worth
``tick_size * lot_size`` in the quote currency.  Rates are fractions (0.0005 is five basis points).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from statistics import NormalDist

from magnetfund.kernel.errors import InvalidInput
from risk.domain.fuse import FuseRules
from risk.domain.limits import NO_STRATEGY_LIMITS, Limits, StrategyLimits
from trading.domain.strategies.signals import DAY_MS, StrategyTraits

LEVERAGE_CEILING = 3.0
"""What the formula never exceeds, so a cap of this size changes nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TradedInstrument:
    """A linear perpetual as the engine trades it.

    ``slippage_rate`` moves a market or stop fill against the taker, ``fuse_slippage_rate`` a fill
    that the fuse forces.  ``gap_rate_floor`` is the class floor of the worst adverse hour.
    ``correlation_group`` names instruments that count as one for the position limit.
    ``leverage_cap`` is the smallest of venue, client class and, where it acts, evidence.
    """

    symbol: str
    tick_size: float
    lot_size: float
    notional_min: float = 5.0
    taker_fee_rate: float = 0.0005
    slippage_rate: float = 0.0002
    fuse_slippage_rate: float = 0.0010
    maintenance_rate: float = 0.004
    gap_rate_floor: float = 0.25
    correlation_group: int = 0
    leverage_cap: float = LEVERAGE_CEILING

    def __post_init__(self) -> None:
        for name in ("tick_size", "lot_size"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise InvalidInput(f"{name} must be positive", code="bad_instrument")
        for name in (
            "notional_min",
            "taker_fee_rate",
            "slippage_rate",
            "fuse_slippage_rate",
            "maintenance_rate",
            "gap_rate_floor",
        ):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise InvalidInput(f"{name} must not be negative", code="bad_instrument")
        if not self.leverage_cap > 0:
            raise InvalidInput("leverage_cap must be positive", code="bad_instrument")

    @property
    def tick_value(self) -> float:
        """Quote currency of one tick of one lot."""
        return self.tick_size * self.lot_size


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotRules:
    """One strategy on one instrument: the index of each, and the share of equity risked a trade.

    ``limits`` are the strategy's own beside the fund's; the stricter figure rules.
    """

    traits: StrategyTraits
    strategy: int
    instrument: int
    risk_share: float = 0.0035
    limits: StrategyLimits = NO_STRATEGY_LIMITS

    def __post_init__(self) -> None:
        if not 0.0 < self.risk_share <= 0.01:
            raise InvalidInput("risk a trade must lie in (0, 1 %]", code="risk_share")


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitRules:
    """The limits of a run as float64; shares are of equity, margin is equity committed.

    ``leverage_cap`` is the fund's own maximum.  ``volatility_target`` 0 leaves that cap
    unevaluated, and so does ``liquidation_quantile`` 0 for the chance of liquidation: it is the
    normal quantile of 1 - eps/2 for the chance eps over ``liquidation_years``.
    """

    margin_share_tier_1: float = 0.15
    margin_share_tier_2: float = 0.10
    margin_share_tier_3: float = 0.05
    margin_share_position: float = 0.20
    margin_share_group: float = 0.20
    margin_share_total: float = 0.50
    loss_at_stop_share: float = 0.01
    gap_share_position: float = 0.10
    gap_share_book: float = 0.15
    leverage_cap: float = LEVERAGE_CEILING
    volatility_target: float = 0.0
    liquidation_quantile: float = 0.0
    liquidation_years: float = 7.0 / 365.0
    stop_liquidation_share_max: float = 0.6

    @classmethod
    def of_limit_set(cls, limits: Limits) -> LimitRules:
        """The figures of an approved limit set."""
        return cls(
            margin_share_tier_1=float(limits.margin_share_tier_1),
            margin_share_tier_2=float(limits.margin_share_tier_2),
            margin_share_tier_3=float(limits.margin_share_tier_3),
            margin_share_position=float(limits.margin_share_position),
            margin_share_group=float(limits.margin_share_group),
            margin_share_total=float(limits.margin_share_total),
            loss_at_stop_share=float(limits.loss_at_stop_share),
            gap_share_position=float(limits.gap_share_position),
            gap_share_book=float(limits.gap_share_book),
            leverage_cap=float(limits.leverage_max),
            volatility_target=float(limits.volatility_target or 0),
            liquidation_quantile=NormalDist().inv_cdf(
                1.0 - float(limits.liquidation_probability_max) / 2.0
            ),
            liquidation_years=float(limits.liquidation_horizon_days) / 365.0,
            stop_liquidation_share_max=float(limits.stop_liquidation_share_max),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineRules:
    """Everything that a run is told: instruments, slots, limits, fuse, opening cash.

    ``bar_ms`` is the length of a bar, ``timeframe_ms`` that of the bars on whose closes the
    strategies decide; a run may execute on shorter bars than it decides on.  Slots are processed in
    their order, which also decides who gets the last of a shared limit.
    """

    instruments: tuple[TradedInstrument, ...]
    slots: tuple[SlotRules, ...]
    limits: LimitRules = field(default_factory=LimitRules)
    fuse: FuseRules = field(default_factory=FuseRules)
    bar_ms: int = 3_600_000
    timeframe_ms: int = 3_600_000
    cash_opening: float = 100_000.0

    def __post_init__(self) -> None:
        if not self.instruments or not self.slots:
            raise InvalidInput("a run needs an instrument and a slot", code="empty_run")
        if not (math.isfinite(self.cash_opening) and self.cash_opening > 0):
            raise InvalidInput("opening cash must be positive", code="opening_cash")
        if self.bar_ms <= 0 or DAY_MS % self.bar_ms:
            raise InvalidInput("bars must divide the day", code="bar_length")
        for slot in self.slots:
            if not 0 <= slot.instrument < len(self.instruments):
                raise InvalidInput("a slot names no instrument", code="slot_instrument")
        keys = {(slot.strategy, slot.instrument) for slot in self.slots}
        if len(keys) != len(self.slots):
            raise InvalidInput("a strategy appears twice on one instrument", code="slot_twice")
        own = {(slot.strategy, slot.limits) for slot in self.slots}
        if len(own) != len({slot.strategy for slot in self.slots}):
            raise InvalidInput("a strategy has two sets of limits", code="slot_limits")
        if sorted({slot.strategy for slot in self.slots}) != list(range(self.strategy_count)):
            raise InvalidInput("strategies are numbered 0, 1, ...", code="slot_strategy")

    @property
    def strategy_count(self) -> int:
        """How many strategies share the book; each has its own loss streak and lock."""
        return 1 + max(slot.strategy for slot in self.slots)

    def limits_of(self, strategy: int) -> StrategyLimits:
        """A strategy's own limits beside the fund's."""
        return next(slot.limits for slot in self.slots if slot.strategy == strategy)


BARE_FUSE = FuseRules(acting=False, market_acting=False)
"""A fuse that bears every loss and tests no market: for told stories alone."""


def bare_rules(rules: EngineRules) -> EngineRules:
    """The same run under bare rules: sizes within the ceilings of code, no fuse, no trigger."""
    return replace(rules, limits=LimitRules(), fuse=BARE_FUSE)
