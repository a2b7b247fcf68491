"""Research as a library: a Parquet file, ten lines, no database and no settings.

    from magnetfund import research

    candles = research.load("BTCUSDT-1h.parquet", instrument="BTC/USDT:USDT", tick=0.1, lot=0.001)
    run = research.backtest("moving-average", candles, parameters={"fast": 20, "slow": 100})
    print(run.summary())
    run.save_report("report.html")
    sweep = research.sweep("moving-average", candles, {"fast": "10:50:10", "slow": "100,200"})
    print(sweep.variants[sweep.best].parameters, sweep.overfitting)

The same functions run here as behind ``manage.py backtest``, the desk and the API.  What runs here
is stored nowhere, so its trials are not counted: a verdict belongs to a stored run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from magnetfund.kernel.errors import InvalidInput
from trading.domain import indicators
from trading.domain.indicators.averages import ema, sma
from trading.domain.indicators.momentum import macd, rsi
from trading.domain.indicators.ranges import atr, bollinger
from trading.domain.market import DayRule, find_gaps, find_restarts
from trading.domain.market.candles import Candle, Candles, timeframe_ms
from trading.domain.research import figures as _figures
from trading.domain.research import sweep as _sweep
from trading.domain.research.coverage import InstrumentSeries
from trading.domain.research.own import ColumnStrategy, Entries
from trading.domain.research.report import build_report
from trading.domain.research.request import BacktestRequest, SleeveRequest
from trading.domain.research.run import Backtest, Builder, build, prepare, run_backtest
from trading.domain.research.space import read_space
from trading.domain.research.sweep import Sweep
from trading.domain.strategies.registry import STRATEGIES, compute_columns
from trading.domain.strategies.rules import RuleStrategy, Wish
from trading.domain.strategies.signals import Signals
from trading.services.research.file_series import LOT_DEFAULT, load_file_series

Rule = str | Callable[..., Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Market:
    """Candles of one instrument with how it trades; what :func:`load` gives."""

    series: InstrumentSeries

    @property
    def candles(self) -> Candles:
        """The closed candles in columns."""
        return self.series.candles

    @property
    def instrument(self) -> str:
        """The symbol."""
        return self.series.rules.symbol

    @property
    def restarts(self) -> tuple[int, ...]:
        """Bars at which ``indicators.over_segments`` warms up anew: the first, and each after a
        feed lost for more than three bars."""
        gaps = find_gaps(candles=self.candles, day_rule=DayRule.UTC_MIDNIGHT)
        return find_restarts(candles=self.candles, gaps=gaps)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A finished backtest with its figures."""

    backtest: Backtest
    figures: Mapping[str, Any]

    @property
    def metrics(self) -> Mapping[str, Any]:
        """Return, Sharpe, drawdown and the rest; shares are fractions."""
        found: Mapping[str, Any] = self.figures["metrics"]
        return found

    @property
    def trades(self) -> list[dict[str, Any]]:
        """Every round trip, oldest first."""
        prepared = self.backtest.prepared
        trades = self.backtest.result.trades
        return _figures.describe_trades(trades, prepared.rules, prepared.executed)

    def summary(self) -> str:
        """One line of the figures that matter."""
        m = self.metrics
        return (
            f"{m['trades']} trades, return {m['total_return']:+.2%}, a year {m['cagr']:+.2%}, "
            f"Sharpe {_shown(m['sharpe'])}, deepest fall {m['drawdown_max']:.2%}"
        )

    def save_report(self, path: str | Path) -> Path:
        """Write the self-contained HTML report; raises ``InvalidInput`` if it cannot be written."""
        request = self.backtest.prepared.request
        name = " and ".join(sleeve.strategy for sleeve in request.sleeves)
        text = build_report(
            title=f"{name} on {', '.join(request.instruments)}",
            subtitle=f"{request.timeframe} candles, rules: {request.rules}",
            figures=self.figures,
            trades=self.trades,
            headline="One run outside the trial register: nothing is said about luck.",
        )
        return write_text(Path(path), text)


