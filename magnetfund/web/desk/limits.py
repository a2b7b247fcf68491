"""Limits: what is in force, a proposal with what it would change in money, and every version."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.http import require_POST, require_safe

from magnetfund.core.actors import actor_of
from magnetfund.core.models import User
from magnetfund.core.roles import Capability
from magnetfund.core.services.signing import is_signed
from magnetfund.kernel.clock import utc_midnight, utc_now
from magnetfund.kernel.errors import FundError
from magnetfund.kernel.money import decimal_from_float, decimal_of
from magnetfund.web.desk import selectors as desk
from magnetfund.web.desk.access import desk_view
from magnetfund.web.desk.frame import build_frame
from magnetfund.web.desk.selectors import ShownPosition
from magnetfund.web.parts import render_page
from risk.domain.limits import (
    FIGURES,
    Limits,
    check_limits,
    complete_figures,
    diff_limits,
    figures_of,
    limits_of,
)
from risk.models import LimitProposal, LimitSet
from risk.services.limits import propose_limits, withdraw_limits
from trading.domain.positions import commit_margin

TEMPLATE = "desk/limits.html"
VERSIONS_SHOWN = 50
#: Groups of the form, by the figure that each begins with.
GROUPS = {
    "leverage_max": "Leverage",
    "margin_share_tier_1": "Size of a position",
    "daily_loss_share": "Fuse",
    "price_collar_share": "Pre-trade control",
}
#: Shares that are a share of equity, so that they mean an amount of money.
OF_EQUITY = frozenset(
    {
        "margin_share_tier_1", "margin_share_tier_2", "margin_share_tier_3",
        "margin_share_position", "margin_share_group", "margin_share_total", "loss_at_stop_share",
        "gap_share_position", "gap_share_book", "daily_loss_share", "drawdown_share",
        "position_notional_share_max", "gross_notional_share_max", "net_notional_share_max",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownChange:
    """One figure that would change, with both values in money where they mean money."""

    words: str
    before: Decimal | None
    after: Decimal | None
    change: str
    money_before: Decimal | None
    money_after: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionUnder:
    """An open position measured against a proposed set; amounts in the fund's currency."""

    shown: ShownPosition
    margin: Decimal
    margin_max: Decimal
    at_stop: Decimal | None
    at_stop_max: Decimal

    @property
    def over(self) -> Decimal:
        """How far it lies above the nearest of its limits; zero inside."""
        lost = -(self.at_stop or Decimal(0))
        return max(self.margin - self.margin_max, lost - self.at_stop_max, Decimal(0))


def show_changes(before: Limits, after: Limits, equity: Decimal | None) -> tuple[ShownChange, ...]:
    """What differs between two sets, in the order of the set, with its meaning in money."""

    def in_money(name: str, share: Decimal | None) -> Decimal | None:
        known = name in OF_EQUITY and share is not None and equity is not None
        return share * equity if known and share is not None and equity is not None else None

    return tuple(
        ShownChange(
            words=item.words,
            before=item.before,
            after=item.after,
            change=item.change,
            money_before=in_money(item.name, item.before),
            money_after=in_money(item.name, item.after),
        )
        for item in diff_limits(before=before, after=after).changes
    )


def measure_positions(
    positions: list[ShownPosition], limits: Limits, equity: Decimal | None
) -> tuple[PositionUnder, ...]:
    """Each open position under a proposed set.  A new limit never closes one by itself."""
    if equity is None:
        return ()
    found = []
    for item in positions:
        tier_share = limits.margin_share_of_tier(item.row.tier or 3)
        share = min(tier_share, limits.margin_share_position)
        found.append(
            PositionUnder(
                shown=item,
                margin=commit_margin(
                    quantity=item.row.quantity,
                    price=item.row.average_price,
                    leverage=decimal_from_float(item.row.leverage),
                ),
                margin_max=share * equity,
                at_stop=item.at_stop,
                at_stop_max=limits.loss_at_stop_share * equity,
            )
        )
    return tuple(found)


def _set_of(row: LimitProposal) -> Limits:
    figures = complete_figures(row.figures)
    return limits_of(figures=figures, version=1, effective_from=row.effective_from)


def _typed(request: HttpRequest, limits: Limits) -> dict[str, str | None]:
    """All figures: what was typed, and what is in force where nothing was."""
    figures: dict[str, str | None] = dict(figures_of(limits=limits))
    for name, rule in FIGURES.items():
        text = request.POST.get(name, "").strip().replace(",", "")
        if text:
            figures[name] = text
        elif name in request.POST and rule.default is None:
            figures[name] = None
    return figures


