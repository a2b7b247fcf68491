"""What a holding is worth between two NAVs, net of every accrual, and investors' daily values.

The estimate is a strike that nobody signs: the same inputs and the same engine, with the trading
book's equity of now in place of posted trading results.  Expenses and management fee for the days
since, and the performance fee of each lot over its own mark, are therefore taken off as the next
NAV will.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from investors.domain.ledger.chart import DERIVATIVES, VENUE_CASH
from investors.domain.strike import StrikeInputs, compute_strike
from investors.models import Fund
from investors.services.coin_values import estimate_change
from investors.services.expenses import expenses_due
from investors.services.holder_values import HolderValue
from investors.services.ledger import net_assets, read_balances
from investors.services.nav_inputs import gather_inputs, last_dealt
from magnetfund.kernel.errors import InvalidInput
from trading.models import Valuation

_log = logging.getLogger("magnetfund.estimates")
ZERO = Decimal(0)
#: Stand in the ledger as of the last posting; the book's equity takes their place.
TRADING_ACCOUNTS = (VENUE_CASH, DERIVATIVES)


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


def estimate_inputs(fund: Fund, *, at: datetime, is_pooled: bool = False) -> StrikeInputs | None:
    """The inputs of an unsigned strike at ``at`` from the newest equity of the trading book."""
    strike = last_dealt(fund, before=at)
    newest = Valuation.objects.filter(book=fund.book, at__lte=at).order_by("-at").first()
    if strike is None or strike.dealt_at is None or newest is None or newest.at <= strike.dealt_at:
        return None
    balances = read_balances(fund, before=at, accounts=TRADING_ACCOUNTS)
    posted = sum((balances.get((code, fund.currency), ZERO) for code in TRADING_ACCOUNTS), ZERO)
    money = net_assets(fund, before=at) - posted + newest.equity - expenses_due(fund, at=at)
    money += estimate_change(fund, at=at, equity=newest.equity)
    inputs = gather_inputs(fund, at, is_pooled=is_pooled)
    return replace(inputs, net_assets=money, unallocated=ZERO)


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceEstimate:
    """Price per unit of each class by code, before the performance fee of the lots, at ``at``.

    ``is_struck`` marks the issue prices of the last NAV, where nothing newer is known; ``nav`` is
    what that NAV came to.  Between NAVs a class without units has no price.
    """

    prices: Mapping[str, Decimal]
    at: datetime
    is_struck: bool
    nav: Decimal


def estimate_prices(fund: Fund, *, at: datetime) -> PriceEstimate | None:
    """What a unit is worth now by the engine of the NAV; ``None`` before the first NAV.

    Reads no lot, so a page may ask for it; a lot's own fee is taken off by its reader.
    """
    strike = last_dealt(fund, before=at)
    if strike is None:
        return None
    inputs = estimate_inputs(fund, at=at, is_pooled=True)
    if inputs is not None:
        try:
            found = compute_strike(inputs).classes
        except InvalidInput as error:
            _log.warning("no estimated price for %s: %s", fund.code, error.message)
        else:
            prices = {item.code: item.price for item in found if item.price is not None}
            return PriceEstimate(prices=prices, at=at, is_struck=False, nav=strike.nav)
    struck = strike.classes.select_related("share_class")
    return PriceEstimate(
        prices={row.share_class.code: row.issue_price for row in struck},
        at=strike.valuation_at,
        is_struck=True,
        nav=strike.nav,
    )


def value_holders(inputs: StrikeInputs) -> dict[UUID, HolderValue]:
    """Each holder's units and net value by the engine of the NAV."""
    found: dict[UUID, HolderValue] = {}
    for given, struck in zip(inputs.classes, compute_strike(inputs).classes, strict=True):
        for lot, value in zip(given.lots, struck.lot_values, strict=True):
            who = UUID(lot.holder)
            had = found.get(who, HolderValue(units=ZERO, value=ZERO))
            found[who] = HolderValue(units=had.units + lot.units, value=had.value + value)
    return found
