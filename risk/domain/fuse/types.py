"""What the fuse remembers, what it watches and what it did.

Money is float64, times are integer milliseconds since 1970-01-01 UTC: the engine carries this state
from bar to bar, and the compiled backtest keeps the same numbers in columns.  Equity is that of the
book with every flow scaled out (:func:`risk.domain.fuse.losses.scale_for_flow`), so subscriptions
and redemptions never move it.  Shares are fractions; a figure that has no source is NaN.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum, unique

DAY_MS = 86_400_000
NEVER_MS = 2**62
"""An instant after every bar: what is locked until then stays locked."""


class FuseState(StrEnum):
    """Exposure may grow only while ARMED."""

    ARMED = "ARMED"
    REDUCING = "REDUCING"
    TRIPPED = "TRIPPED"
    DISARMED = "DISARMED"


@unique
class Trigger(IntEnum):
    """What moved the fuse; the numbers are those of the compiled kernel, and 0 means none."""

    DAILY_LOSS = 1
    DRAWDOWN = 2
    LOSS_STREAK = 3
    VOLATILITY = 4
    CONFLICT = 5
    OPPOSITE_MAGNET = 6
    TREND_FLIP = 7
    RESET = 8
    CLEARED = 9
    MANUAL = 10  # a person or another part of the platform stopped the book
    LIQUIDITY = 11
    EQUITY_STALE = 12
    STRATEGY_DAILY_LOSS = 13

    @property
    def code(self) -> str:
        """The stable word for records."""
        return self.name.lower()

    @property
    def words(self) -> str:
        """The trigger as a person reads it."""
        return self.name.lower().replace("_", " ")


LOSS_TRIGGERS = (Trigger.DAILY_LOSS, Trigger.DRAWDOWN)
"""They close every position of the fund at once, inside the bar that met them."""
MARKET_TRIGGERS = (
    Trigger.VOLATILITY,
    Trigger.CONFLICT,
    Trigger.OPPOSITE_MAGNET,
    Trigger.TREND_FLIP,
    Trigger.LIQUIDITY,
)
"""They cut positions of their instrument and keep new ones away."""
STRATEGY_TRIGGERS = (Trigger.LOSS_STREAK, Trigger.STRATEGY_DAILY_LOSS)
"""They lock their strategy until the next 00:00 UTC."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """A trigger that holds, with what was measured, its threshold and its severity 0..1."""

    trigger: Trigger
    value: float
    threshold: float
    severity: float = 0.0

    @property
    def words(self) -> str:
        """Trigger, value and threshold in one phrase."""
        return f"{self.trigger.words} {self.value:.2f}, limit {self.threshold:.2f}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Episode:
    """REDUCING on one instrument: open while ``active``, deepened only when severity rises.

    ``cleared_at`` is the first close that cleared it, 0 while its trigger holds or cannot be seen.
    ``no_new_trades_until`` is set when it begins and moved by a deepening.
    """

    active: bool = False
    trigger: int = 0
    severity: float = 0.0
    cut_share: float = 0.0
    started_at: int = 0
    cleared_at: int = 0
    no_new_trades_until: int = 0


NO_EPISODE = Episode()


@dataclass(frozen=True, slots=True, kw_only=True)
class FuseBook:
    """The fuse as the engine carries it.

    ``tripped_by`` 0 means ARMED.  ``rearm_at`` is the earliest re-arming that the reset policy
    gives.  ``peak_equity`` is re-based when a drawdown is reset, ``peak_equity_unreset`` never.
    ``lock_until``, ``losses_in_a_row`` and the two results are per strategy, ``episodes`` per
    instrument.  ``result_closed`` is the net of a strategy's finished round trips,
    ``result_day_start`` that and its open result when the UTC day began.
    """

    day_start_ms: int
    day_start_equity: float
    peak_equity: float
    peak_equity_unreset: float
    tripped_by: int = 0
    tripped_at: int = 0
    rearm_at: int = NEVER_MS
    lock_until: tuple[int, ...] = ()
    losses_in_a_row: tuple[int, ...] = ()
    result_closed: tuple[float, ...] = ()
    result_day_start: tuple[float, ...] = ()
    episodes: tuple[Episode, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FuseMove:
    """The fuse moved: a trip, a cut, a lock, a clearing or a reset.

    ``instrument`` and ``strategy`` are -1 where the event belongs to the whole fund.  ``value``
    and ``threshold`` are the measured figure and its limit in the trigger's own unit.
    """

    time_ms: int
    trigger: int
    instrument: int = -1
    strategy: int = -1
    value: float = 0.0
    threshold: float = 0.0
    severity: float = 0.0
    cut_share: float = 0.0
    positions: int = 0


def open_fuse(*, time_ms: int, equity: float, strategies: int, instruments: int) -> FuseBook:
    """An armed fuse before its first bar."""
    return FuseBook(
        day_start_ms=time_ms // DAY_MS * DAY_MS,
        day_start_equity=equity,
        peak_equity=equity,
        peak_equity_unreset=equity,
        lock_until=(0,) * strategies,
        losses_in_a_row=(0,) * strategies,
        result_closed=(0.0,) * strategies,
        result_day_start=(0.0,) * strategies,
        episodes=(NO_EPISODE,) * instruments,
    )
