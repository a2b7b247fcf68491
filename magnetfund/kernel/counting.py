"""Counts in words: "1 study", "12 studies"."""

from __future__ import annotations


def count_of(number: int, one: str, many: str = "") -> str:
    """The number with its noun; ``many`` is the plural where it is not ``one`` with an s."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
