"""Run every stress on the open book, save one, or retire one."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser

from magnetfund.core.actors import Actor
from magnetfund.core.commands import FundCommand
from risk.domain.stress import build_scenarios, read_shocks
from trading.selectors.stress import StressLine, run_stresses
from trading.services.stresses import list_stresses, retire_stress, save_stress, scenario_of

NUMBERS = (
    ("sigmas", "adverse_sigmas", 0.0),
    ("volatility", "volatility_multiple", 1.0),
    ("spread", "spread_multiple", 1.0),
    ("funding", "funding_multiple", 1.0),
    ("hours", "hours", 0.0),
)


class Command(FundCommand):
    help = __doc__

    def add_own_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--book", default=settings.MAGNET_BOOK)
        parser.add_argument("--save", metavar="TITLE", help="save a stress of this title")
        parser.add_argument(
            "--shock", action="append", default=[], metavar='"BTC -30"',
            help="with --save: instrument, asset or kind, and its move in per cent",
        )  # fmt: skip
        parser.add_argument(
            "--others", type=float, default=0.0, help="move of all others, per cent"
        )
        for name, field, usual in NUMBERS:
            parser.add_argument(
                f"--{name}", type=float, default=usual, help=field.replace("_", " ")
            )
        parser.add_argument("--change", type=int, help="with --save: the number to change")
        parser.add_argument("--retire", type=int, metavar="NUMBER", help="take one off the list")

    def work(self, **options: Any) -> dict[str, Any]:
        book, actor = options["book"], Actor.system("stress")
        if options["retire"] is not None:
            row = retire_stress(book=book, number=options["retire"], actor=actor, by_person=False)
            self.say(f"{row.title} is off the list.")
        if options["save"]:
            definition: dict[str, Any] = {
                "moves": read_shocks("\n".join(options["shock"])),
                "move_others": options["others"] / 100.0,
                **{field: options[name] for name, field, _ in NUMBERS},
            }
            row = save_stress(
                book=book,
                title=options["save"],
                definition=definition,
                number=options["change"],
                actor=actor,
                by_person=False,
            )
            self.say(f"Saved as {row.pk}.")
        saved = list(list_stresses(book))
        lines = run_stresses(book, [*(scenario_of(row) for row in saved), *build_scenarios()])
        numbers = [*(row.pk for row in saved), *([None] * (len(lines) - len(saved)))]
        for number, line in zip(numbers, lines, strict=True):
            self._tell(number, line)
        return {
            "book": book,
            "stresses": [
                {"id": number, **asdict(line)} for number, line in zip(numbers, lines, strict=True)
            ],
        }

    def _tell(self, number: int | None, line: StressLine) -> None:
        name = line.title if number is None else f"{number}: {line.title}"
        if line.result is None or line.share is None:
            self.say(f"{name:<56}{line.problem}")
            return
        fuse = "fuse trips" if line.trips else "fuse holds"
        gone = f", liquidated: {', '.join(line.liquidated)}" if line.liquidated else ""
        self.say(f"{name:<56}{line.result:>+14,.0f}{line.share:>+9.2%}  {fuse}{gone}")
