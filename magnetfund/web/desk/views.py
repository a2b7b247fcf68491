"""The staff desk: Today, Risk, Trading, Signals, Fund.  Reads by selectors, acts by services."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.db.models import Count, Exists, OuterRef, Sum
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from investors.models import ClassNav, DealingDay, Fund, LotNav, NavStrike
from investors.selectors import read_balance_sheet, read_dealing
from investors.services.nav import (
    approve_strike,
    find_due_period_end,
    prepare_strike,
    reject_strike,
)
from magnetfund.core.models import Heartbeat
from magnetfund.core.roles import Capability
from magnetfund.kernel.clock import utc_now
from magnetfund.kernel.errors import FundError
from magnetfund.web.desk import selectors as desk
from magnetfund.web.desk.access import desk_view
from magnetfund.web.desk.charts import (
    candle_chart,
    hourly_equity,
    intraday_chart,
    last_day,
    newest_bars,
)
from magnetfund.web.desk.frame import actor_of, build_frame
from magnetfund.web.desk.gauges import (
    draw_equity,
    find_market_gauges,
    find_nearest,
)
from magnetfund.web.desk.open_work import keep_role, roles_of
from magnetfund.web.desk.stresses import find_assets, find_consequences, find_stop_cost
from magnetfund.web.desk.ticket import ticket_context
from magnetfund.web.desk.trade_list import find_trade_page
from magnetfund.web.parts import render_page
from magnetfund.web.public.pages import asked_page
from risk.domain.fuse import is_reconciled_since
from risk.domain.limits import LimitSet
from risk.models import FuseEvent, FuseReset
from risk.services.fuse import approve_reset, disarm_fuse, propose_reset, withdraw_reset
from risk.services.stop import stop_trading
from trading import selectors
from trading.fuse_selectors import loss_streaks, recent_measures
from trading.models import Instrument, Reconciliation
from trading.services.manual import ring_bell

MONTHS_SHOWN = 24
LOTS_SHOWN = 60
#: Steps of a waterfall that sum what stands above them.
SUBTOTALS = ("net assets before fees", "gross asset value", "NAV before performance fee")


def _equity(frame: dict[str, Any]) -> Decimal | None:
    valuation = frame["valuation"]
    return valuation.equity if valuation is not None else None


@require_safe
@desk_view()
def today(request: HttpRequest) -> HttpResponse:
    """Open tasks, four key figures and scheduled jobs."""
    book = settings.MAGNET_BOOK
    frame = build_frame(request, "today")
    strike, classes = desk.newest_strike(book)
    parts = desk.parts_alive()
    trader = next((p for p in parts if (p.part, p.instance) == ("trader", book)), None)
    since = timezone.now().replace(hour=0, minute=0, second=0, microsecond=0)
    held = desk.positions_context(book, _equity(frame), marks=desk.marks_of(trader))
    readings, trades = recent_measures(), desk.newest_results(book)
    now = utc_now()
    gauges = find_market_gauges(
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


@require_safe
@desk_view()
def risk(request: HttpRequest) -> HttpResponse:
    """The fuse by consequence, equity against its stops, positions, resets, the emergency stop."""
    book = settings.MAGNET_BOOK
    frame = build_frame(request, "risk")
    limits = frame["limits"]
    held = desk.positions_context(book, _equity(frame))
    everything = [*held["positions"], *held["dust"]]
    trader = Heartbeat.objects.filter(part="trader", instance=book).first()
    now = utc_now()
    readings = find_market_gauges(
        limits, everything, recent_measures(), loss_streaks(trader, at=now), at=now
    )
    open_reset, resets = desk.find_resets(book)
    reconciliation = desk.find_reconciliation(book)
    history = desk.fuse_history(book, 15)
    valuation = frame["valuation"]
    marked = last_day(book)
    age = (utc_now() - valuation.at).total_seconds() if valuation else None
    return render_page(
        request,
        "desk/risk.html",
        {
            **frame,
            **held,
            "readings": readings,
            "equity_spark": draw_equity(marked),
            "warnings": [gauge for gauge in readings if gauge.is_warning],
            "stop_cost": find_stop_cost(everything),
            "assets": find_assets(everything),
            "consequences": find_consequences(everything, valuation, limits),
            "tripped": desk.find_trip(book, history, reconciliation, held["open_count"])
            if frame["fuse_state"] == "TRIPPED"
            else None,
            "reconciliation": reconciliation,
            "history": history,
            "resets": resets,
            "open_reset": open_reset,
            "intraday": intraday_chart(marked, valuation, limits),
            "hourly": hourly_equity(marked),
            "age_seconds": age,
            "age_room": None if age is None else max(0.0, float(limits.equity_age_max_s) - age),
        },
        parts=(),
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
@desk_view(Capability.FUSE_RESET)
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
        messages.success(request, "Request sent. A second risk officer must approve it.")
    return redirect("desk_risk")


@require_POST
@desk_view(Capability.FUSE_RESET)
def decide_reset(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Approve or withdraw an open request."""
    reset = get_object_or_404(FuseReset, pk=pk, book=settings.MAGNET_BOOK)
    try:
        if request.POST.get("decision") == "approve":
            approve_reset(reset=reset, actor=actor_of(request))
            ring_bell()
            messages.success(request, "The fuse is armed.")
        else:
            withdraw_reset(reset=reset, actor=actor_of(request))
            messages.success(request, "The request is withdrawn.")
    except FundError as error:
        messages.error(request, f"Not saved: {error.message}.")
    return redirect("desk_risk")


