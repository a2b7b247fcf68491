"""Founding a fund: the fund itself, its classes, holidays, dealing days and first holders.

Nothing here moves money, approves anybody or puts terms in force: a class deals once its terms have
two signatures (:mod:`investors.services.policies`), a holder once the KYC file is approved.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction

from investors.domain.dealing.schedule import CalendarRule, PlannedDay, find_zone, plan_calendar
from investors.models import DealingDay, Fund, FundHoliday, Investor, ShareClass
from investors.services.ledger import ensure_chart, open_since
from magnetfund.core.actors import Actor
from magnetfund.core.locks import AdvisoryLock, take_lock
from magnetfund.core.roles import Capability
from magnetfund.core.services.audit import record_audit
from magnetfund.kernel.clock import require_utc, utc_now
from magnetfund.kernel.errors import Conflict, InvalidInput
from magnetfund.kernel.money import currency_quantum, require_carried

_CODE = re.compile(r"[A-Z0-9][A-Z0-9-]*")
_CODE_MAX = {"fund": 20, "class": 10}
NAME_MAX = 120
TIER_MAX = 40
LEGAL_NAME_MAX = 200
HOLIDAY_NAME_MAX = 80
BOOK_MAX = 20
KINDS = ("person", "joint", "company", "trust")


def check_code(code: str, *, of: str) -> str:
    """A code of capitals, digits and dashes; raises :class:`InvalidInput` (``bad_code``)."""
    if not _CODE.fullmatch(code) or len(code) > _CODE_MAX[of]:
        raise InvalidInput(
            f"a {of} code has 1 to {_CODE_MAX[of]} capitals, digits or dashes", code="bad_code"
        )
    return code


def check_name(name: str, *, longest: int = NAME_MAX) -> str:
    """A name without spaces around it; raises :class:`InvalidInput` (``bad_name``)."""
    plain = name.strip()
    if not 1 <= len(plain) <= longest or not plain.isprintable():
        raise InvalidInput(f"a name has 1 to {longest} printable characters", code="bad_name")
    return plain


def check_launch_price(price: Decimal) -> Decimal:
    """A finite price above zero; raises :class:`InvalidInput` (``bad_price``)."""
    if not price.is_finite() or not Decimal(0) < price < Decimal(10) ** 9:
        raise InvalidInput("the launch price is above zero and below 10^9", code="bad_price")
    return price


def check_minimum(amount: Decimal, *, currency: str) -> Decimal:
    """A payable amount from zero; raises :class:`InvalidInput` (``bad_amount``)."""
    if not amount.is_finite() or amount < 0 or amount % currency_quantum(currency):
        raise InvalidInput(f"this is not an amount of {currency}", code="bad_amount")
    return amount


def check_class_currency(currency: str, *, fund_currency: str) -> None:
    """A class has its fund's currency; raises :class:`InvalidInput` (``currency_differs``)."""
    if currency != fund_currency:
        raise InvalidInput(
            f"the fund is in {fund_currency}; a class in {currency} needs a fund of its own",
            code="currency_differs",
        )


def check_holder(*, name: str, email: str, kind: str, country: str) -> tuple[str, str]:
    """Name and address as they are stored; raises :class:`InvalidInput` naming what is wrong."""
    legal_name, address = check_holder_name(name), email.strip().lower()
    try:
        validate_email(address)
    except ValidationError:
        raise InvalidInput(f"{email} is not a valid email address", code="bad_email") from None
    if kind not in KINDS:
        raise InvalidInput(f"a holder must be one of: {', '.join(KINDS)}", code="bad_kind")
    if not re.fullmatch(r"[A-Z]{2}", country):
        raise InvalidInput("a country has two capitals, for example CH", code="bad_country")
    return legal_name, address


