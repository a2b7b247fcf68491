"""The investor's own pages.  Everything is found through the signed-in investor, never by an id."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from magnetfund.web.parts import render_page
from magnetfund.web.portal import selectors
from magnetfund.web.portal.access import own_investor
from magnetfund.web.public.pages import asked_page, page_context, used_shares


@require_safe
@login_required
def overview(request: HttpRequest) -> HttpResponse:
    """What I have, how it went, how safe it is now."""
    investor = own_investor(request)
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
    investor = own_investor(request)
    return render_page(
        request,
        "portal/activity.html",
        {
            **page_context(request, "activity"),
            "investor": investor,
            "activity": selectors.find_activity(investor, number=asked_page(request)),
        },
        parts=("activity",),
    )
