"""Tasks of accountants, controllers, compliance and directors: NAV, KYC, terms, dealing."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db.models import Case, Exists, OuterRef, QuerySet, Value, When
from django.db.models.functions import Coalesce

from investors.domain.reconciliation import BreakState
from investors.models import (
    BookBreak,
    DealingDay,
    DealingOrder,
    DealingProposal,
    Distribution,
    Expense,
    ExpenseChange,
    Investor,
    NavStrike,
    PocketChange,
    Rebate,
    Restatement,
    SidePocket,
    SuspensionProposal,
    TermsProposal,
)
from magnetfund.core.models import RoleGrant
from magnetfund.core.roles import Role
from magnetfund.web.desk.open_work.tasks import Source, columns_of, money_of, name_of


def _day(value: datetime) -> str:
    return f"{value.day} {value:%b %Y}"


def _select_prepared(book: str, now: datetime) -> QuerySet[Any, dict[str, Any]]:
    return columns_of(
        NavStrike.objects.filter(fund__book=book, state=NavStrike.State.PREPARED),
        since="prepared_at",
        who=name_of("prepared_by"),
        day="valuation_at",
        number="version",
    )


def _strikes_of_day() -> QuerySet[NavStrike]:
    return NavStrike.objects.filter(fund=OuterRef("fund"), valuation_at=OuterRef("valuation_at"))


def _select_due(book: str, now: datetime) -> QuerySet[Any, dict[str, Any]]:
    rows = DealingDay.objects.filter(
        ~Exists(_strikes_of_day()),
        fund__book=book,
        fund__is_suspended=False,
        is_suspended=False,
        valuation_at__lte=now,
    )
    return columns_of(rows, since="valuation_at", day="valuation_at")


def _select_returned(book: str, now: datetime) -> QuerySet[Any, dict[str, Any]]:
    later = _strikes_of_day().filter(version__gt=OuterRef("version"))
    rows = NavStrike.objects.filter(~Exists(later), fund__book=book, state=NavStrike.State.REJECTED)
    return columns_of(
        rows, since="prepared_at", day="valuation_at", number="version", words="rejected_reason"
    )


def _select_submitted(book: str, now: datetime) -> QuerySet[Any, dict[str, Any]]:
    rows = DealingOrder.objects.filter(share_class__fund__book=book, state="submitted")
    return columns_of(
        rows,
        since="received_at",
        who="investor__legal_name",
        words="kind",
        amount="amount",
        currency="share_class__fund__currency",
    )


def _select_files(states: tuple[str, ...]) -> QuerySet[Any, dict[str, Any]]:
    rows = Investor.objects.filter(kyc_state__in=states).annotate(
        waiting_since=Coalesce("case__waiting_since", "joined_at")
    )
    return columns_of(rows, since="waiting_since", who="legal_name", words="kyc_state")


def _select_kyc(book: str, now: datetime) -> QuerySet[Any, dict[str, Any]]:
    return _select_files(("submitted", "screening", "review", "enhanced_review", "due_for_refresh"))


def _select_kyc_senior(book: str, now: datetime) -> QuerySet[Any, dict[str, Any]]:
    return _select_files(("senior_approval",))


def _select_terms(book: str, now: datetime) -> QuerySet[Any, dict[str, Any]]:
    rows = TermsProposal.objects.filter(
        share_class__fund__book=book, policy=None, withdrawn_at=None
    )
    return columns_of(
        rows, since="proposed_at", who=name_of("proposed_by"), words="share_class__code"
    )


def _select_dealings(book: str, now: datetime) -> QuerySet[Any, dict[str, Any]]:
    rows = DealingProposal.objects.filter(share_class__fund__book=book, decided_at=None)
    return columns_of(
        rows, since="proposed_at", who=name_of("proposed_by"), words="investor__legal_name"
    )


def _select_suspensions(book: str, is_missing: Role) -> QuerySet[Any, dict[str, Any]]:
    """A controller and a director sign together; what a controller proposed waits for the other."""
    controls = RoleGrant.objects.filter(
        user=OuterRef("proposed_by"), role=Role.CONTROLLER, revoked_at=None
    )
    waits_on = Case(
        When(Exists(controls), then=Value(Role.DIRECTOR)), default=Value(Role.CONTROLLER)
    )
    words = Case(
        When(suspends=True, then=Value("suspend dealing")), default=Value("open dealing again")
    )
    rows = SuspensionProposal.objects.annotate(waits_on=waits_on, asked=words).filter(
        fund__book=book, decided_at=None, waits_on=is_missing
    )
    return columns_of(rows, since="proposed_at", who=name_of("proposed_by"), words="asked")


def _select_uncontrolled_dealing(book: str, now: datetime) -> QuerySet[Any, dict[str, Any]]:
    return _select_suspensions(book, Role.CONTROLLER)


def _select_undirected_dealing(book: str, now: datetime) -> QuerySet[Any, dict[str, Any]]:
    return _select_suspensions(book, Role.DIRECTOR)


def _describe_suspension(row: Any) -> tuple[str, str]:
    return f"Sign or decline: {row['words']}", f"proposed by {row['who']}; holders are told"


def _select_distributions(book: str, now: datetime) -> QuerySet[Any, dict[str, Any]]:
    rows = Distribution.objects.filter(share_class__fund__book=book, decided_at=None)
    return columns_of(
        rows, since="proposed_at", who=name_of("proposed_by"), words="share_class__code"
    )


def _select_expenses(book: str, now: datetime) -> QuerySet[Any, dict[str, Any]]:
    rows = Expense.objects.filter(fund__book=book, is_approved=None)
    return columns_of(rows, since="proposed_at", who=name_of("proposed_by"), words="supplier")


def _select_expense_changes(book: str, now: datetime) -> QuerySet[Any, dict[str, Any]]:
    rows = ExpenseChange.objects.filter(expense__fund__book=book, is_approved=None)
    return columns_of(
        rows, since="proposed_at", who=name_of("proposed_by"), words="expense__supplier"
    )


def _select_pockets(book: str, now: datetime) -> QuerySet[Any, dict[str, Any]]:
    rows = SidePocket.objects.filter(fund__book=book, is_approved=None)
    return columns_of(rows, since="proposed_at", who=name_of("proposed_by"), words="asset")


def _select_pocket_changes(book: str, now: datetime) -> QuerySet[Any, dict[str, Any]]:
    rows = PocketChange.objects.filter(pocket__fund__book=book, is_approved=None)
    return columns_of(rows, since="proposed_at", who=name_of("proposed_by"), words="pocket__asset")


def _select_rebates(book: str, now: datetime) -> QuerySet[Any, dict[str, Any]]:
    rows = Rebate.objects.filter(share_class__fund__book=book, is_approved=None)
    return columns_of(
        rows, since="proposed_at", who=name_of("proposed_by"), words="investor__legal_name"
    )


def _select_restatements(book: str, **missing: None) -> QuerySet[Any, dict[str, Any]]:
    rows = Restatement.objects.filter(fund__book=book, booked_at=None, declined_at=None, **missing)
    return columns_of(rows, since="prepared_at", who=name_of("prepared_by"), words="cause")


def _select_unapproved(book: str, now: datetime) -> QuerySet[Any, dict[str, Any]]:
    return _select_restatements(book, approved_by=None)


def _select_undirected(book: str, now: datetime) -> QuerySet[Any, dict[str, Any]]:
    return _select_restatements(book, directed_by=None)


def _describe_restatement(row: Any) -> tuple[str, str]:
    return f"Sign or decline a restatement: {row['words']}", f"prepared by {row['who']}"


def _select_breaks(book: str, state: BreakState) -> QuerySet[Any, dict[str, Any]]:
    rows = BookBreak.objects.filter(fund__book=book, closed_at=None, state=state.value)
    return columns_of(rows, since="found_at", who="source", words="reference")


def _select_found(book: str, now: datetime) -> QuerySet[Any, dict[str, Any]]:
    return _select_breaks(book, BreakState.OPEN)


def _select_explained(book: str, now: datetime) -> QuerySet[Any, dict[str, Any]]:
    return _select_breaks(book, BreakState.EXPLAINED)


SOURCES = {
    "break_open": Source(
        kind="Reconciliation",
        role=Role.ACCOUNTANT,
        url_name="desk_breaks",
        select=_select_found,
        describe=lambda row: (
            f"Explain the {row['who']} break {row['words']}",
            "no NAV is approved before it is closed",
        ),
    ),
    "break_explained": Source(
        kind="Reconciliation",
        role=Role.CONTROLLER,
        url_name="desk_breaks",
        select=_select_explained,
        describe=lambda row: (
            f"Close the {row['who']} break {row['words']}",
            "explained; no NAV is approved before it is closed",
        ),
    ),
    "distribution_proposed": Source(
        kind="Dealing",
        role=Role.CONTROLLER,
        url_name="desk_distributions",
        names_holders=True,
        select=_select_distributions,
        describe=lambda row: (
            f"Declare or decline a distribution of class {row['words']}",
            f"proposed by {row['who']}",
        ),
    ),
    "restatement_unapproved": Source(
        kind="NAV",
        role=Role.CONTROLLER,
        url_name="desk_restatements",
        select=_select_unapproved,
        describe=_describe_restatement,
    ),
    "restatement_undirected": Source(
        kind="NAV",
        role=Role.DIRECTOR,
        url_name="desk_restatements",
        select=_select_undirected,
        describe=_describe_restatement,
    ),
    "suspension_uncontrolled": Source(
        kind="Dealing",
        role=Role.CONTROLLER,
        url_name="desk_suspension",
        select=_select_uncontrolled_dealing,
        describe=_describe_suspension,
    ),
    "suspension_undirected": Source(
        kind="Dealing",
        role=Role.DIRECTOR,
        url_name="desk_suspension",
        select=_select_undirected_dealing,
        describe=_describe_suspension,
    ),
    "dealing_proposed": Source(
        kind="Dealing",
        role=Role.CONTROLLER,
        url_name="desk_dealing_proposals",
        names_holders=True,
        select=_select_dealings,
        describe=lambda row: (
            f"A dealing for {row['words']} waits for a second person",
            f"proposed by {row['who']}",
        ),
    ),
    "expense_proposed": Source(
        kind="Expenses",
        role=Role.CONTROLLER,
        url_name="desk_expenses",
        select=_select_expenses,
        describe=lambda row: (
            f"Approve or decline an expense of {row['words']}",
            f"proposed by {row['who']}; no NAV takes it before",
        ),
    ),
    "expense_changed": Source(
        kind="Expenses",
        role=Role.CONTROLLER,
        url_name="desk_expenses",
        select=_select_expense_changes,
        describe=lambda row: (
            f"Approve or decline a change of {row['words']}'s expense",
            f"proposed by {row['who']}",
        ),
    ),
    "pocket_proposed": Source(
        kind="Side pocket",
        role=Role.DIRECTOR,
        url_name="desk_pockets",
        select=_select_pockets,
        describe=lambda row: (
            f"Approve or decline a side pocket: {row['words']}",
            f"proposed by {row['who']}; the next NAV sets it apart",
        ),
    ),
    "pocket_changed": Source(
        kind="Side pocket",
        role=Role.DIRECTOR,
        url_name="desk_pocket_changes",
        select=_select_pocket_changes,
        describe=lambda row: (
            f"Approve or decline a value or a payment: {row['words']}",
            f"proposed by {row['who']}; the next NAV books it",
        ),
    ),
    "rebate_proposed": Source(
        kind="Fees",
        role=Role.CONTROLLER,
        url_name="desk_rebates",
        names_holders=True,
        select=_select_rebates,
        describe=lambda row: (
            f"Approve or decline a rebate of fees to {row['words']}",
            f"proposed by {row['who']}; no NAV gives it before",
        ),
    ),
    "nav_due": Source(
        kind="NAV",
        role=Role.ACCOUNTANT,
        url_name="desk_nav",
        select=_select_due,
        describe=lambda row: (f"NAV of {_day(row['on_day'])} is due", "not prepared yet"),
    ),
    "nav_returned": Source(
        kind="NAV",
        role=Role.ACCOUNTANT,
        url_name="desk_nav",
        select=_select_returned,
        describe=lambda row: (
            f"NAV of {_day(row['on_day'])}, version {row['version_shown']} was returned",
            row["words"] or "no reason given",
        ),
    ),
    "nav_prepared": Source(
        kind="NAV",
        role=Role.CONTROLLER,
        url_name="desk_nav",
        select=_select_prepared,
        describe=lambda row: (
            f"NAV of {_day(row['on_day'])}, version {row['version_shown']}",
            f"prepared by {row['who']}; another person approves",
        ),
    ),
    "kyc": Source(
        kind="KYC",
        role=Role.COMPLIANCE,
        url_name="desk_cases",
        names_holders=True,
        select=_select_kyc,
        describe=lambda row: (
            f"KYC file of {row['who']}",
            str(row["words"]).replace("_", " "),
        ),
    ),
    "kyc_senior": Source(
        kind="KYC",
        role=Role.DIRECTOR,
        url_name="desk_cases",
        names_holders=True,
        select=_select_kyc_senior,
        describe=lambda row: (
            f"KYC file of {row['who']} waits for a director",
            "high risk or public office",
        ),
    ),
    "terms_proposed": Source(
        kind="Founding",
        role=Role.CONTROLLER,
        url_name="desk_founding",
        anchor="terms",
        select=_select_terms,
        describe=lambda row: (
            f"Terms of class {row['words']} wait for a signature",
            f"proposed by {row['who']}; another person signs",
        ),
    ),
    "dealing_submitted": Source(
        kind="Dealing",
        role=Role.ACCOUNTANT,
        url_name="desk_dealing",
        names_holders=True,
        select=_select_submitted,
        describe=lambda row: (
            f"{str(row['words']).capitalize()} of {row['who']}, {money_of(row)}",
            "submitted, not accepted yet",
        ),
    ),
}
