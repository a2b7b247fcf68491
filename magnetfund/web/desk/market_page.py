"""What the pages Market and Instruments show: the trader's last report, and stored rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.db.models import Count, Max

from magnetfund.core.models import Heartbeat
from magnetfund.kernel.clock import from_milliseconds, utc_now
from magnetfund.kernel.counting import count_of
from trading.domain.market.events import MarketEventKind
from trading.models import (
    Candle,
    CandleGap,
    Instrument,
    LeverageReading,
    MarketEvent,
    Position,
)

EVENTS_SHOWN = 40
#: A report of the trader that is older says nothing of now (seconds).
REPORT_SECONDS = 15
#: A start that told nothing for so long has ended in some other way (seconds).
START_SECONDS = 120
#: A price is late beyond so many seconds; the trader stops trusting it at 6.
LATE_SECONDS = 6.0

#: Beyond this a distance is no figure that anybody can use.
MOVE_SAID_MAX = Decimal(10)

#: What each kind of event means for the book, beside what was seen.
FOLLOWS: Mapping[str, str] = {
    MarketEventKind.LEVEL_HELD: "The new level is used: further candles agree with it.",
    MarketEventKind.LEVEL_CONFIRMED: "The new level is used: a second source or a person agrees.",
    MarketEventKind.TERMS_CHANGED: (
        "Orders follow the new terms; a changed tick or lot waits until the position is closed."
    ),
    MarketEventKind.TERMS_REFUSED: "The terms that were stored stay in use until a person decides.",
    MarketEventKind.SOURCE_DOUBTED: (
        "No entry is made on it. Where it is held, the whole book waits and reconciles afterwards."
    ),
    MarketEventKind.SOURCE_BACK: "What was missed is filled in; entries are allowed again.",
    MarketEventKind.STREAM_LOST: (
        "Prices are requested every two seconds until the stream is open again; stops go on."
    ),
    MarketEventKind.STREAM_BACK: "Stops and the fuse act on every streamed price again.",
    MarketEventKind.PRICE_HELD: (
        "The price is not used until bid and ask agree with it; no entry is made meanwhile."
    ),
    MarketEventKind.PRICE_REFUSED: "The message is left out; the last good price stands.",
    MarketEventKind.CANDLE_REVISED: "The first telling of the candle counts and stays.",
    MarketEventKind.CANDLE_REPEATED: "Nothing changes.",
    MarketEventKind.BOOK_BROKEN: "Depth and walls count as unknown until the book is read anew.",
    MarketEventKind.SOURCES_DIFFER: "The stream is used. Nothing changes; a person should look.",
    MarketEventKind.CANDLES_FILLED: "The candles are stored; hours that waited are decided on.",
    MarketEventKind.SYMBOL_ENDED: (
        "The instrument leaves the book; what is held is closed on paper at its last price."
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketReport:
    """The trader's word on its market: whose prices, how old, and what is in doubt."""

    label: str
    is_simulated: bool
    at: datetime
    is_old: bool
    doubt: str
    doubts: Mapping[str, str]
    ended: Mapping[str, str]
    instruments: Mapping[str, Mapping[str, Any]]
    connection: Mapping[str, Any]

    @property
    def age_seconds(self) -> float | None:
        """Age of the oldest price of an instrument; None where no price was reported."""
        ages = [item.get("age_ms") for item in self.instruments.values()]
        known = [float(age) / 1000 for age in ages if age is not None]
        if not known:
            return None
        return max(known) + (utc_now() - self.at).total_seconds()

    @property
    def way(self) -> str:
        """How prices come at present: the last word of the label."""
        return self.label.rpartition(" ")[2]

    @property
    def is_late(self) -> bool:
        age = self.age_seconds
        return self.is_old or bool(self.doubt or self.doubts) or (age or 0.0) > LATE_SECONDS

    @property
    def trouble(self) -> str:
        """What is wrong, in words; empty where nothing is."""
        if self.is_old:
            return "the trader does not report"
        return self.doubt or "; ".join(self.doubts[name] for name in sorted(self.doubts))


