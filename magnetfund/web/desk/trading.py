"""Trading and Signals: positions, orders, fills, trades; the chart and what came of it."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from magnetfund.web.desk import selectors as desk
from magnetfund.web.desk.access import desk_view
from magnetfund.web.desk.charts import (
    candle_chart,
    newest_bars,
)
from magnetfund.web.desk.frame import build_frame, equity_of
from magnetfund.web.desk.order_list import find_order_page
from magnetfund.web.desk.ticket import ticket_context
from magnetfund.web.desk.trade_list import find_sleeves, find_trade_page
from magnetfund.web.parts import render_page
from magnetfund.web.public.pages import asked_page
from risk.domain.limits import Limits
from trading import selectors
from trading.models import Instrument


@require_safe
@desk_view()
def trading(request: HttpRequest) -> HttpResponse:
    """Positions, orders and their life, fills, closed trades."""
    book = settings.MAGNET_BOOK
    frame = build_frame(request, "trading")
    marks = desk.marks_of(frame["trader_beat"])
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
            **desk.positions_context(book, equity_of(frame), marks=marks),
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
def orders(request: HttpRequest) -> HttpResponse:
    """Every order with each state that it has been in."""
    frame = build_frame(request, "trading")
    listing = find_order_page(
        settings.MAGNET_BOOK,
        request.GET,
        number=asked_page(request),
        bases=sorted({item.base for item in selectors.active_instruments()}),
        sleeves=[*find_sleeves(), "manual"],
    )
    context = {"listing": listing, "can_close": "order_submit" in frame["capabilities"]}
    return render_page(request, "desk/orders.html", {**frame, **context}, parts=("orders",))


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


def _signal_context(instrument: Instrument, limits: Limits) -> dict[str, Any]:
    from magnetfund.web.desk.signal_page import explain_signal
    from magnetfund.web.desk.stream_page import explain_stream

    signal = desk.newest_reading(instrument)
    return {
        "signal": signal,
        "candles": candle_chart(instrument, signal),
        "bars": newest_bars(instrument),
        "book": explain_stream(instrument, signal),
        **explain_signal(instrument, signal, limits),
    }
