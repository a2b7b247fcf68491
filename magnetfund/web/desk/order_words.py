"""Why a sleeve decided and why an order was refused, in words: every code that can be carried."""

from __future__ import annotations

from collections.abc import Iterable

from trading.models import Order

CODE_WORDS = {
    # the ticket
    "price_collar": "The price has moved too far since the preview. Preview the order again.",
    "position_open": "A manual position is already open in this instrument. Close it first.",
    "not_by_hand": "The fund does not trade this instrument by hand: its manual sleeve is missing "
    "or paused. Add or resume it under Market, Instruments.",
    "order_waiting": "A manual order is already pending in this instrument. Wait until it is "
    "filled or cancelled.",
    # the size
    "risk": "The loss at stop would exceed the limit per trade.",
    "tier_margin": "The margin would exceed the limit for this tier.",
    "gap_position": "The worst-hour loss of this position would exceed the limit per position.",
    "gap_book": "The worst-hour loss of all positions would exceed the limit for the book.",
    "no_equity": "The fund's equity is not available. Wait for the next valuation.",
    "bad_entry": "The entry price is missing or not a positive number.",
    "no_stop": "A stop price is required and must differ from the entry price.",
    "stop_wrong_side": "The stop price is on the profit side of the current price. Place a long's "
    "stop below it, a short's above it.",
    "bad_target": "The target price is not a positive number.",
    "bad_leverage": "Leverage must be between 1.00x and the fund's limit.",
    "tier_four": "Tier 4 trades are not allowed: their margin limit is 0 %.",
    "stop_beyond_liquidation": "The stop is too close to the liquidation price. "
    "Move it nearer to the entry price or reduce leverage.",
    "no_room": "No headroom is left under one of the limits; see the preview.",
    "below_lot": "The size is below one lot. Increase it.",
    "below_minimum": "The order is below the venue's minimum order size.",
    # the pre-trade check
    "order_shape": "A figure in the order is missing or not a positive number.",
    "allowlist": "This instrument is not on the fund's list of permitted instruments.",
    "restricted": "This instrument is on the restricted list.",
    "mode": "This trading mode is not enabled for the fund.",
    "event_blackout": "A dated event bars entries in this instrument now; see Risk, Events. "
    "Closing is allowed.",
    "fuse_state": "The survival fuse is not armed, so no order can add exposure. Closing "
    "is allowed.",
    "market_trigger": "A market trigger of the fuse holds in this instrument and would cut the "
    "position. The preview names it with its value and threshold.",
    "strategy_lock": "Manual orders are locked until the next 00:00 UTC after consecutive losses.",
    "engine_state": "The trading engine has not reconciled yet. No order can add exposure until "
    "it has.",
    "stale_price": "The latest price is stale. Wait for a new price.",
    "price_drift": "The price moved by more than the limit within the check window.",
    "tick_size": "A price is not a multiple of the instrument's tick size.",
    "lot_size": "The quantity is not a multiple of the lot size.",
    "minimum_notional": "The order is below the venue's minimum order size.",
    "order_value": "The order value exceeds the limit per order.",
    "order_quantity": "The order exceeds the venue's maximum order size.",
    "protective_stop": "An entry needs a stop on its loss side: below a long's price, above a "
    "short's.",
    "loss_at_stop": "The loss at stop would exceed the limit per trade.",
    "gap_loss_position": "The worst-hour loss of this position would exceed the limit per "
    "position.",
    "gap_loss_book": "The worst-hour loss of all positions would exceed the limit for the book.",
    "leverage": "Leverage of this order exceeds the fund's limit.",
    "book_leverage": "Fund leverage after this order would exceed the limit.",
    "position_notional": "Exposure to this instrument would exceed its limit.",
    "position_margin": "Margin in this instrument would exceed its limit.",
    "group_margin": "Margin in correlated instruments would exceed its limit.",
    "total_margin": "Total margin would exceed its limit.",
    "gross_exposure": "Gross exposure would exceed its limit.",
    "net_exposure": "Net exposure would exceed its limit.",
    "message_rate_second": "The limit of orders per second is reached. Try again in a moment.",
    "message_rate_minute": "The limit of orders per minute is reached. Try again in a minute.",
    "repeat_throttle": "The limit of unreviewed repeat orders is reached. A person must review "
    "them first.",
    "duplicate": "An identical order was sent moments ago.",
    "self_cross": "The order would trade against another order of the fund (self-trade).",
    "live_evidence": "The evidence required for live trading above 1.00x is missing.",
    "live_approval": "This live order needs a person's approval.",
    "order_gate": "The database's order control blocked this order.",
}


#: Why a sleeve opens or does not.
DECISION_WORDS = {
    "entry": "Entry signal.",
    "warm_up": "Not enough closed candles yet (warm-up).",
    "no_direction": "No direction from the slow trend.",
    "no_target": "No zone within range is strong enough.",
    "unmapped_side": "Fewer than three zones are known on the opposing side.",
    "tier": "Tier 4: strength, conflict or volatility is outside its limit.",
    "target_too_near": "The target is too close to cover trading costs.",
    "trend_disagrees": "Fast and slow trends point in different directions.",
    "conflict": "Conflict is above its limit: opposing zones are too strong.",
    "opposite_stronger": "The strongest zone is on the opposing side.",
    "not_decision_bar": "This sleeve decides once per day, at 00:00 UTC.",
    "nothing": "No change.",
    "event_blackout": "A dated event bars entries; see Risk, Events.",
}


def say_decision(reason: str) -> str:
    """A sentence for the reason of a sleeve's decision; an unknown one is shown as it is."""
    return DECISION_WORDS.get(reason, reason.replace("_", " "))


def say_codes(codes: Iterable[str]) -> list[str]:
    """A sentence per denial code; unknown codes are shown as they are."""
    return [CODE_WORDS.get(code, f"Denied: {code.replace('_', ' ')}.") for code in codes]


#: States whose own word is the trade's jargon.
STATE_WORDS = {"ACKED": "Acknowledged", "PARTIALLY_FILLED": "Partially filled"}


def say_order(purpose: str, strategy: str) -> str:
    """Purpose and owner of an order."""
    if purpose == "manual":
        return "manual close"
    return f"{purpose}, {'manual' if strategy == 'manual' else strategy}"


def say_state(state: str, order: Order) -> str:
    """Label of an order state; acknowledged stops and targets are shown as "Resting"."""
    if state == "ACKED" and order.state == "ACKED" and order.purpose in ("stop", "target"):
        return "Resting"
    return STATE_WORDS.get(state, state.replace("_", " ").capitalize())
