"""The fuse's measures against their thresholds, and their last 24 hours.

Readings, thresholds and blocks are those of :mod:`risk.domain.fuse` under the limits in force: what
refuses an entry and cuts a position is what is drawn.  A share is the measure over its threshold; 1
is the threshold.  A measure that could only cut a position that is not there is idle: it is shown,
and it warns of nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from magnetfund.web.desk.selectors import ShownPosition
from risk.domain.fuse import MANUAL_WATCH, Condition, FuseRules, Trigger, find_entry_block
from risk.domain.limits import Limits
from trading.models import Valuation
from trading.selectors.fuse import LossStreak, Measured


@dataclass(frozen=True, slots=True, kw_only=True)
class Spark:
    """The last 24 hours as a path in a box of 64 by 20, with the place of its newest point."""

    path: str
    x: float
    y: float


def draw_spark(values: list[float]) -> Spark | None:
    """A line through the values, oldest first; nothing for fewer than two."""
    if len(values) < 2:
        return None
    low, high = min(values), max(values)
    spread = high - low or 1.0
    points = [
        (round(2 + 58 * k / (len(values) - 1), 1), round(17 - 14 * (v - low) / spread, 1))
        for k, v in enumerate(values)
    ]
    return Spark(
        path="M" + "L".join(f"{x} {y}" for x, y in points), x=points[-1][0], y=points[-1][1]
    )


def draw_equity(marked: list[Valuation]) -> Spark | None:
    """The unit value at the end of each hour of ``marked``, oldest first."""
    hours = {row.at.replace(minute=0, second=0, microsecond=0): row.unit_value for row in marked}
    return draw_spark([float(value) for value in hours.values()])


@dataclass(frozen=True, slots=True, kw_only=True)
class Gauge:
    """One measure.  ``now``, ``threshold`` and ``room`` are printed with ``places`` decimals.

    ``is_blocking`` is what the ticket and the engine would be told of an entry now.
    """

    name: str
    note: str
    now: Decimal
    threshold: Decimal
    places: int = 2
    is_idle: bool = False
    is_blocking: bool = False
    spark: Spark | None = None
    warning: Decimal = Decimal("0.75")

    @property
    def share(self) -> Decimal:
        return self.now / self.threshold if self.threshold else Decimal(0)

    @property
    def room(self) -> Decimal:
        return max(Decimal(0), self.threshold - self.now)

    @property
    def is_over(self) -> bool:
        return self.share >= 1

    @property
    def is_warning(self) -> bool:
        return self.share >= self.warning and not self.is_idle


def build_market_gauges(
    limits: Limits,
    positions: list[ShownPosition],
    measured: list[Measured],
    streaks: list[LossStreak],
    *,
    at: datetime,
) -> list[Gauge]:
    """What cuts positions: volatility and conflict of each instrument, losses in a row."""
    rules = FuseRules.of_limit_set(limits)
    found = [gauge for item in measured for gauge in _of_instrument(item, rules, positions, at)]
    found.append(_of_streaks(rules, streaks))
    return found


def _of_instrument(
    item: Measured, rules: FuseRules, positions: list[ShownPosition], at: datetime
) -> list[Gauge]:
    held = [p.row for p in positions if p.row.instrument.symbol == item.symbol]
    blocks = {
        side: find_entry_block(reading=item.reading(side, at=at), watched=MANUAL_WATCH, rules=rules)
        for side in (1, -1)
    }
    rows = [
        (
            "Volatility ratio",
            Trigger.VOLATILITY,
            1,
            item.volatility_ratio,
            item.volatility_ratios,
            rules.volatility_ratio_max,
            bool(held),
            "24 h over 30 days",
        )
    ]
    for side, word in ((1, "long"), (-1, "short")):
        # A manual position records no target zone, so conflict cuts what the magnet sleeve holds.
        is_held = any(row.strategy == "magnet" and (row.quantity > 0) == (side > 0) for row in held)
        rows.append(
            (
                f"Magnet conflict, {word}",
                Trigger.CONFLICT,
                side,
                item.conflicts[side],
                item.conflicts_past[side],
                rules.conflict_max,
                is_held,
                f"opposing over {word} pull",
            )
        )
    return [
        Gauge(
            name=name,
            note=f"{item.base}, {note}" if can_cut else f"{item.base}, no position it would cut",
            now=Decimal(str(value)),
            threshold=Decimal(str(threshold)),
            is_idle=not can_cut,
            is_blocking=_is_named(blocks[side], trigger),
            spark=draw_spark(past),
            warning=Decimal(str(rules.warning_share)),
        )
        for name, trigger, side, value, past, threshold, can_cut, note in rows
        if value is not None
    ]


def _is_named(block: Condition | None, trigger: Trigger) -> bool:
    return block is not None and block.trigger is trigger


def _of_streaks(rules: FuseRules, streaks: list[LossStreak]) -> Gauge:
    """The sleeve that is locked or nearest to it, as its engine counts."""
    worst = max(
        streaks,
        key=lambda row: (row.locked_until is not None, row.losses),
        default=LossStreak(strategy="", losses=0, locked_until=None),
    )
    sleeve = "manual orders" if worst.strategy == "manual" else f"{worst.strategy} sleeve"
    if worst.locked_until is not None:
        note = f"{sleeve}; locked until {worst.locked_until:%Y-%m-%d %H:%M} UTC"
    elif worst.losses:
        note = f"{sleeve}; locked for the day at {rules.losses_in_a_row}"
    else:
        note = "closed trades per sleeve"
    is_locked = worst.locked_until is not None
    return Gauge(
        name="Consecutive losses",
        note=note,
        now=Decimal(rules.losses_in_a_row if is_locked else worst.losses),
        threshold=Decimal(rules.losses_in_a_row),
        places=0,
        is_blocking=is_locked,
        warning=Decimal(str(rules.warning_share)),
    )


def find_nearest(daily: Any, drawdown: Any, gauges: list[Gauge]) -> tuple[str, Decimal]:
    """The measure that has used most of its threshold, idle ones left out."""
    named = [("daily loss", Decimal(str(daily or 0))), ("drawdown", Decimal(str(drawdown or 0)))]
    named += [
        (f"{gauge.name.lower()}, {gauge.note}", gauge.share)
        for gauge in gauges
        if not gauge.is_idle
    ]
    return max(named, key=lambda item: item[1])
