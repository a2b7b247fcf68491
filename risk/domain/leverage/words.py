"""The reasoning of a leverage decision in words, with the real numbers."""

from __future__ import annotations

from collections.abc import Sequence

from risk.domain.leverage.types import (
    CapStatus,
    LeverageCap,
    LeverageCase,
    LeverageReason,
)

_REFUSAL_WORDS = {
    LeverageReason.BAD_PRICE: "the price is missing or not a positive number",
    LeverageReason.BAD_MAGNET_PRICE: "the magnet's price is not a positive number",
    LeverageReason.BAD_ATR: "the ATR is missing or not a positive number",
    LeverageReason.BAD_STRENGTH: "the strength is missing or not within 0 to 100",
    LeverageReason.BAD_CONFLICT: "the conflict index is missing or negative",
    LeverageReason.BAD_VOLATILITY: "the volatility pressure is missing or negative",
    LeverageReason.BAD_VOLATILITY_RATIO: "the volatility ratio is not a positive number",
    LeverageReason.BAD_SIDE: "the side is neither long nor short",
    LeverageReason.BAD_CAP_INPUT: "an input to a leverage cap is missing or invalid",
    LeverageReason.STALE_INPUT: "the data are stale",
    LeverageReason.NO_TARGET: "there is no target zone",
}


def build_refusal(reasons: Sequence[LeverageReason]) -> str:
    """Why the inputs were refused."""
    causes = "; ".join(_REFUSAL_WORDS[reason] for reason in reasons)
    return f"Tier 4: no trade, leverage 1.00x. Reason: {causes}."


def build_reasoning(
    *,
    case: LeverageCase,
    raw: float,
    formula: float,
    leverage: float,
    tier: int,
    size_factor: float,
    caps: Sequence[LeverageCap],
    reasons: Sequence[LeverageReason],
    evidence_leverage: float,
) -> str:
    """One paragraph: the formula with its numbers, clamp and boost, the binding cap, the tier."""
    parts = [_formula_words(case, raw)]
    if LeverageReason.UNMAPPED_SIDE in reasons:
        zones = case.opposite_zones
        parts.append(
            f"Only {zones} zones are known on the opposing side (3 required), so leverage is 1.00x."
        )
    else:
        parts.append(_clamp_words(raw, formula, LeverageReason.HIGH_TENSION in reasons))
    binding = next((cap for cap in caps if cap.status is CapStatus.BINDING), None)
    if binding is not None:
        parts.append(f"The {binding.name.replace('_', ' ')} cap binds: {binding.words}.")
    if size_factor < 1.0:
        parts.append(f"The cap is below 1.00x, so the size is reduced to {size_factor:.0%}.")
    advisory = next((cap for cap in caps if cap.status is CapStatus.ADVISORY), None)
    if advisory is not None and evidence_leverage < leverage:
        parts.append(f"Advisory, not applied: {advisory.words}.")
    parts.append(f"Leverage {leverage:.2f}x, tier {tier}{_tier_words(tier)}.")
    return " ".join(parts)


def _formula_words(case: LeverageCase, raw: float) -> str:
    price, magnet, atr = case.price or 0.0, case.magnet_price or 0.0, case.atr or 1.0
    strength, conflict, volatility = case.strength or 0.0, case.conflict or 0.0, case.volatility
    distance = abs(price - magnet) / atr
    where = "above" if magnet > price else "below"
    counted = "" if distance <= 3.0 else ", counted as 3.00"
    return (
        f"The magnet at {magnet:,.8g} lies {distance:.2f} ATR {where} the price of "
        f"{price:,.8g}{counted}; "
        f"strength {strength:.0f}, conflict {conflict:.2f}, volatility pressure {volatility:.2f}: "
        f"{min(distance, 3.0):.2f} x {strength / 100.0:.2f} / "
        f"(1 + {conflict:.2f} + {volatility:.2f}) = {raw:.2f}x."
    )


def _clamp_words(raw: float, formula: float, is_high_tension: bool) -> str:
    clamped = min(max(raw, 1.0), 2.5)
    if raw < 1.0:
        text = "Below the minimum, so 1.00x applies."
    elif raw > 2.5:
        text = "Above the maximum, so 2.50x applies."
    else:
        text = f"Within 1.00x to 2.50x it stands at {clamped:.2f}x."
    if is_high_tension:
        text += f" High tension (conflict and volatility below 0.15): x 1.2 = {formula:.2f}x."
    return text


def _tier_words(tier: int) -> str:
    return " (no position)" if tier == 4 else ""
