"""Orders to switch units of one class into another of the same fund, and their quotes.

A switch redeems and subscribes at one NAV.  No cash leaves, so no notice is needed and the fund's
gate does not count it; the lock-up, the holder's own gate and the fees of both classes hold.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal

from django.db import transaction

from investors.domain.dealing import Switch, compute_lockup_end, deal_switch
from investors.domain.exact import exactly
from investors.domain.fees import ClassTerms, compute_accrued_fee, compute_management_fee
from investors.models import DealingDay, DealingOrder, Holding, Investor, ShareClass
from investors.services.dealing import lock_holding, next_dealing_day, reserve
from investors.services.dealing_quotes import (
    Proceeds,
    find_missed_day,
    read_leaving,
)
from investors.services.dealing_rules import (
    last_price,
    require_first_minimum,
    require_kyc,
    require_open,
    require_open_class,
    require_own,
    require_redeemable,
)
from investors.services.estate_rules import require_living
from investors.services.estimates import PriceEstimate
from investors.services.policies import terms_in_force
from magnetfund.core.actors import Actor
from magnetfund.kernel.clock import utc_now
from magnetfund.kernel.errors import Conflict, InvalidInput

#: Results of the fund over a year at which the costs of two classes are compared.
RESULTS = tuple(Decimal(text) for text in ("-0.1", "0", "0.05", "0.1", "0.2", "0.3"))
YEAR = timedelta(days=365)
ZERO = Decimal(0)


def submit_switch(
    *,
    investor: Investor,
    share_class: ShareClass,
    into_class: ShareClass,
    units: Decimal | None,
    actor: Actor,
    at: datetime | None = None,
) -> DealingOrder:
    """Take in a switch of units, or of everything (``None``), and reserve them.

    Raises what :func:`dealing.submit_redemption` raises, and :class:`InvalidInput`
    (``same_class``, ``other_fund``, ``below_minimum``) and :class:`NotAllowed` (``kyc_open``).
    """
    at = at or utc_now()
    power = require_own(investor, actor, may="may_redeem")
    require_living(investor)
    require_open(share_class.fund)
    terms = terms_in_force(share_class, at=at)
    with transaction.atomic():
        holding = lock_holding(investor, share_class)
        day = next_dealing_day(share_class.fund, received_at=at)
        wanted = _require_switchable(
            investor, share_class, into_class, terms=terms, holding=holding, units=units,
            day=day.day, at=at,
        )  # fmt: skip
        order = DealingOrder(
            kind=DealingOrder.Kind.SWITCH,
            investor=investor,
            share_class=share_class,
            into_class=into_class,
            units=units,
            under_power=power,
        )
        return reserve(order, wanted, day=day, actor=actor, at=at)


def _require_switchable(
    investor: Investor,
    share_class: ShareClass,
    into_class: ShareClass,
    *,
    terms: ClassTerms,
    holding: Holding | None,
    units: Decimal | None,
    day: date,
    at: datetime,
) -> Decimal:
    """Units that a switch takes; minimums are measured at the last dealing prices."""
    if into_class.pk == share_class.pk:
        raise InvalidInput("a switch needs a different class", code="same_class")
    if into_class.fund_id != share_class.fund_id:
        raise InvalidInput("a switch stays within one fund", code="other_fund")
    require_open_class(into_class, at=at)
    into_terms = terms_in_force(into_class, at=at)
    # The smallest redemption is about payments; what a switch must reach is the other class's.
    wanted = require_redeemable(
        investor=investor,
        terms=replace(terms, minimum_redemption=ZERO),
        holding=holding,
        units=units,
        day=day,
    )
    require_kyc(investor)
    moved = wanted * last_price(share_class)
    require_first_minimum(investor, into_class, moved)
    there = Holding.objects.filter(investor=investor, share_class=into_class).first()
    held = there.units * last_price(into_class) if there is not None else ZERO
    if moved + held < into_terms.minimum_holding:
        raise InvalidInput(
            f"the minimum holding of class {into_class.code} is "
            f"{into_terms.minimum_holding:,.2f} {into_class.fund.currency}",
            code="below_minimum",
        )
    return wanted


@dataclass(frozen=True, slots=True, kw_only=True)
class YearCost:
    """Both fees of one year on the amount that moves, in each class, at a result of the fund."""

    result: Decimal
    here: Decimal
    there: Decimal

    @property
    def saved(self) -> Decimal:
        return self.here - self.there


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchQuote:
    """A switch as it would be taken now, at estimated prices of both classes.

    ``lockup_until`` is the first free day of the new units.
    """

    share_class: ShareClass
    into_class: ShareClass
    terms: ClassTerms
    into_terms: ClassTerms
    units: Decimal
    is_all: bool
    units_left: Decimal
    day: DealingDay
    missed: DealingDay | None
    price: Decimal
    into_price: Decimal
    priced_at: datetime | None
    is_struck: bool
    proceeds: Proceeds
    bought: Switch
    lockup_until: date | None
    costs: tuple[YearCost, ...]


def quote_switch(
    *,
    investor: Investor,
    share_class: ShareClass,
    into_class: ShareClass,
    estimate: PriceEstimate | None,
    at: datetime,
    units: Decimal | None = None,
    amount: Decimal | None = None,
) -> SwitchQuote:
    """The quote of a switch of ``units``, of what is worth about ``amount``, or of everything.

    Refuses with the errors of :func:`submit_switch`, and with ``no_price`` where the class was
    never priced; an amount also with ``not_enough_value``.
    """
    require_open(share_class.fund)
    into_terms = terms_in_force(into_class, at=at)
    leaving = read_leaving(investor=investor, share_class=share_class, estimate=estimate, at=at)
    price = leaving.price
    if price is None:
        raise Conflict("this class has no price yet", code="no_price")
    day = next_dealing_day(share_class.fund, received_at=at)
    if amount is not None:
        units = leaving.units_for(amount, day=day.day)
    wanted = _require_switchable(
        investor, share_class, into_class, terms=leaving.terms, holding=leaving.holding,
        units=units, day=day.day, at=at,
    )  # fmt: skip
    assert leaving.holding is not None
    result = leaving.redeem(wanted, price, day=day.day)
    known = estimate.prices.get(into_class.code) if estimate is not None else None
    into_price = into_class.launch_price if known is None else known
    return SwitchQuote(
        share_class=share_class,
        into_class=into_class,
        terms=leaving.terms,
        into_terms=into_terms,
        units=wanted,
        is_all=units is None,
        units_left=leaving.holding.units - wanted,
        day=day,
        missed=find_missed_day(day, at=at),
        price=price,
        into_price=into_price,
        priced_at=estimate.at if estimate is not None else None,
        is_struck=estimate is not None and estimate.is_struck,
        proceeds=leaving.split(result, price),
        bought=deal_switch(redemption=result, into=into_terms, price=into_price),
        lockup_until=compute_lockup_end(terms=into_terms, dealing_day=day.day),
        costs=compare_costs(
            here=leaving.terms, there=into_terms, money=result.payout, start=day.day
        ),
    )


def compare_costs(
    *, here: ClassTerms, there: ClassTerms, money: Decimal, start: date
) -> tuple[YearCost, ...]:
    """Management and performance fee of a year on ``money`` in two classes, by result."""
    return tuple(
        YearCost(
            result=result,
            here=_year_cost(here, money, result, start),
            there=_year_cost(there, money, result, start),
        )
        for result in RESULTS
    )


@exactly
def _year_cost(terms: ClassTerms, money: Decimal, result: Decimal, start: date) -> Decimal:
    end = start + YEAR
    managed = compute_management_fee(terms=terms, base=money, start=start, end=end)
    worth = money * (1 + result) - managed
    if money <= 0 or worth <= 0:
        return managed
    fee = compute_accrued_fee(terms=terms, price=worth, mark=money, clock=start, day=end)
    return managed + fee
