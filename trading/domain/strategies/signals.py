"""What a strategy says: one :class:`Signal` a closed bar, or all of them in columns.

Signs: direction +1 is long, -1 short, 0 none.  Prices are float64 in quote currency, NaN where
there is none; times are integer milliseconds since 1970-01-01 UTC; ``known_at`` is the bar's close.
A signal of bar i uses bars 0..i and nothing else, never the position: what is held, what is locked
and what equity allows is the decision's business (``trading.domain.backtest.decide``).  That is
what lets a backtest, a replay and a live trader run one strategy unchanged.

Invariant: row i of the columns equals what the stream says after bar i, field for field.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from enum import IntEnum, StrEnum

import numpy as np
from numpy.typing import NDArray

from magnetfund.kernel.errors import InvalidInput

FloatColumn = NDArray[np.float64]
IntColumn = NDArray[np.int64]
CodeColumn = NDArray[np.int8]
FlagColumn = NDArray[np.bool_]

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


class Reason(IntEnum):
    """Why a bar gives an entry, or why it gives none; stored with every decision."""

    NOTHING = 0
    ENTRY = 1
    WARM_UP = 2
    NOT_DECISION_BAR = 3
    NO_DIRECTION = 4
    NO_TARGET = 5
    UNMAPPED_SIDE = 6
    TIER = 7
    TARGET_TOO_NEAR = 8
    TREND_DISAGREES = 9
    CONFLICT = 10
    OPPOSITE_STRONGER = 11
    NOT_CONFIRMED = 12
    OUTSIDE_WINDOW = 13
    DAY_LIMIT = 14
    EVENT_BLACKOUT = 15

    @property
    def code(self) -> str:
        """The stable word for APIs and records."""
        return self.name.lower()


#: No market has had such a price; a level above it is a slip of whoever computed it.
LEVEL_MAX = 1e11
REASONS = frozenset(int(reason) for reason in Reason)


class LeverageRule(StrEnum):
    """Where a strategy's leverage and margin cap come from."""

    FIXED = "fixed"  # 1.0x, margin up to the position limit
    MAGNET = "magnet"  # the magnet formula and the tier's margin


@dataclass(frozen=True, slots=True, kw_only=True)
class StrategyTraits:
    """What the decision must know of a strategy beyond its signals.

    ``hold_ms_max`` 0 means no time exit.  The four trigger flags say which market triggers of the
    fuse are tested for positions of this strategy; ``conflict_bars`` is how many closed bars in a
    row the conflict must stand above its limit, where fewer than the fund's figure.
    ``liquidation_share_max`` is the largest share of the way to
    liquidation at which the stop may lie.
    """

    strategy_id: str
    version: str
    leverage_rule: LeverageRule = LeverageRule.FIXED
    hold_ms_max: int = 0
    trigger_volatility: bool = True
    trigger_conflict: bool = False
    trigger_opposite: bool = False
    trigger_trend_flip: bool = False
    conflict_bars: int = 2
    liquidation_share_max: float = 0.5

    def __post_init__(self) -> None:
        if self.hold_ms_max < 0 or self.conflict_bars < 1:
            raise InvalidInput("a holding time or bar count is negative", code="bad_traits")
        if not 0.0 < self.liquidation_share_max < 1.0:
            raise InvalidInput("the liquidation share must lie in (0, 1)", code="bad_traits")


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """One closed bar of one strategy on one instrument; see :class:`Signals` for the fields."""

    known_at: int
    direction: int
    exit_long: bool
    exit_short: bool
    stop: float
    target: float
    reason: int
    distance: float
    strength: float
    conflict: float
    volatility_ratio: float
    sigma: float
    atr: float
    target_zone_price: float
    trend: int
    opposite_pull_long: float
    opposite_pull_short: float
    heavy_opposite_long: float
    heavy_opposite_short: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Signals:
    """Columns of length n, one row a closed bar.

    ``direction``: enter at the next open.  ``exit_long`` and ``exit_short``: leave such a position
    at the next open.  ``stop`` and ``target`` belong to ``direction``; a target may be NaN (none).
    ``distance`` (D, in ATR), ``strength`` (S, 0..100) and ``conflict`` (C) feed leverage and tier,
    ``volatility_ratio`` (R) tier, leverage and fuse, ``sigma`` (annualised volatility, a fraction)
    the caps of leverage.  The rest serves the fuse of an open position:
    ``atr``, the target zone's price, ``trend`` = sign(EMA21 - EMA55) on the signal timeframe, and
    per side of an open position the best opposite pull and the strongest zone within 3 ATR.
    NaN in a leverage or fuse column means that there is no source.
    """

    known_at: IntColumn
    direction: CodeColumn
    exit_long: FlagColumn
    exit_short: FlagColumn
    stop: FloatColumn
    target: FloatColumn
    reason: CodeColumn
    distance: FloatColumn
    strength: FloatColumn
    conflict: FloatColumn
    volatility_ratio: FloatColumn
    sigma: FloatColumn
    atr: FloatColumn
    target_zone_price: FloatColumn
    trend: CodeColumn
    opposite_pull_long: FloatColumn
    opposite_pull_short: FloatColumn
    heavy_opposite_long: FloatColumn
    heavy_opposite_short: FloatColumn

    def __post_init__(self) -> None:
        n = self.known_at.shape[0]
        for item in fields(self):
            if getattr(self, item.name).shape != (n,):
                raise InvalidInput(f"column {item.name} has another length", code="column_length")

    def __len__(self) -> int:
        return int(self.known_at.shape[0])

    def rows(self, start: int, stop: int) -> Iterator[Signal]:
        """The signals of positions ``start`` to ``stop`` (exclusive), as :meth:`at` gives them."""
        names = [item.name for item in fields(self)]
        columns = (getattr(self, name)[start:stop].tolist() for name in names)
        for row in zip(*columns, strict=True):
            yield Signal(**dict(zip(names, row, strict=True)))

    def at(self, index: int) -> Signal:
        """The signal of one bar as plain Python values."""
        return Signal(
            **{item.name: getattr(self, item.name)[index].item() for item in fields(self)}
        )


