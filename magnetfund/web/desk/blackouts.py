"""Dated events on the desk: what bars entries and when, entered and withdrawn."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from magnetfund.core.actors import actor_of
from magnetfund.core.roles import Capability
from magnetfund.kernel.clock import utc_now
from magnetfund.kernel.errors import FundError, InvalidInput
from magnetfund.web.desk.access import desk_view
from magnetfund.web.desk.frame import build_frame
from trading import selectors
from trading.services.blackouts import enter_blackout, list_blackouts, withdraw_blackout

FIELDS = {"title": "", "instrument": "", "event_at": "", "before": "60", "after": "60"}
SHOWN = 100


@require_safe
@desk_view()
def blackouts(request: HttpRequest) -> HttpResponse:
    """Events to come and past ones, with the form for another."""
    return _page(request, dict(FIELDS))


def _page(
    request: HttpRequest, given: dict[str, str], error: str = "", status: int = 200
) -> HttpResponse:
    now = utc_now()
    rows = list_blackouts(settings.MAGNET_BOOK)
    context = {
        "given": given,
        "error": error,
        "now": now,
        "coming": rows.filter(ends_at__gt=now)[:SHOWN],
        "past": rows.filter(ends_at__lte=now).order_by("-event_at", "-id")[:SHOWN],
        "instruments": selectors.active_instruments(),
    }
    frame = build_frame(request, "risk")
    return render(request, "desk/blackouts.html", {**frame, **context}, status=status)


@require_POST
@desk_view(Capability.TRADING_STOP)
def enter(request: HttpRequest) -> HttpResponse:
    """Bar entries around an event; what is wrong is told above the form and nothing is stored."""
    given = {name: request.POST.get(name, "")[:200] for name in FIELDS}
    try:
        row = enter_blackout(
            book=settings.MAGNET_BOOK,
            title=given["title"],
            event_at=_read_instant(given["event_at"]),
            before_minutes=_read_minutes(given["before"]),
            after_minutes=_read_minutes(given["after"]),
            symbol=given["instrument"] or None,
            actor=actor_of(request),
        )
    except FundError as error:
        return _page(request, given, error.sentence, status=422)
    messages.success(request, f"Nothing is opened around {row.title}.")
    return redirect("desk_blackouts")


@require_POST
@desk_view(Capability.LIMITS_PROPOSE)
def withdraw(request: HttpRequest, pk: int) -> HttpResponse:
    """Let entries through again, with a reason."""
    try:
        row = withdraw_blackout(
            book=settings.MAGNET_BOOK,
            number=pk,
            reason=request.POST.get("reason", ""),
            actor=actor_of(request),
        )
    except FundError as error:
        messages.error(request, f"Not withdrawn: {error.message}.")
    else:
        messages.success(request, f"{row.title} is withdrawn; it bars nothing any more.")
    return redirect("desk_blackouts")


def _read_instant(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError:
        raise InvalidInput("enter day and time of the event", code="bad_date") from None
    found = found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    if not timedelta(0) <= abs(found - utc_now()) < timedelta(days=20 * 366):
        raise InvalidInput("the event lies within twenty years of today", code="bad_date")
    return found


def _read_minutes(text: str) -> int:
    if not text.strip().isdecimal() or len(text.strip()) > 6:
        raise InvalidInput("minutes are whole numbers", code="blackout_span")
    return int(text)
