"""Side pockets: a claim that an accountant proposes to set apart and a director signs.

It takes effect with the dealing of the next NAV (:mod:`investors.services.pocket_dealing`); until
then it can be withdrawn.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from django.db import transaction
from django.db.models import Max, Q, QuerySet

from investors.domain.ledger import ACCOUNTS
from investors.domain.ledger.chart import POCKET_SOURCES
from investors.domain.strike import PocketInput
from investors.models import Fund, SidePocket
from investors.services.ledger import read_balances
from investors.services.two_people import decide_proposal
from magnetfund.core.actors import Actor
from magnetfund.core.locks import AdvisoryLock, take_lock
from magnetfund.core.models import AuditEvent
from magnetfund.core.roles import Capability
from magnetfund.core.services.audit import record_audit
from magnetfund.core.services.signing import POCKET
from magnetfund.kernel.clock import utc_now
from magnetfund.kernel.errors import Conflict, InvalidInput, NotAllowed
from magnetfund.kernel.money import currency_quantum, quantize

ZERO = Decimal(0)
WORDS_MAX = {"asset": 200, "cause": 300, "notice": 1_000}


def propose_pocket(
    *,
    fund: Fund,
    asset: str,
    account: str,
    value: Decimal,
    cause: str,
    notice: str,
    actor: Actor,
) -> SidePocket:
    """Propose to set a claim apart at its carrying value, for those who hold units at the next NAV.

    ``value`` is in the fund's currency and is taken out of ``account``; ``asset`` says what is
    claimed, ``cause`` why it is set apart, ``notice`` what the holders are told.  Raises
    :class:`InvalidInput` (``asset_missing``, ``cause_missing``, ``notice_missing``,
    ``unknown_account``, ``wrong_amount``) and :class:`Conflict` (``not_in_account``).
    """
    actor.require(Capability.DEALING_PROCESS)
    if actor.user is None:
        raise NotAllowed("a side pocket is proposed by a person", code="needs_person")
    words = {"asset": asset.strip(), "cause": cause.strip(), "notice": notice.strip()}
    for name, text in words.items():
        if not text:
            raise InvalidInput(_MISSING[name], code=f"{name}_missing")
    if account not in POCKET_SOURCES:
        raise InvalidInput("a claim is not taken out of this account", code="unknown_account")
    if value <= 0 or quantize(value, currency_quantum(fund.currency)) != value:
        raise InvalidInput("this is not an amount of the fund's currency", code="wrong_amount")
    with transaction.atomic():
        take_lock(AdvisoryLock.STRIKE_OF_FUND, fund.pk)
        require_in_account(fund, account, value + _spoken_for(fund, account))
        row = SidePocket.objects.create(
            fund=fund,
            number=(fund.pockets.aggregate(n=Max("number"))["n"] or 0) + 1,
            account=account,
            value=value,
            proposed_by=actor.user,
            **{name: text[: WORDS_MAX[name]] for name, text in words.items()},
        )
        _note(actor, "pocket.proposed", row)
    return row


_MISSING = {
    "asset": "say what is claimed, and from whom",
    "cause": "say why it is set apart",
    "notice": "write what the holders are told",
}


def decide_pocket(
    *, proposal: SidePocket, is_approved: bool, actor: Actor, reason: str = ""
) -> SidePocket:
    """Approve or decline a side pocket, by a director who is another person than the proposer.

    Raises :class:`Conflict` (``not_in_account``) and what :func:`decide_proposal` raises.
    """
    actor.require(Capability.POCKETS_APPROVE)
    with transaction.atomic():
        take_lock(AdvisoryLock.STRIKE_OF_FUND, proposal.fund_id)
        if is_approved:
            taken = _spoken_for(proposal.fund, proposal.account, but=proposal)
            require_in_account(proposal.fund, proposal.account, proposal.value + taken)
        row = decide_proposal(
            proposal, action=POCKET, is_approved=is_approved, actor=actor, reason=reason,
            what="a side pocket",
        )  # fmt: skip
        _note(actor, "pocket.approved" if is_approved else "pocket.declined", row)
    return row


def withdraw_pocket(*, pocket: SidePocket, reason: str, actor: Actor) -> SidePocket:
    """Take an approved side pocket back before a NAV has set it apart.

    Raises :class:`InvalidInput` (``reason_missing``) and :class:`Conflict` (``not_waiting``).
    """
    if actor.user is None or not actor.user.can(Capability.POCKETS_APPROVE):
        actor.require(Capability.DEALING_PROCESS)
    if not reason.strip():
        raise InvalidInput("a reason is needed", code="reason_missing")
    with transaction.atomic():
        take_lock(AdvisoryLock.STRIKE_OF_FUND, pocket.fund_id)
        row = SidePocket.objects.select_for_update(of=("self",)).get(pk=pocket.pk)
        if not row.is_approved or row.strike_id is not None or row.withdrawn_at is not None:
            raise Conflict("this side pocket does not wait for a NAV", code="not_waiting")
        row.withdrawn_at = utc_now()
        row.save(update_fields=["withdrawn_at"])
        _note(actor, "pocket.withdrawn", row, why=reason.strip()[:300])
    return row


def require_in_account(fund: Fund, account: str, value: Decimal) -> None:
    """Raise :class:`Conflict` (``not_in_account``) where an account holds less than ``value``."""
    stands = read_balances(fund, accounts=[account]).get((account, fund.currency), ZERO)
    if value > stands:
        raise Conflict(
            f"{ACCOUNTS[account].name} ({account}) holds {stands:,.2f} {fund.currency}, and "
            f"{value:,.2f} are to be taken out",
            code="not_in_account",
        )


def _spoken_for(fund: Fund, account: str, but: SidePocket | None = None) -> Decimal:
    """What approved side pockets that wait for a NAV take out of an account."""
    rows = _waiting(fund).filter(account=account)
    return sum((row.value for row in rows if but is None or row.pk != but.pk), ZERO)


def _waiting(fund: Fund) -> QuerySet[SidePocket]:
    return SidePocket.objects.filter(
        fund=fund, is_approved=True, strike=None, withdrawn_at=None
    ).order_by("number")


def pockets_due(fund: Fund) -> list[SidePocket]:
    """Approved side pockets that the next NAV sets apart, by number."""
    return list(_waiting(fund))


def pockets_at(
    fund: Fund, valuation_at: datetime, *, known_at: datetime | None = None
) -> tuple[PocketInput, ...]:
    """What a NAV of an instant sets apart: those of its dealing, or else those that wait.

    ``known_at`` leaves out what was decided later, also that one was withdrawn (``None``:
    nothing).
    """
    rows = SidePocket.objects.filter(booked_at(fund, valuation_at, known_at=known_at), fund=fund)
    return tuple(PocketInput(pocket=row.name, value=row.value) for row in rows.order_by("number"))


def booked_at(fund: Fund, valuation_at: datetime, *, known_at: datetime | None) -> Q:
    """Decisions on side pockets that a NAV of an instant books: with its dealing, or else by
    waiting for it.  ``known_at`` asks what was decided, withdrawn and dealt by then (``None``:
    until now)."""
    dealt = fund.strikes.filter(state__in=("approved", "dealt"))
    stands = Q(withdrawn_at=None)
    if known_at is not None:
        told = AuditEvent.objects.filter(action="nav.dealt", recorded_at__lte=known_at)
        dealt = dealt.filter(pk__in=list(told.values_list("subject_id", flat=True)))
        stands = (stands | Q(withdrawn_at__gt=known_at)) & Q(decided_at__lte=known_at)
    done = list(dealt.values_list("pk", "valuation_at"))
    own = [pk for pk, at in done if at == valuation_at]
    if own:
        return stands & Q(is_approved=True, strike__in=own)
    before = [pk for pk, at in done if at < valuation_at]
    return stands & Q(is_approved=True) & (Q(strike=None) | ~Q(strike__in=before))


def describe_pocket(row: SidePocket) -> dict[str, object]:
    """What a side pocket says, as its audit lines hold it."""
    return {
        "fund": str(row.fund_id),
        "pocket": row.name,
        "asset": row.asset,
        "account": row.account,
        "value": f"{row.value.normalize():f}",
        "cause": row.cause,
        "notice": row.notice,
    }


def _note(actor: Actor, action: str, row: SidePocket, **more: object) -> None:
    record_audit(
        actor=actor,
        action=action,
        subject=("side_pocket", row.pk),
        body={**describe_pocket(row), "reason": row.reason, **more},
        at=utc_now(),
    )
