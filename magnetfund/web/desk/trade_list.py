"""Closed trades, filtered and sorted, as a page and as a CSV file."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlencode

from django.db.models import QuerySet
from django.http import QueryDict

from trading import selectors
from trading.models import Strategy, Trade

#: By what the list begins.
SORTS = {"closed": "Newest first", "best": "Best result first", "worst": "Worst result first"}
RESULTS = {"won": "Won", "lost": "Lost"}


@dataclass(frozen=True, slots=True, kw_only=True)
class TradeQuery:
    """What is asked for; an empty text asks for everything, an unknown word for nothing else."""

    instrument: str = ""
    sleeve: str = ""
    result: str = ""
    sort: str = "closed"

    @classmethod
    def of(cls, given: QueryDict) -> TradeQuery:
        result, sort = given.get("result", ""), given.get("sort", "")
        return cls(
            instrument=given.get("instrument", "")[:60],
            sleeve=given.get("sleeve", "")[:40],
            result=result if result in RESULTS else "",
            sort=sort if sort in SORTS else "closed",
        )

    @property
    def text(self) -> str:
        """The query as it stands in an address, defaults left out."""
        pairs = {
            "instrument": self.instrument,
            "sleeve": self.sleeve,
            "result": self.result,
            "sort": "" if self.sort == "closed" else self.sort,
        }
        return urlencode({name: value for name, value in pairs.items() if value})

    def page_text(self, number: int) -> str:
        """The query with a page's number, as it stands in that page's address."""
        return "&".join(part for part in (self.text, f"page={number}") if part)


def find_trade_page(book: str, query: TradeQuery, *, number: int) -> selectors.TradePage:
    """A page of what the query asks for."""
    rows = _rows(book, query) if query.text else None
    return selectors.trade_page(book, number=number, rows=rows)


def find_trades(book: str, query: TradeQuery) -> list[Trade]:
    """All of what the query asks for, as far back as the list looks."""
    return list(_rows(book, query)[: selectors.LIST_MAX])


def _rows(book: str, query: TradeQuery) -> QuerySet[Trade]:
    return selectors.select_trades(
        book,
        base=query.instrument,
        strategy=query.sleeve,
        won=None if not query.result else query.result == "won",
        order={"best": "-net_pnl", "worst": "net_pnl"}.get(query.sort, ""),
    )


def find_sleeves() -> list[str]:
    """Whose trades there can be."""
    rows = Strategy.objects.order_by("code")
    return list(rows.values_list("code", flat=True).distinct()[: selectors.LIST_MAX])
