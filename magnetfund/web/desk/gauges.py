"""The fuse's measures against their thresholds, and their last 24 hours.

A share is the measure over its threshold; 1 is the threshold.  A measure that could only cut a
position that is not there is idle: it is shown, and it warns of nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from magnetfund.web.desk.selectors import ShownPosition
from risk.domain.limits import LimitSet
from trading.models import Trade, Valuation
from trading.selectors import Measured


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
    """One measure.  ``now``, ``threshold`` and ``room`` are printed with ``places`` decimals."""

    name: str
    note: str
    now: Decimal
    threshold: Decimal
    places: int = 2
    is_idle: bool = False
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


def find_market_gauges(
    limits: LimitSet,
    positions: list[ShownPosition],
    measured: list[Measured],
    trades: list[Trade],
) -> list[Gauge]:
    """What cuts positions: volatility and conflict of each instrument, losses in a row.

    ``trades`` are the newest, newest first.
    """
    held = {(item.row.instrument.symbol, item.row.strategy) for item in positions}
    found = [gauge for item in measured for gauge in _of_instrument(item, limits, held)]
    losses, sleeve = find_losses_in_a_row(trades)
    found.append(
        Gauge(
            name="Consecutive losses",
            note=_whose(sleeve) if losses else "closed trades per sleeve",
            now=Decimal(losses),
            threshold=limits.losses_in_a_row_count,
            places=0,
            warning=limits.warning_share,
        )
    )
    return found


def _of_instrument(item: Measured, limits: LimitSet, held: set[tuple[str, str]]) -> list[Gauge]:
    # The fuse cuts what strategies hold; what a person opened is left to the person.
    is_held = any(symbol == item.symbol and code != "manual" for symbol, code in held)
    by_magnet = (item.symbol, "magnet") in held
    found = []
    for name, value, past, threshold, can_cut, note in (
        ("Volatility ratio", item.volatility_ratio, item.volatility_ratios,
         limits.volatility_ratio_max, is_held, "24 h over 30 days"),
        ("Magnet conflict", item.conflict, item.conflicts, limits.conflict_max, by_magnet,
         "in the trend\u2019s direction"),
    ):  # fmt: skip
        if value is None:
            continue
        found.append(
            Gauge(
                name=name,
                note=f"{item.base}, {note}"
                if can_cut
                else f"{item.base}, no strategy position open",
                now=Decimal(str(value)),
                threshold=threshold,
                is_idle=not can_cut,
                spark=draw_spark(past),
                warning=limits.warning_share,
            )
        )
    return found


def _whose(sleeve: str) -> str:
    return (
        f"{'manual orders' if sleeve == 'manual' else f'{sleeve} sleeve'}; locked for the day at 3"
    )


def find_losses_in_a_row(trades: list[Trade]) -> tuple[int, str]:
    """The longest present row of losing trades of a sleeve, and the sleeve; newest trade first."""
    rows: dict[str, int] = {}
    ended: set[str] = set()
    for trade in trades:
        if trade.strategy in ended:
            continue
        if trade.net_pnl < 0:
            rows[trade.strategy] = rows.get(trade.strategy, 0) + 1
        else:
            ended.add(trade.strategy)
    if not rows:
        return 0, ""
    sleeve = max(rows, key=lambda name: rows[name])
    return rows[sleeve], sleeve


def find_nearest(daily: Any, drawdown: Any, gauges: list[Gauge]) -> tuple[str, Decimal]:
    """The measure that has used most of its threshold, idle ones left out."""
    named = [("daily loss", Decimal(str(daily or 0))), ("drawdown", Decimal(str(drawdown or 0)))]
    named += [
        (f"{gauge.name.lower()}, {gauge.note}", gauge.share)
        for gauge in gauges
        if not gauge.is_idle
    ]
    return max(named, key=lambda item: item[1])
