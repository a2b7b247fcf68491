"""Reads of the trading app that pages, API, exports and commands share; nothing here writes.

What the whole book shows is offered here; a subject of its own has its module.
"""

from trading.selectors.book import (
    INTERVALS,
    LIST_MAX,
    PERIODS,
    active_instruments,
    build_performance,
    current_performance,
    daily_unit_values,
    drawdowns_of,
    latest_valuation,
    open_positions,
    performance_series,
    read_closes_at,
    recent_fills,
    recent_orders,
    recent_trades,
    require_instrument,
    select_orders,
    select_trades,
    trade_page,
    valuations,
)

__all__ = [
    "INTERVALS",
    "LIST_MAX",
    "PERIODS",
    "active_instruments",
    "build_performance",
    "current_performance",
    "daily_unit_values",
    "drawdowns_of",
    "latest_valuation",
    "open_positions",
    "performance_series",
    "read_closes_at",
    "recent_fills",
    "recent_orders",
    "recent_trades",
    "require_instrument",
    "select_orders",
    "select_trades",
    "trade_page",
    "valuations",
]
