"""Forms of what a fund is made of: fund, classes, calendar, investors, a NAV to prepare."""

from __future__ import annotations

from datetime import datetime, time
from decimal import Decimal
from typing import Any

from django import forms
from django.conf import settings

from investors.domain.dealing.schedule import CalendarRule, PlannedDay
from investors.models import (
    DealingDay,
    Fund,
    FundHoliday,
    Investor,
    NavStrike,
    ShareClass,
)
from investors.services.founding import (
    KINDS,
    create_class,
    create_fund,
    declare_holidays,
    preview_calendar,
    register_investor,
    schedule_days,
)
from investors.services.nav import prepare_strike
from magnetfund.core.roles import Capability
from magnetfund.kernel.clock import utc_now
from magnetfund.kernel.errors import InvalidInput
from magnetfund.web.service_forms import ServiceForm


class FundForm(ServiceForm):
    """A new fund: its first dealing day is its inception."""

    capability = Capability.FUND_SET_UP
    code = forms.CharField(max_length=20, help_text="Capitals, digits and dashes.")
    name = forms.CharField(max_length=120)
    currency = forms.CharField(max_length=5, initial="USD")
    zone = forms.CharField(
        initial="UTC", label="Time zone", help_text="Of cut-offs; a NAV is valued at 00:00 UTC."
    )
    book = forms.CharField(
        max_length=20,
        initial=settings.MAGNET_BOOK,
        help_text="The trading book that this fund owns.",
    )
    first_day = forms.DateField(label="Inception", help_text="Valued at 00:00 UTC of this day.")

    class Meta(ServiceForm.Meta):
        model = Fund

    def perform(self, given: dict[str, Any]) -> Fund:
        first = given.pop("first_day")
        inception = datetime.combine(first, time(), utc_now().tzinfo)
        return create_fund(**given, inception=inception, actor=self.actor)


class ShareClassForm(ServiceForm):
    """A class without terms; it deals once its terms have two signatures."""

    capability = Capability.FUND_SET_UP
    fund = forms.ModelChoiceField(Fund.objects.all())
    code = forms.CharField(max_length=10)
    name = forms.CharField(max_length=120)
    tier = forms.CharField(max_length=40, required=False)
    launch_price = forms.DecimalField(initial=Decimal(100))
    minimum_subscription = forms.DecimalField(initial=Decimal(5000))

    class Meta(ServiceForm.Meta):
        model = ShareClass

    def perform(self, given: dict[str, Any]) -> ShareClass:
        return create_class(**given, actor=self.actor)


class HolidayForm(ServiceForm):
    """A day without business in the fund's calendar."""

    capability = Capability.FUND_SET_UP
    fund = forms.ModelChoiceField(Fund.objects.all())
    day = forms.DateField()
    name = forms.CharField(max_length=80)

    class Meta(ServiceForm.Meta):
        model = FundHoliday

    def perform(self, given: dict[str, Any]) -> FundHoliday:
        fund, day = given["fund"], given["day"]
        if not declare_holidays(fund=fund, days={day: given["name"]}, actor=self.actor):
            raise InvalidInput(f"{day} is a holiday of {fund.code} already", code="holiday_exists")
        return FundHoliday.objects.get(fund=fund, day=day)


class DealingDaysForm(ServiceForm):
    """Extends the dealing calendar by months; days that are known stay as they are."""

    capability = Capability.FUND_SET_UP
    fund = forms.ModelChoiceField(Fund.objects.all())
    first = forms.DateField(label="From the month of")
    months = forms.IntegerField(min_value=1, max_value=60, initial=12)
    day_of_month = forms.IntegerField(min_value=1, max_value=28, initial=1)
    skips_weekends = forms.BooleanField(required=False, initial=True)
    cutoff_days = forms.IntegerField(
        min_value=1, initial=5, label="Cut-off, days before", help_text="Calendar days."
    )
    cutoff_time = forms.TimeField(initial=time(17, 0), help_text="In the fund's time zone.")
    funding_days = forms.IntegerField(min_value=1, initial=2, label="Money due, days before")
    settlement_days = forms.IntegerField(min_value=0, initial=10, label="Settlement, days after")

    class Meta(ServiceForm.Meta):
        model = DealingDay

    #: What would be written, where the form is only tried out.
    is_preview = False
    preview: tuple[PlannedDay, ...] = ()

    def perform(self, given: dict[str, Any]) -> DealingDay:
        fund, first, months = given.pop("fund"), given.pop("first"), given.pop("months")
        rule = CalendarRule(zone=fund.zone, **given)
        if self.is_preview:
            self.preview = preview_calendar(fund=fund, rule=rule, first=first, months=months)
            return DealingDay()
        days = schedule_days(fund=fund, rule=rule, first=first, months=months, actor=self.actor)
        if not days:
            raise InvalidInput("every day of these months is known already", code="no_new_day")
        return days[0]


class InvestorForm(ServiceForm):
    """A holder whose KYC file is not started; no order is taken before it is approved."""

    capability = Capability.DEALING_PROCESS
    name = forms.CharField(max_length=200, label="Legal name")
    email = forms.EmailField()
    kind = forms.ChoiceField(choices=[(kind, kind.capitalize()) for kind in KINDS])
    country = forms.CharField(max_length=2, help_text="Two capitals, for example CH.")

    class Meta(ServiceForm.Meta):
        model = Investor

    def perform(self, given: dict[str, Any]) -> Investor:
        return register_investor(**given, actor=self.actor)


class NavForm(ServiceForm):
    """Prepares the NAV of a dealing day; another person approves it."""

    capability = Capability.NAV_PREPARE
    dealing_day = forms.ModelChoiceField(DealingDay.objects.none())

    class Meta(ServiceForm.Meta):
        model = NavStrike

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        due = DealingDay.objects.filter(valuation_at__lte=utc_now()).order_by("-valuation_at")
        field = self.fields["dealing_day"]
        assert isinstance(field, forms.ModelChoiceField)
        field.queryset = due

    def perform(self, given: dict[str, Any]) -> NavStrike:
        day = given["dealing_day"]
        return prepare_strike(
            fund=day.fund, valuation_at=day.valuation_at, dealing_day=day, actor=self.actor
        )
