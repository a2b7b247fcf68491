"""Breaks of the books with a bank, a venue or a custodian: found, explained, closed by another.

Money that left the bank without a payment of ours is found when its line is imported; any other
difference is raised by a person.  Who explains a break does not close it: another person posts what
is missing as an expense, or accepts the difference without money.  An open break that blocks stops
every NAV; money that came in and is not matched is no break, but owed to its sender.
"""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal

from django.db import transaction
from django.db.models import QuerySet

from investors.domain.ledger import build_entry
from investors.domain.reconciliation import BreakState, Line, match_lines, move_break
from investors.models import BookBreak, Entry, Fund, Payment, StatementLine
from investors.services.ledger import NewEntry, open_since, post_entry
from magnetfund.core.actors import Actor
from magnetfund.core.models import User
from magnetfund.core.roles import Capability
from magnetfund.core.services.audit import record_audit
from magnetfund.kernel.clock import utc_now
from magnetfund.kernel.errors import Conflict, InvalidInput, NotAllowed
from magnetfund.kernel.money import decimal_of

WORDS_MAX = 300


def find_line_break(line: StatementLine, *, actor: Actor, at: datetime) -> BookBreak | None:
    """The break of an outgoing line that no payment of ours explains to the last digit."""
    name = line.end_to_end or line.reference
    ours = [
        Line(key=name, asset=row.currency, amount=-row.amount, day=line.booked_at.date())
        for row in Payment.objects.filter(fund=line.fund_id, state="released")
        if row.reference == name
    ]
    theirs = Line(key=name, asset=line.currency, amount=line.amount, day=line.booked_at.date())
    found = match_lines(ours=ours, theirs=[theirs], day=at.date()).breaks
    if not found:
        return None
    (item,) = (one for one in found if one.asset == line.currency)
    row = BookBreak(
        fund=line.fund, source=BookBreak.Source.BANK, kind=item.kind.value,
        reference=line.reference, asset=item.asset, ours=item.ours, theirs=item.theirs,
        day=line.booked_at.date(), text=f"{line.party} {line.text}".strip()[:WORDS_MAX],
        line=line, is_blocking=item.is_blocking, found_by=actor.label, found_at=at,
    )  # fmt: skip
    row.save(force_insert=True)
    _note(actor, "break.found", row, at)
    return row


def raise_break(
    *,
    fund: Fund,
    source: str,
    reference: str,
    asset: str,
    ours: Decimal,
    theirs: Decimal,
    day: date,
    text: str,
    actor: Actor,
    at: datetime | None = None,
) -> BookBreak:
    """Raise a difference that a person found; raises :class:`InvalidInput` (``no_difference``,
    ``no_reference``, ``reason_missing``, ``in_future``) and :class:`Conflict` (``break_open``)."""
    actor.require(Capability.DEALING_PROCESS)
    at = at or utc_now()
    key, unit = reference.strip()[:100], asset.strip().upper()[:16]
    if not key or not unit:
        raise InvalidInput("name the asset and the reference", code="no_reference")
    if not text.strip():
        raise InvalidInput("say what differs", code="reason_missing")
    if day > at.date():
        raise InvalidInput("the day lies in the future", code="in_future")
    found = match_lines(
        ours=[Line(key=key, asset=unit, amount=decimal_of(ours), day=day)],
        theirs=[Line(key=key, asset=unit, amount=decimal_of(theirs), day=day)],
        day=at.date(),
    ).breaks
    if not found:
        raise InvalidInput("both sides say the same", code="no_difference")
    with transaction.atomic():
        if open_breaks(fund).filter(source=source, asset=unit, reference=key).exists():
            raise Conflict("this break is open already", code="break_open")
        row = BookBreak.objects.create(
            fund=fund, source=BookBreak.Source(source), kind=found[0].kind.value, reference=key,
            asset=unit, ours=found[0].ours, theirs=found[0].theirs, day=day,
            text=text.strip()[:WORDS_MAX], is_blocking=found[0].is_blocking,
            found_by=actor.label, found_at=at, owner=actor.user,
        )  # fmt: skip
        _note(actor, "break.found", row, at)
    return row


def assign_break(*, found: BookBreak, owner: User, actor: Actor) -> BookBreak:
    """Give a break to somebody who works on it."""
    actor.require(Capability.DEALING_PROCESS)
    if not owner.can(Capability.DEALING_PROCESS):
        raise InvalidInput("this person does not work on breaks", code="wrong_owner")
    with transaction.atomic():
        row = _lock(found)
        if row.closed_at is not None:
            raise Conflict("this break is closed", code="break_closed")
        row.owner = owner
        row.save(update_fields=["owner"])
        _note(actor, "break.assigned", row, utc_now())
    return row


