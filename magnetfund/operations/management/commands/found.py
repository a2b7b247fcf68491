"""Found a fund from one file: classes, calendar, instruments, sleeves, limits, first investors."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser

from magnetfund.core.commands import FundCommand
from magnetfund.kernel.clock import isoformat_z
from magnetfund.kernel.errors import InvalidInput
from magnetfund.operations.founding import FoundingReport, find_proposers, found_fund
from magnetfund.operations.founding_file import FileProblem, FoundingPlan, read_founding_file
from magnetfund.operations.founding_state import Founding, read_founding

DAYS_SHOWN = 12


class Command(FundCommand):
    help = __doc__

    def add_own_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--from", dest="file", type=Path, required=True, help="see docs/examples/fund.toml"
        )
        parser.add_argument(
            "--dry-run", action="store_true", help="go through every step and write nothing"
        )

    def work(self, **options: Any) -> dict[str, Any]:
        book = settings.MAGNET_BOOK
        plan, problems = read_founding_file(options["file"])
        if plan is None:
            raise _refusal(problems)
        people, problems = find_proposers(plan)
        if problems:
            raise _refusal(problems)
        is_dry_run = options["dry_run"]
        report = found_fund(plan, book=book, people=people, is_dry_run=is_dry_run)
        founding = read_founding(book)
        self._tell(plan, report, founding, is_dry_run=is_dry_run)
        return {
            "fund": report.code,
            "book": report.book,
            "is_dry_run": is_dry_run,
            **report.counts,
            "first_dealing_day": report.days[0].dealing.day,
            "missing": [
                {"step": step.name, "note": step.note, "who": step.who, "command": step.command}
                for step in founding.missing
            ],
        }

    def _tell(
        self, plan: FoundingPlan, report: FoundingReport, founding: Founding, *, is_dry_run: bool
    ) -> None:
        counts = ", ".join(f"{n} {name.replace('_', ' ')}" for name, n in report.counts.items())
        self.say(f"{plan.name} ({report.code}), book {report.book}: {counts}.")
        self.say("Dealing days (cut-off, money by, UTC):")
        for item in report.days[:DAYS_SHOWN]:
            self.say(
                f"  {item.dealing.day}   {isoformat_z(item.dealing.cutoff_at)}   "
                f"{isoformat_z(item.dealing.funding_deadline_at)}"
            )
        if len(report.days) > DAYS_SHOWN:
            self.say(f"  and {len(report.days) - DAYS_SHOWN} more")
        if is_dry_run:
            self.say("Dry run: every step was possible, nothing was written.")
            return
        self.say("Still missing:")
        for step in founding.missing:
            where = step.command or "the desk, Founding"
            self.say(f"  {step.name}: {step.note} ({step.who}; {where})")


def _refusal(problems: Sequence[FileProblem]) -> InvalidInput:
    lines = "\n".join(f"  {item.key or 'file'}: {item.message} ({item.code})" for item in problems)
    return InvalidInput(
        f"nothing was written; {len(problems)} to mend:\n{lines}\n",
        code="bad_founding_file",
        details={"problems": [(item.key, item.code, item.message) for item in problems]},
    )
