"""What an order would be, shown before it is sent; nothing here writes.

A quote is an estimate: the price is struck after the cut-off and nobody knows it.  Day, units,
refusals and fees come from the same functions that take and deal the order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal

from investors.domain.dealing import gross_of_net, list_free_lots, size_gross_redemption
from investors.domain.exact import ONE, ZERO, exactly
from investors.domain.fees import ClassTerms, Rank, compute_accrued_fee
from investors.domain.strike import (
    LotInput,
    RedemptionOrder,
    RedemptionResult,
    SubscriptionOrder,
    deal_redemptions,
    deal_subscription,
)
from investors.models import DealingDay, Holding, Investor, ShareClass, UnitLot
from investors.services.dealing import next_dealing_day
from investors.services.dealing_rules import require_open, require_redeemable, require_subscribable
from investors.services.estimates import PriceEstimate
from investors.services.nav_inputs import read_lots
from investors.services.policies import terms_by_class, terms_in_force
from magnetfund.kernel.errors import Conflict
from magnetfund.kernel.money import Rounding, quantize

#: The move of the price that a quote shows in both directions.
PRICE_MOVE = Decimal("0.05")


@dataclass(frozen=True, slots=True, kw_only=True)
class GateRange:
    """Part of an order that the fund's gate lets through on one day, as fractions of it.

    ``share`` of the fund may leave on a day.  ``least`` is what passes when everybody asks for
    everything, ``most`` when nobody else asks; both are one where there is no gate.
    """

    share: Decimal
    least: Decimal
    most: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Proceeds:
    """Money of a redemption at one price: ``gross`` is units times price, before any fee."""

    gross: Decimal
    performance_fee: Decimal
    exit_fee: Decimal
    payout: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class RedemptionQuote:
    """An order to redeem as it would be taken now.

    ``missed`` is an earlier dealing day that it is too late for.  Without a price there is no
    ``proceeds``: the class was never priced.
    """

    share_class: ShareClass
    terms: ClassTerms
    units: Decimal
    is_all: bool
    units_left: Decimal
    day: DealingDay
    missed: DealingDay | None
    price: Decimal | None
    priced_at: datetime | None
    is_struck: bool
    proceeds: Proceeds | None
    lower: Decimal | None
    higher: Decimal | None
    gate: GateRange


def compute_gate_range(
    *, terms: Sequence[ClassTerms], value: Decimal | None, nav: Decimal | None
) -> GateRange:
    """The range of one order worth ``value`` in a fund of ``nav``, by the strictest class's term.

    Orders that queue first may leave nothing where the older ones are filled first.
    """
    strictest = min(terms, key=lambda item: item.gate_share)
    share = strictest.gate_share
    if share == ONE:
        return GateRange(share=share, least=ONE, most=ONE)
    most = ONE
    if value and nav is not None and nav > 0:
        most = min(ONE, share * nav / value)
    least = share if strictest.gate_rank is Rank.EQUAL else ZERO
    return GateRange(share=share, least=min(least, most), most=most)


def quote_redemption(
    *,
    investor: Investor,
    share_class: ShareClass,
    estimate: PriceEstimate | None,
    at: datetime,
    units: Decimal | None = None,
    amount: Decimal | None = None,
) -> RedemptionQuote:
    """The quote of ``units``, of what pays about ``amount`` now, or of everything (neither).

    ``estimate`` is the fund's (:func:`estimates.estimate_prices`).  Refuses with the errors of
    :func:`dealing.submit_redemption`; an amount also with ``no_price`` and ``not_enough_value``.
    """
    require_open(share_class.fund)
    every = dict(terms_by_class(share_class.fund.book, at=at))
    leaving = read_leaving(investor=investor, share_class=share_class, estimate=estimate, at=at)
    terms, price = leaving.terms, leaving.price
    day = next_dealing_day(share_class.fund, received_at=at, notice_days=terms.notice_days)
    if amount is not None:
        units = leaving.units_for(amount, day=day.day)
    wanted = require_redeemable(
        investor=investor, terms=terms, holding=leaving.holding, units=units, day=day.day
    )
    assert leaving.holding is not None
    proceeds = leaving.pay(wanted, price, day=day.day) if price is not None else None
    net = proceeds.payout if proceeds is not None else None
    return RedemptionQuote(
        share_class=share_class,
        terms=terms,
        units=wanted,
        is_all=units is None,
        units_left=leaving.holding.units - wanted,
        day=day,
        missed=find_missed_day(day, at=at),
        price=price,
        priced_at=estimate.at if estimate is not None and price is not None else None,
        is_struck=estimate is not None and estimate.is_struck,
        proceeds=proceeds,
        lower=leaving.pay(wanted, price * (1 - PRICE_MOVE), day=day.day).payout if price else None,
        higher=leaving.pay(wanted, price * (1 + PRICE_MOVE), day=day.day).payout if price else None,
        gate=compute_gate_range(
            terms=list(every.values()),
            value=net,
            nav=estimate.nav if estimate is not None else None,
        ),
    )


def find_missed_day(day: DealingDay, *, at: datetime) -> DealingDay | None:
    """An earlier open day, not valued yet, whose cut-off or notice an order of ``at`` misses."""
    return (
        DealingDay.objects.filter(
            fund=day.fund_id, valuation_at__gt=at, day__lt=day.day, is_suspended=False
        )
        .order_by("day")
        .first()
    )


@exactly
def units_worth(
    *,
    terms: ClassTerms,
    lots: Sequence[LotInput],
    price: Decimal,
    fees: dict[str, Decimal],
    net: Decimal,
) -> Decimal:
    """Units, first in first out, that pay ``net`` after every fee at ``price``, rounded down."""
    gross = gross_of_net(net=net, exit_fee_rate=terms.exit_fee_rate)
    cuts = size_gross_redemption(
        lots=lots, price=price, fees=fees, gross=gross, unit_quantum=terms.unit_quantum
    )
    return sum((cut.units for cut in cuts), ZERO)


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaving:
    """A holder's lots of one class and what leaves of them at a price, by the NAV engine."""

    terms: ClassTerms
    holding: Holding | None
    lots: Sequence[LotInput]
    price: Decimal | None
    on: date

    def units_for(self, amount: Decimal, *, day: date) -> Decimal:
        """Units free on ``day`` that pay ``amount`` after every fee; raises ``no_price`` and
        ``not_enough_value``."""
        if self.price is None:
            raise Conflict("this class has no price yet; order by units", code="no_price")
        free = list_free_lots(terms=self.terms, lots=self.lots, day=day).units
        lots = [replace(lot, units=free[lot.lot]) for lot in self.lots if free[lot.lot]]
        fees = self._fees(self.price)
        return units_worth(terms=self.terms, lots=lots, price=self.price, fees=fees, net=amount)

    def redeem(self, units: Decimal, price: Decimal, *, day: date) -> RedemptionResult:
        """What units that are dealt on ``day`` would get at ``price``."""
        g = quantize(price, self.terms.price_quantum)
        free = list_free_lots(terms=self.terms, lots=self.lots, day=day)
        return deal_redemptions(
            terms=self.terms,
            price=g,
            fees=self._fees(g),
            lots=self.lots,
            free=free.units,
            early_fee_rates=free.fee_rates,
            orders=[RedemptionOrder(order="quote", holder=self.lots[0].holder, units=units)],
        )[0]

    def split(self, result: RedemptionResult, price: Decimal) -> Proceeds:
        """The money of a result and its fees."""
        g = quantize(price, self.terms.price_quantum)
        gross = quantize(result.units * g, self.terms.cash_quantum, Rounding.DOWN)
        return Proceeds(
            gross=gross,
            performance_fee=gross - result.exit_fee - result.payout,
            exit_fee=result.exit_fee,
            payout=result.payout,
        )

    def pay(self, units: Decimal, price: Decimal, *, day: date) -> Proceeds:
        return self.split(self.redeem(units, price, day=day), price)

    def _fees(self, price: Decimal) -> dict[str, Decimal]:
        """What each lot owes per unit at a price."""
        return {
            lot.lot: compute_accrued_fee(
                terms=self.terms, price=price, mark=lot.mark, clock=lot.clock, day=self.on
            )
            for lot in self.lots
        }


