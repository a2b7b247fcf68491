"""The pages Market and Instruments: where prices come from, and what this home trades."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST, require_safe

from magnetfund.core.actors import actor_of
from magnetfund.core.roles import Capability
from magnetfund.kernel.errors import FundError, InvalidInput
from magnetfund.web.desk.access import desk_view
from magnetfund.web.desk.frame import build_frame
from magnetfund.web.desk.market_page import (
    FOLLOWS,
    list_events,
    list_instruments,
    list_leverage,
    say_event,
    say_start,
)
from magnetfund.web.parts import render_page
from trading.domain.market.symbols import SIMULATED
from trading.models import BookMember, Instrument, Position, Strategy
from trading.services.instrument_search import add_from_exchange, search_exchange
from trading.services.instruments import get_instrument
from trading.services.market_choice import followed_exchange
from trading.services.membership import change_members, members_of

MOVES = {
    "add": BookMember.State.TRADING,
    "pause": BookMember.State.PAUSED,
    "resume": BookMember.State.TRADING,
    "remove": BookMember.State.LEAVING,
}
SEARCH_MAX = 30


@require_safe
@desk_view()
def market(request: HttpRequest) -> HttpResponse:
    """Per instrument: source, age, gaps, spread, book, funding, and what it means for the fuse."""
    frame = build_frame(request, "market")
    events = list_events(symbol=request.GET.get("instrument", "")[:60])
    context = {
        "items": list_instruments(frame["market"], frame.get("daily_room")),
        "leverage": list_leverage(),
        "events": [
            {"row": row, "words": say_event(row), "follows": FOLLOWS.get(row.kind, "")}
            for row in events
        ],
        "asked": request.GET.get("instrument", "")[:60],
        "starting": say_start(frame["trader_beat"]),
    }
    return render_page(
        request, "desk/market.html", {**frame, **context}, parts=["market-now", "market-events"]
    )


@require_safe
@desk_view()
def instruments(request: HttpRequest) -> HttpResponse:
    """What this home knows and trades, each with who stated its terms; a search at the venue."""
    asked = request.GET.get("q", "").strip()[:SEARCH_MAX]
    exchange = request.GET.get("exchange", "").strip()[:SEARCH_MAX]
    may_import = Capability.MARKET_IMPORT in _capabilities(request)
    found: list[str] = []
    refusal = None
    if asked and may_import:
        try:
            found = search_exchange(asked, exchange=exchange)
        except FundError as error:
            refusal = error
    context = {
        "rows": _rows(),
        "asked": asked,
        "exchange": exchange,
        "followed": followed_exchange(),
        "found": found,
        "refusal": refusal,
        "may_import": may_import,
        "can_stop": Capability.TRADING_STOP in _capabilities(request),
        "can_trade": Capability.ORDER_SUBMIT in _capabilities(request),
        "strategies": list(
            Strategy.objects.filter(is_active=True).order_by("code").values_list("code", flat=True)
        ),
    }
    return render_page(
        request,
        "desk/instruments.html",
        {**build_frame(request, "market"), **context},
        parts=["instruments"],
    )


def _rows() -> list[dict[str, Any]]:
    members: dict[int, list[Any]] = {}
    for member in members_of(settings.MAGNET_BOOK).members:
        members.setdefault(member.instrument.pk, []).append(member)
    return [
        {"row": row, "members": members.get(row.pk, []), "is_simulated": row.venue == SIMULATED}
        for row in Instrument.objects.order_by("-is_active", "symbol", "venue")
    ]


class AddForm(forms.Form):
    """A symbol of the venue that this home trades."""

    symbol = forms.CharField(max_length=60)
    exchange = forms.CharField(max_length=SEARCH_MAX, required=False)


@require_POST
@desk_view(Capability.MARKET_IMPORT)
def add_instrument(request: HttpRequest) -> HttpResponse:
    """Take an instrument's terms from the venue, so that the book may trade it."""
    form = AddForm(request.POST)
    if not form.is_valid():
        messages.error(request, "Name one symbol, for example ETH/USDT:USDT.")
        return redirect("desk_instruments")
    try:
        row = add_from_exchange(
            form.cleaned_data["symbol"],
            exchange=form.cleaned_data["exchange"],
            actor=actor_of(request),
        )
    except FundError as error:
        messages.error(request, f"Not added: {error.message}. ({error.code})")
    else:
        messages.success(
            request,
            f"{row.symbol} is known now ({row.metadata_source}). "
            + (
                "Backfill its candles, then add it to a strategy."
                if members_of(settings.MAGNET_BOOK).members
                else "The trader fetches its history and begins."
            ),
        )
    return redirect("desk_instruments")


class SlotForm(forms.Form):
    """Which change of which slot is asked for."""

    move = forms.ChoiceField(choices=[(name, name) for name in MOVES])
    strategy = forms.CharField(max_length=40)
    symbol = forms.CharField(max_length=60)
    venue = forms.CharField(max_length=30)


class MemberForm(SlotForm):
    """A change with the reason that is kept with it."""

    reason = forms.CharField(max_length=300)


@require_safe
@desk_view(Capability.TRADING_STOP)
def confirm_member(request: HttpRequest) -> HttpResponse:
    """What a change means for what is held, before it is made."""
    form = SlotForm(request.GET)
    try:
        if not form.is_valid():
            raise InvalidInput("name the strategy and the instrument", code="no_slot")
        given = form.cleaned_data
        row = get_instrument(given["symbol"], venue=given["venue"])
    except FundError as error:
        messages.error(request, f"Nothing changed: {error.message}. ({error.code})")
        return redirect("desk_instruments")
    held = Position.objects.filter(
        book=settings.MAGNET_BOOK, instrument=row, strategy=given["strategy"]
    ).first()
    context = {**given, "row": row, "held": held.quantity if held is not None else Decimal(0)}
    return render_page(
        request,
        "desk/member_change.html",
        {**build_frame(request, "market"), **context},
        parts=("dialog",),
    )


@require_POST
@desk_view(Capability.TRADING_STOP)
def change_member(request: HttpRequest) -> HttpResponse:
    """Add, pause, resume or remove a strategy on an instrument; the running trader follows."""
    form = MemberForm(request.POST)
    if not form.is_valid():
        messages.error(request, "Nothing changed: give the strategy, the instrument and a reason.")
        return redirect("desk_instruments")
    given = form.cleaned_data
    try:
        change_members(
            book=settings.MAGNET_BOOK,
            strategies=[given["strategy"]],
            instruments=[get_instrument(given["symbol"], venue=given["venue"])],
            state=MOVES[given["move"]],
            reason=given["reason"],
            actor=actor_of(request),
        )
    except FundError as error:
        messages.error(request, f"Nothing changed: {error.message}. ({error.code})")
    else:
        messages.success(request, f"{given['strategy']} on {given['symbol']}: {given['move']}.")
    return redirect("desk_instruments")


def _capabilities(request: HttpRequest) -> set[Capability]:
    user: Any = request.user
    return set(user.capabilities)
