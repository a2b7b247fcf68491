"""Closed trades, filtered and sorted, as a page and as a CSV file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from django.db.models import QuerySet

from magnetfund.web.lists import Choices, Column, Listing, ListSpec
from trading import selectors
from trading.models import Strategy, Trade

ORDERS = {"oldest": "closed_at", "best": "-net_pnl", "worst": "net_pnl"}
TRADES = ListSpec(
    name="trades",
    url_name="desk_trading",
    label="Pages of trades",
    columns=(
        Column(label="Trade", sorts=("closed", "oldest")),
        Column(label="Entry", is_number=True),
        Column(label="Exit", is_number=True),
        Column(label="Net P&L, USD", is_number=True, sorts=("best", "worst")),
        Column(label="Why", is_wide=True),
    ),
    filters=(
        Choices(name="instrument", label="Instrument"),
        Choices(name="sleeve", label="Sleeve"),
        Choices(name="result", label="Result", options=(("won", "Won"), ("lost", "Lost"))),
    ),
    sorts=(
        ("closed", "Newest first"),
        ("oldest", "Oldest first"),
        ("best", "Best result first"),
        ("worst", "Worst result first"),
    ),
)


def find_trade_page(
    book: str, given: Mapping[str, Any], *, number: int, bases: Sequence[str]
) -> Listing:
    """A page of what an address asks for; ``bases`` are the instruments to choose from."""
    spec = TRADES.with_options(
        instrument=[(base, base) for base in bases],
        sleeve=[(code, code) for code in find_sleeves()],
    )
    # Any instrument may be named in an address; the options are for the form alone.
    listing = replace(TRADES.read(given, number=number), spec=spec)
    rows = _rows(book, listing) if listing.query else None
    page = selectors.trade_page(book, number=number, rows=rows)
    return listing.hold(page.trades, number=page.number, has_older=page.has_older)


def find_trades(book: str, given: Mapping[str, Any]) -> list[Trade]:
    """All of what an address asks for, as far back as the list looks."""
    return list(_rows(book, TRADES.read(given))[: selectors.LIST_MAX])


def _rows(book: str, listing: Listing) -> QuerySet[Trade]:
    chosen = listing.chosen
    return selectors.select_trades(
        book,
        base=chosen["instrument"],
        strategy=chosen["sleeve"],
        won=None if not chosen["result"] else chosen["result"] == "won",
        order=ORDERS.get(listing.sort, ""),
    )


def find_sleeves() -> list[str]:
    """Sleeves that there are, by code."""
    rows = Strategy.objects.order_by("code")
    return list(rows.values_list("code", flat=True).distinct()[: selectors.LIST_MAX])
