"""Size one position: the largest whole number of lots that every law allows.

Invariants: with the final lots no law is broken; lots never rise with stop distance, fee, slippage
or gap, never fall with equity; rounding is always down; what cannot be sized safely is no trade
with a reason, never an exception.
"""

from __future__ import annotations

import math

from risk.domain.limits import DEFAULT_LIMITS, Limits, stricter
from risk.domain.sizing.core import (
    gap_loss_rate_core,
    is_stop_before_liquidation_core,
    liquidation_price_core,
    lots_core,
    stop_loss_rate_core,
)
from risk.domain.sizing.types import (
    SizeCap,
    SizeRoom,
    SizingCase,
    SizingDecision,
    SizingReason,
)
from risk.domain.sizing.words import build_sizing_reasoning, build_sizing_refusal


def size_position(*, case: SizingCase, limits: Limits = DEFAULT_LIMITS) -> SizingDecision:
    """The size of one trade, the law that set it, and its figures from the final lots (SIZ-1).

    Margin caps: the tier's, 20 % a position and a correlated group, 50 % in all; loss at the stop
    with fees, slippage and funding; loss in the worst hour for the position and for the book; the
    stop nearer than its share of the way to liquidation; lot and minimum notional.  A strategy's
    own limits stand beside the fund's, the stricter rules.  Never raises.
    """
    bad = _find_bad_input(case, limits)
    if bad:
        return _refuse(case, limits, bad)
    entry, stop, side = float(case.entry_price), float(case.stop_price or 0.0), _side_of(case)
    leverage = float(case.leverage)
    if case.tier is not None and not limits.margin_share_of_tier(case.tier) > 0:
        return _refuse(case, limits, [SizingReason.TIER_FOUR])
    liquidation = liquidation_price_of(case=case)
    reasons: list[SizingReason] = []
    if liquidation is None:
        reasons.append(SizingReason.LIQUIDATION_NOT_EVALUATED)
    elif not _is_stop_safe(case, limits, liquidation):
        return _refuse(case, limits, [SizingReason.STOP_BEYOND_LIQUIDATION])

    loss_rate = stop_loss_rate_core(
        entry,
        stop,
        case.fee_rate_in,
        case.slippage_rate_in,
        case.fee_rate_out,
        case.slippage_rate_out,
        case.funding_rate,
    )
    gap_rate = gap_loss_rate_core(
        entry,
        side,
        leverage,
        max(case.gap_rate, case.gap_rate_floor),
        case.fee_rate_in,
        case.fee_rate_out,
        case.is_isolated,
    )
    rooms = compute_rooms(case=case, limits=limits)
    lots, code = lots_core(
        entry,
        leverage,
        case.lot_units,
        loss_rate,
        gap_rate,
        rooms[SizeCap.RISK],
        rooms[SizeCap.TIER_MARGIN],
        rooms[SizeCap.POSITION_MARGIN],
        rooms[SizeCap.GROUP_MARGIN],
        rooms[SizeCap.TOTAL_MARGIN],
        rooms[SizeCap.GAP_POSITION],
        rooms[SizeCap.GAP_BOOK],
    )
    binding = SizeCap(code)
    shown = _show_rooms(case, rooms, binding, loss_rate, gap_rate)
    if lots <= 0 or lots * case.lot_units * entry < case.notional_min:
        reason = _why_nothing(rooms, binding, lots)
        return _refuse(
            case, limits, [reason], rooms=shown, binding=binding, liquidation=liquidation
        )
    return _decide(case, limits, lots, loss_rate, gap_rate, binding, shown, reasons, liquidation)


def liquidation_price_of(*, case: SizingCase) -> float | None:
    """The liquidation price given, or that of an isolated wallet in one tier; None if unknown.

    0.0 for a long that cannot be liquidated (1.0x).
    """
    if case.liquidation_price is not None:
        return float(case.liquidation_price)
    if case.maintenance_rate is None:
        return None
    return liquidation_price_core(
        float(case.entry_price), _side_of(case), float(case.leverage), float(case.maintenance_rate)
    )


