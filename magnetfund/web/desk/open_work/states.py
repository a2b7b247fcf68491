"""States that stop the fund: the fuse, the engine, the data."""

from __future__ import annotations

from magnetfund.core.roles import Role
from magnetfund.web.desk.open_work.tasks import Facts, OpenWork
from risk.models import FuseEvent


def find_states(book: str, facts: Facts) -> list[OpenWork]:
    """The fuse, the engine and the data, where one of them keeps the fund from trading."""
    found = []
    if facts.fuse_state in ("TRIPPED", "DISARMED"):
        event = (
            FuseEvent.objects.filter(book=book, kind=facts.fuse_state.lower())
            .order_by("-occurred_at")
            .first()
        )
        found.append(
            OpenWork(
                kind="Fuse",
                what=f"Fuse {facts.fuse_state.lower()}: no order can add exposure",
                note=f"{event.trigger.replace('_', ' ')}: {event.reason}"
                if event is not None and event.reason
                else "request re-arming once the books are reconciled",
                role=Role.RISK_OFFICER,
                since=event.occurred_at if event is not None else None,
                url_name="desk_risk",
            )
        )
    if facts.engine["shape"] == "fail":
        found.append(
            OpenWork(
                kind="Engine",
                what="Trading engine stopped",
                note=f"{facts.engine['note']}; see Processes below",
                role=Role.OPERATOR,
                since=facts.engine["since"],
                url_name="desk_today",
                anchor="processes",
            )
        )
    if facts.is_stale:
        found.append(
            OpenWork(
                kind="Data",
                what="Figures are out of date",
                note="no new valuation; stops stay in place at the venue",
                role=Role.OPERATOR,
                since=facts.data_at,
                url_name="desk_today",
                anchor="processes",
            )
        )
    return found