def read_leaving(
    *, investor: Investor, share_class: ShareClass, estimate: PriceEstimate | None, at: datetime
) -> Leaving:
    """The investor's lots of a class as they stand, with the estimated price of now."""
    holding = Holding.objects.filter(investor=investor, share_class=share_class).first()
    on = (estimate.at if estimate is not None else at).date()
    own = UnitLot.objects.filter(holding=holding, units__gt=0)
    return Leaving(
        terms=terms_in_force(share_class, at=at),
        holding=holding,
        lots=read_lots(own, on) if holding is not None else (),
        price=estimate.prices.get(share_class.code) if estimate is not None else None,
        on=on,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionQuote:
    """A subscription as it would be taken now; ``units`` is an estimate at ``price``."""

    share_class: ShareClass
    terms: ClassTerms
    amount: Decimal
    entry_fee: Decimal
    units: Decimal
    price: Decimal
    priced_at: datetime | None
    is_struck: bool
    day: DealingDay
    missed: DealingDay | None


def quote_subscription(
    *,
    investor: Investor,
    share_class: ShareClass,
    estimate: PriceEstimate | None,
    amount: Decimal,
    at: datetime,
) -> SubscriptionQuote:
    """The quote of a subscription; refuses with the errors of :func:`dealing.submit_subscription`.

    A class without units issues at its launch price.
    """
    require_subscribable(investor=investor, share_class=share_class, amount=amount, at=at)
    terms = terms_in_force(share_class, at=at)
    known = estimate.prices.get(share_class.code) if estimate is not None else None
    price = share_class.launch_price if known is None else known
    bought = deal_subscription(
        terms=terms, price=price, order=SubscriptionOrder(order="quote", amount=amount)
    )
    day = next_dealing_day(share_class.fund, received_at=at)
    return SubscriptionQuote(
        share_class=share_class,
        terms=terms,
        amount=amount,
        entry_fee=bought.entry_fee,
        units=bought.units,
        price=price,
        priced_at=estimate.at if estimate is not None and known is not None else None,
        is_struck=known is None or (estimate is not None and estimate.is_struck),
        day=day,
        missed=find_missed_day(day, at=at),
    )
