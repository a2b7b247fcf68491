"""What trading did, into the ledger: fills, fees, funding, and the mark of open positions.

USDT is carried at par to the fund's USD.  Linear perpetuals: only the realised result, fees and
funding touch venue cash; what is open stands at market in 1120.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db.models import Exists, OuterRef, Value
from django.db.models.fields import CharField
from django.db.models.functions import Cast, Concat

from investors.domain.ledger import Tags, build_entry
from investors.domain.ledger.chart import DERIVATIVES
from investors.models import Entry, Fund
from investors.services.ledger import NewEntry, open_since, post_entries, post_entry, read_balances
from magnetfund.core.actors import Actor
from magnetfund.kernel.clock import isoformat_z
from magnetfund.kernel.errors import Unavailable
from magnetfund.kernel.money import Rounding, decimal_from_float, quantize, round_to_step
from trading.models import Candle, Fill, FundingPayment, Instrument
from trading.services.held_fills import held_at

ZERO = Decimal(0)
#: What an entry tells of a fill or a payment of funding.
FILL_COLUMNS = (
    "pk", "instrument__symbol", "instrument__base", "strategy", "side", "quantity", "price", "fee",
    "realised", "occurred_at",
)  # fmt: skip
FUNDING_COLUMNS = (
    "pk", "instrument__symbol", "instrument__base", "strategy", "stamp", "rate", "amount",
)  # fmt: skip
#: An open position is not marked at an older price.
PRICE_AGE_MAX = timedelta(hours=6)


@dataclass(frozen=True, slots=True, kw_only=True)
class SleevePosition:
    """One sleeve's position at an instant, rebuilt from its fills; ``unrealised`` at ``price``."""

    instrument: str
    strategy: str
    quantity: Decimal
    average_price: Decimal
    price: Decimal
    unrealised: Decimal


def post_trading(fund: Fund, *, before: datetime, actor: Actor) -> int:
    """Post every fill and funding payment before an instant that is not in the ledger yet."""
    since, currency = open_since(fund), fund.currency
    fills = _unposted(Fill, "fill", fund, before, FILL_COLUMNS)
    payments = _unposted(FundingPayment, "funding", fund, before, FUNDING_COLUMNS)
    found = [_fill_entry(row, since, currency) for row in fills]
    found += [_funding_entry(row, since, currency) for row in payments]
    news = [new for new in found if new is not None]
    news.sort(key=lambda new: (new.effective_at, new.source_ref))
    return len(post_entries(fund, news, actor=actor))


def _unposted(
    model: type[Fill] | type[FundingPayment],
    prefix: str,
    fund: Fund,
    before: datetime,
    columns: Sequence[str],
) -> Iterable[Any]:
    """Columns, not rows with their instruments: a month of funding is many."""
    moment = "occurred_at" if model is Fill else "stamp"
    reference = Concat(Value(f"{prefix}:"), Cast(OuterRef("pk"), CharField()))
    posted = Entry.objects.filter(source_ref=reference)
    return (
        model._default_manager.filter(**{"book": fund.book, f"{moment}__lt": before})
        .filter(~Exists(posted))
        .order_by(moment, "pk")
        .values_list(*columns, named=True)
    )


def _fill_entry(row: Any, since: datetime, currency: str) -> NewEntry | None:
    tags = Tags(instrument=row.instrument__symbol, strategy=row.strategy)
    if not row.realised and not row.fee:
        return None
    entry = build_entry(
        event="trade_fill",
        source_ref=f"fill:{row.pk}",
        effective_at=max(row.occurred_at, since),
        amounts={"realised": row.realised, "fee": row.fee},
        currency=currency,
        tags=tags,
        text=f"{row.side} {row.quantity.normalize():f} {row.instrument__base} at "
        f"{row.price.normalize():f}{_late(row.occurred_at, since)}",
    )
    return NewEntry.of(entry)


def _funding_entry(row: Any, since: datetime, currency: str) -> NewEntry | None:
    tags = Tags(instrument=row.instrument__symbol, strategy=row.strategy)
    if not row.amount:
        return None
    part = "received" if row.amount > 0 else "paid"
    entry = build_entry(
        event="funding",
        source_ref=f"funding:{row.pk}",
        effective_at=max(row.stamp, since),
        amounts={part: abs(row.amount)},
        currency=currency,
        tags=tags,
        text=f"funding of {row.instrument__base} at {row.rate:.6%}{_late(row.stamp, since)}",
    )
    return NewEntry.of(entry)


def _late(happened_at: datetime, since: datetime) -> str:
    """A period that a NAV closed stays closed: what arrives late counts in the open one."""
    return f"; of {isoformat_z(happened_at)}, recorded late" if happened_at < since else ""


def positions_at(fund: Fund, *, at: datetime) -> list[SleevePosition]:
    """Open positions at ``at`` from the fills before it, marked at the last close known then.

    Raises :class:`Unavailable` where a held instrument has no closed candle.
    """
    held = held_at(fund.book, before=at)
    instruments = Instrument.objects.in_bulk({key for key, _ in held})
    found = []
    for (key, strategy), position in sorted(
        held.items(), key=lambda item: (instruments[item[0][0]].symbol, item[0][1])
    ):
        if position.quantity == 0:
            continue
        price = mark_price(instruments[key], at=at)
        found.append(
            SleevePosition(
                instrument=instruments[key].symbol,
                strategy=strategy,
                quantity=position.quantity,
                average_price=position.average_price,
                price=price,
                unrealised=quantize(position.unrealised(price), Decimal("1e-8")),
            )
        )
    return found


def mark_price(instrument: Instrument, *, at: datetime) -> Decimal:
    """The last closed hour's close known at ``at``, on the tick."""
    row = (
        Candle.objects.filter(instrument=instrument, timeframe="1h", known_at__lte=at)
        .order_by("-open_time", "-version")
        .values_list("close", "known_at")
        .first()
    )
    if row is None:
        raise Unavailable(f"{instrument.symbol} has no price at {at:%Y-%m-%d %H:%M}")
    close, known_at = row
    if at - known_at > PRICE_AGE_MAX:
        raise Unavailable(
            f"the newest price of {instrument.symbol} is of {known_at:%Y-%m-%d %H:%M}, older than "
            f"{PRICE_AGE_MAX.total_seconds() / 3600:.0f} hours; bring the market data up to date",
            code="price_too_old",
        )
    return round_to_step(decimal_from_float(close), instrument.tick, Rounding.HALF_EVEN)


def post_mark(
    fund: Fund, *, positions: list[SleevePosition], at: datetime, version: int, actor: Actor
) -> Decimal:
    """Bring 1120 to the unrealised result at ``at``; returns that result.

    The entry is effective a microsecond earlier: it closes the period that ends at ``at``.
    """
    wanted = sum((position.unrealised for position in positions), ZERO)
    standing = read_balances(fund, before=at, accounts=[DERIVATIVES]).get(
        (DERIVATIVES, fund.currency), ZERO
    )
    if wanted != standing:
        entry = build_entry(
            event="mark_to_market",
            source_ref=f"mark:{fund.code}:{isoformat_z(at)}:{version}",
            effective_at=at - timedelta(microseconds=1),
            amounts={"change": wanted - standing},
            currency=fund.currency,
            account=DERIVATIVES,
            text="Open positions, marked to market",
        )
        post_entry(fund, NewEntry.of(entry), actor=actor)
    return wanted
