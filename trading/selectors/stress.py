"""Stresses on the open book by the venue's margin rules: shipped ones and those people saved."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from magnetfund.core.models import Heartbeat
from magnetfund.kernel.errors import InvalidInput
from magnetfund.kernel.money import decimal_from_float
from risk.domain.limits import Limits
from risk.domain.margin import flat_tier
from risk.domain.stress import (
    StressBook,
    StressPosition,
    StressScenario,
    compute_stress,
    move_for,
)
from risk.services.limits import limits_in_force
from trading import selectors
from trading.domain.positions import commit_margin
from trading.models import FundingRate, Position, Valuation
from trading.services.book_setup import instrument_rules
from trading.services.leverage_inputs import read_leverage_inputs

DAYS_A_YEAR = 365


@dataclass(frozen=True, slots=True, kw_only=True)
class StressLine:
    """What a stress does to the open book; money in the fund's currency, a loss negative.

    ``problem`` says why there is no answer; the figures are None then.
    """

    title: str
    result: float | None = None
    share: float | None = None
    trips: bool = False
    liquidated: tuple[str, ...] = ()
    problem: str = ""


def build_stress_book(
    rows: Sequence[Position],
    marks: Mapping[str, Decimal],
    valuation: Valuation,
    limits: Limits,
    *,
    facts: Mapping[str, Mapping[str, Any]] | None = None,
) -> StressBook:
    """The open book with isolated wallets; the rest of equity is out of the venue's reach.

    ``facts`` are further fields of the positions by symbol (volatility, funding).
    """
    found = []
    outside = float(valuation.equity)
    for row in rows:
        rules = instrument_rules(row.instrument)
        mark = marks.get(row.instrument.symbol, row.average_price)
        wallet = float(
            commit_margin(
                quantity=row.quantity,
                price=row.average_price,
                leverage=decimal_from_float(row.leverage),
            )
        )
        outside -= wallet + float((mark - row.average_price) * row.quantity)
        found.append(
            StressPosition(
                name=f"{row.instrument.base} {row.strategy}",
                asset=row.instrument.base,
                side=1 if row.quantity > 0 else -1,
                quantity=float(abs(row.quantity)),
                entry_price=float(row.average_price),
                mark_price=float(mark),
                tiers=flat_tier(rate=rules.maintenance_rate),
                isolated_wallet=wallet,
                half_spread=rules.slippage_rate,
                close_fee_rate=rules.taker_fee_rate,
                **(facts or {}).get(row.instrument.symbol, {}),
            )
        )
    return StressBook(
        positions=tuple(found), cash_outside=outside, loss_limit=_loss_limit(valuation, limits)
    )


def run_stresses(book: str, scenarios: Sequence[StressScenario]) -> list[StressLine]:
    """Every scenario on the book as it is open now; without a position nothing moves equity."""
    rows = selectors.open_positions(book)
    valuation = selectors.latest_valuation(book)
    if valuation is None or not rows:
        return [StressLine(title=item.title, problem="no open position") for item in scenarios]
    beat = Heartbeat.objects.filter(part="trader", instance=book).first()
    marks = {
        symbol: Decimal(text)
        for symbol, text in ((beat.detail.get("prices") if beat else None) or {}).items()
    }
    shocked = any(item.adverse_sigmas > 0.0 for item in scenarios)
    paid = any(item.hours > 0.0 for item in scenarios)
    facts = {
        row.instrument.symbol: _facts_of(row, with_volatility=shocked, with_funding=paid)
        for row in rows
    }
    held = build_stress_book(rows, marks, valuation, limits_in_force(book), facts=facts)
    return [_run(held, rows, item) for item in scenarios]


def _run(held: StressBook, rows: Sequence[Position], scenario: StressScenario) -> StressLine:
    """One scenario: each position takes the move of its symbol, asset or group."""
    moves = tuple(
        (
            position.name,
            move_for(
                scenario,
                symbol=row.instrument.symbol,
                asset=row.instrument.base,
                group=row.instrument.kind,
            ),
        )
        for position, row in zip(held.positions, rows, strict=True)
    )
    named = replace(
        held, positions=tuple(replace(item, asset=item.name) for item in held.positions)
    )
    try:
        found = compute_stress(book=named, scenario=replace(scenario, moves=moves))
    except InvalidInput as error:
        if error.code != "no_volatility":
            raise
        return StressLine(title=scenario.title, problem="volatility of a position is not known")
    change = found.equity_after - found.equity_before
    return StressLine(
        title=scenario.title,
        result=change,
        share=change / found.equity_before,
        trips=found.fuse_tripped,
        liquidated=tuple(item.name for item in found.liquidations),
    )


def _facts_of(row: Position, *, with_volatility: bool, with_funding: bool) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    if with_volatility:
        yearly = read_leverage_inputs(row.instrument).sigma_sample
        facts["daily_volatility"] = None if yearly is None else yearly / math.sqrt(DAYS_A_YEAR)
    if with_funding:
        newest = FundingRate.objects.filter(instrument=row.instrument).order_by("-at").first()
        facts["funding_rate"] = newest.rate if newest is not None else 0.0
    return facts


def _loss_limit(valuation: Valuation, limits: Limits) -> float:
    """The equity at which the nearer of the two loss triggers closes everything."""
    units = valuation.equity / valuation.unit_value
    daily = valuation.day_start_unit_value * (1 - limits.daily_loss_share)
    fall = valuation.peak_unit_value * (1 - limits.drawdown_share)
    return float(max(daily, fall) * units)
