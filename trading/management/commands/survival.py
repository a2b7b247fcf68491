"""How often accounts without an edge are liquidated, ruined or halved, under several rules."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from magnetfund.core.actors import Actor
from magnetfund.core.commands import FundCommand
from magnetfund.kernel.errors import InvalidInput
from trading.management.commands.backtest import read_day, read_file_candles
from trading.management.commands.test_magnets import add_study_arguments
from trading.models import ResearchRun
from trading.selectors.research import describe_run
from trading.services.research.backtests import hold_run, require_done
from trading.services.research.studies import ask_study
from trading.services.research.survival import work_survival


class Command(FundCommand):
    help = __doc__

    def add_own_arguments(self, parser: CommandParser) -> None:
        add_study_arguments(parser)
        parser.add_argument("--paths", type=int, default=20_000)
        parser.add_argument(
            "--leave-out",
            action="append",
            default=[],
            metavar="FROM:TO",
            help="days that no hour is drawn from, 2020-03-12:2020-03-14 (the end not included)",
        )

    def work(self, **options: Any) -> dict[str, Any]:
        candles = read_file_candles(options)
        run = ask_study(
            kind=ResearchRun.Kind.SURVIVAL,
            instrument=options["instrument"],
            actor=Actor.system("survival"),
            by_person=False,
            stored_candles=candles is None,
            start_ms=read_day(options["start"]),
            end_ms=read_day(options["end"]),
            seed=options["seed"],
            paths=options["paths"],
            left_out=[_read_span(text) for text in options["leave_out"]],
        )
        with hold_run(run.pk):
            run = work_survival(run, candles=candles)
        require_done(run)
        self.say(f"Survival {run.pk}: {run.result['paths']:,} paths a row, over 365 days.")
        self.say(f"{'account':<46}{'liquidated':>12}{'ruined':>10}{'below half':>12}{'median':>8}")
        for row in run.result["rows"]:
            year = row["horizons"][-1]
            self.say(
                f"{row['name']:<46}{year['liquidated']['value']:>12.4f}"
                f"{year['ruined']['value']:>10.4f}{year['halved']['value']:>12.4f}"
                f"{year['median']:>8.2f}"
            )
        self.say(run.result["sentence"])
        for line in run.result["assumptions"]:
            self.say(f"  {line}")
        return describe_run(run)


def _read_span(text: str) -> tuple[int, int]:
    first, _, last = text.partition(":")
    start, end = read_day(first), read_day(last)
    if start is None or end is None:
        raise InvalidInput(f"{text} is not FROM:TO", code="bad_span")
    return start, end
