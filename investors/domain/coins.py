"""What a stablecoin is worth in a fund's currency, and what that makes of the money held in it.

A rate is how much of the fund's currency one coin is worth.  It counts at an instant while it is at
most :data:`RATE_AGE_MAX` old, and one that departs from the rate before it by more than
:data:`JUMP` waits for a second source or a person.

Coins stand in the books one for one; their difference to par is the amount times (rate - 1).  Money
becomes coins at the rate of its NAV, so what the difference moves afterwards is
(rate now - rate at purchase) x amount.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction

from investors.domain.exact import exactly
from magnetfund.kernel.errors import InvalidInput
from magnetfund.kernel.money import quantize

#: A strike takes no older rate; the limit of prices.
RATE_AGE_MAX = timedelta(hours=6)
#: How far a coin may be from 1 and still be at par, as a fraction; this much is still par.
PAR_BAND = Decimal("0.005")
#: From the rate before it, as a fraction: what is further away waits to be confirmed.
JUMP = Decimal("0.02")
#: Differences to par, and coins that money becomes, are rounded half even to it.
COIN_STEP = Decimal("1e-8")
#: How old another source's reading may be to confirm a jump.
CONFIRMED_WITHIN = timedelta(minutes=15)


@dataclass(frozen=True, slots=True, kw_only=True)
class RateSource:
    """A market whose middle of best bid and ask is the rate of ``coin`` in ``currency``."""

    coin: str
    currency: str
    venue: str
    symbol: str

    @property
    def name(self) -> str:
        """As its rates name it: ``kraken USDT/USD``."""
        return f"{self.venue} {self.symbol}"


def read_sources(text: str) -> tuple[RateSource, ...]:
    """The sources of the setting ``STABLECOIN_RATES``: ``USDT=kraken:USDT/USD,USDC=...``.

    A coin may have several.  Raises :class:`InvalidInput` (``bad_rate_source``).
    """
    found = []
    for part in (item.strip() for item in text.split(",") if item.strip()):
        coin, _, market = part.partition("=")
        venue, _, symbol = market.partition(":")
        base, _, currency = symbol.partition(":")[0].partition("/")
        if not venue or not currency or base.upper() != coin.strip().upper():
            raise InvalidInput(
                f"STABLECOIN_RATES: {part!r} is not of the form USDT=kraken:USDT/USD",
                code="bad_rate_source",
            )
        found.append(
            RateSource(
                coin=base.upper(), currency=currency.upper(), venue=venue.strip().lower(),
                symbol=symbol.strip().upper(),
            )
        )  # fmt: skip
    return tuple(found)


@exactly
def is_jump(before: Decimal, rate: Decimal) -> bool:
    """Whether a rate departs from the one before it by more than :data:`JUMP`."""
    return abs(rate - before) > JUMP * before


@exactly
def is_at_par(rate: Decimal) -> bool:
    """Whether a coin at ``rate`` is within :data:`PAR_BAND` of 1, the band itself included."""
    return abs(rate - 1) <= PAR_BAND


def applied_rate(rate: Decimal, *, is_par_agreed: bool) -> Decimal:
    """The rate by which a NAV takes a coin: 1 where par is agreed and not void, else its own."""
    return Decimal(1) if is_par_agreed and is_at_par(rate) else rate


@exactly
def value_difference(amount: Decimal, applied: Decimal) -> Decimal:
    """What ``amount`` coins are worth beyond one for one; below zero for less."""
    return quantize(amount * (applied - 1), COIN_STEP)


@exactly
def convert_money(paid: Decimal, applied: Decimal) -> Decimal:
    """The coins that money becomes at a rate; below zero for coins that become money."""
    return quantize(paid / applied, COIN_STEP)


def recompute_difference(
    parts: Iterable[Decimal], rate: Decimal, *, is_par_agreed: bool
) -> Decimal:
    """:func:`value_difference` of coins by their movements, in exact rationals.

    It shares no arithmetic with the first: the worth of every movement is added up, and what they
    are one for one taken off.
    """
    moved = [Fraction(part) for part in parts]
    each = Fraction(rate)
    if is_par_agreed and Fraction(199, 200) <= each <= Fraction(201, 200):
        each = Fraction(1)
    worth = sum((part * each for part in moved), Fraction(0)) - sum(moved, Fraction(0))
    return Decimal(round(worth * 10**8)) * COIN_STEP


def is_fresh(observed_at: datetime, *, at: datetime) -> bool:
    """Whether a rate observed then may value what is held at ``at``."""
    return timedelta(0) <= at - observed_at <= RATE_AGE_MAX


def require_rate(rate: Decimal) -> Decimal:
    """A rate between a thousandth and a thousand, with at most twelve decimals.

    Raises :class:`InvalidInput` (``bad_rate``).
    """
    exponent = rate.normalize().as_tuple().exponent
    if not rate.is_finite() or not Decimal("0.001") <= rate <= 1000:
        raise InvalidInput("a rate lies between 0.001 and 1000", code="bad_rate")
    if isinstance(exponent, int) and exponent < -12:
        raise InvalidInput("a rate has at most twelve decimals", code="bad_rate")
    return rate


def require_lines(lines: Iterable[tuple[datetime, Decimal]]) -> list[tuple[datetime, Decimal]]:
    """Rates by their time, each time once, in its order.

    Raises :class:`InvalidInput`: ``no_rates``, ``bad_rate``, ``rate_twice``.
    """
    found = sorted((at, require_rate(rate)) for at, rate in lines)
    if not found:
        raise InvalidInput("there is no rate to take", code="no_rates")
    if len({at for at, _ in found}) != len(found):
        raise InvalidInput("a time has two rates", code="rate_twice")
    return found
