"""Why an order was refused, in words: every code that a ticket, a size or a check can carry."""

from __future__ import annotations

from collections.abc import Iterable

from trading.models import Order

CODE_WORDS = {
    # the ticket
    "price_collar": "The price moved too far from the one you decided on; look again.",
    "position_open": "A position by hand is open in this instrument; close it first.",
    "order_waiting": "An order by hand waits in this instrument; let it finish first.",
    # the size
    "risk": "The loss at the stop would be more than one trade may lose.",
    "tier_margin": "The margin would be more than this tier may commit.",
    "gap_position": "The worst hour of this position would cost more than one position may.",
    "gap_book": "The worst hour of all positions would cost more than the book may lose.",
    "no_equity": "The fund's equity is not known.",
    "bad_entry": "The entry price makes no sense.",
    "no_stop": "A stop is needed, and it must differ from the price.",
    "stop_wrong_side": "The stop lies on the winning side of the present price.",
    "bad_target": "The target makes no sense.",
    "bad_leverage": "Leverage lies between 1.0x and the fund's limit.",
    "tier_four": "Tier 4 commits no margin.",
    "stop_beyond_liquidation": "The stop lies too far on the way to liquidation; "
    "bring it nearer or take less leverage.",
    "no_room": "A limit is used up.",
    "below_lot": "Less than one lot; take more.",
    "below_minimum": "Less than the venue's smallest order.",
    # the pre-trade check
    "order_shape": "A figure of the order makes no sense.",
    "allowlist": "This instrument is not on the list of what may be traded.",
    "restricted": "This instrument is restricted.",
    "mode": "The fund does not trade in this mode.",
    "fuse_state": "The survival fuse is not armed; nothing can add exposure.",
    "strategy_lock": "Orders by hand are locked after losses in a row.",
    "engine_state": "The engine has not reconciled; it adds no exposure until it has.",
    "stale_price": "The newest price is too old.",
    "price_drift": "The price moved too much within minutes.",
    "tick_size": "A price is not on the instrument's tick.",
    "lot_size": "The quantity is not in whole lots.",
    "minimum_notional": "Less than the venue's smallest order.",
    "order_value": "The order is worth more than one order may be.",
    "order_quantity": "More than the venue takes in one order.",
    "protective_stop": "An entry needs a stop on its losing side.",
    "loss_at_stop": "The loss at the stop would be more than a trade may lose.",
    "gap_loss_position": "The worst hour of this position would cost more than one may.",
    "gap_loss_book": "The worst hour of all positions would cost more than the book may lose.",
    "leverage": "More leverage than the fund allows.",
    "book_leverage": "The whole fund would have more leverage than allowed.",
    "position_notional": "The position would be worth more than one instrument may.",
    "position_margin": "The margin of this instrument would be too large.",
    "group_margin": "The margin of instruments that move together would be too large.",
    "total_margin": "The margin of the whole book would be too large.",
    "gross_exposure": "All positions together would be worth too much.",
    "net_exposure": "The fund would lean too far to one side.",
    "message_rate_second": "Too many orders within a second.",
    "message_rate_minute": "Too many orders within a minute.",
    "repeat_throttle": "The same order was repeated too often.",
    "duplicate": "The same order was sent moments ago.",
    "self_cross": "It would trade against an order of our own.",
    "live_evidence": "The evidence asked for before live trading is missing.",
    "live_approval": "A person must approve this live order.",
    "order_gate": "The database refused it.",
}


def say_codes(codes: Iterable[str]) -> list[str]:
    """A sentence for each code; an unknown one is named as it stands."""
    return [CODE_WORDS.get(code, f"Refused: {code.replace('_', ' ')}.") for code in codes]


#: States whose own word is the trade's jargon.
STATE_WORDS = {"ACKED": "Acknowledged", "PARTIALLY_FILLED": "Partly filled"}


def say_order(purpose: str, strategy: str) -> str:
    """What an order is for and whose it is."""
    if purpose == "manual":
        return "closed by hand"
    return f"{purpose}, {'by hand' if strategy == 'manual' else strategy}"


def say_state(state: str, order: Order) -> str:
    """A state in a word; protection that waits at the venue rests there."""
    if state == "ACKED" and order.state == "ACKED" and order.purpose in ("stop", "target"):
        return "Resting"
    return STATE_WORDS.get(state, state.replace("_", " ").capitalize())
