"""Which lots a redemption takes: first in first out, or by the investor's choice of lots."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from investors.domain.dealing.liquidity import FreeUnits, LockedLot, compute_free_units
from investors.domain.dealing.sizing import LotUnits, order_first_in_first_out
from investors.domain.exact import ZERO, Number, exactly, positive, total_of
from investors.domain.fees import LockUp
from investors.domain.units.types import HeldLot
from magnetfund.kernel.errors import InvalidInput


@dataclass(frozen=True, slots=True, kw_only=True)
class LotTake:
    """Units to redeem from one lot.  ``fee_rate`` is the soft lock-up's fee on them, 0 if free."""

    lot: str
    units: Decimal
    fee_rate: Decimal


@exactly
def choose_first_in_first_out(
    *,
    lots: Sequence[HeldLot],
    units: Number,
    day: date,
    lock: LockUp = LockUp.NONE,
    soft_fee_rate: Number = 0,
) -> tuple[LotTake, ...]:
    """Take ``units`` from the oldest lots that are free on ``day``; pockets are never taken.

    A hard-locked lot is passed over.  Raises ``InvalidInput``: ``not_positive``,
    ``not_enough_units`` (more than is held), ``lot_locked`` (held, but not free yet).
    """
    left = positive(units, name="units")
    main = {held.lot.lot: held for held in lots if not held.is_pocket}
    if left > total_of(held.lot.units for held in main.values()):
        raise InvalidInput("more units than are held", code="not_enough_units")
    free = _free(tuple(main.values()), day=day, lock=lock, soft_fee_rate=soft_fee_rate)
    takes: list[LotTake] = []
    for lot in order_first_in_first_out([held.lot for held in main.values()]):
        taken = min(left, free[lot.lot].units)
        if taken > 0:
            takes.append(LotTake(lot=lot.lot, units=taken, fee_rate=free[lot.lot].fee_rate))
            left -= taken
    if left > 0:
        raise InvalidInput("the remaining units are in a lock-up period", code="lot_locked")
    return tuple(takes)


@exactly
def choose_named_lots(
    *,
    lots: Sequence[HeldLot],
    wanted: Sequence[LotUnits],
    day: date,
    lock: LockUp = LockUp.NONE,
    soft_fee_rate: Number = 0,
) -> tuple[LotTake, ...]:
    """Redeem exactly the lots the investor names, in the order given.

    Raises ``InvalidInput``: ``unknown_lot``, ``duplicate_lot``, ``lot_in_pocket``, ``lot_locked``,
    ``not_positive``, ``not_enough_units``.
    """
    held = {item.lot.lot: item for item in lots}
    free = _free(lots, day=day, lock=lock, soft_fee_rate=soft_fee_rate)
    if len({want.lot for want in wanted}) != len(wanted):
        raise InvalidInput("a lot is named twice", code="duplicate_lot")
    takes: list[LotTake] = []
    for want in wanted:
        units = positive(want.units, name="units")
        item = held.get(want.lot)
        if item is None:
            raise InvalidInput(f"no lot {want.lot}", code="unknown_lot")
        if item.is_pocket:
            raise InvalidInput(f"lot {want.lot} is in a side pocket", code="lot_in_pocket")
        if units > item.lot.units:
            raise InvalidInput(f"lot {want.lot} holds less", code="not_enough_units")
        if free[want.lot].units == ZERO:
            raise InvalidInput(f"lot {want.lot} is in its lock-up period", code="lot_locked")
        takes.append(LotTake(lot=want.lot, units=units, fee_rate=free[want.lot].fee_rate))
    return tuple(takes)


def _free(
    lots: Sequence[HeldLot], *, day: date, lock: LockUp, soft_fee_rate: Number
) -> dict[str, FreeUnits]:
    locked = [
        LockedLot(lot=held.lot.lot, units=held.lot.units, lockup_until=held.lockup_until)
        for held in lots
    ]
    found = compute_free_units(lots=locked, day=day, lock=lock, soft_fee_rate=soft_fee_rate)
    return {item.lot: item for item in found}
