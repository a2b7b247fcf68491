"""Moves of a KYC file: each by a person of the right role, on content that was seen, once.

The machine (:mod:`investors.domain.onboarding`) says whether a move is possible; here it is asked
under the lock of the case, the state is written, and the move is kept with its reason.  Reasons
stay in ``KycMove``: neither the audit trail nor a page of the investor repeats them.
"""

from __future__ import annotations

from datetime import date, datetime

from django.db import transaction

from investors.domain.onboarding import (
    NEED_REASON,
    Decider,
    KycState,
    MoveDenial,
    Risk,
    choose_role,
    compute_refresh_day,
)
from investors.models import Investor, KycCase, KycMove
from investors.services.accounts import invite_investor
from investors.services.kyc_file import (
    SIGNED_IN,
    build_file,
    hash_file,
    person_of,
    read_checklist,
    read_screenings,
    roles_of,
    say_screening,
    still_holds,
)
from investors.services.messages import send_message
from magnetfund.core.actors import Actor
from magnetfund.core.services.audit import record_audit
from magnetfund.core.services.mail import queue_mail
from magnetfund.core.services.signing import KYC, signed_step
from magnetfund.kernel.clock import utc_now
from magnetfund.kernel.errors import Conflict, InvalidInput, NotAllowed

REASON_MAX = 500
MESSAGE_MAX = 1_000
MORE_INFO_MAIL = "more_info"
#: Moves that put a signature on what was seen.
SIGNATURES = frozenset({KycState.APPROVED, KycState.SENIOR_APPROVAL})
#: Moves that end a file for good: nobody screens it any more.
ENDS = frozenset({KycState.DECLINED, KycState.EXITED})
_WORDS = {
    MoveDenial.NO_SUCH_MOVE: "the file is in another state; reload the page",
    MoveDenial.WRONG_ROLE: "your role does not include this step",
    MoveDenial.NO_REASON: "a reason is needed",
    MoveDenial.SAME_PERSON: "this needs another person than those who signed before",
    MoveDenial.DOCUMENTS_MISSING: "items of the checklist are missing",
    MoveDenial.SCREENING_NOT_CLEAR: "the screening is not clear",
    MoveDenial.NOT_RATED: "the risk is not rated",
    MoveDenial.SENIOR_MANAGER_NEEDED: "high risk or public office: a director approves",
    MoveDenial.REVIEW_NOT_SIGNED: "the review is not signed yet",
}
_FORBIDDEN = frozenset(
    {MoveDenial.WRONG_ROLE, MoveDenial.SAME_PERSON, MoveDenial.SENIOR_MANAGER_NEEDED}
)


def lock_case(investor: Investor) -> tuple[Investor, KycCase]:
    """The investor and the case as they are now, locked to the end of the transaction."""
    row = Investor.objects.select_for_update(of=("self",)).get(pk=investor.pk)
    case, _ = KycCase.objects.get_or_create(investor=row)
    return row, KycCase.objects.select_for_update(of=("self",)).get(pk=case.pk)


def move_case(
    *,
    investor: Investor,
    to: KycState,
    actor: Actor,
    reason: str = "",
    seen_hash: str = "",
    as_applicant: bool = False,
    message: str = "",
    at: datetime | None = None,
) -> Investor:
    """Move a file.  ``seen_hash`` is that of what the signer was shown, for a signature.

    ``message`` is mailed to the investor where more is asked for; ``as_applicant`` is for a person
    who applies without an account and proved the address of the application.

    Raises what stands against the move by its code: :class:`NotAllowed` (``wrong_role``,
    ``same_person``, ``senior_manager_needed``), :class:`Conflict` (``no_such_move``,
    ``documents_missing``, ``screening_not_clear``, ``not_rated``, ``review_not_signed``,
    ``changed``, ``still_holds``), :class:`InvalidInput` (``no_reason``), and
    :class:`SignatureMissing` until the actor has signed that the investor is accepted.
    """
    at, reason = at or utc_now(), reason.strip()[:REASON_MAX]
    with transaction.atomic():
        row, case = lock_case(investor)
        checklist, screenings = read_checklist(row), read_screenings(row)
        roles = frozenset({Decider.INVESTOR}) if as_applicant else roles_of(actor, row)
        role, denial = choose_role(
            file=build_file(row, case, to=to, checklist=checklist, screenings=screenings),
            to=to,
            roles=roles,
            actor=person_of(actor),
            reason=reason,
        )
        if role is None:
            raise _refusal(denial or MoveDenial.WRONG_ROLE)
        if to in ENDS and still_holds(row):
            raise Conflict(
                "the fund still has units, an open order or money of this investor; redeem and pay "
                "first",
                code="still_holds",
            )
        content = hash_file(row, case, checklist, screenings)
        if to in SIGNATURES and seen_hash != content:
            raise Conflict(
                "the file changed since you opened this page; reload and review it again",
                code="changed",
            )
        before = row.kyc_state
        _sign(case, to, actor, at)
        row.kyc_state = to.value
        if to is KycState.APPROVED:
            row.kyc_approved_at = at
        case.waiting_since = at
        case.save(update_fields=_CASE_FIELDS)
        with signed_step(action=KYC, subject=row.pk):
            row.save(update_fields=["kyc_state", "kyc_approved_at"])
        made = KycMove.objects.create(
            investor=row,
            from_state=before,
            to_state=to.value,
            role=role.value,
            actor=actor.user,
            actor_label=actor.label,
            reason=reason,
            content_hash=content,
            moved_at=at,
        )
        record_audit(
            actor=actor,
            action="kyc.moved",
            subject=("investor", row.pk),
            body={"from": before, "to": to.value, "hash": content},
            at=at,
        )
        _tell_applicant(row, made, message=message.strip(), actor=actor)
    return row


