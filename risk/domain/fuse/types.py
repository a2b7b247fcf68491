"""State, measurements, gauges and events of the fuse.

Unit values are float64 and flow-adjusted (gross value a unit): subscriptions and redemptions never
move them.  Times are aware UTC.  A figure that has no source is None and is shown as such, never
taken as fine.

Invariants: the fund's state is ARMED, TRIPPED or DISARMED; REDUCING belongs to an instrument and
counts only while the fund is ARMED.  Only :func:`risk.domain.fuse.resets.arm` leads to ARMED.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

FUND_SCOPE = "fund"


class FuseState(StrEnum):
    """Exposure may grow only while ARMED."""

    ARMED = "ARMED"
    REDUCING = "REDUCING"
    TRIPPED = "TRIPPED"
    DISARMED = "DISARMED"


class Trigger(StrEnum):
    """Everything that the fuse watches."""

    DAILY_LOSS = "daily_loss"
    DRAWDOWN = "drawdown"
    EQUITY_STALE = "equity_stale"
    RECONCILIATION_BREAK = "reconciliation_break"
    MANUAL = "manual"
    VOLATILITY = "volatility"
    CONFLICT = "conflict"
    OPPOSITE_MAGNET = "opposite_magnet"
    TREND_FLIP = "trend_flip"
    LIQUIDITY = "liquidity"
    LOSS_STREAK = "loss_streak"
    STRATEGY_DAILY_LOSS = "strategy_daily_loss"


FUND_TRIGGERS = (
    Trigger.DAILY_LOSS,
    Trigger.DRAWDOWN,
    Trigger.EQUITY_STALE,
    Trigger.RECONCILIATION_BREAK,
    Trigger.MANUAL,
)
MARKET_TRIGGERS = (
    Trigger.VOLATILITY,
    Trigger.CONFLICT,
    Trigger.OPPOSITE_MAGNET,
    Trigger.TREND_FLIP,
    Trigger.LIQUIDITY,
)


class GaugeStatus(StrEnum):
    """How a trigger stands; ``not_tested`` is one that needs an open position and has none."""

    OK = "ok"
    WARN = "warn"
    OVER = "over"
    NO_SOURCE = "no_source"
    NOT_TESTED = "not_tested"


class EventKind(StrEnum):
    """What an evaluation or a person did."""

    TRIP = "trip"
    REDUCE = "reduce"
    DEEPEN = "deepen"
    CLEARED = "cleared"
    REARM = "rearm"
    LOCK = "lock"
    UNLOCK = "unlock"
    WARNING = "warning"
    DISARM = "disarm"
    ARM = "arm"


class FuseAction(StrEnum):
    """What the event asks of the caller."""

    CLOSE_ALL = "close_all"
    CUT_EXPOSURE = "cut_exposure"
    STOP_ENTRIES = "stop_entries"
    ALLOW_ENTRIES = "allow_entries"
    NOTIFY = "notify"


class Reconciliation(StrEnum):
    """The latest reconciliation of positions and cash against the venue."""

    CLEAN = "clean"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True, kw_only=True)
class LatchedTrigger:
    """A fund trigger that tripped and waits for its reset; value and threshold as measured."""

    trigger: Trigger
    tripped_at: datetime
    value: float | None
    threshold: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReducingEpisode:
    """REDUCING on one instrument.

    ``cut_share`` is the cut so far as a share of the exposure at the start; it only grows.
    ``no_new_trades_until`` is fixed at the start and moved by a deepening; ``cleared_at`` is the
    first evaluation without a condition, None while one holds.
    """

    instrument: str
    trigger: Trigger
    severity: float
    cut_share: float
    started_at: datetime
    no_new_trades_until: datetime
    cleared_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StrategyMemory:
    """Loss streak and lock of a strategy.

    ``last_sequence`` is the number of the last round trip counted, so a repeat counts once.
    """

    strategy: str
    losses_in_a_row: int = 0
    last_sequence: int = 0
    locked_until: datetime | None = None
    locked_by: Trigger | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionMemory:
    """How many closed bars in a row a position's conflict and trend stood against it."""

    position_id: str
    last_bar_at: datetime
    conflict_bars: int = 0
    flip_bars: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class FuseSnapshot:
    """The fuse's memory between two evaluations; what a service stores.

    ``peak`` is the running maximum of the unit value since the later of inception and the last
    drawdown reset, ``peak_unreset`` since inception.  ``day`` is the 00:00 UTC that began the day
    of ``day_start``.  ``latched`` survives a disarming.  ``warned`` holds ``scope/trigger`` keys.
    """

    state: FuseState = FuseState.DISARMED
    since: datetime | None = None
    latched: tuple[LatchedTrigger, ...] = ()
    unit_value: float | None = None
    unit_value_at: datetime | None = None
    day: datetime | None = None
    day_start: float | None = None
    peak: float | None = None
    peak_unreset: float | None = None
    drawdown_resets: tuple[datetime, ...] = ()
    episodes: tuple[ReducingEpisode, ...] = ()
    strategies: tuple[StrategyMemory, ...] = ()
    positions: tuple[PositionMemory, ...] = ()
    warned: frozenset[str] = frozenset()

    def state_of(self, instrument: str) -> FuseState:
        """The state that an order in ``instrument`` meets."""
        if self.state is not FuseState.ARMED:
            return self.state
        if any(episode.instrument == instrument for episode in self.episodes):
            return FuseState.REDUCING
        return FuseState.ARMED

    @property
    def displayed_state(self) -> FuseState:
        """One word for the fund: REDUCING when ARMED with a reducing instrument."""
        if self.state is FuseState.ARMED and self.episodes:
            return FuseState.REDUCING
        return self.state

    def locked_until(self, strategy: str, now: datetime) -> datetime | None:
        """Until when a strategy may not enter, or None."""
        for memory in self.strategies:
            if memory.strategy == strategy and memory.locked_until is not None:
                return memory.locked_until if now < memory.locked_until else None
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class InstrumentReading:
    """Market state of one instrument.

    ``volatility_ratio`` is R; ``depth_value`` the value resting within 10 bp of mid and
    ``notional_intended`` what would be traded (an open position's notional);
    ``notional`` is the absolute notional now held.
    """

    instrument: str
    volatility_ratio: float | None = None
    depth_value: float | None = None
    notional_intended: float | None = None
    notional: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionReading:
    """An open position against the market at the last closed bar.

    ``conflict`` is C with the recorded target, ``opposite_strength`` that of the strongest opposite
    zone within reach (0: none), ``target_strength`` the one recorded at entry, ``trend`` the sign
    of EMA21 - EMA55, ``side`` +1 or -1.  ``triggers`` says which market triggers are tested for
    the strategy that holds it.
    """

    position_id: str
    instrument: str
    strategy: str
    side: int
    bar_closed_at: datetime
    conflict: float | None = None
    opposite_strength: float | None = None
    target_strength: float | None = None
    trend: int | None = None
    triggers: frozenset[Trigger] = frozenset(MARKET_TRIGGERS)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosedTrade:
    """A finished round trip, fuse closures included.  ``sequence`` rises with every one."""

    strategy: str
    sequence: int
    net: float
    closed_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class StrategyReading:
    """A strategy's result of the UTC day as a share of the fund's equity at the day's start."""

    strategy: str
    day_result_share: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FuseReading:
    """Everything measured at one instant; None has no source.

    ``day_start_unit_value`` overrides the remembered one (from the valuation at 00:00 UTC).
    ``unit_value_extreme`` is the adverse extreme since the last evaluation (a bar's), tested before
    ``unit_value``, never lifting a peak.  ``positions_open`` counts the open ones.
    ``manual_reason`` trips the fuse.
    """

    unit_value: float | None
    unit_value_at: datetime | None
    unit_value_extreme: float | None = None
    day_start_unit_value: float | None = None
    equity: float | None = None
    reconciliation: Reconciliation | None = None
    manual_reason: str | None = None
    positions_open: int = 0
    instruments: tuple[InstrumentReading, ...] = ()
    positions: tuple[PositionReading, ...] = ()
    strategies: tuple[StrategyReading, ...] = ()
    closed_trades: tuple[ClosedTrade, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Gauge:
    """One trigger as shown: value, threshold, the room left, and whether it warns or is over.

    ``used_share`` is how much of the threshold is used (1.0 is over); ``scope`` is the fund, an
    instrument, or ``strategy:<name>``; ``position_id`` is set where one position is measured.
    """

    trigger: Trigger
    scope: str
    status: GaugeStatus
    value: float | None
    threshold: float | None
    room: float | None
    used_share: float | None
    words: str
    position_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FuseEvent:
    """Something that the fuse did, to be stored and acted on (FUSE-4).

    ``cut_share`` is the episode's whole cut, ``cut_share_now`` the part of what is held now that
    must go (deepenings included), ``notional_max`` what the instrument may hold afterwards so that
    the whole book is at most 1.0x of equity (None where that is not known).
    """

    kind: EventKind
    scope: str
    action: FuseAction
    occurred_at: datetime
    limits_version: int
    trigger: Trigger | None = None
    strategy: str | None = None
    severity: float | None = None
    value: float | None = None
    threshold: float | None = None
    cut_share: float | None = None
    cut_share_now: float | None = None
    notional_max: float | None = None
    until: datetime | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FuseEvaluation:
    """The new memory, the gauges of every trigger, and what happened, in order."""

    snapshot: FuseSnapshot
    gauges: tuple[Gauge, ...]
    events: tuple[FuseEvent, ...]
