"""The dealing of a NAV that books what a claim came to: its new value, and cash for its holders.

The claim is no class's, so no price or NAV moves.  What is paid goes by pocket units, less the
performance fee of each lot's terms, and is owed until two people pay it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from investors.domain.dealing import PocketStep, change_pocket
from investors.domain.ledger import JointLine, Tags
from investors.models import (
    ClassNav,
    Entry,
    LineAllocation,
    NavStrike,
    PocketChange,
    PocketEntry,
    StatementLine,
)
from investors.services.ledger import NewEntry, post_entries
from investors.services.messages import Draft, send_messages
from investors.services.nav_dealing_book import DealingBook
from investors.services.nav_lots import entry_of
from investors.services.pocket_books import read_pocket_lots
from investors.services.pocket_changes import changes_due, plain_change
from investors.services.pocket_merges import merge_pockets
from investors.services.reversed_receipts import require_not_reversed
from magnetfund.core.actors import Actor
from magnetfund.core.bulk import copy_rows
from magnetfund.core.services.audit import record_audit
from magnetfund.kernel.clock import utc_now
from magnetfund.kernel.errors import InvariantBroken
from magnetfund.kernel.money import quantize
from trading.models import BookFlow

ZERO = Decimal(0)
STORED = Decimal("1e-18")
ENTERED = (
    "pocket_id", "lot_id", "kind", "units", "price", "value", "fee", "high_water_mark",
    "hurdle_start", "strike_id", "entry_id", "effective_at",
)  # fmt: skip
Kind = PocketEntry.Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class BookedChange:
    """One change with what it makes of each lot."""

    change: PocketChange
    steps: Sequence[PocketStep]

    @property
    def name(self) -> str:
        return self.change.pocket.name


def book_changes(book: DealingBook, actor: Actor) -> Decimal:
    """Book every change that the signed NAV froze; gives the money that left unmatched receipts.

    Raises :class:`InvariantBroken` where other changes wait than the NAV names.
    """
    strike = book.strike
    frozen = {name: said for name, *said in strike.inputs.get("pocket_changes", [])}
    if not frozen:
        return ZERO
    terms = {row.share_class.code: terms for row, terms in book.rows}
    day = strike.valuation_at.date()
    booked, merging = [], []
    for change in changes_due(strike.fund):
        if frozen.pop(change.pocket.name, None) != plain_change(change)[1:]:
            raise InvariantBroken(f"{change} is not what the NAV says")
        change.strike = strike
        change.save(update_fields=["strike"])
        if change.kind == PocketChange.Kind.MERGE:
            merging.append(change)
            continue
        steps = change_pocket(
            lots=read_pocket_lots(change.pocket_id), cash=change.cash, rest=change.value,
            terms=terms, day=day,
        )  # fmt: skip
        booked.append(BookedChange(change=change, steps=steps))
    if frozen:
        raise InvariantBroken(f"{', '.join(frozen)}: no change waits any more")
    merge_pockets(book, merging, actor)
    entries: dict[tuple[str, str], Entry] = {}
    for row, _ in book.rows:
        entries |= _post_class(book, row, booked, actor)
    received = sum((_receive(strike, one, entries, actor) for one in booked), ZERO)
    copy_rows(PocketEntry, ENTERED, _rows_of(strike, booked, entries))
    _tell(strike, booked)
    for one in booked:
        record_audit(
            actor=actor, action="pocket_change.booked",
            subject=("pocket_change", one.change.pk), body={"nav": str(strike.pk)},
        )  # fmt: skip
    return received


def _post_class(
    book: DealingBook, row: ClassNav, booked: Sequence[BookedChange], actor: Actor
) -> dict[tuple[str, str], Entry]:
    """The entries of one class by their kind: new values, what is paid, units that leave empty."""
    code, fund = row.share_class.code, book.strike.fund
    lines: dict[str, list[JointLine]] = {}
    for one in booked:
        own = [step for step in one.steps if step.lot.share_class == code]
        for step in own:
            here = Tags(share_class=code, lot=UUID(step.lot.lot), pocket=one.name)
            if step.change:
                lines.setdefault("side_pocket_valued", []).append(
                    JointLine(amounts={"change": step.change}, tags=here)
                )
            if step.gross:
                lines.setdefault("side_pocket_realised", []).append(
                    JointLine(
                        amounts={"proceeds": step.net, "performance_fee": step.fee,
                                 "units": step.units},
                        tags=here,
                    )
                )  # fmt: skip
            elif step.units:
                lines.setdefault("side_pocket_closed", []).append(
                    JointLine(amounts={"units": step.units}, tags=here)
                )
        paid = sum((step.gross for step in own), ZERO)
        if paid:
            part = "venue_cash" if one.change.line_id is None else "received"
            lines["side_pocket_realised"].append(
                JointLine(amounts={part: paid}, tags=Tags(share_class=code, pocket=one.name))
            )
    found = {}
    for kind, given in lines.items():
        new = NewEntry.of(entry_of(book, kind, code, given))
        (found[kind, code],) = post_entries(fund, [new], actor=actor)
    return found


def _receive(
    strike: NavStrike,
    one: BookedChange,
    entries: Mapping[tuple[str, str], Entry],
    actor: Actor,
) -> Decimal:
    """Where the cash came from: a receipt is used for it, or the venue's book has it."""
    change = one.change
    if not change.cash:
        return ZERO
    if change.line_id is None:
        BookFlow.objects.create(
            book=strike.fund.book, amount=change.cash, source_ref=f"pocket-cash:{change.pk}",
            text=f"Paid for side pocket {one.name}", occurred_at=strike.valuation_at,
        )  # fmt: skip
        return ZERO
    line = StatementLine.objects.select_for_update(of=("self",)).get(pk=change.line_id)
    require_not_reversed(line)
    line.allocated += change.cash
    line.save(update_fields=["allocated"])
    for code in dict.fromkeys(step.lot.share_class for step in one.steps):
        paid = sum((step.gross for step in one.steps if step.lot.share_class == code), ZERO)
        if paid:
            LineAllocation.objects.create(
                line=line, use=LineAllocation.Use.POCKET, amount=paid,
                entry=entries["side_pocket_realised", code], reason=one.name,
                made_by=actor.user, made_by_label=actor.label, made_at=utc_now(),
            )  # fmt: skip
    return change.cash


