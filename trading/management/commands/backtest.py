"""Backtest strategies on stored candles, or on a candle file, and store the run with its trial."""

from __future__ import annotations

import time
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser
from django.db import transaction

from magnetfund.core.actors import Actor
from magnetfund.core.commands import FundCommand, notice_after
from magnetfund.kernel.errors import InvalidInput
from risk.domain.fuse import ResetPolicy
from trading.domain.market.candles import Candles
from trading.domain.research.coverage import InstrumentSeries
from trading.domain.research.parameters import read_parameters
from trading.domain.research.report import build_report
from trading.domain.research.request import (
    CONTROLS_MAX,
    FUNDINGS,
    GAP_SHARE_MAX,
    RESOLUTIONS,
    RULES,
    BacktestRequest,
    SleeveRequest,
)
from trading.domain.research.run import find_engine_difference
from trading.domain.strategies.base import Strategy
from trading.models import ResearchRun
from trading.selectors.research import describe_run, judge_run, parameter_texts
from trading.services.research.backtests import (
    ask_backtest,
    hold_run,
    prepare_stored,
    require_done,
    work_backtest,
)
from trading.services.research.catalogue import Catalogue, load_catalogue
from trading.services.research.child_process import hold_processes
from trading.services.research.file_series import load_file_series
from trading.services.research.tables import decode_rows, write_csv

NOTICE_SECONDS = 5.0
COMPILING = (
    "Working. The first run after an installation compiles the kernel, half a minute to a minute; "
    "later ones take a second."
)


class Command(FundCommand):
    help = __doc__

    def add_own_arguments(self, parser: CommandParser) -> None:
        add_request_arguments(parser)
        add_file_arguments(parser)
        parser.add_argument(
            "--both-engines",
            action="store_true",
            help="run the readable engine as well and refuse where any trade differs",
        )
        parser.add_argument(
            "--controls",
            type=int,
            default=0,
            help=f"draws of each control, up to {CONTROLS_MAX}: what chance would have earned",
        )
        parser.add_argument("--html", type=Path, help="write a self-contained report")
        parser.add_argument("--csv", type=Path, help="write every trade as CSV")
        parser.add_argument("--parquet", type=Path, help="write every trade as Parquet")

    @hold_processes()
    def work(self, **options: Any) -> dict[str, Any]:
        began = time.monotonic()
        for name in ("html", "csv", "parquet"):
            check_writable(options[name])
        request = read_request(options)
        series = read_series(options, request)
        with ExitStack() as held:
            with transaction.atomic():  # nobody sees the row before it is held
                run = ask_backtest(
                    request=request,
                    actor=Actor.system("backtest"),
                    by_person=False,
                    stored_candles=series is None,
                )
                held.enter_context(hold_run(run.pk))
            held.enter_context(notice_after(NOTICE_SECONDS, COMPILING))
            run = work_backtest(run, series=series)
        require_done(run)
        if options["both_engines"]:
            self._compare_engines(request, series)
        self._write_files(run, options)
        seconds = time.monotonic() - began
        self._tell(run, seconds)
        return describe_run(run)

    def _compare_engines(
        self, request: BacktestRequest, series: dict[str, InstrumentSeries] | None
    ) -> None:
        difference = find_engine_difference(prepare_stored(request, load_catalogue(), series))
        if difference:
            raise InvalidInput(f"the two engines differ: {difference}", code="engines_differ")
        self.say("The readable engine gives the same trades.")

    def _write_files(self, run: ResearchRun, options: dict[str, Any]) -> None:
        if options["html"]:
            verdict = judge_run(run)
            text = build_report(
                title=f"Backtest {run.pk}: {run.title}",
                subtitle=f"{run.strategy_version}; {run.created_at:%Y-%m-%d %H:%M} UTC",
                figures=run.result["figures"],
                trades=decode_rows(run.trades_file),
                headline=f"{verdict.headline}: {verdict.detail}.",
                parameters=parameter_texts(run),
            )
            write_file(options["html"], text.encode())
        if options["csv"]:
            write_file(options["csv"], write_csv(decode_rows(run.trades_file)).encode())
        if options["parquet"]:
            write_file(options["parquet"], bytes(run.trades_file or b""))

    def _tell(self, run: ResearchRun, seconds: float) -> None:
        figures = run.result["figures"]
        m, hold = figures["metrics"], figures["periods"][0]["hold"]
        verdict = judge_run(run)
        self.say(f"Run {run.pk}: {run.title}, {run.strategy_version}.")
        self.say(
            f"  {m['trades']:,} trades, {shown(m['win_rate'], '.1%')} won, average "
            f"{shown(m['average_r'], '+.2f')} R; return {m['total_return']:+.2%}, a year "
            f"{m['cagr']:+.2%}, Sharpe {shown(m['sharpe'], '.2f')}, deepest fall "
            f"{m['drawdown_max']:.2%}, in the market {m['exposure']:.0%}."
        )
        self.say(
            f"  Bought and held: a year {hold['cagr']:+.2%}, Sharpe "
            f"{shown(hold['sharpe'], '.2f')}, deepest fall {hold['drawdown_max']:.2%}."
        )
        costs = figures["costs"]
        self.say(
            f"  Before costs {costs['before']:+,.2f}; fees {costs['fees']:+,.2f}, slippage "
            f"{costs['slippage']:+,.2f}, funding {costs['funding']:+,.2f}; net "
            f"{costs['net']:+,.2f}."
        )
        self._tell_controls(figures)
        for line in figures["assumptions"][2:]:
            self.say(f"  {line}")
        self.say(f"  {verdict.headline}: {verdict.detail}.")
        self.say(f"  Inputs {run.inputs_hash[:16]}, {run.wall_ms or 0} ms of {seconds:.2f} s.")

    def _tell_controls(self, figures: dict[str, Any]) -> None:
        if not figures["controls"]:
            return
        m = figures["metrics"]
        self.say(
            f"  {'control (draws)':<28}{'Sharpe (sd)':>13}{'as good':>9}{'a year':>9}"
            f"{'R (sd)':>17}{'as good':>9}{'trades':>8}"
        )
        self.say(
            f"  {'this run':<28}{shown(m['sharpe'], '.2f'):>6}{m['cagr']:>25.2%}"
            f"{shown(m['average_r'], '.3f'):>9}{m['trades']:>25}"
        )
        for row in figures["controls"]:
            name = f"{row['name'].replace('_', ' ')} ({row['draws']})"
            self.say(
                f"  {name:<28}{row['sharpe']:>6.2f} ({shown(row['sharpe_deviation'], '.2f'):>4})"
                f"{shown(row['as_good_sharpe'], '.0%'):>9}{row['cagr']:>9.2%}"
                f"{shown(row['average_r'], '.3f'):>9} "
                f"({shown(row['average_r_deviation'], '.3f'):>5})"
                f"{shown(row['as_good_r'], '.0%'):>9}{row['trades']:>8.0f}"
            )