@require_safe
@desk_view()
def trading(request: HttpRequest) -> HttpResponse:
    """Positions, orders and their life, fills, closed trades."""
    book = settings.MAGNET_BOOK
    frame = build_frame(request, "trading")
    marks = desk.live_marks(book)
    ticket = ticket_context(marks=marks) if "order_submit" in frame["capabilities"] else {}
    instruments = ticket["ticket"].instruments if ticket else selectors.active_instruments()
    listing = find_trade_page(
        book,
        request.GET,
        number=asked_page(request),
        bases=sorted({item.base for item in instruments}),
    )
    return render_page(
        request,
        "desk/trading.html",
        {
            **frame,
            **desk.positions_context(book, _equity(frame), marks=marks),
            **ticket,
            "can_close": "order_submit" in frame["capabilities"],
            "orders": desk.order_lives(selectors.recent_orders(book, limit=14)),
            "fills": selectors.recent_fills(book, limit=7),
            "listing": listing,
        },
        parts=("trades", "positions"),
    )


@require_safe
@desk_view()
def signals(request: HttpRequest) -> HttpResponse:
    """Candles with magnets, the leverage equation, and what came of it."""
    frame = build_frame(request, "signals")
    instruments = selectors.active_instruments()
    chosen = next(
        (item for item in instruments if str(item.pk) == request.GET.get("instrument")),
        instruments[0] if instruments else None,
    )
    context: dict[str, Any] = {"instruments": instruments, "instrument": chosen}
    if chosen is not None:
        context.update(_signal_context(chosen, frame["limits"]))
    return render_page(request, "desk/signals.html", {**frame, **context}, parts=())


def _signal_context(instrument: Instrument, limits: LimitSet) -> dict[str, Any]:
    from magnetfund.web.desk.signal_page import explain_signal

    signal = desk.newest_reading(instrument)
    return {
        "signal": signal,
        "candles": candle_chart(instrument, signal),
        "bars": newest_bars(instrument),
        **explain_signal(instrument, signal, limits),
    }


@require_safe
@desk_view()
def nav(request: HttpRequest) -> HttpResponse:
    """The strike: waterfall, balance, signatures, checklist, second engine, lots, versions."""
    frame = build_frame(request, "nav")
    fund = Fund.objects.filter(book=settings.MAGNET_BOOK).first()
    # The inputs that a strike froze hold a line a lot; no page shows them.
    strikes = list(
        NavStrike.objects.filter(fund=fund)
        .select_related("prepared_by", "approved_by")
        .defer("inputs")
        .order_by("-valuation_at", "-version")[:MONTHS_SHOWN]
    )
    chosen = next((s for s in strikes if str(s.pk) == request.GET.get("strike")), None) or (
        strikes[0] if strikes else None
    )
    context: dict[str, Any] = {"fund": fund, "strikes": strikes, "strike": chosen}
    if chosen is not None and fund is not None:
        context.update(_strike_context(chosen, fund))
    if fund is not None:
        context["due_day"] = _due_day(fund)
    context["can_decide"] = (
        chosen is not None
        and chosen.state == NavStrike.State.PREPARED
        and chosen.prepared_by_id != request.user.pk
        and "nav_approve" in frame["capabilities"]
    )
    return render_page(request, "desk/nav.html", {**frame, **context}, parts=())


