"""Reads of the desk pages that span apps; nothing here writes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from investors.models import DealingDay, DealingOrder, NavStrike
from magnetfund.core.models import Heartbeat, JobRun
from magnetfund.desk.order_words import say_codes, say_order, say_state
from magnetfund.kernel.clock import utc_midnight, utc_now
from magnetfund.operations.schedule import PERIODS
from risk.models import FuseEvent, FuseReset
from trading import selectors
from trading.models import (
    EngineState,
    EngineTransition,
    Instrument,
    Order,
    Position,
    Reconciliation,
    Signal,
)

ZERO = Decimal(0)
#: Below this share of equity a position is a remainder.
DUST_SHARE = Decimal("0.001")
#: After a restart the web answers some seconds before the trader has reconciled.
PROCESS_STARTED_AT = utc_now()
START_GRACE = timedelta(minutes=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenWork:
    """Something that waits for a person."""

    kind: str
    what: str
    note: str
    waits_on: str
    since: datetime
    url_name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownPosition:
    """An open position with what a person wants to see first: distance to harm."""

    row: Position
    mark: Decimal | None
    notional: Decimal
    unrealised: Decimal | None
    at_stop: Decimal | None
    stop_distance: Decimal | None
    liquidation_distance: Decimal | None
    way: float | None


def find_open_work(book: str) -> list[OpenWork]:
    """What waits on whom, oldest first."""
    found = [
        OpenWork(
            kind="NAV",
            what=f"NAV of {strike.valuation_at:%d %b %Y}, version {strike.version}",
            note=f"prepared by {strike.prepared_by}; another person approves",
            waits_on="a controller",
            since=strike.prepared_at,
            url_name="desk_nav",
        )
        for strike in NavStrike.objects.filter(
            fund__book=book, state=NavStrike.State.PREPARED
        ).select_related("prepared_by")
    ]
    found += [
        OpenWork(
            kind="Fuse",
            what="Request to arm the fuse",
            note=f"{reset.reason} (by {reset.proposed_by})",
            waits_on="a second risk officer",
            since=reset.proposed_at,
            url_name="desk_risk",
        )
        for reset in FuseReset.objects.filter(
            book=book, withdrawn_at=None, approved_at=None
        ).select_related("proposed_by")
    ]
    waiting = DealingOrder.objects.filter(
        share_class__fund__book=book, kind="subscription", state="accepted"
    ).select_related("investor", "share_class")
    found += [
        OpenWork(
            kind="Money",
            what=f"{order.investor.legal_name}, {order.amount:,.2f} USD",
            note=f"class {order.share_class.code}; the money has not cleared",
            waits_on="the investor",
            since=order.received_at,
            url_name="desk_nav",
        )
        for order in waiting[:20]
    ]
    return sorted(found, key=lambda item: item.since)


def next_dealing(book: str) -> dict[str, Any] | None:
    """The next dealing day with what is in for it so far."""
    day = (
        DealingDay.objects.filter(fund__book=book, day__gt=utc_now().date()).order_by("day").first()
    )
    if day is None:
        return None
    orders = list(day.orders.exclude(state__in=["cancelled", "rejected"]))
    money = sum((o.amount or Decimal(0) for o in orders if o.kind == "subscription"), Decimal(0))
    units = sum((o.units or Decimal(0) for o in orders if o.kind == "redemption"), Decimal(0))
    return {"day": day, "money": money, "units": units, "orders": len(orders)}


def find_coming(dealing: DealingDay | None) -> list[tuple[datetime, str]]:
    """What happens next by the clock, soonest first."""
    now = utc_now()
    count = Instrument.objects.filter(is_active=True).count()
    hour = now.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    found = [
        (hour, f"The hour closes, {count} instrument{'' if count == 1 else 's'} decided"),
        (utc_midnight(now) + timedelta(days=1), "The loss of the day starts again at zero"),
    ]
    if dealing is not None:
        if dealing.cutoff_at > now:
            found.append((dealing.cutoff_at, "Orders and money for the dealing day must be in"))
        found.append((dealing.valuation_at, "The NAV of the dealing day is struck"))
    return sorted(found)


def find_jobs() -> list[dict[str, Any]]:
    """Each scheduled job with its last run and whether it is on time."""
    jobs = []
    now = utc_now()
    for name, period in PERIODS.items():
        row = JobRun.objects.filter(job=name).order_by("-scheduled_for").first()
        late = row is None or now - row.scheduled_for > 3 * period + timedelta(seconds=30)
        jobs.append(
            {
                "name": name.replace("_", " "),
                "period": period,
                "row": row,
                "state": "none" if row is None else ("late" if late else row.state),
                "took": (row.finished_at - row.started_at)
                if row is not None and row.finished_at is not None
                else None,
            }
        )
    return jobs


def parts_alive() -> list[Heartbeat]:
    """Processes that told they are alive, newest first."""
    return list(Heartbeat.objects.order_by("part", "instance"))


def show_positions(rows: list[Position], marks: dict[str, Decimal]) -> list[ShownPosition]:
    """Positions with their figures at the marks."""
    return [_show(row, marks.get(row.instrument.symbol)) for row in rows]


def positions_context(book: str, equity: Decimal | None) -> dict[str, Any]:
    """Open positions with their sums; remainders that hardly count stand apart from the others.

    A remainder is worth less than :data:`DUST_SHARE` of equity, as cuts of the fuse leave it.
    """
    shown = show_positions(selectors.open_positions(book), live_marks(book))
    least = (equity or ZERO) * DUST_SHARE
    dust = [item for item in shown if item.notional < least]
    return {
        "positions": [item for item in shown if item.notional >= least],
        "dust": dust,
        "dust_notional": sum((item.notional for item in dust), ZERO),
        "open_count": len(shown),
        "notional": sum((item.notional for item in shown), ZERO),
        "unrealised": sum((item.unrealised or ZERO for item in shown), ZERO),
        "at_stop": sum((item.at_stop or ZERO for item in shown), ZERO),
    }


def find_engine(book: str) -> dict[str, Any]:
    """The engine's state in a word with what it means; a start is not called a stop."""
    row = EngineTransition.objects.filter(book=book).order_by("-id").first()
    state = row.state if row is not None else EngineState.STOPPED
    by_itself = row is None or row.actor_label in ("trader", "dead man's switch")
    if state == EngineState.READY:
        word, shape, note = "Ready", "ok", "books and venue agree"
    elif state == EngineState.RECONCILING:
        word, shape, note = "Starting", "warn", "it compares the books with the venue"
    elif by_itself and utc_now() - PROCESS_STARTED_AT < START_GRACE:
        word, shape, note = "Starting", "warn", "the trader has not reported yet"
    else:
        word, shape = "Stopped", "fail"
        note = row.reason if row is not None else "it never ran"
    return {"word": word, "shape": shape, "note": note, "since": row and row.occurred_at}


