"""The file that founds a fund: read as a whole, every mistake named by its key.

Pure but for reading the file: no database, so the same check serves a dry run anywhere.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from datetime import date, datetime, time
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, TypeVar

from investors.domain.dealing.schedule import MONTHS_MAX, CalendarRule, find_zone
from investors.domain.fees import ClassTerms
from investors.services import founding
from investors.services.policies import build_terms
from magnetfund.kernel.errors import InvalidInput
from magnetfund.kernel.money import currency_quantum
from risk.domain.limits import Limits, check_limits, figures_of
from trading.domain.market.symbols import SIMULATED, normalise_symbol, normalise_venue
from trading.services.book_setup import MANUAL
from trading.services.instrument_files import shipped_terms
from trading.services.sleeve_setup import check_sleeve

Read = TypeVar("Read")
_TERMS = frozenset(item.name for item in fields(ClassTerms))


@dataclass(frozen=True, slots=True, kw_only=True)
class FileProblem:
    """One mistake: the key it stands at, a stable code, a sentence."""

    key: str
    code: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedClass:
    code: str
    name: str
    tier: str
    launch_price: Decimal
    minimum_subscription: Decimal
    terms: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class HolderPlan:
    name: str
    email: str
    kind: str
    country: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InstrumentPlan:
    venue: str
    symbol: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SleevePlan:
    code: str
    name: str
    risk_fraction: Decimal
    expectation: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundingPlan:
    """Everything that the file says.  ``limits`` holds all figures, those not named at their
    defaults; ``inception`` None is the first dealing day that is still open."""

    accountant: str
    risk_officer: str
    code: str
    name: str
    currency: str
    inception: date | None
    rule: CalendarRule
    months: int
    holidays: Mapping[date, str]
    classes: tuple[PlannedClass, ...]
    instruments: tuple[InstrumentPlan, ...]
    sleeves: tuple[SleevePlan, ...]
    limits: Mapping[str, str | None]
    limits_reason: str
    investors: tuple[HolderPlan, ...]


def read_founding_file(path: Path) -> tuple[FoundingPlan | None, tuple[FileProblem, ...]]:
    """The plan, or every problem of the file; raises :class:`InvalidInput` where it is no TOML."""
    try:
        plain = tomllib.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)
    except (FileNotFoundError, IsADirectoryError):
        raise InvalidInput(f"file not found: {path.name}", code="no_such_file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, InvalidOperation) as error:
        raise InvalidInput(f"{path.name} is not TOML: {error}", code="bad_file") from None
    problems: list[FileProblem] = []
    plan = _read_plan(_Section(plain, "", problems))
    return (None, tuple(problems)) if problems else (plan, ())


class _Section:
    """A table of the file.  A value that is missing or odd becomes a problem and a stand-in, so
    that reading goes on and names the next one too; the stand-ins never leave this module."""

    def __init__(self, plain: Mapping[str, Any], path: str, problems: list[FileProblem]) -> None:
        self._plain, self._path, self.problems = plain, path, problems
        self._read: set[str] = set()

    def key(self, name: str = "") -> str:
        return ".".join(part for part in (self._path, name) if part)

    def note(self, name: str, message: str, code: str) -> None:
        self.problems.append(FileProblem(key=self.key(name), code=code, message=message))

    def take(self, name: str, kind: type[Read], stand_in: Read, *, needed: bool = True) -> Read:
        self._read.add(name)
        value = self._plain.get(name)
        if value is None:
            if needed:
                self.note(name, "is missing", "missing")
            return stand_in
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            self.note(name, f"is not {_KINDS[kind]}", "bad_value")
            return stand_in
        return value

    def text(self, name: str, default: str | None = None) -> str:
        return self.take(name, str, default or "", needed=default is None).strip()

    def decimal(self, name: str, default: str | None = None) -> Decimal:
        self._read.add(name)
        value = self._plain.get(name, default)
        if value is None:
            self.note(name, "is missing", "missing")
            return Decimal(1)
        try:
            found = Decimal(str(value)) if not isinstance(value, bool) else Decimal("NaN")
        except InvalidOperation:
            found = Decimal("NaN")
        if not found.is_finite():
            self.note(name, "is not a number", "bad_number")
            return Decimal(1)
        return found

    def day(self, name: str, *, needed: bool = False) -> date | None:
        found: date | None = self.take(name, date, date.max, needed=needed)
        if isinstance(found, datetime):
            self.note(name, "is a day, not an instant", "bad_value")
        return None if found == date.max else found

    def table(self, name: str, *, needed: bool = True) -> _Section:
        plain = self.take(name, dict, {}, needed=needed)
        return _Section(plain, self.key(name), self.problems)

    def tables(self, name: str, *, needed: bool = True) -> list[_Section]:
        rows = self.take(name, list, [], needed=needed)
        found = []
        for number, row in enumerate(rows):
            if isinstance(row, dict):
                found.append(_Section(row, f"{self.key(name)}[{number}]", self.problems))
            else:
                self.note(f"{name}[{number}]", "is not a table", "bad_value")
        return found

    def check(self, name: str, rule: Callable[..., object], /, *args: Any, **named: Any) -> None:
        """Ask a rule of the services; its refusal is a problem of the key."""
        if any(item.key == self.key(name) for item in self.problems):
            return
        try:
            rule(*args, **named)
        except InvalidInput as error:
            self.note(name, error.message, error.code)

    def rest(self) -> dict[str, Any]:
        """What was not read by name; it counts as read."""
        left = {name: value for name, value in self._plain.items() if name not in self._read}
        self._read.update(left)
        return left

    def close(self) -> None:
        for name in self._plain:
            if name not in self._read:
                self.note(name, "is not a key of this file", "unknown_key")


_KINDS: Mapping[type, str] = {
    str: "a text", int: "a whole number", dict: "a table", list: "a list", bool: "true or false",
    date: "a day", time: "a time",
}  # fmt: skip


def _read_plan(top: _Section) -> FoundingPlan | None:
    signed = top.table("proposed_by")
    accountant, officer = signed.text("accountant"), signed.text("risk_officer")
    signed.close()
    fund = top.table("fund")
    code, name, currency = fund.text("code"), fund.text("name"), fund.text("currency")
    zone, inception = fund.text("zone", "UTC"), fund.day("inception")
    fund.check("code", founding.check_code, code, of="fund")
    fund.check("name", founding.check_name, name)
    fund.check("currency", currency_quantum, currency)
    fund.check("zone", find_zone, zone)
    fund.close()
    calendar = top.table("calendar")
    rule, months, holidays = _read_calendar(calendar, zone)
    limits = top.table("limits", needed=False)
    figures, reason = _read_limits(limits)
    classes, investors = _read_classes(top, currency), _read_investors(top)
    instruments, sleeves = _read_instruments(top), _read_sleeves(top)
    top.close()
    if top.problems or rule is None:
        return None
    return FoundingPlan(
        accountant=accountant.lower(), risk_officer=officer.lower(), code=code, name=name,
        currency=currency, inception=inception, rule=rule, months=months, holidays=holidays,
        classes=classes, instruments=instruments, sleeves=sleeves, investors=investors,
        limits=figures, limits_reason=reason,
    )  # fmt: skip


def _read_calendar(part: _Section, zone: str) -> tuple[CalendarRule | None, int, dict[date, str]]:
    months = part.take("months", int, 12, needed=False)
    if not 1 <= months <= MONTHS_MAX:
        part.note("months", f"runs from 1 to {MONTHS_MAX}", "bad_months")
    values = {
        "day_of_month": part.take("day_of_month", int, 1, needed=False),
        "skips_weekends": part.take("skips_weekends", bool, False, needed=False),
        "cutoff_days": part.take("cutoff_days", int, 5),
        "cutoff_time": part.take("cutoff_time", time, time(17)),
        "funding_days": part.take("funding_days", int, 2),
        "settlement_days": part.take("settlement_days", int, 0, needed=False),
    }
    rule = None
    try:
        rule = CalendarRule(zone="UTC", **values)  # type: ignore[arg-type]
        rule = CalendarRule(zone=zone, **values)  # type: ignore[arg-type]
    except InvalidInput as error:
        if error.code != "unknown_zone":
            part.note("", error.message, error.code)
    holidays: dict[date, str] = {}
    for row in part.tables("holidays", needed=False):
        day, name = row.day("day", needed=True), row.text("name")
        row.check("name", founding.check_name, name, longest=founding.HOLIDAY_NAME_MAX)
        if day is None:
            continue
        if day in holidays:
            row.note("day", "stands here twice", "duplicate")
        holidays[day] = name
        row.close()
    part.close()
    return rule, months, holidays


def _read_classes(top: _Section, currency: str) -> tuple[PlannedClass, ...]:
    found: list[PlannedClass] = []
    for row in top.tables("classes"):
        plan = PlannedClass(
            code=row.text("code"), name=row.text("name"), tier=row.text("tier", ""),
            launch_price=row.decimal("launch_price"),
            minimum_subscription=row.decimal("minimum_subscription", "0"),
            terms=_read_terms(row.table("terms")),
        )  # fmt: skip
        own = row.text("currency", currency)
        row.check("code", founding.check_code, plan.code, of="class")
        row.check("name", founding.check_name, plan.name)
        row.check("launch_price", founding.check_launch_price, plan.launch_price)
        row.check("currency", founding.check_class_currency, own, fund_currency=currency)
        if currency and not any(item.key == "fund.currency" for item in row.problems):
            row.check(
                "minimum_subscription",
                founding.check_minimum,
                plan.minimum_subscription,
                currency=currency,
            )
        if plan.code in {item.code for item in found}:
            row.note("code", "stands here twice", "duplicate")
        row.close()
        found.append(plan)
    return tuple(found)


def _read_terms(part: _Section) -> dict[str, Any]:
    terms = part.rest()
    before = len(part.problems)
    for name, value in terms.items():
        if name not in _TERMS:
            part.note(name, "is not a term of a class", "unknown_key")
        else:
            part.check(name, build_terms, {name: value})
    if len(part.problems) == before:
        part.check("", build_terms, terms)
    return terms


def _read_instruments(top: _Section) -> tuple[InstrumentPlan, ...]:
    found: list[InstrumentPlan] = []
    for row in top.tables("instruments", needed=False):
        venue, symbol = row.text("venue"), row.text("symbol")
        row.check("venue", _check_venue, venue)
        row.check("symbol", _check_terms_known, venue, symbol)
        row.close()
        found.append(InstrumentPlan(venue=venue, symbol=symbol))
    if len({item.venue for item in found}) > 1:
        top.note("instruments", "a home trades one venue", "two_markets")
    return tuple(found)


def _check_venue(venue: str) -> None:
    if normalise_venue(venue) == SIMULATED:
        raise InvalidInput("the simulated market is for the demo alone", code="sim_only")


def _check_terms_known(venue: str, symbol: str) -> None:
    shipped, name = shipped_terms(normalise_venue(venue)), normalise_symbol(symbol)
    if shipped is None or name not in shipped.terms:
        raise InvalidInput(
            f"terms of {name} on {venue} are not shipped; leave it out and run: "
            f"manage.py add_instrument {name} --venue {venue} --from-exchange --trade",
            code="no_terms",
        )


def _read_sleeves(top: _Section) -> tuple[SleevePlan, ...]:
    found: list[SleevePlan] = []
    for row in top.tables("sleeves", needed=False):
        plan = SleevePlan(
            code=row.text("code"), name=row.text("name"),
            risk_fraction=row.decimal("risk_fraction"), expectation=row.text("expectation", ""),
            parameters=row.table("parameters", needed=False).rest(),
        )  # fmt: skip
        row.check(
            "code",
            check_sleeve,
            code=plan.code,
            risk_fraction=Decimal("0.001"),
            parameters=plan.parameters,
        )
        row.check(
            "risk_fraction",
            check_sleeve,
            code=MANUAL,
            risk_fraction=plan.risk_fraction,
            parameters={},
        )
        if plan.code in {item.code for item in found}:
            row.note("code", "stands here twice", "duplicate")
        row.close()
        found.append(plan)
    return tuple(found)


def _read_limits(part: _Section) -> tuple[dict[str, str | None], str]:
    reason = part.text("reason", "limits of the founding")
    figures: dict[str, Any] = dict(figures_of(limits=Limits()))
    figures.update(part.rest())
    for problem in check_limits(figures=figures):
        part.note(problem.name, problem.message, problem.code)
    plain = {name: None if value is None else str(value) for name, value in figures.items()}
    return plain, reason


def _read_investors(top: _Section) -> tuple[HolderPlan, ...]:
    found: list[HolderPlan] = []
    for row in top.tables("investors", needed=False):
        plan = HolderPlan(
            name=row.text("name"), email=row.text("email").lower(),
            kind=row.text("kind", "person"), country=row.text("country"),
        )  # fmt: skip
        row.check(
            "",
            founding.check_holder,
            name=plan.name,
            email=plan.email,
            kind=plan.kind,
            country=plan.country,
        )
        if plan.email in {item.email for item in found}:
            row.note("email", "stands here twice", "duplicate")
        row.close()
        found.append(plan)
    return tuple(found)
