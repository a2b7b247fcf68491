"""What the house deals for a holder: proposed with its ground, decided by a second person, told.

An order on a holder's instruction keeps the instruction, and where money leaves a call-back to the
number on file.  A transfer asks the receiver's KYC twice.  A compulsory redemption takes a
controller and a director, and a notice.  The same request twice is one proposal by its key, which
the page and the API carry.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import transaction

from investors.models import DealingOrder, DealingProposal, Investor, ShareClass
from investors.services.dealing import (
    lock_holding,
    next_dealing_day,
    reserve,
    submit_redemption,
    submit_subscription,
)
from investors.services.dealing_rules import require_available, require_open, require_subscribable
from investors.services.estate_rules import require_living
from investors.services.messages import send_message
from investors.services.step_messages import say_units
from investors.services.switching import submit_switch
from investors.services.transfers import check_transfer, quantum_of, transfer
from magnetfund.core.actors import Actor
from magnetfund.core.roles import Capability, Role
from magnetfund.core.services.audit import record_audit
from magnetfund.core.services.signing import DEALING, signed_step, signed_to
from magnetfund.kernel.clock import utc_now
from magnetfund.kernel.errors import Conflict, InvalidInput, NotAllowed

Kind = DealingProposal.Kind
#: Orders that the holder gave to the house.
INSTRUCTED = (Kind.SUBSCRIPTION, Kind.REDEMPTION, Kind.SWITCH)


def propose_dealing(
    *,
    kind: str,
    investor: Investor,
    share_class: ShareClass,
    actor: Actor,
    reason: str,
    into_class: ShareClass | None = None,
    receiver: Investor | None = None,
    amount: Decimal | None = None,
    units: Decimal | None = None,
    is_all: bool = False,
    instruction: str = "",
    called_back: str = "",
    notice: str = "",
) -> DealingProposal:
    """Propose a dealing for a second person to decide; nothing is reserved or moved yet.

    Raises :class:`InvalidInput` (``reason_missing``, ``instruction_missing``,
    ``call_back_missing``, ``notice_missing``, ``receiver_missing``, ``class_needed``,
    ``measure``) and what the step itself would raise now.
    """
    which = Kind(kind)
    actor.require(capability_to_propose(which))
    assert actor.user is not None
    row = DealingProposal(
        kind=which,
        investor=investor,
        share_class=share_class,
        into_class=into_class if which == Kind.SWITCH else None,
        receiver=receiver if which == Kind.TRANSFER else None,
        amount=amount,
        units=units,
        is_all=is_all,
        instruction=instruction.strip()[:500],
        called_back=called_back.strip()[:200],
        reason=reason.strip()[:300],
        notice=notice.strip()[:1000],
        proposed_by=actor.user,
    )
    _require_complete(row)
    with transaction.atomic():
        _require_possible(row)
        row.save(force_insert=True)
        _note(actor, "dealing.proposed", row)
    return row


def decide_dealing(
    *, proposal: DealingProposal, is_approved: bool, actor: Actor, at: datetime | None = None
) -> DealingProposal:
    """Approve and carry out, or decline, by another person than the proposer.

    A compulsory redemption takes a controller and a director.  Raises :class:`NotAllowed`
    (``same_person``, ``both_roles_needed``), :class:`Conflict` (``proposal_closed``),
    :class:`SignatureMissing` until the actor has signed it, and what the step raises; then nothing
    is decided.
    """
    actor.require(Capability.DEALING_APPROVE)
    at = at or utc_now()
    with transaction.atomic():
        row = DealingProposal.objects.select_for_update(of=("self",)).get(pk=proposal.pk)
        if row.decided_at is not None:
            raise Conflict("this proposal has been decided", code="proposal_closed")
        user = actor.require_other_than(row.proposed_by, "a dealing for a holder")
        if is_approved and row.kind == Kind.COMPULSORY:
            _require_both(row, user.roles)
        if is_approved:
            _carry_out(row, actor, at)
        row.decided_by, row.decided_at, row.is_approved = user, at, is_approved
        action = signed_to(DEALING, is_approved=is_approved)
        with signed_step(action=action, subject=row.pk):
            row.save(update_fields=["decided_by", "decided_at", "is_approved", "order", "value"])
        _note(actor, "dealing.decided", row, approved=is_approved)
    return row


def capability_to_propose(kind: DealingProposal.Kind) -> Capability:
    is_forced = kind == Kind.COMPULSORY
    return Capability.DEALING_APPROVE if is_forced else Capability.DEALING_PROCESS


def _require_both(row: DealingProposal, roles: Any) -> None:
    if not {Role.CONTROLLER, Role.DIRECTOR} <= row.proposed_by.roles | roles:
        raise NotAllowed("a controller and a director decide together", code="both_roles_needed")


def _require_complete(row: DealingProposal) -> None:
    """What a person must have written down for this kind."""
    missing = [
        (not row.reason, "a reason is needed", "reason_missing"),
        (
            row.kind in INSTRUCTED and not row.instruction,
            "the holder's instruction is needed: what, how and when",
            "instruction_missing",
        ),
        (
            row.kind == Kind.REDEMPTION and not row.called_back,
            "money leaves: call the holder back on the number on file and note it",
            "call_back_missing",
        ),
        (
            row.kind == Kind.COMPULSORY and not row.notice,
            "the holder is told; write the notice",
            "notice_missing",
        ),
        (row.kind == Kind.TRANSFER and row.receiver is None, "name who receives the units",
         "receiver_missing"),
        (row.kind == Kind.SWITCH and row.into_class is None, "name the class to switch into",
         "class_needed"),
    ]  # fmt: skip
    for is_missing, words, code in missing:
        if is_missing:
            raise InvalidInput(words, code=code)
    measures = (row.amount is not None, row.units is not None, row.is_all)
    if sum(measures) != 1 or (row.kind == Kind.SUBSCRIPTION) != measures[0]:
        raise InvalidInput(
            "give an amount for a subscription, else units or everything", code="measure"
        )


def _require_possible(row: DealingProposal) -> None:
    """Refuse now what could not be carried out now; orders are checked again when approved."""
    if row.kind == Kind.TRANSFER:
        assert row.receiver is not None
        check_transfer(
            giver=row.investor, receiver=row.receiver, share_class=row.share_class, units=row.units
        )
        return
    require_open(row.share_class.fund)
    if row.kind in INSTRUCTED:
        require_living(row.investor)
    if row.kind == Kind.SUBSCRIPTION:
        assert row.amount is not None
        require_subscribable(
            investor=row.investor, share_class=row.share_class, amount=row.amount, at=utc_now()
        )
        return
    require_available(
        investor=row.investor,
        holding=lock_holding(row.investor, row.share_class),
        units=row.units,
        quantum=quantum_of(row.share_class),
        is_forced=row.kind == Kind.COMPULSORY,
    )


def _carry_out(row: DealingProposal, actor: Actor, at: datetime) -> None:
    """The step itself, placed in the name of the proposer, whose right is asked again."""
    maker = Actor.of(row.proposed_by)
    maker.require(capability_to_propose(Kind(row.kind)))
    if row.kind == Kind.TRANSFER:
        _transfer(row, actor, at)
        return
    if row.kind == Kind.SUBSCRIPTION:
        assert row.amount is not None
        row.order = submit_subscription(
            investor=row.investor, share_class=row.share_class, amount=row.amount,
            actor=maker, at=at,
        )  # fmt: skip
    elif row.kind == Kind.REDEMPTION:
        row.order = submit_redemption(
            investor=row.investor, share_class=row.share_class, units=row.units,
            actor=maker, reason=row.reason, at=at,
        )  # fmt: skip
    elif row.kind == Kind.SWITCH:
        assert row.into_class is not None
        row.order = submit_switch(
            investor=row.investor, share_class=row.share_class, into_class=row.into_class,
            units=row.units, actor=maker, at=at,
        )  # fmt: skip
    else:
        row.order = _force(row, maker, at)
    _tell_order(row, row.order)


def _force(row: DealingProposal, maker: Actor, at: datetime) -> DealingOrder:
    """A redemption that asks neither notice nor lock-up nor minimum, and is not the holder's."""
    share_class = row.share_class
    require_open(share_class.fund)
    holding = lock_holding(row.investor, share_class)
    wanted = require_available(
        investor=row.investor, holding=holding, units=row.units, quantum=quantum_of(share_class),
        is_forced=True,
    )  # fmt: skip
    order = DealingOrder(
        kind=DealingOrder.Kind.REDEMPTION,
        investor=row.investor,
        share_class=share_class,
        units=row.units,
        is_compulsory=True,
        reason=row.reason,
    )
    day = next_dealing_day(share_class.fund, received_at=at)
    return reserve(order, wanted, day=day, actor=maker, at=at)