def explain_break(*, found: BookBreak, cause: str, actor: Actor) -> BookBreak:
    """Say what a break comes from; another person then closes it."""
    actor.require(Capability.DEALING_PROCESS)
    user = _person(actor)
    with transaction.atomic():
        row = _lock(found)
        state = BreakState(row.state)
        if state is BreakState.EXPLAINED:
            state = move_break(state=state, to=BreakState.OPEN, reason=cause, actor=actor.label)
        row.state = move_break(
            state=state, to=BreakState.EXPLAINED, reason=cause, actor=str(user.pk)
        ).value
        row.cause, row.explained_by, row.owner = cause.strip()[:WORDS_MAX], user, user
        row.save(update_fields=["state", "cause", "explained_by", "owner"])
        _note(actor, "break.explained", row, utc_now())
    return row


def close_break(
    *,
    found: BookBreak,
    resolution: str,
    actor: Actor,
    account: str = "",
    at: datetime | None = None,
) -> BookBreak:
    """Close an explained break: with an expense ``account`` what left the bank is posted there,
    without one the difference is accepted.

    Raises :class:`NotAllowed` (``same_person``), :class:`InvalidInput` (``no_such_move``,
    ``no_reason``, ``nothing_to_post`` where no money of the fund's bank is missing in the books).
    """
    actor.require(Capability.PAYMENTS_APPROVE)
    at = at or utc_now()
    with transaction.atomic():
        row = _lock(found)
        to = BreakState.ADJUSTED if account else BreakState.ACCEPTED
        if row.explained_by is None:
            raise InvalidInput("explain the break first", code="no_such_move")
        user = actor.require_other_than(row.explained_by, "a break")
        row.state = move_break(
            state=BreakState(row.state), to=to, reason=resolution, actor=str(user.pk),
            explained_by=str(row.explained_by.pk),
        ).value  # fmt: skip
        if account:
            row.entry = _post(row, account, actor, at)
        row.closed_by, row.closed_at = user, at
        row.resolution = resolution.strip()[:WORDS_MAX]
        row.save(update_fields=["state", "entry", "closed_by", "closed_at", "resolution"])
        _note(actor, "break.closed", row, at)
    return row


def open_breaks(fund: Fund) -> QuerySet[BookBreak]:
    """Breaks of a fund that are not closed, the oldest first."""
    return BookBreak.objects.filter(fund=fund, closed_at=None).order_by("day", "found_at")


def _post(row: BookBreak, account: str, actor: Actor, at: datetime) -> Entry | None:
    amount = row.difference
    if row.line is not None and row.line.outcome == StatementLine.Outcome.REVERSED:
        raise InvalidInput(
            "this line ended a receipt and is in the books; accept the difference",
            code="nothing_to_post",
        )
    if row.source != BookBreak.Source.BANK or row.asset != row.fund.currency or amount <= 0:
        raise InvalidInput(
            "only money that left the fund's bank is posted; accept any other difference",
            code="nothing_to_post",
        )
    effective, posted = max(at, open_since(row.fund)), None
    for event, chosen in (("expense_accrued", account), ("expense_paid", "")):
        entry = build_entry(
            event=event,
            source_ref=f"break:{row.pk}:{event}",
            effective_at=effective,
            amounts={"amount": amount},
            currency=row.asset,
            account=chosen,
            text=f"Break {row.reference}: {row.cause}",
        )
        posted = post_entry(row.fund, NewEntry.of(entry), actor=actor)
    return posted


def _lock(found: BookBreak) -> BookBreak:
    return (
        BookBreak.objects.select_for_update(of=("self",))
        .select_related("fund", "explained_by")
        .get(pk=found.pk)
    )


def _person(actor: Actor) -> User:
    if actor.user is None:
        raise NotAllowed("a break is worked on by a person", code="needs_person")
    return actor.user


def _note(actor: Actor, action: str, row: BookBreak, at: datetime) -> None:
    record_audit(
        actor=actor,
        action=action,
        subject=("book_break", row.pk),
        body={
            "source": row.source,
            "reference": row.reference,
            "asset": row.asset,
            "difference": f"{row.difference:f}",
            "state": row.state,
            "owner": None if row.owner_id is None else str(row.owner_id),
            "cause": row.cause,
            "resolution": row.resolution,
        },
        at=at,
    )
