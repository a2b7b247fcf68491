"""Agreements to give a holder back a part of the manager's fees, and what is owed on them.

Proposed by an accountant, decided by a controller's signature, for days that no NAV has counted.
What NAVs made of them: :mod:`investors.services.rebate_accruals`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, time
from decimal import Decimal
from uuid import UUID

from django.db import connection, transaction

from investors.domain.rebates import RebateTerms
from investors.models import Fund, Investor, Rebate, ShareClass
from investors.services.ledger import open_since
from investors.services.two_people import decide_proposal
from magnetfund.core.actors import Actor
from magnetfund.core.locks import AdvisoryLock, take_lock
from magnetfund.core.roles import Capability
from magnetfund.core.services.audit import record_audit
from magnetfund.core.services.signing import REBATE
from magnetfund.kernel.clock import utc_now
from magnetfund.kernel.errors import Conflict, InvalidInput, NotAllowed
from magnetfund.kernel.money import quantize

#: Shares are agreed to a ten-thousandth of a per cent.
SHARE_STEP = Decimal("1e-6")


def propose_rebate(
    *,
    investor: Investor,
    share_class: ShareClass,
    management_share: Decimal,
    performance_share: Decimal,
    first_day: date,
    reference: str,
    actor: Actor,
) -> Rebate:
    """Propose to give an investor back shares (fractions) of what a class's fees cost him.

    It counts from ``first_day`` on, in place of any agreement before; shares of zero end one.
    Raises :class:`InvalidInput`: ``no_reference``, ``too_fine``, ``rate_out_of_range``; and
    :class:`Conflict`: ``period_closed`` (a NAV has counted that day), ``rebate_known``.
    """
    actor.require(Capability.TERMS_PROPOSE)
    if actor.user is None:
        raise NotAllowed("a rebate is proposed by a person", code="needs_person")
    name = reference.strip()[:80]
    if not name:
        raise InvalidInput("name the letter that agrees it", code="no_reference")
    terms = RebateTerms(
        first_day=first_day, management_share=management_share, performance_share=performance_share
    )
    for share in (terms.management_share, terms.performance_share):
        if share != quantize(share, SHARE_STEP):
            raise InvalidInput("a share has at most six decimals", code="too_fine")
    with transaction.atomic():
        take_lock(AdvisoryLock.STRIKE_OF_FUND, share_class.fund_id)
        _require_uncounted(share_class, first_day)
        known = Rebate.objects.filter(
            investor=investor, share_class=share_class, first_day=first_day
        )
        if known.exclude(is_approved=False).exists():
            raise Conflict("an agreement from that day stands already", code="rebate_known")
        row = Rebate.objects.create(
            investor=investor, share_class=share_class, management_share=terms.management_share,
            performance_share=terms.performance_share, first_day=first_day, reference=name,
            proposed_by=actor.user,
        )  # fmt: skip
        _note(actor, "rebate.proposed", row)
    return row


def decide_rebate(*, proposal: Rebate, is_approved: bool, actor: Actor, reason: str = "") -> Rebate:
    """Approve or decline a rebate, by another person than the proposer.

    Raises :class:`Conflict` (``period_closed``: a NAV counted its first day meanwhile) and what
    :func:`decide_proposal` raises.
    """
    actor.require(Capability.TERMS_APPROVE)
    with transaction.atomic():
        take_lock(AdvisoryLock.STRIKE_OF_FUND, proposal.share_class.fund_id)
        if is_approved:
            _require_uncounted(proposal.share_class, proposal.first_day)
        row = decide_proposal(
            proposal, action=REBATE, is_approved=is_approved, actor=actor, reason=reason,
            what="a rebate",
        )  # fmt: skip
        _note(actor, "rebate.approved" if is_approved else "rebate.declined", row)
    return row


def _require_uncounted(share_class: ShareClass, first_day: date) -> None:
    if datetime.combine(first_day, time.min, tzinfo=UTC) < open_since(share_class.fund):
        raise Conflict(
            "a NAV has counted that day; a rebate begins after the last NAV", code="period_closed"
        )


def read_agreements(fund: Fund, *, until: date) -> Mapping[int, Mapping[UUID, list[RebateTerms]]]:
    """Approved agreements that had begun by a day, by class and investor."""
    found: dict[int, dict[UUID, list[RebateTerms]]] = {}
    rows = Rebate.objects.filter(share_class__fund=fund, is_approved=True, first_day__lte=until)
    for row in rows.order_by("first_day"):
        terms = RebateTerms(
            first_day=row.first_day, management_share=row.management_share,
            performance_share=row.performance_share,
        )  # fmt: skip
        found.setdefault(row.share_class_id, {}).setdefault(row.investor_id, []).append(terms)
    return found


def owed_by_lot(
    fund: Fund, account: str, investor: Investor | None = None
) -> dict[UUID, dict[UUID, Decimal]]:
    """What the ledger owes on an account that is kept by lot: by holder and lot."""
    who = None if investor is None else investor.pk
    found: dict[UUID, dict[UUID, Decimal]] = {}
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT h.investor_id, p.lot, -sum(p.amount)
               FROM investors_posting p JOIN investors_entry e ON e.id = p.entry_id
               JOIN investors_unitlot l ON l.id = p.lot
               JOIN investors_holding h ON h.id = l.holding_id
               WHERE e.fund_id = %s AND p.account_id = %s AND p.currency = %s
                 AND (%s::uuid IS NULL OR h.investor_id = %s)
               GROUP BY h.investor_id, l.number, p.lot HAVING sum(p.amount) <> 0
               ORDER BY l.number""",
            [fund.pk, account, fund.currency, who, who],
        )
        for holder, lot, amount in cursor.fetchall():
            found.setdefault(holder, {})[lot] = amount
    return found


def describe_rebate(row: Rebate) -> dict[str, object]:
    """What an agreement says, as its audit lines hold it."""
    return {
        "investor": str(row.investor_id),
        "share_class": row.share_class_id,
        "management_share": f"{row.management_share.normalize():f}",
        "performance_share": f"{row.performance_share.normalize():f}",
        "first_day": row.first_day.isoformat(),
        "reference": row.reference,
        "reason": row.reason,
    }


def in_force(rows: Iterable[Rebate], day: date) -> set[UUID]:
    """Those that count on a day: of each holder and class the approved one that began last."""
    newest: dict[tuple[UUID, int], Rebate] = {}
    for row in sorted(rows, key=lambda row: row.first_day):
        if row.is_approved and row.first_day <= day:
            newest[row.investor_id, row.share_class_id] = row
    return {row.pk for row in newest.values()}


def _note(actor: Actor, action: str, row: Rebate) -> None:
    record_audit(
        actor=actor,
        action=action,
        subject=("rebate", row.pk),
        body=describe_rebate(row),
        at=utc_now(),
    )
