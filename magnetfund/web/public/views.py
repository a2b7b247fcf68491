"""The public landing page and the redirect after sign-in."""

from __future__ import annotations

from decimal import Decimal

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_safe

from investors.selectors import read_net_records
from investors.services.policies import terms_by_class
from magnetfund.core.models import User
from magnetfund.core.roles import Capability
from magnetfund.kernel.clock import utc_now
from magnetfund.web.public.busy import same_for_strangers
from magnetfund.web.public.pages import page_context, record_charts, used_shares
from risk.models import FuseEvent
from trading import selectors
from trading.selectors.research import find_survival


@require_safe
@same_for_strangers
def landing(request: HttpRequest) -> HttpResponse:
    """The fund in public: its record, how it stays alive, what it trades, terms and risks."""
    book = settings.MAGNET_BOOK
    context = page_context(request)
    valuation = context["valuation"]
    days = selectors.daily_unit_values(book)
    terms = terms_by_class(book, at=utc_now())
    trades = selectors.recent_trades(book, limit=5)
    return render(
        request,
        "public/landing.html",
        {
            **context,
            **used_shares(valuation),
            **record_charts(days),
            "performance": selectors.build_performance(valuation, days) if valuation else None,
            "trades": trades,
            "trades_lost": sum(1 for trade in trades if trade.net_pnl < 0),
            "trades_sum": sum((trade.net_pnl for trade in trades), Decimal(0)),
            "positions": selectors.open_positions(book),
            "net_records": read_net_records(book),
            **_fuse_record(book),
            "survival": find_survival(),
            "classes": [{"row": row, "terms": found} for row, found in terms],
        },
    )


def _fuse_record(book: str) -> dict[str, int]:
    """How often the fuse cut positions and closed everything."""
    kinds = FuseEvent.objects.filter(book=book, kind__in=["reducing", "tripped"])
    return kinds.aggregate(
        cuts=Count("pk", filter=Q(kind="reducing")), trips=Count("pk", filter=Q(kind="tripped"))
    )


@login_required
def home(request: HttpRequest) -> HttpResponse:
    """Where a person lands after signing in."""
    user = request.user
    if getattr(user, "is_desk", False):
        return redirect("desk_today")
    if getattr(user, "investor", None) is not None:
        return redirect("overview")
    if isinstance(user, User) and user.can(Capability.PORTAL_READ):
        return redirect("advised_begin")
    return redirect("landing")