def check_holder_name(name: str) -> str:
    """The name of a holder; raises :class:`InvalidInput` (``bad_name``, and ``missing_glyph`` for
    letters that no paper of the fund could print)."""
    from investors.services.paper_fonts import find_missing  # loads the compiler of papers

    plain = check_name(name, longest=LEGAL_NAME_MAX)
    if missing := find_missing(plain):
        raise InvalidInput(
            f"our papers cannot print {missing!r}; write the name in Latin letters, as a passport "
            "has it in its last lines",
            code="missing_glyph",
        )
    return plain


def create_fund(
    *,
    code: str,
    name: str,
    currency: str,
    zone: str,
    book: str,
    inception: datetime,
    actor: Actor,
) -> Fund:
    """A new fund with the chart of accounts and no money.

    ``inception`` is the valuation of its first dealing day.  Raises :class:`Conflict`:
    ``fund_exists`` for a code that is taken, ``book_taken`` where the book has a fund; and
    :class:`InvalidInput` (``currency_not_carried``) for a currency that the books read no rate
    of.
    """
    actor.require(Capability.FUND_SET_UP)
    check_code(code, of="fund")
    plain = check_name(name)
    currency_quantum(currency)
    require_carried(currency, what=f"the fund {code}")
    find_zone(zone)
    require_utc(inception)
    if not 1 <= len(book) <= BOOK_MAX:
        raise InvalidInput(f"a book's name has 1 to {BOOK_MAX} characters", code="bad_book")
    with transaction.atomic():
        take_lock(AdvisoryLock.FOUNDING, 0)
        if Fund.objects.filter(code=code).exists():
            raise Conflict(f"the fund {code} exists already", code="fund_exists")
        if (other := Fund.objects.filter(book=book).first()) is not None:
            raise Conflict(
                f"the book {book} belongs to {other.code}; one book serves one fund",
                code="book_taken",
            )
        ensure_chart()
        fund = Fund.objects.create(
            code=code, name=plain, currency=currency, zone=zone, book=book, inception=inception
        )
        _note(
            actor, "fund.created", ("fund", fund.pk), code=code, currency=currency, zone=zone,
            book=book, inception=inception,
        )  # fmt: skip
    return fund


def create_class(
    *,
    fund: Fund,
    code: str,
    name: str,
    launch_price: Decimal,
    minimum_subscription: Decimal,
    actor: Actor,
    tier: str = "",
    currency: str | None = None,
) -> ShareClass:
    """A class without terms; it deals once terms are proposed and approved.

    Raises :class:`Conflict` (``class_exists``) and :class:`InvalidInput` (``currency_differs``).
    """
    actor.require(Capability.FUND_SET_UP)
    check_code(code, of="class")
    plain = check_name(name)
    check_class_currency(currency or fund.currency, fund_currency=fund.currency)
    check_launch_price(launch_price)
    check_minimum(minimum_subscription, currency=fund.currency)
    if len(tier) > TIER_MAX:
        raise InvalidInput(f"a tier has at most {TIER_MAX} characters", code="bad_name")
    with transaction.atomic():
        take_lock(AdvisoryLock.FOUNDING, 0)
        if ShareClass.objects.filter(fund=fund, code=code).exists():
            raise Conflict(f"class {code} of {fund.code} exists already", code="class_exists")
        row = ShareClass.objects.create(
            fund=fund,
            code=code,
            name=plain,
            tier=tier.strip(),
            launch_price=launch_price,
            minimum_subscription=minimum_subscription,
        )
        _note(
            actor, "class.created", ("share_class", row.pk), fund=fund.code, code=code,
            launch_price=launch_price, minimum_subscription=minimum_subscription,
        )  # fmt: skip
    return row


def declare_holidays(*, fund: Fund, days: Mapping[date, str], actor: Actor) -> int:
    """Note days of no business; how many were new.  A known day keeps its name."""
    actor.require(Capability.FUND_SET_UP)
    names = {day: check_name(name, longest=HOLIDAY_NAME_MAX) for day, name in days.items()}
    with transaction.atomic():
        take_lock(AdvisoryLock.FOUNDING, 0)
        known = set(FundHoliday.objects.filter(fund=fund).values_list("day", flat=True))
        rows = [
            FundHoliday(fund=fund, day=day, name=name)
            for day, name in sorted(names.items())
            if day not in known
        ]
        if rows:
            FundHoliday.objects.bulk_create(rows)
            _note(actor, "fund.holidays", ("fund", fund.pk), days=[row.day for row in rows])
    return len(rows)


