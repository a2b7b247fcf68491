"""Reads of the desk pages that span apps; nothing here writes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db.models import (
    Case,
    Count,
    OuterRef,
    Q,
    Subquery,
    Sum,
    TextField,
    When,
)
from django.db.models.functions import Cast, JSONObject

from investors.models import ClassNav, DealingDay, DealingOrder, NavStrike
from magnetfund.core.models import Heartbeat, JobRun
from magnetfund.kernel.clock import utc_midnight, utc_now
from magnetfund.operations.schedule import ALL_PERIODS
from magnetfund.web.desk.order_words import say_codes, say_order, say_state
from risk.domain.pretrade import EngineState
from risk.models import FuseEvent, FuseReset
from trading import selectors
from trading.models import (
    EngineTransition,
    Instrument,
    Order,
    Position,
    Reconciliation,
    Signal,
    Trade,
)
from trading.services.orders import UNSETTLED
from trading.services.shadow import write_shadow

ZERO = Decimal(0)
#: Below this share of equity a position is a remainder.
DUST_SHARE = Decimal("0.001")
#: How many of the newest trades a row of losses is looked for in.
TRADES_LOOKED_AT = 200
#: After a restart the web answers some seconds before the trader has reconciled.
PROCESS_STARTED_AT = utc_now()
START_GRACE = timedelta(minutes=2)
#: Shapes of a job's state; any other state is a failure.
JOB_SHAPES = {"done": "ok", "none": "none", "late": "warn"}


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

    @property
    def tick(self) -> Decimal:
        """Price step of the instrument, by which its prices are printed."""
        return self.row.instrument.tick


def next_dealing(book: str) -> dict[str, Any] | None:
    """The next dealing day with what is in for it so far."""
    orders = DealingOrder.objects.filter(dealing_day=OuterRef("pk")).exclude(
        state__in=["cancelled", "rejected"]
    )
    sums = (
        orders.order_by()
        .values("dealing_day")
        .annotate(
            orders=Count("pk"),
            money=Sum("amount", filter=Q(kind="subscription")),
            units=Sum("units", filter=Q(kind="redemption")),
        )
    )
    day = (
        DealingDay.objects.filter(fund__book=book, day__gt=utc_now().date())
        .annotate(
            found=Subquery(
                sums.values(
                    found=JSONObject(
                        orders="orders",
                        money=Cast("money", TextField()),
                        units=Cast("units", TextField()),
                    )
                )
            )
        )
        .order_by("day")
        .first()
    )
    if day is None:
        return None
    found = day.found or {}
    return {
        "day": day,
        "money": Decimal(found.get("money") or 0),
        "units": Decimal(found.get("units") or 0),
        "orders": found.get("orders") or 0,
    }


def newest_strike(book: str) -> tuple[NavStrike | None, list[ClassNav]]:
    """The newest strike with its classes, without the inputs that it froze (one line a lot)."""
    newest = NavStrike.objects.filter(fund__book=book).order_by("-valuation_at", "-version")
    rows = list(
        ClassNav.objects.filter(strike=newest.values("pk")[:1])
        .select_related("strike", "share_class")
        .defer("strike__inputs", "detail")
        .order_by("share_class__code")
    )
    return (rows[0].strike if rows else None), rows


def find_coming(dealing: DealingDay | None, count: int) -> list[tuple[datetime, str]]:
    """What happens next by the clock, soonest first; ``count`` instruments are read each hour."""
    now = utc_now()
    hour = now.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    found = [
        (hour, f"Hourly close: {count} instrument{'' if count == 1 else 's'} evaluated"),
        (utc_midnight(now) + timedelta(days=1), "Daily-loss limit resets"),
    ]
    if dealing is not None:
        if dealing.cutoff_at > now:
            found.append((dealing.cutoff_at, "Cut-off for orders and cleared funds"))
        found.append((dealing.valuation_at, "Valuation point of the dealing day"))
    return sorted(found)


def find_jobs() -> list[dict[str, Any]]:
    """Each scheduled job with its last run and whether it is on time."""
    newest = {
        row.job: row
        for row in JobRun.objects.raw(
            """SELECT run.* FROM unnest(%s::text[]) AS name CROSS JOIN LATERAL (
                 SELECT * FROM core_jobrun WHERE job = name ORDER BY scheduled_for DESC LIMIT 1
               ) run""",
            [list(ALL_PERIODS)],
        )
    }
    jobs = []
    now = utc_now()
    for name, period in ALL_PERIODS.items():
        row = newest.get(name)
        if row is None:
            state = "none"
        elif now - row.scheduled_for > 3 * period + timedelta(seconds=30):
            state = "late"
        else:
            state = row.state
        jobs.append(
            {
                "name": name.replace("_", " "),
                "period": period,
                "row": row,
                "state": state,
                "shape": JOB_SHAPES.get(state, "fail"),
                "took": (row.finished_at - row.started_at)
                if row is not None and row.finished_at is not None
                else None,
            }
        )
    return jobs


def parts_alive() -> list[Heartbeat]:
    """Processes and their last heartbeat."""
    return list(Heartbeat.objects.order_by("part", "instance"))


def show_positions(rows: list[Position], marks: dict[str, Decimal]) -> list[ShownPosition]:
    """Positions with their figures at the marks."""
    return [_show(row, marks.get(row.instrument.symbol)) for row in rows]


def positions_context(
    book: str, equity: Decimal | None, *, marks: dict[str, Decimal]
) -> dict[str, Any]:
    """Open positions with their sums; remainders that hardly count stand apart from the others.

    A remainder is worth less than :data:`DUST_SHARE` of equity, as cuts of the fuse leave it.
    ``marks`` are the trader's last prices.
    """
    shown = show_positions(selectors.open_positions(book), marks)
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
    """The trading engine's state and its meaning; starting is shown apart from stopped."""
    row = EngineTransition.objects.filter(book=book).order_by("-id").first()
    state = row.state if row is not None else EngineState.STOPPED
    by_itself = row is None or row.actor_label in ("trader", "dead man's switch", "dead-man switch")
    if state == EngineState.READY:
        word, shape, note = "Ready", "ok", "books reconciled to venue"
    elif state == EngineState.RECONCILING:
        word, shape, note = "Starting", "warn", "reconciling books to venue"
    elif by_itself and utc_now() - PROCESS_STARTED_AT < START_GRACE:
        word, shape, note = "Starting", "warn", "waiting for the trader's first report"
    else:
        word, shape = "Stopped", "fail"
        note = row.reason if row is not None else "has not run yet"
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
    return marks_of(trader_beat(book))


