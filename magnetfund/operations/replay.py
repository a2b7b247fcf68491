"""A replay: the whole fund through imported history, in virtual time, with what it measured."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Sum

from investors.models import ClassNav, Fund
from investors.services.verification import verify_fund
from magnetfund.core.actors import Actor
from magnetfund.kernel.clock import to_milliseconds, utc_now
from magnetfund.kernel.identifiers import canonical, canonical_json
from magnetfund.operations.people import (
    arm_by_scenario,
    ensure_scenario_people,
    rearm_by_scenario,
    sign_limits_by_scenario,
)
from magnetfund.operations.replay_bare import (
    build_bare_scenario,
    compare_with_backtest,
    run_bare_backtest,
)
from magnetfund.operations.replay_plan import ReplayPlan, check_plan, plan_in_words
from magnetfund.operations.scenario import FundKeeper, build_fund, load_scenario
from risk.domain.limits import Limits
from risk.models import FuseEvent
from risk.services.limits import REASON_MAX, limits_in_force, list_limits_in_force
from risk.services.scenario_clock import close_scenario, open_scenario
from risk.services.stop_audit import chain_stops
from trading.domain.engine.step import open_book
from trading.domain.market import HOUR_MS, Candles
from trading.domain.market.blackouts import Blackout
from trading.models import (
    BookFlow,
    Fill,
    FundingPayment,
    ReplayRun,
    Strategy,
    Trade,
    Valuation,
)
from trading.services.blackouts import read_blackouts
from trading.services.book.memory import Memory
from trading.services.book.trading_book import TradingBook
from trading.services.book_setup import BookSetup, build_setup
from trading.services.candle_store import load_candles
from trading.services.correlations import find_correlation_groups, measure_correlations
from trading.services.funding import load_funding
from trading.services.history import LimitsChange, TradingHistory
from trading.services.valuation import BookValue


def run_replay(
    plan: ReplayPlan, *, on_start: Callable[[int], None], on_bar: Callable[[], None]
) -> dict[str, Any]:
    """Run the plan on a book of its own and measure it.

    Raises :class:`Conflict` where the book was used before and :class:`InvalidInput` for a span
    that cannot be traded.
    """
    check_plan(plan)
    began = time.monotonic()
    # What cannot be traded is found out before anything stays.
    backtest = run_bare_backtest(plan) if plan.is_bare else None
    with transaction.atomic():
        open_scenario(plan.book)
        run = ReplayRun.objects.create(
            book=plan.book, parameters=canonical(plan_in_words(plan)), started_at=utc_now()
        )
        people = ensure_scenario_people()
        scenario = (
            load_scenario()
            if backtest is None
            else build_bare_scenario(backtest.prepared.request.cash)
        )
        months = (plan.end.year - plan.start.year) * 12 + plan.end.month - plan.start.month + 2
        fund = build_fund(
            scenario, book=plan.book, inception=plan.start, months=months, people=people
        )
        keeper = FundKeeper(
            scenario=scenario, fund=fund, people=people, numbers=f"{plan.book}"[:12]
        )
        if not plan.limits.is_shipped:
            for at, limits in plan.limits.schedule(plan.start):
                sign_limits_by_scenario(
                    book=plan.book, people=people, at=at, limits=limits,
                    reason=f"replay under the {plan.limits.name}"[:REASON_MAX],
                )  # fmt: skip
        cash = keeper.begin()
        history = build_history(
            plan, cash=float(cash), keeper=keeper, people_reset=lambda book, at: rearm_by_scenario(
                book=book, people=people, at=at, reason=f"policy {plan.reset_policy.code}"
            ), on_bar=on_bar,
        )  # fmt: skip
        arm_by_scenario(book=plan.book, people=people, at=plan.start, reason="start of the replay")
    on_start(history.bars)
    history.run()
    chain_stops()
    close_scenario(plan.book)
    result = _measure(plan, fund, history, keeper)
    if backtest is not None:
        result["backtest"] = compare_with_backtest(history, backtest)
    result["wall_seconds"] = round(time.monotonic() - began, 1)
    run.result, run.finished_at = canonical(result), utc_now()
    run.save(update_fields=["result", "finished_at"])
    return result


def build_history(
    plan: ReplayPlan,
    *,
    cash: float,
    keeper: FundKeeper,
    people_reset: Callable[[str, datetime], None],
    on_bar: Callable[[], None] | None,
    valuation_hours: int = 24,
) -> TradingHistory:
    """The trading of a plan, ready to run on a book that starts with ``cash``."""
    versions = list_limits_in_force(plan.book, start=plan.start, end=plan.end)
    limits = versions[0] if versions else limits_in_force(plan.book, at=plan.start)
    measure_correlations(book=plan.book, instruments=plan.instruments, at=plan.start)
    setup = _build_setup(plan, limits, cash=cash)
    start_ms, end_ms = to_milliseconds(plan.start), to_milliseconds(plan.end)
    newest = BookFlow.objects.filter(book=plan.book).order_by("-id").first()
    book = open_book(rules=setup.rules, time_ms=start_ms)
    paper = TradingBook(
        code=plan.book,
        rules=setup.rules,
        instruments=setup.instruments,
        sleeves=setup.sleeves,
        memory=Memory(book=book, flow_id=newest.pk if newest else 0, shares=cash / 100.0),
        is_history=True,
        actor=Actor.system("replay (SIMULATED)"),
        limits=limits,
        reset=people_reset,
    )
    return TradingHistory(
        paper=paper,
        setup=setup,
        candles={item.symbol: load_candles(item, "1h") for item in plan.instruments},
        funding={item.symbol: load_funding(item) for item in plan.instruments},
        start_ms=start_ms,
        end_ms=end_ms // HOUR_MS * HOUR_MS,
        keeper=None if plan.is_bare else keeper,
        fine=_fine_candles(plan, start_ms, end_ms),
        blackouts=_read_events(plan),
        changes=[
            LimitsChange(limits=item, setup=_build_setup(plan, item, cash=cash))
            for item in versions[1:]
        ],
        valuation_hours=valuation_hours,
        on_bar=on_bar,
    )


def _build_setup(plan: ReplayPlan, limits: Limits, *, cash: float) -> BookSetup:
    """What the plan trades, under one version of its limits."""
    symbols = [item.symbol for item in plan.instruments]
    return build_setup(
        instruments=plan.instruments,
        sleeves=[Strategy(code=code, version=1, risk_fraction=plan.risk) for code in plan.sleeves],
        limits=limits,
        cash=cash,
        # A backtest counts all instruments as one group; under bare rules so does a replay.
        groups=None
        if plan.is_bare
        else find_correlation_groups(book=plan.book, symbols=symbols, limits=limits, at=plan.start),
        reset_policy=plan.reset_policy,
        is_bare=plan.is_bare,
    )


def _fine_candles(plan: ReplayPlan, start_ms: int, end_ms: int) -> dict[str, Candles] | None:
    if plan.resolution == "1h":
        return None
    return {
        item.symbol: load_candles(item, plan.resolution, start_ms=start_ms, end_ms=end_ms)
        for item in plan.instruments
    }


def _read_events(plan: ReplayPlan) -> tuple[Blackout, ...]:
    """The dated events of the fund's book, as its trader and backtests read them."""
    if plan.is_bare:
        return ()
    return read_blackouts(
        settings.MAGNET_BOOK,
        start_ms=to_milliseconds(plan.start),
        end_ms=to_milliseconds(plan.end) + 1,
    )


