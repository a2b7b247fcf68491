"""Try many variants of one strategy; every variant is a trial, and the best is told beside them."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from django.core.management.base import CommandParser
from django.db import transaction

from magnetfund.core.actors import Actor
from magnetfund.core.commands import FundCommand, Progress, notice_after
from magnetfund.kernel.errors import InvalidInput
from trading.management.commands.backtest import (
    COMPILING,
    NOTICE_SECONDS,
    add_file_arguments,
    add_request_arguments,
    read_request,
    read_series,
    shown,
)
from trading.selectors.research import describe_run, judge_run
from trading.services.research.backtests import hold_run, require_done
from trading.services.research.child_process import hold_processes
from trading.services.research.sweep_asking import ask_sweep
from trading.services.research.sweeps import follow_sweep

SHAPES = {"plateau": ": a plateau", "peak": ": a lone peak, which rarely lasts"}


class _Bar:
    """The share that is done, whoever did it, as a line that moves."""

    def __init__(self) -> None:
        self._line, self._shown = Progress(label="sweep", total=1_000), 0

    def __call__(self, share: float) -> None:
        done = round(1_000 * share)
        self._line.advance(done - self._shown)
        self._shown = done


class Command(FundCommand):
    help = __doc__

    def add_own_arguments(self, parser: CommandParser) -> None:
        add_request_arguments(parser)
        add_file_arguments(parser)
        parser.add_argument(
            "--try",
            dest="space",
            action="append",
            default=[],
            metavar="NAME=LOW:HIGH:STEP",
            help="or NAME=10,20,50; lists are separated by semicolons",
        )
        parser.add_argument("--random", type=int, default=0, help="draw so many of the grid")
        parser.add_argument(
            "--search", default="grid", choices=["grid", "tpe"], help="tpe learns where to look"
        )
        parser.add_argument("--trials", type=int, default=0, help="variants that a search may try")
        parser.add_argument(
            "--objective",
            action="append",
            default=[],
            help="of a search, several if named again: sharpe (default), return, drawdown",
        )
        parser.add_argument("--seed", type=int, default=1)

    @hold_processes()
    def work(self, **options: Any) -> dict[str, Any]:
        request = read_request(options)
        space = {}
        for text in options["space"]:
            name, is_pair, value = text.partition("=")
            if not is_pair:
                raise InvalidInput(f"{text} is not NAME=VALUES", code="bad_space")
            if name in space:
                raise InvalidInput(
                    f"{name} is named twice; write --try {name}=A,B", code="bad_space"
                )
            space[name] = value
        series = read_series(options, request)
        with ExitStack() as held:
            with transaction.atomic():  # nobody sees the row of a file before it is held
                run = ask_sweep(
                    request=request,
                    space=space,
                    count=options["trials"] if options["search"] == "tpe" else options["random"],
                    seed=options["seed"],
                    search=options["search"],
                    objectives=options["objective"],
                    actor=Actor.system("sweep"),
                    by_person=False,
                    stored_candles=series is None,
                )
                if series is not None:
                    held.enter_context(hold_run(run.pk))
            held.enter_context(notice_after(NOTICE_SECONDS, COMPILING))
            bar = None if self.wants_json else _Bar()
            run = follow_sweep(run, series=series, on_progress=bar)
        require_done(run)
        result = run.result["sweep"]
        verdict = judge_run(run)
        best, over = result["best"], result["overfitting"]
        chosen = ", ".join(f"{name} {value}" for name, value in best["parameters"].items())
        self.say(f"Sweep {run.pk}: {result['variants']:,} variants, {result['refused']} refused.")
        self.say(
            f"  Best where seen: {chosen}; Sharpe {shown(best['seen'], '.2f')} seen, "
            f"{shown(best['unseen'], '.2f')} unseen; neighbours "
            f"{shown(result['neighbours'], '.2f')}"
            f"{SHAPES.get(result.get('shape'), '')}."
        )
        if over:
            self.say(f"  Probability of overfitting {over['probability']:.0%}.")
        for walk in result["walks"]:
            self.say(
                f"  Walk-forward, {walk['kind']}: Sharpe {walk['sharpe']:.2f} traded, "
                f"{walk['sharpe_seen']:.2f} where it was learned, {walk['stretches']} stretches."
            )
        self.say(f"  {verdict.headline}: {verdict.detail}.")
        return describe_run(run)