def _show(row: Position, mark: Decimal | None) -> ShownPosition:
    price = mark or row.average_price
    side = 1 if row.quantity > 0 else -1
    stop = row.stop_price
    at_stop = (stop - row.average_price) * row.quantity if stop is not None else None
    way = None
    if stop is not None and row.target_price is not None and row.target_price != stop:
        way = float((price - stop) / (row.target_price - stop))
    return ShownPosition(
        row=row,
        mark=mark,
        notional=abs(row.quantity) * price,
        unrealised=None if mark is None else (mark - row.average_price) * row.quantity,
        at_stop=at_stop,
        stop_distance=None if stop is None else (stop / price - 1) * side,
        liquidation_distance=(row.liquidation_price / price - 1) if row.liquidation_price else None,
        way=None if way is None else min(1.0, max(0.0, way)),
    )


def live_marks(book: str) -> dict[str, Decimal]:
    """The trader's last prices."""
    beat = Heartbeat.objects.filter(part="trader", instance=book).first()
    prices = (beat.detail.get("prices") or {}) if beat is not None else {}
    return {symbol: Decimal(text) for symbol, text in prices.items()}


def fuse_history(book: str, limit: int = 30) -> list[FuseEvent]:
    """The newest events of the fuse."""
    return list(
        FuseEvent.objects.filter(book=book).order_by("-occurred_at", "-recorded_at")[:limit]
    )


def find_trip(book: str) -> dict[str, Any]:
    """The trip in force with what is done and what is left to do before the fuse can be armed."""
    event = FuseEvent.objects.filter(book=book, kind="tripped").order_by("-occurred_at").first()
    left = Position.objects.filter(book=book).exclude(quantity=0).count()
    clean = Reconciliation.objects.filter(book=book, is_clean=True)
    if event is not None:
        clean = clean.filter(occurred_at__gte=event.occurred_at)
    return {"event": event, "left": left, "is_reconciled": clean.exists()}


def newest_reading(instrument: Instrument) -> Signal | None:
    """The newest reading with its map, else the newest reading."""
    rows = Signal.objects.filter(instrument=instrument, timeframe="1h").order_by("-known_at")
    return rows.filter(reading__has_key="map").first() or rows.first()


def order_lives(orders: list[Order]) -> list[dict[str, Any]]:
    """Each order with its states in one line, and why it was refused if it was."""
    return [
        {
            "row": order,
            "what": say_order(order.purpose, order.strategy),
            "events": [(event, say_state(event.to_state, order)) for event in order.events.all()],
            "denials": say_codes(order.denial_codes),
        }
        for order in orders
    ]
