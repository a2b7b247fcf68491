"""Restatements on the desk: the form, the package as it is signed, and what was decided."""

from __future__ import annotations

from datetime import date
from typing import Any
from uuid import UUID, uuid4

from django.conf import settings
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from investors.models import Restatement
from investors.services.restatements import (
    decline_restatement,
    next_signature,
    sign_restatement,
)
from magnetfund.core.actors import actor_of
from magnetfund.core.roles import Capability
from magnetfund.core.services.signing import SignatureMissing
from magnetfund.kernel.errors import FundError
from magnetfund.web.dealing_forms import RestatementForm
from magnetfund.web.desk.access import desk_view
from magnetfund.web.desk.frame import build_frame
from magnetfund.web.desk.signing import go_on_signing, reason_of
from magnetfund.web.forms import submit_once
from magnetfund.web.parts import render_page
from magnetfund.web.service_forms import bind

SHOWN = 20
HOLDERS_SHOWN = 200
ASKED = ("first", "last", "amount", "material")


@require_http_methods(["GET", "HEAD", "POST"])
@desk_view()
def restatements(request: HttpRequest) -> HttpResponse:
    """What waits for signatures, what was decided, and the form."""
    user: Any = request.user
    may_prepare = user.can(Capability.NAV_PREPARE)
    bound = bind(RestatementForm, actor_of(request))
    asked = {name: request.GET[name] for name in ASKED if request.GET.get(name)}
    form = bound(initial=asked)
    if request.method == "POST":
        if not may_prepare:
            raise PermissionDenied
        form = bound(request.POST)
        after = "a controller and a director sign it."
        if submit_once(request, form, verb="prepared", after=after):
            return HttpResponseRedirect(reverse("desk_restatements"), status=303)
    rows = Restatement.objects.filter(fund__book=settings.MAGNET_BOOK).select_related(
        "fund", "prepared_by", "approved_by", "directed_by", "declined_by"
    )
    context = {
        **build_frame(request, "nav"),
        "form": form,
        "may_prepare": may_prepare,
        "waiting": [
            {**_describe(row, user), "reason": reason_of(request, row.pk)}
            for row in rows.filter(booked_at=None, declined_at=None)[:SHOWN]
        ],
        "past": rows.exclude(booked_at=None, declined_at=None)[:SHOWN],
        "key": request.POST.get("key") or uuid4(),
    }
    answer = render_page(request, "desk/restatements.html", context, parts=())
    answer.status_code = 422 if request.method == "POST" else 200
    return answer


def _describe(row: Restatement, user: Any) -> dict[str, Any]:
    """A waiting package with what each holder is owed, and what this person can do with it."""
    is_own = user.pk == row.prepared_by_id or user.person == row.prepared_by.person
    signed = {row.approved_by_id, row.directed_by_id}
    return {
        "row": row,
        "prices": [
            {**price, "nav": date.fromisoformat(price["nav"])} for price in row.content["prices"]
        ],
        "holders": row.content["holders"][:HOLDERS_SHOWN],
        "count": len(row.content["holders"]),
        "may_sign": not is_own and user.pk not in signed and bool(next_signature(row, user)),
        "may_decline": is_own
        or user.can(Capability.RESTATE_APPROVE)
        or user.can(Capability.OVERRIDE_SIGN),
    }


@require_POST
@desk_view(step_up=True)
def decide(request: HttpRequest, pk: UUID) -> HttpResponse:
    """One signature on the package, or its end; the second signature books it."""
    row = get_object_or_404(Restatement, pk=pk, fund__book=settings.MAGNET_BOOK)
    actor, given = actor_of(request), request.POST
    try:
        if given.get("decision") == "sign":
            done = sign_restatement(restatement=row, seen_hash=given.get("hash", ""), actor=actor)
            said = "Booked; the holders are told." if done.booked_at else "Signed; one is missing."
        else:
            decline_restatement(restatement=row, reason=given.get("reason", ""), actor=actor)
            said = "Declined."
    except SignatureMissing as missing:
        back = reverse("desk_restatements")
        return go_on_signing(request, missing, back=back, reason=given.get("reason", ""))
    except FundError as error:
        messages.error(request, f"Not decided: {error.message}. ({error.code})")
    else:
        messages.success(request, said)
    return redirect("desk_restatements")
