"""How far a founding is: each step, whether it is done, who does it, and where."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Count, Q
from django.urls import reverse

from investors.domain.onboarding import KycState
from investors.models import (
    DealingDay,
    DealingOrder,
    Fund,
    FundAccount,
    Investor,
    NavStrike,
    ShareClass,
)
from investors.services.policies import open_proposals
from magnetfund.core.models import RoleGrant
from magnetfund.core.roles import Role
from magnetfund.kernel.clock import utc_now
from risk.models import LimitProposal, LimitSet
from risk.services.fuse import state_of
from trading.models import Instrument, Reconciliation, Strategy

#: Seats without which a fund cannot run, and how many people sit on each.
SEATS = {
    Role.ADMINISTRATOR: 1,
    Role.ACCOUNTANT: 1,
    Role.CONTROLLER: 1,
    Role.RISK_OFFICER: 2,
    Role.COMPLIANCE: 2,
    Role.DIRECTOR: 1,
}
FILE_COMMAND = "manage.py found --from fund.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundingStep:
    """One step; ``url_name``, the founding ``page`` or ``command`` says where it is done, ``roles``
    who does it."""

    name: str
    note: str
    is_done: bool
    roles: tuple[Role, ...]
    url_name: str = ""
    anchor: str = ""
    command: str = ""
    page: str = ""

    @property
    def href(self) -> str:
        """Address of the page that does it, "" where a command does."""
        if self.page:
            return reverse("desk_setup", args=[self.page])
        if not self.url_name:
            return ""
        return reverse(self.url_name) + (f"#{self.anchor}" if self.anchor else "")

    @property
    def who(self) -> str:
        return ", ".join(role.value.replace("_", " ") for role in self.roles)


@dataclass(frozen=True, slots=True, kw_only=True)
class Founding:
    """The steps of a book's fund in their order; ``fund`` None before it exists."""

    fund: Fund | None
    steps: tuple[FoundingStep, ...]

    @property
    def missing(self) -> tuple[FoundingStep, ...]:
        return tuple(step for step in self.steps if not step.is_done)

    @property
    def done_count(self) -> int:
        return len(self.steps) - len(self.missing)


def read_founding(book: str) -> Founding:
    """The state of the founding of a book's fund, also in an empty home."""
    fund = Fund.objects.filter(book=book).first()
    return Founding(
        fund=fund,
        steps=(
            _people(),
            _fund(fund),
            _classes(fund),
            _calendar(fund),
            _accounts(fund),
            _instruments(),
            _sleeves(),
            _limits(book),
            _investors(),
            _money(fund),
            _reconciled(book),
            _armed(book),
            _struck(fund),
        ),
    )


def _people() -> FoundingStep:
    held: dict[str, set[object]] = {}
    rows = RoleGrant.objects.filter(
        revoked_at=None, user__is_active=True, user__is_simulated=False
    ).values_list("role", "user__person")
    for role, person in rows:
        held.setdefault(role, set()).add(person)
    open_seats = [
        f"{count - len(held.get(role, ()))} {role.value.replace('_', ' ')}"
        for role, count in SEATS.items()
        if len(held.get(role, ())) < count
    ]
    makers, checkers = held.get(Role.ACCOUNTANT, set()), held.get(Role.CONTROLLER, set())
    if makers and len(makers | checkers) < 2:
        open_seats.append("a controller who is another person than the accountant")
    return FoundingStep(
        name="People and roles",
        note=f"missing: {', '.join(open_seats)}" if open_seats else "every seat is taken",
        is_done=not open_seats,
        roles=(Role.ADMINISTRATOR,),
        url_name="desk_people",
        command="manage.py add_person --email EMAIL --name NAME --role ROLE",
    )


def _fund(fund: Fund | None) -> FoundingStep:
    return FoundingStep(
        name="Fund and currency",
        note="no fund yet"
        if fund is None
        else f"{fund.name}, {fund.currency}, cut-offs in {fund.zone}",
        is_done=fund is not None,
        roles=(Role.ACCOUNTANT,),
        page="" if fund is not None else "fund",
        command=FILE_COMMAND,
    )


def _classes(fund: Fund | None) -> FoundingStep:
    rows = ShareClass.objects.filter(fund=fund).annotate(versions=Count("policies"))
    without = [row.code for row in rows if fund is not None and not row.versions]
    waiting = set(
        open_proposals().filter(share_class__fund=fund).values_list("share_class__code", flat=True)
    )
    notes = [
        f"class {code}: terms " + ("wait for a signature" if code in waiting else "not proposed")
        for code in without
    ]
    has_classes = fund is not None and bool(rows)
    done = f"{len(rows)} with terms in force" if has_classes else "no class yet"
    is_waiting = bool(waiting.intersection(without))
    return FoundingStep(
        name="Share classes and terms",
        note="; ".join(notes) or done,
        is_done=has_classes and not without,
        roles=(Role.CONTROLLER,) if is_waiting else (Role.ACCOUNTANT,),
        url_name="desk_founding" if is_waiting else "",
        anchor="terms" if is_waiting else "",
        page="" if is_waiting or fund is None else ("terms" if has_classes else "class"),
        command="" if is_waiting else FILE_COMMAND,
    )


