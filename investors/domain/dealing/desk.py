"""What a dealing day knows of a class, and what is planned for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from enum import StrEnum

from investors.domain.dealing.moves import Switch
from investors.domain.fees import ClassTerms
from investors.domain.strike.dealing import (
    Crystallisation,
    RedemptionResult,
    SubscriptionOrder,
    SubscriptionResult,
)
from investors.domain.strike.types import LotInput


class Aside(StrEnum):
    """Why an order is not dealt today and waits for a person."""

    NOT_ENOUGH_UNITS = "not_enough_units"
    NO_UNITS_LEFT = "no_units_left"
    TOO_SMALL = "amount_too_small"


@dataclass(frozen=True, slots=True, kw_only=True)
class Redeeming:
    """A redemption: ``units`` of the class, or whatever the holder has (``None``).

    ``is_due`` is whether it deals today; any other only keeps its reservation.  ``into`` is the
    code of the class that a switch subscribes with the proceeds.
    """

    order: str
    holder: str
    units: Decimal | None
    first_day: date
    is_due: bool = True
    into: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassDesk:
    """One class on its dealing day.

    ``price`` is g, ``nav`` what the class is worth after every accrued fee, ``fees`` pf by lot.
    Subscriptions are those whose money and approval are there.
    """

    code: str
    terms: ClassTerms
    price: Decimal
    nav: Decimal
    day: date
    lots: tuple[LotInput, ...]
    fees: Mapping[str, Decimal]
    ends_period: bool
    redemptions: tuple[Redeeming, ...] = ()
    subscriptions: tuple[SubscriptionOrder, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassPlan:
    """What happens in one class.

    ``reserved`` is what open redemptions hold of each holder's units afterwards, ``rebased`` the
    new size of an order that asked for more than fee units left, ``clocks`` the hurdle start of
    each lot that stays uncharged but starts a new period, ``dust`` what the rounding of the
    crystallised fees leaves of the accrual.  ``switches`` are the second halves of the switches
    that are among ``redemptions``, by order.
    """

    code: str
    redemptions: tuple[RedemptionResult, ...]
    crystallised: tuple[Crystallisation, ...]
    clocks: Mapping[str, date]
    subscriptions: tuple[SubscriptionResult, ...]
    reserved: Mapping[str, Decimal]
    rebased: Mapping[str, Decimal]
    aside: Mapping[str, Aside]
    switches: Mapping[str, Switch] = field(default_factory=dict)