def add_request_arguments(parser: CommandParser) -> None:
    """The arguments that say what is to be run; sweeps share them."""
    parser.add_argument("--strategy", action="append", required=True, help="may be given twice")
    parser.add_argument("--instrument", action="append", required=True, help="BTC/USDT:USDT")
    parser.add_argument("--timeframe", help="that of the strategy if absent")
    parser.add_argument(
        "--resolution",
        choices=RESOLUTIONS,
        help="shorter candles on which orders, stops and the fuse execute",
    )
    parser.add_argument("--from", dest="start", help="first day, YYYY-MM-DD")
    parser.add_argument("--to", dest="end", help="first day that is not in it, YYYY-MM-DD")
    parser.add_argument("--unseen-from", dest="unseen", help="day from which data were not seen")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--risk", type=float, default=0.0035, help="share of equity per trade")
    parser.add_argument("--fees", type=float, help="taker fee as a fraction, 0.0005")
    parser.add_argument("--slippage", type=float, help="as a fraction, 0.0002")
    parser.add_argument("--cash", type=float, default=430_000.0)
    parser.add_argument("--rules", choices=RULES, default="fund")
    parser.add_argument("--funding", choices=FUNDINGS, default="dated")
    parser.add_argument("--reset-policy", default=ResetPolicy.COOLDOWN_7D.code)
    parser.add_argument("--gaps", type=float, default=GAP_SHARE_MAX, help="share allowed to lack")


def add_file_arguments(parser: CommandParser) -> None:
    """A candle file in the place of stored candles."""
    parser.add_argument("--file", type=Path, help="candles of a file instead of stored ones")
    parser.add_argument("--tick", type=float, help="with --file: price step of the instrument")
    parser.add_argument("--lot", type=float, help="with --file: quantity step")


def read_series(
    options: dict[str, Any], request: BacktestRequest
) -> dict[str, InstrumentSeries] | None:
    """The series of ``--file``, None where stored candles are meant."""
    if not options["file"]:
        return None
    if len(request.instruments) != 1:
        raise InvalidInput("a file holds one instrument", code="one_instrument")
    name = request.instruments[0]
    series = load_file_series(
        options["file"],
        instrument=name,
        timeframe=request.resolution or request.timeframe,
        tick=options["tick"],
        lot=options["lot"],
    )
    return {name: series}