def compute_rooms(*, case: SizingCase, limits: Limits) -> dict[SizeCap, float]:
    """Money that each law grants: the loss at the stop, free margins, free gap losses.

    Every room shrinks by the size factor, so a leverage cap of 0.6 leaves exactly 60 % of the size.
    """
    equity = float(case.equity)
    own = case.strategy_limits
    risk_share = float(stricter(limits.loss_at_stop_share, own.loss_at_stop_share))
    if case.risk_share is not None:
        risk_share = min(risk_share, float(case.risk_share))
    position_share = float(stricter(limits.margin_share_position, own.margin_share_position))
    tier_share = (
        position_share if case.tier is None else float(limits.margin_share_of_tier(case.tier))
    )
    factor = float(case.size_factor)
    free = {
        SizeCap.RISK: risk_share * equity,
        SizeCap.TIER_MARGIN: tier_share * equity,
        SizeCap.POSITION_MARGIN: position_share * equity - case.margin_open_instrument,
        SizeCap.GROUP_MARGIN: float(limits.margin_share_group) * equity
        - max(case.margin_open_group, case.margin_open_instrument),
        SizeCap.TOTAL_MARGIN: float(limits.margin_share_total) * equity - case.margin_open_total,
        SizeCap.GAP_POSITION: float(limits.gap_share_position) * equity
        - case.gap_loss_open_instrument,
        SizeCap.GAP_BOOK: float(limits.gap_share_book) * equity - case.gap_loss_open_book,
    }
    return {cap: money * factor for cap, money in free.items()}


def _is_number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer beyond float64
        return False


def _is_positive(value: object) -> bool:
    return _is_number(value) and value > 0  # type: ignore[operator]  # a number by the first test


def _is_not_negative(value: object) -> bool:
    return _is_number(value) and value >= 0  # type: ignore[operator]  # a number by the first test


def _side_of(case: SizingCase) -> int:
    if case.side is not None:
        return case.side
    return 1 if float(case.stop_price or 0.0) < float(case.entry_price) else -1


def _find_bad_input(case: SizingCase, limits: Limits) -> list[SizingReason]:
    bad: list[SizingReason] = []
    if not _is_positive(case.equity):
        bad.append(SizingReason.NO_EQUITY)
    if not _is_positive(case.entry_price):
        bad.append(SizingReason.BAD_ENTRY)
    if not _is_positive(case.stop_price) or case.stop_price == case.entry_price:
        bad.append(SizingReason.NO_STOP)
    elif _is_positive(case.entry_price) and case.side is not None:
        away = float(case.stop_price or 0.0) - float(case.entry_price)
        if case.side not in (1, -1) or away * case.side > 0:
            bad.append(SizingReason.STOP_WRONG_SIDE)
    if case.target_price is not None and not _is_positive(case.target_price):
        bad.append(SizingReason.BAD_TARGET)
    if not _is_number(case.leverage) or not 1.0 <= case.leverage <= float(limits.leverage_max):
        bad.append(SizingReason.BAD_LEVERAGE)
    if not _is_not_negative(case.size_factor) or case.size_factor > 1.0:
        bad.append(SizingReason.BAD_SIZE_FACTOR)
    if not _are_costs_sound(case):
        bad.append(SizingReason.BAD_COST)
    if not _is_book_sound(case):
        bad.append(SizingReason.BAD_BOOK)
    if not _is_positive(case.lot_units) or not _is_not_negative(case.notional_min):
        bad.append(SizingReason.BAD_LOT)
    return bad


def _are_costs_sound(case: SizingCase) -> bool:
    rates = (
        case.fee_rate_in,
        case.fee_rate_out,
        case.slippage_rate_in,
        case.slippage_rate_out,
        case.gap_rate,
        case.gap_rate_floor,
    )
    if not all(_is_not_negative(rate) for rate in rates) or not _is_number(case.funding_rate):
        return False
    if case.risk_share is not None and not _is_positive(case.risk_share):
        return False
    rate = case.maintenance_rate
    if rate is not None and not (_is_not_negative(rate) and rate < 1.0):
        return False
    if case.liquidation_price is not None and not _is_not_negative(case.liquidation_price):
        return False
    return _is_positive(case.stop_liquidation_share)


def _is_book_sound(case: SizingCase) -> bool:
    book = (
        case.margin_open_instrument,
        case.margin_open_group,
        case.margin_open_total,
        case.gap_loss_open_instrument,
        case.gap_loss_open_book,
    )
    return all(_is_not_negative(amount) for amount in book)


def _is_stop_safe(case: SizingCase, limits: Limits, liquidation: float) -> bool:
    share = min(float(case.stop_liquidation_share), float(limits.stop_liquidation_share_max))
    own = case.strategy_limits.stop_liquidation_share_max
    if own is not None:
        share = min(share, float(own))
    entry, stop = float(case.entry_price), float(case.stop_price or 0.0)
    if (liquidation - entry) * _side_of(case) >= 0.0 and liquidation > 0.0:
        return False  # liquidation on the profit side: the figures contradict themselves
    return is_stop_before_liquidation_core(entry, stop, liquidation, share)


