"""What a replay is asked for, and what of it is refused before anything is read."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.conf import settings

from investors.models import Fund
from magnetfund.kernel.clock import isoformat_z
from magnetfund.kernel.errors import Conflict, InvalidInput
from magnetfund.operations.replay_limits import SHIPPED_LIMITS, ReplayLimits
from risk.domain.fuse import ResetPolicy
from trading.domain.research.request import RULES
from trading.models import Instrument

#: As long as a book's name may be in the tables.
BOOK_LENGTH_MAX = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayPlan:
    """What is replayed.  ``start`` is 00:00 UTC of a day, ``risk`` the share a trade.

    ``resolution`` is the timeframe of the candles on which orders execute; decisions are hourly.
    ``rules``: ``fund`` is the whole fund under its limits and its fuse, ``bare`` the trading alone,
    compared with the backtest of the same rules (:mod:`magnetfund.operations.replay_bare`).
    ``limits`` are signed for the replay's book before it trades, unless they are the shipped ones;
    it takes each later version at its effective time.
    """

    book: str
    instruments: tuple[Instrument, ...]
    start: datetime
    end: datetime
    sleeves: tuple[str, ...] = ("trend", "magnet")
    risk: Decimal = Decimal("0.0035")
    reset_policy: ResetPolicy = ResetPolicy.COOLDOWN_7D
    resolution: str = "1h"
    rules: str = "fund"
    limits: ReplayLimits = SHIPPED_LIMITS

    @property
    def is_bare(self) -> bool:
        """Whether neither fuse nor market triggers act."""
        return self.rules == "bare"


def check_plan(plan: ReplayPlan) -> None:
    """Refuse a plan before anything is read.

    Raises:
        InvalidInput: ``bad_rules``, ``bad_span``, ``bad_book``.
        Conflict: ``book_used``.
    """
    if plan.rules not in RULES:
        raise InvalidInput(f"rules must be one of {', '.join(RULES)}", code="bad_rules")
    if plan.is_bare and not plan.limits.is_shipped:
        raise InvalidInput("under bare rules no limits act; leave them out", code="bad_rules")
    if plan.is_bare and plan.book == settings.MAGNET_BOOK:
        raise Conflict(
            f"{plan.book} is the book that is traded, never without its fuse", code="book_used"
        )
    if plan.start != plan.start.replace(hour=0, minute=0, second=0, microsecond=0):
        raise InvalidInput("a replay must start at 00:00 UTC", code="bad_span")
    if Fund.objects.filter(book=plan.book).exists():
        raise Conflict(
            f"book {plan.book} already exists; choose another name with --book", code="book_used"
        )
    if len(plan.book) > BOOK_LENGTH_MAX:
        raise InvalidInput(
            f"a book's name has at most {BOOK_LENGTH_MAX} characters", code="bad_book"
        )


def plan_in_words(plan: ReplayPlan) -> dict[str, Any]:
    """As its row keeps it and its result repeats it."""
    return {
        "instruments": [item.symbol for item in plan.instruments],
        "venues": [item.venue for item in plan.instruments],
        "from": isoformat_z(plan.start),
        "to": isoformat_z(plan.end),
        "sleeves": list(plan.sleeves),
        "risk": plan.risk,
        "reset_policy": plan.reset_policy.code,
        "resolution": plan.resolution,
        "rules": plan.rules,
        "limits": None if plan.is_bare else plan.limits.plain(),
    }
