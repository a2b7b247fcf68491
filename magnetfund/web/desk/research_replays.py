"""Replays on the desk: what each was asked, under whose limits it traded, and what came of it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from magnetfund.web.desk.access import desk_view
from magnetfund.web.desk.frame import build_frame
from magnetfund.web.public.pages import asked_page
from risk.domain.fuse import ResetPolicy
from trading.models import ReplayRun
from trading.selectors.replays import list_replays

#: What stands for the limits of a replay from before they were named, which took those of the code.
OF_BEFORE = {"name": "limits of the code", "hash": ""}
#: When each policy of a scenario re-arms the fuse.
REARMED = {
    ResetPolicy.NONE: "never",
    ResetPolicy.NEXT_DAY: "at the next 00:00 UTC",
    ResetPolicy.COOLDOWN_7D: "at the next 00:00 UTC, after a drawdown seven days later",
}
BARE = {"name": "none: bare rules", "hash": ""}


@require_safe
@desk_view()
def replays(request: HttpRequest) -> HttpResponse:
    """The stored replays."""
    page = asked_page(request)
    runs, has_older = list_replays(page=page)
    context = {"rows": [_describe(run) for run in runs], "page": page, "has_older": has_older}
    return render(
        request, "desk/research/replays.html", {**build_frame(request, "research"), **context}
    )


def _describe(run: ReplayRun) -> dict[str, Any]:
    """A replay as its card shows it."""
    asked, found = run.parameters, run.result
    limits = asked.get("limits", OF_BEFORE) or BARE
    return {
        "run": run,
        "asked": asked,
        "found": found,
        "instruments": ", ".join(asked["instruments"]),
        "first": datetime.fromisoformat(asked["from"]),
        "end": datetime.fromisoformat(asked["to"]),
        "limits": limits,
        "rearmed": REARMED[ResetPolicy.parse(asked["reset_policy"])],
        "figures_words": " ".join(limits["hash"][k : k + 4] for k in range(0, 16, 4)),
        "state_words": " ".join(found.get("state_hash", "")[k : k + 4] for k in range(0, 16, 4)),
        "fuse": ", ".join(
            f"{count} {name.replace('_', ' ')}"
            for name, count in sorted(found.get("fuse_events", {}).items())
        ),
    }
