"""Verify the books and publish their signed root, as the daily job does."""

from __future__ import annotations

from typing import Any

from magnetfund.core.commands import FundCommand
from magnetfund.kernel.errors import Conflict
from magnetfund.operations.watch import verify_all


class Command(FundCommand):
    help = __doc__

    def work(self, **options: Any) -> dict[str, Any]:
        outcome = verify_all()
        if not outcome.startswith("clean"):
            raise Conflict(f"no root is published: {outcome}", code="books_differ")
        self.say(outcome)
        return {"outcome": outcome}
