"""What the page Signals shows of a streamed order book: its walls, and liquidations."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from magnetfund.kernel.clock import from_milliseconds, utc_now
from magnetfund.web.desk.charts import kind_words
from trading.domain.magnets.depth_minutes import EARLIER_MS
from trading.domain.magnets.order_flow import DEFAULT_WALLS
from trading.models import DepthMinute, Instrument, Magnet, Signal

#: A book whose newest minute is older tells nothing of now (minutes).
OLD_MINUTES = 3
#: Half the height of a cluster's row, in ATR.
CLUSTER_HALF = 0.125
REASONS: Mapping[str, str] = {
    "stale_book": "The book has not been told for over ten seconds, so no wall can be named.",
    "broken_book": "An update of the book was missed; walls are named again after a whole minute.",
    "empty_book": "One side of the book is empty.",
    "warm_up": (
        f"Walls are named once {DEFAULT_WALLS.earlier_snapshots_min} minutes of the book have "
        "shown what is ordinary."
    ),
}


def explain_stream(instrument: Instrument, signal: Signal | None) -> dict[str, Any]:
    """Walls that stand, why there are none, and modelled liquidations beside those told."""
    newest = DepthMinute.objects.filter(instrument=instrument).order_by("-at").first()
    reading = (signal.reading if signal is not None else None) or {}
    found = reading.get("map") or {}
    clusters = found.get("clusters", [])
    averages = [{**item, "at": from_milliseconds(item["at"])} for item in found.get("averages", [])]
    if newest is None:
        return {
            "walls": [],
            "state": _say_none(instrument),
            "clusters": _plain(clusters),
            "averages": averages,
        }
    is_old = utc_now() - newest.at > timedelta(minutes=OLD_MINUTES)
    walls = Magnet.objects.filter(
        instrument=instrument, kind__in=("bid_wall", "ask_wall"), dead_at=None
    ).order_by("-price")
    forced = _forced_of(instrument)
    half = CLUSTER_HALF * (signal.atr or 0.0) if signal is not None else 0.0
    return {
        "walls": [] if is_old else [_say_wall(row) for row in walls],
        "state": "The book has not been told since then."
        if is_old
        else REASONS.get(newest.reason, ""),
        "told_at": newest.at,
        "averages": averages,
        "clusters": [{**item, "told": _sum_near(forced, item, half)} for item in _plain(clusters)],
        "forced_long": sum(value for side, _, value in forced if side == "sell"),
        "forced_short": sum(value for side, _, value in forced if side == "buy"),
    }


def _say_none(instrument: Instrument) -> str:
    if instrument.venue == "sim":
        return "Simulated prices have no order book: no wall and no liquidation is known."
    return "No stream has told the order book yet: no wall and no liquidation is known."


def _say_wall(row: Magnet) -> dict[str, Any]:
    return {
        "name": kind_words(row.kind),
        "price": row.price,
        "since": row.created_at,
        "size": row.detail.get("size"),
        "notional": row.detail.get("notional"),
        "times": row.detail.get("size_over_median"),
    }


def _plain(clusters: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(clusters, key=lambda item: -float(item["price"]))


def _forced_of(instrument: Instrument) -> list[tuple[str, float, float]]:
    """Side, price and value of the liquidations told within a day."""
    since = utc_now() - timedelta(milliseconds=EARLIER_MS)
    rows = DepthMinute.objects.filter(instrument=instrument, at__gt=since).exclude(forced=[])
    return [
        (side, price, price * quantity)
        for minute in rows.values_list("forced", flat=True)
        for _, side, price, quantity in minute
    ]


def _sum_near(forced: list[tuple[str, float, float]], item: dict[str, Any], half: float) -> float:
    """Value liquidated within a cluster's row; a long is closed by a forced sale."""
    wanted = "sell" if item["long"] else "buy"
    return sum(
        value
        for side, price, value in forced
        if side == wanted and abs(price - item["price"]) <= half
    )
