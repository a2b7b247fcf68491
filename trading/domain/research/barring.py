"""Signals of a backtest without the entries that dated events bar."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from trading.domain.market.blackouts import Blackout, mark_barred
from trading.domain.strategies.signals import Reason, Signals


def bar_entries(events: Sequence[Blackout], symbol: str, signals: Signals) -> Signals:
    """The signals without entries near the events; exits stay."""
    barred = mark_barred(events, symbol=symbol, known_at=signals.known_at)
    barred &= signals.direction != 0
    if not barred.any():
        return signals
    reason = np.where(barred, int(Reason.EVENT_BLACKOUT), signals.reason)
    return replace(
        signals,
        direction=np.where(barred, 0, signals.direction).astype(signals.direction.dtype),
        reason=reason.astype(signals.reason.dtype),
    )
