"""What refuses an investor's order: the account, the fund, the class's terms and minimums.

Each rule raises the first refusal that applies and writes nothing; a redemption is measured at the
last dealing price.
"""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal

from investors.domain.dealing import (
    LockedLot,
    RedemptionRefusal,
    check_redemption,
    compute_free_units,
)
from investors.domain.fees import ClassTerms, LockUp
from investors.domain.onboarding import KycState
from investors.models import (
    ClassNav,
    Fund,
    Holding,
    Investor,
    PowerOfAttorney,
    ShareClass,
    UnitLot,
)
from investors.services.attorneys import find_power
from investors.services.policies import takes_money
from magnetfund.core.actors import Actor
from magnetfund.core.roles import Capability
from magnetfund.kernel.errors import Conflict, InvalidInput, NotAllowed
from magnetfund.kernel.money import currency_quantum, decimal_of, quantize


def require_open(fund: Fund) -> None:
    """Raise :class:`Conflict` (``fund_suspended``) while dealing in this fund is suspended; no
    orders are accepted until it is lifted."""
    if Fund.objects.filter(pk=fund.pk, is_suspended=True).exists():
        raise Conflict(
            "dealing in this fund is suspended; no orders are accepted until it is lifted",
            code="fund_suspended",
        )


def require_subscribable(
    *, investor: Investor, share_class: ShareClass, amount: Decimal, at: datetime
) -> None:
    """Raise for the first rule that refuses a subscription: ``fund_suspended``, ``class_closed``,
    ``kyc_open``, ``not_positive``, ``too_fine``, ``below_minimum``."""
    require_open(share_class.fund)
    require_open_class(share_class, at=at)
    require_kyc(investor)
    currency = share_class.fund.currency
    _require_measure(amount, quantum=currency_quantum(currency), what="amount")
    require_first_minimum(investor, share_class, amount)


def require_open_class(share_class: ShareClass, *, at: datetime) -> None:
    """Raise :class:`Conflict` (``class_closed``) where the terms in force close the class."""
    if not takes_money(share_class, at=at):
        raise Conflict(
            f"class {share_class.code} is closed to new money; units in it can leave",
            code="class_closed",
        )


def require_first_minimum(investor: Investor, share_class: ShareClass, amount: Decimal) -> None:
    """Raise :class:`InvalidInput` (``below_minimum``) where a first purchase is too small."""
    if amount < share_class.minimum_subscription and not _holds(investor, share_class):
        raise InvalidInput(
            f"the minimum first subscription is {share_class.minimum_subscription:,.2f} "
            f"{share_class.fund.currency}",
            code="below_minimum",
        )


def require_redeemable(
    *,
    investor: Investor,
    terms: ClassTerms,
    holding: Holding | None,
    units: Decimal | None,
    day: date,
) -> Decimal:
    """Units that an order for ``units`` (``None``: everything) takes of a holding on ``day``.

    Minimums are measured at the last dealing price.  Raises :class:`NotAllowed` (``on_hold``),
    :class:`InvalidInput` (``not_positive``, ``too_fine``) and :class:`Conflict`
    (``not_enough_units``, ``locked_up``, ``below_minimum``, ``leaves_below_minimum``).
    """
    wanted = require_available(
        investor=investor, holding=holding, units=units, quantum=terms.unit_quantum
    )
    assert holding is not None
    _require_terms(terms, holding, wanted, day)
    return wanted


def require_not_on_hold(investor: Investor) -> None:
    """Raise :class:`NotAllowed` (``on_hold``) for an account that compliance restricted."""
    if investor.kyc_state == KycState.RESTRICTED:
        raise NotAllowed(
            "this account is on hold; the fund's compliance officer can tell you more",
            code="on_hold",
        )


