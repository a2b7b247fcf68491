"""The forms that enter a rate of a stablecoin and propose a term of par, for desk and admin."""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings

from investors.models import Fund, ParTerm, RateProposal
from investors.services.coin_rates import propose_rates
from investors.services.par_terms import propose_par
from magnetfund.core.roles import Capability
from magnetfund.kernel.errors import NotFound
from magnetfund.kernel.money import CARRIED
from magnetfund.web.service_forms import ServiceForm


def _own_fund() -> Fund:
    fund = Fund.objects.filter(book=settings.MAGNET_BOOK).first()
    if fund is None:
        raise NotFound("no fund has been founded", code="no_fund")
    return fund


def _coins() -> list[tuple[str, str]]:
    """What the own fund may hold beside its currency."""
    fund = Fund.objects.filter(book=settings.MAGNET_BOOK).first()
    own = "" if fund is None else fund.currency
    return [(name, name) for name in CARRIED if name != own]


class RateForm(ServiceForm):
    """What a market showed one coin to be worth in the fund's currency, and when."""

    capability = Capability.NAV_PREPARE
    coin = forms.ChoiceField(choices=_coins)
    rate = forms.DecimalField(help_text="What one coin was worth in the fund's currency.")
    observed_at = forms.DateTimeField(
        label="At, UTC",
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
        help_text="A NAV takes the newest rate of the six hours before its valuation.",
    )
    source = forms.CharField(max_length=80, help_text="The market or page that showed it.")

    class Meta(ServiceForm.Meta):
        model = RateProposal

    def perform(self, given: dict[str, Any]) -> RateProposal:
        return propose_rates(
            fund=_own_fund(),
            coin=given["coin"],
            source=given["source"],
            lines=[(given["observed_at"], given["rate"])],
            actor=self.actor,
        )


class ParForm(ServiceForm):
    """Whether NAVs from a day on carry a stablecoin at par."""

    capability = Capability.TERMS_PROPOSE
    coin = forms.ChoiceField(choices=_coins)
    is_at_par = forms.TypedChoiceField(
        label="From then on",
        choices=[("yes", "At par, void beyond 0.5 %"), ("no", "By its rate")],
        coerce=lambda value: value == "yes",
    )
    first_day = forms.DateField(label="From the NAV of", help_text="After the last NAV.")
    reference = forms.CharField(max_length=80, label="Resolved", help_text="The document.")

    class Meta(ServiceForm.Meta):
        model = ParTerm

    def perform(self, given: dict[str, Any]) -> ParTerm:
        return propose_par(fund=_own_fund(), **given, actor=self.actor)
