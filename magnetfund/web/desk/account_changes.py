"""Accounts that holders asked for: the call-back recorded, the request refused."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django import forms
from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.views.decorators.http import require_POST

from investors.models import AccountChange
from investors.services.account_changes import record_call_back, refuse_change
from magnetfund.core.actors import actor_of
from magnetfund.core.roles import Capability
from magnetfund.kernel.errors import FundError
from magnetfund.web.desk.access import desk_view


class CallBackForm(forms.Form):
    """Who spoke with the holder, when, and at which number that was known before."""

    called_at = forms.DateTimeField(
        label="Spoke on (UTC)",
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
    )
    called_number = forms.CharField(label="Number called", max_length=40)
    known_since = forms.DateField(
        label="Number known since", widget=forms.DateInput(attrs={"type": "date"})
    )
    spoken_with = forms.CharField(label="Spoke with", max_length=80)

    def __init__(self, data: Any = None, *, prefix: str = "") -> None:
        super().__init__(data, auto_id=f"{prefix}id_%s")
        for field in self.fields.values():
            field.widget.attrs["class"] = "form-control form-control-sm"


def list_changes() -> list[dict[str, Any]]:
    """Requests of holders whose account is not in use yet, the oldest first, with the form of the
    call-back for those that wait for one."""
    rows = (
        AccountChange.objects.filter(
            fund__book=settings.MAGNET_BOOK, withdrawn_at=None, refused_at=None,
            payee__closed_at=None, payee__approved_at=None,
        )
        .select_related("investor", "payee", "under_power__attorney", "under_power__investor")
        .order_by("asked_at")[:100]
    )  # fmt: skip
    return [
        {
            "row": row,
            "form": CallBackForm(prefix=f"{row.pk}-") if row.payee_id is None else None,
        }
        for row in rows
    ]


@require_POST
@desk_view(Capability.ACCOUNTS_PROPOSE, step_up=True)
def call_back(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Record the call-back and propose the account; another person signs it below."""
    row, form = _find(pk), CallBackForm(request.POST)
    if not form.is_valid():
        words = "; ".join(f"{form.fields[name].label}: {' '.join(map(str, errors))}"
                          for name, errors in form.errors.items())  # fmt: skip
        messages.error(request, f"Not recorded. {words}")
        return _go()
    try:
        record_call_back(change=row, actor=actor_of(request), **form.cleaned_data)
    except FundError as error:
        messages.error(request, f"Not recorded: {error.message}. ({error.code})")
    else:
        messages.success(request, "Recorded. A controller signs the account now.")
    return _go()


@require_POST
@desk_view(step_up=True)
def refuse(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Refuse a request with a reason, which the holder reads."""
    row = _find(pk)
    try:
        refuse_change(change=row, reason=request.POST.get("reason", ""), actor=actor_of(request))
    except FundError as error:
        messages.error(request, f"Not refused: {error.message}. ({error.code})")
    else:
        messages.success(request, "Refused. The holder is told why.")
    return _go()


def _find(pk: UUID) -> AccountChange:
    return get_object_or_404(AccountChange, pk=pk, fund__book=settings.MAGNET_BOOK)


def _go() -> HttpResponse:
    return HttpResponseRedirect(reverse("desk_accounts"), status=303)
