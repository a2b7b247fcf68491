"""Who is owed what for deals at a wrong price, how it is settled, and the entries that book it.

Amounts are in the class's currency.  ``due`` is positive where the holder lost by the wrong price
and negative where he gained; the fund's side is its mirror.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from investors.domain.exact import ZERO, coerce_decimals, exactly, not_negative, positive
from investors.domain.ledger import JournalEntry, Tags, build_entry
from investors.domain.restatement.strikes import PriceError
from magnetfund.kernel.errors import InvalidInput
from magnetfund.kernel.money import CURRENCY_QUANTUM, UNITS_QUANTUM, Rounding, quantize


class DealKind(StrEnum):
    """What was dealt at the price."""

    SUBSCRIPTION = "subscription"
    REDEMPTION = "redemption"


class CompensationWay(StrEnum):
    """How one holder's difference is settled."""

    UNITS = "units"  # he is still a holder: more units at the right price
    CASH = "cash"  # he has left, or the policy pays everybody in cash
    MANAGER = "manager"  # he gained and is not pursued: the manager makes the fund whole
    CLAIM = "claim"  # he gained more than the policy's small amount: the fund may claim it
    NONE = "none"  # under the smallest amount that is settled


@dataclass(frozen=True, slots=True, kw_only=True)
class WrongDeal:
    """A deal at a published price; ``lot`` is the holder's lot today, None once he has left."""

    deal: str
    kind: DealKind
    day: date
    share_class: str
    units: Decimal
    lot: UUID | None = None

    def __post_init__(self) -> None:
        coerce_decimals(self, "units")
        positive(self.units, name="units")


@dataclass(frozen=True, slots=True, kw_only=True)
class CompensationTerms:
    """Policy, in money: below ``settle_min`` nothing is settled, up to ``pursue_above`` a holder
    who gained is left alone.  ``manager_bears`` charges what holders are owed to the manager
    instead of the fund; without ``in_units`` holders too are paid in cash."""

    settle_min: Decimal = Decimal("0.01")
    pursue_above: Decimal = Decimal(1000)
    manager_bears: bool = False
    in_units: bool = True
    cash_quantum: Decimal = CURRENCY_QUANTUM["USD"]
    unit_quantum: Decimal = UNITS_QUANTUM

    def __post_init__(self) -> None:
        coerce_decimals(self, "settle_min", "pursue_above", "cash_quantum", "unit_quantum")
        not_negative(self.settle_min, name="settle_min")
        not_negative(self.pursue_above, name="pursue_above")


@dataclass(frozen=True, slots=True, kw_only=True)
class Compensation:
    """One deal's difference: units x (published - right), its settlement, and units given.

    ``consideration`` is what the units take of the amount, ``residue`` what rounding leaves.
    """

    deal: WrongDeal
    due: Decimal
    settlement: CompensationWay
    units: Decimal = ZERO
    consideration: Decimal = ZERO
    residue: Decimal = ZERO


@exactly
def compute_compensations(
    *,
    errors: Sequence[PriceError],
    deals: Sequence[WrongDeal],
    prices_today: Mapping[str, Decimal],
    terms: CompensationTerms,
) -> tuple[Compensation, ...]:
    """What each deal at a wrong price is due, in the order of the deals.

    Price too high: a subscriber is owed, a redeemer was overpaid; too low: the reverse.  Only
    material errors are compensated.  Holders are made good in units at ``prices_today`` (right
    price by class), leavers in cash.  Raises :class:`InvalidInput` (``two_errors``) when one class
    has two errors on a day, (``no_price``) when a class to be settled in units has no price.
    """
    by_strike = {(error.day, error.share_class): error for error in errors}
    if len(by_strike) != len(errors):
        raise InvalidInput("one strike has one right price", code="two_errors")
    found = []
    for deal in deals:
        error = by_strike.get((deal.day, deal.share_class))
        if error is None or not error.material:
            continue
        sign = 1 if deal.kind is DealKind.SUBSCRIPTION else -1
        due = quantize(sign * deal.units * (error.published - error.right), terms.cash_quantum)
        found.append(_settle(deal, due, prices_today, terms))
    return tuple(found)


def _settle(
    deal: WrongDeal, due: Decimal, prices: Mapping[str, Decimal], terms: CompensationTerms
) -> Compensation:
    if due == 0 or abs(due) < terms.settle_min:
        return Compensation(deal=deal, due=due, settlement=CompensationWay.NONE)
    if due < 0:
        pursued = -due > terms.pursue_above
        settlement = CompensationWay.CLAIM if pursued else CompensationWay.MANAGER
        return Compensation(deal=deal, due=due, settlement=settlement)
    if deal.lot is None or not terms.in_units:
        return Compensation(deal=deal, due=due, settlement=CompensationWay.CASH)
    if deal.share_class not in prices:
        raise InvalidInput(f"class {deal.share_class} has no right price", code="no_price")
    price = positive(prices[deal.share_class], name="price")
    units = quantize(due / price, terms.unit_quantum, Rounding.DOWN)
    if units == 0:
        return Compensation(deal=deal, due=due, settlement=CompensationWay.CASH)
    taken = min(due, quantize(units * price, terms.cash_quantum))
    return Compensation(
        deal=deal,
        due=due,
        settlement=CompensationWay.UNITS,
        units=units,
        consideration=taken,
        residue=due - taken,
    )


@exactly
def value_fund_loss(compensations: Sequence[Compensation]) -> Decimal:
    """What holders who are not pursued took out of the fund: the manager owes it first."""
    return sum(
        (-item.due for item in compensations if item.settlement is CompensationWay.MANAGER), ZERO
    )


@exactly
def build_compensation_entries(
    *,
    compensations: Sequence[Compensation],
    terms: CompensationTerms,
    restatement: str,
    fund: str,
    currency: str,
    effective_at: datetime,
) -> tuple[JournalEntry, ...]:
    """The package's entries: the fund made whole first, then each holder owed and given units.

    Cash is left payable (2310) for the payment run; claims are booked when they are agreed.
    ``restatement`` names the package and makes each entry's source unique.
    """
    entries: list[JournalEntry] = []

    def add(event: str, what: str, amounts: Mapping[str, Decimal], tags: Tags, bears: str) -> None:
        entries.append(
            build_entry(
                event=event,
                source_ref=f"{restatement}:{what}:{event}",
                effective_at=effective_at,
                amounts=amounts,
                currency=currency,
                fund=fund,
                tags=tags,
                account=bears,
            )
        )

    loss = value_fund_loss(compensations)
    if loss:
        add("error_recovered", "fund", {"amount": loss}, Tags(), "")
    bearer = "1400" if terms.manager_bears else "5110"
    for item in compensations:
        if item.settlement not in (CompensationWay.UNITS, CompensationWay.CASH):
            continue
        tags = Tags(share_class=item.deal.share_class, lot=item.deal.lot)
        holder_free = Tags(share_class=item.deal.share_class)
        add("compensation_owed", item.deal.deal, {"amount": item.due}, holder_free, bearer)
        if item.settlement is CompensationWay.UNITS:
            amounts = {
                "amount": item.consideration,
                "residue": item.residue,
                "units": item.units,
            }
            add("compensation_units", item.deal.deal, amounts, tags, "")
    return tuple(entries)
