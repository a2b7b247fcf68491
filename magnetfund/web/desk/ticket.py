"""The order ticket: fill in, read what it would be, confirm, and the order is sent once.

The preview keeps nothing and is a GET; the confirmation carries a key that was made with the
preview, so sending the page twice is one order.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from urllib.parse import urlencode
from uuid import UUID, uuid4

from django import forms
from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from magnetfund.core.actors import actor_of
from magnetfund.core.doors import require_step_up_for_order
from magnetfund.core.roles import Capability
from magnetfund.core.services.idempotency import StoredAnswer
from magnetfund.core.templatetags.figures import multiple
from magnetfund.core.templatetags.figures import price as price_text
from magnetfund.core.templatetags.figures import quantity as quantity_text
from magnetfund.kernel.clock import utc_now
from magnetfund.kernel.errors import FundError
from magnetfund.kernel.money import round_to_step
from magnetfund.web.desk import selectors as desk
from magnetfund.web.desk.access import desk_view
from magnetfund.web.desk.frame import build_frame
from magnetfund.web.desk.order_words import say_codes, say_state
from magnetfund.web.forms import FigureField, figure_field, send_once
from magnetfund.web.parts import asked_part, render_page
from risk.domain.pretrade import Check, CheckStatus
from risk.domain.pretrade.check import SIZE_CONTROLS
from risk.services.limits import limits_in_force
from trading import selectors
from trading.models import Order, Position
from trading.services.manual import (
    close_position,
    preview_manual_order,
    submit_manual_order,
    wait_for_outcome,
)
from trading.services.manual_plan import ManualOrder, OrderPlan, live_price
from trading.services.settlement import ask_again, wait_for_settlement

#: Rooms in the list "largest now"; the tightest come first.
ROOMS_SHOWN = 3
WHY_MAX = 160
TIERS = {"1": "Tier 1", "2": "Tier 2", "3": "Tier 3"}


class TicketForm(forms.Form):
    """An entry by hand as it is typed in."""

    instrument = forms.ChoiceField()
    side = forms.ChoiceField(choices=[("long", "Buy (long)"), ("short", "Sell (short)")])
    amount = figure_field(label="Size")
    unit = forms.ChoiceField(label="Size in", choices=[("money", "USD"), ("units", "units")])
    leverage = figure_field(label="Leverage", initial="1.0")
    stop = figure_field(label="Stop price (required)")
    target = figure_field(label="Target price (optional)", required=False)
    tier = forms.ChoiceField(label="Margin tier", choices=list(TIERS.items()), initial="3")

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.instruments = selectors.active_instruments()
        field: Any = self.fields["instrument"]
        field.choices = [(item.symbol, f"{item.base}{item.quote}") for item in self.instruments]
        for bound in self.fields.values():
            kind = "form-select" if isinstance(bound, forms.ChoiceField) else "form-control mf-num"
            bound.widget.attrs["class"] = kind

    def request_of(self, *, book: str, seen: Decimal, why: str = "") -> ManualOrder:
        """The order as the services read it; ``seen`` is the price that the person decided on."""
        given = self.cleaned_data
        is_money = given["unit"] == "money"
        return ManualOrder(
            book=book,
            symbol=given["instrument"],
            direction=given["side"],
            tier=int(given["tier"]),
            entry_price=seen,
            stop_price=given["stop"],
            target_price=given["target"],
            leverage=given["leverage"],
            notional=given["amount"] if is_money else None,
            quantity=None if is_money else given["amount"],
            why=why,
        )


def ticket_context(
    form: TicketForm | None = None, *, marks: dict[str, Decimal] | None = None
) -> dict[str, Any]:
    """What the ticket's fields need on whichever page of the desk they stand."""
    if marks is None:
        marks = desk.live_marks(settings.MAGNET_BOOK)
    form = form or TicketForm()
    return {
        "ticket": form,
        "ticket_marks": [
            {
                "row": item,
                "mark": marks[item.symbol],
                "places": max(0, -int(item.tick.normalize().as_tuple().exponent)),
            }
            for item in form.instruments
            if item.symbol in marks
        ],
    }


