"""Tasks of money: what investors owe and are owed, receipts, payments and accounts."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.db.models import Case, Exists, F, OuterRef, Q, QuerySet, Value, When
from django.db.models.functions import Concat

from investors.domain.payments import ACTIVE, PaymentState
from investors.models import (
    AccountChange,
    DealingOrder,
    FundAccount,
    LineAllocation,
    PayeeAccount,
    Payment,
    StatementLine,
)
from investors.services.receipt_suggestions import IS_OPEN
from magnetfund.core.roles import Role
from magnetfund.web.desk.open_work.tasks import Source, columns_of, money_of, name_of

#: What money is owed for, by the kind of its order; the other kinds are not paid out.
OWED = {
    "redemption": "redemption",
    "distribution": "distribution",
    "compensation": "compensation of a wrong NAV",
}


def _select_unpaid(book: str, now: datetime) -> QuerySet[Any, dict[str, Any]]:
    rows = DealingOrder.objects.filter(
        share_class__fund__book=book, kind="subscription", state="accepted"
    )
    return columns_of(
        rows,
        since="received_at",
        who="investor__legal_name",
        words="share_class__code",
        amount="amount",
        currency="share_class__fund__currency",
    )


def _select_receipts(book: str, now: datetime) -> QuerySet[Any, dict[str, Any]]:
    rows = StatementLine.objects.filter(IS_OPEN, fund__book=book)
    return columns_of(
        rows.annotate(open_part=F("amount") - F("allocated")),
        since="booked_at",
        who="party",
        words="reference",
        amount="open_part",
        currency="currency",
    )


def _select_reversals(book: str, now: datetime) -> QuerySet[Any, dict[str, Any]]:
    """Debits by which the bank took a receipt back, with a dealt order that has its money."""
    receipts = Q(line__end_to_end=OuterRef("end_to_end")) | Q(
        line__reference=OuterRef("end_to_end")
    )
    named = LineAllocation.objects.filter(
        receipts,
        line__fund=OuterRef("fund"),
        line__currency=OuterRef("currency"),
        line__amount=-OuterRef("amount"),
    )
    dealt = named.filter(use="order", order__dealt_units__gt=0)
    rows = StatementLine.objects.filter(
        fund__book=book, amount__lt=0, outcome="payment", final_at=None,
        found_break__closed_at=None,
    ).filter(~Q(return_code="") | ~Q(end_to_end="") & Exists(named))  # fmt: skip
    return columns_of(
        rows.annotate(
            taken=-F("amount"),
            used=Case(
                When(~Q(end_to_end="") & Exists(dealt), then=Value("dealt")), default=Value("")
            ),
        ),
        since="booked_at",
        who="used",
        words="reference",
        amount="taken",
        currency="currency",
    )


def _describe_reversal(row: Any) -> tuple[str, str]:
    line = f"bank reference {row['words']}"
    if row["who"]:
        return f"The bank took back the money of a dealt subscription, {money_of(row)}", (
            f"{line}; its units stand, work the break"
        )
    return f"Book what the bank took back, {money_of(row)}", f"{line}; its receipt waits for it"


def _select_payable(book: str, now: datetime) -> QuerySet[Any, dict[str, Any]]:
    """Orders whose money no payment has taken on yet."""
    taken = Payment.objects.filter(order=OuterRef("pk"), state__in=ACTIVE)
    kind = [When(kind=kind, then=Value(words)) for kind, words in OWED.items()]
    rows = DealingOrder.objects.filter(
        ~Exists(taken), share_class__fund__book=book, state="payable"
    ).annotate(owed_for=Concat(Case(*kind), Value(" of class "), F("share_class__code")))
    return columns_of(
        rows,
        since="updated_at",
        who="investor__legal_name",
        words="owed_for",
        amount="dealt_amount",
        currency="share_class__fund__currency",
    )


def _select_payments(
    book: str, *, since: str = "prepared_at", **which: Any
) -> QuerySet[Any, dict[str, Any]]:
    return columns_of(
        Payment.objects.filter(fund__book=book, **which),
        since=since,
        who=name_of("prepared_by"),
        number="number",
        words="to_name",
        amount="amount",
        currency="currency",
    )


def _select_unsigned(book: str, now: datetime) -> QuerySet[Any, dict[str, Any]]:
    return _select_payments(book, state=PaymentState.PREPARED, approved_by=None)


def _select_undirected(book: str, now: datetime) -> QuerySet[Any, dict[str, Any]]:
    return _select_payments(
        book,
        state=PaymentState.PREPARED,
        directed_by=None,
        amount__gt=F("fund__payment_band"),  # as in is_director_needed
    )


def _select_signed(book: str, now: datetime) -> QuerySet[Any, dict[str, Any]]:
    return _select_payments(book, since="approved_at", state=PaymentState.APPROVED)


def _select_released(book: str, now: datetime) -> QuerySet[Any, dict[str, Any]]:
    return _select_payments(book, since="file__released_at", state=PaymentState.RELEASED)


def _describe_payment(verb: str, note: str) -> Callable[[Any], tuple[str, str]]:
    def describe(row: Any) -> tuple[str, str]:
        reference = Payment(number=row["version_shown"]).reference
        what = f"{verb} payment {reference} to {row['words']}, {money_of(row)}"
        return what, note.format(who=row["who"])

    return describe


def _select_accounts(book: str, now: datetime) -> QuerySet[Any, dict[str, Any]]:
    rows = FundAccount.objects.filter(fund__book=book, approved_at=None, closed_at=None)
    return columns_of(rows, since="opened_at", who=name_of("opened_by"), words="code")


def _select_payees(book: str, now: datetime) -> QuerySet[Any, dict[str, Any]]:
    rows = PayeeAccount.objects.filter(fund__book=book, approved_at=None, closed_at=None)
    return columns_of(rows, since="added_at", who=name_of("added_by"), words="name")


def _select_asked(book: str, now: datetime) -> QuerySet[Any, dict[str, Any]]:
    rows = AccountChange.objects.filter(
        fund__book=book, payee=None, withdrawn_at=None, refused_at=None
    )
    return columns_of(rows, since="asked_at", who="name", words="investor__number")


SOURCES = {
    "unpaid": Source(
        kind="Money",
        role=None,
        url_name="desk_dealing",
        names_holders=True,
        select=_select_unpaid,
        describe=lambda row: (
            f"{row['who']}, {money_of(row)}",
            f"class {row['words']}; funds not yet cleared",
        ),
    ),
    "receipt_open": Source(
        kind="Money",
        role=Role.ACCOUNTANT,
        url_name="desk_money",
        names_holders=True,
        select=_select_receipts,
        describe=lambda row: (
            f"Decide on a receipt from {row['who'] or 'an unnamed sender'}, {money_of(row)}",
            f"bank reference {row['words']}; it has no use yet",
        ),
    ),
    "reversal_open": Source(
        kind="Money",
        role=Role.ACCOUNTANT,
        url_name="desk_money",
        anchor="reversals",
        names_holders=True,
        select=_select_reversals,
        describe=_describe_reversal,
    ),
    "payable": Source(
        kind="Money",
        role=Role.ACCOUNTANT,
        url_name="desk_payments",
        names_holders=True,
        select=_select_payable,
        describe=lambda row: (
            f"Payment due to {row['who']}, {money_of(row)}",
            str(row["words"]),
        ),
    ),
    "payment_unsigned": Source(
        kind="Money",
        role=Role.CONTROLLER,
        url_name="desk_payments",
        names_holders=True,
        select=_select_unsigned,
        describe=_describe_payment("Approve", "prepared by {who}; another person approves"),
    ),
    "payment_undirected": Source(
        kind="Money",
        role=Role.DIRECTOR,
        url_name="desk_payments",
        names_holders=True,
        select=_select_undirected,
        describe=_describe_payment("Sign", "above the amount that a controller signs alone"),
    ),
    "payment_signed": Source(
        kind="Money",
        role=Role.ACCOUNTANT,
        url_name="desk_payments",
        names_holders=True,
        select=_select_signed,
        describe=_describe_payment("Release", "approved; the bank's file is not written yet"),
    ),
    "payment_released": Source(
        kind="Money",
        role=Role.ACCOUNTANT,
        url_name="desk_payments",
        names_holders=True,
        select=_select_released,
        describe=_describe_payment("Confirm", "released; the bank's statement confirms it"),
    ),
    "account_proposed": Source(
        kind="Money",
        role=Role.CONTROLLER,
        url_name="desk_accounts",
        select=_select_accounts,
        describe=lambda row: (
            f"Approve the fund's account {row['words']}",
            f"proposed by {row['who']}",
        ),
    ),
    "account_asked": Source(
        kind="Money",
        role=Role.ACCOUNTANT,
        url_name="desk_accounts",
        names_holders=True,
        anchor="asked",
        select=_select_asked,
        describe=lambda row: (
            f"Call {row['who']} back about another account",
            f"holder {row['words']}; nothing is paid to it before",
        ),
    ),
    "payee_proposed": Source(
        kind="Money",
        role=Role.CONTROLLER,
        url_name="desk_accounts",
        names_holders=True,
        select=_select_payees,
        describe=lambda row: (
            f"Approve or close the account of {row['words']}",
            f"proposed by {row['who']}; nothing is paid to it before",
        ),
    ),
}
