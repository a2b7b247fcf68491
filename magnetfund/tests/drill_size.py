"""How much a drill does: a short seeded form for every change, everything with ``FULL=1``."""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")
IS_SHORT = os.environ.get("FULL") != "1"
#: What a short form draws its samples by.
SEED = int(os.environ.get("SEED", "20251121"))


def drilled(full: int) -> int:
    """Rounds of a drill that does ``full`` of them in its long form; a tenth in the short one."""
    return max(10, full // 10) if IS_SHORT else full


def sampled(items: Sequence[T], short: int) -> list[T]:
    """Every item in the long form; ``short`` of them in the short one, drawn by ``SEED``."""
    if not IS_SHORT:
        return list(items)
    drawn = random.Random(SEED).sample(range(len(items)), min(short, len(items)))
    return [items[number] for number in sorted(drawn)]
