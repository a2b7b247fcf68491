"""What known days would do to the book that is open now, for the table of the Risk page."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from magnetfund.kernel.money import decimal_from_float
from magnetfund.web.desk.selectors import ShownPosition
from risk.domain.limits import Limits
from risk.domain.margin import flat_tier
from risk.domain.stress import (
    StressBook,
    StressPosition,
    StressResult,
    StressScenario,
    build_event_scenarios,
    compute_stresses,
    move_of,
)
from trading.domain.positions import commit_margin
from trading.models import Valuation
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
    """The open book with isolated wallets; the rest of equity is out of the venue's reach."""
    found = []
    outside = float(valuation.equity)
    for item in positions:
        row, rules = item.row, instrument_rules(item.row.instrument)
        mark = float(item.mark or row.average_price)
        wallet = float(
            commit_margin(
                quantity=row.quantity,
                price=row.average_price,
                leverage=decimal_from_float(row.leverage),
            )
        )
        outside -= wallet + float(item.unrealised or 0)
        found.append(
            StressPosition(
                name=f"{row.instrument.base} {row.strategy}",
                asset=row.instrument.base,
                side=1 if row.quantity > 0 else -1,
                quantity=float(abs(row.quantity)),
                entry_price=float(row.average_price),
                mark_price=mark,
                tiers=flat_tier(rate=rules.maintenance_rate),
                isolated_wallet=wallet,
                half_spread=rules.slippage_rate,
                close_fee_rate=rules.taker_fee_rate,
            )
        )
    return StressBook(
        positions=tuple(found), cash_outside=outside, loss_limit=_loss_limit(valuation, limits)
    )


def _loss_limit(valuation: Valuation, limits: Limits) -> float:
    """The equity at which the nearer of the two loss triggers closes everything."""
    units = valuation.equity / valuation.unit_value
    daily = valuation.day_start_unit_value * (1 - limits.daily_loss_share)
    fall = valuation.peak_unit_value * (1 - limits.drawdown_share)
    return float(max(daily, fall) * units)


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
