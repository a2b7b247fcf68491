"""The limits under which a replay trades: the fund's own, as they were in force, or the shipped."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings

from magnetfund.kernel.clock import isoformat_z, utc_now
from magnetfund.kernel.errors import InvalidInput
from magnetfund.kernel.identifiers import canonical_json, content_hash
from risk.domain.limits import DEFAULT_LIMITS, Limits, figures_of, limits_of
from risk.services.limits import limits_in_force, list_limits_in_force

IN_FORCE, SHIPPED = "in-force", "shipped"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayLimits:
    """A set of limits and whose it is: ``book`` is empty for the set in code, its version 0.

    It acts from the first day on; ``later`` versions follow it, each from its effective time.
    """

    limits: Limits = DEFAULT_LIMITS
    book: str = ""
    later: tuple[Limits, ...] = ()

    @property
    def is_shipped(self) -> bool:
        """Whether nobody signed this set: it is the one in code."""
        return not self.book

    @property
    def name(self) -> str:
        """What a person reads of it."""
        if self.is_shipped:
            return "shipped limits"
        since = f"in force since {self.limits.effective_from:%Y-%m-%d}"
        then = "".join(
            f", then version {item.version} from {item.effective_from:%Y-%m-%d}"
            for item in self.later
        )
        return f"limits of {self.book}, version {self.limits.version}, {since}{then}"

    def plain(self) -> dict[str, Any]:
        """What a run keeps of it; ``hash`` is made of the figures, and of when later ones begin."""
        figures = figures_of(limits=self.limits)
        later = [[item.effective_from, figures_of(limits=item)] for item in self.later]
        return {
            "name": self.name,
            "book": self.book,
            "version": (self.later or (self.limits,))[-1].version,
            "hash": content_hash([figures, *later] if later else figures),
        }

    def schedule(self, start: datetime) -> list[tuple[datetime, Limits]]:
        """When each of its sets begins to act in a replay from ``start`` on."""
        return [(start, self.limits), *((item.effective_from, item) for item in self.later)]


SHIPPED_LIMITS = ReplayLimits()


def choose_limits(*, at: datetime | None = None) -> ReplayLimits:
    """The limits of the fund's book in force at an instant, now unless told; else the shipped."""
    limits = limits_in_force(settings.MAGNET_BOOK, at=at)
    return ReplayLimits(limits=limits, book=settings.MAGNET_BOOK if limits.version else "")


def follow_limits(*, start: datetime, end: datetime) -> ReplayLimits:
    """The versions of the fund's limits in force in a span, as its trader took them one by one.

    Before the first of them acts the first; a span before all of them has the set in force now.
    """
    found = list_limits_in_force(settings.MAGNET_BOOK, start=start, end=min(end, utc_now()))
    if not found:
        return choose_limits()
    return ReplayLimits(limits=found[0], book=settings.MAGNET_BOOK, later=found[1:])


def write_limits(chosen: ReplayLimits) -> str:
    """Sets as text, for a process that reads another database."""
    versions = [
        {
            "version": limits.version,
            "effective_from": isoformat_z(limits.effective_from),
            "figures": figures_of(limits=limits),
        }
        for limits in (chosen.limits, *chosen.later)
    ]
    return canonical_json({"book": chosen.book, "versions": versions})


def read_limits(text: str) -> ReplayLimits:
    """The sets of such a text; raises :class:`InvalidInput` for any other."""
    try:
        told = json.loads(text)
        first, *later = (
            limits_of(
                figures=item["figures"],
                version=int(item["version"]),
                effective_from=datetime.fromisoformat(item["effective_from"]),
            )
            for item in told["versions"]
        )
        return ReplayLimits(limits=first, book=str(told["book"]), later=tuple(later))
    except (KeyError, TypeError, ValueError):
        raise InvalidInput("this is no set of limits", code="bad_limits") from None
