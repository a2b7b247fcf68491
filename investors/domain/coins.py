"""What a stablecoin is worth in a fund's currency, and what that makes of the money held in it.

A rate is how much of the fund's currency one coin is worth.  It counts at an instant while it is at
most :data:`RATE_AGE_MAX` old, and one that departs from the rate before it by more than
:data:`JUMP` waits for a second source or a person.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from investors.domain.exact import exactly
from magnetfund.kernel.errors import InvalidInput

#: A strike takes no older rate; the limit of prices.
RATE_AGE_MAX = timedelta(hours=6)
#: How far a coin may be from 1 and still be at par, as a fraction; this much is still par.
PAR_BAND = Decimal("0.005")
#: From the rate before it, as a fraction: what is further away waits to be confirmed.
JUMP = Decimal("0.02")
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