def _rows_of(
    strike: NavStrike, booked: Sequence[BookedChange], entries: Mapping[tuple[str, str], Entry]
) -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = []
    for one in booked:
        for step in one.steps:
            lot, code = step.lot, step.lot.share_class
            moves: list[tuple[Kind, str, Decimal, Decimal, Decimal]] = []
            if step.change:
                moves.append((Kind.VALUED, "side_pocket_valued", ZERO, step.change, ZERO))
            if step.gross:
                moves.append(
                    (Kind.PAID, "side_pocket_realised", -step.units, -step.gross, step.fee)
                )
            elif step.units:
                moves.append((Kind.CLOSED, "side_pocket_closed", -step.units, ZERO, ZERO))
            rows += [
                (
                    one.change.pocket_id, UUID(lot.lot), kind.value, units,
                    quantize(step.price, STORED), value, fee, lot.mark, lot.clock, strike.pk,
                    entries[event, code].pk, strike.valuation_at,
                )
                for kind, event, units, value, fee in moves
            ]  # fmt: skip
    return rows


def _tell(strike: NavStrike, booked: Sequence[BookedChange]) -> None:
    """Each holder hears what his part came to."""
    fund, drafts = strike.fund, []
    for one in booked:
        change, by_holder = one.change, dict[str, list[PocketStep]]()
        for step in one.steps:
            by_holder.setdefault(step.lot.holder, []).append(step)
        for holder, own in by_holder.items():
            net, fee = sum((s.net for s in own), ZERO), sum((s.fee for s in own), ZERO)
            left = sum((s.lot.value + s.change - s.gross for s in own), ZERO)
            rest = (
                f"Your part is carried at {left:,.2f} {fund.currency} from the NAV of "
                f"{strike.valuation_at:%-d %b %Y} on."
                if change.value
                else "Nothing is left of the claim, and its units are closed."
            )
            paid = (
                f"{change.cash:,.2f} {fund.currency} came in for it; your part is {net:,.2f} "
                f"{fund.currency}, after a performance fee of {fee:,.2f}. Two people of the fund "
                "pay it to your account on file. "
                if change.cash
                else ""
            )
            drafts.append(
                Draft(
                    investor=UUID(holder),
                    key=f"pocket_change:{change.pk}",
                    subject=f"Side pocket {one.name}: "
                    + ("money came in" if change.cash else "a new value"),
                    body=f"{change.pocket.asset}. {paid}{rest} What it rests on: {change.source}",
                    at=utc_now(),
                )
            )
    send_messages(drafts)