@require_safe
@desk_view(Capability.ORDER_SUBMIT)
def preview(request: HttpRequest) -> HttpResponse:
    """The ticket with what it would be now, and the confirmation where nothing speaks against."""
    form = TicketForm(request.GET or None)
    field = asked_part(request, [f"{item.auto_id}_field" for item in form])
    if field:
        name = field.removeprefix("id_").removesuffix("_field")
        hint = limits_in_force(settings.MAGNET_BOOK).leverage_max if name == "leverage" else None
        context = {"field": form[name], "hint": hint and multiple(hint), "is_live": True}
        return render(request, "components/_field.html", context)
    context = {}
    if form.is_bound and form.is_valid():
        book = settings.MAGNET_BOOK
        try:
            seen = live_price(
                book, selectors.require_instrument(form.cleaned_data["instrument"])
            ).price
            plan = preview_manual_order(
                form.request_of(book=book, seen=seen), actor=actor_of(request)
            )
        except FundError as error:
            form.add_error(None, f"{error.sentence}.")
        else:
            context = _show_plan(plan)
    return render_page(
        request,
        "desk/ticket.html",
        {
            **build_frame(request, "trading"),
            **ticket_context(form),
            **context,
            "key": uuid4(),
            "why": request.GET.get("why", "")[:WHY_MAX],
        },
        parts=("preview",),
    )


def _share(amount: Decimal, equity: Decimal) -> Decimal | None:
    """A part of equity; none while the book has no capital."""
    return amount / equity if equity > 0 else None


def _show_plan(plan: OrderPlan) -> dict[str, Any]:
    """The plan's figures as the page prints them."""
    price, equity = plan.reference.price, plan.snapshot.equity
    notional = plan.quantity * price
    loss = plan.verdict.loss_at_stop
    per_unit = (
        (plan.target - price) * plan.side.sign - price * 2 * plan.instrument.taker_fee
        if plan.target is not None
        else None
    )
    gross = sum((abs(p.quantity) * p.mark for p in plan.snapshot.positions), Decimal(0))
    denials = [
        {"check": check, "allowed": _allowed(plan, check)}
        for check in plan.verdict.checks
        if check.status is CheckStatus.DENIED
    ]
    spoken = {check.control.value for check in plan.verdict.denials}
    return {
        "plan": plan,
        "now_at": utc_now(),
        "notional": notional,
        "margin": notional / plan.request.leverage,
        "margin_share": _share(notional / plan.request.leverage, equity),
        "loss": None if loss is None or not plan.quantity else -loss,
        "loss_share": None if loss is None or not plan.quantity else _share(-loss, equity),
        "reward": None if per_unit is None else per_unit * plan.quantity,
        "liquidation_distance": None
        if plan.liquidation_price is None
        else plan.liquidation_price / price - 1,
        "fund_leverage_before": _share(gross, equity),
        "fund_leverage_after": _share(gross + notional, equity),
        "rooms": _rooms(plan, price),
        "denials": denials,
        "refusals": say_codes(code for code in plan.refusals if code not in spoken),
        "passed": [c for c in plan.verdict.checks if c.status is CheckStatus.PASSED],
        "is_allowed": not plan.codes,
        "fields": {
            name: f"{value:f}" if isinstance(value, Decimal) else value
            for name, value in _plain_fields(plan).items()
            if value is not None
        },
    }


def _allowed(plan: OrderPlan, check: Check) -> str:
    """What this rule alone would let pass: whole lots for a size, a price otherwise."""
    if check.allowed is None:
        return ""
    if check.control not in SIZE_CONTROLS:
        return price_text(check.allowed, plan.instrument.tick)
    lot = plan.instrument.lot
    most = round_to_step(check.allowed, lot)
    return f"{quantity_text(max(most, Decimal(0)))} {plan.instrument.base}"


def _rooms(plan: OrderPlan, price: Decimal) -> list[dict[str, Any]]:
    lot = plan.instrument.lot
    rows = []
    for room in sorted(plan.sizing.rooms, key=lambda item: item.notional_max)[:ROOMS_SHOWN]:
        most = Decimal(str(room.notional_max))
        rows.append(
            {
                "words": room.words,
                "is_binding": room.is_binding,
                "quantity": round_to_step(most / price, lot),
                "share": plan.quantity * price / most if most > 0 else Decimal(1),
            }
        )
    return rows


def _plain_fields(plan: OrderPlan) -> dict[str, Any]:
    """The ticket again, as hidden fields of the confirmation."""
    asked = plan.request
    return {
        "instrument": asked.symbol,
        "side": asked.direction,
        "amount": asked.notional or asked.quantity,
        "unit": "money" if asked.notional is not None else "units",
        "leverage": asked.leverage,
        "stop": asked.stop_price,
        "target": asked.target_price,
        "tier": asked.tier,
        "seen": plan.reference.price,
    }


