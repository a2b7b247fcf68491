"""The dealing of a NAV that sets claims apart: the same share of every lot goes into the pocket.

It comes before redemptions and subscriptions, so that who leaves at this NAV keeps his part of the
claim and who comes has none.  What each class puts in was frozen with the NAV that was signed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from investors.domain.dealing import LotMove, split_side_pocket
from investors.domain.exact import round_to_total
from investors.domain.fees import ClassTerms
from investors.domain.ledger import JointLine, Tags
from investors.domain.ledger.chart import POCKET_SOURCES, VENUE_CASH
from investors.domain.strike import LotInput
from investors.models import ClassNav, Entry, NavStrike, PocketEntry, SidePocket, UnitEntry
from investors.services.ledger import NewEntry, post_entries
from investors.services.messages import Draft, send_messages
from investors.services.nav_dealing_book import DealingBook, LotsApart, read_lots_of
from investors.services.nav_lots import Move, entry_of, record_moves
from magnetfund.core.actors import Actor
from magnetfund.core.bulk import copy_rows
from magnetfund.core.services.audit import record_audit
from magnetfund.kernel.clock import utc_now
from magnetfund.kernel.errors import InvariantBroken
from trading.models import BookFlow

ZERO, CENT = Decimal(0), Decimal("0.01")
#: The ledger's part of the value by the account that it comes from.
PARTS = dict(zip(POCKET_SOURCES, ("venue_cash", "receivable"), strict=True))
ENTERED = (
    "pocket_id", "lot_id", "kind", "units", "price", "value", "fee", "high_water_mark",
    "hurdle_start", "strike_id", "entry_id", "effective_at",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class PocketSplit:
    """What one class puts into one pocket: lots with the units and the money that go."""

    pocket: SidePocket
    row: ClassNav
    value: Decimal
    fee_released: Decimal
    moves: Sequence[LotMove]
    values: Sequence[Decimal]


def plan_pockets(
    strike: NavStrike, rows: Iterable[tuple[ClassNav, ClassTerms]]
) -> list[PocketSplit]:
    """The split of every lot that an approved or prepared strike froze; nothing is written."""
    classes = list(rows)
    # Not from the strike's inputs, which hold a line a lot and which pages do not read.
    names = {part["pocket"] for row, _ in classes for part in row.detail.get("pockets", ())}
    if not names:
        return []
    numbers = [int(name.removeprefix("SP-")) for name in names]
    pockets = {row.name: row for row in strike.fund.pockets.filter(number__in=numbers)}
    gross = sum((row.gav for row, _ in classes if row.units > 0), ZERO)
    return [
        _split(pockets[part["pocket"]], row, terms, gross, part, lots)
        for row, terms in classes
        if row.detail.get("pockets")
        for lots in [read_lots_of(row.share_class_id)]
        for part in row.detail["pockets"]
    ]


def _split(
    pocket: SidePocket,
    row: ClassNav,
    terms: ClassTerms,
    gross: Decimal,
    part: Mapping[str, str],
    lots: Sequence[LotInput],
) -> PocketSplit:
    moves = split_side_pocket(
        lots=lots, value=pocket.value, gross=gross, unit_quantum=terms.unit_quantum,
        cash_quantum=terms.cash_quantum,
    )  # fmt: skip
    units, value = sum((move.goes.units for move in moves), ZERO), Decimal(part["value"])
    if units != Decimal(part["units"]):
        raise InvariantBroken(f"{units} units would go, the NAV says {part['units']}")
    return PocketSplit(
        pocket=pocket,
        row=row,
        value=value,
        fee_released=Decimal(part["fee_released"]),
        moves=moves,
        values=round_to_total(
            [value * move.goes.units / units for move in moves],
            quantum=terms.cash_quantum,
            total=value,
        ),
    )


def lots_apart(splits: Iterable[PocketSplit], row: ClassNav) -> LotsApart:
    """What a class's lots give up at a NAV."""
    units: dict[str, Decimal] = {}
    cost: dict[str, Decimal] = {}
    nav = ZERO
    for split in splits:
        if split.row.pk != row.pk:
            continue
        nav += split.value - split.fee_released
        for move in split.moves:
            units[move.parent] = units.get(move.parent, ZERO) + move.goes.units
            cost[move.parent] = cost.get(move.parent, ZERO) + move.goes.cost
    return LotsApart(units=units, cost=cost, nav=nav)


