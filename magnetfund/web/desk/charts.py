"""Chart data of the desk, in the shape that ``charts.js`` draws."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

from magnetfund.core.templatetags.figures import price as price_text
from magnetfund.core.templatetags.figures import signed_percent as percent_text
from magnetfund.kernel.clock import utc_midnight, utc_now
from risk.domain.limits import Limits
from trading.models import Candle, Instrument, Signal, Valuation

KIND_WORDS = {
    "swing_high": "Swing high", "swing_low": "Swing low", "equal_highs": "Equal highs",
    "equal_lows": "Equal lows", "poc": "Volume peak", "vah": "Value area high",
    "val": "Value area low", "vwap_developing": "VWAP", "prior_high": "Prior high",
    "prior_low": "Prior low", "prior_close": "Prior close", "round_minor": "Minor round number",
    "round_major": "Round number",
    "gap_bullish": "Bullish gap", "gap_bearish": "Bearish gap",
    "call_wall": "Call wall (gamma)", "put_wall": "Put wall (gamma)",
}  # fmt: skip


#: Zones on the chart and in its table.
ZONES_SHOWN = 9


def kind_words(kind: str) -> str:
    """A level's recipe in words."""
    return KIND_WORDS.get(kind, kind.replace("_", " ").capitalize())


def last_day(book: str) -> list[Valuation]:
    """Time, equity and unit value of the last 24 hours, oldest first; one per minute."""
    since = utc_now() - timedelta(hours=24)
    rows = Valuation.objects.filter(book=book, at__gte=since).order_by("at")
    return list(rows.only("at", "equity", "unit_value"))


