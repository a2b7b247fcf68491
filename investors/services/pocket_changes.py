"""What a claim is worth now, and cash that came in for it: proposed, signed, booked by a NAV.

An accountant proposes with what it rests on, a director signs, and the next NAV books it
(:mod:`investors.services.pocket_proceeds`); until then it can be withdrawn.
"""

from __future__ import annotations

from decimal import Decimal

from django.db import transaction
from django.db.models import QuerySet

from investors.models import Fund, NavStrike, PocketChange, SidePocket, StatementLine
from investors.services.pocket_books import read_pocket_holdings
from investors.services.two_people import decide_proposal
from magnetfund.core.actors import Actor
from magnetfund.core.locks import AdvisoryLock, take_lock
from magnetfund.core.roles import Capability
from magnetfund.core.services.audit import record_audit
from magnetfund.core.services.signing import POCKET_CHANGE
from magnetfund.kernel.clock import utc_now
from magnetfund.kernel.errors import Conflict, InvalidInput, NotAllowed
from magnetfund.kernel.money import currency_quantum, quantize

ZERO = Decimal(0)
SOURCE_MAX = 300


def propose_change(
    *,
    pocket: SidePocket,
    value: Decimal,
    source: str,
    actor: Actor,
    cash: Decimal = ZERO,
    line: StatementLine | None = None,
) -> PocketChange:
    """Propose what a claim is carried at from the next NAV on, and ``cash`` that is paid out of it.

    Money is in the fund's currency; ``line`` is the receipt that the cash is, else the venue paid
    it.  ``source`` says what both rest on.  At a value of zero the pocket is closed.  Raises
    :class:`InvalidInput` (``source_missing``, ``wrong_amount``, ``not_received``) and
    :class:`Conflict` (``not_set_apart``, ``pocket_empty``, ``proposal_open``).
    """
    actor.require(Capability.DEALING_PROCESS)
    if actor.user is None:
        raise NotAllowed("a change is proposed by a person", code="needs_person")
    words = source.strip()[:SOURCE_MAX]
    if not words:
        raise InvalidInput("say what the value or the payment rests on", code="source_missing")
    step = currency_quantum(pocket.fund.currency)
    if min(value, cash) < 0 or any(quantize(sum_, step) != sum_ for sum_ in (value, cash)):
        raise InvalidInput("this is not an amount of the fund's currency", code="wrong_amount")
    with transaction.atomic():
        take_lock(AdvisoryLock.STRIKE_OF_FUND, pocket.fund_id)
        _require_standing(pocket)
        if (
            pocket.changes.exclude(is_approved=False)
            .filter(strike=None, withdrawn_at=None)
            .exists()
        ):
            raise Conflict("a change of this pocket waits already", code="proposal_open")
        if line is not None:
            require_received(pocket, line, cash)
        row = PocketChange.objects.create(
            pocket=pocket,
            kind=PocketChange.Kind.CASH if cash else PocketChange.Kind.VALUE,
            value=value,
            cash=cash,
            line=line if cash else None,
            source=words,
            proposed_by=actor.user,
        )
        _note(actor, "pocket_change.proposed", row)
    return row


def decide_change(
    *, proposal: PocketChange, is_approved: bool, actor: Actor, reason: str = ""
) -> PocketChange:
    """Approve or decline a change, by a director who is another person than the proposer.

    Raises what :func:`propose_change` and :func:`decide_proposal` raise.
    """
    actor.require(Capability.POCKETS_APPROVE)
    with transaction.atomic():
        take_lock(AdvisoryLock.STRIKE_OF_FUND, proposal.pocket.fund_id)
        if is_approved:
            _require_standing(proposal.pocket)
            if proposal.line is not None:
                require_received(proposal.pocket, proposal.line, proposal.cash)
        row = decide_proposal(
            proposal, action=POCKET_CHANGE, is_approved=is_approved, actor=actor, reason=reason,
            what="a change of a side pocket",
        )  # fmt: skip
        name = "pocket_change.approved" if is_approved else "pocket_change.declined"
        _note(actor, name, row)
    return row