def preview_calendar(
    *, fund: Fund, rule: CalendarRule, first: date, months: int
) -> tuple[PlannedDay, ...]:
    """The days that :func:`schedule_days` would add, with the fund's holidays; writes nothing."""
    holidays = set(FundHoliday.objects.filter(fund=fund).values_list("day", flat=True))
    known = set(DealingDay.objects.filter(fund=fund).values_list("day", flat=True))
    planned = plan_calendar(rule=rule, first=first, months=months, holidays=holidays)
    return tuple(item for item in planned if item.dealing.day not in known)


def schedule_days(
    *, fund: Fund, rule: CalendarRule, first: date, months: int, actor: Actor
) -> list[DealingDay]:
    """Extend the dealing calendar by what :func:`preview_calendar` shows; known days stay.

    Raises :class:`Conflict` for a day whose cut-off is past (``cutoff_past``) or that lies before
    the last NAV (``period_closed``), and :class:`InvalidInput` (``zone_differs``).
    """
    actor.require(Capability.FUND_SET_UP)
    if rule.zone != fund.zone:
        raise InvalidInput(
            f"cut-offs of {fund.code} are in {fund.zone}, not {rule.zone}", code="zone_differs"
        )
    with transaction.atomic():
        take_lock(AdvisoryLock.STRIKE_OF_FUND, fund.pk)
        closed, now = open_since(fund), utc_now()
        planned = preview_calendar(fund=fund, rule=rule, first=first, months=months)
        for item in planned:
            if item.dealing.valuation_at <= closed:
                raise Conflict(f"{item.dealing.day} lies before the last NAV", code="period_closed")
            if item.dealing.cutoff_at <= now:
                raise Conflict(
                    f"the cut-off of {item.dealing.day} is past; begin with a later month",
                    code="cutoff_past",
                )
        rows = DealingDay.objects.bulk_create(
            DealingDay(
                fund=fund,
                day=item.dealing.day,
                cutoff_at=item.dealing.cutoff_at,
                funding_deadline_at=item.dealing.funding_deadline_at,
                valuation_at=item.dealing.valuation_at,
                settlement_day=item.settlement_day,
            )
            for item in planned
        )
        if rows:
            _note(actor, "fund.dealing_days", ("fund", fund.pk), days=[row.day for row in rows])
    return rows


def register_investor(
    *, name: str, email: str, kind: str, country: str, actor: Actor, number: str = ""
) -> Investor:
    """A holder whose KYC file is not started; no order is taken before it is approved.

    Raises :class:`Conflict` (``investor_exists``) for an address or a number that is known.
    """
    actor.require(Capability.DEALING_PROCESS)
    legal_name, address = check_holder(name=name, email=email, kind=kind, country=country)
    with transaction.atomic():
        take_lock(AdvisoryLock.FOUNDING, 0)
        number = number or next_number()
        if Investor.objects.filter(email=address).exists():
            raise Conflict(f"an investor with {address} exists already", code="investor_exists")
        if Investor.objects.filter(number=number).exists():
            raise Conflict(f"the number {number} is taken", code="investor_exists")
        row = Investor.objects.create(
            number=check_code(number, of="fund"),
            kind=kind,
            legal_name=legal_name,
            email=address,
            country=country,
        )
        _note(actor, "investor.registered", ("investor", row.pk), number=number, kind=kind)
    return row


def next_number() -> str:
    taken = Investor.objects.filter(number__regex=r"^I-\d{1,9}$").values_list("number", flat=True)
    return f"I-{max((int(number[2:]) for number in taken), default=0) + 1:03d}"


def _note(actor: Actor, action: str, subject: tuple[str, object], **body: object) -> None:
    record_audit(actor=actor, action=action, subject=subject, body=body)