def create_pockets(book: DealingBook, splits: Sequence[PocketSplit], *, actor: Actor) -> None:
    """Write what :func:`plan_pockets` split, in the transaction of the approval."""
    if not splits:
        return
    strike = book.strike
    pockets = {split.pocket.pk: split.pocket for split in splits}
    for pocket in pockets.values():
        pocket.strike = strike
        pocket.save(update_fields=["strike"])
    for row, _ in book.rows:
        own = [split for split in splits if split.row.pk == row.pk]
        if own:
            _write_class(book, row, own, actor)
    for pocket in pockets.values():
        if pocket.account == VENUE_CASH:
            # The money that is claimed is none that the book trades with.
            BookFlow.objects.create(
                book=strike.fund.book, amount=-pocket.value, source_ref=f"pocket:{pocket.pk}",
                text=f"Side pocket {pocket.name}", occurred_at=strike.valuation_at,
            )  # fmt: skip
        record_audit(
            actor=actor, action="pocket.created", subject=("side_pocket", pocket.pk),
            body={"nav": str(strike.pk), "value": f"{pocket.value.normalize():f}"},
        )  # fmt: skip
    _tell(splits)


def _write_class(
    book: DealingBook, row: ClassNav, own: Sequence[PocketSplit], actor: Actor
) -> None:
    strike, code = book.strike, row.share_class.code
    lines = []
    for split in own:
        name = split.pocket.name
        here = Tags(share_class=code, instrument=name)
        lines.append(
            JointLine(
                amounts={PARTS[split.pocket.account]: split.value,
                         "fee_released": split.fee_released},
                tags=here,
            )
        )  # fmt: skip
        lines += [
            JointLine(
                amounts={"capital": move.goes.cost, "result": value - move.goes.cost,
                         "units_out": move.goes.units, "units_in": move.goes.units},
                tags=Tags(share_class=code, lot=UUID(move.parent), instrument=name),
                other=Tags(share_class=code, lot=UUID(move.parent), pocket=name),
            )
            for move, value in zip(split.moves, split.values, strict=True)
        ]  # fmt: skip
    new = NewEntry.of(entry_of(book, "side_pocket_created", code, lines))
    (entry,) = post_entries(strike.fund, [new], actor=actor)
    copy_rows(
        PocketEntry,
        ENTERED,
        (
            (split.pocket.pk, UUID(move.parent), PocketEntry.Kind.CREATED.value, move.goes.units,
             row.issue_price, value, ZERO, move.goes.mark, move.goes.clock, strike.pk, entry.pk,
             strike.valuation_at)
            for split in own
            for move, value in zip(split.moves, split.values, strict=True)
        ),
    )  # fmt: skip
    record_moves(strike, _moves(row, own, entry))


def _moves(row: ClassNav, own: Sequence[PocketSplit], entry: Entry) -> list[Move]:
    """One movement of each lot, whatever the number of pockets."""
    lots = {move.parent: move.goes for split in own for move in split.moves}
    apart = lots_apart(own, row).units
    return [
        (UUID(lot), UnitEntry.Kind.SIDE_POCKET_OUT.value, -apart[lot], row.issue_price, goes.mark,
         goes.clock, None, entry)
        for lot, goes in lots.items()
    ]  # fmt: skip


def _tell(splits: Sequence[PocketSplit]) -> None:
    """Each holder hears what was set apart of his, with the words that were signed."""
    held: dict[tuple[UUID, str], list[tuple[PocketSplit, Decimal, Decimal]]] = {}
    for split in splits:
        for move, value in zip(split.moves, split.values, strict=True):
            key = UUID(move.goes.holder), split.pocket.name
            held.setdefault(key, []).append((split, move.goes.units, value))
    drafts = []
    for (holder, name), parts in held.items():
        pocket, fund = parts[0][0].pocket, parts[0][0].pocket.fund
        units, value = sum((p[1] for p in parts), ZERO), sum((p[2] for p in parts), ZERO)
        drafts.append(
            Draft(
                investor=holder,
                key=f"pocket:{pocket.pk}",
                subject=f"Side pocket {name}: part of your units was set apart",
                body=(
                    f"{pocket.notice}\n\n{units.normalize():,f} of your units of {fund.name}, "
                    f"carried at {value:,.2f} {fund.currency}, are units of side pocket {name} "
                    f"({pocket.asset}) now. They cannot be redeemed and cost no fee until the "
                    "claim is paid or merged back."
                ),
                at=utc_now(),
            )
        )
    send_messages(drafts)
