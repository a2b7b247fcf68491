"""Lists of rows, declared once: columns, filters and orders of a table, and the address of each.

A :class:`ListSpec` is the declaration; :meth:`ListSpec.read` takes an address apart into a
:class:`Listing`, which templates draw with ``components/_list_*.html``.  What an address does not
know asks for the default and for nothing else, so any address is a good one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any
from urllib.parse import urlencode

from django.db.models import QuerySet
from django.urls import reverse

#: How far back a list can be browsed.
ROWS_MAX = 1_000
VALUE_MAX = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A head of the table.  ``sorts`` are the orders that its link goes through: falling first,
    then rising."""

    label: str
    sorts: tuple[str, ...] = ()
    is_number: bool = False
    is_wide: bool = False
    is_hidden: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """A filter by one of the values; without ``options`` any short text is one, which is typed
    where ``entry`` names the kind of field: ``search`` or ``date`` (ISO 8601)."""

    name: str
    label: str
    options: tuple[tuple[str, str], ...] = ()
    entry: str = ""

    def clean(self, value: str) -> str:
        """The value where the filter knows it, else ""."""
        if self.entry == "date":
            return value if _is_date(value) else ""
        if not self.options:
            return value[:VALUE_MAX]
        return value if value in dict(self.options) else ""


def _is_date(value: str) -> bool:
    try:
        date.fromisoformat(value)
    except ValueError:
        return False
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class ListSpec:
    """The declaration.  ``name`` is the id of the element that holds the list; the first of
    ``sorts`` is the order of an address without one."""

    name: str
    url_name: str
    label: str
    columns: tuple[Column, ...]
    filters: tuple[Choices, ...] = ()
    sorts: tuple[tuple[str, str], ...] = ()

    def read(self, given: Mapping[str, Any], *, number: int = 1) -> Listing:
        """What an address asks for."""
        sort = given.get("sort", "")
        known = dict(self.sorts)
        return Listing(
            spec=self,
            chosen={item.name: item.clean(given.get(item.name, "")) for item in self.filters},
            sort=sort if sort in known else next(iter(known), ""),
            number=max(1, number),
        )

    def with_options(self, **options: Sequence[tuple[str, str]]) -> ListSpec:
        """The same list with the options of some filters, where they come from rows."""
        filters = tuple(
            replace(item, options=tuple(options[item.name])) if item.name in options else item
            for item in self.filters
        )
        return replace(self, filters=filters)


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """A column's head as it is drawn."""

    column: Column
    href: str
    aria_sort: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """One page of a list with the addresses around it."""

    spec: ListSpec
    chosen: Mapping[str, str]
    sort: str
    number: int = 1
    rows: Sequence[Any] = field(default=())
    has_older: bool = False

    def cut(self, rows: QuerySet[Any], *, size: int) -> Listing:
        """The page of ``rows``; nothing is counted, only looked one row ahead.

        The keys of the page are found first: what hangs on a row is read for those shown alone,
        not for every row that is sorted.
        """
        number = min(self.number, max(1, ROWS_MAX // size))
        begin = (number - 1) * size
        keys = rows.values("pk")[begin : begin + size + 1]
        found = list(rows.filter(pk__in=keys))
        return self.hold(
            found[:size],
            number=number,
            has_older=len(found) > size and number < ROWS_MAX // size,
        )

    def hold(self, rows: Sequence[Any], *, number: int, has_older: bool) -> Listing:
        """The same list with the rows of a page that was read elsewhere."""
        return replace(self, rows=rows, number=number, has_older=has_older)

    @property
    def is_filtered(self) -> bool:
        return any(self.chosen.values())

    @property
    def query(self) -> str:
        """Filters and order as they stand in an address, defaults left out."""
        return urlencode(self._pairs(sort=self.sort))

    @property
    def base(self) -> str:
        """The address of the list without a query."""
        return reverse(self.spec.url_name)

    @property
    def newer(self) -> str:
        return self._address(page=self.number - 1) if self.number > 1 else ""

    @property
    def older(self) -> str:
        return self._address(page=self.number + 1) if self.has_older else ""

    @property
    def heads(self) -> list[Head]:
        """Columns with the link to their next order and the order they stand in."""
        return [self._head(column) for column in self.spec.columns]

    @property
    def fields(self) -> list[dict[str, Any]]:
        """Filters, then the order, as the form draws them."""
        drawn: list[dict[str, Any]] = [
            {
                "name": item.name,
                "label": item.label,
                "options": [("", "All"), *item.options],
                "value": self.chosen[item.name],
                "entry": item.entry,
            }
            for item in self.spec.filters
        ]
        if self.spec.sorts:
            drawn.append(
                {
                    "name": "sort",
                    "label": "Sort by",
                    "options": self.spec.sorts,
                    "value": self.sort,
                }
            )
        return drawn

    def _head(self, column: Column) -> Head:
        if not column.sorts:
            return Head(column=column, href="", aria_sort="")
        directions = ("descending", "ascending")
        stands = column.sorts.index(self.sort) if self.sort in column.sorts else None
        following = 0 if stands is None else (stands + 1) % len(column.sorts)
        return Head(
            column=column,
            href=self._address(sort=column.sorts[following]),
            aria_sort="none" if stands is None else directions[stands],
        )

    def _pairs(self, *, sort: str, page: int = 1) -> dict[str, str]:
        default = self.spec.sorts[0][0] if self.spec.sorts else ""
        pairs = {
            **self.chosen,
            "sort": "" if sort == default else sort,
            "page": "" if page <= 1 else str(page),
        }
        return {name: value for name, value in pairs.items() if value}

    def _address(self, *, sort: str = "", page: int = 1) -> str:
        query = urlencode(self._pairs(sort=sort or self.sort, page=page))
        return f"{self.base}?{query}" if query else self.base
