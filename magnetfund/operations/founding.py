"""Founding a fund from its file: everything in one transaction, or nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime

from django.db import transaction

from investors.domain.dealing.schedule import PlannedDay, plan_calendar
from investors.models import Fund
from investors.services import founding
from investors.services.policies import propose_terms
from magnetfund.core.actors import Actor
from magnetfund.core.models import User
from magnetfund.core.roles import Capability
from magnetfund.kernel.clock import utc_now
from magnetfund.kernel.errors import Conflict, InvalidInput, InvariantBroken
from magnetfund.operations.founding_file import FileProblem, FoundingPlan
from risk.services.limits import propose_limits
from trading.domain.market.symbols import normalise_symbol, normalise_venue
from trading.services.instrument_files import shipped_terms
from trading.services.instruments import add_instrument
from trading.services.sleeve_setup import add_sleeve

BY_COMMAND = " by manage.py found"
#: As long as the name of an actor may be in an audit line.
LABEL_MAX = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundingReport:
    """What was written; ``days`` is the whole calendar."""

    code: str
    book: str
    days: tuple[PlannedDay, ...]
    counts: Mapping[str, int]


class _Undone(Exception):
    """Ends a dry run: the transaction goes back."""


def find_proposers(plan: FoundingPlan) -> tuple[dict[str, User], tuple[FileProblem, ...]]:
    """The two people in whose names the file proposes, each with the capability for it."""
    people: dict[str, User] = {}
    problems: list[FileProblem] = []
    for seat, email, capability in (
        ("accountant", plan.accountant, Capability.TERMS_PROPOSE),
        ("risk_officer", plan.risk_officer, Capability.LIMITS_PROPOSE),
    ):
        user = User.objects.filter(email=email, is_active=True).first()
        if user is None or not user.can(capability):
            problems.append(
                FileProblem(
                    key=f"proposed_by.{seat}",
                    code="no_such_person",
                    message=f"{email} is no active {seat.replace('_', ' ')}; run: manage.py "
                    f"add_person --email {email} --name NAME --role {seat}",
                )
            )
        else:
            people[seat] = user
    return people, tuple(problems)


def choose_calendar(plan: FoundingPlan, *, at: datetime) -> tuple[PlannedDay, ...]:
    """The dealing days of the file: from ``inception``, else from the first that is still open.

    Raises :class:`InvalidInput`: ``inception_no_dealing_day``, ``cutoff_past``.
    """
    if plan.inception is None:
        days = plan_calendar(
            rule=plan.rule, first=at.date(), months=plan.months + 2, holidays=plan.holidays
        )
        return tuple(item for item in days if item.dealing.cutoff_at > at)[: plan.months]
    days = plan_calendar(
        rule=plan.rule, first=plan.inception, months=plan.months, holidays=plan.holidays
    )
    if not days or days[0].dealing.day != plan.inception:
        first = f"; the next is {days[0].dealing.day}" if days else ""
        raise InvalidInput(
            f"fund.inception {plan.inception} is no dealing day of this calendar{first}",
            code="inception_no_dealing_day",
        )
    if days[0].dealing.cutoff_at <= at:
        raise InvalidInput(
            f"fund.inception {plan.inception}: its cut-off is past", code="cutoff_past"
        )
    return days


def found_fund(
    plan: FoundingPlan, *, book: str, people: Mapping[str, User], is_dry_run: bool = False
) -> FoundingReport:
    """Write all of ``plan`` in one transaction; a dry run goes through every step and writes none.

    Terms and limits become proposals in the names of ``people``: a second person of each signs.
    Raises what the services raise (``fund_exists``, ``book_taken``, ``investor_exists``, ...).
    """
    reports: list[FoundingReport] = []
    try:
        with transaction.atomic():
            reports.append(_write(plan, book=book, people=people))
            if is_dry_run:
                raise _Undone
    except _Undone:
        pass
    return reports[0]


def _write(plan: FoundingPlan, *, book: str, people: Mapping[str, User]) -> FoundingReport:
    now = utc_now()
    accountant, officer = _actor(people["accountant"]), _actor(people["risk_officer"])
    if Fund.objects.filter(code=plan.code).exists():
        raise Conflict(f"the fund {plan.code} exists already", code="fund_exists")
    days = choose_calendar(plan, at=now)
    if not days:
        raise InvalidInput("the calendar has no dealing day", code="no_dealing_day")
    fund = founding.create_fund(
        code=plan.code, name=plan.name, currency=plan.currency, zone=plan.rule.zone, book=book,
        inception=days[0].dealing.valuation_at, actor=accountant,
    )  # fmt: skip
    founding.declare_holidays(fund=fund, days=plan.holidays, actor=accountant)
    written = founding.schedule_days(
        fund=fund, rule=plan.rule, first=days[0].dealing.day,
        months=_months(days[0].dealing.day, days[-1].dealing.day), actor=accountant,
    )  # fmt: skip
    if [row.day for row in written] != [item.dealing.day for item in days]:
        raise InvariantBroken("the calendar that was written is not the one that was planned")
    for item in plan.classes:
        row = founding.create_class(
            fund=fund, code=item.code, name=item.name, tier=item.tier, actor=accountant,
            launch_price=item.launch_price, minimum_subscription=item.minimum_subscription,
        )  # fmt: skip
        propose_terms(
            share_class=row, terms=dict(item.terms), reason="terms of the founding",
            effective_from=now, actor=accountant,
        )  # fmt: skip
    for holder in plan.investors:
        founding.register_investor(
            name=holder.name, email=holder.email, kind=holder.kind, country=holder.country,
            actor=accountant,
        )  # fmt: skip
    _write_market(plan, book=book, officer=officer)
    propose_limits(
        book=book, figures=dict(plan.limits), reason=plan.limits_reason, effective_from=now,
        actor=officer,
    )  # fmt: skip
    return FoundingReport(
        code=fund.code,
        book=book,
        days=days,
        counts={
            "classes": len(plan.classes),
            "dealing_days": len(days),
            "holidays": len(plan.holidays),
            "instruments": len(plan.instruments),
            "sleeves": len(plan.sleeves),
            "investors": len(plan.investors),
        },
    )


def _write_market(plan: FoundingPlan, *, book: str, officer: Actor) -> None:
    for item in plan.instruments:
        shipped = shipped_terms(normalise_venue(item.venue))
        if shipped is None:
            raise InvariantBroken("the file was checked against other terms than are shipped")
        add_instrument(
            shipped.terms[normalise_symbol(item.symbol)], source=shipped.source,
            stated_at=shipped.stated_at, actor=officer, is_active=True,
        )  # fmt: skip
    for sleeve in plan.sleeves:
        add_sleeve(
            book=book, code=sleeve.code, name=sleeve.name, risk_fraction=sleeve.risk_fraction,
            expectation=sleeve.expectation, parameters=sleeve.parameters, actor=officer,
        )  # fmt: skip


def _actor(user: User) -> Actor:
    return replace(Actor.of(user), label=f"{user}"[: LABEL_MAX - len(BY_COMMAND)] + BY_COMMAND)


def _months(first: date, last: date) -> int:
    """Months of the calendar from the one of ``first`` to the one of ``last``."""
    return (last.year - first.year) * 12 + last.month - first.month + 1
