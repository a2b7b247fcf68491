"""What a holding is worth between two NAVs, net of every accrual, and investors' daily values.

The estimate is a strike that nobody signs: the same inputs and the same engine, with the trading
book's equity of now in place of posted trading results.  Management fee for the days since, and the
performance fee of each lot over its own mark, are therefore taken off as the next NAV will.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from investors.domain.strike import StrikeInputs, compute_strike
from investors.models import Fund
from investors.services.holder_values import HolderValue
from investors.services.ledger import net_assets, read_balances
from investors.services.nav_inputs import gather_inputs, last_dealt
from magnetfund.kernel.errors import InvalidInput
from trading.models import Valuation

_log = logging.getLogger("magnetfund.estimates")
ZERO = Decimal(0)
#: Stand in the ledger as of the last posting; the book's equity takes their place.
TRADING_ACCOUNTS = ("1030", "1120")


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
