"""Advisers of a holder on his compliance case: confirmed after a call back, ended."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.views.decorators.http import require_POST

from investors.models import AdviserAccess
from investors.services.advisers import end_access, grant_access
from magnetfund.core.actors import actor_of
from magnetfund.core.roles import Capability
from magnetfund.core.services.signing import SignatureMissing
from magnetfund.kernel.errors import FundError
from magnetfund.web.desk.access import desk_view
from magnetfund.web.desk.signing import go_on_signing, reason_of


@require_POST
@desk_view(Capability.KYC_APPROVE, step_up=True)
def confirm(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Open an access on a compliance officer's signature, who called the holder back."""
    row = get_object_or_404(AdviserAccess.objects.select_related("investor"), pk=pk)
    back = f"{reverse('desk_case', args=[row.investor_id])}#advisers"
    how = request.POST.get("confirmed_how", "").strip() or reason_of(request, row.pk)
    try:
        grant_access(access=row, actor=actor_of(request), confirmed_how=how)
    except SignatureMissing as missing:
        return go_on_signing(request, missing, back=back, reason=how)
    except FundError as error:
        messages.error(request, f"Not confirmed: {error.message}. ({error.code})")
    else:
        messages.success(request, f"Confirmed; {row.name} was mailed a link, the holder is told.")
    return redirect(back)


@require_POST
@desk_view(Capability.KYC_REVIEW, step_up=True)
def end(request: HttpRequest, pk: UUID) -> HttpResponse:
    """End an access at once; the holder is told."""
    row = get_object_or_404(AdviserAccess.objects.select_related("investor"), pk=pk)
    try:
        end_access(access=row, actor=actor_of(request))
    except FundError as error:
        messages.error(request, f"Not ended: {error.message}. ({error.code})")
    else:
        messages.success(request, f"The access of {row.name} has ended; the holder is told.")
    return redirect(f"{reverse('desk_case', args=[row.investor_id])}#advisers")