def _tell_order(row: DealingProposal, order: DealingOrder) -> None:
    day = f"{order.dealing_day.day:%-d %b %Y}" if order.dealing_day else "the next dealing day"
    if row.amount is not None:
        size = f"{row.amount:,.2f} {row.share_class.fund.currency} in"
    else:
        size = "all units of" if row.units is None else f"{say_units(row.units)} of"
    words = [
        f"Order {order.reference}: {order.get_kind_display().lower()}, {size} class "
        f"{row.share_class.code}, for the dealing day {day}.",
        row.notice or "It was placed on your instruction. If you gave none, tell us at once.",
    ]
    subject = "Your units are redeemed" if row.kind == Kind.COMPULSORY else "An order for you"
    send_message(
        investor=row.investor, key=f"dealing:{row.pk}", subject=subject, body="\n\n".join(words)
    )


def _transfer(row: DealingProposal, actor: Actor, at: datetime) -> None:
    """Move the units and give both holders the same note."""
    assert row.receiver is not None
    fund = row.share_class.fund
    moved = transfer(
        key=str(row.pk), giver=row.investor, receiver=row.receiver,
        share_class=row.share_class, units=row.units, actor=actor, at=at,
    )  # fmt: skip
    row.value = moved.value
    body = (
        f"Transfer {row.reference} of {at:%-d %b %Y, %H:%M} UTC: {say_units(moved.units)} of class "
        f"{row.share_class.code} of {fund.name} moved from {row.investor.legal_name} "
        f"({row.investor.number}) to {row.receiver.legal_name} ({row.receiver.number}).\n\n"
        f"Each lot kept its date, high-water mark, hurdle date and lock-up. "
        f"No price was dealt and no fee was taken. At the last NAV the units were worth "
        f"{moved.value:,.2f} {fund.currency} after accrued fees."
    )
    if moved.parts:
        body += (
            "\n\nTheir part of side pockets went along, with its marks: "
            f"{'; '.join(moved.parts)}. What a pocket paid before stays with who held it then."
        )
    for holder in (row.investor, row.receiver):
        send_message(
            investor=holder, key=f"dealing:{row.pk}", subject="Units transferred", body=body
        )


def _note(actor: Actor, action: str, row: DealingProposal, **more: object) -> None:
    record_audit(
        actor=actor,
        action=action,
        subject=("dealing_proposal", row.pk),
        body={
            "kind": row.kind,
            "investor": str(row.investor_id),
            "receiver": str(row.receiver_id) if row.receiver_id else None,
            "class": str(row.share_class_id),
            "amount": None if row.amount is None else f"{row.amount:f}",
            "units": None if row.units is None else f"{row.units:f}",
            "reason": row.reason,
            **more,
        },
    )
