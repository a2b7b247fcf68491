"""Iron condors: a put spread sold below and a call spread sold above, both with long wings.

The risk is defined: with wing width w and credit c per unit, the loss is never above
``(w - c) x multiplier`` a contract, and that (not the margin) is what sizing uses.  Money is in the
option's quote currency, before commissions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from magnetfund.kernel.errors import InvalidInput
from trading.domain.options.pricing import OptionKind, chance_above, compute_greeks

DELTA_SHORT = 0.15


@dataclass(frozen=True, slots=True, kw_only=True)
class OptionQuote:
    """One listed option: ``bid`` and ``ask`` per unit, ``volatility`` its implied one."""

    kind: OptionKind
    strike: float
    bid: float
    ask: float
    volatility: float

    def __post_init__(self) -> None:
        values = (self.strike, self.bid, self.ask, self.volatility)
        if not all(math.isfinite(value) for value in values):
            raise InvalidInput("a quote holds a value that is not finite", code="not_finite")
        if not (self.strike > 0.0 and self.volatility > 0.0 and 0.0 <= self.bid <= self.ask):
            raise InvalidInput("a quote needs 0 <= bid <= ask", code="bad_quote")


@dataclass(frozen=True, slots=True, kw_only=True)
class CondorTerms:
    """What to build.  ``loss_max`` is the money that one position may lose."""

    spot: float
    years: float
    loss_max: float
    rate: float = 0.0
    dividend_yield: float = 0.0
    delta_short: float = DELTA_SHORT
    multiplier: float = 100.0

    def __post_init__(self) -> None:
        positive = (self.spot, self.years, self.loss_max, self.multiplier)
        if not all(math.isfinite(value) and value > 0.0 for value in positive):
            raise InvalidInput("spot, time, loss and multiplier are positive", code="bad_condor")
        if not 0.0 < self.delta_short < 0.5:
            raise InvalidInput("the short delta lies in (0, 0.5)", code="bad_condor")


class CondorRefusal(StrEnum):
    """Why no condor is built."""

    NO_SHORT_STRIKE = "no_short_strike"
    NO_WING = "no_wing"
    NO_CREDIT = "no_credit"
    LOSS_ABOVE_LIMIT = "loss_above_limit"


@dataclass(frozen=True, slots=True, kw_only=True)
class IronCondor:
    """Four legs from the lowest strike to the highest, and what they may earn or lose.

    ``credit`` is per unit, sold at the bid and bought at the ask; ``profit_max`` and ``loss_max``
    are per contract; ``chance_of_profit`` is the risk-neutral probability of ending between the
    breakevens, each taken at its own short strike's volatility.
    """

    put_wing: OptionQuote
    put_short: OptionQuote
    call_short: OptionQuote
    call_wing: OptionQuote
    contracts: int
    credit: float
    profit_max: float
    loss_max: float
    breakeven_low: float
    breakeven_high: float
    chance_of_profit: float

    @property
    def width(self) -> float:
        """The wider of the two spreads, in price units."""
        return max(
            self.put_short.strike - self.put_wing.strike,
            self.call_wing.strike - self.call_short.strike,
        )

    def payoff(self, level: float) -> float:
        """Profit per unit at expiry with the asset at ``level``."""
        put = max(self.put_short.strike - level, 0.0) - max(self.put_wing.strike - level, 0.0)
        call = max(level - self.call_short.strike, 0.0) - max(level - self.call_wing.strike, 0.0)
        return self.credit - put - call


def build_iron_condor(
    *, quotes: Sequence[OptionQuote], terms: CondorTerms
) -> IronCondor | CondorRefusal:
    """The condor with short strikes nearest the short delta and the widest wings that fit.

    Of all pairs of wings that earn a credit and lose at most ``terms.loss_max`` with one contract,
    the one with the largest credit is taken (then the narrower); contracts fill the limit.
    """
    puts = _side(quotes, OptionKind.PUT, terms.spot)
    calls = _side(quotes, OptionKind.CALL, terms.spot)
    if not puts or not calls:
        return CondorRefusal.NO_SHORT_STRIKE
    put_short = min(puts, key=lambda quote: _distance(quote, terms))
    call_short = min(calls, key=lambda quote: _distance(quote, terms))
    put_wings = [quote for quote in puts if quote.strike < put_short.strike]
    call_wings = [quote for quote in calls if quote.strike > call_short.strike]
    if not put_wings or not call_wings:
        return CondorRefusal.NO_WING
    found = [
        _assemble(put_wing, put_short, call_short, call_wing, terms)
        for put_wing in put_wings
        for call_wing in call_wings
    ]
    earning = [condor for condor in found if condor.credit > 0.0]
    if not earning:
        return CondorRefusal.NO_CREDIT
    fitting = [condor for condor in earning if condor.contracts >= 1]
    if not fitting:
        return CondorRefusal.LOSS_ABOVE_LIMIT
    return max(fitting, key=lambda condor: (condor.credit, -condor.width))


def _side(quotes: Sequence[OptionQuote], kind: OptionKind, spot: float) -> list[OptionQuote]:
    """Out-of-the-money options of one kind, by strike."""
    out = [q for q in quotes if q.kind is kind and kind.sign * (q.strike - spot) > 0.0]
    return sorted(out, key=lambda quote: quote.strike)


def _distance(quote: OptionQuote, terms: CondorTerms) -> float:
    greeks = compute_greeks(
        kind=quote.kind,
        spot=terms.spot,
        strike=quote.strike,
        years=terms.years,
        volatility=quote.volatility,
        rate=terms.rate,
        dividend_yield=terms.dividend_yield,
    )
    return abs(abs(greeks.delta) - terms.delta_short)


def _assemble(
    put_wing: OptionQuote,
    put_short: OptionQuote,
    call_short: OptionQuote,
    call_wing: OptionQuote,
    terms: CondorTerms,
) -> IronCondor:
    credit = put_short.bid + call_short.bid - put_wing.ask - call_wing.ask
    width = max(put_short.strike - put_wing.strike, call_wing.strike - call_short.strike)
    # A credit above the width would be an arbitrage or a stale quote; the loss is never below 0.
    loss = max(width - credit, 0.0) * terms.multiplier
    low, high = put_short.strike - credit, call_short.strike + credit
    return IronCondor(
        put_wing=put_wing,
        put_short=put_short,
        call_short=call_short,
        call_wing=call_wing,
        contracts=math.floor(terms.loss_max / loss) if loss > 0.0 else 0,
        credit=credit,
        profit_max=credit * terms.multiplier,
        loss_max=loss,
        breakeven_low=low,
        breakeven_high=high,
        chance_of_profit=_chance_between(low, high, put_short, call_short, terms),
    )


def _chance_between(
    low: float, high: float, put: OptionQuote, call: OptionQuote, terms: CondorTerms
) -> float:
    def above(level: float, volatility: float) -> float:
        return chance_above(
            level=level,
            spot=terms.spot,
            years=terms.years,
            volatility=volatility,
            rate=terms.rate,
            dividend_yield=terms.dividend_yield,
        )

    above_low = above(low, put.volatility) if low > 0.0 else 1.0
    return max(above_low - above(high, call.volatility), 0.0) if high > low else 0.0
