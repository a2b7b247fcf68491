"""The investor's own pages.  Everything is found through the signed-in investor, never by an id."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from magnetfund.web.parts import render_page
from magnetfund.web.portal import selectors
from magnetfund.web.portal.access import HOLDINGS, seen_investor
from magnetfund.web.portal.activity import find_activity
from magnetfund.web.public.pages import asked_page, page_context, used_shares


@require_safe
@login_required
def overview(request: HttpRequest) -> HttpResponse:
    """What I have, how it went, how safe it is now."""
    investor = seen_investor(request, HOLDINGS)
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
def returns_file(request: HttpRequest) -> HttpResponse:
    """How my gain comes of each amount that I put in, to be rebuilt outside."""
    struck = [
        row
        for row in selectors.find_values(seen_investor(request, HOLDINGS))
        if not row.is_estimate
    ]
    found = selectors.build_own_bridge(struck)
    if found is None:
        raise Http404
    answer = HttpResponse(found.bridge.as_csv(), content_type="text/csv; charset=utf-8")
    answer["Content-Disposition"] = 'attachment; filename="returns.csv"'
    return answer


@require_safe
@login_required
def activity(request: HttpRequest) -> HttpResponse:
    """Every order, movement of units and price, newest first."""
    investor = seen_investor(request, HOLDINGS)
    return render_page(
        request,
        "portal/activity.html",
        {
            **page_context(request, "activity"),
            "investor": investor,
            "activity": find_activity(investor, number=asked_page(request)),
        },
        parts=("activity",),
    )
