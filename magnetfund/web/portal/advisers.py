"""A holder's advisers: who may read, what, until when, when he last looked; inviting and ending."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from investors.models import AdviserAccess, PowerOfAttorney
from investors.services.advisers import LONGEST, end_access, grant_access, invite_adviser
from investors.services.attorneys import revoke_power
from magnetfund.core.actors import actor_of
from magnetfund.core.doors import require_step_up
from magnetfund.core.services.signing import SignatureMissing, ask_to_sign
from magnetfund.kernel.clock import utc_now
from magnetfund.kernel.errors import FundError
from magnetfund.web.portal.access import own_investor
from magnetfund.web.public.pages import page_context

SHOWN = 50


class AdviserForm(forms.Form):
    """Who is invited, what he sees, and until when."""

    name = forms.CharField(label="Full name", max_length=200)
    email = forms.EmailField(label="E-mail address", max_length=254)
    until = forms.DateField(
        label="Last day", widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")
    )
    sees_holdings = forms.BooleanField(
        label="Holdings and NAV: value, units, activity, prices, trades, risk", required=False
    )
    sees_papers = forms.BooleanField(
        label="Statements and papers: monthly statements, contract notes", required=False
    )

    def __init__(self, data: Any = None) -> None:
        today = utc_now().date()
        first = {"until": today + timedelta(days=90), "sees_holdings": True}
        super().__init__(data, initial=first)
        self.fields["until"].widget.attrs |= {
            "min": today.isoformat(),
            "max": (today + LONGEST).isoformat(),
        }
        for field in self.fields.values():
            is_box = isinstance(field, forms.BooleanField)
            field.widget.attrs["class"] = "form-check-input" if is_box else "form-control"


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def advisers(request: HttpRequest) -> HttpResponse:
    """Everybody who reads or read this portal, and the form that invites; inviting takes a fresh
    second factor."""
    investor = own_investor(request)
    form = AdviserForm(request.POST if request.method == "POST" else None)
    if request.method == "POST":
        require_step_up(request)
        if form.is_valid():
            try:
                row = invite_adviser(
                    investor=investor, actor=actor_of(request), **form.cleaned_data
                )
            except FundError as error:
                messages.error(request, f"Not invited: {error.message}. ({error.code})")
            else:
                return _sign(request, row)
    page = {
        **page_context(request, "settings"),
        "investor": investor,
        "form": form,
        "rows": AdviserAccess.objects.filter(investor=investor)[:SHOWN],
        "powers": PowerOfAttorney.objects.filter(investor=investor, is_approved=True)
        .select_related("investor", "attorney")
        .defer("sealed_content")[:SHOWN],
    }
    return render(request, "portal/advisers.html", page, status=422 if form.is_bound else 200)


@require_POST
@login_required
def sign(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Open an access on the holder's signature, by way of the signer, and mail the link."""
    row = get_object_or_404(AdviserAccess, pk=pk, investor=own_investor(request))
    return _sign(request, row)


def _sign(request: HttpRequest, row: AdviserAccess) -> HttpResponse:
    actor = actor_of(request)
    try:
        grant_access(access=row, actor=actor)
    except SignatureMissing as missing:
        url = ask_to_sign(
            action=str(missing.details["action"]), subject=row.pk, back=reverse("advisers"),
            actor=actor,
        )  # fmt: skip
        return redirect(url)
    except FundError as error:
        messages.error(request, f"Not invited: {error.message}. ({error.code})")
    else:
        messages.success(request, f"Signed. {row.name} was mailed a link.")
    return redirect("advisers")


@require_POST
@login_required
def end(request: HttpRequest, pk: UUID) -> HttpResponse:
    """End an access at once, with the adviser's sessions."""
    row = get_object_or_404(AdviserAccess, pk=pk, investor=own_investor(request))
    try:
        end_access(access=row, actor=actor_of(request))
    except FundError as error:
        messages.error(request, f"Not ended: {error.message}. ({error.code})")
    else:
        messages.success(request, f"{row.name} can no longer read your portal.")
    return redirect("advisers")


@require_POST
@login_required
def revoke(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Revoke a power of attorney at once, by the holder alone."""
    row = get_object_or_404(PowerOfAttorney, pk=pk, investor=own_investor(request))
    try:
        revoke_power(power=row, actor=actor_of(request), reason="")
    except FundError as error:
        messages.error(request, f"Not revoked: {error.message}. ({error.code})")
    else:
        messages.success(request, "Revoked. Orders that were placed before stay.")
    return redirect("advisers")
