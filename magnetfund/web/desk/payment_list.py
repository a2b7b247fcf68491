"""Payments out, filtered and sorted, as a page and as a CSV file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db.models import QuerySet

from investors.domain.payments import PaymentState
from investors.models import Fund, Payment
from magnetfund.web.lists import Choices, Column, Listing, ListSpec

PAGE_SIZE = 20
FILE_ROWS_MAX = 10_000
#: States in which money still has to move.
OPEN = (PaymentState.PREPARED, PaymentState.APPROVED, PaymentState.RELEASED)
SORTS = {"newest": ("-number",), "oldest": ("number",), "largest": ("-amount", "-number")}
PAYMENTS = ListSpec(
    name="payments",
    url_name="desk_payments",
    label="Pages of payments",
    columns=(
        Column(label="Payment", sorts=("newest", "oldest")),
        Column(label="To"),
        Column(label="Amount", is_number=True, sorts=("largest",)),
        Column(label="Life"),
        Column(label="Next"),
    ),
    filters=(
        Choices(
            name="state",
            label="State",
            options=(("open", "Every open one"), *Payment.State.choices),
        ),
        Choices(name="kind", label="Kind", options=tuple(Payment.Kind.choices)),
    ),
    sorts=(
        ("newest", "Newest first"),
        ("oldest", "Oldest first"),
        ("largest", "Largest first"),
    ),
)


def find_payment_page(fund: Fund | None, given: Mapping[str, Any], *, number: int) -> Listing:
    """A page of what an address asks for."""
    listing = PAYMENTS.read(given, number=number)
    rows = _rows(fund, listing).select_related(
        "fund", "prepared_by", "approved_by", "directed_by", "file", "order__investor"
    )
    return listing.cut(rows, size=PAGE_SIZE)


def find_payments(fund: Fund | None, given: Mapping[str, Any]) -> list[Payment]:
    """All of what an address asks for, :data:`FILE_ROWS_MAX` at most."""
    return list(_rows(fund, PAYMENTS.read(given))[:FILE_ROWS_MAX])


def _rows(fund: Fund | None, listing: Listing) -> QuerySet[Payment]:
    rows = Payment.objects.filter(fund=fund)
    state, kind = listing.chosen["state"], listing.chosen["kind"]
    if state:
        rows = rows.filter(state__in=OPEN if state == "open" else (state,))
    if kind:
        rows = rows.filter(kind=kind)
    return rows.order_by(*SORTS[listing.sort])
