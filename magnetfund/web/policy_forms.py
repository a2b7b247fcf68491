"""Forms of the rules that a fund runs by: terms, limits, and what a book trades."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields as fields_of
from datetime import datetime, time, timedelta
from decimal import Decimal
from typing import Any

from django import forms
from django.conf import settings

from investors.domain.fees import ClassTerms
from investors.models import (
    Fund,
    ShareClass,
    TermsProposal,
)
from investors.services.policies import build_terms, plain_terms, propose_terms
from magnetfund.core.roles import Capability
from magnetfund.kernel.clock import utc_now
from magnetfund.kernel.errors import InvalidInput
from magnetfund.web.service_forms import ServiceForm, declare
from risk.domain.limits import FIGURES
from risk.models import LimitProposal
from risk.services.limits import limits_in_force, propose_limits
from trading.models import BookMember, Instrument
from trading.services.membership import change_members

_TERM_LABELS = {
    "management_rate": "Management fee, fraction per year",
    "tiers": "Management fee in tiers",
    "management_floor": "Management fee, minimum per year",
    "performance_rate": "Performance fee, fraction",
    "hurdle_rate": "Hurdle, fraction per year",
    "crystallisation_months": "Performance fee crystallises at the end of months",
    "fee_presentation": "Performance fee is shown to holders by",
    "gate_share": "Redemption gate, share of NAV",
    "investor_gate_share": "Redemption gate, share of a holding",
    "holdback_share": "Holdback of a full redemption, share",
    "rolls_max": "Unpaid subscriptions roll, times",
    "is_open": "Open to new money",
}
_TERM_HELP = {
    "is_open": "Without it nobody buys or switches into the class; holders may leave.",
    "tiers": "above=rate, for example 0=0.02 1000000=0.015; empty: the flat rate",
    "crystallisation_months": "1 to 12, with commas",
    "fee_presentation": "On statements and in the portal; no value differs.",
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
    book = forms.ChoiceField(initial=settings.MAGNET_BOOK)
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
            initial=rule.default,
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