def load(
    path: str | Path,
    *,
    instrument: str,
    timeframe: str = "1h",
    tick: float | None = None,
    lot: float = LOT_DEFAULT,
    fee_rate: float = 0.0005,
) -> Market:
    """Checked candles of a file (Parquet, Feather, CSV, ZIP, JSON).

    ``tick`` None is the finest step of the prices in the file.  Raises ``InvalidInput``.
    """
    series = load_file_series(
        Path(path),
        instrument=instrument,
        timeframe=timeframe,
        tick=tick,
        lot=lot,
        fee_rate=fee_rate,
    )
    return Market(series=series)


def signals(rule: Rule, market: Market, *, parameters: Mapping[str, Any] | None = None) -> Signals:
    """The signals of every candle in columns."""
    name, builders = _resolve(rule)
    strategy = build(builders, name, parameters or {})
    return compute_columns(strategy=strategy, candles=market.candles)


def backtest(
    rule: Rule,
    market: Market | Sequence[Market],
    *,
    parameters: Mapping[str, Any] | None = None,
    **options: Any,
) -> Run:
    """Run a strategy (by name, or a class of one's own) over one or several markets in one book.

    ``options`` are fields of :class:`BacktestRequest`: cash, rules, funding, start_ms, end_ms,
    resolution ("1m" on a market of minutes) ...
    """
    prepared, _ = _prepare(rule, market, parameters, options)
    done = run_backtest(prepared)
    return Run(backtest=done, figures=_figures.build_figures(done))


def sweep(
    rule: Rule,
    market: Market | Sequence[Market],
    space: Mapping[str, str],
    *,
    parameters: Mapping[str, Any] | None = None,
    count: int = 0,
    seed: int = 1,
    **options: Any,
) -> Sweep:
    """Try every combination of ``space`` (texts such as "10:50:10" or "100,200"), or ``count``."""
    prepared, builders = _prepare(rule, market, parameters, options)
    name = prepared.request.sleeves[0].strategy
    return _sweep.run_sweep(
        prepared=prepared,
        builders=builders,
        space=read_space(builders[name], space, count=count, seed=seed),
    )


def write_text(path: Path, text: str) -> Path:
    """Write a file; raises ``InvalidInput`` (``cannot_write``) with the reason."""
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InvalidInput(f"cannot write {path}: {error.strerror}", code="cannot_write") from None
    return path


def _prepare(
    rule: Rule,
    market: Market | Sequence[Market],
    parameters: Mapping[str, Any] | None,
    options: Mapping[str, Any],
) -> tuple[Any, Mapping[str, Builder]]:
    markets = [market] if isinstance(market, Market) else list(market)
    name, builders = _resolve(rule)
    options = dict(options)
    risk = options.pop("risk_share", 0.0035)
    first = build(builders, name, parameters or {})
    by_length = {timeframe_ms(key): key for key in ("1m", "5m", "15m", "30m", "1h", "4h", "1d")}
    options.setdefault("timeframe", by_length.get(first.timeframe_ms, "1h"))
    request = BacktestRequest(
        sleeves=(SleeveRequest(strategy=name, parameters=dict(parameters or {}), risk_share=risk),),
        instruments=tuple(item.instrument for item in markets),
        **options,
    )
    series = {item.instrument: item.series for item in markets}
    return prepare(request=request, series=series, builders=builders), builders


def _resolve(rule: Rule) -> tuple[str, Mapping[str, Builder]]:
    if isinstance(rule, str):
        return rule, STRATEGIES
    name = getattr(rule, "__name__", "own").lower()
    return name, {name: rule}


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


__all__ = [
    "Candle",
    "Candles",
    "ColumnStrategy",
    "Entries",
    "Market",
    "RuleStrategy",
    "Run",
    "Wish",
    "atr",
    "backtest",
    "bollinger",
    "ema",
    "indicators",
    "load",
    "macd",
    "rsi",
    "signals",
    "sma",
    "sweep",
]
