"""How much a drill does: a short seeded form for every change, everything with ``FULL=1``."""

from __future__ import annotations

import os

IS_SHORT = os.environ.get("FULL") != "1"


def drilled(full: int) -> int:
    """Rounds of a drill that does ``full`` of them in its long form; a tenth in the short one."""
    return max(10, full // 10) if IS_SHORT else full
