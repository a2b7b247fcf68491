"""Breaks of the books with bank, venue and custodian: the list, its steps, and its CSV."""

from __future__ import annotations

import csv
from typing import Any
from uuid import UUID, uuid4

from django.conf import settings
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from investors.domain.ledger import ACCOUNTS
from investors.domain.ledger.chart import EXPENSES
from investors.models import BookBreak
from magnetfund.core.actors import actor_of
from magnetfund.core.doors import require_step_up
from magnetfund.core.models import RoleGrant, User
from magnetfund.core.roles import Capability, roles_with
from magnetfund.core.spreadsheets import safe_cell
from magnetfund.kernel.clock import isoformat_z
from magnetfund.kernel.errors import FundError
from magnetfund.web.break_forms import BreakForm, age_of, take_step
from magnetfund.web.desk.access import desk_view
from magnetfund.web.desk.frame import build_frame
from magnetfund.web.desk.money import own_fund
from magnetfund.web.forms import submit_once
from magnetfund.web.parts import render_page
from magnetfund.web.service_forms import bind
from trading.models import Reconciliation

SHOWN = 60
COLUMNS = (
    "source", "kind", "reference", "asset", "ours", "theirs", "difference", "day", "age_days",
    "state", "owner", "cause", "resolution", "found_at", "closed_at",
)  # fmt: skip


def _rows() -> Any:
    return BookBreak.objects.filter(fund__book=settings.MAGNET_BOOK).select_related(
        "owner", "explained_by", "closed_by"
    )


@require_http_methods(["GET", "HEAD", "POST"])
@desk_view()
def breaks(request: HttpRequest) -> HttpResponse:
    """What is open with its age and owner, what was closed, and the form to raise one."""
    user: Any = request.user
    may_work = user.can(Capability.DEALING_PROCESS)
    bound = bind(BreakForm, actor_of(request))
    form = bound(initial={"fund": own_fund()})
    if request.method == "POST":
        if not may_work:
            raise PermissionDenied
        form = bound(request.POST)
        if submit_once(request, form, verb="raised", after="every NAV waits until it is closed."):
            return HttpResponseRedirect(reverse("desk_breaks"), status=303)
    newest = (
        Reconciliation.objects.filter(book=settings.MAGNET_BOOK).order_by("-occurred_at").first()
    )
    context = {
        **build_frame(request, "nav"),
        "form": form,
        "may_work": may_work,
        "may_close": user.can(Capability.PAYMENTS_APPROVE),
        "waiting": [
            {"row": row, "age": age_of(row), "is_own": row.explained_by_id == user.pk}
            for row in _rows().filter(closed_at=None)[:SHOWN]
        ],
        "past": _rows().exclude(closed_at=None).order_by("-closed_at")[:SHOWN],
        "people": _workers() if may_work else [],
        "accounts": [ACCOUNTS[code] for code in EXPENSES],
        "venue": newest,
        "key": request.POST.get("key") or uuid4(),
    }
    answer = render_page(request, "desk/breaks.html", context, parts=())
    answer.status_code = 422 if request.method == "POST" else 200
    return answer


def _workers() -> list[User]:
    """Who works breaks; asked by role, since most accounts are investors'."""
    held = RoleGrant.objects.filter(
        revoked_at=None, role__in=roles_with(Capability.DEALING_PROCESS)
    )
    return list(User.objects.filter(is_active=True, pk__in=held.values("user")).order_by("email"))


@require_POST
@desk_view()
def step(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Assign, explain or close one break; who may, the step asks."""
    user: Any = request.user
    if not (user.can(Capability.DEALING_PROCESS) or user.can(Capability.PAYMENTS_APPROVE)):
        raise PermissionDenied
    row = get_object_or_404(_rows(), pk=pk)
    given, actor = request.POST, actor_of(request)
    if given.get("step") == "close":
        require_step_up(request)
    try:
        take_step(row, given.get("step", ""), given, actor)
    except FundError as error:
        messages.error(request, f"Not done: {error.message}. ({error.code})")
    else:
        messages.success(request, "Done.")
    return redirect("desk_breaks")


@require_safe
@desk_view()
def export(request: HttpRequest) -> HttpResponse:
    """Every break with exact figures."""
    response = HttpResponse(content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = 'attachment; filename="breaks.csv"'
    writer = csv.writer(response)
    writer.writerow(COLUMNS)
    for row in _rows().order_by("-found_at"):
        writer.writerow(
            [
                row.source, row.kind, safe_cell(row.reference), row.asset, f"{row.ours:f}",
                f"{row.theirs:f}", f"{row.difference:f}", row.day.isoformat(), age_of(row),
                row.state, row.owner.email if row.owner else "", safe_cell(row.cause),
                safe_cell(row.resolution), isoformat_z(row.found_at),
                isoformat_z(row.closed_at) if row.closed_at else "",
            ]
        )  # fmt: skip
    return response