def read_report(beat: Heartbeat | None) -> MarketReport | None:
    """What the trader's sign of life says of the market; None before a trader has run."""
    market = beat.detail.get("market") if beat is not None else None
    if beat is None or not market:
        return None
    return MarketReport(
        label=str(market.get("source", "")),
        is_simulated=bool(market.get("is_simulated")),
        at=beat.seen_at,
        is_old=(utc_now() - beat.seen_at).total_seconds() > REPORT_SECONDS,
        doubt=str(market.get("doubt", "")),
        doubts=dict(market.get("doubts", {})),
        ended=dict(market.get("ended", {})),
        instruments=dict(market.get("instruments", {})),
        connection={
            name: market.get(name)
            for name in ("offset_ms", "stream", "openings", "budget", "failure", "counts")
        },
    )


def say_start(beat: Heartbeat | None) -> str:
    """How far a trader has come with its start, in words; empty where none is starting."""
    told = beat.detail.get("starting") if beat is not None else None
    if not told:
        return ""
    age = (utc_now() - datetime.fromisoformat(told["at"])).total_seconds()
    if age > START_SECONDS:
        return ""
    total = int(told["total"])
    names = count_of(total, "instrument")
    return f"The trader is starting: the past of {told['done']} of {names} is read."


def list_instruments(report: MarketReport | None, room: Decimal | None) -> list[dict[str, Any]]:
    """One entry an active instrument; ``room`` is what the book may still lose today."""
    told = report.instruments if report is not None else {}
    doubts = report.doubts if report is not None else {}
    ended = report.ended if report is not None else {}
    hours: dict[int, datetime] = dict(
        Candle.objects.filter(timeframe="1h", instrument__is_active=True)
        .values_list("instrument")
        .annotate(newest=Max("open_time"))
    )
    gaps: dict[int, int] = dict(
        CandleGap.objects.filter(refilled_at=None)
        .values_list("instrument")
        .annotate(open=Count("id"))
    )
    net: dict[int, Decimal] = {}
    for row in Position.objects.filter(book=settings.MAGNET_BOOK).exclude(quantity=0):
        net[row.instrument_id] = net.get(row.instrument_id, Decimal(0)) + row.quantity
    found = []
    for item in Instrument.objects.filter(is_active=True):
        facts = told.get(item.symbol, {})
        price = Decimal(facts["price"]) if facts.get("price") else None
        due = facts.get("funding_at_ms")
        found.append(
            {
                "row": item,
                "facts": facts,
                "price": price,
                "age": facts["age_ms"] / 1000 if facts.get("age_ms") is not None else None,
                "doubt": doubts.get(item.symbol, ""),
                "ended": ended.get(item.symbol, ""),
                "hour": hours.get(item.pk),
                "gaps": gaps.get(item.pk, 0),
                "funding_at": from_milliseconds(due) if due else None,
                "fuse": say_fuse_distance(net.get(item.pk, Decimal(0)), price, room),
            }
        )
    return found


def say_fuse_distance(quantity: Decimal, price: Decimal | None, room: Decimal | None) -> str:
    """How far this instrument alone would have to move to trip the daily loss limit."""
    if not quantity:
        return "not held"
    if price is None or room is None:
        return "not known without a price"
    move = room / (abs(quantity) * price)
    way = "fall" if quantity > 0 else "rise"
    if move >= 1 and quantity > 0:
        return "no fall of it alone trips the daily limit"
    if move > MOVE_SAID_MAX:
        return "only a rise above 1,000 % of it alone trips the daily limit"
    return f"a {way} of {move * 100:.1f} % trips the daily limit"


def list_leverage() -> list[LeverageReading]:
    """The newest recalculation of each active instrument, with every cap."""
    newest = (
        LeverageReading.objects.filter(instrument__is_active=True)
        .order_by("instrument_id", "-at")
        .distinct("instrument_id")
        .select_related("instrument")
    )
    return sorted(newest, key=lambda row: row.instrument.symbol)


def list_events(venue: str = "", symbol: str = "") -> list[MarketEvent]:
    """The newest events, of one venue or instrument if asked."""
    rows = MarketEvent.objects.select_related("instrument").order_by("-recorded_at", "-id")
    if venue:
        rows = rows.filter(venue=venue)
    if symbol:
        rows = rows.filter(instrument__symbol=symbol)
    return list(rows[:EVENTS_SHOWN])


def say_event(row: MarketEvent) -> str:
    """The figures of an event in one line."""
    detail = dict(row.detail)
    if "reason" in detail:
        return str(detail["reason"])
    if "changes" in detail:
        return "; ".join(f"{name} {old} to {new}" for name, (old, new) in detail["changes"].items())
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in detail.items())
