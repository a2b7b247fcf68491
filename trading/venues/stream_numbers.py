"""Numbers out of the texts of a stream: nothing that is none is believed, and most are judged fast.

Prices and sizes that are written plainly, nearly all of them, are judged many at once and without
Decimals; the others one by one, and both ways give the same answer.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

#: A number as the venue writes it; Python's own readers take underscores and other digits.
_NUMBER = re.compile(r"-?[0-9]{1,32}(\.[0-9]{1,32})?([eE][+-]?[0-9]{1,3})?")
#: Numbers below the upper bound as a venue writes most of them, without sign or exponent.
_PLAIN = re.compile(r"[0-9]{1,11}(?:\.[0-9]{1,20})?(?:/[0-9]{1,11}(?:\.[0-9]{1,20})?)*")
#: Levels of a book, each a price that is clearly none too small and a size, written plainly.
_LEVEL = (
    r"(?:[1-9][0-9]{0,10}(?:\.[0-9]{1,20})?|0\.0{0,11}[1-9][0-9]{0,8})"
    r"/[0-9]{1,11}(?:\.[0-9]{1,20})?"
)
_LEVELS = re.compile(f"{_LEVEL}(?:/{_LEVEL})*")
#: Bounds of what can be a price or a quantity.
SMALLEST, LARGEST = Decimal("1e-12"), Decimal("1e11")
_SMALLEST = float(SMALLEST)


def candle_figures(texts: Sequence[Any]) -> tuple[float, float, float, float, float] | None:
    """Open, high, low, close and volume out of their texts; None where they make no candle."""
    figures = _plain(texts)
    if figures is None:
        prices, volume = [positive(text) for text in texts[:4]], finite(texts[4])
        if None in prices or volume is None or volume < 0:
            return None
        figures = [float(value) for value in (*prices, volume) if value is not None]
    o, h, low, c, v = figures
    return (o, h, low, c, v) if _SMALLEST <= low <= min(o, c) <= max(o, c) <= h else None


def are_levels(levels: Sequence[Any]) -> bool:
    """Whether each level of a book has a price and a quantity, which may be none.

    Books are most of what a stream tells, so levels that are written plainly are judged at once.
    """
    if not levels:
        return True
    if set(map(type, levels)) == {list} and set(map(len, levels)) == {2}:
        texts = [text for level in levels for text in level]
        if set(map(type, texts)) == {str}:
            joined = "/".join(texts)
            if joined.count("/") == len(texts) - 1 and _LEVELS.fullmatch(joined):
                return True
    return all(_is_level(level) for level in levels)


def _is_level(level: Any) -> bool:
    if not isinstance(level, list) or len(level) < 2:
        return False
    quantity = finite(level[1])
    return positive(level[0]) is not None and quantity is not None and 0 <= quantity < LARGEST


def _plain(texts: Sequence[Any]) -> list[float] | None:
    """The numbers of texts that are all written plainly, each in [0, 1e11); None for others.

    The nearest float of such a text is that of its Decimal.
    """
    try:
        if _PLAIN.fullmatch("/".join(texts)) is None:
            return None
        return [float(text) for text in texts]
    except (TypeError, ValueError):  # something else than a text, or a text that holds a slash
        return None


def positive(text: Any) -> Decimal | None:
    """A positive finite number out of a message's text; None for anything else."""
    value = finite(text)
    return value if value is not None and SMALLEST <= value < LARGEST else None


def finite(text: Any) -> Decimal | None:
    if not isinstance(text, str) or _NUMBER.fullmatch(text) is None:
        return None
    try:
        value = Decimal(text)
    except InvalidOperation:
        return None
    return value if value.is_finite() else None
