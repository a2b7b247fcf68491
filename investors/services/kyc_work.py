"""Work on a KYC file: items of the checklist, the risk rating, screening results and decisions.

Whatever is noted after a signature makes the signature void: it was given for other content.
"""

from __future__ import annotations

from collections.abc import Mapping

from django.db import transaction

from investors.domain.onboarding import KycState, items_of, rate
from investors.models import Investor, KycCase, KycCheck, Screening
from investors.services.kyc import REASON_MAX, lock_case, move_case, void_signatures
from investors.services.kyc_file import roles_of
from magnetfund.core.actors import Actor
from magnetfund.core.roles import Capability
from magnetfund.core.services.audit import record_audit
from magnetfund.kernel.errors import Conflict, InvalidInput, NotAllowed

EVIDENCE_MAX = 300
#: A file that is over is not worked on any more.
CLOSED = (KycState.DECLINED, KycState.EXITED)
#: A hit of one of these holds the money of its investor at once.
HELD_BY_HIT = (KycState.APPROVED, KycState.DUE_FOR_REFRESH)


def note_check(
    *, investor: Investor, item: str, outcome: str, evidence: str, actor: Actor
) -> KycCheck:
    """Note that an item of the checklist came, was checked, or is not sufficient.

    Raises :class:`InvalidInput` (``bad_item``, ``bad_outcome``, ``evidence_missing``).
    """
    if item not in {found.value for found in items_of(investor.kind)}:
        raise InvalidInput("this is not an item of the checklist", code="bad_item")
    if outcome not in KycCheck.Outcome.values:
        raise InvalidInput("an item is received, checked or refused", code="bad_outcome")
    evidence = evidence.strip()[:EVIDENCE_MAX]
    if not evidence:
        raise InvalidInput("say what was seen", code="evidence_missing")
    with transaction.atomic():
        row, case = _lock_for_work(investor, actor)
        note = KycCheck.objects.create(
            investor=row, item=item, outcome=outcome, evidence=evidence, noted_by=actor.user
        )
        _changed(row, case, actor, "kyc.checked", item=item, outcome=outcome)
    return note


def rate_case(
    *,
    investor: Investor,
    points: Mapping[str, int],
    is_politically_exposed: bool,
    reason: str,
    actor: Actor,
) -> KycCase:
    """Rate the risk of a file; raises :class:`InvalidInput` (``bad_rating``, ``no_reason``)."""
    rating = rate(points, is_politically_exposed=is_politically_exposed)
    if not reason.strip():
        raise InvalidInput("say what the rating rests on", code="no_reason")
    with transaction.atomic():
        row, case = _lock_for_work(investor, actor)
        case.points = dict(points)
        case.risk = rating.risk.value
        case.is_politically_exposed = is_politically_exposed
        case.rating_reason = reason.strip()[:REASON_MAX]
        case.save(update_fields=["points", "risk", "is_politically_exposed", "rating_reason"])
        _changed(row, case, actor, "kyc.rated", risk=case.risk, total=rating.total)
    return case


def record_screening(
    *,
    investor: Investor,
    party: str,
    kind: str,
    list_name: str,
    list_version: str,
    actor: Actor,
    match: str = "",
    match_id: str = "",
    score: float | None = None,
    names_in_list: int | None = None,
) -> Screening:
    """Keep one name's result against one list: a hit where ``match`` names somebody.

    The platform itself records what it screened, a person what an outside service answered.  A new
    hit on an approved investor holds the account until two people decided.  Raises
    :class:`InvalidInput` (``bad_screening``).
    """
    party, list_name, list_version = party.strip(), list_name.strip(), list_version.strip()
    if not party or not list_name or not list_version or kind not in Screening.Kind.values:
        raise InvalidInput("name the person, the list and its version", code="bad_screening")
    if score is not None and not 0 <= score <= 1:
        raise InvalidInput("a score lies between 0 and 1", code="bad_screening")
    with transaction.atomic():
        row, case = _lock_for_work(investor, actor)
        is_hit = bool(match.strip())
        found = Screening.objects.create(
            investor=row,
            party=party[:200],
            kind=kind,
            list_name=list_name[:60],
            list_version=list_version[:80],
            names_in_list=names_in_list,
            match=match.strip()[:300],
            match_id=match_id[:80],
            score=score,
            outcome=Screening.Outcome.POSSIBLE if is_hit else Screening.Outcome.CLEAR,
            screened_by=actor.user,
        )
        decided = is_hit and _is_decided(found)
        if is_hit and not decided and row.kyc_state in HELD_BY_HIT:
            move_case(
                investor=row,
                to=KycState.RESTRICTED,
                actor=Actor.system("screening"),
                reason=f"hit on {found.list_name} {found.list_version}",
            )
        elif row.kyc_state not in HELD_BY_HIT:
            _changed(row, case, actor, "kyc.screened", list=found.list_name, hit=is_hit)
    return found