def _measure(
    plan: ReplayPlan, fund: Fund, history: TradingHistory, keeper: FundKeeper
) -> dict[str, Any]:
    trades = list(Trade.objects.filter(book=plan.book).order_by("closed_at", "id"))
    by_sleeve = {
        code: _sleeve([trade for trade in trades if trade.strategy == code])
        for code in plan.sleeves
    }
    problems = verify_fund(fund)
    newest = history.values[-1]
    peak, worst = 0.0, 0.0
    for value in history.values:
        unit = float(value.unit_value)
        peak = max(peak, unit)
        worst = min(worst, unit / peak - 1.0)
    return {
        "book": plan.book,
        **plan_in_words(plan),
        "dated_events": len(_read_events(plan)),
        "bars": history.paper.counts.bars,
        "orders": history.paper.counts.orders,
        "denied": history.paper.counts.denied,
        "fills": history.paper.counts.fills,
        "trades": len(trades),
        "sleeves_measured": by_sleeve,
        "fuse_events": history.paper.counts.by_trigger,
        "resets": history.paper.counts.resets,
        "navs_struck": keeper.strikes,
        "investors": keeper.investor_count,
        "final_equity": f"{newest.equity:.2f}",
        "bridge": _bridge(plan.book, newest, sum((trade.net_pnl for trade in trades), Decimal(0))),
        "unit_value": f"{newest.unit_value:.6f}",
        "return": float(newest.unit_value / 100 - 1),
        "drawdown_max_daily": worst,
        "losing_days": [
            {
                "day": f"{loss.day:%Y-%m-%d}",
                "change": loss.change,
                "limit": -loss.limit,
                "beyond": -loss.limit - loss.change,
                "slippage": loss.slippage,
                "causes": list(loss.causes),
                "fills": list(loss.fills),
            }
            for loss in history.losses
        ],
        "ledger": "clean" if not problems else "differs",
        "differences": problems,
        "state_hash": state_hash(plan.book, fund),
    }


