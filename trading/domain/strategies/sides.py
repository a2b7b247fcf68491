"""The decisions of a rule that is on the side of a difference's sign, in compiled loops."""

from __future__ import annotations

from typing import Any

# Reasons as plain numbers: the compiler takes no enumerations.
ENTRY, WARM_UP, NO_DIRECTION = 1, 2, 4
NAN = float("nan")


def place_level(close: float, side: int, atr_multiple: float, atr: float) -> float:
    """The price so many ATR against ``side`` from a close; NaN where it would be no price.

    A multiple below zero lies on the other side: a target.
    """
    price = close - side * atr_multiple * atr
    return price if price > 0.0 else NAN


def decide_sides(above: Any, below: Any, atr: Any, enter: Any, leave: Any, reason: Any) -> None:
    """Write one row per bar; a NaN measure or an ATR that is not positive is a warm-up.

    One loop an array: the compiler then works on many bars at a time.
    """
    for k in range(above.shape[0]):
        value = above[k] - below[k]
        ready = (value == value) & (atr[k] > 0.0)
        # 3 leaves both sides, 2 the short one, 1 the long one, 0 none.
        leave[k] = ready * (3 - (value > 0.0) - 2 * (value < 0.0))
    for k in range(above.shape[0]):
        enter[k] = (leave[k] == 2) - 1 * (leave[k] == 1)
    for k in range(above.shape[0]):
        reason[k] = (
            ENTRY + (leave[k] == 0) * (WARM_UP - ENTRY) + (leave[k] == 3) * (NO_DIRECTION - ENTRY)
        )


def place_levels(
    close: Any, enter: Any, atr: Any, stop_atr: float, target_atr: float, stop: Any, target: Any
) -> None:
    """Stop and target of every entry, NaN elsewhere; ``target_atr`` 0 is no target."""
    for k in range(enter.shape[0]):
        stop[k] = NAN
        target[k] = NAN
        if enter[k] != 0:
            stop[k] = place_level(close[k], enter[k], stop_atr, atr[k])
            if target_atr != 0.0:
                target[k] = place_level(close[k], enter[k], -target_atr, atr[k])
