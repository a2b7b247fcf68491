"""Orders of every state, filtered and sorted, as a page and as a CSV file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from django.db.models import QuerySet

from magnetfund.web.desk import selectors as desk
from magnetfund.web.lists import Choices, Column, Listing, ListSpec
from trading import selectors
from trading.domain.orders import FINAL_STATES, IN_DOUBT, OrderState
from trading.models import Order

PAGE_SIZE = 20
#: What a person looks for, as states of an order.
OUTCOMES: Mapping[str, Iterable[OrderState]] = {
    "working": frozenset(OrderState) - FINAL_STATES,
    "doubt": IN_DOUBT,
    "filled": {OrderState.FILLED},
    "cancelled": {OrderState.CANCELLED, OrderState.EXPIRED, OrderState.ABSENT},
    "refused": {OrderState.DENIED, OrderState.REJECTED},
}
ORDERS = ListSpec(
    name="orders",
    url_name="desk_orders",
    label="Pages of orders",
    columns=(
        Column(label="Order", sorts=("newest", "oldest")),
        Column(label="Details"),
        Column(label="History, UTC", is_wide=True),
        Column(label="Filled", is_number=True),
    ),
    filters=(
        Choices(name="instrument", label="Instrument"),
        Choices(name="sleeve", label="Sleeve"),
        Choices(
            name="outcome",
            label="State",
            options=(
                ("working", "Working"),
                ("doubt", "Outcome not known"),
                ("filled", "Filled"),
                ("cancelled", "Cancelled or expired"),
                ("refused", "Refused"),
            ),
        ),
    ),
    sorts=(("newest", "Newest first"), ("oldest", "Oldest first")),
)


def find_order_page(
    book: str,
    given: Mapping[str, Any],
    *,
    number: int,
    bases: Sequence[str],
    sleeves: Sequence[str],
) -> Listing:
    """A page of what an address asks for, each row with its life; ``bases`` and ``sleeves`` are
    the options of the form."""
    spec = ORDERS.with_options(
        instrument=[(base, base) for base in bases], sleeve=[(code, code) for code in sleeves]
    )
    # Any instrument or sleeve may be named in an address; the options are for the form alone.
    listing = replace(ORDERS.read(given, number=number), spec=spec)
    page = listing.cut(_rows(book, listing).prefetch_related("events"), size=PAGE_SIZE)
    return replace(page, rows=desk.order_lives(list(page.rows)))


def find_orders(book: str, given: Mapping[str, Any]) -> list[Order]:
    """All of what an address asks for, as far back as a list looks."""
    return list(_rows(book, ORDERS.read(given))[: selectors.LIST_MAX])


def _rows(book: str, listing: Listing) -> QuerySet[Order]:
    chosen = listing.chosen
    return selectors.select_orders(
        book,
        base=chosen["instrument"],
        strategy=chosen["sleeve"],
        states=OUTCOMES.get(chosen["outcome"], ()),
        oldest_first=listing.sort == "oldest",
    )