def _bridge(book: str, newest: BookValue, closed: Decimal) -> dict[str, str]:
    """Where the final equity comes from: capital, closed trades, what is still open.

    Each part is read from rows of its own (flows, trades, fills and funding), so a ``difference``
    of more than rounding means that the books do not tie.
    """
    zero = Decimal(0)
    capital = BookFlow.objects.filter(book=book).aggregate(all=Sum("amount"))["all"] or zero
    fills = Fill.objects.filter(book=book).aggregate(result=Sum("realised"), fees=Sum("fee"))
    funding = FundingPayment.objects.filter(book=book).aggregate(all=Sum("amount"))["all"] or zero
    final = (fills["result"] or zero) - (fills["fees"] or zero) + funding
    still_open = final - closed + newest.equity - newest.cash
    parts = {"capital": capital, "closed_trades": closed, "open_positions": still_open}
    rest = newest.equity - sum(parts.values())
    return {name: f"{amount:.2f}" for name, amount in {**parts, "difference": rest}.items()}


def _sleeve(trades: Sequence[Trade]) -> dict[str, Any]:
    won = [trade for trade in trades if trade.net_pnl > 0]
    return {
        "trades": len(trades),
        "won": len(won),
        "net": f"{sum((trade.net_pnl for trade in trades), Decimal(0)):.2f}",
        "fees": f"{sum((trade.commission for trade in trades), Decimal(0)):.2f}",
        "funding": f"{sum((trade.funding for trade in trades), Decimal(0)):.2f}",
    }


def state_hash(book: str, fund: Fund) -> str:
    """sha256 over everything that a replay decided, without ids, names and recording times."""
    digest = hashlib.sha256()
    rows: list[Any] = [
        Fill.objects.filter(book=book).order_by("occurred_at", "id").values_list(
            "instrument__symbol", "strategy", "side", "quantity", "price", "fee", "realised",
            "reason", "occurred_at",
        ),
        FundingPayment.objects.filter(book=book).order_by(
            "stamp", "instrument__symbol", "strategy"
        ).values_list("instrument__symbol", "strategy", "stamp", "amount"),
        FuseEvent.objects.filter(book=book).order_by(
            "occurred_at", "scope", "kind", "trigger", "strategy"
        ).values_list(
            "scope", "kind", "trigger", "strategy", "occurred_at"
        ),
        Valuation.objects.filter(book=book).order_by("at").values_list(
            "at", "equity", "cash", "unit_value"
        ),
        ClassNav.objects.filter(strike__fund=fund).order_by(
            "strike__valuation_at", "share_class__code"
        ).values_list(
            "strike__valuation_at", "share_class__code", "units", "price", "nav",
            "management_fee", "performance_fee_accrued",
        ),
    ]  # fmt: skip
    for query in rows:
        for row in query.iterator(chunk_size=5000):
            digest.update(canonical_json(list(row)).encode())
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT p.account_id, p.currency, p.share_class, sum(p.amount)
               FROM investors_posting p JOIN investors_entry e ON e.id = p.entry_id
               WHERE e.fund_id = %s AND p.currency NOT LIKE 'U:%%'
               GROUP BY 1, 2, 3 ORDER BY 1, 2, 3""",
            [fund.pk],
        )
        for row in cursor.fetchall():
            digest.update(canonical_json(list(row)).encode())
    return digest.hexdigest()