def intraday_chart(
    marked: list[Valuation], valuation: Valuation | None, limits: Limits
) -> dict[str, Any] | None:
    """Equity since 00:00 UTC against the daily stop, the drawdown stop and the peak."""
    rows = [(row.at, row.equity) for row in _since_midnight(marked)]
    if valuation is None or len(rows) < 2:
        return None
    step = max(1, len(rows) // 300)
    rows = rows[::step] + ([rows[-1]] if (len(rows) - 1) % step else [])
    shares = valuation.equity / valuation.unit_value
    daily = valuation.day_start_unit_value * shares * (1 - limits.daily_loss_share)
    peak = valuation.peak_unit_value * shares
    fall = peak * (1 - limits.drawdown_share)
    values = [float(equity) for _, equity in rows]
    low = min(*values, float(daily), float(fall))
    high = max(*values, float(peak))
    pad = (high - low) * 0.12
    return {
        "t": [int(at.timestamp()) for at, _ in rows],
        "clock": True,
        "digits": 2,
        "axisDigits": 0,
        "axis": 70,
        "pad": 104,
        "range": [low - pad, high + pad],
        "series": [
            {
                "name": "Equity", "y": values, "colour": "field", "width": 2, "label": "Equity",
                "end": f"{values[-1]:,.2f}",
            }
        ],
        "levels": [
            _level(peak, "Peak", "ink-3", dash=[2, 4]),
            _level(
                daily, f"Daily-loss limit {percent_text(-limits.daily_loss_share)}", "stopped",
                width=1.5,
            ),
            _level(
                fall, f"Drawdown limit {percent_text(-limits.drawdown_share)} from peak", "stopped",
                dash=[5, 4], below=True,
            ),
        ],
    }  # fmt: skip


def _since_midnight(marked: list[Valuation]) -> list[Valuation]:
    start = utc_midnight(utc_now())
    return [row for row in marked if row.at >= start]


def hourly_equity(marked: list[Valuation]) -> list[Valuation]:
    """The first valuation of each hour since 00:00 UTC and the newest, for the table."""
    today = _since_midnight(marked)
    firsts: dict[int, Valuation] = {}
    for row in today:
        firsts.setdefault(row.at.hour, row)
    found = list(firsts.values())
    return found if not today or today[-1] in found else [*found, today[-1]]


def newest_bars(instrument: Instrument) -> list[Candle]:
    """The last 24 closed hours, newest first."""
    return list(
        Candle.objects.filter(instrument=instrument, timeframe="1h").order_by("-open_time")[:24]
    )


def _level(value: Decimal, words: str, colour: str, **extra: Any) -> dict[str, Any]:
    return {
        "y": float(value),
        "label": f"{words} {value:,.2f}",
        "short": f"{words.split(' ')[0]} {value:,.0f}",
        "colour": colour,
        **extra,
    }


def candle_chart(instrument: Instrument, signal: Signal | None) -> dict[str, Any] | None:
    """The last 120 hours with the zones of the newest map as bands."""
    rows = list(
        Candle.objects.filter(instrument=instrument, timeframe="1h").order_by("-open_time")[:120]
    )[::-1]
    if len(rows) < 5:
        return None
    found = (signal.reading or {}).get("map") if signal is not None else None
    close = rows[-1].close
    zones = choose_zones(found)
    target = _target_price(signal, found)
    bands = [
        {
            "p": zone["price"],
            "hi": zone["high"],
            "lo": zone["low"],
            "strength": zone["strength"],
            "target": target is not None and abs(zone["price"] - target) < 1e-9,
            "colour": "field" if zone["price"] > close else "caution",
            "ink": "field" if zone["price"] > close else "caution-ink",
            "label": f"{price_text(zone['price'], instrument.tick)}  {_zone_words(zone)}",
            "note": f"strength {zone['strength']:.0f}, distance {zone['distance']:.2f} ATR",
        }
        for zone in zones
    ]
    low = min([row.low for row in rows] + [zone["low"] for zone in zones])
    high = max([row.high for row in rows] + [zone["high"] for zone in zones])
    pad = (high - low) * 0.04
    return {
        "t": [int(row.open_time.timestamp()) for row in rows],
        "o": [row.open for row in rows],
        "h": [row.high for row in rows],
        "l": [row.low for row in rows],
        "c": [row.close for row in rows],
        "clock": True,
        "digits": max(0, -int(instrument.tick.normalize().as_tuple().exponent)),
        "range": [low - pad, high + pad],
        "bands": bands,
        "lines": [
            {
                "y": close,
                "label": f"Price {price_text(close, instrument.tick)}",
                "colour": "ink",
                "dash": [2, 3],
            }
        ],
    }


def choose_zones(found: dict[str, Any] | None) -> list[dict[str, Any]]:
    """The strongest zones of a map, highest price first, for the chart and its table."""
    strongest = sorted((found or {}).get("zones", ()), key=lambda zone: -zone["strength"])
    return sorted(strongest[:ZONES_SHOWN], key=lambda zone: -zone["price"])


def _zone_words(zone: dict[str, Any]) -> str:
    members = zone.get("members") or ()
    return kind_words(members[0]["kind"]) if members else "Zone"


def _target_price(signal: Signal | None, found: dict[str, Any] | None) -> float | None:
    if signal is None or not found:
        return None
    side = direction_of(signal)
    reading = found.get("long" if side >= 0 else "short") or {}
    target = reading.get("target")
    return target["price"] if target else None


def direction_of(signal: Signal) -> int:
    """+1 long, -1 short: the side that the magnet sleeve judged, else the one with less conflict.

    A sleeve that stays out has no direction, but it names the strength and conflict of the side
    that it looked at; another side would have another tier than its reason tells.
    """
    plain = (signal.reading or {}).get("magnet", {})
    if plain.get("direction"):
        return int(plain["direction"])
    found = (signal.reading or {}).get("map") or {}
    for name, side in (("long", 1), ("short", -1)):
        if _is_judged(plain, found.get(name) or {}):
            return side
    long_c = (found.get("long") or {}).get("conflict")
    short_c = (found.get("short") or {}).get("conflict")
    if long_c is None and short_c is None:
        return 1
    return 1 if short_c is None or (long_c is not None and long_c <= short_c) else -1


def _is_judged(plain: dict[str, Any], reading: dict[str, Any]) -> bool:
    """Whether the sleeve's strength and conflict are those of this side of the map."""
    names = ("strength", "conflict")
    if any(plain.get(name) is None or reading.get(name) is None for name in names):
        return False
    return all(abs(plain[name] - reading[name]) < 1e-5 for name in names)
