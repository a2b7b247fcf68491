"""The log of the fuse as a list: by scope and kind of event, newest or oldest first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from magnetfund.web.lists import Choices, Column, Listing, ListSpec
from risk.models import FUND_SCOPE, FuseEvent

PAGE_SIZE = 15
STOPS = ("tripped", "disarmed")
HISTORY = ListSpec(
    name="history",
    url_name="desk_risk",
    label="Pages of the fuse event log",
    columns=(
        Column(label="When", sorts=("newest", "oldest")),
        Column(label="Event"),
        Column(label="Scope"),
        Column(label="Measured"),
        Column(label="Reason", is_wide=True),
    ),
    filters=(
        Choices(
            name="event",
            label="Event",
            options=(("stops", "Trips and disarming"), ("others", "Everything else")),
        ),
        Choices(
            name="scope",
            label="Scope",
            options=(("fund", "The whole fund"), ("part", "An instrument or strategy")),
        ),
    ),
    sorts=(("newest", "Newest first"), ("oldest", "Oldest first")),
)


def find_history(book: str, given: Mapping[str, Any], *, number: int) -> Listing:
    """A page of what an address asks for."""
    listing = HISTORY.read(given, number=number)
    rows = FuseEvent.objects.filter(book=book)
    if listing.chosen["event"]:
        stops = listing.chosen["event"] == "stops"
        rows = rows.filter(kind__in=STOPS) if stops else rows.exclude(kind__in=STOPS)
    if listing.chosen["scope"]:
        whole = listing.chosen["scope"] == "fund"
        rows = rows.filter(scope=FUND_SCOPE) if whole else rows.exclude(scope=FUND_SCOPE)
    order = ("occurred_at", "recorded_at", "pk")
    if listing.sort == "newest":
        order = ("-occurred_at", "-recorded_at", "-pk")
    return listing.cut(rows.order_by(*order), size=PAGE_SIZE)
