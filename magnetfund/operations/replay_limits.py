"""The limits under which a replay trades: the fund's own, as in force at a date, or the shipped."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings

from magnetfund.kernel.clock import isoformat_z
from magnetfund.kernel.errors import InvalidInput
from magnetfund.kernel.identifiers import canonical_json, content_hash
from risk.domain.limits import DEFAULT_LIMITS, Limits, figures_of, limits_of
from risk.services.limits import limits_in_force

IN_FORCE, SHIPPED = "in-force", "shipped"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayLimits:
    """A set of limits and whose it is: ``book`` is empty for the set in code, its version 0."""

    limits: Limits = DEFAULT_LIMITS
    book: str = ""

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
        return f"limits of {self.book}, version {self.limits.version}, {since}"

    def plain(self) -> dict[str, Any]:
        """What a run keeps of it; ``hash`` is made of the figures alone."""
        return {
            "name": self.name,
            "book": self.book,
            "version": self.limits.version,
            "hash": content_hash(figures_of(limits=self.limits)),
        }


SHIPPED_LIMITS = ReplayLimits()


def choose_limits(*, at: datetime | None = None) -> ReplayLimits:
    """The limits of the fund's book in force at an instant, now unless told; else the shipped."""
    limits = limits_in_force(settings.MAGNET_BOOK, at=at)
    return ReplayLimits(limits=limits, book=settings.MAGNET_BOOK if limits.version else "")


def write_limits(chosen: ReplayLimits) -> str:
    """A set as text, for a process that reads another database."""
    return canonical_json(
        {
            "book": chosen.book,
            "version": chosen.limits.version,
            "effective_from": isoformat_z(chosen.limits.effective_from),
            "figures": figures_of(limits=chosen.limits),
        }
    )


def read_limits(text: str) -> ReplayLimits:
    """The set of such a text; raises :class:`InvalidInput` for any other."""
    try:
        told = json.loads(text)
        limits = limits_of(
            figures=told["figures"],
            version=int(told["version"]),
            effective_from=datetime.fromisoformat(told["effective_from"]),
        )
        return ReplayLimits(limits=limits, book=str(told["book"]))
    except (KeyError, TypeError, ValueError):
        raise InvalidInput("this is no set of limits", code="bad_limits") from None
