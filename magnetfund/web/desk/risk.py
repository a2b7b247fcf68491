"""The Risk page and what is done on it: stop, disarm, ask for the fuse to be armed again."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from magnetfund.core.actors import actor_of
from magnetfund.core.roles import Capability
from magnetfund.core.services.signing import ARM, SignatureMissing, is_signed
from magnetfund.kernel.clock import utc_now
from magnetfund.kernel.errors import FundError
from magnetfund.web.desk import selectors as desk
from magnetfund.web.desk.access import desk_view
from magnetfund.web.desk.charts import (
    hourly_equity,
    intraday_chart,
    last_day,
)
from magnetfund.web.desk.frame import build_frame, equity_of
from magnetfund.web.desk.fuse_list import find_history
from magnetfund.web.desk.gauges import (
    build_market_gauges,
    draw_equity,
)
from magnetfund.web.desk.signing import go_to_sign, is_own
from magnetfund.web.desk.stresses import build_consequences, estimate_stop_cost, find_assets
from magnetfund.web.parts import render_page
from magnetfund.web.public.pages import asked_page
from risk.domain.fuse import is_reconciled_since
from risk.models import FuseEvent, FuseReset
from risk.services.fuse import disarm_fuse
from risk.services.fuse_reset import approve_reset, propose_reset, withdraw_reset
from risk.services.stop import stop_trading
from trading.models import Reconciliation
from trading.selectors.fuse import loss_streaks, recent_measures
from trading.selectors.research import find_survival
from trading.services.manual import ring_bell


@require_safe
@desk_view()
def risk(request: HttpRequest) -> HttpResponse:
    """The fuse by consequence, equity against its stops, positions, resets, the emergency stop."""
    book = settings.MAGNET_BOOK
    frame = build_frame(request, "risk")
    limits = frame["limits"]
    trader = frame["trader_beat"]
    held = desk.positions_context(book, equity_of(frame), marks=desk.marks_of(trader))
    everything = [*held["positions"], *held["dust"]]
    now = utc_now()
    readings = build_market_gauges(
        limits, everything, recent_measures(), loss_streaks(trader, at=now), at=now
    )
    open_reset, resets = desk.find_resets(book)
    reconciliation = desk.find_reconciliation(book)
    history = find_history(book, request.GET, number=asked_page(request))
    valuation = frame["valuation"]
    marked = last_day(book)
    age = (utc_now() - valuation.at).total_seconds() if valuation else None
    return render_page(
        request,
        "desk/risk.html",
        {
            **frame,
            **held,
            **{f"{name}_words": _room(frame, name) for name in ("daily_room", "drawdown_room")},
            "readings": readings,
            "equity_spark": draw_equity(marked),
            "warnings": [gauge for gauge in readings if gauge.is_warning],
            "stop_cost": estimate_stop_cost(everything),
            "assets": find_assets(everything),
            "consequences": build_consequences(everything, valuation, limits),
            "tripped": desk.find_trip(book, reconciliation, held["open_count"])
            if frame["fuse_state"] == "TRIPPED"
            else None,
            "reconciliation": reconciliation,
            "survival": find_survival(),
            "listing": history,
            "resets": resets,
            "open_reset": open_reset,
            "is_reset_signed": open_reset is not None
            and is_signed(open_reset.pk, open_reset.proposed_by),
            "intraday": intraday_chart(marked, valuation, limits),
            "hourly": hourly_equity(marked),
            "age_seconds": age,
            "age_room": None if age is None else max(0.0, float(limits.equity_age_max_s) - age),
        },
        parts=("history",),
    )


def _room(frame: dict[str, Any], name: str) -> str:
    """What may still be lost before a loss limit, in words."""
    if frame.get("has_no_capital"):
        return "no capital yet"
    return f"{frame[name]:,.0f} USD" if name in frame else ""


@require_safe
@desk_view(Capability.TRADING_STOP)
def confirm_stop(request: HttpRequest) -> HttpResponse:
    """What an emergency stop does and costs, before it is ordered; from any page of the desk."""
    frame = build_frame(request, "risk")
    marks = desk.marks_of(frame["trader_beat"])
    held = desk.positions_context(settings.MAGNET_BOOK, equity_of(frame), marks=marks)
    everything = [*held["positions"], *held["dust"]]
    return render_page(
        request,
        "desk/stop.html",
        {**frame, **held, "stop_cost": estimate_stop_cost(everything)},
        parts=("dialog",),
    )


@require_POST
@desk_view(Capability.TRADING_STOP)
def emergency_stop(request: HttpRequest) -> HttpResponse:
    """Trip and close everything; needs a reason and the tick."""
    if request.POST.get("understood") != "on":
        messages.error(
            request, "Not stopped. Tick the confirmation box, then press the stop button again."
        )
        return redirect("desk_risk")
    try:
        stop_trading(
            book=settings.MAGNET_BOOK,
            reason=request.POST.get("reason", ""),
            actor=actor_of(request),
        )
        ring_bell()
    except FundError as error:
        messages.error(request, f"Not stopped: {error.message}.")
    else:
        messages.success(request, "Trading is stopped. All positions are being closed now.")
    return redirect("desk_risk")


@require_POST
@desk_view(Capability.FUSE_DISARM)
def disarm(request: HttpRequest) -> HttpResponse:
    """Disarm the fuse: one risk officer, a reason; positions keep their stops."""
    try:
        disarm_fuse(
            book=settings.MAGNET_BOOK,
            reason=request.POST.get("reason", ""),
            actor=actor_of(request),
        )
        ring_bell()
    except FundError as error:
        messages.error(request, f"Not disarmed: {error.message}.")
    else:
        messages.success(
            request, "The fuse is disarmed. No order can add exposure until two people re-arm it."
        )
    return redirect("desk_risk")


@require_POST
@desk_view(Capability.FUSE_RESET, step_up=True)
def request_reset(request: HttpRequest) -> HttpResponse:
    """Ask for the fuse to be armed again; another risk officer approves."""
    book = settings.MAGNET_BOOK
    newest = (
        Reconciliation.objects.filter(book=book, is_clean=True).order_by("-occurred_at").first()
    )
    try:
        tripped = (
            FuseEvent.objects.filter(book=book, kind="tripped").order_by("-occurred_at").first()
        )
        if newest is None or not is_reconciled_since(
            reconciled_at=newest.occurred_at,
            tripped_at=None if tripped is None else tripped.occurred_at,
        ):
            messages.error(
                request,
                "Not requested: the books have not been reconciled since the trip. Reconciliation "
                "runs every minute; try again shortly.",
            )
            return redirect("desk_risk")
        propose_reset(
            book=book,
            reason=request.POST.get("reason", ""),
            reconciliation=str(newest.pk),
            actor=actor_of(request),
        )
    except FundError as error:
        messages.error(request, f"Not requested: {error.message}.")
    else:
        messages.success(request, "Request sent. Sign it; a second risk officer must approve it.")
    return redirect("desk_risk")


@require_POST
@desk_view(Capability.FUSE_RESET, step_up=True)
def decide_reset(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Approve, sign or withdraw an open request; whoever has not signed is sent to sign first."""
    reset = get_object_or_404(FuseReset, pk=pk, book=settings.MAGNET_BOOK)
    try:
        if request.POST.get("decision") == "sign":
            return go_to_sign(request, action=ARM, subject=reset.pk, back=reverse("desk_risk"))
        if request.POST.get("decision") == "approve":
            approve_reset(reset=reset, actor=actor_of(request))
            ring_bell()
            messages.success(request, "The fuse is armed.")
        else:
            withdraw_reset(reset=reset, actor=actor_of(request))
            messages.success(request, "The request is withdrawn.")
    except SignatureMissing as error:
        if is_own(request, error):
            return go_to_sign(request, action=ARM, subject=reset.pk, back=reverse("desk_risk"))
        messages.error(request, f"Not saved: {error.message}.")
    except FundError as error:
        messages.error(request, f"Not saved: {error.message}.")
    return redirect("desk_risk")
