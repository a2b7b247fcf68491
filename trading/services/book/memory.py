"""What the trader remembers of a book between two beats, and after a crash."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from django.db import connection
from django.db.models import Max, Sum

from magnetfund.core.rows import row_of, select_from
from magnetfund.kernel.clock import from_milliseconds
from magnetfund.kernel.errors import Conflict
from trading.domain.engine.book import Book
from trading.domain.engine.rules import EngineRules
from trading.domain.engine.slots import Layout, carry_book
from trading.domain.engine.step import open_book
from trading.domain.engine.storage import dump_book, load_book
from trading.models import BookFlow, BookMemory, Instrument
from trading.services.sleeves import Sleeve

#: Value of one of the book's own units before its first bar.
FIRST_UNIT_VALUE = 100.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """A book as it was saved.

    ``booked`` is the number of the last venue event in it, ``flow_id`` the last flow applied,
    ``shares`` the units in which the book's own value is measured (none without capital;
    ``idle_unit`` is then what the next one costs; dealing units are those of the
    share classes), ``decided`` the open time of the newest hour that was decided on, by instrument,
    ``layout`` the names of the book's parts.
    """

    book: Book
    shares: float = 0.0
    idle_unit: float = FIRST_UNIT_VALUE
    booked: int = 0
    flow_id: int = 0
    decided: Mapping[str, int] = field(default_factory=dict)
    layout: Layout | None = None


def load_memory(code: str) -> Memory | None:
    """What is stored of a book; None for one that never traded."""
    row = BookMemory.objects.filter(book=code).first()
    if row is None:
        return None
    return Memory(
        book=load_book(row.state["book"]),
        shares=float(row.state["shares"]),
        idle_unit=float(row.state.get("idle_unit", FIRST_UNIT_VALUE)),
        booked=int(row.state["booked"]),
        flow_id=int(row.state["flow_id"]),
        decided=row.state.get("decided", {}),
        layout=_load_layout(row.state.get("layout")),
    )


def first_memory(code: str, *, rules: EngineRules, time_ms: int, cash: float) -> Memory:
    """A book that never traded: it begins with what its ledger sent, each flow counted once, which
    may be nothing.  ``cash`` is that of a paper account of its own, to which nothing was sent.
    """
    flows = BookFlow.objects.filter(book=code).aggregate(cash=Sum("amount"), newest=Max("id"))
    if flows["newest"] is not None:
        cash = max(0.0, float(flows["cash"]))
    return Memory(
        book=open_book(rules=rules, time_ms=time_ms, cash=cash), flow_id=flows["newest"] or 0
    )


def read_flows(code: str, *, after: int) -> list[BookFlow]:
    """The flows of a book behind the one numbered ``after``, oldest first."""
    with connection.cursor() as cursor:
        behind = " WHERE book = %s AND id > %s ORDER BY id"
        cursor.execute(select_from(BookFlow) + behind, [code, after])
        return [row_of(BookFlow, values) for values in cursor.fetchall()]


def keep_memory(code: str, memory: Memory) -> None:
    """Store it, in the caller's transaction where there is one."""
    row = BookMemory.objects.filter(book=code).first() or BookMemory(book=code)
    row.revision += 1
    row.state = {
        "book": dump_book(memory.book),
        "shares": memory.shares,
        "idle_unit": memory.idle_unit,
        "booked": memory.booked,
        "flow_id": memory.flow_id,
        "decided": dict(memory.decided),
        "layout": None if memory.layout is None else asdict(memory.layout),
    }
    row.updated_at = from_milliseconds(memory.book.time_ms)
    row.save()


def layout_of(sleeves: Sequence[Sleeve], instruments: Sequence[Instrument]) -> Layout:
    """Names that outlast a change of the list: a strategy's code, an instrument's key."""
    return Layout(
        strategies=tuple(dict.fromkeys(sleeve.strategy for sleeve in sleeves)),
        instruments=tuple(str(item.pk) for item in instruments),
        slots=tuple((sleeve.strategy, str(sleeve.instrument.pk)) for sleeve in sleeves),
    )


def lay_out(memory: Memory, layout: Layout) -> Book:
    """The stored book over today's slots."""
    if memory.layout is not None:
        return carry_book(book=memory.book, before=memory.layout, after=layout)
    if len(memory.book.positions) != len(layout.slots):
        raise Conflict(
            "the stored book does not name its slots and has another number of them",
            code="sleeves_differ",
        )
    return memory.book


def _load_layout(plain: Mapping[str, Any] | None) -> Layout | None:
    if plain is None:
        return None
    return Layout(
        strategies=tuple(plain["strategies"]),
        instruments=tuple(plain["instruments"]),
        slots=tuple((slot[0], slot[1]) for slot in plain["slots"]),
    )
