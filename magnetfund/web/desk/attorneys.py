"""Powers of attorney on the holder's compliance case: proposed with the deed, decided, revoked."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from investors.models import Investor, PowerOfAttorney
from investors.services.attorneys import decide_power, open_deed, propose_power, revoke_power
from magnetfund.core.actors import actor_of
from magnetfund.core.roles import Capability
from magnetfund.kernel.clock import utc_now
from magnetfund.kernel.errors import FundError
from magnetfund.web.desk.access import desk_view
from magnetfund.web.desk.signing import answer_decision

#: A file that is larger is not read at all; what is taken has at most 10 MB.
DEED_BYTES_MAX = 10 * 1024 * 1024


class PowerForm(forms.Form):
    """The attorney by the number of his file, what he may do, the days, and the deed."""

    attorney = forms.CharField(label="Number of the attorney's file", max_length=20)
    may_subscribe = forms.BooleanField(label="May subscribe", required=False)
    may_redeem = forms.BooleanField(label="May redeem and switch", required=False)
    may_change_account = forms.BooleanField(
        label="May ask for other bank details, where the deed says so", required=False
    )
    first_day = forms.DateField(
        label="From", widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")
    )
    last_day = forms.DateField(
        label="Last day", widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")
    )
    deed = forms.FileField(label="Deed: PDF, JPEG or PNG", max_length=120)

    def __init__(self, data: Any = None, files: Any = None) -> None:
        super().__init__(data, files, initial={"first_day": utc_now().date()})
        for field in self.fields.values():
            is_box = isinstance(field, forms.BooleanField)
            field.widget.attrs["class"] = "form-check-input" if is_box else "form-control"

    def clean_attorney(self) -> Investor:
        found = Investor.objects.filter(number=self.cleaned_data["attorney"].strip()).first()
        if found is None:
            raise forms.ValidationError("There is no file of this number.")
        return found


def _back(holder: UUID) -> str:
    return f"{reverse('desk_case', args=[holder])}#powers"


@require_POST
@desk_view(Capability.KYC_REVIEW, step_up=True)
def propose(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Open the file of an attorney; another person decides."""
    investor = get_object_or_404(Investor, pk=pk)
    form = PowerForm(request.POST, request.FILES)
    if not form.is_valid():
        words = "; ".join(
            f"{form.fields[name].label}: {' '.join(map(str, errors))}"
            for name, errors in form.errors.items()
        )
        messages.error(request, f"Not proposed. {words}")
        return redirect(_back(pk))
    given = form.cleaned_data
    upload = given.pop("deed")
    try:
        propose_power(
            investor=investor, deed_name=upload.name, deed=upload.read(DEED_BYTES_MAX + 1),
            actor=actor_of(request), **given,
        )  # fmt: skip
    except FundError as error:
        messages.error(request, f"Not proposed: {error.message}. ({error.code})")
    else:
        messages.success(request, "Proposed; another person reads the deed and decides.")
    return redirect(_back(pk))


@require_POST
@desk_view(Capability.KYC_VIEW, step_up=True)
def decide(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The second person's decision, on his signature."""
    row = get_object_or_404(
        PowerOfAttorney.objects.select_related("investor__user", "attorney__user"), pk=pk
    )
    return answer_decision(
        request, row, decide=decide_power, back=_back(row.investor_id),
        approved=lambda done: f"he may act from {done.first_day:%-d %b %Y}",
    )  # fmt: skip


@require_POST
@desk_view(Capability.KYC_REVIEW, step_up=True)
def revoke(request: HttpRequest, pk: UUID) -> HttpResponse:
    """End a power at once, with a reason; holder and attorney are told."""
    row = get_object_or_404(PowerOfAttorney, pk=pk)
    try:
        revoke_power(power=row, actor=actor_of(request), reason=request.POST.get("reason", ""))
    except FundError as error:
        messages.error(request, f"Not revoked: {error.message}. ({error.code})")
    else:
        messages.success(request, "Revoked; the holder and the attorney are told.")
    return redirect(_back(row.investor_id))


@require_safe
@desk_view(Capability.KYC_VIEW)
def deed(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The deed as a download of bytes: nothing of it runs in this site."""
    row = get_object_or_404(PowerOfAttorney, pk=pk)
    answer = HttpResponse(
        open_deed(power=row, actor=actor_of(request)), content_type="application/octet-stream"
    )
    extension = {"application/pdf": "pdf", "image/png": "png"}.get(row.deed_type, "jpg")
    name = f"deed-{row.deed_digest[:8]}.{extension}"
    answer["Content-Disposition"] = f'attachment; filename="{name}"'
    answer["Content-Security-Policy"] = "sandbox; default-src 'none'"
    answer["X-Content-Type-Options"] = "nosniff"
    answer["Cache-Control"] = "no-store"
    return answer