def _groups(limits: Limits, typed: Mapping[str, str], wrong: Mapping[str, str]) -> list[Any]:
    groups: list[dict[str, Any]] = []
    for name, rule in FIGURES.items():
        if name in GROUPS or not groups:
            groups.append({"title": GROUPS.get(name, "Leverage"), "lines": []})
        groups[-1]["lines"].append(
            {
                "rule": rule,
                "now": getattr(limits, name),
                "typed": typed.get(name, ""),
                "error": wrong.get(name, ""),
            }
        )
    return groups


def _page(
    request: HttpRequest,
    *,
    figures: Mapping[str, str | None] | None = None,
    problems: Mapping[str, str] | None = None,
    is_refused: bool = False,
) -> HttpResponse:
    """The page; ``figures`` are a draft, which is compared but not stored."""
    book, user = settings.MAGNET_BOOK, request.user
    frame = build_frame(request, "risk")
    limits: Limits = frame["limits"]
    valuation = frame["valuation"]
    equity = valuation.equity if valuation is not None else None
    waiting = (
        LimitProposal.objects.filter(book=book, limit_set=None, withdrawn_at=None)
        .select_related("proposed_by")
        .order_by("proposed_at")
        .first()
    )
    assert isinstance(user, User)
    after: Limits | None = None
    if figures is not None and not problems:
        after = limits_of(figures=figures, version=limits.version + 1, effective_from=utc_now())
    elif figures is None and waiting is not None:
        after = _set_of(waiting)
    held = desk.positions_context(book, equity, marks=desk.marks_of(frame["trader_beat"]))
    typed = {name: str(request.POST.get(name, "")) for name in FIGURES}
    context = {
        "waiting": waiting,
        "may_sign": waiting is not None
        and user.person != waiting.proposed_by.person
        and user.can(Capability.LIMITS_APPROVE),
        "may_return": waiting is not None
        and (user.can(Capability.LIMITS_APPROVE) or user.can(Capability.LIMITS_PROPOSE)),
        "is_own": waiting is not None and waiting.proposed_by == user,
        "is_signed": waiting is not None and is_signed(waiting.pk, waiting.proposed_by),
        "is_draft": figures is not None,
        "changes": show_changes(limits, after, equity) if after is not None else (),
        "under": measure_positions([*held["positions"], *held["dust"]], after, equity)
        if after is not None
        else (),
        "groups": _groups(limits, typed, problems or {}),
        "problems": list((problems or {}).values()),
        "given": request.POST,
        "versions": LimitSet.objects.filter(book=book)
        .select_related("proposed_by", "approved_by")
        .order_by("-version")[:VERSIONS_SHOWN],
        "midnight": utc_midnight(utc_now()) + timedelta(days=1),
    }
    response = render_page(request, TEMPLATE, {**frame, **context}, parts=("comparison",))
    response.status_code = 422 if problems or is_refused else 200
    return response


@require_safe
@desk_view()
def limits(request: HttpRequest) -> HttpResponse:
    """The figures in force, the proposal that waits, and the versions before."""
    return _page(request)


@require_POST
@desk_view(Capability.LIMITS_PROPOSE)
def propose(request: HttpRequest) -> HttpResponse:
    """Compare a draft with the set in force, or propose it for a second signature."""
    book = settings.MAGNET_BOOK
    frame_limits: Limits = build_frame(request, "risk")["limits"]
    figures = _typed(request, frame_limits)
    problems = {item.name: item.message for item in check_limits(figures=figures)}
    if problems or request.POST.get("step") == "compare":
        return _page(request, figures=figures, problems=problems)
    plain = {k: None if v is None else f"{decimal_of(v):f}" for k, v in figures.items()}
    try:
        propose_limits(
            book=book,
            figures=plain,
            reason=request.POST.get("reason", ""),
            effective_from=_effective(request),
            actor=actor_of(request),
        )
    except FundError as error:
        messages.error(request, f"Not proposed: {error.message}.")
        return _page(request, figures=figures, is_refused=True)
    messages.success(request, "Proposed. Sign it; a second risk officer signs it on this page.")
    return redirect("desk_limits")


def _effective(request: HttpRequest) -> datetime:
    now = utc_now()
    if request.POST.get("effective") == "now":
        return now
    return utc_midnight(now) + timedelta(days=1)


@require_POST
@desk_view()
def withdraw(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Take a proposal back, or return it to its maker, with a reason."""
    row = get_object_or_404(LimitProposal, pk=pk, book=settings.MAGNET_BOOK)
    try:
        withdraw_limits(
            proposal=row, reason=request.POST.get("reason", ""), actor=actor_of(request)
        )
    except FundError as error:
        messages.error(request, f"Not changed: {error.message}.")
    else:
        messages.success(request, "The proposal is closed; the limits in force stay.")
    return redirect("desk_limits")
