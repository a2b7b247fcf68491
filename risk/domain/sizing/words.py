"""The reasoning of a size in words, with the real numbers."""

from __future__ import annotations

from collections.abc import Sequence

from risk.domain.sizing.types import SizeRoom, SizingCase, SizingReason

_REFUSAL_WORDS = {
    SizingReason.NO_EQUITY: "equity is missing or not positive",
    SizingReason.BAD_ENTRY: "the entry price is missing or not positive",
    SizingReason.NO_STOP: "a stop is mandatory and must differ from the entry",
    SizingReason.STOP_WRONG_SIDE: "the stop lies on the profit side",
    SizingReason.BAD_TARGET: "the target is not a positive number",
    SizingReason.BAD_LEVERAGE: "leverage is below 1.0 or above the limit",
    SizingReason.BAD_SIZE_FACTOR: "the size factor is not within 0 to 1",
    SizingReason.BAD_COST: "a cost, gap or risk figure is missing or invalid",
    SizingReason.BAD_BOOK: "a figure of the open positions is missing or invalid",
    SizingReason.BAD_LOT: "the lot size or minimum notional is missing or invalid",
    SizingReason.TIER_FOUR: "tier 4 trades are not allowed (margin limit 0 %)",
    SizingReason.STOP_BEYOND_LIQUIDATION: "the stop is too close to the liquidation price",
    SizingReason.NO_ROOM: "no headroom is left under a limit",
    SizingReason.BELOW_LOT: "the limits allow less than one lot",
    SizingReason.BELOW_MINIMUM: "the size allowed is under the venue's minimum notional",
    SizingReason.LIQUIDATION_NOT_EVALUATED: "the distance to liquidation was not evaluated",
}


def build_sizing_refusal(reasons: Sequence[SizingReason], rooms: Sequence[SizeRoom]) -> str:
    """Why there is no trade, with the law that left no room where one did."""
    causes = "; ".join(_REFUSAL_WORDS[reason] for reason in reasons)
    binding = next((room for room in rooms if room.is_binding), None)
    tail = "" if binding is None else f" ({binding.words}: headroom {binding.money:,.2f})"
    return f"No trade: {causes}{tail}."


def build_sizing_reasoning(
    *,
    case: SizingCase,
    side: int,
    quantity: float,
    notional: float,
    margin: float,
    risk: float,
    gap_loss: float,
    rooms: Sequence[SizeRoom],
    liquidation: float | None,
) -> str:
    """One paragraph: the size, its shares of equity, the law that set it, what liquidation says."""
    equity = float(case.equity)
    word = "Long" if side > 0 else "Short"
    parts = [
        f"{word} {quantity:,.8g} at {case.entry_price:,.8g}: notional {notional:,.2f}, margin "
        f"{margin:,.2f} ({margin / equity:.2%} of equity) at {case.leverage:.2f}x.",
        f"Loss at stop {case.stop_price:,.8g}: {risk:,.2f} ({risk / equity:.2%} "
        f"of equity) including "
        f"costs. Worst-hour loss: {gap_loss:,.2f} ({gap_loss / equity:.2%} of equity).",
    ]
    binding = next((room for room in rooms if room.is_binding), None)
    if binding is not None:
        parts.append(
            f"Size set by {binding.words}: {binding.money:,.2f}, notional at most "
            f"{binding.notional_max:,.2f}."
        )
    if liquidation is None:
        parts.append("The distance to liquidation was not evaluated.")
    elif liquidation > 0.0:
        parts.append(f"Liquidation price {liquidation:,.8g}.")
    return " ".join(parts)
