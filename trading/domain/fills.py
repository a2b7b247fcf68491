"""The fill model: at which price and for how many lots a bar executes what rests at a venue.

The scalar functions work on integer ticks and lots and use nothing but arithmetic, so that the
paper venue calls them as they are and a compiled kernel compiles the very same source.  Sides are
+1 buy or long, -1 sell or short; a price of 0 means "none".  The dataclasses below wrap them.

Rules of a bar (their version is part of every stored run):

1. The open: a liquidation price gapped over fills at the open; else a gapped stop fills at the
   open with slippage, a gapped target at the better open; then market orders, with slippage.
2. Inside the bar the stop comes before the target.  Of stop and liquidation the one nearer to the
   open wins.  A stop pays slippage, a target does not.  Stop and target both inside one bar make
   it *ambiguous*: counted, and decided against the position.
3. A limit order fills only when price trades through it by one tick, at its price or a better open.
4. An order fills at most a tenth of the bar's volume; the rest waits for the next bar.

Protection is live on the entry bar: a position opened at the open is tested by the same bar.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from magnetfund.kernel.errors import InvalidInput
from risk.domain.pretrade import OrderType
from trading.domain.backtest.book import CloseReason
from trading.domain.backtest.scalars import is_beyond, is_reached, slipped_ticks

FILL_RULES_VERSION = "bar-fills.1"

VOLUME_SHARE_MAX = 0.10
THROUGH_TICKS = 1
# CloseReason as plain numbers: the compiler takes no enumerations.
_NOTHING, _TARGET, _STOP, _LIQUIDATION = 0, 1, 2, 7


def find_open_exit(
    open_ticks: int,
    side: int,
    stop_ticks: int,
    target_ticks: int,
    liquidation_ticks: int,
    slippage_rate: float,
) -> tuple[int, int]:
    """What the open does to a position of ``side``: (close reason, price), (0, 0) for nothing."""
    if is_beyond(open_ticks, liquidation_ticks, side):
        return _LIQUIDATION, open_ticks
    if is_beyond(open_ticks, stop_ticks, side):
        return _STOP, slipped_ticks(open_ticks, -side, slippage_rate)
    if is_reached(open_ticks, target_ticks, side):
        return _TARGET, open_ticks
    return _NOTHING, 0


def find_bar_exit(
    high_ticks: int,
    low_ticks: int,
    side: int,
    stop_ticks: int,
    target_ticks: int,
    liquidation_ticks: int,
    slippage_rate: float,
) -> tuple[int, int, bool]:
    """What the inside of a bar does to a position that its open left alone.

    Returns (close reason, price, ambiguous); (0, 0, False) for nothing.
    """
    worst = low_ticks if side > 0 else high_ticks
    best = high_ticks if side > 0 else low_ticks
    target_met = is_reached(best, target_ticks, side)
    has_stop = stop_ticks > 0
    nearer = liquidation_ticks > 0 and (not has_stop or (liquidation_ticks - stop_ticks) * side > 0)
    if nearer:
        if is_beyond(worst, liquidation_ticks, side):
            return _LIQUIDATION, liquidation_ticks, target_met
    elif is_beyond(worst, stop_ticks, side):
        return _STOP, slipped_ticks(stop_ticks, -side, slippage_rate), target_met
    if target_met:
        return _TARGET, target_ticks, False
    return _NOTHING, 0, False


def find_limit_fill(
    open_ticks: int, high_ticks: int, low_ticks: int, side: int, limit_ticks: int, through: int
) -> int:
    """Price of a resting limit order of ``side``, 0 unless traded through by ``through`` ticks."""
    if side > 0:
        if low_ticks <= limit_ticks - through:
            return min(open_ticks, limit_ticks)
    elif high_ticks >= limit_ticks + through:
        return max(open_ticks, limit_ticks)
    return 0


def find_stop_fill(
    open_ticks: int,
    high_ticks: int,
    low_ticks: int,
    side: int,
    trigger_ticks: int,
    slippage_rate: float,
) -> int:
    """Price of a resting stop-market order of ``side``, 0 while its trigger is not met.

    A sell stop fills at the lower of open and trigger, a buy stop at the higher, with slippage.
    """
    if side > 0:
        if high_ticks >= trigger_ticks:
            return slipped_ticks(max(open_ticks, trigger_ticks), side, slippage_rate)
    elif low_ticks <= trigger_ticks:
        return slipped_ticks(min(open_ticks, trigger_ticks), side, slippage_rate)
    return 0


def find_take_profit_fill(
    open_ticks: int, high_ticks: int, low_ticks: int, side: int, trigger_ticks: int
) -> int:
    """Price of a resting take-profit order of ``side``: its trigger or the better open, else 0."""
    if side > 0:
        if low_ticks <= trigger_ticks:
            return min(open_ticks, trigger_ticks)
    elif high_ticks >= trigger_ticks:
        return max(open_ticks, trigger_ticks)
    return 0


def find_fill_lots(lots_open: int, volume_lots: int, volume_share_max: float) -> int:
    """How many of the open lots a bar with this volume may fill, rounded down."""
    return max(0, min(lots_open, math.floor(volume_lots * volume_share_max)))


@dataclass(frozen=True, slots=True, kw_only=True)
class BarTicks:
    """One closed bar in ticks; ``volume_lots`` None where volume does not bound the fill."""

    open: int
    high: int
    low: int
    close: int
    volume_lots: int | None = None

    def __post_init__(self) -> None:
        bottom, top = min(self.open, self.close), max(self.open, self.close)
        if not 0 < self.low <= bottom <= top <= self.high:
            raise InvalidInput("a bar needs 0 < low <= open, close <= high", code="bounds")


@dataclass(frozen=True, slots=True, kw_only=True)
class FillRules:
    """The parameters of the fill model; ``slippage_rate`` is half spread plus impact."""

    slippage_rate: float = 0.0002
    through_ticks: int = THROUGH_TICKS
    volume_share_max: float = VOLUME_SHARE_MAX

    def __post_init__(self) -> None:
        if not 0.0 <= self.slippage_rate < 1.0 or not 0.0 < self.volume_share_max <= 1.0:
            raise InvalidInput("shares must lie in [0, 1)", code="bad_fill_rules")
        if self.through_ticks < 0:
            raise InvalidInput("a limit is met or passed", code="bad_fill_rules")


@dataclass(frozen=True, slots=True, kw_only=True)
class RestingOrder:
    """What a venue holds of an order: ``lots`` still open, ``price_ticks`` its limit or trigger.

    A market order has no price; it executes at the open of the next bar.
    """

    side: int
    type: OrderType
    lots: int
    price_ticks: int | None = None

    def __post_init__(self) -> None:
        if self.side not in (1, -1) or self.lots <= 0:
            raise InvalidInput("an order has a side and lots", code="bad_order")
        if (self.price_ticks is None) != (self.type is OrderType.MARKET):
            raise InvalidInput("a price goes with all but market orders", code="bad_order")
        if self.price_ticks is not None and self.price_ticks <= 0:
            raise InvalidInput("a price is positive", code="bad_order")


@dataclass(frozen=True, slots=True, kw_only=True)
class BarFill:
    """Lots filled by a bar; ``lots`` may be fewer than were open."""

    lots: int
    price_ticks: int
    gapped: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Protection:
    """The levels of a position of ``side`` in ticks; None where there is none."""

    side: int
    stop_ticks: int | None = None
    target_ticks: int | None = None
    liquidation_ticks: int | None = None

    def __post_init__(self) -> None:
        if self.side not in (1, -1):
            raise InvalidInput("the side is +1 or -1", code="bad_side")


@dataclass(frozen=True, slots=True, kw_only=True)
class BarExit:
    """How a bar takes a position out; ``gapped`` at the open, ``ambiguous`` as of rule 2."""

    reason: CloseReason
    price_ticks: int
    gapped: bool
    ambiguous: bool


def fill_order(*, order: RestingOrder, bar: BarTicks, rules: FillRules) -> BarFill | None:
    """What a bar fills of a resting order, None for nothing."""
    lots = order.lots
    if bar.volume_lots is not None:
        lots = find_fill_lots(lots, bar.volume_lots, rules.volume_share_max)
    price = _order_price(order, bar, rules)
    if lots == 0 or price == 0:
        return None
    level = order.price_ticks
    gapped = level is not None and (
        (order.type is OrderType.STOP and (bar.open - level) * order.side > 0)
        or (order.type is not OrderType.STOP and (bar.open - level) * order.side < 0)
    )
    return BarFill(lots=lots, price_ticks=price, gapped=gapped)


def _order_price(order: RestingOrder, bar: BarTicks, rules: FillRules) -> int:
    if order.price_ticks is None:
        return slipped_ticks(bar.open, order.side, rules.slippage_rate)
    level = order.price_ticks
    if order.type is OrderType.LIMIT:
        return find_limit_fill(bar.open, bar.high, bar.low, order.side, level, rules.through_ticks)
    if order.type is OrderType.STOP:
        return find_stop_fill(bar.open, bar.high, bar.low, order.side, level, rules.slippage_rate)
    return find_take_profit_fill(bar.open, bar.high, bar.low, order.side, level)


def find_exit(*, protection: Protection, bar: BarTicks, rules: FillRules) -> BarExit | None:
    """How a bar takes a protected position out, None if it survives.

    The whole bar counts, as for a position held before it or opened at its open.
    """
    side = protection.side
    stop = protection.stop_ticks or 0
    target = protection.target_ticks or 0
    liquidation = protection.liquidation_ticks or 0
    reason, price = find_open_exit(bar.open, side, stop, target, liquidation, rules.slippage_rate)
    gapped, ambiguous = reason != _NOTHING, False
    if not gapped:
        reason, price, ambiguous = find_bar_exit(
            bar.high, bar.low, side, stop, target, liquidation, rules.slippage_rate
        )
    if reason == _NOTHING:
        return None
    return BarExit(
        reason=CloseReason(reason), price_ticks=price, gapped=gapped, ambiguous=ambiguous
    )