def build_signals(*, known_at: IntColumn, **columns: NDArray[np.generic]) -> Signals:
    """Signals from the columns that a strategy has; the others say "no source".

    Raises :class:`InvalidInput` for an unknown column or another length.
    """
    n = known_at.shape[0]
    # Of eighteen columns most are often missing: those without a number share one.
    nothing = np.full(n, _NAN)
    nothing.flags.writeable = False
    values: dict[str, NDArray[np.generic]] = {"known_at": np.asarray(known_at, dtype=np.int64)}
    for name, dtype, empty in _COLUMNS:
        given = columns.pop(name, None)
        if given is None:
            values[name] = nothing if empty is _NAN else np.full(n, empty, dtype=dtype)
        else:
            values[name] = np.ascontiguousarray(given, dtype=dtype)
    if columns:
        raise InvalidInput(f"unknown signal columns {sorted(columns)}", code="unknown_column")
    return Signals(**values)  # type: ignore[arg-type]  # dtypes are those of _COLUMNS


def require_sane_signals(signals: Signals) -> None:
    """Refuse what nothing downstream can read: an unknown reason, a level that is no price.

    Raises :class:`InvalidInput` (``bad_signal``) with the first bar, counted from 0.
    """
    unknown = ~np.isin(signals.reason, list(REASONS))
    if unknown.any():
        row = int(np.argmax(unknown))
        raise InvalidInput(
            f"reason {signals.reason[row]} at bar {row} is none of Reason", code="bad_signal"
        )
    entering = signals.direction != 0
    for name in ("stop", "target"):
        beyond = entering & (np.abs(getattr(signals, name)) >= LEVEL_MAX)
        if beyond.any():
            row = int(np.argmax(beyond))
            value = getattr(signals, name)[row]
            raise InvalidInput(f"the {name} {value:g} at bar {row} is no price", code="bad_signal")


_NAN = float("nan")
_COLUMNS: tuple[tuple[str, type[np.generic], object], ...] = (
    ("direction", np.int8, 0),
    ("exit_long", np.bool_, False),
    ("exit_short", np.bool_, False),
    ("stop", np.float64, _NAN),
    ("target", np.float64, _NAN),
    ("reason", np.int8, int(Reason.NOTHING)),
    ("distance", np.float64, _NAN),
    ("strength", np.float64, _NAN),
    ("conflict", np.float64, _NAN),
    ("volatility_ratio", np.float64, _NAN),
    ("sigma", np.float64, _NAN),
    ("atr", np.float64, _NAN),
    ("target_zone_price", np.float64, _NAN),
    ("trend", np.int8, 0),
    ("opposite_pull_long", np.float64, _NAN),
    ("opposite_pull_short", np.float64, _NAN),
    ("heavy_opposite_long", np.float64, _NAN),
    ("heavy_opposite_short", np.float64, _NAN),
)
