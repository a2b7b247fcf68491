"""Terms of a share class: versioned, approved by two people, read as the domain's dataclass."""

from __future__ import annotations

from dataclasses import fields
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from django.db import transaction
from django.db.models import Max

from investors.domain.fees import ClassTerms, DayCount, FeeForm, Hurdle, LockUp, Rank, Tier
from investors.models import ClassPolicyVersion, ShareClass
from investors.services.ledger import open_since
from magnetfund.core.actors import Actor
from magnetfund.core.roles import Capability
from magnetfund.core.services.audit import record_audit
from magnetfund.kernel.errors import Conflict, InvalidInput
from magnetfund.kernel.identifiers import content_hash


def terms_in_force(share_class: ShareClass, *, at: datetime) -> ClassTerms:
    """The newest version effective at ``at``; raises :class:`InvalidInput` without any."""
    row = (
        ClassPolicyVersion.objects.filter(share_class=share_class, effective_from__lte=at)
        .order_by("-version")
        .first()
    )
    if row is None:
        raise InvalidInput(f"{share_class} has no terms yet", code="no_terms")
    return build_terms(row.terms)


def terms_by_class(book: str, *, at: datetime) -> list[tuple[ShareClass, ClassTerms]]:
    """Each class of a book's fund with its terms in force, by code; one read for all."""
    rows = (
        ClassPolicyVersion.objects.filter(share_class__fund__book=book, effective_from__lte=at)
        .select_related("share_class")
        .order_by("share_class__code", "share_class", "-version")
        .distinct("share_class__code", "share_class")
    )
    return [(row.share_class, build_terms(row.terms)) for row in rows]


def build_terms(plain: dict[str, Any]) -> ClassTerms:
    """Terms from their stored form; unknown names or values raise :class:`InvalidInput`.

    Decimals are texts, enums their values, tiers pairs of (above, rate).  ``fiscal_month``, the
    month in which a year begins, is the older word for the one crystallisation month before it.
    """
    values = dict(plain)
    try:
        if "fiscal_month" in values:
            begins = int(values.pop("fiscal_month"))
            values.setdefault("crystallisation_months", [(begins - 2) % 12 + 1])
        return ClassTerms(**{name: _term(name, value) for name, value in values.items()})
    except (TypeError, ValueError, ArithmeticError) as error:
        raise InvalidInput(f"these terms are not valid: {error}", code="bad_terms") from None


def plain_terms(terms: ClassTerms) -> dict[str, Any]:
    """The stored form of terms, every option named; :func:`build_terms` reads it back."""
    plain: dict[str, Any] = {}
    for field in fields(terms):
        value = getattr(terms, field.name)
        if field.name == "tiers":
            value = [[f"{tier.above:f}", f"{tier.rate:f}"] for tier in value]
        elif isinstance(value, tuple):
            value = list(value)
        plain[field.name] = f"{value:f}" if isinstance(value, Decimal) else value
    return plain


_ENUMS: dict[str, type[StrEnum]] = {
    "day_count": DayCount,
    "hurdle": Hurdle,
    "entry_fee_form": FeeForm,
    "lock_up": LockUp,
    "gate_rank": Rank,
}
_WHOLE = ("notice_days", "lock_up_days", "rolls_max")
_YES_NO = ("hurdle_compounds", "hurdle_is_cumulative")


def _term(name: str, value: Any) -> Any:
    if name in _ENUMS:
        return _ENUMS[name](value)
    if name == "tiers":
        return tuple(Tier(above=Decimal(above), rate=Decimal(rate)) for above, rate in value)
    if name == "crystallisation_months":
        return tuple(int(month) for month in value)
    if name in _WHOLE:
        return int(value)
    if name in _YES_NO:
        if not isinstance(value, bool):
            raise ValueError(f"{name} is true or false")
        return value
    return Decimal(str(value))


def set_terms(
    *,
    share_class: ShareClass,
    terms: dict[str, Any],
    effective_from: datetime,
    proposer: Actor,
    approver: Actor,
) -> ClassPolicyVersion:
    """Put a further version in force, proposed by an accountant and approved by a controller."""
    proposer.require(Capability.NAV_PREPARE)
    approver.require(Capability.NAV_APPROVE)
    if proposer.user is None or approver.user is None:
        raise InvalidInput("terms are set by two people", code="needs_person")
    approver.require_other_than(proposer.user, "a change of terms")
    terms = plain_terms(build_terms(terms))
    if effective_from < open_since(share_class.fund):
        raise Conflict(
            "a NAV was struck after that instant; terms take effect after the last NAV",
            code="period_closed",
        )
    with transaction.atomic():
        last = share_class.policies.aggregate(v=Max("version"))["v"] or 0
        row = ClassPolicyVersion.objects.create(
            share_class=share_class,
            version=last + 1,
            terms=terms,
            content_hash=content_hash([share_class.code, last + 1, terms]),
            effective_from=effective_from,
            proposed_by=proposer.user,
            approved_by=approver.user,
            recorded_at=effective_from,
        )
        record_audit(
            actor=approver,
            action="class.terms",
            subject=("share_class", share_class.pk),
            body={"version": row.version, "hash": row.content_hash},
            at=effective_from,
        )
    return row
