"""The form that enters a rate of a stablecoin, for desk and admin."""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings

from investors.models import Fund, RateProposal
from investors.services.coin_rates import propose_rates
from magnetfund.core.roles import Capability
from magnetfund.kernel.errors import NotFound
from magnetfund.kernel.money import CARRIED
from magnetfund.web.service_forms import ServiceForm


class RateForm(ServiceForm):
    """What a market showed one coin to be worth in the fund's currency, and when."""

    capability = Capability.NAV_PREPARE
    coin = forms.ChoiceField(choices=[(name, name) for name in CARRIED])
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
        fund = Fund.objects.filter(book=settings.MAGNET_BOOK).first()
        if fund is None:
            raise NotFound("no fund has been founded", code="no_fund")
        return propose_rates(
            fund=fund,
            coin=given["coin"],
            source=given["source"],
            lines=[(given["observed_at"], given["rate"])],
            actor=self.actor,
        )