def _calendar(fund: Fund | None) -> FoundingStep:
    coming = DealingDay.objects.filter(fund=fund, cutoff_at__gt=utc_now()) if fund else ()
    days = [row.day for row in coming]
    return FoundingStep(
        name="Dealing calendar",
        note=f"{_plural(len(days), 'day')} to come, the first on {days[0]}"
        if days
        else "no dealing day to come",
        is_done=bool(days),
        roles=(Role.ACCOUNTANT,),
        page="calendar" if fund is not None else "",
        command=FILE_COMMAND,
    )


def _accounts(fund: Fund | None) -> FoundingStep:
    rows = FundAccount.objects.filter(fund=fund, closed_at=None) if fund is not None else ()
    codes = [row.code for row in rows if row.approved_at is not None]
    waits = len(rows) > len(codes)
    return FoundingStep(
        name="Bank and wallet accounts",
        note=", ".join(codes) or ("one waits for a signature" if waits else "none yet"),
        is_done=bool(codes),
        roles=(Role.CONTROLLER,) if waits and not codes else (Role.ACCOUNTANT,),
        url_name="desk_accounts",
    )


def _instruments() -> FoundingStep:
    traded = Instrument.objects.filter(is_active=True).order_by("symbol")
    names = [f"{row.symbol} on {row.venue}" for row in traded[:4]]
    return FoundingStep(
        name="Instruments",
        note=", ".join(names) or "none is traded",
        is_done=bool(names),
        roles=(Role.OPERATOR,),
        url_name="desk_instruments",
        command="manage.py add_instrument SYMBOL --venue VENUE --from-exchange --trade",
    )


def _sleeves() -> FoundingStep:
    rows = Strategy.objects.filter(is_active=True).order_by("pk")[:6]
    names = [f"{row.name}, {row.risk_fraction:.2%} a trade" for row in rows]
    return FoundingStep(
        name="Sleeves and risk shares",
        note="; ".join(names) or "none",
        is_done=bool(names),
        roles=(Role.RISK_OFFICER,),
        url_name="desk_strategies",
        command="manage.py sleeve propose",
    )


def _limits(book: str) -> FoundingStep:
    newest = LimitSet.objects.filter(book=book).order_by("-version").first()
    is_waiting = LimitProposal.objects.filter(book=book, limit_set=None, withdrawn_at=None).exists()
    return FoundingStep(
        name="Limits",
        note=f"version {newest.version} approved"
        if newest
        else ("proposed; a second person signs" if is_waiting else "not proposed"),
        is_done=newest is not None,
        roles=(Role.RISK_OFFICER,),
        url_name="desk_founding" if is_waiting else "",
        anchor="limits" if is_waiting else "",
        page="" if is_waiting else "limits",
        command="" if is_waiting else FILE_COMMAND,
    )


def _investors() -> FoundingStep:
    counts = Investor.objects.aggregate(
        all=Count("pk"), approved=Count("pk", filter=Q(kyc_state=KycState.APPROVED))
    )
    return FoundingStep(
        name="First investors",
        note=f"{counts['approved']} of {counts['all']} approved" if counts["all"] else "none yet",
        is_done=counts["approved"] > 0,
        roles=(Role.COMPLIANCE,),
        url_name="desk_cases",
    )


def _money(fund: Fund | None) -> FoundingStep:
    paid = DealingOrder.objects.filter(
        share_class__fund=fund, kind="subscription", funded_at__isnull=False
    )
    count = paid.count() if fund is not None else 0
    return FoundingStep(
        name="First money",
        note=f"{_plural(count, 'subscription')} paid in"
        if count
        else "the book has what its bank and wallet received: nothing yet",
        is_done=count > 0,
        roles=(Role.ACCOUNTANT,),
        url_name="desk_dealing",
    )


def _reconciled(book: str) -> FoundingStep:
    newest = Reconciliation.objects.filter(book=book).order_by("-occurred_at").first()
    return FoundingStep(
        name="Reconciliation",
        note="not run yet; the trader does it each minute"
        if newest is None
        else ("clean" if newest.is_clean else "a break is open"),
        is_done=newest is not None and newest.is_clean,
        roles=(Role.OPERATOR,),
        url_name="desk_risk",
    )


def _armed(book: str) -> FoundingStep:
    state = state_of(book)
    return FoundingStep(
        name="Arm the fuse",
        note=f"the fuse is {state.lower()}; two people arm it",
        is_done=state in ("ARMED", "REDUCING"),
        roles=(Role.RISK_OFFICER,),
        url_name="desk_risk",
    )


def _struck(fund: Fund | None) -> FoundingStep:
    is_done = (
        fund is not None
        and NavStrike.objects.filter(fund=fund, state=NavStrike.State.DEALT).exists()
    )
    return FoundingStep(
        name="First NAV",
        note="struck and dealt" if is_done else "on the first dealing day, by two people",
        is_done=is_done,
        roles=(Role.ACCOUNTANT, Role.CONTROLLER),
        url_name="desk_nav",
    )


def _plural(count: int, word: str) -> str:
    return f"{count} {word}{'' if count == 1 else 's'}"
