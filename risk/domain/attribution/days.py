"""A trading day as segments of an attribution: what was held, what it gave, and what the rest was.

The weight of an instrument is its mean exposure over the day, short below zero, at the price of the
day's start; its return is what it gave, costs among it, divided by that weight.  Cash is what is
left of 1, and carries what no instrument explains, so that a day adds to the return of the book.
A position that was opened and closed at one instant has no weight: its result is selection.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from magnetfund.kernel.errors import InvalidInput
from risk.domain.attribution.brinson import Attribution, Segment, attribute_active_return

CASH = "cash"
#: Mean exposure, as a share of equity, below which an instrument counts as not held.
HELD_FROM = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class DayTrade:
    """A fill, or the sums over several fills of a day, sold below zero.

    ``quantity`` in base currency; ``held`` the same weighted by the share of the day that was left;
    ``paid`` in quote currency.
    """

    quantity: float
    held: float
    paid: float

    @classmethod
    def of(cls, *, moment: float, quantity: float, price: float) -> DayTrade:
        """One fill at ``moment``, a share of the day."""
        return cls(quantity=quantity, held=quantity * (1.0 - moment), paid=quantity * price)


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldDay:
    """One instrument over one day; ``costs`` are fees less funding received, in quote currency."""

    name: str
    quantity: float
    price: float
    price_end: float
    trades: tuple[DayTrade, ...] = ()
    costs: float = 0.0

    @property
    def gain(self) -> float:
        """What the position and its trades gave after costs, in quote currency."""
        bought = math.fsum(trade.quantity for trade in self.trades)
        paid = math.fsum(trade.paid for trade in self.trades)
        end = (self.quantity + bought) * self.price_end
        return end - self.quantity * self.price - paid - self.costs

    @property
    def mean_exposure(self) -> float:
        """Quantity held over the day on average, at the price of its start."""
        later = math.fsum(trade.held for trade in self.trades)
        return (self.quantity + later) * self.price


def attribute_day(
    *,
    held: Sequence[HeldDay],
    equity: float,
    total_return: float,
    benchmark: Mapping[str, float],
) -> Attribution:
    """One day of a book of ``equity`` at its start that returned ``total_return``.

    ``benchmark`` holds the weight of each instrument in the benchmark; what is left of 1 is cash
    without a return.  Raises :class:`InvalidInput`: ``no_equity``, ``no_price`` for a price that is
    not above zero, ``unknown_segment`` for a weight of what has no day, and the codes of
    :func:`attribute_active_return`.
    """
    if not equity > 0:
        raise InvalidInput("a book without equity has no weights", code="no_equity")
    if not all(item.price > 0 and item.price_end > 0 for item in held):
        raise InvalidInput("a price must be above zero", code="no_price")
    if missing := set(benchmark) - {item.name for item in held}:
        raise InvalidInput(f"no day of {', '.join(sorted(missing))}", code="unknown_segment")
    segments: list[Segment] = []
    brief: dict[str, float] = {}
    rest = total_return
    for item in held:
        weight = item.mean_exposure / equity
        market = item.price_end / item.price - 1.0
        is_held = abs(weight) > HELD_FROM
        gain = item.gain / equity
        rest -= gain
        if not is_held:
            brief[item.name] = gain
        segments.append(
            Segment(
                name=item.name,
                portfolio_weight=weight if is_held else 0.0,
                benchmark_weight=benchmark.get(item.name, 0.0),
                portfolio_return=gain / weight if is_held else market,
                benchmark_return=market,
            )
        )
    cash, cash_return = 1.0 - math.fsum(row.portfolio_weight for row in segments), 0.0
    if abs(cash) > HELD_FROM:
        cash_return = rest / cash
    else:  # Fully invested to the last digit: the rest is told with the largest position.
        largest = max(segments, key=lambda row: abs(row.portfolio_weight))
        told = largest.portfolio_return + rest / largest.portfolio_weight
        segments[segments.index(largest)] = replace(largest, portfolio_return=told)
    segments.append(
        Segment(
            name=CASH,
            portfolio_weight=cash,
            benchmark_weight=1.0 - math.fsum(benchmark.values()),
            portfolio_return=cash_return,
            benchmark_return=0.0,
        )
    )
    found = attribute_active_return(segments=segments)
    return Attribution(
        portfolio_return=found.portfolio_return + math.fsum(brief.values()),
        benchmark_return=found.benchmark_return,
        effects=tuple(
            replace(effect, selection=effect.selection + brief.get(effect.name, 0.0))
            for effect in found.effects
        ),
    )
