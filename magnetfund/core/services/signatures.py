"""Signatures seen afterwards: two people, each with the right then, and the audit line of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Q

from magnetfund.core.models import AuditEvent, RoleGrant, Signature, User
from magnetfund.core.roles import CAPABILITIES, Capability


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedAct:
    """One signature as a row holds it.

    The right must have been held when the audit line was recorded (``by_line``), else at ``at``;
    without either a right held at any time counts.
    """

    user: UUID
    capability: Capability
    at: datetime | None = None
    by_line: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedRow:
    """A row that two people or more signed, and the audit line that must stand behind it.

    ``body`` are values that the line must hold; an empty ``action`` asks for no line.  ``proof``
    is what the last of them signed at the signer (what, about which row), which must be kept where
    the line was recorded after ``proof_since``; ``None`` asks for none.
    """

    what: str
    signatures: tuple[SignedAct, ...]
    action: str = ""
    subject: tuple[str, str] = ("", "")
    body: tuple[tuple[str, Any], ...] = ()
    proof: tuple[str, UUID] | None = None
    proof_since: datetime | None = None


def find_signature_faults(rows: Iterable[SignedRow]) -> list[str]:
    """Sentences about signatures of one human twice, without the right then, or without a line.

    "Then" is the database's time, by which the audit line was recorded, not the one that a row
    states: a scenario's past is signed by people who are there today.
    """
    wanted = list(rows)
    people = User.objects.in_bulk({item.user for row in wanted for item in row.signatures})
    grants: dict[UUID, list[RoleGrant]] = {}
    for grant in RoleGrant.objects.filter(user__in=people):
        grants.setdefault(grant.user_id, []).append(grant)
    lines = _lines_of(wanted)
    proofs = _proofs_of(wanted)
    found: list[str] = []
    for row in wanted:
        persons = [people[item.user].person for item in row.signatures]
        if len(set(persons)) != len(persons):
            found.append(f"{row.what}: signed twice by one person")
        line = _find_line(row, lines.get((row.action, *row.subject), []))
        for item in row.signatures:
            at = line.recorded_at if item.by_line and line is not None else item.at
            if not _held(item.capability, at, grants.get(item.user, [])):
                found.append(
                    f"{row.what}: {people[item.user]} did not hold the right "
                    f"{item.capability.value} then"
                )
        if row.action and line is None:
            found.append(f"{row.what}: no audit line {row.action} tells of it")
        is_signed = row.proof is None or (*row.proof, row.signatures[-1].user) in proofs
        if not is_signed and _must_be_signed(row, line):
            found.append(f"{row.what}: no signature of {people[row.signatures[-1].user]} is kept")
    return found


def _must_be_signed(row: SignedRow, line: AuditEvent | None) -> bool:
    return row.proof_since is not None and (line is None or line.recorded_at > row.proof_since)


def _proofs_of(rows: list[SignedRow]) -> set[tuple[str, UUID, UUID]]:
    """(action, subject, account) of every signature that is kept about the rows."""
    subjects = {row.proof[1] for row in rows if row.proof is not None}
    found = Signature.objects.filter(subject__in=subjects)
    return set(found.values_list("action", "subject", "account"))


def _lines_of(rows: list[SignedRow]) -> dict[tuple[str, str, str], list[AuditEvent]]:
    """The audit lines of the named actions, by action and subject."""
    lines: dict[tuple[str, str, str], list[AuditEvent]] = {}
    found = AuditEvent.objects.filter(action__in={row.action for row in rows if row.action})
    for line in found.order_by("seq").iterator(chunk_size=5_000):
        lines.setdefault((line.action, line.subject_type, line.subject_id), []).append(line)
    return lines


def _find_line(row: SignedRow, lines: list[AuditEvent]) -> AuditEvent | None:
    told = (line for line in lines if all(line.body.get(k) == v for k, v in row.body))
    return next(told, None)


def _held(capability: Capability, at: datetime | None, grants: list[RoleGrant]) -> bool:
    able = {role.value for role, held in CAPABILITIES.items() if capability in held}
    return any(
        grant.role in able
        and (
            at is None
            or (grant.granted_at <= at and (grant.revoked_at is None or at < grant.revoked_at))
        )
        for grant in grants
    )


def find_untold_grants() -> list[str]:
    """Every role that somebody holds or held has its audit line, and so has its end."""
    told: dict[str, set[tuple[str, str]]] = {"role.granted": set(), "role.revoked": set()}
    lines = AuditEvent.objects.filter(action__in=told, subject_type="user")
    for action, user, body in lines.values_list("action", "subject_id", "body"):
        told[action].add((user, str(body.get("role", ""))))
    return list(_untold(told))


def _untold(told: dict[str, set[tuple[str, str]]]) -> Iterator[str]:
    staff = ~Q(role__in=("investor", "adviser"))
    for grant in RoleGrant.objects.filter(staff).select_related("user").order_by("pk"):
        key = (str(grant.user_id), grant.role)
        if key not in told["role.granted"]:
            yield f"role {grant.role} of {grant.user}: no audit line tells of its grant"
        if grant.revoked_at is not None and key not in told["role.revoked"]:
            yield f"role {grant.role} of {grant.user}: no audit line tells of its end"
