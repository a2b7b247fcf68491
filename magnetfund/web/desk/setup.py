"""Founding by pages: each step is a form over its service, with who may do it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import Sum
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_http_methods

from investors.models import DealingOrder, Fund, ShareClass
from magnetfund.core.actors import actor_of
from magnetfund.core.roles import Capability, roles_with
from magnetfund.web.desk.access import desk_view
from magnetfund.web.desk.frame import build_frame
from magnetfund.web.parts import render_page
from magnetfund.web.policy_forms import LimitsForm
from magnetfund.web.service_forms import bind
from magnetfund.web.setup_forms import DealingDaysForm
from magnetfund.web.setup_steps import PAGES
from risk.domain.limits import FIGURES
from risk.services.limits import limits_in_force


@require_http_methods(["GET", "HEAD", "POST"])
@desk_view()
def setup(request: HttpRequest, name: str) -> HttpResponse:
    """One step: shown to everybody of the house, done by those who may."""
    page = PAGES.get(name)
    if page is None:
        raise Http404
    user: Any = request.user
    may = user.can(page.form.capability)
    is_sent = request.method == "POST"
    if is_sent and not may:
        raise PermissionDenied
    form = bind(page.form, actor_of(request))(request.POST if is_sent else None)
    is_preview = is_sent and "preview" in request.POST
    if isinstance(form, DealingDaysForm):
        form.is_preview = is_preview
    if is_sent and form.is_valid() and not is_preview:
        messages.success(request, page.done)
        return redirect("desk_setup", name=page.after) if page.after else redirect("desk_founding")
    context = {
        **build_frame(request, "today"),
        "page": page,
        "form": form,
        "may": may,
        "who": _holders(page.form.capability),
        "preview": getattr(form, "preview", ()),
        "can_preview": issubclass(page.form, DealingDaysForm),
        "meaning": _meaning() if page.form is LimitsForm else (),
        "has_what_it_needs": _has_needs(name),
    }
    answer = render_page(request, "desk/setup.html", context, parts=())
    answer.status_code = 422 if is_sent and form.errors else 200
    return answer


def _has_needs(name: str) -> bool:
    """Whether what a step builds on is there."""
    if name in ("class", "holiday", "calendar", "limits"):
        return Fund.objects.exists()
    return ShareClass.objects.exists() if name == "terms" else True


def _holders(capability: Capability) -> str:
    """The roles that have a capability, in words."""
    return " or ".join(role.value.replace("_", " ") for role in roles_with(capability))


def _meaning() -> list[dict[str, Any]]:
    """Shares of the limits in force as money of what the fund has."""
    book = settings.MAGNET_BOOK
    limits = limits_in_force(book)
    paid = DealingOrder.objects.filter(
        share_class__fund__book=book, kind="subscription", funded_at__isnull=False
    ).aggregate(total=Sum("amount"))
    # Before the first NAV the fund has what was paid in; the example is a round sum without it.
    base = paid["total"] or Decimal(100_000)
    return [
        {"words": rule.words, "share": share, "money": share * base, "base": base}
        for name, rule in FIGURES.items()
        if name.endswith("_share") and (share := getattr(limits, name)) is not None
    ]
