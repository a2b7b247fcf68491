"""Forms that create through a service, with its actor, refusals and audit line.

The admin and the desk's founding pages show the same forms, each in its own dress.

A form checks the shape of what was typed and hands it to its service; what the service refuses
comes back into the form, and nothing is written.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields as fields_of
from datetime import datetime, time, timedelta
from decimal import Decimal
from typing import Any, ClassVar

from django import forms
from django.conf import settings
from django.db import models, transaction

from investors.domain.dealing.schedule import CalendarRule, PlannedDay
from investors.domain.fees import ClassTerms
from investors.models import (
    DealingDay,
    Fund,
    FundHoliday,
    Investor,
    NavStrike,
    ShareClass,
    TermsProposal,
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
from investors.services.policies import build_terms, plain_terms, propose_terms
from magnetfund.core.actors import Actor
from magnetfund.core.roles import Capability
from magnetfund.kernel.clock import utc_now
from magnetfund.kernel.errors import FundError, InvalidInput
from risk.domain.limits import FIGURES
from risk.models import LimitProposal
from risk.services.limits import limits_in_force, propose_limits
from trading.models import BookMember, Instrument
from trading.services.membership import change_members


class ServiceForm(forms.ModelForm):  # type: ignore[type-arg]  # of any model
    """A form of the admin whose saving is one call of a service."""

    capability: ClassVar[Capability]
    actor: ClassVar[Actor]

    class Meta:
        model: type[models.Model] = Fund
        fields: tuple[str, ...] = ()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for field in self.fields.values():
            if isinstance(field, forms.DecimalField):
                # A number field of a browser rounds and wants its own separator.
                field.widget = forms.TextInput(attrs={"inputmode": "decimal"})
            self.dress(field)

    def dress(self, field: forms.Field) -> None:
        """Give a field the classes of the site's own pages."""
        is_choice = isinstance(field, forms.ChoiceField | forms.ModelChoiceField)
        name = "form-select" if is_choice else "form-control"
        if isinstance(field, forms.BooleanField):
            name = "form-check-input"
        kinds: tuple[tuple[type[forms.Field], str], ...] = (
            (forms.DateField, "date"), (forms.TimeField, "time"),
        )  # fmt: skip
        for kind, word in kinds:
            if isinstance(field, kind):
                field.widget.input_type = word
        field.widget.attrs["class"] = name

    def perform(self, given: dict[str, Any]) -> models.Model:
        """Call the service with what was typed; its row, or :class:`FundError`."""
        raise NotImplementedError

    def _post_clean(self) -> None:
        """Django builds the row of a model form here; this form has its service write it.

        Inside the transaction of the admin's own view: a refusal rolls back to here.
        """
        if self.errors:
            return
        try:
            with transaction.atomic():
                self.instance = self.perform(self.cleaned_data)
        except FundError as error:
            self.add_error(None, error.message)

    def save(self, commit: bool = True) -> Any:
        """The row that the service wrote."""
        return self.instance

    def save_m2m(self) -> None:
        """Nothing is left to write: the admin asks for it after each new row."""


def declare(form: type[ServiceForm], found: Mapping[str, forms.Field]) -> None:
    """Give a form the fields that a domain object names, as if each stood in its body."""
    form.declared_fields.update(found)
    form.base_fields.update(found)


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
    """Prepares the NAV of a dealing day; another person approves it on the desk."""

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


_TERM_LABELS = {
    "management_rate": "Management fee, fraction a year",
    "tiers": "Management fee in tiers",
    "management_floor": "Management fee, least a year",
    "performance_rate": "Performance fee, fraction",
    "hurdle_rate": "Hurdle, fraction a year",
    "crystallisation_months": "Performance fee crystallises at the end of months",
    "gate_share": "Redemption gate, share of NAV",
    "investor_gate_share": "Redemption gate, share of a holding",
    "holdback_share": "Holdback of a full redemption, share",
    "rolls_max": "Unpaid subscriptions roll, times",
}
_TERM_HELP = {
    "tiers": "above=rate, for example 0=0.02 1000000=0.015; empty: the flat rate",
    "crystallisation_months": "1 to 12, with commas",
}