def read_file_candles(options: dict[str, Any]) -> Candles | None:
    """The hourly candles of ``--file``, None where stored candles are meant."""
    if not options["file"]:
        return None
    return load_file_series(
        options["file"], instrument=options["instrument"], timeframe="1h", tick=options["tick"]
    ).candles


def read_request(options: dict[str, Any]) -> BacktestRequest:
    """The request of a command's options; raises :class:`InvalidInput`."""
    from trading.domain.market.slices import name_length

    catalogue = load_catalogue()
    chosen = read_settings(options["set"], options["strategy"], catalogue)
    sleeves = tuple(
        SleeveRequest(strategy=name, parameters=chosen[name], risk_share=options["risk"])
        for name in options["strategy"]
    )
    first = _build_first(catalogue, sleeves[0], is_swept="space" in options)
    return BacktestRequest(
        sleeves=sleeves,
        instruments=tuple(options["instrument"]),
        timeframe=options["timeframe"] or name_length(first.timeframe_ms),
        start_ms=read_day(options["start"]),
        end_ms=read_day(options["end"]),
        unseen_ms=read_day(options["unseen"]),
        rules=options["rules"],
        funding=options["funding"],
        fee_rate=options["fees"],
        slippage_rate=options["slippage"],
        cash=options["cash"],
        reset_policy=options["reset_policy"],
        gap_share_max=options["gaps"],
        resolution=options["resolution"],
        controls=options.get("controls", 0),
    )


def _build_first(catalogue: Catalogue, sleeve: SleeveRequest, *, is_swept: bool) -> Strategy:
    """The first strategy, for its timeframe.  Of a sweep a default may not go with what is given,
    while the variants do: then the strategy with its defaults alone."""
    from trading.domain.research.run import build

    try:
        return build(catalogue.builders, sleeve.strategy, sleeve.parameters)
    except InvalidInput:
        if not is_swept:
            raise
        return build(catalogue.builders, sleeve.strategy, {})


def read_settings(
    texts: list[str], strategies: list[str], catalogue: Catalogue
) -> dict[str, dict[str, Any]]:
    """``fast=20`` (or ``trend.stop_atr=3`` where there are several) as checked parameters."""
    given: dict[str, dict[str, str]] = {name: {} for name in strategies}
    for text in texts:
        name, is_pair, value = text.partition("=")
        if not is_pair:
            raise InvalidInput(f"{text} is not NAME=VALUE", code="bad_parameter")
        owner, has_owner, rest = name.partition(".")
        if has_owner and owner in given:
            given[owner][rest] = value
        elif len(strategies) == 1:
            given[strategies[0]][name] = value
        else:
            raise InvalidInput(
                f"say which strategy's parameter {name} is: {strategies[0]}.{name}={value}",
                code="bad_parameter",
            )
    found = {}
    for name, values in given.items():
        if name in catalogue.broken:
            raise InvalidInput(catalogue.broken[name], code="strategy_failed")
        if name not in catalogue.builders:
            raise InvalidInput(
                f"there is no strategy {name!r}; known: {', '.join(sorted(catalogue.builders))}",
                code="unknown_strategy",
            )
        found[name] = read_parameters(catalogue.builders[name], values)
    return found


def read_day(text: str | None) -> int | None:
    """A day as milliseconds UTC; raises :class:`InvalidInput` (``bad_date``)."""
    if not text:
        return None
    try:
        return round(datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).timestamp() * 1000)
    except ValueError:
        raise InvalidInput(f"{text} is not a date; use YYYY-MM-DD", code="bad_date") from None


def check_writable(path: Path | None) -> None:
    """Raise :class:`InvalidInput` (``cannot_write``) before anything is run for nothing."""
    import os

    if path is None:
        return
    folder = path.parent if path.parent != Path() else Path.cwd()
    if path.is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK):
        raise InvalidInput(f"cannot write {path}", code="cannot_write")


def write_file(path: Path, body: bytes) -> None:
    """Write a file; raises :class:`InvalidInput` (``cannot_write``) with the reason."""
    try:
        path.write_bytes(body)
    except OSError as error:
        raise InvalidInput(f"cannot write {path}: {error.strerror}", code="cannot_write") from None


def shown(value: float | None, form: str) -> str:
    """A figure, or a dash where there is none."""
    return "-" if value is None else format(value, form)
