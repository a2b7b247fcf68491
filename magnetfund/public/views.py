"""The public landing page and the door behind the sign-in."""

from __future__ import annotations

from decimal import Decimal

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_safe

from investors.models import Fund, ShareClass
from investors.services.policies import terms_in_force
from magnetfund.kernel.clock import utc_now
from magnetfund.public.pages import page_context, record_charts, used_shares
from risk.models import FuseEvent
from trading import selectors


@require_safe
def landing(request: HttpRequest) -> HttpResponse:
    """The fund in public: its record, how it stays alive, what it trades, terms and risks."""
    book = settings.MAGNET_BOOK
    context = page_context(request)
    performance = selectors.current_performance(book)
    classes = [
        {"row": row, "terms": terms_in_force(row, at=utc_now())}
        for row in ShareClass.objects.filter(fund__book=book).order_by("code")
    ]
    trades = selectors.recent_trades(book, limit=5)
    return render(
        request,
        "public/landing.html",
        {
            **context,
            **used_shares(context["valuation"]),
            **record_charts(book),
            "performance": performance,
            "fund": Fund.objects.filter(book=book).first(),
            "trades": trades,
            "trades_lost": sum(1 for trade in trades if trade.net_pnl < 0),
            "trades_sum": sum((trade.net_pnl for trade in trades), Decimal(0)),
            "positions": selectors.open_positions(book),
            "cuts": FuseEvent.objects.filter(book=book, kind="reducing").count(),
            "trips": FuseEvent.objects.filter(book=book, kind="tripped").count(),
            "classes": classes,
        },
    )


@login_required
def home(request: HttpRequest) -> HttpResponse:
    """Where a person lands after signing in."""
    user = request.user
    if getattr(user, "is_desk", False):
        return redirect("desk_today")
    if getattr(user, "investor", None) is not None:
        return redirect("overview")
    return redirect("landing")
