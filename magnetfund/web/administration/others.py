"""Others who read or act for a holder, in the admin: powers decided, and what ends either."""

from __future__ import annotations

from collections.abc import Mapping

from investors.services.advisers import end_access
from investors.services.attorneys import decide_power, revoke_power
from investors.services.estates import decide_step
from magnetfund.web.administration.money import Action, action, decisions

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
    "investors.estatestep": decisions(decide_step),
    "investors.powerofattorney": (
        *decisions(decide_power),
        action(
            "Revoke",
            "revoked",
            lambda row, actor: revoke_power(
                power=row, actor=actor, reason="revoked in the administration"
            ),
            step_up=True,
        ),
    ),
}
