"""What a holding is worth between two NAVs, net of every accrual, and investors' daily values.

The estimate is a strike that nobody signs: the same inputs and the same engine, with the trading
book's equity of now in place of posted trading results.  Management fee for the days since, and the
performance fee of each lot over its own mark, are therefore taken off as the next NAV will.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

from investors.domain.strike import StrikeInputs, compute_strike
from investors.models import DealingOrder, Fund, InvestorSnapshot
from investors.services.ledger import net_assets, read_balances
from investors.services.nav import gather_inputs, last_dealt
from magnetfund.kernel.errors import InvalidInput
from trading.models import Valuation

_log = logging.getLogger("magnetfund.estimates")
ZERO = Decimal(0)
#: Stand in the ledger as of the last posting; the book's equity takes their place.
TRADING_ACCOUNTS = ("1030", "1120")


@dataclass(frozen=True, slots=True, kw_only=True)
class HolderValue:
    """Units of one investor over all classes and what they are worth, in cents."""

    units: Decimal
    value: Decimal


def estimate_fund(fund: Fund, *, at: datetime) -> dict[UUID, HolderValue]:
    """Net value of each holder at ``at``; empty before the first NAV and without a later value.

    A fund whose estimate is not positive has none: its investors see their last NAV.
    """
    inputs = estimate_inputs(fund, at=at)
    if inputs is None:
        return {}
    try:
        return value_holders(inputs)
    except InvalidInput as error:
        _log.warning("no estimate for %s: %s", fund.code, error.message)
        return {}


def estimate_inputs(fund: Fund, *, at: datetime) -> StrikeInputs | None:
    """The inputs of an unsigned strike at ``at`` from the newest equity of the trading book."""
    strike = last_dealt(fund, before=at)
    newest = Valuation.objects.filter(book=fund.book, at__lte=at).order_by("-at").first()
    if strike is None or strike.dealt_at is None or newest is None or newest.at <= strike.dealt_at:
        return None
    balances = read_balances(fund, before=at)
    posted = sum((balances.get((code, fund.currency), ZERO) for code in TRADING_ACCOUNTS), ZERO)
    money = net_assets(fund, before=at) - posted + newest.equity
    return replace(gather_inputs(fund, at), net_assets=money, unallocated=ZERO)


def value_holders(inputs: StrikeInputs) -> dict[UUID, HolderValue]:
    """Each holder's units and net value by the engine of the NAV."""
    found: dict[UUID, HolderValue] = {}
    for given, struck in zip(inputs.classes, compute_strike(inputs).classes, strict=True):
        for lot, value in zip(given.lots, struck.lot_values, strict=True):
            who = UUID(lot.holder)
            had = found.get(who, HolderValue(units=ZERO, value=ZERO))
            found[who] = HolderValue(units=had.units + lot.units, value=had.value + value)
    return found


def write_snapshots(
    fund: Fund, *, day: date, values: Mapping[UUID, HolderValue], is_estimate: bool
) -> int:
    """Keep one day's value of everybody who ever dealt in the fund."""
    total = sum((held.value for held in values.values()), ZERO)
    nothing = HolderValue(units=ZERO, value=ZERO)
    invested = net_invested(fund)
    InvestorSnapshot.objects.bulk_create(
        [
            InvestorSnapshot(
                investor_id=who,
                day=day,
                units=values.get(who, nothing).units,
                value=values.get(who, nothing).value,
                net_invested=invested[who],
                share_of_fund=float(values.get(who, nothing).value / total) if total > 0 else 0.0,
                is_estimate=is_estimate,
            )
            for who in sorted(invested, key=str)
        ],
        batch_size=5000,
        update_conflicts=True,
        unique_fields=["investor", "day"],
        update_fields=["units", "value", "net_invested", "share_of_fund", "is_estimate"],
    )
    return len(invested)


def net_invested(fund: Fund) -> dict[UUID, Decimal]:
    """Money put in less money taken out, per investor who ever dealt."""
    orders = DealingOrder.objects.filter(share_class__fund=fund, dealt_amount__isnull=False)
    found: dict[UUID, Decimal] = {}
    for order in orders.iterator(chunk_size=5000):
        sign = 1 if order.kind == DealingOrder.Kind.SUBSCRIPTION else -1
        moved = (order.amount or ZERO) if sign > 0 else (order.dealt_amount or ZERO)
        found[order.investor_id] = found.get(order.investor_id, ZERO) + sign * moved
    return found
