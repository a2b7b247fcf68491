"""The form that proposes a side pocket, for desk and admin."""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings

from investors.models import Fund, SidePocket
from investors.models.pockets import SOURCE_ACCOUNTS
from investors.services.pockets import WORDS_MAX, propose_pocket
from magnetfund.core.roles import Capability
from magnetfund.kernel.errors import NotFound
from magnetfund.web.service_forms import ServiceForm


class PocketForm(ServiceForm):
    """A claim that the next NAV sets apart for those who hold units then."""

    capability = Capability.DEALING_PROCESS
    asset = forms.CharField(
        max_length=WORDS_MAX["asset"], label="Claim", help_text="What is claimed, and from whom."
    )
    account = forms.ChoiceField(
        choices=[(code, f"{name} ({code})") for code, name in SOURCE_ACCOUNTS],
        label="Taken out of",
    )
    value = forms.DecimalField(
        label="Carrying value", help_text="In the fund's currency, after any write-down."
    )
    cause = forms.CharField(max_length=WORDS_MAX["cause"], label="Why it is set apart")
    notice = forms.CharField(
        max_length=WORDS_MAX["notice"], label="Notice to holders", widget=forms.Textarea
    )

    class Meta(ServiceForm.Meta):
        model = SidePocket

    def perform(self, given: dict[str, Any]) -> SidePocket:
        fund = Fund.objects.filter(book=settings.MAGNET_BOOK).first()
        if fund is None:
            raise NotFound("no fund is founded yet")
        words = {name: given[name] for name in ("asset", "account", "value", "cause", "notice")}
        return propose_pocket(fund=fund, actor=self.actor, **words)
