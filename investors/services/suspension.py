"""Suspending a fund's dealing and lifting it: a controller and a director, and a notice.

A dealing day whose valuation point comes while dealing is suspended never deals.  With the lifting
its orders take the first day whose cut-off is still to come, at whose price they deal and until
whose cut-off they can be taken back.
"""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from investors.models import DealingDay, DealingOrder, Fund, SuspensionProposal
from investors.services.dealing import OPEN_STATES, find_dealing_day
from investors.services.messages import send_to_holders
from investors.services.step_messages import tell_passed_over
from magnetfund.core.actors import Actor
from magnetfund.core.locks import AdvisoryLock, take_lock
from magnetfund.core.roles import Capability, Role
from magnetfund.core.services.audit import record_audit
from magnetfund.core.services.signing import SUSPENSION, signed_step, signed_to
from magnetfund.kernel.clock import utc_now
from magnetfund.kernel.errors import Conflict, InvalidInput, NotAllowed

REASON_MAX, NOTICE_MAX = 300, 1_000


def propose_suspension(
    *,
    fund: Fund,
    suspends: bool,
    reason: str,
    notice: str,
    actor: Actor,
    from_last_nav: bool = False,
) -> SuspensionProposal:
    """Propose to suspend dealing, or to lift a suspension; ``notice`` is what holders are told.

    A lifting passes over the dealing days that came in the suspension; ``from_last_nav`` all since
    the last NAV, where one before the suspension cannot be priced.

    Raises :class:`InvalidInput` (``reason_missing``, ``notice_missing``) and :class:`Conflict`
    (``already_suspended``, ``not_suspended``, ``proposal_open``).
    """
    actor.require(Capability.DEALING_SUSPEND)
    assert actor.user is not None
    if not reason.strip():
        raise InvalidInput("a reason is needed", code="reason_missing")
    if not notice.strip():
        raise InvalidInput("write what the holders are told", code="notice_missing")
    with transaction.atomic():
        take_lock(AdvisoryLock.STRIKE_OF_FUND, fund.pk)
        _require_change(fund, suspends)
        if SuspensionProposal.objects.filter(fund=fund, decided_at=None).exists():
            raise Conflict("a proposal waits already; decide on it first", code="proposal_open")
        row = SuspensionProposal.objects.create(
            fund=fund,
            suspends=suspends,
            reason=reason.strip()[:REASON_MAX],
            notice=notice.strip()[:NOTICE_MAX],
            from_last_nav=from_last_nav and not suspends,
            proposed_by=actor.user,
        )
        _note(actor, "suspension.proposed", row)
    return row


def decide_suspension(
    *, proposal: SuspensionProposal, is_approved: bool, actor: Actor
) -> SuspensionProposal:
    """The second person's decision; one of the two is a controller, one a director.

    PostgreSQL suspends the fund, or opens it, in the row of an approved proposal.  Raises
    :class:`NotAllowed` (``same_person``, ``both_roles_needed``), :class:`Conflict`
    (``proposal_closed``, ``already_suspended``, ``not_suspended``) and :class:`SignatureMissing`
    until the actor has signed the decision.
    """
    actor.require(Capability.DEALING_SUSPEND)
    with transaction.atomic():
        take_lock(AdvisoryLock.STRIKE_OF_FUND, proposal.fund_id)
        row = SuspensionProposal.objects.select_for_update(of=("self",)).get(pk=proposal.pk)
        if row.decided_at is not None:
            raise Conflict("this proposal has been decided", code="proposal_closed")
        actor.require_other_than(row.proposed_by, "a suspension")
        assert actor.user is not None
        held = row.proposed_by.roles | actor.user.roles
        if is_approved and not {Role.CONTROLLER, Role.DIRECTOR} <= held:
            raise NotAllowed(
                "a controller and a director decide together", code="both_roles_needed"
            )
        if is_approved:
            _require_change(row.fund, row.suspends)
        row.decided_by, row.decided_at, row.is_approved = actor.user, utc_now(), is_approved
        days = list(
            DealingDay.objects.filter(
                fund=row.fund, is_suspended=False, valuation_at__lte=row.decided_at
            )
        )
        action = signed_to(SUSPENSION, is_approved=is_approved)
        with signed_step(action=action, subject=row.pk):
            row.save(update_fields=["decided_by", "decided_at", "is_approved"])
        _note(actor, "suspension.decided", row, approved=is_approved)
        if is_approved:
            subject = "Dealing is suspended" if row.suspends else "Dealing is open again"
            send_to_holders(
                fund=row.fund, key=f"suspension:{row.pk}", subject=subject, body=row.notice
            )
            if not row.suspends:
                _pass_over(row, days, actor, row.decided_at)
    return row


def _pass_over(
    lifting: SuspensionProposal, days: list[DealingDay], actor: Actor, at: datetime
) -> None:
    """Carry over the orders of those days that PostgreSQL passed over with the lifting."""
    fund = lifting.fund
    passed = DealingDay.objects.filter(pk__in=[day.pk for day in days], is_suspended=True)
    if not passed:
        return
    orders = list(
        DealingOrder.objects.select_for_update(of=("self",))
        .filter(dealing_day__in=passed, state__in=OPEN_STATES)
        .select_related("share_class__fund", "dealing_day")
    )
    after = find_dealing_day(fund, received_at=at)
    DealingOrder.objects.filter(pk__in=[order.pk for order in orders]).update(
        dealing_day=after, updated_at=at
    )
    tell_passed_over(orders, after=after, key=str(lifting.pk), at=at)
    record_audit(
        actor=actor,
        action="dealing.passed_over",
        subject=("fund", fund.pk),
        body={"days": [str(day.day) for day in passed], "orders": len(orders)},
        at=at,
    )


def _require_change(fund: Fund, suspends: bool) -> None:
    is_suspended = Fund.objects.filter(pk=fund.pk, is_suspended=True).exists()
    if is_suspended and suspends:
        raise Conflict("dealing is suspended already", code="already_suspended")
    if not is_suspended and not suspends:
        raise Conflict("dealing is not suspended", code="not_suspended")


def _note(actor: Actor, action: str, row: SuspensionProposal, **more: object) -> None:
    record_audit(
        actor=actor,
        action=action,
        subject=("fund", row.fund_id),
        body={"proposal": row.pk, "suspends": row.suspends, "reason": row.reason, **more},
    )
