"""Restatement of wrong NAVs: a package is measured, signed by a controller and a director, booked.

No published NAV changes.  What each deal at a wrong price is due is booked in the open period: the
fund is made whole by the manager first, then every holder who lost is owed cash, which a payment of
two people pays.  What holders gained above the policy's small amount is listed as a claim and
booked when it is agreed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import transaction

from investors.domain.restatement import (
    CompensationTerms,
    CompensationWay,
    build_compensation_entries,
)
from investors.models import DealingOrder, Fund, Restatement
from investors.services.ledger import NewEntry, open_since, post_entries
from investors.services.messages import Draft, send_messages
from investors.services.nav_errors import (
    CASH_TERMS,
    MATERIAL_FROM,
    NavErrors,
    measure_nav_errors,
)
from investors.services.nav_settlement import level_bank
from magnetfund.core.actors import Actor
from magnetfund.core.locks import AdvisoryLock, take_lock
from magnetfund.core.models import User
from magnetfund.core.roles import Capability, refusal_of
from magnetfund.core.services.audit import record_audit
from magnetfund.core.services.signing import RESTATEMENT, signed_step, signed_to
from magnetfund.kernel.clock import utc_now
from magnetfund.kernel.errors import Conflict, InvalidInput, NotAllowed
from magnetfund.kernel.identifiers import canonical, content_hash, derived_uuid

ZERO = Decimal(0)
SIGNED_FIELDS = ("approved_by", "approved_at", "directed_by", "directed_at")


def prepare_restatement(
    *,
    fund: Fund,
    first: date,
    amount: Decimal,
    cause: str,
    evidence: str,
    actor: Actor,
    last: date | None = None,
    material_from: Decimal = MATERIAL_FROM,
    is_borne_by_manager: bool = False,
) -> Restatement:
    """Measure an error of net assets and leave the package for two more people.

    ``amount`` is what net assets of each NAV from ``first`` to ``last`` lacked.  Raises
    :class:`InvalidInput`: ``reason_missing``, ``not_material`` where no price was off by
    ``material_from`` or more, and what :func:`measure_nav_errors` raises; :class:`Conflict`
    (``restatement_open``) while another package of the fund waits.
    """
    actor.require(Capability.NAV_PREPARE)
    if actor.user is None:
        raise NotAllowed("a restatement is prepared by a person", code="needs_person")
    if not cause.strip() or not evidence.strip():
        raise InvalidInput("name the cause and the evidence of the error", code="reason_missing")
    with transaction.atomic():
        take_lock(AdvisoryLock.STRIKE_OF_FUND, fund.pk)
        if fund.restatements.filter(booked_at=None, declined_at=None).exists():
            raise Conflict("another restatement waits for signatures", code="restatement_open")
        row = Restatement(
            fund=fund,
            first=first,
            last=last,
            amount=amount,
            material_from=material_from,
            is_borne_by_manager=is_borne_by_manager,
            cause=cause.strip()[:300],
            evidence=evidence.strip()[:500],
            prepared_by=actor.user,
        )
        found = measure(row)
        if not found.is_material:
            raise InvalidInput(
                "no price was off by the threshold or more: nobody is compensated",
                code="not_material",
            )
        row.content = describe_package(row, found)
        row.content_hash = content_hash(row.content)
        row.save(force_insert=True)
        _note(actor, "restatement.prepared", row, owed=row.content["owed"])
    return row


def sign_restatement(
    *, restatement: Restatement, seen_hash: str, actor: Actor, at: datetime | None = None
) -> Restatement:
    """A controller's or a director's signature; the second of the two books the package.

    Raises :class:`NotAllowed` (``same_person``, or without the role whose signature is missing),
    :class:`Conflict`: ``proposal_closed``, ``changed`` where another package was shown, ``stale``
    where a NAV was dealt or an entry recorded since that changes it; and
    :class:`SignatureMissing` until the actor has signed it.
    """
    at = at or utc_now()
    with transaction.atomic():
        take_lock(AdvisoryLock.STRIKE_OF_FUND, restatement.fund_id)
        row = _lock(restatement)
        if seen_hash != row.content_hash:
            raise Conflict("this is not the package that was shown", code="changed")
        user = actor.require_other_than(row.prepared_by, "a restatement")
        place = next_signature(row, user)
        if not place:
            raise refusal_of(
                Capability.OVERRIDE_SIGN if row.approved_by else Capability.RESTATE_APPROVE
            )
        for signer in (row.approved_by, row.directed_by):
            if signer is not None:
                actor.require_other_than(signer, "the other signature")
        found = measure(row)
        if content_hash(describe_package(row, found)) != row.content_hash:
            raise Conflict(
                "the books changed since this package was prepared; decline it and prepare it "
                "again",
                code="stale",
            )
        setattr(row, f"{place}_by", user)
        setattr(row, f"{place}_at", at)
        is_complete = row.approved_by is not None and row.directed_by is not None
        row.booked_at = at if is_complete else None
        with signed_step(action=RESTATEMENT, subject=row.pk):
            row.save(update_fields=[*SIGNED_FIELDS, "booked_at"])
        _note(actor, f"restatement.{place}", row)
        if is_complete:
            _book(row, found, actor, at)
            _note(actor, "restatement.booked", row, owed=row.content["owed"])
    return row


def next_signature(row: Restatement, user: User) -> str:
    """The signature that this person can give: ``approved``, ``directed`` or none."""
    if row.approved_by is None and user.can(Capability.RESTATE_APPROVE):
        return "approved"
    if row.directed_by is None and user.can(Capability.OVERRIDE_SIGN):
        return "directed"
    return ""


def decline_restatement(*, restatement: Restatement, reason: str, actor: Actor) -> Restatement:
    """Close a package without booking it: the preparer withdraws it, or a signer declines.

    Raises :class:`SignatureMissing` until the actor has signed the refusal.
    """
    if actor.user is None:
        raise NotAllowed("this step must be taken by a person", code="needs_person")
    if not reason.strip():
        raise InvalidInput("a reason is needed", code="reason_missing")
    with transaction.atomic():
        row = _lock(restatement)
        if actor.user.pk != row.prepared_by_id and not actor.user.can(Capability.OVERRIDE_SIGN):
            actor.require(Capability.RESTATE_APPROVE)
        row.declined_by, row.declined_at = actor.user, utc_now()
        row.declined_reason = reason.strip()[:300]
        with signed_step(action=signed_to(RESTATEMENT, is_approved=False), subject=row.pk):
            row.save(update_fields=["declined_by", "declined_at", "declined_reason"])
        _note(actor, "restatement.declined", row, reason=row.declined_reason)
    return row


def measure(row: Restatement) -> NavErrors:
    """The error of a package, measured in the books as they stand."""
    return measure_nav_errors(
        fund=row.fund,
        first=row.first,
        last=row.last,
        amount=row.amount,
        material_from=row.material_from,
        terms=_terms(row),
    )


def _terms(row: Restatement) -> CompensationTerms:
    return replace(CASH_TERMS, manager_bears=row.is_borne_by_manager)


def describe_package(row: Restatement, found: NavErrors) -> dict[str, Any]:
    """The package as it is stored, shown and signed: prices, deals, and what each holder is owed.

    The same books give the same content.
    """
    holders: dict[tuple[str, str], dict[str, Any]] = {}
    deals = []
    for item in found.deals:
        lot, compensation = item.entry.lot, item.found
        investor = lot.holding.investor
        deals.append(
            {
                "deal": item.entry.seq,
                "investor": investor.number,
                "share_class": lot.share_class.code,
                "nav": compensation.deal.day,
                "kind": compensation.deal.kind,
                "units": compensation.deal.units,
                "due": compensation.due,
                "settlement": compensation.settlement,
            }
        )
        if compensation.settlement is CompensationWay.CASH:
            key = investor.number, lot.share_class.code
            holder = holders.setdefault(
                key,
                {
                    "investor": investor.pk,
                    "number": investor.number,
                    "class": lot.share_class_id,
                    "share_class": lot.share_class.code,
                    "amount": ZERO,
                },
            )
            holder["amount"] += compensation.due
    content: dict[str, Any] = canonical(
        {
            "prices": [
                {
                    "nav": error.day,
                    "share_class": error.share_class,
                    "published": error.published,
                    "right": error.right,
                    "ratio": f"{error.ratio:.6f}",
                    "is_material": error.material,
                }
                for error in found.errors
            ],
            "deals": deals,
            "holders": [holders[key] for key in sorted(holders)],
            "owed": sum((holder["amount"] for holder in holders.values()), ZERO),
            "fund_loss": found.fund_loss,
            "claims": sum(
                (-item.found.due for item in found.deals
                 if item.found.settlement is CompensationWay.CLAIM),
                ZERO,
            ),
        }
    )  # fmt: skip
    return content


def _book(row: Restatement, found: NavErrors, actor: Actor, at: datetime) -> None:
    """The package's entries in the open period, and one order a holder and class to be paid."""
    fund = row.fund
    effective = max(at, open_since(fund))
    entries = build_compensation_entries(
        compensations=[item.found for item in found.deals],
        terms=_terms(row),
        restatement=f"restatement:{row.pk}",
        fund=fund.code,
        currency=fund.currency,
        effective_at=effective,
    )
    post_entries(fund, [NewEntry.of(entry) for entry in entries], actor=actor)
    orders = [_order(row, holder, at) for holder in row.content["holders"]]
    DealingOrder.objects.bulk_create(orders, batch_size=5000)
    for order in orders:
        record_audit(
            actor=actor,
            action=f"order.{order.kind}",
            subject=("dealing_order", order.pk),
            body={
                "investor": str(order.investor_id),
                "class": str(order.share_class_id),
                "amount": f"{order.amount:f}",
            },
            at=at,
        )
    level_bank(
        fund, at=effective, source=f"restatement:{row.pk}",
        text=f"Compensation {row.reference}", actor=actor,
    )  # fmt: skip
    send_messages([_draft(row, order, at) for order in orders])


