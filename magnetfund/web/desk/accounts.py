"""Accounts of the fund and those it may pay: proposed by one person, approved by another."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django import forms
from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from investors.domain.receipts import mask_number
from investors.models import Fund, FundAccount, Investor, PayeeAccount
from investors.services.money_accounts import (
    add_payee,
    approve_account,
    approve_payee,
    close_payee,
    open_account,
)
from magnetfund.core.actors import actor_of
from magnetfund.core.models import User
from magnetfund.core.roles import Capability
from magnetfund.core.services.signing import ACCOUNT, PAYEE, SignatureMissing
from magnetfund.kernel.clock import utc_now
from magnetfund.kernel.errors import FundError
from magnetfund.web.desk.access import desk_view
from magnetfund.web.desk.account_changes import list_changes
from magnetfund.web.desk.frame import build_frame
from magnetfund.web.desk.money import own_fund
from magnetfund.web.desk.signing import go_to_sign
from magnetfund.web.parts import render_page

PAYEES_SHOWN = 100
KINDS = [("bank", "bank account"), ("wallet", "wallet")]


def _dress(form: forms.Form) -> None:
    for field in form.fields.values():
        is_choice = isinstance(field, forms.ChoiceField)
        field.widget.attrs["class"] = "form-select" if is_choice else "form-control"


class AccountForm(forms.Form):
    """An account of the fund's own."""

    code = forms.CharField(label="Short code", max_length=20)
    kind = forms.ChoiceField(label="Kind", choices=KINDS)
    bank = forms.CharField(label="Bank or chain", max_length=120)
    number = forms.CharField(label="IBAN, account number or address", max_length=120)
    currency = forms.CharField(label="Currency", max_length=8)
    confirmations = forms.IntegerField(
        label="Confirmations until final (wallet)", min_value=0, max_value=10_000, required=False
    )

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        _dress(self)


class PayeeForm(forms.Form):
    """An account that the fund may pay."""

    investor = forms.CharField(
        label="Number of the investor (empty: supplier or manager)", max_length=20, required=False
    )
    kind = forms.ChoiceField(label="Kind", choices=KINDS)
    name = forms.CharField(label="Holder of the account", max_length=200)
    number = forms.CharField(label="IBAN, account number or address", max_length=120)
    bank = forms.CharField(label="BIC or chain", max_length=120, required=False)
    currency = forms.CharField(label="Currency", max_length=8)
    evidence = forms.CharField(label="How it was proved (call-back, test transfer)", max_length=300)

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        _dress(self)


def _may_sign(user: Any, maker: User) -> bool:
    other = user.pk != maker.pk and user.person != maker.person
    return bool(other and user.can(Capability.ACCOUNTS_APPROVE))


@require_safe
@desk_view()
def accounts(request: HttpRequest) -> HttpResponse:
    """The accounts, those that wait for a second signature first."""
    frame = build_frame(request, "nav")
    fund = own_fund()
    return _show(request, frame, fund, AccountForm(), PayeeForm())


def _show(
    request: HttpRequest,
    frame: dict[str, Any],
    fund: Fund | None,
    account_form: AccountForm,
    payee_form: PayeeForm,
) -> HttpResponse:
    user: Any = request.user
    sees_all = user.can(Capability.HOLDERS_VIEW)
    own = FundAccount.objects.filter(fund=fund, closed_at=None) if fund else []
    payees = (
        PayeeAccount.objects.filter(fund=fund, closed_at=None)
        .select_related("investor", "added_by", "approved_by")
        .order_by("approved_at", "name")[:PAYEES_SHOWN]
        if fund and sees_all
        else []
    )
    context = {
        "fund": fund,
        "own": [
            {
                "row": row,
                "number": row.number if sees_all else mask_number(row.number),
                "may_sign": not row.approved_at and _may_sign(request.user, row.opened_by),
            }
            for row in own
        ],
        "payees": [
            {
                "row": row,
                "may_sign": not row.approved_at and _may_sign(request.user, row.added_by),
                "is_cooling": row.usable_from is not None and row.usable_from > utc_now(),
            }
            for row in payees
        ],
        "changes": list_changes() if sees_all else [],
        "sees_all": sees_all,
        "account_form": account_form,
        "payee_form": payee_form,
        "room": "accounts",
    }
    answer = render_page(request, "desk/accounts.html", {**frame, **context}, parts=())
    if account_form.is_bound or payee_form.is_bound:
        answer.status_code = 422
    return answer


@require_POST
@desk_view(Capability.ACCOUNTS_PROPOSE)
def add_account(request: HttpRequest) -> HttpResponse:
    """Propose an account of the fund."""
    fund, form = own_fund(), AccountForm(request.POST)
    if fund is not None and form.is_valid():
        given = form.cleaned_data
        try:
            open_account(
                fund=fund,
                actor=actor_of(request),
                **{**given, "confirmations": given["confirmations"] or 0},
            )
        except FundError as error:
            form.add_error(None, f"{error.message} ({error.code})")
        else:
            messages.success(request, "Proposed. A controller must approve it.")
            return _go()
    return _show(request, build_frame(request, "nav"), fund, form, PayeeForm())


@require_POST
@desk_view(Capability.ACCOUNTS_PROPOSE)
def add_receiver(request: HttpRequest) -> HttpResponse:
    """Propose an account to be paid."""
    fund, form = own_fund(), PayeeForm(request.POST)
    if fund is not None and form.is_valid():
        given = {**form.cleaned_data}
        number = given.pop("investor").strip()
        investor = Investor.objects.filter(number=number).first() if number else None
        if number and investor is None:
            form.add_error("investor", "There is no investor of this number.")
        else:
            try:
                add_payee(fund=fund, investor=investor, actor=actor_of(request), **given)
            except FundError as error:
                form.add_error(None, f"{error.message} ({error.code})")
            else:
                messages.success(request, "Proposed. A controller must approve it.")
                return _go()
    return _show(request, build_frame(request, "nav"), fund, AccountForm(), form)


@require_POST
@desk_view(Capability.ACCOUNTS_APPROVE, step_up=True)
def sign_account(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Approve an account of the fund; whoever has not signed it is sent to sign first."""
    row = get_object_or_404(FundAccount, pk=pk, fund__book=settings.MAGNET_BOOK)
    try:
        approve_account(account=row, actor=actor_of(request))
    except SignatureMissing:
        return go_to_sign(request, action=ACCOUNT, subject=row.pk, back=reverse("desk_accounts"))
    except FundError as error:
        messages.error(request, f"Not approved: {error.message}. ({error.code})")
    else:
        messages.success(request, f"The account {row.code} is in use.")
    return _go()


@require_POST
@desk_view(step_up=True)
def decide_receiver(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Approve an account to be paid, on one's signature, or take it off the list with a reason."""
    row = get_object_or_404(PayeeAccount, pk=pk, fund__book=settings.MAGNET_BOOK)
    try:
        if request.POST.get("decision") == "approve":
            done = approve_payee(payee=row, actor=actor_of(request))
            words = f"{row.name} can be paid from {done.usable_from:%-d %b %Y, %H:%M} UTC."
        else:
            close_payee(payee=row, reason=request.POST.get("reason", ""), actor=actor_of(request))
            words = f"The account of {row.name} is closed."
    except SignatureMissing:
        return go_to_sign(request, action=PAYEE, subject=row.pk, back=reverse("desk_accounts"))
    except FundError as error:
        messages.error(request, f"Not saved: {error.message}. ({error.code})")
    else:
        messages.success(request, words)
    return _go()


def _go() -> HttpResponse:
    return HttpResponseRedirect(reverse("desk_accounts"), status=303)
