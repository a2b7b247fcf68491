"""What a fund holds in stablecoins, and the rates by which a NAV may take it.

What a real market settles in a coin stands in venue cash coin for coin.  Coins of the simulated
market, and all of a fund of invented money, are at par by definition: nobody could sell them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import connection

from investors.domain.coins import PAR_BAND, is_at_par
from investors.domain.ledger.chart import VENUE_CASH
from investors.models import CoinRate, Fund, NavStrike
from investors.services.coin_rates import find_rate, require_coin_rate
from investors.services.trading_books import SleevePosition
from magnetfund.kernel.errors import Conflict
from trading.domain.market.symbols import SIMULATED
from trading.models import BookMember, FillTotal, Instrument

ZERO = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldCoins:
    """Coins of one currency at a valuation: cash and margin, and the open result in it."""

    coin: str
    cash: Decimal
    unrealised: Decimal

    @property
    def amount(self) -> Decimal:
        """Both, in coins."""
        return self.cash + self.unrealised


def funding_coin(fund: Fund) -> str:
    """The coin that money sent to the venue becomes; "" where nothing is converted.

    It is what the first instrument of a real market settles in that the book ever traded, or that
    it may trade, so that it never changes under the money.
    """
    if fund.is_simulated:
        return ""
    members = BookMember.objects.filter(book=fund.book).exclude(instrument__venue=SIMULATED)
    coin = members.order_by("pk").values_list("instrument__settle", flat=True).first()
    if coin is None:
        traded = Instrument.objects.filter(is_active=True).exclude(venue=SIMULATED)
        coin = traded.order_by("pk").values_list("settle", flat=True).first()
    return "" if coin is None or coin == fund.currency else coin


def list_held(
    fund: Fund, *, before: datetime, positions: Iterable[SleevePosition]
) -> list[HeldCoins]:
    """What the fund holds in each coin that is not its currency, by name; none at the simulated
    market."""
    own = funding_coin(fund)
    settles = {} if fund.is_simulated else _settles(fund)
    cash: dict[str, Decimal] = {}
    opened: dict[str, Decimal] = {}
    for symbol, amount in _venue_cash(fund, before):
        coin = settles.get(symbol, own) if symbol else own
        cash[coin] = cash.get(coin, ZERO) + amount
    for position in positions:
        coin = settles.get(position.instrument, own)
        opened[coin] = opened.get(coin, ZERO) + position.unrealised
    return [
        HeldCoins(coin=coin, cash=cash.get(coin, ZERO), unrealised=opened.get(coin, ZERO))
        for coin in sorted(cash.keys() | opened.keys())
        if coin not in ("", fund.currency) and (cash.get(coin) or opened.get(coin))
    ]


def require_par(
    fund: Fund, *, at: datetime, positions: Iterable[SleevePosition]
) -> list[tuple[HeldCoins, CoinRate]]:
    """The coins held at a valuation, each with its rate, where all may be taken one for one.

    Raises :class:`Unavailable` (``rate_missing``, ``rate_too_old``) and :class:`Conflict`
    (``par_is_void``) where a rate departs from 1 by more than :data:`PAR_BAND`.
    """
    found = []
    for held in list_held(fund, before=at, positions=positions):
        row = require_coin_rate(held.coin, fund.currency, at=at)
        if not is_at_par(row.rate):
            raise Conflict(
                f"{held.coin} stands at {row.rate.normalize():f} {fund.currency} "
                f"({row.source}, {row.observed_at:%Y-%m-%d %H:%M} UTC), more than {PAR_BAND:.1%} "
                f"from par: {held.amount:,.2f} of it cannot be taken one for one; suspend dealing "
                "until the NAV can be struck at its rate",
                code="par_is_void",
            )
        found.append((held, row))
    return found


def plain_coins(coins: Iterable[tuple[HeldCoins, CoinRate]]) -> list[dict[str, Any]]:
    """What was held and by which rates it was taken, as a strike freezes it."""
    return [
        {
            "coin": held.coin,
            "amount": f"{held.amount.normalize():f}",
            "rate": f"{row.rate.normalize():f}",
            "rate_id": row.pk,
            "source": row.source,
            "observed_at": row.observed_at,
        }
        for held, row in coins
    ]


def changed_rates(strike: NavStrike) -> list[str]:
    """Coins of a prepared NAV for whose instant another rate counts now."""
    fund, at = strike.fund, strike.valuation_at
    return [
        f"rate of {item['coin']}"
        for item in strike.inputs.get("coins", ())
        if (now := find_rate(item["coin"], fund.currency, at=at)) is None
        or now.pk != item["rate_id"]
    ]


def _settles(fund: Fund) -> dict[str, str]:
    """What each instrument of a real market that the book traded settles in, by symbol."""
    traded = FillTotal.objects.filter(book=fund.book).values("instrument_id")
    rows = Instrument.objects.filter(pk__in=traded).exclude(venue=SIMULATED)
    return dict(rows.values_list("symbol", "settle"))


def _venue_cash(fund: Fund, before: datetime) -> list[tuple[str, Decimal]]:
    """Venue cash before an instant by the instrument of its entries; "" is money sent and taken."""
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT p.instrument, sum(p.amount)
               FROM investors_posting p JOIN investors_entry e ON e.id = p.entry_id
               WHERE e.fund_id = %s AND p.account_id = %s AND p.currency = %s
                 AND e.effective_at < %s GROUP BY 1 ORDER BY 1""",
            [fund.pk, VENUE_CASH, fund.currency, before],
        )
        return [(symbol, amount) for symbol, amount in cursor.fetchall()]
