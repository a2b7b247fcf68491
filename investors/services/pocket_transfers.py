"""Pocket units that go along when the main units of a lot are transferred to another holder.

They keep price, mark and hurdle clock.  What a pocket paid before stays owed to who held it then.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from investors.domain.dealing import LotMove, PocketPart, take_pocket_part
from investors.domain.ledger import JointLine, Tags
from investors.domain.strike import LotInput
from investors.models import (
    Entry,
    Fund,
    Investor,
    PocketEntry,
    ShareClass,
    SidePocket,
    UnitLot,
)
from investors.services.pocket_books import read_parts_of_holding

ZERO = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class PocketPartOf:
    """A part that goes along, with its side pocket."""

    pocket: SidePocket
    part: PocketPart


def plan_parts(
    giver: Investor,
    share_class: ShareClass,
    *,
    had: Sequence[LotInput],
    moves: Sequence[LotMove],
    is_everything: bool,
    unit_quantum: Decimal,
) -> list[PocketPartOf]:
    """What goes along of every side pocket: of the lots that ``moves`` take from, and of those
    without main units where everything goes."""
    held = {lot.lot: lot.units for lot in had}
    taken = {move.parent: move.goes.units for move in moves}
    found = []
    for pocket, lot in read_parts_of_holding(giver.pk, share_class):
        if lot.lot not in taken and not (is_everything and lot.lot not in held):
            continue
        part = take_pocket_part(
            lot, taken=taken.get(lot.lot, ZERO), held=held.get(lot.lot, ZERO),
            unit_quantum=unit_quantum,
        )  # fmt: skip
        if part is not None:
            found.append(PocketPartOf(pocket=pocket, part=part))
    return found


def lots_of_parts_alone(
    parts: Sequence[PocketPartOf], moves: Sequence[LotMove], *, first_number: int
) -> tuple[LotMove, ...]:
    """Moves without main units for the lots that have pocket units alone."""
    names = dict.fromkeys(item.part.lot.lot for item in parts)
    alone = [name for name in names if name not in {move.parent for move in moves}]
    rows = UnitLot.objects.in_bulk([UUID(name) for name in alone])
    return tuple(
        LotMove(
            stays=None,
            goes=LotInput(
                lot=name,
                number=first_number + k,
                units=ZERO,
                mark=rows[UUID(name)].high_water_mark,
                clock=rows[UUID(name)].hurdle_start,
                dealing_day=rows[UUID(name)].dealing_day,
            ),
            parent=name,
        )
        for k, name in enumerate(alone)
    )


def lines_of_parts(
    parts: Sequence[PocketPartOf], into: Mapping[str, UUID], share_class: ShareClass
) -> list[JointLine]:
    """The ledger's lines: capital and units of each pocket from lot to lot."""
    code = share_class.code
    return [
        JointLine(
            amounts={"pocket": item.part.value, "units": item.part.units},
            tags=Tags(share_class=code, lot=UUID(item.part.lot.lot), pocket=item.pocket.name),
            other=Tags(share_class=code, lot=into[item.part.lot.lot], pocket=item.pocket.name),
        )
        for item in parts
    ]


def record_parts(
    parts: Sequence[PocketPartOf], into: Mapping[str, UUID], entry: Entry, at: datetime
) -> None:
    """Write both movements of each part."""
    rows = []
    for item in parts:
        lot = item.part.lot
        for lot_id, kind, sign in (
            (UUID(lot.lot), PocketEntry.Kind.TRANSFER_OUT, -1),
            (into[lot.lot], PocketEntry.Kind.TRANSFER_IN, 1),
        ):
            rows.append(
                PocketEntry(
                    pocket=item.pocket,
                    lot_id=lot_id,
                    kind=kind,
                    units=sign * item.part.units,
                    price=lot.price,
                    value=sign * item.part.value,
                    into_id=into[lot.lot] if sign < 0 else None,
                    high_water_mark=lot.mark,
                    hurdle_start=lot.clock,
                    strike=None,
                    entry=entry,
                    effective_at=at,
                )
            )
    PocketEntry.objects.bulk_create(rows)


def say_parts(parts: Sequence[PocketPartOf], fund: Fund) -> tuple[str, ...]:
    """A line for each side pocket: its units that went along and what they are carried at."""
    sums: dict[str, tuple[Decimal, Decimal]] = {}
    for item in parts:
        units, value = sums.get(item.pocket.name, (ZERO, ZERO))
        sums[item.pocket.name] = units + item.part.units, value + item.part.value
    return tuple(
        f"{name}: {units.normalize():,f} pocket units, carried at {value:,.2f} {fund.currency}"
        for name, (units, value) in sums.items()
    )


def read_transferred(entry_ref: str) -> list[tuple[SidePocket, Decimal, Decimal]]:
    """Pocket units and their value by side pocket that a transfer's entry moved."""
    found: dict[SidePocket, tuple[Decimal, Decimal]] = {}
    rows = PocketEntry.objects.filter(
        entry__source_ref=entry_ref, kind=PocketEntry.Kind.TRANSFER_IN
    )
    for row in rows.select_related("pocket").order_by("pocket__number", "pk"):
        units, value = found.get(row.pocket, (ZERO, ZERO))
        found[row.pocket] = units + row.units, value + row.value
    return [(pocket, units, value) for pocket, (units, value) in found.items()]
