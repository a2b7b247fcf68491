"""What the public page and the desk share: frame values, charts, the fund's record."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.db.models import Exists
from django.http import HttpRequest
from django.urls import reverse

from investors.models import Fund
from magnetfund.kernel.clock import utc_now
from risk.services.fuse import state_of
from risk.services.limits import limits_in_force
from trading import selectors
from trading.models import Valuation

STALE_AFTER = timedelta(minutes=10)
#: A longer page number names no page and is not even read as one.
PAGE_DIGITS = 6


def page_context(request: HttpRequest, place: str = "") -> dict[str, Any]:
    """What every frame needs: one newest valuation, fuse state."""
    book = settings.MAGNET_BOOK
    simulated = Fund.objects.filter(book=book, is_simulated=True)
    valuation = selectors.valuations(book).annotate(is_simulated=Exists(simulated)).first()
    now = utc_now()
    user = request.user
    theme = getattr(user, "theme", "auto") if user.is_authenticated else "auto"
    return {
        "place": place,
        "now": now,
        "theme": theme if theme in ("light", "dark") else "",
        "mode": settings.TRADING_MODE,
        "simulated": simulated.exists() if valuation is None else valuation.is_simulated,
        "valuation": valuation,
        "day_change": day_change(valuation),
        "day_money": day_money(valuation),
        "fuse_state": state_of(book),
        "is_stale": valuation is not None and now - valuation.at > STALE_AFTER,
        "live_url": reverse("live"),
    }


def asked_page(request: HttpRequest) -> int:
    """Which page of a list is asked for; what is no page number asks for the first."""
    text = request.GET.get("page", "")
    return int(text) if text.isdecimal() and len(text) <= PAGE_DIGITS else 1


def day_change(valuation: Valuation | None) -> float | None:
    """Change of the unit value since 00:00 UTC as a fraction."""
    if valuation is None:
        return None
    return float(valuation.unit_value / valuation.day_start_unit_value - 1)


def day_money(valuation: Valuation | None) -> Decimal | None:
    """Won or lost since 00:00 UTC on the units of now; money in and out is not a result."""
    if valuation is None:
        return None
    units = valuation.equity / valuation.unit_value
    return (valuation.unit_value - valuation.day_start_unit_value) * units


def used_shares(valuation: Valuation | None) -> dict[str, Any]:
    """The limits in force, and how much of the daily and the drawdown one is used, as fractions."""
    limits = limits_in_force(settings.MAGNET_BOOK)
    shown = {
        "limits": limits,
        "daily_limit": limits.daily_loss_share,
        "drawdown_limit": limits.drawdown_share,
    }
    if valuation is None:
        return shown
    change = day_change(valuation) or 0.0
    fall = float(valuation.unit_value / valuation.peak_unit_value - 1)
    return {
        **shown,
        "has_no_capital": valuation.equity == 0 and not valuation.open_positions,
        "daily_change": change,
        "drawdown": min(fall, 0.0),
        "daily_used": max(0.0, -change) / float(limits.daily_loss_share),
        "drawdown_used": max(0.0, -fall) / float(limits.drawdown_share),
        "daily_room": valuation.equity
        * Decimal(str(max(0.0, float(limits.daily_loss_share) + change))),
        "drawdown_room": valuation.equity
        * Decimal(str(max(0.0, float(limits.drawdown_share) + fall))),
    }


def to_seconds(at: datetime) -> int:
    return int(at.timestamp())


def record_charts(days: Sequence[tuple[datetime, Decimal]]) -> dict[str, Any]:
    """Daily unit value and its fall from the peak as chart data, and a weekly table."""
    if not days:
        return {}
    first = days[0][1]
    values = [value / first * 100 for _, value in days]
    falls = [fall * 100 for fall in selectors.drawdowns_of([value for _, value in days])]
    times = [to_seconds(at) for at, _ in days]
    total = float(values[-1] / values[0] - 1)
    return {
        "equity_chart": {
            "t": times,
            "digits": 2,
            "axisDigits": 1,
            "axis": 52,
            "sync": "pub",
            "x": False,
            "series": [
                {
                    "name": "Magnet Fund",
                    "y": [round(float(value), 3) for value in values],
                    "colour": "field",
                    "width": 2,
                    "label": f"Fund, gross {_signed(total)}",
                }
            ],
        },
        "drawdown_chart": {
            "t": times,
            "digits": 2,
            "axisDigits": 1,
            "sign": True,
            "unit": " %",
            "splits": [-5, -2.5, 0],
            "range": [-5.6, 0.3],
            "axis": 52,
            "sync": "pub",
            "series": [
                {
                    "name": "Drawdown",
                    "y": [round(fall, 3) for fall in falls],
                    "colour": "loss",
                    "width": 1.25,
                    "fill": True,
                    "label": f"Last {_signed(falls[-1] / 100)}",
                    "ink": "loss",
                }
            ],
            "levels": [
                {
                    "y": -5,
                    "label": "All positions are closed at \u22125.00 %",
                    "short": "all closed",
                    "colour": "stopped",
                    "dash": [5, 4],
                }
            ],
        },
        "weekly": [
            {"at": at, "value": value, "fall": fall / 100}
            for (at, _), value, fall in list(zip(days, values, falls, strict=True))[::7]
        ],
        "total_return": total,
        "worst_fall": min(falls) / 100,
        "deepest": -min(falls) / 100,
        "days": len(days),
        "since": days[0][0],
    }


def _signed(share: float) -> str:
    sign = "\u2212" if share < 0 else "+"
    return f"{sign}{abs(share) * 100:.2f}\u00a0%"
