"""Others who act for a holder, in the admin: what ends it."""

from __future__ import annotations

from collections.abc import Mapping

from investors.services.advisers import end_access
from magnetfund.web.administration.money import Action, action

#: Actions by table.
ACTIONS: Mapping[str, tuple[Action, ...]] = {
    "investors.adviseraccess": (
        action(
            "End access",
            "ended",
            lambda row, actor: end_access(access=row, actor=actor),
            step_up=True,
        ),
    ),
}
