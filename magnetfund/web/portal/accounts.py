"""Another account to be paid to: asked for by the holder or his attorney, seen, withdrawn."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from investors.domain.receipts import mask_number
from investors.models import AccountChange, Fund, Investor
from investors.models.money import ACCOUNT_KINDS
from investors.services.account_changes import ask_change, withdraw_change
from magnetfund.core.actors import actor_of
from magnetfund.core.doors import require_step_up
from magnetfund.kernel.errors import FundError
from magnetfund.web.portal import own_selectors as own
from magnetfund.web.portal.access import is_of_holder, ordering_investor
from magnetfund.web.public.pages import page_context

SHOWN = 20
#: The field of a power that lets an attorney ask.
MAY = "may_change_account"
#: Where a session keeps what was typed while the second factor is asked.
KEPT = "asked_account"


class AskedAccountForm(forms.Form):
    """The account that the holder wants to be paid to."""

    kind = forms.ChoiceField(label="Kind", choices=ACCOUNT_KINDS)
    name = forms.CharField(label="Holder of the account", max_length=200)
    number = forms.CharField(label="IBAN, account number or address", max_length=120)
    bank = forms.CharField(label="BIC, or name of the chain", max_length=120, required=False)
    currency = forms.CharField(label="Currency", max_length=8)

    def __init__(self, data: Any = None, **more: Any) -> None:
        super().__init__(data, **more)
        for field in self.fields.values():
            is_choice = isinstance(field, forms.ChoiceField)
            field.widget.attrs["class"] = "form-select" if is_choice else "form-control"


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def accounts(request: HttpRequest) -> HttpResponse:
    """The accounts of the holder, what he asked for and its state, and the form that asks; asking
    takes a fresh second factor."""
    investor = ordering_investor(request, MAY)
    fund = Fund.objects.filter(book=settings.MAGNET_BOOK).first()
    if fund is None:
        raise Http404
    first = {"name": investor.legal_name, "currency": fund.currency}
    if request.method != "POST":
        first |= request.session.pop(KEPT, {})
    form = AskedAccountForm(request.POST if request.method == "POST" else None, initial=first)
    if request.method == "POST":
        request.session[KEPT] = {name: request.POST.get(name, "")[:200] for name in form.fields}
        require_step_up(request)
        del request.session[KEPT]
        if not is_of_holder(request, investor):
            return redirect("own_accounts")
        if form.is_valid() and _ask(request, fund, investor, form):
            return redirect("own_accounts")
    page = {
        **page_context(request, "settings"),
        "investor": investor,
        "form": form,
        "accounts": own.list_paid_accounts(investor),
        "changes": [
            {"row": row, "shown": mask_number(row.number)}
            for row in AccountChange.objects.filter(investor=investor).select_related(
                "payee", "under_power__attorney", "under_power__investor"
            )[:SHOWN]
        ],
        "cooling_off_days": fund.cooling_off_days,
    }
    return render(request, "portal/accounts.html", page, status=422 if form.is_bound else 200)


def _ask(request: HttpRequest, fund: Fund, investor: Investor, form: AskedAccountForm) -> bool:
    try:
        ask_change(fund=fund, investor=investor, actor=actor_of(request), **form.cleaned_data)
    except FundError as error:
        form.add_error(None, f"{error.message} ({error.code})")
        return False
    messages.success(request, "Received. We call you back at the number that we have.")
    return True


@require_POST
@login_required
def withdraw(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Take a request back until its account is in use."""
    investor = ordering_investor(request, MAY)
    row = get_object_or_404(
        AccountChange.objects.select_related("investor"), pk=pk, investor=investor
    )
    try:
        withdraw_change(change=row, actor=actor_of(request))
    except FundError as error:
        messages.error(request, f"Not withdrawn: {error.message}. ({error.code})")
    else:
        messages.success(request, "Withdrawn. Nothing is paid to that account.")
    return redirect("own_accounts")