def trader_beat(book: str) -> Heartbeat | None:
    """The trader's newest sign of life; None before one has run."""
    return Heartbeat.objects.filter(part="trader", instance=book).first()


def marks_of(beat: Heartbeat | None) -> dict[str, Decimal]:
    """The prices that a trader's sign of life carries."""
    prices = (beat.detail.get("prices") or {}) if beat is not None else {}
    return {symbol: Decimal(text) for symbol, text in prices.items()}


def fuse_history(book: str, limit: int = 30) -> list[FuseEvent]:
    """The newest events of the fuse."""
    return list(
        FuseEvent.objects.filter(book=book).order_by("-occurred_at", "-recorded_at")[:limit]
    )


def find_reconciliation(book: str) -> Reconciliation | None:
    """The newest comparison of books and venue; ``clean_at`` is the time of the last clean one."""
    rows = Reconciliation.objects.filter(book=book).order_by("-occurred_at")
    clean = rows.filter(is_clean=True).values("occurred_at")[:1]
    return rows.annotate(clean_at=Subquery(clean)).first()


def find_trip(book: str, reconciliation: Reconciliation | None, left: int) -> dict[str, Any]:
    """The trip in force with what is done and what is left to do before the fuse can be armed."""
    trips = FuseEvent.objects.filter(book=book, kind="tripped")
    event = trips.order_by("-occurred_at").first()
    clean_at = getattr(reconciliation, "clean_at", None)
    return {
        "event": event,
        "left": left,
        "is_reconciled": clean_at is not None and (event is None or clean_at >= event.occurred_at),
    }


def newest_results(book: str) -> list[Trade]:
    """The newest closed trades, as many as a row of losses is looked for in."""
    return selectors.recent_trades(book, limit=TRADES_LOOKED_AT)


def find_resets(book: str, limit: int = 5) -> tuple[FuseReset | None, list[FuseReset]]:
    """The open request to arm the fuse, and the newest requests with it among them."""
    is_open = Q(withdrawn_at=None, approved_at=None)
    rows = list(
        FuseReset.objects.filter(book=book)
        .annotate(is_open=Case(When(is_open, then=True), default=False))
        .select_related("proposed_by", "approved_by")
        .order_by("-is_open", "-proposed_at")[:limit]
    )
    waiting = rows[0] if rows and rows[0].is_open else None
    return waiting, sorted(rows, key=lambda row: row.proposed_at, reverse=True)


def newest_reading(instrument: Instrument) -> Signal | None:
    """The newest reading with its map, else the newest reading."""
    rows = Signal.objects.filter(instrument=instrument, timeframe="1h").order_by("-known_at")
    return rows.filter(reading__has_key="map").first() or rows.first()


def order_lives(orders: list[Order]) -> list[dict[str, Any]]:
    """Each order with its states in one line, and why it was refused if it was."""
    return [
        {
            "row": order,
            "tick": order.instrument.tick,
            "what": say_order(order.purpose, order.strategy),
            "events": [(event, say_state(event.to_state, order)) for event in order.events.all()],
            "denials": say_codes(order.denial_codes),
            "is_in_doubt": order.state in UNSETTLED,
            "written": write_shadow(order),
        }
        for order in orders
    ]