def _why_nothing(rooms: dict[SizeCap, float], binding: SizeCap, lots: int) -> SizingReason:
    if lots > 0:
        return SizingReason.BELOW_MINIMUM
    return SizingReason.NO_ROOM if not rooms[binding] > 0.0 else SizingReason.BELOW_LOT


def _show_rooms(
    case: SizingCase,
    rooms: dict[SizeCap, float],
    binding: SizeCap,
    loss_rate: float,
    gap_rate: float,
) -> tuple[SizeRoom, ...]:
    entry, leverage = float(case.entry_price), float(case.leverage)
    words = {
        SizeCap.RISK: "loss at stop including fees, slippage and funding",
        SizeCap.TIER_MARGIN: "tier margin",
        SizeCap.POSITION_MARGIN: "margin headroom, this instrument",
        SizeCap.GROUP_MARGIN: "margin headroom, correlated instruments",
        SizeCap.TOTAL_MARGIN: "margin headroom, all positions",
        SizeCap.GAP_POSITION: "worst-hour loss, position",
        SizeCap.GAP_BOOK: "worst-hour loss, book",
    }
    per_unit = {SizeCap.RISK: loss_rate, SizeCap.GAP_POSITION: gap_rate, SizeCap.GAP_BOOK: gap_rate}
    shown = []
    for cap, money in rooms.items():
        cost = per_unit.get(cap, entry / leverage)
        notional = max(0.0, money) / cost * entry if cost > 0.0 else math.inf
        shown.append(
            SizeRoom(
                cap=cap,
                money=money,
                notional_max=notional,
                is_binding=cap is binding,
                words=words[cap],
            )
        )
    return tuple(shown)


def _decide(
    case: SizingCase,
    limits: Limits,
    lots: int,
    loss_rate: float,
    gap_rate: float,
    binding: SizeCap,
    rooms: tuple[SizeRoom, ...],
    reasons: list[SizingReason],
    liquidation: float | None,
) -> SizingDecision:
    equity, entry = float(case.equity), float(case.entry_price)
    quantity = lots * float(case.lot_units)
    notional = quantity * entry
    # The same products as in the law, so the figures shown can never exceed what was allowed.
    margin = lots * (float(case.lot_units) * entry / float(case.leverage))
    risk = lots * (float(case.lot_units) * loss_rate)
    gap_loss = lots * (float(case.lot_units) * gap_rate)
    side = _side_of(case)
    reward = None if case.target_price is None else _find_reward(case, quantity, side)
    return SizingDecision(
        case=case,
        limits_version=limits.version,
        lots=lots,
        quantity=quantity,
        notional=notional,
        margin=margin,
        margin_share=margin / equity,
        risk=risk,
        risk_share=risk / equity,
        gap_loss=gap_loss,
        reward=reward,
        reward_risk=None if reward is None else reward / risk,
        side=side,
        liquidation_price=liquidation,
        is_safe=True,
        binding_cap=binding,
        rooms=rooms,
        reasons=tuple(reasons),
        reasoning=build_sizing_reasoning(
            case=case,
            side=side,
            quantity=quantity,
            notional=notional,
            margin=margin,
            risk=risk,
            gap_loss=gap_loss,
            rooms=rooms,
            liquidation=liquidation,
        ),
    )


def _find_reward(case: SizingCase, quantity: float, side: int) -> float:
    """Profit at the target after fees, entry slippage and expected funding (a limit fills)."""
    entry, target = float(case.entry_price), float(case.target_price or 0.0)
    costs = entry * (case.fee_rate_in + case.slippage_rate_in) + target * case.fee_rate_out
    costs += entry * max(0.0, case.funding_rate)
    return quantity * ((target - entry) * side - costs)


def _refuse(
    case: SizingCase,
    limits: Limits,
    reasons: list[SizingReason],
    *,
    rooms: tuple[SizeRoom, ...] = (),
    binding: SizeCap = SizeCap.NONE,
    liquidation: float | None = None,
) -> SizingDecision:
    return SizingDecision(
        case=case,
        limits_version=limits.version,
        lots=0,
        quantity=0.0,
        notional=0.0,
        margin=0.0,
        margin_share=0.0,
        risk=0.0,
        risk_share=0.0,
        gap_loss=0.0,
        reward=None,
        reward_risk=None,
        side=0,
        liquidation_price=liquidation,
        is_safe=False,
        binding_cap=binding,
        rooms=rooms,
        reasons=tuple(reasons),
        reasoning=build_sizing_refusal(reasons, rooms),
    )
