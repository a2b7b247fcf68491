"""What a task is, and how the rows of a table are read as tasks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import (
    DateTimeField,
    DecimalField,
    F,
    Field,
    IntegerField,
    QuerySet,
    TextField,
    Value,
)
from django.db.models.functions import Cast, Coalesce, NullIf
from django.urls import reverse

from magnetfund.core.roles import Role

INVESTOR = "Investor"


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenWork:
    """A task awaiting a person.  ``role`` None is a person outside the staff."""

    kind: str
    what: str
    note: str
    role: Role | None
    since: datetime | None
    url_name: str
    anchor: str = ""

    @property
    def href(self) -> str:
        """Address of the page that clears it."""
        return reverse(self.url_name) + (f"#{self.anchor}" if self.anchor else "")

    @property
    def waits_on(self) -> str:
        """The role as the page names it."""
        return INVESTOR if self.role is None else self.role.value.replace("_", " ").capitalize()


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What every page of the desk has read before it lists the tasks."""

    fuse_state: str
    engine: Mapping[str, Any]
    data_at: datetime | None
    is_stale: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Rows of one table as tasks: ``select`` those of a book at a moment in the columns of
    :func:`columns_of`, ``describe`` a row as what is to be done and a note."""

    kind: str
    role: Role | None
    url_name: str
    select: Callable[[str, datetime], QuerySet[Any, dict[str, Any]]]
    describe: Callable[[Mapping[str, Any]], tuple[str, str]]
    anchor: str = ""
    #: Whether it names a holder, or leads to a page that does: it is for those who may read them.
    names_holders: bool = False


def columns_of(
    rows: QuerySet[Any],
    *,
    since: str,
    who: str | Coalesce | None = None,
    day: str | None = None,
    number: str | None = None,
    words: str | None = None,
    amount: str | None = None,
    currency: str | None = None,
) -> QuerySet[Any, dict[str, Any]]:
    """Rows of one table in the columns that all open work has."""

    def column(name: str | None, field: Field[Any, Any]) -> Cast:
        return Cast(Value(None) if name is None else F(name), field)

    text = TextField()
    return rows.order_by().values(
        since=F(since),
        who=column(who, text) if who is None or isinstance(who, str) else Cast(who, text),
        on_day=column(day, DateTimeField()),
        version_shown=column(number, IntegerField()),
        words=column(words, text),
        money=column(amount, DecimalField(max_digits=38, decimal_places=18)),
        money_in=column(currency, text),
    )


def money_of(row: Mapping[str, Any]) -> str:
    """An amount of such a row with its currency; a dash where there is none."""
    return "-" if row["money"] is None else f"{row['money']:,.2f} {row['money_in']}"


def name_of(account: str) -> Coalesce:
    """An account as people read it: the name, else the address."""
    return Coalesce(NullIf(f"{account}__name", Value("")), f"{account}__email")