def _due_day(fund: Fund) -> DealingDay | None:
    """The oldest dealing day that has come and has no strike in force or waiting."""
    done = NavStrike.objects.filter(
        fund=fund,
        valuation_at=OuterRef("valuation_at"),
        state__in=["prepared", "approved", "dealt"],
    )
    return (
        DealingDay.objects.filter(~Exists(done), fund=fund, valuation_at__lte=utc_now())
        .order_by("day")
        .first()
    )


def _strike_context(strike: NavStrike, fund: Fund) -> dict[str, Any]:
    classes = list(ClassNav.objects.filter(strike=strike).select_related("share_class"))
    second = strike.second_engine or {}
    lots = LotNav.objects.filter(strike=strike)
    steps = [(name, Decimal(amount)) for name, amount in strike.waterfall]
    largest = max((abs(amount) for _, amount in steps), default=Decimal(1)) or Decimal(1)
    return {
        "classes": classes,
        "steps": [
            {
                "name": name,
                "amount": amount,
                "share": abs(amount) / largest,
                "shape": "is-sub is-end"
                if number == len(steps)
                else ("is-sub" if name in SUBTOTALS else ""),
            }
            for number, (name, amount) in enumerate(steps, start=1)
        ],
        "second": [{"row": row, "other": second.get(row.share_class.code, {})} for row in classes],
        "lots": list(
            lots.select_related("lot__holding__investor").order_by("lot__number")[:LOTS_SHOWN]
        ),
        **lots.aggregate(lot_count=Count("pk"), lot_units=Sum("units"), lot_value=Sum("net_value")),
        "sheet": read_balance_sheet(strike, fund),
        "dealing": read_dealing(strike) if strike.state == NavStrike.State.PREPARED else None,
        "rounding": sum((row.rounding for row in classes), Decimal(0)),
        "passed": sum(1 for line in strike.checklist if line["passed"]),
    }


@require_POST
@desk_view(Capability.NAV_PREPARE)
def prepare_nav(request: HttpRequest) -> HttpResponse:
    """Prepare the strike of the dealing day that is due."""
    fund = Fund.objects.filter(book=settings.MAGNET_BOOK).first()
    day = _due_day(fund) if fund is not None else None
    if fund is None or day is None:
        messages.error(request, "No dealing day is due.")
        return redirect("desk_nav")
    try:
        # A fiscal period that ended before the dealing day is struck first, by itself.
        ends = find_due_period_end(fund, before=day.valuation_at)
        prepare_strike(
            fund=fund,
            valuation_at=ends or day.valuation_at,
            dealing_day=None if ends else day,
            actor=actor_of(request),
        )
    except FundError as error:
        messages.error(request, f"Not prepared: {error.message}.")
    else:
        messages.success(request, "NAV prepared. Another person must approve it.")
    return redirect("desk_nav")


@require_POST
@desk_view(Capability.NAV_APPROVE)
def decide_nav(request: HttpRequest, pk: str) -> HttpResponse:
    """Approve the strike that was shown, or return it with a reason."""
    strike = get_object_or_404(NavStrike, pk=pk, fund__book=settings.MAGNET_BOOK)
    try:
        if request.POST.get("decision") == "approve":
            approve_strike(
                strike=strike, seen_hash=request.POST.get("hash", ""), actor=actor_of(request)
            )
            messages.success(request, "NAV approved and orders dealt.")
        else:
            reject_strike(
                strike=strike, reason=request.POST.get("reason", ""), actor=actor_of(request)
            )
            messages.success(request, "Returned to the preparer.")
    except FundError as error:
        messages.error(request, f"Not saved: {error.message}.")
    return redirect("desk_nav")
