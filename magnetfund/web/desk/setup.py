"""Founding by pages: each step is a form over its service, with who may do it."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_http_methods

from investors.models import DealingOrder, Fund, ShareClass
from magnetfund.core.actors import actor_of
from magnetfund.core.roles import CAPABILITIES, Capability
from magnetfund.web.desk.access import desk_view
from magnetfund.web.desk.frame import build_frame
from magnetfund.web.parts import render_page
from magnetfund.web.policy_forms import LimitsForm, TermsForm
from magnetfund.web.service_forms import ServiceForm
from magnetfund.web.setup_forms import (
    DealingDaysForm,
    FundForm,
    HolidayForm,
    InvestorForm,
    ShareClassForm,
)
from risk.domain.limits import FIGURES
from risk.services.limits import limits_in_force


@dataclass(frozen=True, slots=True, kw_only=True)
class SetupPage:
    """One step of a founding; ``after`` is the page that follows it."""

    name: str
    words: str
    lede: str
    form: type[ServiceForm]
    done: str
    after: str = ""


PAGES = {
    page.name: page
    for page in (
        SetupPage(
            name="fund",
            words="Fund",
            lede="Its currency is that of every class; cut-offs are local times of its zone.",
            form=FundForm,
            done="The fund is there. Next: its classes.",
            after="class",
        ),
        SetupPage(
            name="class",
            words="Class",
            lede="A class deals once its terms have two signatures.",
            form=ShareClassForm,
            done="The class is there. Next: its terms.",
            after="terms",
        ),
        SetupPage(
            name="terms",
            words="Terms",
            lede="Fees, notice, lock-up and gate of one class. A controller signs them.",
            form=TermsForm,
            done="The terms are proposed; a controller signs them.",
        ),
        SetupPage(
            name="holiday",
            words="Holiday",
            lede="A day without business; dealing days move past it.",
            form=HolidayForm,
            done="The holiday is noted.",
            after="holiday",
        ),
        SetupPage(
            name="calendar",
            words="Calendar",
            lede="Dealing days of the coming months. Try them out first: known days stay.",
            form=DealingDaysForm,
            done="The dealing days are in the calendar.",
        ),
        SetupPage(
            name="limits",
            words="Limits",
            lede="The whole set of limits. A second risk officer signs it.",
            form=LimitsForm,
            done="The limits are proposed; a second risk officer signs them.",
        ),
        SetupPage(
            name="investor",
            words="Investor",
            lede="A first investor. Compliance then mails the link to the application.",
            form=InvestorForm,
            done="The investor is entered; compliance goes on.",
            after="investor",
        ),
    )
}


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
    bound = type(page.form.__name__, (page.form,), {"actor": actor_of(request)})
    form = bound(request.POST if is_sent else None)
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
    found = [role.value.replace("_", " ") for role, held in CAPABILITIES.items()
             if capability in held]  # fmt: skip
    return " or ".join(found)


def _meaning() -> list[dict[str, Any]]:
    """Shares of the limits in force as money of what the fund has."""
    book = settings.MAGNET_BOOK
    limits = limits_in_force(book)
    paid = DealingOrder.objects.filter(
        share_class__fund__book=book, kind="subscription", funded_at__isnull=False
    ).values_list("amount", flat=True)
    # Before the first NAV the fund has what was paid in; the example is a round sum without it.
    base = sum((amount for amount in paid if amount is not None), Decimal(0)) or Decimal(100_000)
    return [
        {"words": rule.words, "share": share, "money": share * base, "base": base}
        for name, rule in FIGURES.items()
        if name.endswith("_share") and (share := getattr(limits, name)) is not None
    ]
