"""The life of an investor's file: which move is possible, who may make it, and what it needs.

Pure: a table of moves.  A preparer never approves what he prepared; an investor of high risk or in
public office needs a senior manager after the enhanced review; only an approved one subscribes.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum


class KycState(StrEnum):
    """State of an investor's file; DECLINED and EXITED are final."""

    NOT_STARTED = "not_started"
    COLLECTING = "collecting"
    SUBMITTED = "submitted"
    SCREENING = "screening"
    REVIEW = "review"
    MORE_INFO = "more_info"
    ENHANCED_REVIEW = "enhanced_review"
    SENIOR_APPROVAL = "senior_approval"
    APPROVED = "approved"
    DUE_FOR_REFRESH = "due_for_refresh"
    RESTRICTED = "restricted"
    DECLINED = "declined"
    EXITED = "exited"


class Decider(StrEnum):
    """Who acts."""

    INVESTOR = "investor"
    ANALYST = "analyst"
    COMPLIANCE = "compliance"
    SENIOR_MANAGER = "senior_manager"
    SYSTEM = "system"


class Risk(StrEnum):
    """Rating of a file; it sets how often the file is refreshed."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


class MoveDenial(StrEnum):
    """Why a move is not made."""

    NO_SUCH_MOVE = "no_such_move"
    WRONG_ROLE = "wrong_role"
    NO_REASON = "no_reason"
    SAME_PERSON = "same_person"
    DOCUMENTS_MISSING = "documents_missing"
    SCREENING_NOT_CLEAR = "screening_not_clear"
    NOT_RATED = "not_rated"
    SENIOR_MANAGER_NEEDED = "senior_manager_needed"
    REVIEW_NOT_SIGNED = "review_not_signed"


@dataclass(frozen=True, slots=True, kw_only=True)
class KycFile:
    """What a move is judged by.

    ``prepared_by`` is who did the review that is to be approved, ``seconded_by`` who sent an
    enhanced review to a senior manager; neither of them approves.
    """

    state: KycState = KycState.NOT_STARTED
    risk: Risk | None = None
    is_politically_exposed: bool = False
    documents_missing: tuple[str, ...] = ()
    is_screening_clear: bool = False
    prepared_by: str = ""
    seconded_by: str = ""

    @property
    def needs_senior_manager(self) -> bool:
        """High risk or public office."""
        return self.risk is Risk.HIGH or self.is_politically_exposed

    @property
    def may_subscribe(self) -> bool:
        """Only an approved file with a clear screening takes new money."""
        return self.state is KycState.APPROVED and self.is_screening_clear


_S, _R = KycState, Decider
#: Every possible move and who may make it; all other moves are refused.
MOVES: dict[tuple[KycState, KycState], frozenset[Decider]] = {
    (_S.NOT_STARTED, _S.COLLECTING): frozenset({_R.INVESTOR, _R.ANALYST}),
    # An analyst takes in what came on paper; the papers themselves are asked for all the same.
    (_S.COLLECTING, _S.SUBMITTED): frozenset({_R.INVESTOR, _R.ANALYST}),
    (_S.SUBMITTED, _S.SCREENING): frozenset({_R.ANALYST, _R.SYSTEM}),
    (_S.SCREENING, _S.REVIEW): frozenset({_R.ANALYST, _R.SYSTEM}),
    (_S.REVIEW, _S.MORE_INFO): frozenset({_R.ANALYST, _R.COMPLIANCE}),
    (_S.MORE_INFO, _S.COLLECTING): frozenset({_R.INVESTOR, _R.ANALYST}),
    (_S.REVIEW, _S.APPROVED): frozenset({_R.COMPLIANCE}),
    (_S.REVIEW, _S.DECLINED): frozenset({_R.COMPLIANCE}),
    (_S.REVIEW, _S.ENHANCED_REVIEW): frozenset({_R.ANALYST, _R.COMPLIANCE}),
    (_S.ENHANCED_REVIEW, _S.SENIOR_APPROVAL): frozenset({_R.COMPLIANCE}),
    (_S.ENHANCED_REVIEW, _S.DECLINED): frozenset({_R.COMPLIANCE}),
    (_S.SENIOR_APPROVAL, _S.APPROVED): frozenset({_R.SENIOR_MANAGER}),
    (_S.SENIOR_APPROVAL, _S.DECLINED): frozenset({_R.SENIOR_MANAGER}),
    (_S.APPROVED, _S.DUE_FOR_REFRESH): frozenset({_R.SYSTEM, _R.ANALYST, _R.COMPLIANCE}),
    (_S.DUE_FOR_REFRESH, _S.REVIEW): frozenset({_R.ANALYST}),
    (_S.APPROVED, _S.RESTRICTED): frozenset({_R.SYSTEM, _R.COMPLIANCE}),
    (_S.DUE_FOR_REFRESH, _S.RESTRICTED): frozenset({_R.SYSTEM, _R.COMPLIANCE}),
    (_S.RESTRICTED, _S.APPROVED): frozenset({_R.COMPLIANCE, _R.SENIOR_MANAGER}),
    (_S.RESTRICTED, _S.EXITED): frozenset({_R.COMPLIANCE}),
    (_S.APPROVED, _S.EXITED): frozenset({_R.COMPLIANCE}),
}
#: Moves that end or hold a relation say why.
NEED_REASON = frozenset({_S.DECLINED, _S.RESTRICTED, _S.EXITED, _S.MORE_INFO, _S.ENHANCED_REVIEW})
_REFRESH_YEARS = {Risk.HIGH: 1, Risk.MEDIUM: 2, Risk.LOW: 3}


def check_move(
    *, file: KycFile, to: KycState, role: Decider, actor: str, reason: str = ""
) -> MoveDenial | None:
    """The first thing that stands against a move, or ``None`` when it may be made.

    Approval, from wherever it comes, needs a rating, a clear screening, and an actor who is not
    the one who prepared the file; a file of high risk or public office is approved by a senior
    manager alone, also out of a restriction.
    """
    roles = MOVES.get((file.state, to))
    if roles is None:
        return MoveDenial.NO_SUCH_MOVE
    if role not in roles:
        return MoveDenial.WRONG_ROLE
    if to in NEED_REASON and not reason.strip():
        return MoveDenial.NO_REASON
    if to is KycState.SUBMITTED and file.documents_missing:
        return MoveDenial.DOCUMENTS_MISSING
    if to is KycState.APPROVED:
        return _check_approval(file, role, actor)
    if to is KycState.SENIOR_APPROVAL and (not file.prepared_by or actor == file.prepared_by):
        return MoveDenial.SAME_PERSON if file.prepared_by else MoveDenial.REVIEW_NOT_SIGNED
    return None


def choose_role(
    *, file: KycFile, to: KycState, roles: Collection[Decider], actor: str, reason: str = ""
) -> tuple[Decider | None, MoveDenial | None]:
    """The role in which an actor of several roles makes a move, or what stands against it."""
    denial: MoveDenial | None = MoveDenial.WRONG_ROLE
    for role in Decider:
        if role in roles:
            found = check_move(file=file, to=to, role=role, actor=actor, reason=reason)
            if found is None:
                return role, None
            if found is not MoveDenial.WRONG_ROLE:
                denial = found
    return None, denial


def list_moves(file: KycFile, *, roles: Collection[Decider], actor: str) -> tuple[KycState, ...]:
    """The states that an actor can move a file to now, given a reason."""
    return tuple(
        to
        for start, to in MOVES
        if start is file.state
        and choose_role(file=file, to=to, roles=roles, actor=actor, reason="given")[1] is None
    )


def _check_approval(file: KycFile, role: Decider, actor: str) -> MoveDenial | None:
    if file.documents_missing:
        return MoveDenial.DOCUMENTS_MISSING
    if not file.is_screening_clear:
        return MoveDenial.SCREENING_NOT_CLEAR
    if file.risk is None:
        return MoveDenial.NOT_RATED
    if file.needs_senior_manager and role is not Decider.SENIOR_MANAGER:
        return MoveDenial.SENIOR_MANAGER_NEEDED
    if not file.prepared_by:
        return MoveDenial.REVIEW_NOT_SIGNED
    if actor in (file.prepared_by, file.seconded_by):
        return MoveDenial.SAME_PERSON
    return None


def compute_refresh_day(*, approved_on: date, risk: Risk) -> date:
    """When the file is due again: 1, 2 or 3 years after approval for high, medium, low risk.

    29 February becomes 28 February.
    """
    year = approved_on.year + _REFRESH_YEARS[risk]
    try:
        return approved_on.replace(year=year)
    except ValueError:
        return (approved_on - timedelta(days=1)).replace(year=year)
