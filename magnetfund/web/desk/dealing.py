"""The dealing book: open orders by dealing day, what each still needs, receipts and cancelling."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

from django import forms
from django.conf import settings
from django.contrib import messages
from django.db.models import Count, F, Q, QuerySet, Sum
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from investors.domain.onboarding import KycState
from investors.models import DealingOrder
from investors.services.dealing import CANCELLABLE, can_cancel, cancel_order
from investors.services.order_figures import account_for
from investors.services.papers import contract_note, list_notes, note_download
from investors.services.receipts import standing_advances
from investors.services.reversed_receipts import is_taken_back
from investors.services.statements import record_receipt
from magnetfund.core.actors import actor_of
from magnetfund.core.roles import Capability
from magnetfund.core.services.idempotency import StoredAnswer
from magnetfund.kernel.clock import utc_now
from magnetfund.kernel.errors import FundError
from magnetfund.web.desk.access import desk_view
from magnetfund.web.desk.frame import build_frame
from magnetfund.web.forms import figure_field, send_once
from magnetfund.web.lists import Choices, Column, ListSpec
from magnetfund.web.parts import render_page, send_pdf
from magnetfund.web.public.pages import asked_page

PAGE_SIZE = 20
DAYS_MAX = 24
OPEN_STATES = ("submitted", "accepted", "funded", "deferred", "payable", "set_aside")
CLOSED_STATES = ("settled", "cancelled", "rejected", "refunded")
SORTS = {
    "oldest": ("received_at", "pk"),
    "newest": ("-received_at", "pk"),
    "day": ("dealing_day__day", "received_at", "pk"),
}
ORDERS = ListSpec(
    name="dealing-orders",
    url_name="desk_dealing",
    label="Pages of dealing orders",
    columns=(
        Column(label="Received", sorts=("newest", "oldest")),
        Column(label="Investor", is_wide=True),
        Column(label="Order"),
        Column(label="Amount or units", is_number=True),
        Column(label="Dealing day", sorts=("day",)),
        Column(label="State"),
        Column(label="Still needs"),
        Column(label="Action", is_hidden=True),
    ),
    filters=(
        Choices(
            name="kind",
            label="Kind",
            options=tuple((kind.value, kind.label) for kind in DealingOrder.Kind),
        ),
        Choices(
            name="state",
            label="State",
            options=tuple(
                (state, DealingOrder.State(state).label) for state in OPEN_STATES + CLOSED_STATES
            ),
        ),
        Choices(name="day", label="Dealing day"),
    ),
    sorts=(
        ("oldest", "Oldest first"),
        ("newest", "Newest first"),
        ("day", "Next dealing day first"),
    ),
)


def _orders() -> QuerySet[DealingOrder]:
    return DealingOrder.objects.filter(share_class__fund__book=settings.MAGNET_BOOK).select_related(
        "investor", "share_class__fund", "into_class", "dealing_day"
    )


def _open_orders() -> QuerySet[DealingOrder]:
    return _orders().filter(state__in=OPEN_STATES)


@dataclass(frozen=True, slots=True, kw_only=True)
class BookDay:
    """Open orders of one dealing day (``None``: of no day yet) with their money and units.

    ``awaited`` and ``funded`` are subscriptions by money, ``units`` redemptions and ``switched``
    switches by units; orders of everything are counted in ``of_all``.
    """

    day: date | None
    cutoff_at: datetime | None
    orders: int
    awaited: Decimal
    funded: Decimal
    units: Decimal
    switched: Decimal
    of_all: int


def read_book() -> list[BookDay]:
    """The dealing book by day, the nearest first."""
    zero, is_in = Decimal(0), Q(kind="subscription")
    rows = (
        _open_orders()
        .values("dealing_day__day", "dealing_day__cutoff_at")
        .annotate(
            orders=Count("pk"),
            awaited=Sum("amount", filter=is_in & Q(state__in=("submitted", "accepted"))),
            funded=Sum("amount", filter=is_in & Q(state="funded")),
            redeemed=Sum("units", filter=Q(kind="redemption")),
            moved=Sum("units", filter=Q(kind="switch")),
            of_all=Count("pk", filter=Q(is_all=True)),
        )
        .order_by(F("dealing_day__day").asc(nulls_last=True))
    )
    return [
        BookDay(
            day=row["dealing_day__day"],
            cutoff_at=row["dealing_day__cutoff_at"],
            orders=row["orders"],
            awaited=row["awaited"] or zero,
            funded=row["funded"] or zero,
            units=row["redeemed"] or zero,
            switched=row["moved"] or zero,
            of_all=row["of_all"],
        )
        for row in rows[:DAYS_MAX]
    ]


def find_needs(order: DealingOrder) -> list[str]:
    """What an open order waits for before it is dealt or settled, each with who provides it."""
    needs = []
    is_subscription = order.kind == DealingOrder.Kind.SUBSCRIPTION
    if order.state == DealingOrder.State.SET_ASIDE:
        return [f"set aside, {order.reason}: accountant cancels it or asks the investor"]
    if (order.buys_units or order.is_switch) and order.investor.kyc_state != KycState.APPROVED:
        needs.append(f"KYC ({order.investor.get_kyc_state_display().lower()}): compliance")
    if is_subscription and order.state in ("submitted", "accepted"):
        needs.append("money: investor pays, accountant records the receipt")
    if order.state == DealingOrder.State.PAYABLE:
        needs.append("payment: accountant")
    elif order.dealing_day is None:
        needs.append("a dealing day: the calendar ends before it")
    elif not needs:
        needs.append(f"NAV of {order.dealing_day.day:%-d %b}: accountant and controller")
    return needs


def is_unpaid(order: DealingOrder) -> bool:
    """Whether a receipt can be recorded for the order."""
    return order.kind == DealingOrder.Kind.SUBSCRIPTION and order.state == "accepted"


class ReceiptForm(forms.Form):
    """One amount that cleared, as the bank or the chain states it."""

    party = forms.CharField(label="Name of the payer", max_length=200)
    party_account = forms.CharField(label="Payer's account", max_length=120, required=False)
    amount = figure_field(label="Amount received")
    currency = forms.CharField(label="Currency", max_length=8)
    reference = forms.CharField(label="Reference of the bank or chain", max_length=100)
    understood = forms.BooleanField(
        label="I have seen this amount cleared on the fund's own account",
        error_messages={"required": "Tick the box once you have seen the money."},
    )

    def __init__(self, data: Any = None) -> None:
        super().__init__(data)
        for name in ("party", "party_account", "amount", "currency", "reference"):
            self.fields[name].widget.attrs["class"] = "form-control mf-num"
        self.fields["understood"].widget.attrs["class"] = "form-check-input"


def may_cancel(order: DealingOrder) -> bool:
    """Whether :func:`cancel_order` would take this order back now."""
    return can_cancel(order, at=utc_now()) or (order.state in CANCELLABLE and is_taken_back(order))


@require_safe
@desk_view(Capability.HOLDERS_VIEW)
def orders(request: HttpRequest) -> HttpResponse:
    """Open dealing orders, filtered, sorted and in pages."""
    frame = build_frame(request, "nav")
    book = read_book()
    days = [(row.day.isoformat(), f"{row.day:%-d %b %Y}") for row in book if row.day]
    spec = ORDERS.with_options(day=days or [("", "all")])
    listing = spec.read(request.GET, number=asked_page(request))
    # A closed order is found by asking for its state.
    is_closed = listing.chosen.get("state") in CLOSED_STATES
    rows = (_orders() if is_closed else _open_orders()).order_by(*SORTS[listing.sort])
    fields = {"day": "dealing_day__day"}
    chosen = {fields.get(name, name): value for name, value in listing.chosen.items() if value}
    page = listing.cut(rows.filter(**chosen), size=PAGE_SIZE)
    may = "dealing_process" in frame["capabilities"]
    context: dict[str, Any] = {
        "listing": page,
        "is_closed": is_closed,
        "book": book,
        "orders": [
            {
                "row": row,
                "reference": row.reference,
                "needs": find_needs(row),
                "can_cancel": may and can_cancel(row, at=utc_now()),
                "can_receive": may and is_unpaid(row),
            }
            for row in page.rows
        ],
    }
    return render_page(
        request, "desk/dealing.html", {**frame, **context}, parts=("dealing-orders",)
    )


@require_safe
@desk_view(Capability.HOLDERS_VIEW)
def order(request: HttpRequest, pk: UUID) -> HttpResponse:
    """One order: what was asked, what it came to line by line and lot by lot, its payments."""
    rows = _orders().select_related("strike", "submitted_by").defer("strike__inputs")
    row = get_object_or_404(rows, pk=pk)
    frame = build_frame(request, "nav")
    may = "dealing_process" in frame["capabilities"]
    is_open = row.state in OPEN_STATES
    context: dict[str, Any] = {
        "order": row,
        "fund": row.share_class.fund,
        "needs": find_needs(row) if is_open else [],
        "notes": list_notes(row),
        "figures": account_for(row),
        "payments": list(row.payments.order_by("number")),
        "can_cancel": may and may_cancel(row),
        "can_receive": may and is_unpaid(row),
    }
    return render_page(request, "desk/dealing_order.html", {**frame, **context}, parts=())


@require_safe
@desk_view(Capability.NAV_PREPARE)
def note(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The newest contract note of an order; each download is noted."""
    order = get_object_or_404(
        DealingOrder.objects.select_related("share_class__fund", "investor"),
        pk=pk,
        share_class__fund__book=settings.MAGNET_BOOK,
    )
    try:
        paper = contract_note(order=order)
    except FundError as error:
        messages.error(request, f"No note: {error.message}. ({error.code})")
        return redirect("desk_dealing")
    return send_pdf(paper.number, note_download(paper, actor=actor_of(request)))


