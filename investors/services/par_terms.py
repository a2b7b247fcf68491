"""Whether a fund carries a stablecoin at par: proposed by an accountant, signed by a controller.

It counts for NAVs from a day on that none has counted yet; the approved term that began last is in
force, and one that says no ends the one before it.
"""

from __future__ import annotations

from datetime import date, datetime

from django.db import transaction

from investors.models import Fund, NavStrike, ParTerm
from investors.services.two_people import decide_proposal
from magnetfund.core.actors import Actor
from magnetfund.core.locks import AdvisoryLock, take_lock
from magnetfund.core.roles import Capability
from magnetfund.core.services.audit import record_audit
from magnetfund.core.services.signing import PAR
from magnetfund.kernel.clock import utc_now
from magnetfund.kernel.errors import Conflict, InvalidInput, NotAllowed
from magnetfund.kernel.money import CARRIED


def propose_par(
    *, fund: Fund, coin: str, is_at_par: bool, first_day: date, reference: str, actor: Actor
) -> ParTerm:
    """Propose that NAVs from ``first_day`` on carry a coin at par, or that they no longer do.

    Raises :class:`InvalidInput`: ``unknown_coin``, ``no_reference``; and :class:`Conflict`:
    ``period_closed`` (a NAV of that day or later was dealt), ``par_known``.
    """
    actor.require(Capability.TERMS_PROPOSE)
    if actor.user is None:
        raise NotAllowed("a term is proposed by a person", code="needs_person")
    if coin not in CARRIED or coin == fund.currency:
        known = ", ".join(name for name in CARRIED if name != fund.currency)
        raise InvalidInput(f"coins are: {known}", code="unknown_coin")
    name = reference.strip()[:80]
    if not name:
        raise InvalidInput("name the resolution or the document", code="no_reference")
    with transaction.atomic():
        take_lock(AdvisoryLock.STRIKE_OF_FUND, fund.pk)
        _require_uncounted(fund, first_day)
        known_rows = ParTerm.objects.filter(fund=fund, coin=coin, first_day=first_day)
        if known_rows.exclude(is_approved=False).exists():
            raise Conflict("a term from that day stands already", code="par_known")
        row = ParTerm.objects.create(
            fund=fund, coin=coin, is_at_par=is_at_par, first_day=first_day, reference=name,
            proposed_by=actor.user,
        )  # fmt: skip
        _note(actor, "par.proposed", row)
    return row


def decide_par(*, proposal: ParTerm, is_approved: bool, actor: Actor, reason: str = "") -> ParTerm:
    """Approve or decline a term of par, by another person than the proposer.

    Raises :class:`Conflict` (``period_closed``) and what :func:`decide_proposal` raises.
    """
    actor.require(Capability.TERMS_APPROVE)
    with transaction.atomic():
        take_lock(AdvisoryLock.STRIKE_OF_FUND, proposal.fund_id)
        if is_approved:
            _require_uncounted(proposal.fund, proposal.first_day)
        row = decide_proposal(
            proposal, action=PAR, is_approved=is_approved, actor=actor, reason=reason,
            what="a term of par",
        )  # fmt: skip
        _note(actor, "par.approved" if is_approved else "par.declined", row)
    return row


def is_par_agreed(fund: Fund, coin: str, *, at: datetime) -> bool:
    """Whether the term in force at a valuation carries the coin at par."""
    rows = ParTerm.objects.filter(
        fund=fund, coin=coin, is_approved=True, first_day__lte=at.date()
    ).order_by("-first_day")
    return bool(rows.values_list("is_at_par", flat=True).first())


def describe_par(row: ParTerm) -> dict[str, object]:
    """What a term says, as its audit lines hold it."""
    return {
        "coin": row.coin,
        "is_at_par": row.is_at_par,
        "first_day": row.first_day.isoformat(),
        "reference": row.reference,
        "reason": row.reason,
    }


def _require_uncounted(fund: Fund, first_day: date) -> None:
    dealt = NavStrike.objects.filter(fund=fund, state=NavStrike.State.DEALT)
    if dealt.filter(valuation_at__date__gte=first_day).exists():
        raise Conflict(
            "a NAV of that day or later was dealt; a term begins after the last NAV",
            code="period_closed",
        )


def _note(actor: Actor, action: str, row: ParTerm) -> None:
    record_audit(
        actor=actor,
        action=action,
        subject=("par_term", row.pk),
        body=describe_par(row),
        at=utc_now(),
    )
