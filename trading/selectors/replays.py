"""Reads of replays: the whole fund through imported history, newest first."""

from __future__ import annotations

from trading.models import ReplayRun

REPLAYS_SHOWN = 10


def list_replays(*, page: int = 1) -> tuple[list[ReplayRun], bool]:
    """The replays of a page, which are few, and whether there are older ones."""
    first = (page - 1) * REPLAYS_SHOWN
    found = list(ReplayRun.objects.order_by("-started_at", "id")[first : first + REPLAYS_SHOWN + 1])
    return found[:REPLAYS_SHOWN], len(found) > REPLAYS_SHOWN
