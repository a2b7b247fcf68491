"""The dealing of a NAV with which a side pocket comes back: pocket units become main units.

They come as new lots at the NAV's price, after the performance fee over the pocket lot's own mark.
Orders of that day do not take them, since they were placed over the units that the holder had.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from django.db.models import Max

from investors.domain.ledger import JointLine, Tags
from investors.domain.ledger.chart import POCKET_SOURCES, VENUE_CASH
from investors.domain.strike import PocketMerge, merge_side_pocket
from investors.models import (
    ClassNav,
    Entry,
    NavStrike,
    PocketChange,
    PocketEntry,
    UnitEntry,
    UnitLot,
)
from investors.services.ledger import NewEntry, post_entries
from investors.services.messages import Draft, send_messages
from investors.services.nav_dealing_book import DealingBook
from investors.services.nav_lots import BATCH, entry_of, record_moves
from investors.services.pocket_books import read_pocket_lots
from magnetfund.core.actors import Actor
from magnetfund.core.bulk import copy_rows
from magnetfund.core.services.audit import record_audit
from magnetfund.kernel.clock import utc_now
from magnetfund.kernel.errors import InvariantBroken
from magnetfund.kernel.identifiers import derived_uuid
from magnetfund.kernel.money import quantize
from trading.models import BookFlow

ZERO = Decimal(0)
STORED = Decimal("1e-18")
#: The ledger's part of the value by the account that it comes into.
PARTS = dict(zip(POCKET_SOURCES, ("venue_cash", "receivable"), strict=True))
ENTERED = (
    "pocket_id", "lot_id", "kind", "units", "price", "value", "fee", "into_id", "high_water_mark",
    "hurdle_start", "strike_id", "entry_id", "effective_at",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class LotMerge:
    """One lot's part of a merge; ``into`` is the new lot, ``None`` where not a step is bought."""

    change: PocketChange
    part: PocketMerge
    into: UnitLot | None


def merge_pockets(book: DealingBook, changes: Sequence[PocketChange], actor: Actor) -> None:
    """Write the merges that a NAV froze, in the transaction of its approval.

    Raises :class:`InvariantBroken` where the lots give something else than the NAV says.
    """
    if not changes:
        return
    strike = book.strike
    terms = {row.share_class.code: terms for row, terms in book.rows}
    prices = {row.share_class.code: row.issue_price for row, _ in book.rows}
    found: list[tuple[PocketChange, PocketMerge]] = []
    for change in changes:
        parts = merge_side_pocket(
            lots=read_pocket_lots(change.pocket_id), terms=terms, prices=prices,
            day=strike.valuation_at.date(),
        )  # fmt: skip
        _require_frozen(book, change, parts)
        found += [(change, part) for part in parts]
    merges = _open_lots(strike, found, prices)
    for row, _ in book.rows:
        own = [item for item in merges if item.part.pocket.share_class == row.share_class.code]
        if own:
            _write_class(book, row, own, actor)
    for change in changes:
        if change.account == VENUE_CASH:
            BookFlow.objects.create(
                book=strike.fund.book, amount=change.merged,
                source_ref=f"pocket-merge:{change.pk}",
                text=f"Side pocket {change.pocket.name} merged back",
                occurred_at=strike.valuation_at,
            )  # fmt: skip
        record_audit(
            actor=actor, action="pocket_change.booked", subject=("pocket_change", change.pk),
            body={"nav": str(strike.pk)},
        )  # fmt: skip
    _tell(strike, merges)


def _require_frozen(book: DealingBook, change: PocketChange, parts: Sequence[PocketMerge]) -> None:
    name = change.pocket.name
    for row, _ in book.rows:
        own = [part for part in parts if part.pocket.share_class == row.share_class.code]
        again = {
            "value": sum((part.pocket.value for part in own), ZERO),
            "fee": sum((part.fee for part in own), ZERO),
            "units": sum((part.units for part in own), ZERO),
        }
        said: Mapping[str, str] = next(
            (item for item in row.detail.get("merges", ()) if item["pocket"] == name), {}
        )
        if any(amount != Decimal(said.get(what, "0")) for what, amount in again.items()):
            raise InvariantBroken(f"{name}, class {row.share_class.code}: not what the NAV says")
    whole = sum((part.pocket.value for part in parts), ZERO)
    if whole != change.merged:
        raise InvariantBroken(f"{name} is carried at {whole}, signed {change.merged}")


