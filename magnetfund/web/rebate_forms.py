"""The form that proposes a rebate of fees, for desk and admin."""

from __future__ import annotations

from typing import Any

from django import forms

from investors.models import Rebate, ShareClass
from investors.services.rebates import propose_rebate
from magnetfund.core.roles import Capability
from magnetfund.web.dealing_forms import own_classes
from magnetfund.web.investor_field import InvestorField
from magnetfund.web.service_forms import ServiceForm

#: Shares are typed in per cent.
HUNDRED = 100


class RebateForm(ServiceForm):
    """What the manager gives back to a holder of the fees of one class, from a day on."""

    capability = Capability.TERMS_PROPOSE
    investor = InvestorField(label="Holder")
    share_class = forms.ModelChoiceField(
        ShareClass.objects.all(), label="Class", empty_label="Choose a class"
    )
    management = forms.DecimalField(label="Of the management fee, %", initial=0)
    performance = forms.DecimalField(label="Of the performance fee, %", initial=0)
    first_day = forms.DateField(
        label="From", help_text="After the last NAV. Zero in both ends an agreement from then on."
    )
    reference = forms.CharField(max_length=80, label="Letter", help_text="The one that agrees it.")

    class Meta(ServiceForm.Meta):
        model = Rebate

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["share_class"].queryset = own_classes()  # type: ignore[attr-defined]

    def perform(self, given: dict[str, Any]) -> Rebate:
        return propose_rebate(
            investor=given["investor"],
            share_class=given["share_class"],
            management_share=given["management"] / HUNDRED,
            performance_share=given["performance"] / HUNDRED,
            first_day=given["first_day"],
            reference=given["reference"],
            actor=self.actor,
        )
