"""Liquidity terms in their fixed order: suspension, notice, lock-up, investor gate, fund gate.

Refusals are values with codes.  Gates fill whole unit steps, never more than their cap, and what
is not filled is carried to the next dealing day, at that day's price, without a new order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum

from investors.domain.exact import (
    ZERO,
    Number,
    exactly,
    fraction_below_one,
    not_negative,
    positive,
    share_of_one,
)
from investors.domain.fees import LockUp, Rank
from magnetfund.kernel.errors import InvalidInput
from magnetfund.kernel.money import Rounding, quantize

UNIT_QUANTUM = Decimal("0.000001")


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedLot:
    """Units of one lot and the first day on which they are free (``None``: always)."""

    lot: str
    units: Decimal
    lockup_until: date | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FreeUnits:
    """What may be redeemed of one lot, and the soft-lock fee rate on it."""

    lot: str
    units: Decimal
    fee_rate: Decimal


@exactly
def compute_free_units(
    *, lots: Sequence[LockedLot], day: date, lock: LockUp, soft_fee_rate: Number = 0
) -> tuple[FreeUnits, ...]:
    """Redeemable units lot by lot on ``day``; a hard-locked lot has none."""
    rate = fraction_below_one(soft_fee_rate, name="soft_fee_rate")
    found = []
    for lot in lots:
        is_locked = (
            lock is not LockUp.NONE and lot.lockup_until is not None and day < lot.lockup_until
        )
        found.append(
            FreeUnits(
                lot=lot.lot,
                units=ZERO if is_locked and lock is LockUp.HARD else lot.units,
                fee_rate=rate if is_locked and lock is LockUp.SOFT else ZERO,
            )
        )
    return tuple(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class GateRequest:
    """Units still wanted.  ``first_day`` is the dealing day on which the order first queued."""

    order: str
    holder: str
    units: Decimal
    first_day: date


@dataclass(frozen=True, slots=True, kw_only=True)
class GateFill:
    """``filled + deferred`` is what was asked for, exactly."""

    order: str
    filled: Decimal
    deferred: Decimal


@exactly
def cap_by_holder(
    *,
    requests: Sequence[GateRequest],
    held: Mapping[str, Decimal],
    share: Number,
    unit_quantum: Decimal = UNIT_QUANTUM,
) -> tuple[GateFill, ...]:
    """Investor gate: each holder redeems at most ``share`` of the units held.

    Several orders of one holder are cut in proportion.  Raises ``InvalidInput``
    (``not_enough_units``) when a holder asks for more than he has.
    """
    limit = share_of_one(share, name="share")
    wanted: dict[str, Decimal] = {}
    for request in requests:
        _require_units(request)
        wanted[request.holder] = wanted.get(request.holder, ZERO) + request.units
    for holder, units in wanted.items():
        if units > held.get(holder, ZERO):
            raise InvalidInput("more units than are held", code="not_enough_units")
    return tuple(
        _fill(request, held[request.holder] * limit, wanted[request.holder], unit_quantum)
        for request in requests
    )


@exactly
def fill_gate(
    *,
    requests: Sequence[GateRequest],
    price: Number,
    cap: Number,
    rank: Rank = Rank.EQUAL,
    unit_quantum: Decimal = UNIT_QUANTUM,
) -> tuple[GateFill, ...]:
    """Fund gate: fill requests pro rata so that together they are worth at most ``cap``.

    f = min(1, G / sum R); units r f rounded down.  With :attr:`Rank.OLDER_FIRST` each first day is
    filled whole before the next one shares the rest.  Results keep the order of ``requests``.
    """
    g, left = positive(price, name="price"), not_negative(cap, name="cap")
    for request in requests:
        _require_units(request)
    if len({request.order for request in requests}) != len(requests):
        raise InvalidInput("the same order appears twice", code="duplicate_order")
    days = sorted({request.first_day for request in requests})
    queues = (
        [list(requests)]
        if rank is Rank.EQUAL
        else [[request for request in requests if request.first_day == day] for day in days]
    )
    fills: dict[str, GateFill] = {}
    for queue in queues:
        wanted = sum((request.units for request in queue), ZERO)
        for request in queue:
            fills[request.order] = _fill(request, left / g, wanted, unit_quantum)
        left -= sum((fills[request.order].filled for request in queue), ZERO) * g
    return tuple(fills[request.order] for request in requests)


def _require_units(request: GateRequest) -> None:
    positive(request.units, name="units")


def _fill(
    request: GateRequest, available: Decimal, wanted: Decimal, unit_quantum: Decimal
) -> GateFill:
    filled = request.units
    if wanted > available:
        # Multiply before dividing: a rounded-up ratio could let one unit step too many through.
        filled = quantize(request.units * available / wanted, unit_quantum, Rounding.DOWN)
    return GateFill(order=request.order, filled=filled, deferred=request.units - filled)


class RedemptionRefusal(StrEnum):
    """Why a redemption is not taken, in the order in which the terms apply."""

    SUSPENDED = "suspended"
    NOT_ENOUGH_UNITS = "not_enough_units"
    LOCKED_UP = "locked_up"
    BELOW_MINIMUM = "below_minimum"
    LEAVES_BELOW_MINIMUM = "leaves_below_minimum"


@exactly
def check_redemption(
    *,
    units: Number,
    lots: Sequence[LockedLot],
    free: Sequence[FreeUnits],
    indicative_price: Number,
    minimum_value: Number = 0,
    minimum_holding: Number = 0,
    is_suspended: bool = False,
) -> RedemptionRefusal | None:
    """The first term that refuses the order, or ``None``.

    Minimums are measured at an indicative price.  Redeeming everything is always large enough; a
    remainder below ``minimum_holding`` is refused so that the investor can redeem all instead.
    """
    wanted, g = positive(units, name="units"), positive(indicative_price, name="indicative_price")
    held = sum((lot.units for lot in lots), ZERO)
    if is_suspended:
        return RedemptionRefusal.SUSPENDED
    if wanted > held:
        return RedemptionRefusal.NOT_ENOUGH_UNITS
    if wanted > sum((lot.units for lot in free), ZERO):
        return RedemptionRefusal.LOCKED_UP
    if wanted == held:
        return None
    if wanted * g < not_negative(minimum_value, name="minimum_value"):
        return RedemptionRefusal.BELOW_MINIMUM
    if (held - wanted) * g < not_negative(minimum_holding, name="minimum_holding"):
        return RedemptionRefusal.LEAVES_BELOW_MINIMUM
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Holdback:
    """``paid + held == payout``: what leaves now and what waits for the audit."""

    paid: Decimal
    held: Decimal


@exactly
def size_holdback(
    *,
    payout: Number,
    share: Number,
    is_full_redemption: bool,
    cash_quantum: Decimal = Decimal("0.01"),
) -> Holdback:
    """Keep ``share`` of a full redemption, rounded down to cash; a partial one is paid whole."""
    amount, part = not_negative(payout, name="payout"), share_of_one(share, name="share")
    held = quantize(amount * part, cash_quantum, Rounding.DOWN) if is_full_redemption else ZERO
    return Holdback(paid=amount - held, held=held)
