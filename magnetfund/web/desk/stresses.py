"""What known days would do to the book that is open now, for the table of the Risk page."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from magnetfund.web.desk.selectors import ShownPosition
from risk.domain.limits import Limits
from risk.domain.stress import (
    StressBook,
    StressResult,
    StressScenario,
    build_event_scenarios,
    compute_stresses,
    move_of,
)
from trading.models import Valuation
from trading.selectors import stress
from trading.services.book_setup import instrument_rules

#: The events that the table shows, in its order.
EVENTS = (
    "btc-2020-03-12-hour",
    "btc-2020-03-12-low",
    "btc-2021-05-19-low",
    "btc-2025-10-10-low",
    "btc-best-hour",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Consequence:
    """A row of the table: moves by asset, money, share of equity, what the fuse and venue do.

    ``result`` is in the fund's currency with the costs of closing, negative for a loss.
    """

    words: str
    moves: tuple[float | None, ...]
    result: float
    share: float
    trips: bool
    liquidated: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StopCost:
    """What closing every position at market now costs, in the fund's currency, all positive.

    ``realised`` is the unrealised profit or loss that closing makes final; it is no cost.
    """

    notional: Decimal
    fees: Decimal
    slippage: Decimal
    realised: Decimal

    @property
    def total(self) -> Decimal:
        """Fees and slippage."""
        return self.fees + self.slippage


def estimate_stop_cost(positions: list[ShownPosition]) -> StopCost:
    """An estimate: taker fee and the slippage of a fill that the fuse forces, at the mark price."""
    fees = slippage = realised = notional = Decimal(0)
    for item in positions:
        rules = instrument_rules(item.row.instrument)
        notional += item.notional
        fees += item.notional * Decimal(str(rules.taker_fee_rate))
        slippage += item.notional * Decimal(str(rules.fuse_slippage_rate))
        realised += item.unrealised or Decimal(0)
    return StopCost(notional=notional, fees=fees, slippage=slippage, realised=realised)


def find_assets(positions: list[ShownPosition]) -> tuple[str, ...]:
    """What the open positions are in, each once."""
    return tuple(sorted({item.row.instrument.base for item in positions}))


def build_consequences(
    positions: list[ShownPosition], valuation: Valuation | None, limits: Limits
) -> list[Consequence]:
    """Every stop where it rests, then the known days as gaps; nothing without positions."""
    if valuation is None or not positions:
        return []
    assets = find_assets(positions)
    events = {scenario.name: scenario for scenario in build_event_scenarios()}
    chosen = [events[name] for name in EVENTS]
    book = build_stress_book(positions, valuation, limits)
    results = compute_stresses(book=book, scenarios=chosen)
    return [
        _stops(positions, valuation, book.loss_limit or 0.0, len(assets)),
        *(_row(scenario, result, assets) for scenario, result in zip(chosen, results, strict=True)),
    ]


def build_stress_book(
    positions: list[ShownPosition], valuation: Valuation, limits: Limits
) -> StressBook:
    """The shown positions as the margin rules take them."""
    marks = {item.row.instrument.symbol: item.mark for item in positions if item.mark is not None}
    rows = [item.row for item in positions]
    return stress.build_stress_book(rows, marks, valuation, limits)


def _row(scenario: StressScenario, result: StressResult, assets: tuple[str, ...]) -> Consequence:
    change = result.equity_after - result.equity_before
    return Consequence(
        words=scenario.title,
        moves=tuple(move_of(scenario=scenario, asset=asset) for asset in assets),
        result=change,
        share=change / result.equity_before,
        trips=result.fuse_tripped,
        liquidated=tuple(one.name for one in result.liquidations),
    )


def _stops(
    positions: list[ShownPosition], valuation: Valuation, loss_limit: float, count: int
) -> Consequence:
    change = sum(
        (
            (item.row.stop_price - (item.mark or item.row.average_price)) * item.row.quantity
            for item in positions
            if item.row.stop_price is not None
        ),
        Decimal(0),
    )
    return Consequence(
        words="All stops fill at their stop price",
        moves=(None,) * count,
        result=float(change),
        share=float(change / valuation.equity),
        trips=float(valuation.equity + change) <= loss_limit,
        liquidated=(),
    )