def _order(row: Restatement, holder: Mapping[str, Any], at: datetime) -> DealingOrder:
    amount = Decimal(holder["amount"])
    return DealingOrder(
        id=derived_uuid("compensation", f"{row.pk}:{holder['investor']}:{holder['class']}"),
        kind=DealingOrder.Kind.COMPENSATION,
        state=DealingOrder.State.PAYABLE,
        investor_id=UUID(holder["investor"]),
        share_class_id=holder["class"],
        restatement=row,
        amount=amount,
        dealt_amount=amount,
        first_day=row.first,
        received_at=at,
        updated_at=at,
        submitted_by=row.prepared_by,
    )


def _draft(row: Restatement, order: DealingOrder, at: datetime) -> Draft:
    until = f"to {row.last:%-d %b %Y}" if row.last else "on"
    return Draft(
        investor=order.investor_id,
        key=f"compensation:{order.pk}",
        subject=f"Compensation of {order.amount:,.2f} {row.fund.currency}",
        body=(
            f"The NAV of {row.fund.name} from {row.first:%-d %b %Y} {until} was wrong: {row.cause} "
            f"You dealt at a wrong price and are owed {order.amount:,.2f} {row.fund.currency}. It "
            "is paid to your account on file, by two people of the fund. Your units and contract "
            f"notes stay as they are. Order {order.reference}, restatement {row.reference}."
        ),
        at=at,
    )


def _lock(restatement: Restatement) -> Restatement:
    row = (
        Restatement.objects.select_for_update(of=("self",))
        .select_related("fund", "prepared_by", "approved_by", "directed_by")
        .get(pk=restatement.pk)
    )
    if not row.is_open:
        raise Conflict("this restatement has been decided", code="proposal_closed")
    return row


def _note(actor: Actor, action: str, row: Restatement, **more: object) -> None:
    record_audit(
        actor=actor,
        action=action,
        subject=("restatement", row.pk),
        body={
            "first": row.first,
            "last": row.last,
            "amount": f"{row.amount:f}",
            "hash": row.content_hash,
            **more,
        },
    )
