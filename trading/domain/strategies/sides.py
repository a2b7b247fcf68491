"""The decisions of a rule that is on the side of a difference's sign, in one compiled loop."""

from __future__ import annotations

from typing import Any

# Reasons as plain numbers: the compiler takes no enumerations.
ENTRY, WARM_UP, NO_DIRECTION = 1, 2, 4
NAN = float("nan")


def decide_sides(
    above: Any,
    below: Any,
    close: Any,
    atr: Any,
    stop_atr: float,
    target_atr: float,
    enter: Any,
    leave: Any,
    reason: Any,
    stop: Any,
    target: Any,
) -> None:
    """Write one row per bar; a NaN measure or an ATR that is not positive is a warm-up.

    A stop or target that would not be a positive price is NaN.
    """
    for k in range(above.shape[0]):
        value, reach = above[k] - below[k], atr[k]
        enter[k] = 0
        leave[k] = 0
        stop[k] = NAN
        target[k] = NAN
        if value != value or not reach > 0.0:
            reason[k] = WARM_UP
            continue
        if value == 0.0:
            reason[k] = NO_DIRECTION
            leave[k] = 3
            continue
        side = 1 if value > 0.0 else -1
        enter[k] = side
        leave[k] = 2 if side > 0 else 1
        reason[k] = ENTRY
        price = close[k] - side * stop_atr * reach
        if price > 0.0:
            stop[k] = price
        if target_atr != 0.0:
            price = close[k] + side * target_atr * reach
            if price > 0.0:
                target[k] = price
