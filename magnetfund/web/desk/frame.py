"""What every page of the desk shows around its content, and who acts."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.http import HttpRequest

from magnetfund.core.models import Heartbeat
from magnetfund.core.roles import Capability
from magnetfund.web.desk import selectors as desk
from magnetfund.web.desk.market_page import read_report
from magnetfund.web.desk.open_work import Facts, list_open_work
from magnetfund.web.public.pages import page_context, used_shares


def build_frame(
    request: HttpRequest, place: str, *, beats: list[Heartbeat] | None = None
) -> dict[str, Any]:
    """The status strip, the rail with its open work, and what the person may do.

    ``beats`` are the signs of life of all parts where the page has read them.
    """
    book = settings.MAGNET_BOOK
    user: Any = request.user
    context = page_context(request, place)
    engine = desk.find_engine(book)
    beat = (
        desk.trader_beat(book)
        if beats is None
        else next((b for b in beats if (b.part, b.instance) == ("trader", book)), None)
    )
    valuation = context["valuation"]
    work = list_open_work(
        book,
        Facts(
            fuse_state=context["fuse_state"],
            engine=engine,
            data_at=valuation.at if valuation is not None else None,
            is_stale=context["is_stale"],
        ),
        names_holders=user.can(Capability.HOLDERS_VIEW),
    )
    return {
        **context,
        **used_shares(context["valuation"]),
        "work": work,
        "open_work": len(work),
        "role_words": ", ".join(sorted(role.value.replace("_", " ") for role in user.roles)),
        "engine": engine,
        "trader_beat": beat,
        "market": read_report(beat),
        "capabilities": {item.value.replace(".", "_") for item in user.capabilities},
    }


def equity_of(frame: Mapping[str, Any]) -> Decimal | None:
    """Equity of the newest valuation of the frame; None before the first."""
    valuation = frame["valuation"]
    return valuation.equity if valuation is not None else None
