"""An investor's own orders: try one out, confirm it, follow it, cancel it before the cut-off.

Trying out is a GET and keeps nothing.  The confirmation carries a key made with the page, so that
sending it twice is one order.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from urllib.parse import urlencode
from uuid import UUID, uuid4

from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.cache import caches
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from investors.models import (
    Application,
    DealingOrder,
    Fund,
    Holding,
    Investor,
    NavStrike,
    ShareClass,
)
from investors.services.dealing import (
    OPEN_STATES,
    can_cancel,
    cancel_order,
    find_dealing_day,
    submit_redemption,
    submit_subscription,
)
from investors.services.dealing_quotes import quote_redemption, quote_subscription
from investors.services.estimates import PriceEstimate, estimate_prices
from investors.services.money_accounts import approved_accounts
from investors.services.order_figures import account_for
from investors.services.papers import contract_note, list_notes, note_download
from magnetfund.core.actors import actor_of
from magnetfund.core.doors import require_step_up
from magnetfund.core.services.idempotency import StoredAnswer
from magnetfund.kernel.clock import utc_now
from magnetfund.kernel.errors import FundError
from magnetfund.web.forms import figure_field, send_once
from magnetfund.web.parts import render_page, send_pdf
from magnetfund.web.portal.access import PAPERS, is_of_holder, ordering_investor, seen_investor
from magnetfund.web.public.pages import page_context

#: How long one estimate of the prices serves everybody, in seconds.
ESTIMATE_SECONDS = 30
CONFIRM = "Tick the box first: the price is not known yet."


class RedeemForm(forms.Form):
    """Units, an amount, or everything of one class."""

    share_class = forms.ModelChoiceField(
        ShareClass.objects.none(), label="Class", to_field_name="code"
    )
    what = forms.ChoiceField(
        label="Redeem",
        choices=[("units", "a number of units"), ("amount", "an amount"), ("all", "all units")],
    )
    size = figure_field(label="How much", required=False)

    def __init__(self, investor: Investor, data: Any = None) -> None:
        super().__init__(data)
        field: Any = self.fields["share_class"]
        field.queryset = own_fund().filter(holdings__investor=investor, holdings__units__gt=0)
        _style(self)

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        if given.get("what") != "all" and "size" in given and given["size"] is None:
            self.add_error("size", "Required.")
        return given


class SubscribeForm(forms.Form):
    """An amount in one class."""

    share_class = forms.ModelChoiceField(
        ShareClass.objects.none(), label="Class", to_field_name="code"
    )
    amount = figure_field(label="Amount")

    def __init__(self, data: Any = None, *, initial: dict[str, Any] | None = None) -> None:
        super().__init__(data, initial=initial)
        field: Any = self.fields["share_class"]
        field.queryset = own_fund()
        _style(self)


def own_fund() -> Any:
    return (
        ShareClass.objects.filter(fund__book=settings.MAGNET_BOOK)
        .select_related("fund")
        .order_by("code")
    )


def _style(form: forms.Form) -> None:
    for field in form.fields.values():
        is_choice = isinstance(field, forms.ChoiceField)
        field.widget.attrs["class"] = "form-select" if is_choice else "form-control mf-num"
    chooser: Any = form.fields["share_class"]
    chooser.label_from_instance = lambda item: f"{item.code}, {item.name}"
    chooser.empty_label = None
    # Read once: the widget asks for its choices twice, and each time is a query, as is their count.
    chooser.choices = list(iter(chooser.choices))


def estimate_of(fund: Fund) -> PriceEstimate | None:
    found: PriceEstimate | None = caches["process"].get_or_set(
        f"portal:prices:{fund.pk}",
        lambda: estimate_prices(fund, at=utc_now()),
        ESTIMATE_SECONDS,
    )
    return found


def frame_of(request: HttpRequest, investor: Investor, place: str) -> dict[str, Any]:
    fund = Fund.objects.filter(book=settings.MAGNET_BOOK).first()
    return {**page_context(request, place), "investor": investor, "fund": fund}


def own_holdings(investor: Investor) -> list[Holding]:
    """Holdings with units, each with what no open order reserves as ``free``."""
    holdings = list(
        Holding.objects.filter(
            investor=investor, units__gt=0, share_class__fund__book=settings.MAGNET_BOOK
        ).select_related("share_class")
    )
    for row in holdings:
        row.free = row.units - row.reserved_units  # type: ignore[attr-defined]  # for the page
    return holdings


def _redemption(request: HttpRequest, investor: Investor) -> dict[str, Any]:
    """The form as it is filled in, with its quote or its refusal."""
    form = RedeemForm(investor, request.GET or None)
    context: dict[str, Any] = {"form": form, "quote": None, "refusal": None}
    if form.is_bound and form.is_valid():
        given = form.cleaned_data
        size = given["size"]
        try:
            context["quote"] = quote_redemption(
                investor=investor,
                share_class=given["share_class"],
                estimate=estimate_of(given["share_class"].fund),
                at=utc_now(),
                units=size if given["what"] == "units" else None,
                amount=size if given["what"] == "amount" else None,
            )
        except FundError as error:
            context["refusal"] = error
    quote = context["quote"]
    if quote is not None:
        context["gate_least"] = quote.gate.least * quote.units
        context["gate_most"] = quote.gate.most * quote.units
        context["confirm_query"] = urlencode(
            {
                "share_class": quote.share_class.code,
                "what": "all" if quote.is_all else "units",
                "size": "" if quote.is_all else f"{quote.units:f}",
            }
        )
    return context


@require_safe
@login_required
def redeem(request: HttpRequest) -> HttpResponse:
    """Try out a redemption: day, units, fees and the estimated money; nothing is ordered."""
    investor = ordering_investor(request, "may_redeem")
    context = {
        **frame_of(request, investor, "redeem"),
        "holdings": own_holdings(investor),
        **_redemption(request, investor),
    }
    return render_page(request, "portal/redeem.html", context, parts=("simulator",))


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def confirm_redemption(request: HttpRequest) -> HttpResponse:
    """What exactly would be ordered; a POST orders it once, with a fresh second factor."""
    investor = ordering_investor(request, "may_redeem")
    if request.method != "POST":
        context = _redemption(request, investor)
        if context["quote"] is None:
            return go_to(f"{reverse('redeem')}?{request.GET.urlencode()}")
        page = {**frame_of(request, investor, "redeem"), **context, "key": uuid4()}
        return render_page(request, "portal/redeem_confirm.html", page, parts=())
    require_step_up(request)
    form = RedeemForm(investor, request.POST)
    back = f"{reverse('redeem')}?{typed_query(request, form)}"
    if not is_of_holder(request, investor):
        return go_to(reverse("redeem"))
    if not form.is_valid() or form.cleaned_data["what"] == "amount":
        messages.error(request, "Not ordered: the order is incomplete. Calculate it again.")
        return go_to(back)
    given = form.cleaned_data

    def order() -> DealingOrder:
        return submit_redemption(
            investor=investor,
            share_class=given["share_class"],
            units=given["size"] if given["what"] == "units" else None,
            actor=actor_of(request),
        )

    return send_order(request, order, back)


@require_safe
@login_required
def subscribe(request: HttpRequest) -> HttpResponse:
    """Try out a subscription: day, fee, estimated units, minimum; nothing is ordered."""
    investor = ordering_investor(request, "may_subscribe")
    context = {**frame_of(request, investor, "subscribe"), **_subscription(request, investor)}
    context["day"] = (
        find_dealing_day(context["fund"], received_at=utc_now()) if context["fund"] else None
    )
    return render_page(request, "portal/subscribe.html", context, parts=("simulator",))


def _subscription(request: HttpRequest, investor: Investor) -> dict[str, Any]:
    form = SubscribeForm(request.GET or None, initial=_applied_for(investor))
    context: dict[str, Any] = {"form": form, "quote": None, "refusal": None}
    if form.is_bound and form.is_valid():
        given = form.cleaned_data
        try:
            context["quote"] = quote_subscription(
                investor=investor,
                share_class=given["share_class"],
                estimate=estimate_of(given["share_class"].fund),
                amount=given["amount"],
                at=utc_now(),
            )
        except FundError as error:
            context["refusal"] = error
        else:
            context["confirm_query"] = urlencode(
                {"share_class": given["share_class"].code, "amount": f"{given['amount']:f}"}
            )
    return context


def _applied_for(investor: Investor) -> dict[str, Any]:
    """Class and amount of the application, until a first order was given."""
    row = Application.objects.filter(investor=investor).select_related("share_class").first()
    if row is None or row.share_class is None or row.amount is None or investor.orders.exists():
        return {}
    return {"share_class": row.share_class.code, "amount": f"{row.amount.normalize():f}"}


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def confirm_subscription(request: HttpRequest) -> HttpResponse:
    """What exactly would be ordered; a POST orders it once."""
    investor = ordering_investor(request, "may_subscribe")
    if request.method != "POST":
        context = _subscription(request, investor)
        if context["quote"] is None:
            return go_to(f"{reverse('subscribe')}?{request.GET.urlencode()}")
        page = {**frame_of(request, investor, "subscribe"), **context, "key": uuid4()}
        return render_page(request, "portal/subscribe_confirm.html", page, parts=())
    form = SubscribeForm(request.POST)
    back = f"{reverse('subscribe')}?{typed_query(request, form)}"
    if not is_of_holder(request, investor):
        return go_to(reverse("subscribe"))
    if not form.is_valid():
        messages.error(request, "Not ordered: the order is incomplete. Calculate it again.")
        return go_to(back)
    given = form.cleaned_data

    def order() -> DealingOrder:
        return submit_subscription(
            investor=investor,
            share_class=given["share_class"],
            amount=given["amount"],
            actor=actor_of(request),
        )

    return send_order(request, order, back)


@require_safe
@login_required
def show_order(request: HttpRequest, pk: UUID) -> HttpResponse:
    """One order of one's own: its state, its day, and how to pay for it."""
    investor = ordering_investor(request)
    order = _own_order(investor, pk)
    received = order.funded_amount or Decimal(0)
    context = {
        **frame_of(request, investor, "activity"),
        "order": order,
        "received": received,
        "missing": None if order.amount is None else order.amount - received,
        "reference": order.reference,
        "can_cancel": not order.is_compulsory and can_cancel(order, at=utc_now()),
        "is_waiting": order.state in OPEN_STATES,
        "notes": list_notes(order),
        "figures": account_for(order),
        "pay_to": list(
            approved_accounts(order.share_class.fund).filter(
                currency=order.share_class.fund.currency
            )
        ),
    }
    return render_page(request, "portal/order.html", context, parts=())


