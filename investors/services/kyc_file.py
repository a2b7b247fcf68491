"""Reads of a KYC file: what the machine judges a move by, and what a signer is shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Q

from investors.domain.ledger.chart import POCKET_PAYABLE, REBATES_PAYABLE
from investors.domain.onboarding import (
    ITEMS,
    Decider,
    KycFile,
    KycState,
    Risk,
    find_missing,
    items_of,
    list_moves,
)
from investors.domain.payments import ACTIVE
from investors.models import (
    DealingOrder,
    Fund,
    Holding,
    Investor,
    KycCase,
    KycCheck,
    KycMove,
    Payment,
    Screening,
)
from investors.services.estate_rules import open_report
from investors.services.pocket_books import has_pocket_units
from investors.services.rebates import owed_by_lot
from magnetfund.core.actors import Actor
from magnetfund.core.roles import Capability
from magnetfund.kernel.identifiers import content_hash

_OUTCOME = Screening.Outcome
#: What each capability lets a person act as; the investor and the platform are no capability.
_ROLES = {
    Decider.ANALYST: Capability.KYC_REVIEW,
    Decider.COMPLIANCE: Capability.KYC_APPROVE,
    Decider.SENIOR_MANAGER: Capability.KYC_SENIOR,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ChecklistLine:
    """An item with its newest note, ``None`` while nothing came."""

    item: str
    words: str
    note: KycCheck | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ScreeningLine:
    """A name against a list, and the newest decision on it."""

    row: Screening
    decision: Screening | None

    @property
    def outcome(self) -> str:
        """What counts now."""
        return self.decision.outcome if self.decision is not None else self.row.outcome

    @property
    def is_open(self) -> bool:
        return self.outcome == _OUTCOME.POSSIBLE


def find_case(investor: Investor) -> KycCase:
    """The case of an investor; one that nobody touched yet is not stored."""
    found = KycCase.objects.filter(investor=investor).first()
    return found or KycCase(investor=investor)


def read_checklist(investor: Investor) -> tuple[ChecklistLine, ...]:
    """Every item that the kind of holder needs, in order."""
    newest = {row.item: row for row in KycCheck.objects.filter(investor=investor).order_by("id")}
    return tuple(
        ChecklistLine(item=item.value, words=ITEMS[item], note=newest.get(item.value))
        for item in items_of(investor.kind)
    )


def read_screenings(investor: Investor) -> tuple[ScreeningLine, ...]:
    """The newest result of each name against each list, with its decision, and older hits.

    A name that is screened again keeps its decision as long as the hit is the same entry.
    """
    rows = list(Screening.objects.filter(investor=investor).order_by("id"))
    decisions = {row.decides_id: row for row in rows if row.decides_id is not None}
    found: dict[tuple[str, str, str], ScreeningLine] = {}
    for row in rows:
        if row.decides_id is not None:
            continue
        # A vendor answers for sanctions and for public offices under one name.
        source = f"{row.kind}:{row.list_name}"
        key = (row.party, source, row.match_id or row.match)
        earlier = found.get(key)
        decision = decisions.get(row.pk) or (earlier.decision if earlier is not None else None)
        if row.outcome == _OUTCOME.CLEAR:
            # Clear of a list by its newest version: earlier hits on it are history.
            found = {k: v for k, v in found.items() if k[:2] != key[:2]}
            decision = None
        else:
            found.pop((row.party, source, ""), None)
        found[key] = ScreeningLine(row=row, decision=decision)
    return tuple(found.values())


def is_screening_clear(lines: Sequence[ScreeningLine]) -> bool:
    """Screened against sanctions, nothing undecided, nobody is on such a list."""
    sanctions = [line for line in lines if line.row.kind == Screening.Kind.SANCTIONS]
    return (
        bool(sanctions)
        and not any(line.is_open for line in lines)
        and not any(line.outcome == _OUTCOME.SAME_PERSON for line in sanctions)
    )


def is_held(investor: Investor) -> bool:
    """Whether nothing is paid to an investor: a death was reported, the account is on hold, a hit
    is not decided, or a name is on a sanctions list, whatever state the file is in meanwhile."""
    return open_report(investor) is not None or is_on_hold(investor)


def is_on_hold(investor: Investor) -> bool:
    """The same but for a reported death."""
    if Investor.objects.filter(pk=investor.pk, kyc_state=KycState.RESTRICTED).exists():
        return True
    lines = read_screenings(investor)
    return any(
        line.is_open
        or (line.row.kind == Screening.Kind.SANCTIONS and line.outcome == _OUTCOME.SAME_PERSON)
        for line in lines
    )


#: States of an order of which something is left to deal or to pay.
_OPEN_ORDERS = ("submitted", "accepted", "funded", "deferred", "set_aside", "payable")


def still_holds(investor: Investor) -> bool:
    """Whether the fund still has units of an investor, also in a side pocket, an order that is open
    or to be paid, a payment to him on its way, or a rebate or a part of a
    claim that it owes him."""
    paid = Q(order__investor=investor) | Q(payee__investor=investor)
    return (
        Holding.objects.filter(investor=investor, units__gt=0).exists()
        or has_pocket_units(investor.pk)
        or DealingOrder.objects.filter(investor=investor, state__in=_OPEN_ORDERS).exists()
        or Payment.objects.filter(paid, state__in=ACTIVE).exists()
        or any(
            owed_by_lot(fund, account, investor)
            for fund in Fund.objects.all()
            for account in (REBATES_PAYABLE, POCKET_PAYABLE)
        )
    )


def say_screening(lines: Sequence[ScreeningLine]) -> str:
    """What stands against a clear screening, in words; empty where nothing does."""
    if is_screening_clear(lines):
        return ""
    if any(line.is_open for line in lines):
        return "a hit of the screening is not decided"
    if not any(line.row.kind == Screening.Kind.SANCTIONS for line in lines):
        return "nobody is screened against a sanctions list yet"
    return "a name is on a sanctions list"


def build_file(
    investor: Investor,
    case: KycCase,
    *,
    to: KycState | None = None,
    checklist: Sequence[ChecklistLine] | None = None,
    screenings: Sequence[ScreeningLine] | None = None,
) -> KycFile:
    """The file as the machine judges it: to be sent in an item must be there, to be approved a
    person must have checked it."""
    checklist = read_checklist(investor) if checklist is None else checklist
    screenings = read_screenings(investor) if screenings is None else screenings
    enough = {str(KycCheck.Outcome.CHECKED)}
    if to is KycState.SUBMITTED:
        enough.add(str(KycCheck.Outcome.RECEIVED))
    done = {line.item for line in checklist if line.note and line.note.outcome in enough}
    return KycFile(
        state=KycState(investor.kyc_state),
        risk=Risk(case.risk) if case.risk else None,
        is_politically_exposed=case.is_politically_exposed,
        documents_missing=find_missing(kind=investor.kind, done=done),
        is_screening_clear=is_screening_clear(screenings),
        prepared_by=_person(case.reviewed_by),
        seconded_by=_person(case.seconded_by),
    )


def hash_file(
    investor: Investor,
    case: KycCase,
    checklist: Sequence[ChecklistLine],
    screenings: Sequence[ScreeningLine],
) -> str:
    """Hash of all that a signer is shown; any later note changes it."""
    return content_hash(
        [
            str(investor.pk),
            investor.legal_name,
            investor.kind,
            investor.country,
            investor.email,
            [[line.item, line.note.pk if line.note else None] for line in checklist],
            [
                [line.row.pk, line.decision.pk if line.decision else None, line.outcome]
                for line in screenings
            ],
            case.risk,
            case.is_politically_exposed,
            dict(case.points),
        ]
    )


def roles_of(actor: Actor, investor: Investor) -> frozenset[Decider]:
    """What an actor may act as for one file; nobody of the house decides about himself."""
    user = actor.user
    if user is None:
        return frozenset({Decider.SYSTEM})
    if investor.user_id == user.pk:
        return frozenset({Decider.INVESTOR})
    if investor.user is not None and investor.user.person == user.person:
        return frozenset()
    return frozenset(role for role, capability in _ROLES.items() if user.can(capability))


def person_of(actor: Actor) -> str:
    """The human behind an actor, as the machine compares makers and checkers."""
    return str(actor.person) if actor.person is not None else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownFile:
    """Everything of one file, for the page, the admin and the API."""

    investor: Investor
    case: KycCase
    checklist: tuple[ChecklistLine, ...]
    screenings: tuple[ScreeningLine, ...]
    moves: tuple[KycMove, ...]
    file: KycFile
    content_hash: str
    possible: tuple[KycState, ...]
    roles: frozenset[Decider]

    @property
    def can_sign(self) -> bool:
        """Whether the person may sign the review now."""
        return (
            Decider.ANALYST in self.roles
            and self.file.state in SIGNED_IN
            and not self.case.reviewed_by_id
        )

    @property
    def needs(self) -> tuple[str, ...]:
        """What still stands against an approval, in words."""
        found = [f"{word.replace('_', ' ')} not checked" for word in self.file.documents_missing]
        if against := say_screening(self.screenings):
            found.append(against)
        if self.file.risk is None:
            found.append("risk is not rated")
        if not self.case.reviewed_by_id:
            found.append("the review is not signed")
        return tuple(found)


#: States in which a review is signed: before an approval, and before a hold is lifted.
SIGNED_IN = (KycState.REVIEW, KycState.ENHANCED_REVIEW, KycState.RESTRICTED)


def show_file(investor: Investor, *, actor: Actor) -> ShownFile:
    """One file as ``actor`` sees it."""
    case = find_case(investor)
    checklist, screenings = read_checklist(investor), read_screenings(investor)
    roles = roles_of(actor, investor)
    file = build_file(investor, case, checklist=checklist, screenings=screenings)
    received = build_file(
        investor, case, to=KycState.SUBMITTED, checklist=checklist, screenings=screenings
    )
    return ShownFile(
        investor=investor,
        case=case,
        checklist=checklist,
        screenings=screenings,
        moves=tuple(KycMove.objects.filter(investor=investor).order_by("-id")[:MOVES_SHOWN]),
        file=file,
        content_hash=hash_file(investor, case, checklist, screenings),
        possible=list_moves(
            received if file.state is KycState.COLLECTING else file,
            roles=roles,
            actor=person_of(actor),
        ),
        roles=roles,
    )


MOVES_SHOWN = 50


def plain_file(shown: ShownFile) -> Mapping[str, Any]:
    """The stored form of what was signed, for an answer or an export."""
    return {
        "state": shown.file.state.value,
        "risk": shown.case.risk,
        "is_politically_exposed": shown.case.is_politically_exposed,
        "missing": list(shown.file.documents_missing),
        "is_screening_clear": shown.file.is_screening_clear,
        "content_hash": shown.content_hash,
    }


def _person(user: Any) -> str:
    return str(user.person) if user is not None else ""