def _term_field(name: str, default: Any) -> forms.Field:
    label = _TERM_LABELS.get(name, name.replace("_", " ").capitalize())
    more: dict[str, Any] = {"label": label, "help_text": _TERM_HELP.get(name, "")}
    if isinstance(default, bool):
        return forms.BooleanField(required=False, initial=default, **more)
    if isinstance(default, Decimal):
        return forms.DecimalField(initial=default, **more)
    if isinstance(default, int):
        return forms.IntegerField(initial=default, **more)
    if isinstance(default, tuple):
        text = ", ".join(str(item) for item in default)
        return forms.CharField(required=name != "tiers", initial=text, **more)
    choices = [(item.value, item.value.replace("_", " ")) for item in type(default)]
    return forms.ChoiceField(choices=choices, initial=default.value, **more)


class TermsForm(ServiceForm):
    """Proposes every term of a class; a second person signs them on the desk."""

    capability = Capability.TERMS_PROPOSE
    share_class = forms.ModelChoiceField(ShareClass.objects.all())
    effective_from = forms.DateField(help_text="From 00:00 UTC of this day.")
    reason = forms.CharField(max_length=300)

    class Meta(ServiceForm.Meta):
        model = TermsProposal

    def perform(self, given: dict[str, Any]) -> TermsProposal:
        row, day, reason = (given.pop(name) for name in ("share_class", "effective_from", "reason"))
        try:
            given["tiers"] = [pair.split("=", 1) for pair in given["tiers"].split()]
            months = given["crystallisation_months"].split(",")
            given["crystallisation_months"] = [int(month) for month in months]
            terms = build_terms(given)
        except ValueError as error:
            raise InvalidInput(f"these terms are not valid: {error}", code="bad_terms") from None
        return propose_terms(
            share_class=row, terms=plain_terms(terms), reason=reason, actor=self.actor,
            effective_from=datetime.combine(day, time(), utc_now().tzinfo),
        )  # fmt: skip


declare(
    TermsForm,
    {field.name: _term_field(field.name, field.default) for field in fields_of(ClassTerms)},
)


class LimitsForm(ServiceForm):
    """Proposes a whole set of limits; a second risk officer signs it on the desk."""

    capability = Capability.LIMITS_PROPOSE
    book = forms.ChoiceField()
    reason = forms.CharField(max_length=300)

    class Meta(ServiceForm.Meta):
        model = LimitProposal

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        books = list(Fund.objects.order_by("code").values_list("book", flat=True))
        field = self.fields["book"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = [(book, book) for book in books]
        if books:
            limits = limits_in_force(books[0])
            for name in FIGURES:
                self.fields[name].initial = getattr(limits, name)

    def perform(self, given: dict[str, Any]) -> LimitProposal:
        book, reason = given.pop("book"), given.pop("reason")
        figures: Mapping[str, Decimal | None] = given
        return propose_limits(
            book=book, reason=reason, actor=self.actor,
            figures={k: None if v is None else f"{v:f}" for k, v in figures.items()},
            effective_from=utc_now() + timedelta(seconds=1),
        )  # fmt: skip


declare(
    LimitsForm,
    {
        rule.name: forms.DecimalField(
            label=rule.words.capitalize(),
            required=rule.default is not None,
            help_text=f"{rule.tighter.name.lower()} is tighter; the ceiling is {rule.ceiling}",
        )
        for rule in FIGURES.values()
    },
)


class BookMemberForm(ServiceForm):
    """A change of what a book trades; the trader follows it at its next beat."""

    capability = Capability.TRADING_STOP
    book = forms.CharField(max_length=20, initial=settings.MAGNET_BOOK)
    strategy = forms.CharField(max_length=40)
    instrument = forms.ModelChoiceField(Instrument.objects.order_by("symbol"))
    state = forms.ChoiceField(
        choices=[c for c in BookMember.State.choices if c[0] != BookMember.State.GONE],
        help_text="Trading takes an operator; anybody on the staff may pause and remove.",
    )
    reason = forms.CharField(max_length=300)

    class Meta(ServiceForm.Meta):
        model = BookMember

    def perform(self, given: dict[str, Any]) -> BookMember:
        found = change_members(
            book=given["book"],
            strategies=[given["strategy"]],
            instruments=[given["instrument"]],
            state=given["state"],
            reason=given["reason"],
            actor=self.actor,
        )
        return BookMember.objects.get(
            book=given["book"],
            version=found.version,
            strategy=given["strategy"],
            instrument=given["instrument"],
        )


#: What the admin creates, by the table that it lands in.
FORMS: dict[str, type[ServiceForm]] = {
    form.Meta.model._meta.label_lower: form
    for form in (
        FundForm,
        ShareClassForm,
        HolidayForm,
        BookMemberForm,
        DealingDaysForm,
        InvestorForm,
        NavForm,
        TermsForm,
        LimitsForm,
    )
}
