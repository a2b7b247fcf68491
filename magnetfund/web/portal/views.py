"""The investor's own pages.  Everything is found through the signed-in investor, never by an id."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from investors.models import Investor
from magnetfund.web.portal import selectors
from magnetfund.web.public.pages import asked_page, page_context, used_shares


def _investor(request: HttpRequest) -> Investor:
    user: Any = request.user
    investor: Investor | None = Investor.objects.filter(user=user).first()
    if investor is None:
        raise Http404
    return investor


@require_safe
@login_required
def overview(request: HttpRequest) -> HttpResponse:
    """What I have, how it went, how safe it is now."""
    investor = _investor(request)
    context = page_context(request, "overview")
    return render(
        request,
        "portal/overview.html",
        {
            **context,
            **used_shares(context["valuation"]),
            **selectors.find_overview(investor),
            "investor": investor,
        },
    )


@require_safe
@login_required
def activity(request: HttpRequest) -> HttpResponse:
    """Every order, movement of units and price, newest first."""
    investor = _investor(request)
    return render(
        request,
        "portal/activity.html",
        {
            **page_context(request, "activity"),
            "investor": investor,
            "activity": selectors.find_activity(investor, number=asked_page(request)),
        },
    )