def _tell_applicant(row: Investor, made: KycMove, *, message: str, actor: Actor) -> None:
    """Mail what more is asked for; invite and welcome who is accepted and has no account yet."""
    to = KycState(made.to_state)
    if to is KycState.MORE_INFO and message:
        queue_mail(
            key=f"{MORE_INFO_MAIL}:{made.pk}",
            kind=MORE_INFO_MAIL,
            recipient=row.email,
            params={"investor": str(row.pk), "message": message[:MESSAGE_MAX]},
        )
    if to is KycState.APPROVED and row.user_id is None:
        invite_investor(investor=row, actor=actor)
        send_message(
            investor=row,
            key="welcome",
            subject="Welcome",
            body="Your application is accepted. Order your subscription on the page "
            "Subscribe; the order says how to pay and until when.",
        )


_CASE_FIELDS = [
    "reviewed_by", "reviewed_at", "reviewed_hash", "seconded_by", "seconded_at",
    "approved_by", "approved_at", "review_due", "waiting_since",
]  # fmt: skip


def _sign(case: KycCase, to: KycState, actor: Actor, at: datetime) -> None:
    """The signatures that a move sets or makes void."""
    if to is KycState.APPROVED:
        case.approved_by, case.approved_at = actor.user, at
        case.review_due = compute_refresh_day(approved_on=at.date(), risk=Risk(case.risk))
    elif to is KycState.SENIOR_APPROVAL:
        case.seconded_by, case.seconded_at = actor.user, at
    elif to is not KycState.ENHANCED_REVIEW:
        # What follows is judged anew: a signature is for one approval.
        void_signatures(case)


def void_signatures(case: KycCase) -> None:
    """Take every signature off a case; the caller saves it."""
    case.reviewed_by = case.reviewed_at = case.seconded_by = case.seconded_at = None
    case.approved_by = case.approved_at = None
    case.reviewed_hash = ""


def sign_review(*, investor: Investor, seen_hash: str, actor: Actor, reason: str = "") -> KycCase:
    """First signature: the file as it is shown is complete and rated.

    Raises :class:`NotAllowed` (``wrong_role``) and :class:`Conflict` (``no_such_move``,
    ``signed``, ``changed``, ``documents_missing``, ``screening_not_clear``, ``not_rated``).
    """
    at = utc_now()
    with transaction.atomic():
        row, case = lock_case(investor)
        if Decider.ANALYST not in roles_of(actor, row):
            raise _refusal(MoveDenial.WRONG_ROLE)
        if row.kyc_state not in SIGNED_IN:
            raise _refusal(MoveDenial.NO_SUCH_MOVE)
        if case.reviewed_by_id is not None:
            raise Conflict("the review is signed already", code="signed")
        checklist, screenings = read_checklist(row), read_screenings(row)
        file = build_file(row, case, checklist=checklist, screenings=screenings)
        if file.documents_missing:
            raise _refusal(MoveDenial.DOCUMENTS_MISSING)
        if not file.is_screening_clear:
            raise Conflict(say_screening(screenings), code=MoveDenial.SCREENING_NOT_CLEAR.value)
        if file.risk is None:
            raise _refusal(MoveDenial.NOT_RATED)
        content = hash_file(row, case, checklist, screenings)
        if seen_hash != content:
            raise Conflict(
                "the file changed since you opened this page; reload and review it again",
                code="changed",
            )
        void_signatures(case)
        case.reviewed_by, case.reviewed_at, case.reviewed_hash = actor.user, at, content
        case.waiting_since = at
        case.save(update_fields=_CASE_FIELDS)
        KycMove.objects.create(
            investor=row,
            from_state=row.kyc_state,
            to_state=row.kyc_state,
            role=Decider.ANALYST.value,
            actor=actor.user,
            actor_label=actor.label,
            reason=reason.strip()[:REASON_MAX],
            content_hash=content,
            moved_at=at,
        )
        record_audit(
            actor=actor,
            action="kyc.reviewed",
            subject=("investor", row.pk),
            body={"hash": content},
            at=at,
        )
    return case


def hold_case(*, investor: Investor, reason: str, actor: Actor) -> Investor:
    """Hold subscriptions and payments of an investor; the investor is told nothing of why."""
    return move_case(investor=investor, to=KycState.RESTRICTED, actor=actor, reason=reason)


def find_due(today: date) -> list[Investor]:
    """Approved investors whose periodic review is due."""
    return list(
        Investor.objects.filter(kyc_state=KycState.APPROVED, case__review_due__lte=today).order_by(
            "case__review_due"
        )
    )


def mark_due(*, at: datetime | None = None) -> int:
    """Move files whose review is due; how many.  A job runs it each day, any number of times."""
    at = at or utc_now()
    due = find_due(at.date())
    for row in due:
        with transaction.atomic():
            move_case(
                investor=row,
                to=KycState.DUE_FOR_REFRESH,
                actor=Actor.system("periodic review"),
                at=at,
            )
            send_message(
                investor=row,
                key=f"periodic-review:{at:%Y-%m-%d}",
                subject="Your periodic review is due",
                body="The law asks us to look at your details again. New subscriptions wait until "
                "it is done; what you hold is not affected. We write to you if we need anything.",
            )
    return len(due)


def needs_reason(to: KycState) -> bool:
    return to in NEED_REASON


def _refusal(denial: MoveDenial) -> NotAllowed | Conflict | InvalidInput:
    if denial in _FORBIDDEN:
        return NotAllowed(_WORDS[denial], code=denial.value)
    if denial is MoveDenial.NO_REASON:
        return InvalidInput(_WORDS[denial], code=denial.value)
    return Conflict(_WORDS[denial], code=denial.value)
