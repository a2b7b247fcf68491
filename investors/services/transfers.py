"""Units that move from one holder to another without a price: lots keep their mark and dates.

A transfer is effective when it is approved, between two NAVs: neither before one that was struck
nor across a dealing day that waits to be struck, so that every NAV has one holder for each lot.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.db.models import Max

from investors.domain.dealing import LotMove, transfer_units
from investors.domain.exact import round_to_total
from investors.domain.ledger import JointLine, Tags, build_joint_entry
from investors.models import (
    DealingDay,
    Fund,
    Holding,
    Investor,
    NavStrike,
    ShareClass,
    UnitEntry,
    UnitLot,
)
from investors.services.dealing import lock_holding
from investors.services.dealing_rules import (
    last_price,
    require_available,
    require_kyc,
    require_not_on_hold,
    require_open,
)
from investors.services.estate_rules import require_transmissible
from investors.services.ledger import NewEntry, post_entries
from investors.services.lot_values import net_values
from investors.services.nav_calendar import find_due_period_end
from investors.services.nav_dealing_book import read_lots_of
from investors.services.nav_inputs import last_dealt
from investors.services.nav_orders import reserve_everything
from investors.services.pocket_books import read_parts_of_holding
from investors.services.pocket_transfers import (
    PocketPartOf,
    lines_of_parts,
    lots_of_parts_alone,
    plan_parts,
    record_parts,
    say_parts,
)
from investors.services.policies import terms_in_force
from magnetfund.core.actors import Actor
from magnetfund.core.locks import AdvisoryLock, take_lock
from magnetfund.kernel.clock import utc_now
from magnetfund.kernel.errors import Conflict, InvalidInput
from magnetfund.kernel.identifiers import derived_uuid

CENT = Decimal("0.01")


@dataclass(frozen=True, slots=True, kw_only=True)
class Transferred:
    """Units that moved, what they were worth at the last NAV after fees, and their lots."""

    units: Decimal
    value: Decimal
    lots: int
    #: What went along of each side pocket, in words.
    parts: tuple[str, ...] = ()


def check_transfer(
    *, giver: Investor, receiver: Investor, share_class: ShareClass, units: Decimal | None
) -> Decimal:
    """Units that a transfer would move now (``None``: all that are free); locks the holding.

    Zero is all of a holder who has units of side pockets alone.  Raises :class:`InvalidInput`
    (``same_holder``, ``not_positive``, ``too_fine``), :class:`NotAllowed` (``on_hold``,
    ``kyc_open`` of the receiver) and :class:`Conflict` (``fund_suspended``,
    ``not_enough_units``); ``death_reported`` and ``no_probate`` of :func:`require_transmissible`.
    """
    require_open(share_class.fund)
    if giver.pk == receiver.pk:
        raise InvalidInput("a transfer needs a different holder", code="same_holder")
    require_kyc(receiver)
    require_transmissible(giver, receiver)
    holding = lock_holding(giver, share_class)
    has_none = holding is not None and holding.units == 0
    if units is None and has_none and read_parts_of_holding(giver.pk, share_class):
        require_not_on_hold(giver)
        return Decimal(0)
    return require_available(
        investor=giver, holding=holding, units=units, quantum=quantum_of(share_class)
    )


def quantum_of(share_class: ShareClass) -> Decimal:
    """The smallest step of units by the terms in force now."""
    return terms_in_force(share_class, at=utc_now()).unit_quantum


def transfer(
    *,
    key: str,
    giver: Investor,
    receiver: Investor,
    share_class: ShareClass,
    units: Decimal | None,
    actor: Actor,
    at: datetime,
) -> Transferred:
    """Move units in the caller's transaction, first in first out, each lot with its mark, hurdle
    clock, dealing day, lock-up and part of the cost, and with its part of every side pocket.

    All of a holder takes the pocket units of lots along that have no main units any more.
    ``key`` names the transfer once.  Raises what :func:`check_transfer` raises, and
    :class:`Conflict` (``day_unstruck``) while a dealing day is valued and not struck.
    """
    fund = share_class.fund
    take_lock(AdvisoryLock.STRIKE_OF_FUND, fund.pk)
    wanted = check_transfer(giver=giver, receiver=receiver, share_class=share_class, units=units)
    require_struck(fund, at)
    newest = UnitLot.objects.aggregate(n=Max("number"))["n"] or 0
    had = read_lots_of(share_class.pk)
    moves: tuple[LotMove, ...] = ()
    if wanted:
        moves = transfer_units(
            lots=had,
            from_holder=str(giver.pk),
            to_holder=str(receiver.pk),
            units=wanted,
            first_number=newest + 1,
        )
    is_everything = units is None and wanted == sum(
        (lot.units for lot in had if lot.holder == str(giver.pk)), Decimal(0)
    )
    parts = plan_parts(
        giver, share_class, had=had, moves=moves, is_everything=is_everything,
        unit_quantum=quantum_of(share_class),
    )  # fmt: skip
    moves += lots_of_parts_alone(parts, moves, first_number=newest + len(moves) + 1)
    Holding.objects.get_or_create(
        investor=receiver, share_class=share_class, defaults={"updated_at": at}
    )
    holding = lock_holding(receiver, share_class)
    assert holding is not None
    lots = _open_lots(key, holding, moves, at)
    _write_moves(key, share_class, moves, lots, parts, actor, at)
    reserve_everything(fund)
    return Transferred(
        units=wanted, value=_value(fund, moves, at), lots=len(lots), parts=say_parts(parts, fund)
    )


def require_struck(fund: Fund, at: datetime) -> None:
    """Neither a prepared NAV nor one that is due may lie before what moves between two NAVs."""
    previous = last_dealt(fund, before=at)
    due = DealingDay.objects.filter(fund=fund, is_suspended=False, valuation_at__lte=at)
    if previous is not None:
        due = due.filter(valuation_at__gt=previous.valuation_at)
    waiting = due.order_by("valuation_at").values_list("valuation_at", flat=True).first()
    waiting = waiting or find_due_period_end(fund, before=at)
    if waiting is None and NavStrike.objects.filter(fund=fund, state="prepared").exists():
        raise Conflict("a NAV awaits approval; decide on it first", code="day_unstruck")
    if waiting is not None:
        raise Conflict(
            f"the NAV of {waiting:%Y-%m-%d} is due; strike it first", code="day_unstruck"
        )


def _open_lots(
    key: str, holding: Holding, moves: tuple[LotMove, ...], at: datetime
) -> list[UnitLot]:
    parents = UnitLot.objects.in_bulk([UUID(move.parent) for move in moves])
    lots = []
    for move in moves:
        parent = parents[UUID(move.parent)]
        lots.append(
            UnitLot(
                id=derived_uuid("lot", f"{key}:{move.parent}"),
                number=move.goes.number,
                holding=holding,
                share_class_id=parent.share_class_id,
                dealing_day=parent.dealing_day,
                strike_id=parent.strike_id,
                entry_price=parent.entry_price,
                units=Decimal(0),
                high_water_mark=move.goes.mark,
                hurdle_start=move.goes.clock,
                cost=move.goes.cost,
                lockup_until=parent.lockup_until,
                parent=parent,
                opened_at=at,
            )
        )
    UnitLot.objects.bulk_create(lots)
    return lots


def _write_moves(
    key: str,
    share_class: ShareClass,
    moves: tuple[LotMove, ...],
    lots: list[UnitLot],
    parts: Sequence[PocketPartOf],
    actor: Actor,
    at: datetime,
) -> None:
    """One entry with a line for each lot and each part of a side pocket, and both movements of
    each."""
    fund = share_class.fund
    into = {move.parent: lot.pk for move, lot in zip(moves, lots, strict=True)}
    entry = build_joint_entry(
        event="units_transferred",
        source_ref=f"units_transferred:{key}",
        effective_at=at,
        lines=[
            JointLine(
                amounts={"capital": move.goes.cost, "units": move.goes.units},
                tags=Tags(share_class=share_class.code, lot=UUID(move.parent)),
                other=Tags(share_class=share_class.code, lot=lot.pk),
            )
            for move, lot in zip(moves, lots, strict=True)
        ]
        + lines_of_parts(parts, into, share_class),
        currency=fund.currency,
        fund=fund.code,
    )
    (posted,) = post_entries(fund, [NewEntry.of(entry)], actor=actor)
    record_parts(parts, into, posted, at)
    price = last_price(share_class)
    rows = []
    for move, lot in zip(moves, lots, strict=True):
        if not move.goes.units:
            continue
        for lot_id, kind, units in (
            (UUID(move.parent), UnitEntry.Kind.TRANSFER_OUT, -move.goes.units),
            (lot.pk, UnitEntry.Kind.TRANSFER_IN, move.goes.units),
        ):
            rows.append(
                UnitEntry(
                    lot_id=lot_id,
                    kind=kind,
                    units=units,
                    price=price,
                    high_water_mark=move.goes.mark,
                    hurdle_start=move.goes.clock,
                    strike=None,
                    entry=posted,
                    effective_at=at,
                )
            )
    UnitEntry.objects.bulk_create(rows)


def _value(fund: Fund, moves: tuple[LotMove, ...], at: datetime) -> Decimal:
    """What the moved units were worth at the last NAV, each lot after its own fee."""
    net = net_values([UUID(move.parent) for move in moves], last_dealt(fund, before=at))
    worth = sum((move.goes.units * net[UUID(move.parent)] for move in moves), Decimal(0))
    return round_to_total([worth], quantum=CENT)[0]
