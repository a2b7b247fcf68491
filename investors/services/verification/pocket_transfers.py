"""Parts of side pockets that transfers took along, computed again from what each lot had."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from investors.domain.dealing import take_pocket_part
from investors.domain.strike import PocketLot
from investors.models import Fund, PocketEntry, ShareClass, UnitEntry, UnitLot
from investors.services.policies import terms_in_force

ZERO = Decimal(0)
SHOWN = 40
Kind = PocketEntry.Kind


def find_transfer_differences(fund: Fund) -> list[str]:
    """Every lot that a transfer took from gave the same proportion of each side pocket, to a lot of
    the receiver that has it from this one, with the same price, mark and clock."""
    moved = {
        *UnitEntry.objects.filter(fund=fund, kind="transfer_out").values_list("lot_id", flat=True),
        *PocketEntry.objects.filter(
            pocket__fund=fund, kind__in=(Kind.TRANSFER_OUT, Kind.TRANSFER_IN)
        ).values_list("lot_id", flat=True),
    }
    entries = PocketEntry.objects.filter(pocket__fund=fund, lot__in=moved).order_by("pk")
    by_lot: dict[Any, list[PocketEntry]] = {}
    for row in entries.select_related("pocket"):
        by_lot.setdefault(row.lot_id, []).append(row)
    lots = UnitLot.objects.in_bulk(by_lot)
    classes = {item.pk: item for item in fund.classes.all()}
    came: dict[tuple[Any, Any, Any], PocketEntry] = {
        (row.pocket_id, row.lot_id, row.entry_id): row
        for rows in by_lot.values()
        for row in rows
        if row.kind == Kind.TRANSFER_IN
    }
    found: list[str] = []
    for lot, rows in by_lot.items():
        found += _find_of_lot(lots[lot], rows, classes[lots[lot].share_class_id])
        for row in rows:
            if row.kind == Kind.TRANSFER_OUT and not _arrived(
                row, came.pop((row.pocket_id, row.into_id, row.entry_id), None)
            ):
                found.append(f"{row.pocket.name} lot {lots[lot].number}: what left did not arrive")
    found += [
        f"{row.pocket.name} lot {lots[row.lot_id].number}: pocket units that no lot gave"
        for row in came.values()
    ]
    return found[:SHOWN]


def _arrived(left: PocketEntry, came: PocketEntry | None) -> bool:
    if came is None or (came.units, came.value) != (-left.units, -left.value):
        return False
    kept = (left.price, left.high_water_mark, left.hurdle_start)
    return (came.price, came.high_water_mark, came.hurdle_start) == kept


def _find_of_lot(lot: UnitLot, rows: Iterable[PocketEntry], share_class: ShareClass) -> list[str]:
    """The parts that left one lot, against its main units and pocket units before each transfer."""
    pockets: dict[Any, list[PocketEntry]] = {}
    for row in rows:
        pockets.setdefault(row.pocket_id, []).append(row)
    main = list(UnitEntry.objects.filter(lot=lot).order_by("pk"))
    moments = {m.entry_id: m.effective_at for m in main if m.kind == "transfer_out"}
    moments |= {
        row.entry_id: row.effective_at
        for own in pockets.values()
        for row in own
        if row.kind == Kind.TRANSFER_OUT
    }
    found = []
    for entry, at in moments.items():
        taken = -sum((m.units for m in main if m.entry_id == entry), ZERO)
        held = sum(
            (m.units for m in main if m.effective_at <= at and m.entry_id != entry
             and not _is_later(m, main, entry)),
            ZERO,
        )  # fmt: skip
        for own in pockets.values():
            gone = [row for row in own if row.entry_id == entry]
            last = min((row.pk for row in gone), default=None)
            before = [
                row for row in own
                if row.effective_at <= at and (last is None or row.pk < last)
            ]  # fmt: skip
            units = sum((row.units for row in before), ZERO)
            if units <= 0:
                continue
            first = before[0]
            part = take_pocket_part(
                PocketLot(
                    lot=str(lot.pk), share_class=share_class.code, holder="", units=units,
                    price=first.price, value=sum((row.value for row in before), ZERO),
                    mark=first.high_water_mark, clock=first.hurdle_start,
                ),
                taken=taken, held=held,
                unit_quantum=terms_in_force(share_class, at=at).unit_quantum,
            )  # fmt: skip
            again = (ZERO, ZERO) if part is None else (part.units, part.value)
            stored = (
                -sum((row.units for row in gone), ZERO), -sum((row.value for row in gone), ZERO),
            )  # fmt: skip
            if stored != again:
                found.append(
                    f"{first.pocket.name} lot {lot.number}: a transfer took {stored[0]} units "
                    f"worth {stored[1]} along, its part {again[0]} worth {again[1]}"
                )
    return found


def _is_later(move: UnitEntry, main: list[UnitEntry], entry: Any) -> bool:
    """Whether a movement of the same instant was written after the transfer's own."""
    own = [m.pk for m in main if m.entry_id == entry]
    return bool(own) and move.pk > own[0]