def _open_lots(
    strike: NavStrike,
    found: Sequence[tuple[PocketChange, PocketMerge]],
    prices: Mapping[str, Decimal],
) -> list[LotMerge]:
    """A new lot for what each pocket lot buys, with the days of the lot that it once left."""
    parents = UnitLot.objects.in_bulk({UUID(part.pocket.lot) for _, part in found})
    newest = UnitLot.objects.aggregate(n=Max("number"))["n"] or 0
    merges, lots = [], list[UnitLot]()
    for change, part in found:
        parent, into = parents[UUID(part.pocket.lot)], None
        if part.units:
            into = UnitLot(
                id=derived_uuid("lot", f"pocket-merge:{change.pk}:{parent.pk}"),
                number=newest + len(lots) + 1,
                holding_id=parent.holding_id,
                share_class_id=parent.share_class_id,
                dealing_day=parent.dealing_day,
                strike=strike,
                entry_price=prices[part.pocket.share_class],
                units=ZERO,
                high_water_mark=part.mark,
                hurdle_start=part.clock,
                cost=part.consideration,
                lockup_until=parent.lockup_until,
                parent=parent,
                opened_at=strike.valuation_at,
            )
            lots.append(into)
        merges.append(LotMerge(change=change, part=part, into=into))
    UnitLot.objects.bulk_create(lots, batch_size=BATCH)
    return merges


def _write_class(book: DealingBook, row: ClassNav, own: Sequence[LotMerge], actor: Actor) -> None:
    strike, code = book.strike, row.share_class.code
    lines = []
    for change in {item.change.pk: item.change for item in own}.values():
        value = sum((i.part.pocket.value for i in own if i.change.pk == change.pk), ZERO)
        lines.append(
            JointLine(
                amounts={PARTS[change.account]: value},
                tags=Tags(share_class=code, instrument=change.pocket.name),
            )
        )
    for item in own:
        part, lot = item.part, UUID(item.part.pocket.lot)
        lines.append(
            JointLine(
                amounts={"capital": part.consideration, "performance_fee": part.fee,
                         "residue": part.residue, "units_out": part.pocket.units,
                         "units_in": part.units},
                tags=Tags(share_class=code, lot=lot, pocket=item.change.pocket.name),
                other=Tags(share_class=code, lot=None if item.into is None else item.into.pk),
            )
        )  # fmt: skip
    new = NewEntry.of(entry_of(book, "side_pocket_merged", code, lines))
    (entry,) = post_entries(strike.fund, [new], actor=actor)
    copy_rows(PocketEntry, ENTERED, (_leaving(strike, item, entry) for item in own))
    record_moves(
        strike,
        (
            (item.into.pk, UnitEntry.Kind.MERGE.value, item.part.units, row.issue_price,
             item.part.mark, item.part.clock, None, entry)
            for item in own
            if item.into is not None
        ),
    )  # fmt: skip


def _leaving(strike: NavStrike, item: LotMerge, entry: Entry) -> tuple[object, ...]:
    part, lot = item.part, item.part.pocket
    return (
        item.change.pocket_id, UUID(lot.lot), PocketEntry.Kind.MERGED.value, -lot.units,
        quantize(part.price, STORED), -lot.value, part.fee,
        None if item.into is None else item.into.pk, lot.mark, lot.clock, strike.pk, entry.pk,
        strike.valuation_at,
    )  # fmt: skip


def _tell(strike: NavStrike, merges: Iterable[LotMerge]) -> None:
    """Each holder hears what his pocket units became."""
    fund, drafts = strike.fund, []
    held: dict[tuple[str, UUID], list[LotMerge]] = {}
    for item in merges:
        held.setdefault((item.part.pocket.holder, item.change.pk), []).append(item)
    for (holder, _), own in held.items():
        change = own[0].change
        old = sum((item.part.pocket.units for item in own), ZERO)
        units = sum((item.part.units for item in own), ZERO)
        value = sum((item.part.pocket.value for item in own), ZERO)
        fee = sum((item.part.fee for item in own), ZERO)
        drafts.append(
            Draft(
                investor=UUID(holder),
                key=f"pocket_change:{change.pk}",
                subject=f"Side pocket {change.pocket.name}: merged back into your units",
                body=(
                    f"{change.pocket.asset}. Your {old.normalize():,f} pocket units, carried at "
                    f"{value:,.2f} {fund.currency}, are {units.normalize():,f} units of "
                    f"{fund.name} since the NAV of {strike.valuation_at:%-d %b %Y}, after a "
                    f"performance fee of {fee:,.2f}. They can be redeemed as every unit. "
                    f"What it rests on: {change.source}"
                ),
                at=utc_now(),
            )
        )
    send_messages(drafts)
