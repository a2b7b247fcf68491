"""From movements to lots: one fold, in the order in which the movements were recorded.

A balance is the sum of its movements.  Units and cost never fall below zero, and a lot that is used
up has neither.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import pairwise

from investors.domain.dealing.sizing import order_first_in_first_out
from investors.domain.exact import ZERO, exactly, total_of
from investors.domain.strike.types import LotInput
from investors.domain.units.types import HeldLot, LotMovement, MovementKind
from magnetfund.kernel.errors import InvalidInput

#: Movements that only pass units on: within one class each pair adds to zero.
_PAIRS = (
    (MovementKind.TRANSFER_OUT, MovementKind.TRANSFER_IN),
    (MovementKind.SIDE_POCKET_OUT, MovementKind.SIDE_POCKET_IN),
)


@exactly
def fold_lots(
    *, movements: Sequence[LotMovement], opening: Sequence[HeldLot] = ()
) -> tuple[HeldLot, ...]:
    """The open lots after ``movements``, first in first out; used-up lots are left out.

    ``opening`` are lots from an earlier fold, so a long history may be folded in parts.  Raises
    ``InvalidInput``: ``not_sorted`` (days fall), ``duplicate_lot``, ``unknown_lot``,
    ``lot_closed``, ``not_enough_units``, ``cost_out_of_step`` (cost below zero, or left without
    units).
    """
    if any(later.day < earlier.day for earlier, later in pairwise(movements)):
        raise InvalidInput("movements run forward in time", code="not_sorted")
    lots = {held.lot.lot: held for held in opening}
    if len(lots) != len(opening):
        raise InvalidInput("a lot is opened twice", code="duplicate_lot")
    for movement in movements:
        lots[movement.lot] = _apply(lots.get(movement.lot), movement)
    by_id = {held.lot.lot: held for held in lots.values() if held.lot.units > 0}
    ordered = order_first_in_first_out([held.lot for held in by_id.values()])
    return tuple(by_id[lot.lot] for lot in ordered)


def _apply(held: HeldLot | None, movement: LotMovement) -> HeldLot:
    if movement.opens is not None:
        return _open(held, movement)
    if held is None:
        raise InvalidInput(f"no lot {movement.lot}", code="unknown_lot")
    lot = held.lot
    if lot.units == 0:
        raise InvalidInput(f"lot {movement.lot} is used up", code="lot_closed")
    units, cost = lot.units + movement.units, lot.cost + movement.cost
    if units < 0:
        raise InvalidInput(f"lot {movement.lot} holds less", code="not_enough_units")
    if cost < 0 or (units == 0 and cost != 0):
        raise InvalidInput("cost leaves with the units", code="cost_out_of_step")
    changed = replace(
        lot,
        units=units,
        cost=cost,
        mark=lot.mark if movement.mark is None else movement.mark,
        clock=lot.clock if movement.clock is None else movement.clock,
    )
    return replace(held, lot=changed)


def _open(held: HeldLot | None, movement: LotMovement) -> HeldLot:
    opens = movement.opens
    if held is not None:
        raise InvalidInput(f"lot {movement.lot} is opened twice", code="duplicate_lot")
    if opens is None or movement.mark is None or movement.clock is None:
        raise InvalidInput("an opening states its mark and clock", code="wrong_opening")
    if movement.cost < 0:
        raise InvalidInput("a lot costs nothing or more", code="cost_out_of_step")
    lot = LotInput(
        lot=movement.lot,
        number=opens.number,
        units=movement.units,
        mark=movement.mark,
        clock=movement.clock,
        dealing_day=opens.dealing_day,
        cost=movement.cost,
        holder=opens.holder,
    )
    return HeldLot(
        lot=lot,
        lockup_until=opens.lockup_until,
        parent=opens.parent,
        is_pocket=opens.is_pocket,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitRollForward:
    """Opening units, what each kind of movement changed, closing units; it adds up exactly."""

    opening: Decimal
    changes: tuple[tuple[MovementKind, Decimal], ...]
    closing: Decimal


@exactly
def roll_units_forward(
    *, movements: Sequence[LotMovement], opening: Sequence[HeldLot] = ()
) -> UnitRollForward:
    """Opening + changes = closing over a whole class, against the fold of the same movements.

    Raises ``InvalidInput`` as :func:`fold_lots` does, and ``units_not_conserved`` where transfers
    or side pockets do not pass on exactly the units that left.
    """
    change = dict.fromkeys(MovementKind, ZERO)
    for movement in movements:
        change[movement.kind] += movement.units
    for out, into in _PAIRS:
        if change[out] + change[into] != 0:
            raise InvalidInput(f"{out} and {into} differ", code="units_not_conserved")
    before = count_units(opening)
    closing = count_units(fold_lots(movements=movements, opening=opening))
    if before + total_of(change.values()) != closing:
        raise InvalidInput("the roll-forward does not add up", code="units_not_conserved")
    return UnitRollForward(
        opening=before,
        changes=tuple((kind, units) for kind, units in change.items() if units != 0),
        closing=closing,
    )


def count_units(lots: Iterable[HeldLot]) -> Decimal:
    """Units of all ``lots`` together."""
    return total_of(held.lot.units for held in lots)
