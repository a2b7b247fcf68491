"""Rows of the risk app: limits, fuse states and events, resets, pre-trade checks, reservations.

PostgreSQL says the state of the fuse (``risk_fuse_state``): the fund is TRIPPED or DISARMED while
any such event has no reset that names it, an instrument is REDUCING until a clearing that saw its
newest episode.  Transitions, events, limits and checks are append-only; an ``ARMED`` row for the
fund takes an approved ``FuseReset``, and the order gate of the trading app reads these very rows.
``book`` names the trading book; scope ``fund`` is the whole book, any other scope an instrument.
"""

from __future__ import annotations

from risk.models.checks import PreTradeCheck, Reservation, RiskMeasure
from risk.models.fuse import (
    FUND_SCOPE,
    FuseEvent,
    FuseReset,
    FuseStopReset,
    FuseTransition,
    StrategyLock,
)
from risk.models.limits import LimitProposal, LimitSet
from risk.models.walls import FuseBarrier, FuseLatch, ScenarioClock, WallInstance

__all__ = [
    "FUND_SCOPE",
    "FuseBarrier",
    "FuseEvent",
    "FuseLatch",
    "FuseReset",
    "FuseStopReset",
    "FuseTransition",
    "LimitProposal",
    "LimitSet",
    "PreTradeCheck",
    "Reservation",
    "RiskMeasure",
    "ScenarioClock",
    "StrategyLock",
    "WallInstance",
]
