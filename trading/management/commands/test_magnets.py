"""Test whether magnets attract the price of an instrument, and store the answer, also a "no"."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from magnetfund.core.actors import Actor
from magnetfund.core.commands import FundCommand
from trading.management.commands.backtest import (
    add_file_arguments,
    read_day,
    read_file_candles,
    shown,
)
from trading.models import ResearchRun
from trading.selectors.research import describe_run
from trading.services.research.backtests import hold_run, require_done
from trading.services.research.studies import ask_study, work_evidence


class Command(FundCommand):
    help = __doc__

    def add_own_arguments(self, parser: CommandParser) -> None:
        add_study_arguments(parser)

    def work(self, **options: Any) -> dict[str, Any]:
        candles = read_file_candles(options)
        run = ask_study(
            kind=ResearchRun.Kind.EVIDENCE,
            instrument=options["instrument"],
            actor=Actor.system("test_magnets"),
            by_person=False,
            stored_candles=candles is None,
            start_ms=read_day(options["start"]),
            end_ms=read_day(options["end"]),
            seed=options["seed"],
        )
        with hold_run(run.pk):
            run = work_evidence(run, candles=candles)
        require_done(run)
        found = run.result
        self.say(
            f"Evidence {run.pk}: {found['decisions']:,} decisions over {found['bars']:,} hours."
        )
        self.say(
            f"{'kind':<28}{'n':>8}{'P(first)':>10}{'z':>7}{'95 % interval':>18}{'Holm p':>9}"
            f"{'matched':>9}{'bounce':>8}"
        )
        for row in found["rows"]:
            first = row["first"]
            name = f"control: {row['name']}" if row["control"] else row["name"]
            interval = f"{shown(first['low'], '.3f')} to {shown(first['high'], '.3f')}"
            self.say(
                f"{name:<28}{first['n']:>8,}{shown(first['value'], '.3f'):>10}"
                f"{shown(first['z'], '.1f'):>7}{interval:>18}{shown(row['p_holm'], '.3f'):>9}"
                f"{shown(row['matched']['value'], '+.3f'):>9}"
                f"{shown(row['bounce']['value'], '+.3f'):>8}"
            )
        self.say(found["sentence"])
        self._tell_readings(found["readings"])
        return describe_run(run)

    def _tell_readings(self, readings: dict[str, Any]) -> None:
        better = readings["better"]
        tiers = " / ".join(f"{share:.1%}" for share in better["tiers"])
        self.say(
            f"Readings of the better direction over {readings['bars']:,} hours: tiers 1 to 4 "
            f"{tiers}; leverage above 1x {sum(better['leverage_bins'][1:]):.1%}, high tension "
            f"{better['high_tension']:.1%}; medians: distance {better['distance'][1]:.2f} ATR, "
            f"strength {better['strength'][1]:.0f}, conflict {better['conflict'][1]:.2f}."
        )
        alarms = ", ".join(name.replace("_", " ") for name in readings["alarms"])
        self.say(f"Shares that left their band by more than a factor of 2: {alarms or 'none'}.")


def add_study_arguments(parser: CommandParser) -> None:
    """The arguments that studies of one instrument share."""
    parser.add_argument("--instrument", required=True)
    parser.add_argument("--from", dest="start", help="first day, YYYY-MM-DD")
    parser.add_argument("--to", dest="end", help="first day that is not in it, YYYY-MM-DD")
    parser.add_argument("--seed", type=int)
    add_file_arguments(parser)