@require_http_methods(["GET", "HEAD", "POST"])
@desk_view(Capability.DEALING_PROCESS)
def cancel(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Cancel one order while it can be, after the page that says what that means."""
    order = get_object_or_404(_open_orders(), pk=pk)
    if request.method != "POST":
        frame = build_frame(request, "nav")
        context = {**frame, "order": order, "can_cancel": may_cancel(order)}
        return render_page(request, "desk/dealing_cancel.html", context, parts=("dialog",))
    try:
        done = cancel_order(order=order, actor=actor_of(request))
    except FundError as error:
        messages.error(request, f"Not cancelled: {error.message}.")
    else:
        what = f"rest of the {order.kind}" if done.dealt_units else order.kind
        messages.success(request, f"The {what} of {order.investor.legal_name} is cancelled.")
    return redirect("desk_dealing")


@require_http_methods(["GET", "HEAD", "POST"])
@desk_view(Capability.DEALING_PROCESS)
def receipt(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Record the cleared money of one subscription, once for the confirmed page."""
    order = get_object_or_404(_open_orders(), pk=pk, kind=DealingOrder.Kind.SUBSCRIPTION)
    form = ReceiptForm(request.POST if request.method == "POST" else None)
    refusal: FundError | None = None
    if form.is_bound and form.is_valid():
        given = form.cleaned_data

        def execute() -> StoredAnswer:
            record_receipt(
                order=order,
                party=given["party"],
                party_account=given["party_account"],
                amount=given["amount"],
                reference=given["reference"],
                currency=given["currency"].strip().upper(),
                actor=actor_of(request),
            )
            return StoredAnswer(status=303, body=b"", content_type="text/plain")

        try:
            sent = send_once(request, execute)
        except FundError as error:
            refusal = error
        else:
            if sent.is_replay:
                messages.info(request, "This receipt had been recorded; it was not booked again.")
            else:
                messages.success(
                    request,
                    f"Receipt recorded for the order of {order.investor.legal_name}.",
                )
            return HttpResponseRedirect(reverse("desk_dealing"), status=303)
    context = {
        **build_frame(request, "nav"),
        "order": order,
        "reference": order.reference,
        "is_unpaid": is_unpaid(order),
        "standing": sum(
            (part for _, part in standing_advances(order.investor, order.share_class.fund)),
            Decimal(0),
        ),
        "form": form,
        "refusal": refusal,
        "key": request.POST.get("key") or uuid4(),
    }
    answer = render_page(request, "desk/dealing_receipt.html", context, parts=())
    answer.status_code = 422 if form.is_bound else 200
    return answer