@require_POST
@desk_view(Capability.ORDER_SUBMIT)
def place(request: HttpRequest) -> HttpResponse:
    """Send the confirmed order; the same confirmation again changes nothing."""
    form = TicketForm(request.POST)
    again = f"{reverse('desk_ticket')}?{urlencode(_typed(request, form))}"
    seen = FigureField(min_value=Decimal("1e-12"), max_digits=30)
    try:
        price = seen.clean(request.POST.get("seen"))
    except forms.ValidationError:
        price = None
    if not form.is_valid() or price is None:
        messages.error(
            request, "Not sent: the ticket is incomplete. Complete it and preview again."
        )
        return redirect(again)
    if request.POST.get("understood") != "on":
        messages.error(request, "Not sent: tick the confirmation box first.")
        return redirect(again)
    why = request.POST.get("why", "")[:WHY_MAX]
    asked = form.request_of(book=settings.MAGNET_BOOK, seen=price, why=why)
    require_step_up_for_order(request, asked.stated_notional)

    def execute() -> StoredAnswer:
        order = submit_manual_order(asked, actor=actor_of(request))
        return StoredAnswer(status=303, body=str(order.id).encode(), content_type="text/plain")

    try:
        answer = send_once(request, execute)
    except FundError as error:
        messages.error(request, f"Not sent: {error.message}.")
        return redirect(again)
    _tell_outcome(request, UUID(answer.body.decode()), is_replay=answer.is_replay)
    return redirect("desk_trading")


@require_POST
@desk_view(Capability.ORDER_SUBMIT)
def ask(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Have the trader ask the venue what became of an order."""
    order = get_object_or_404(Order, pk=pk, book=settings.MAGNET_BOOK)
    try:
        ask_again(order, actor=actor_of(request))
    except FundError as error:
        messages.info(request, f"{error.sentence}.")
        return redirect("desk_trading")
    settled = wait_for_settlement(order.pk)
    if settled.state == order.state:
        messages.error(
            request,
            "No trader answered. Start it, or run manage.py settle_orders where none can run.",
        )
    else:
        messages.success(request, f"The venue answered: {say_state(settled.state, settled)}.")
    return redirect("desk_trading")


@require_http_methods(["GET", "HEAD", "POST"])
@desk_view(Capability.ORDER_SUBMIT)
def close(request: HttpRequest, pk: int) -> HttpResponse:
    """Close one position at the market after the page that says what that means."""
    book = settings.MAGNET_BOOK
    position = get_object_or_404(Position.objects.select_related("instrument"), pk=pk, book=book)
    if position.quantity == 0:
        messages.info(request, "This position is closed.")
        return redirect("desk_trading")
    if request.method != "POST":
        item = desk.show_positions([position], desk.live_marks(book))[0]
        return render_page(
            request,
            "desk/close.html",
            {**build_frame(request, "trading"), "item": item, "key": uuid4()},
            parts=("dialog",),
        )

    def execute() -> StoredAnswer:
        order = close_position(position=position, actor=actor_of(request))
        return StoredAnswer(status=303, body=str(order.id).encode(), content_type="text/plain")

    try:
        answer = send_once(request, execute)
    except FundError as error:
        messages.error(request, f"Not closed: {error.message}.")
    else:
        _tell_outcome(request, UUID(answer.body.decode()), is_replay=answer.is_replay)
    return redirect("desk_trading")


def _typed(request: HttpRequest, form: TicketForm) -> dict[str, str]:
    return {name: request.POST[name] for name in form.fields if name in request.POST}


def _tell_outcome(request: HttpRequest, order_id: UUID, *, is_replay: bool) -> None:
    """Show the outcome of the order as a message, after waiting briefly for the trader."""
    order = wait_for_outcome(order_id)
    if is_replay:
        messages.info(
            request, f"This order had already been sent; it was not sent again. {_outcome(order)}"
        )
    elif order.state in ("DENIED", "REJECTED", "EXPIRED"):
        messages.error(request, _outcome(order))
    else:
        messages.success(request, _outcome(order))


def _outcome(order: Order) -> str:
    what = f"{order.instrument.base} {order.side} {quantity_text(order.quantity)}"
    if order.state == "FILLED":
        return f"Filled: {what} at {price_text(order.average_price, order.instrument.tick)}."
    if order.state == "DENIED":
        said = " ".join(say_codes(order.denial_codes)) or order.reason
        return f"Denied, nothing was sent: {what}. {said}"
    if order.state in ("REJECTED", "EXPIRED"):
        return f"Not filled: {what} {order.state.lower()}. Nothing was traded."
    return f"{what} sent, awaiting fill. Follow it under Orders."