def require_available(
    *,
    investor: Investor,
    holding: Holding | None,
    units: Decimal | None,
    quantum: Decimal,
    is_forced: bool = False,
) -> Decimal:
    """Units of a holding that no order reserves, as many as asked (``None``: all of them).

    Raises :class:`NotAllowed` (``on_hold``, unless the fund itself forces it),
    :class:`InvalidInput` (``not_positive``, ``too_fine``) and :class:`Conflict`
    (``not_enough_units``).
    """
    if not is_forced:
        require_not_on_hold(investor)
    if units is not None:
        _require_measure(units, quantum=quantum, what="number of units")
    free = holding.units - holding.reserved_units if holding is not None else Decimal(0)
    wanted = free if units is None else units
    if wanted > free or wanted == 0:
        raise Conflict(
            f"only {free.normalize():f} units are available",
            code="not_enough_units",
            details={"free": f"{free:f}"},
        )
    return wanted


def _require_terms(terms: ClassTerms, holding: Holding, wanted: Decimal, day: date) -> None:
    """Lock-up of each lot, and the minimums of the class, with what other orders have reserved."""
    if terms.lock_up is not LockUp.HARD and not terms.minimum_redemption + terms.minimum_holding:
        return
    lots = [
        LockedLot(lot=str(lot.pk), units=lot.units, lockup_until=lot.lockup_until)
        for lot in UnitLot.objects.filter(holding=holding, units__gt=0)
    ]
    free = compute_free_units(lots=lots, day=day, lock=terms.lock_up)
    refusal = check_redemption(
        units=wanted + holding.reserved_units,
        lots=lots,
        free=free,
        indicative_price=last_price(holding.share_class),
        minimum_value=terms.minimum_redemption,
        minimum_holding=terms.minimum_holding,
    )
    if refusal is None:
        return
    units = sum((item.units for item in free), Decimal(0)) - holding.reserved_units
    until = min((lot.lockup_until for lot in lots if lot.lockup_until), default=None)
    raise Conflict(
        {
            RedemptionRefusal.LOCKED_UP: (
                f"units are locked up until {until}; {units.normalize():f} are free"
            ),
            RedemptionRefusal.BELOW_MINIMUM: (
                f"the minimum redemption is {terms.minimum_redemption:,.2f}"
            ),
            RedemptionRefusal.LEAVES_BELOW_MINIMUM: (
                f"less than the minimum holding of {terms.minimum_holding:,.2f} would remain; "
                f"redeem all instead"
            ),
        }.get(refusal, "more units than are held"),
        code=refusal.value,
        details={"free": f"{units:f}"},
    )


def last_price(share_class: ShareClass) -> Decimal:
    """The newest dealing price of a class: its launch price before the first one, and where nobody
    held units at the last NAV."""
    struck = (
        ClassNav.objects.filter(share_class=share_class, strike__state="dealt")
        .order_by("-strike__valuation_at")
        .values_list("price", flat=True)
        .first()
    )
    return struck or share_class.launch_price


def _holds(investor: Investor, share_class: ShareClass) -> bool:
    return Holding.objects.filter(investor=investor, share_class=share_class, units__gt=0).exists()


def require_kyc(investor: Investor) -> None:
    """Raise :class:`NotAllowed` (``kyc_open``) unless the investor is approved now."""
    if investor.kyc_state != KycState.APPROVED:
        raise NotAllowed("your identity verification (KYC) is not complete", code="kyc_open")


def _require_measure(value: Decimal, *, quantum: Decimal, what: str) -> None:
    """A finite positive number of the ledger's range in whole quanta."""
    number = decimal_of(value)
    if number <= 0:
        raise InvalidInput(f"the {what} must be positive", code="not_positive")
    if quantize(number, quantum) != number:
        raise InvalidInput(f"the {what} must be a multiple of {quantum:f}", code="too_fine")


def require_own(investor: Investor, actor: Actor, *, may: str) -> PowerOfAttorney | None:
    """Investors may order only for themselves, attorneys for their holders (the power is answered;
    ``may`` names the field that allows the step), staff with the capability dealing.process.

    Raises :class:`NotAllowed` (``not_in_power``: the power does not include the step)."""
    if actor.user is None or investor.user_id == actor.user.pk:
        return None
    power = find_power(investor, actor.user)
    if power is None:
        actor.require(Capability.DEALING_PROCESS)
    elif not getattr(power, may):
        raise NotAllowed("your power of attorney does not include this", code="not_in_power")
    return power
