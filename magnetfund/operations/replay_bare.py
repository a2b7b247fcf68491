"""A replay under bare rules: one investor's money, no dealing, and the backtest that it must equal.

Bare rules are those of ``backtest --rules bare``: sizes within the ceilings of code, neither fuse
nor market triggers nor dated events.  What is left is the decision and its execution, so order
desk, venue, pre-trade control, order gate and ledger must give the trades of the kernel.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from magnetfund.kernel.clock import to_milliseconds
from magnetfund.operations.replay_plan import ReplayPlan
from magnetfund.operations.scenario import Scenario, load_scenario
from trading.domain.backtest.reference import find_trade_difference
from trading.domain.market import HOUR_MS
from trading.domain.research.request import BacktestRequest, SleeveRequest
from trading.domain.research.run import Backtest, run_backtest
from trading.services.history import TradingHistory
from trading.services.research.backtests import prepare_stored
from trading.services.research.catalogue import load_catalogue
from trading.services.research.series import load_instrument_series

INVESTOR = {"email": "investor@example.com", "name": "The Investor", "country": "CH"}


def build_bare_scenario(cash: float) -> Scenario:
    """A fund of one investor, who brings ``cash`` at its inception and nothing after it."""
    order = {"month": 0, "class": "A", "amount": f"{cash:.2f}"}
    return replace(load_scenario(), investors=({**INVESTOR, "orders": [order]},), expenses=())


def run_bare_backtest(plan: ReplayPlan) -> Backtest:
    """The backtest of a plan under bare rules; raises :class:`InvalidInput` where it is refused."""
    request = BacktestRequest(
        sleeves=tuple(
            SleeveRequest(strategy=code, risk_share=float(plan.risk)) for code in plan.sleeves
        ),
        instruments=tuple(item.symbol for item in plan.instruments),
        start_ms=to_milliseconds(plan.start),
        end_ms=to_milliseconds(plan.end) // HOUR_MS * HOUR_MS,
        rules="bare",
        gap_share_max=1.0,
        resolution=None if plan.resolution == "1h" else plan.resolution,
    )
    series = {item.symbol: load_instrument_series(item, request) for item in plan.instruments}
    return run_backtest(prepare_stored(request, load_catalogue(), series))


def compare_with_backtest(history: TradingHistory, backtest: Backtest) -> dict[str, Any]:
    """Trades of the backtest, and the first difference in words; empty where all are equal.

    Whole numbers are the same, money and the last equity within a billionth of their size.
    """
    result = backtest.result
    difference = find_trade_difference(history.round_trips, result.trades)
    ours, theirs = history.paper.book.equity, float(result.equity[-1])
    if not difference and not math.isclose(ours, theirs, rel_tol=1e-9):
        difference = f"final equity: {ours} and {theirs}"
    return {"trades": len(result.trades), "difference": difference}