def withdraw_change(*, change: PocketChange, reason: str, actor: Actor) -> PocketChange:
    """Take an approved change back before a NAV has booked it.

    Raises :class:`InvalidInput` (``reason_missing``) and :class:`Conflict` (``not_waiting``).
    """
    if actor.user is None or not actor.user.can(Capability.POCKETS_APPROVE):
        actor.require(Capability.DEALING_PROCESS)
    if not reason.strip():
        raise InvalidInput("a reason is needed", code="reason_missing")
    with transaction.atomic():
        take_lock(AdvisoryLock.STRIKE_OF_FUND, change.pocket.fund_id)
        row = PocketChange.objects.select_for_update(of=("self",)).get(pk=change.pk)
        if not row.is_approved or row.strike_id is not None or row.withdrawn_at is not None:
            raise Conflict("this change does not wait for a NAV", code="not_waiting")
        row.withdrawn_at = utc_now()
        row.save(update_fields=["withdrawn_at"])
        _note(actor, "pocket_change.withdrawn", row, why=reason.strip()[:300])
    return row


def _require_standing(pocket: SidePocket) -> None:
    if SidePocket.objects.filter(pk=pocket.pk, strike=None).exists():
        raise Conflict("no NAV has set this claim apart yet", code="not_set_apart")
    if not any(row.pocket.pk == pocket.pk for row in read_pocket_holdings(pocket.fund)):
        raise Conflict("nobody holds units of this pocket any more", code="pocket_empty")


def require_received(pocket: SidePocket, line: StatementLine, cash: Decimal) -> None:
    """Raise :class:`InvalidInput` (``not_received``) for a receipt that does not hold ``cash`` in
    the fund's currency, unmatched and final."""
    row = StatementLine.objects.get(pk=line.pk)
    is_own = row.fund_id == pocket.fund_id and row.currency == pocket.fund.currency
    if not is_own or row.final_at is None or row.open_amount < cash:
        raise InvalidInput(
            f"receipt {row.reference} has no {cash:,.2f} {pocket.fund.currency} that nothing else "
            "uses",
            code="not_received",
        )


def changes_due(fund: Fund) -> QuerySet[PocketChange]:
    """Approved changes that the next NAV books, by number of the pocket."""
    return (
        PocketChange.objects.filter(
            pocket__fund=fund, is_approved=True, strike=None, withdrawn_at=None
        )
        .select_related("pocket__fund", "line")
        .order_by("pocket__number")
    )


def plain_changes(fund: Fund) -> list[list[str]]:
    """The same as a NAV freezes and names them: pocket, value afterwards, cash."""
    return [
        [row.pocket.name, f"{row.value.normalize():f}", f"{row.cash.normalize():f}"]
        for row in changes_due(fund)
    ]


def changed_pockets(strike: NavStrike) -> list[str]:
    """``["pocket_changes"]`` where other changes wait now than a prepared NAV froze."""
    same = strike.inputs.get("pocket_changes", []) == plain_changes(strike.fund)
    return [] if same else ["pocket_changes"]


def describe_change(row: PocketChange) -> dict[str, object]:
    """What a change says, as its audit lines hold it."""
    return {
        "pocket": row.pocket.name,
        "kind": row.kind,
        "value": f"{row.value.normalize():f}",
        "cash": f"{row.cash.normalize():f}",
        "line": None if row.line_id is None else str(row.line_id),
        "source": row.source,
    }


def _note(actor: Actor, action: str, row: PocketChange, **more: object) -> None:
    record_audit(
        actor=actor,
        action=action,
        subject=("pocket_change", row.pk),
        body={**describe_change(row), "reason": row.reason, **more},
        at=utc_now(),
    )