def _is_decided(hit: Screening) -> bool:
    """Whether the same entry of the same list was decided to be another person before."""
    if not hit.match_id:
        return False
    return Screening.objects.filter(
        decides__investor_id=hit.investor_id,
        decides__party=hit.party,
        decides__list_name=hit.list_name,
        decides__match_id=hit.match_id,
        outcome=Screening.Outcome.OTHER_PERSON,
    ).exists()


def decide_hit(*, hit: Screening, is_same_person: bool, reason: str, actor: Actor) -> Screening:
    """Decide whether a hit is the person.

    A confirmed holder of public office counts as politically exposed; a confirmed sanctions hit
    keeps the file from approval.  Raises :class:`InvalidInput` (``no_reason``) and
    :class:`Conflict` (``no_hit``).
    """
    if not reason.strip():
        raise InvalidInput("a reason is needed", code="no_reason")
    if hit.outcome != Screening.Outcome.POSSIBLE or hit.decides_id is not None:
        raise Conflict("there is nothing to decide", code="no_hit")
    same = Screening.Outcome.SAME_PERSON if is_same_person else Screening.Outcome.OTHER_PERSON
    with transaction.atomic():
        row, case = _lock_for_work(hit.investor, actor)
        found = Screening.objects.create(
            investor=row,
            party=hit.party,
            kind=hit.kind,
            list_name=hit.list_name,
            list_version=hit.list_version,
            match=hit.match,
            match_id=hit.match_id,
            score=hit.score,
            outcome=same,
            reason=reason.strip()[:REASON_MAX],
            decides=hit,
            screened_by=actor.user,
        )
        if is_same_person and hit.kind == Screening.Kind.OFFICE and not case.is_politically_exposed:
            case.is_politically_exposed = True
            if case.points:
                case.risk = rate(case.points, is_politically_exposed=True).risk.value
            case.save(update_fields=["is_politically_exposed", "risk"])
        _changed(row, case, actor, "kyc.hit_decided", list=hit.list_name, outcome=str(same))
    return found


def _lock_for_work(investor: Investor, actor: Actor) -> tuple[Investor, KycCase]:
    """Lock a file for a person of compliance or the platform itself."""
    if actor.user is not None:
        actor.require(Capability.KYC_REVIEW)
    row, case = lock_case(investor)
    if actor.user is not None and not roles_of(actor, row):
        raise NotAllowed("nobody may work on their own file", code="own_file")
    if row.kyc_state in CLOSED:
        raise Conflict("this file is closed", code="file_closed")
    return row, case


def _changed(investor: Investor, case: KycCase, actor: Actor, action: str, **body: object) -> None:
    """Make earlier signatures void where the file is not approved, and leave an audit line."""
    if case.reviewed_by_id is not None and investor.kyc_state != KycState.APPROVED:
        void_signatures(case)
        case.save(
            update_fields=[
                "reviewed_by", "reviewed_at", "reviewed_hash", "seconded_by", "seconded_at",
                "approved_by", "approved_at",
            ]
        )  # fmt: skip
    record_audit(actor=actor, action=action, subject=("investor", investor.pk), body=body)
