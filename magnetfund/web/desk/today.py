"""The first page of the desk: open tasks, key figures, parts and jobs."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_safe

from magnetfund.kernel.clock import utc_now
from magnetfund.web.desk import selectors as desk
from magnetfund.web.desk.access import desk_view
from magnetfund.web.desk.frame import build_frame, equity_of
from magnetfund.web.desk.gauges import (
    build_market_gauges,
    find_nearest,
)
from magnetfund.web.desk.open_work import keep_role, roles_of
from magnetfund.web.parts import render_page
from trading.selectors.fuse import loss_streaks, recent_measures


@require_safe
@desk_view()
def today(request: HttpRequest) -> HttpResponse:
    """Open tasks, four key figures and scheduled jobs."""
    book = settings.MAGNET_BOOK
    parts = desk.parts_alive()
    frame = build_frame(request, "today", beats=parts)
    strike, classes = desk.newest_strike(book)
    trader = frame["trader_beat"]
    since = timezone.now().replace(hour=0, minute=0, second=0, microsecond=0)
    held = desk.positions_context(book, equity_of(frame), marks=desk.marks_of(trader))
    readings, trades = recent_measures(), desk.newest_results(book)
    now = utc_now()
    gauges = build_market_gauges(
        frame["limits"],
        [*held["positions"], *held["dust"]],
        readings,
        loss_streaks(trader, at=now),
        at=now,
    )
    nearest, nearest_share = find_nearest(
        frame.get("daily_used"), frame.get("drawdown_used"), gauges
    )
    dealing = desk.next_dealing(book)
    asked = request.GET.get("role", "")
    return render_page(
        request,
        "desk/today.html",
        {
            **frame,
            "roles": roles_of(frame["work"]),
            "asked_role": asked,
            "shown_work": keep_role(frame["work"], asked),
            "strike": strike,
            "strike_classes": classes,
            **held,
            "dealing": dealing,
            "nearest": nearest,
            "nearest_share": nearest_share,
            "coming": desk.find_coming(dealing["day"] if dealing else None, len(readings)),
            "jobs": desk.find_jobs(),
            "parts": parts,
            "problems": trader.detail.get("problems", []) if trader is not None else [],
            "trades": [trade for trade in trades if trade.closed_at >= since][:8],
            "events": [e for e in desk.fuse_history(book, 8) if e.occurred_at >= since],
        },
        parts=("work",),
    )
