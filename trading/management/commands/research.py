"""List, show, pause, resume or cancel research runs, or work on those that wait.

manage.py research list
manage.py research show 12
manage.py research pause 12
manage.py research work        # in as many processes and on as many machines as there are
"""

from __future__ import annotations

from argparse import RawDescriptionHelpFormatter
from typing import Any

from django.core.management.base import CommandParser

from magnetfund.core.actors import Actor
from magnetfund.core.commands import FundCommand
from magnetfund.kernel.errors import InvalidInput
from trading.models import ResearchRun
from trading.selectors.research import HEAVY, describe_run, list_open_runs
from trading.services.research.queue import work_waiting
from trading.services.research.sweep_control import cancel_run, pause_run, resume_run

MOVES = {"pause": pause_run, "resume": resume_run, "cancel": cancel_run}


class Command(FundCommand):
    help = __doc__

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        kwargs["formatter_class"] = RawDescriptionHelpFormatter
        return super().create_parser(prog_name, subcommand, **kwargs)

    def add_own_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("action", choices=["list", "show", "work", *MOVES])
        parser.add_argument("number", type=int, nargs="?", help="of the run")
        parser.add_argument("--threads", type=int, default=1, help="with work: threads of a sweep")

    def work(self, **options: Any) -> dict[str, Any]:
        action = options["action"]
        if action == "work":
            count = work_waiting(threads=max(1, options["threads"]))
            self.say(f"Worked on {count} run{'' if count == 1 else 's'}.")
            return {"worked_on": count}
        if action == "list":
            rows = [describe_run(run) for run in list_open_runs()]
            for row in rows:
                self.say(_line(row))
            if not rows:
                self.say("No run waits, runs or is paused.")
            return {"runs": rows}
        run = (
            ResearchRun.objects.defer(*HEAVY).filter(pk=options["number"]).first()
            if options["number"] is not None
            else None
        )
        if run is None:
            raise InvalidInput("name the number of a run", code="unknown_run")
        if action in MOVES and not MOVES[action](
            run=run, actor=Actor.system("research"), by_person=False
        ):
            raise InvalidInput(f"run {run.pk} is {run.state}", code="wrong_state")
        run.refresh_from_db(fields=["state", "progress"])
        row = describe_run(run)
        self.say(_line(row))
        return row


def _line(row: dict[str, Any]) -> str:
    return f"{row['id']:>6} {row['state']:<9} {row['progress']:>4.0%} {row['kind']}: {row['title']}"
