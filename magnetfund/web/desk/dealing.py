"""Dealing orders that are still open: where each stands, and cancelling one before its cut-off."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.http import require_http_methods, require_safe

from investors.models import DealingOrder
from investors.services.dealing import cancel_order
from magnetfund.core.roles import Capability
from magnetfund.kernel.clock import utc_now
from magnetfund.kernel.errors import FundError
from magnetfund.web.desk.access import desk_view
from magnetfund.web.desk.frame import actor_of, build_frame
from magnetfund.web.lists import Choices, Column, ListSpec
from magnetfund.web.parts import render_page
from magnetfund.web.public.pages import asked_page

PAGE_SIZE = 20
OPEN_STATES = ("submitted", "accepted", "funded", "deferred", "payable")
CANCELLABLE = ("submitted", "accepted")
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
        Column(label="Action", is_hidden=True),
    ),
    filters=(
        Choices(
            name="kind",
            label="Kind",
            options=(("subscription", "Subscription"), ("redemption", "Redemption")),
        ),
        Choices(
            name="state",
            label="State",
            options=tuple((state, state.capitalize()) for state in OPEN_STATES),
        ),
    ),
    sorts=(
        ("oldest", "Oldest first"),
        ("newest", "Newest first"),
        ("day", "Next dealing day first"),
    ),
)


def _open_orders() -> QuerySet[DealingOrder]:
    return DealingOrder.objects.filter(
        share_class__fund__book=settings.MAGNET_BOOK, state__in=OPEN_STATES
    ).select_related("investor", "share_class", "dealing_day")


def can_cancel(order: DealingOrder) -> bool:
    """Whether the order is open and its cut-off has not passed."""
    day = order.dealing_day
    return order.state in CANCELLABLE and day is not None and utc_now() <= day.cutoff_at


@require_safe
@desk_view()
def orders(request: HttpRequest) -> HttpResponse:
    """Open dealing orders, filtered, sorted and in pages."""
    frame = build_frame(request, "nav")
    listing = ORDERS.read(request.GET, number=asked_page(request))
    rows = _open_orders().order_by(*SORTS[listing.sort])
    chosen = {name: value for name, value in listing.chosen.items() if value}
    page = listing.cut(rows.filter(**chosen), size=PAGE_SIZE)
    may = "dealing_process" in frame["capabilities"]
    context: dict[str, Any] = {
        "listing": page,
        "orders": [{"row": row, "can_cancel": may and can_cancel(row)} for row in page.rows],
    }
    return render_page(
        request, "desk/dealing.html", {**frame, **context}, parts=("dealing-orders",)
    )


@require_http_methods(["GET", "HEAD", "POST"])
@desk_view(Capability.DEALING_PROCESS)
def cancel(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Cancel one order before its cut-off, after the page that says what that means."""
    order = get_object_or_404(_open_orders(), pk=pk)
    if request.method != "POST":
        frame = build_frame(request, "nav")
        context = {**frame, "order": order, "can_cancel": can_cancel(order)}
        return render_page(request, "desk/dealing_cancel.html", context, parts=("dialog",))
    try:
        cancel_order(order=order, actor=actor_of(request))
    except FundError as error:
        messages.error(request, f"Not cancelled: {error.message}.")
    else:
        messages.success(request, f"The {order.kind} of {order.investor.legal_name} is cancelled.")
    return redirect("desk_dealing")
