"""What a claim is worth now, cash that came in for it, and its way back into the classes: proposed,
signed, booked by a NAV.

An accountant proposes with what it rests on, a director signs, and the next NAV books it
(:mod:`investors.services.pocket_proceeds`); until then it can be withdrawn.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from django.db import transaction
from django.db.models import QuerySet

from investors.domain.ledger.chart import POCKET_SOURCES
from investors.domain.strike import MergeInput
from investors.models import Fund, NavStrike, PocketChange, SidePocket, StatementLine
from investors.services.pocket_books import (
    read_pocket_balances,
    read_pocket_holdings,
    read_pocket_lots,
)
from investors.services.pockets import booked_at
from investors.services.reversed_receipts import require_not_reversed
from investors.services.two_people import decide_proposal
from magnetfund.core.actors import Actor
from magnetfund.core.locks import AdvisoryLock, take_lock
from magnetfund.core.models import User
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
    maker, words = _require_maker(actor, source)
    step = currency_quantum(pocket.fund.currency)
    if min(value, cash) < 0 or any(quantize(sum_, step) != sum_ for sum_ in (value, cash)):
        raise InvalidInput("this is not an amount of the fund's currency", code="wrong_amount")
    with transaction.atomic():
        take_lock(AdvisoryLock.STRIKE_OF_FUND, pocket.fund_id)
        _require_standing(pocket)
        _require_alone(pocket)
        if line is not None:
            require_received(pocket, line, cash)
        row = PocketChange.objects.create(
            pocket=pocket,
            kind=PocketChange.Kind.CASH if cash else PocketChange.Kind.VALUE,
            value=value,
            cash=cash,
            line=line if cash else None,
            source=words,
            proposed_by=maker,
        )
        _note(actor, "pocket_change.proposed", row)
    return row


def propose_merge(*, pocket: SidePocket, account: str, source: str, actor: Actor) -> PocketChange:
    """Propose that the next NAV makes main units of a pocket's units, at what it is carried at.

    The value comes into ``account`` (venue cash or receivables); ``source`` says why the claim can
    be sold and priced again.  Raises :class:`InvalidInput` (``source_missing``,
    ``unknown_account``) and :class:`Conflict` (``not_set_apart``, ``pocket_empty``,
    ``proposal_open``).
    """
    maker, words = _require_maker(actor, source)
    if account not in POCKET_SOURCES:
        raise InvalidInput("a claim does not come back into this account", code="unknown_account")
    with transaction.atomic():
        take_lock(AdvisoryLock.STRIKE_OF_FUND, pocket.fund_id)
        _require_standing(pocket)
        _require_alone(pocket)
        carried = read_pocket_balances(pocket.fund)[pocket.name].assets
        if carried <= 0:
            raise Conflict("nothing is carried that could be merged", code="pocket_empty")
        row = PocketChange.objects.create(
            pocket=pocket,
            kind=PocketChange.Kind.MERGE,
            value=ZERO,
            cash=ZERO,
            merged=carried,
            account=account,
            source=words,
            proposed_by=maker,
        )
        _note(actor, "pocket_change.proposed", row)
    return row


def _require_maker(actor: Actor, source: str) -> tuple[User, str]:
    """Who proposes, and the words that it rests on; raises where either is missing."""
    actor.require(Capability.DEALING_PROCESS)
    if actor.user is None:
        raise NotAllowed("a change is proposed by a person", code="needs_person")
    words = source.strip()[:SOURCE_MAX]
    if not words:
        raise InvalidInput("say what the change rests on", code="source_missing")
    return actor.user, words


def _require_alone(pocket: SidePocket) -> None:
    waiting = pocket.changes.exclude(is_approved=False).filter(strike=None, withdrawn_at=None)
    if waiting.exists():
        raise Conflict("a change of this pocket waits already", code="proposal_open")


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
    the fund's currency, unmatched and final, and :class:`Conflict` (``receipt_reversed``)."""
    row = StatementLine.objects.get(pk=line.pk)
    require_not_reversed(row)
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


def merges_at(
    fund: Fund, valuation_at: datetime, *, known_at: datetime | None = None
) -> tuple[MergeInput, ...]:
    """Pockets that come back with a NAV of an instant, with their lots before it: those of its
    dealing, or else those that wait.  ``known_at`` leaves out what was recorded later."""
    rows = PocketChange.objects.filter(
        booked_at(fund, valuation_at, known_at=known_at), pocket__fund=fund,
        kind=PocketChange.Kind.MERGE,
    ).select_related("pocket")  # fmt: skip
    return tuple(
        MergeInput(
            pocket=row.pocket.name,
            lots=tuple(read_pocket_lots(row.pocket_id, before=valuation_at, known_at=known_at)),
        )
        for row in rows.order_by("pocket__number")
    )


def plain_change(row: PocketChange) -> list[str]:
    """A change as a NAV freezes and names it: pocket, value afterwards, cash; of a merge also what
    comes back and into which account."""
    amounts = [row.value, row.cash] + ([row.merged] if row.merged else [])
    return [
        row.pocket.name,
        *(f"{amount.normalize():f}" for amount in amounts),
        *([row.account] if row.account else []),
    ]


def plain_changes(fund: Fund) -> list[list[str]]:
    """What :func:`changes_due` gives, as a NAV freezes it."""
    return [plain_change(row) for row in changes_due(fund)]


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
        **(
            {"merged": f"{row.merged.normalize():f}", "account": row.account} if row.account else {}
        ),
    }


def _note(actor: Actor, action: str, row: PocketChange, **more: object) -> None:
    record_audit(
        actor=actor,
        action=action,
        subject=("pocket_change", row.pk),
        body={**describe_change(row), "reason": row.reason, **more},
        at=utc_now(),
    )