@require_safe
@login_required
def note(request: HttpRequest, pk: UUID, strike: UUID) -> HttpResponse:
    """The contract note of one deal of one's own; each download is noted."""
    order = _own_order(seen_investor(request, PAPERS), pk)
    found = get_object_or_404(NavStrike, pk=strike, pk__in=[row.pk for row in list_notes(order)])
    try:
        paper = contract_note(order=order, strike=found)
    except FundError as error:
        _refuse(request, "No note", error)
        return go_to(reverse("order", args=[pk]))
    return send_pdf(paper.number, note_download(paper, actor=actor_of(request)))


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def cancel(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Take one's own order back before its cut-off, after the page that says what that means and
    with a fresh second factor."""
    investor = ordering_investor(request)
    order = _own_order(investor, pk)
    if request.method != "POST":
        context = {
            **frame_of(request, investor, "activity"),
            "order": order,
            "can_cancel": not order.is_compulsory and can_cancel(order, at=utc_now()),
        }
        return render_page(request, "portal/order_cancel.html", context, parts=())
    require_step_up(request)
    try:
        done = cancel_order(order=order, actor=actor_of(request))
    except FundError as error:
        _refuse(request, "Not cancelled", error)
    else:
        words = "Your order is cancelled. Nothing will be dealt."
        if done.dealt_units:
            words = "The rest of your order is cancelled. What was dealt of it stays dealt."
        messages.success(request, words)
    return go_to(reverse("order", args=[order.pk]))


def _own_order(investor: Investor, pk: UUID) -> DealingOrder:
    rows = DealingOrder.objects.select_related(
        "share_class__fund", "dealing_day", "investor", "strike"
    )
    return get_object_or_404(rows.defer("strike__inputs"), pk=pk, investor=investor)


def send_order(request: HttpRequest, order: Any, back: str) -> HttpResponse:
    if request.POST.get("understood") != "on":
        messages.error(request, f"Not ordered. {CONFIRM}")
        return go_to(back)

    def execute() -> StoredAnswer:
        return StoredAnswer(status=303, body=str(order().pk).encode(), content_type="text/plain")

    try:
        answer = send_once(request, execute)
    except FundError as error:
        _refuse(request, "Not ordered", error)
        return go_to(back)
    if answer.is_replay:
        messages.info(request, "This order had been received already; it was not placed again.")
    else:
        messages.success(request, "Your order is received.")
    return go_to(reverse("order", args=[UUID(answer.body.decode())]))


def _refuse(request: HttpRequest, what: str, error: FundError) -> None:
    messages.error(request, f"{what}: {error.message}. ({error.code})")


def typed_query(request: HttpRequest, form: forms.Form) -> str:
    return urlencode({name: request.POST[name] for name in form.fields if name in request.POST})


def go_to(address: str) -> HttpResponse:
    return HttpResponseRedirect(address, status=303)
