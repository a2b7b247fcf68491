"""Forms of what the house proposes for holders, for the admin and the desk."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from decimal import Decimal
from typing import Any, ClassVar, cast

from django import forms
from django.conf import settings

from investors.models import (
    DealingProposal,
    Distribution,
    Fund,
    Restatement,
    ShareClass,
)
from investors.services.dealing_proposals import capability_to_propose, propose_dealing
from investors.services.distributions import propose_distribution
from investors.services.restatements import prepare_restatement
from magnetfund.core.roles import Capability
from magnetfund.kernel.errors import InvalidInput
from magnetfund.web.investor_field import InvestorField
from magnetfund.web.service_forms import ServiceForm

Kind = DealingProposal.Kind


def own_classes() -> Any:
    return ShareClass.objects.filter(fund__book=settings.MAGNET_BOOK).order_by("code")


class DealingProposalForm(ServiceForm):
    """A transfer, a compulsory redemption or an order on instruction; a second person decides."""

    capability = Capability.DEALING_PROCESS
    kind = forms.ChoiceField(choices=Kind.choices)
    investor = InvestorField(label="Holder")
    share_class = forms.ModelChoiceField(ShareClass.objects.all(), label="Class")
    amount = forms.DecimalField(required=False, label="Amount to subscribe")
    units = forms.DecimalField(required=False, help_text="Or everything, below.")
    is_all = forms.BooleanField(required=False, label="All units that are free")
    into_class = forms.ModelChoiceField(
        ShareClass.objects.all(), required=False, label="Switch into class"
    )
    receiver = InvestorField(
        required=False,
        label="Receiver of the units",
        help_text="Account number or name; with approved KYC.",
    )
    instruction = forms.CharField(
        max_length=500, required=False, help_text="What the holder instructed, how and when."
    )
    called_back = forms.CharField(
        max_length=200,
        required=False,
        label="Called back",
        help_text="Where money leaves: whom, on which number on file, and when.",
    )
    reason = forms.CharField(max_length=300, help_text="For the house.")
    notice = forms.CharField(
        max_length=1000,
        required=False,
        label="Notice to the holder",
        help_text="What the holder is told and why.",
    )

    #: What a kind asks beyond who, which class and why.
    ASKED: ClassVar[Mapping[str, Collection[str]]] = {
        Kind.SUBSCRIPTION: ("amount", "instruction"),
        Kind.REDEMPTION: ("units", "is_all", "instruction", "called_back"),
        Kind.SWITCH: ("units", "is_all", "into_class", "instruction"),
        Kind.TRANSFER: ("units", "is_all", "receiver", "instruction"),
        Kind.COMPULSORY: ("units", "is_all", "notice"),
    }

    class Meta(ServiceForm.Meta):
        model = DealingProposal

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        user = self.actor.user
        may_propose = user.can if user is not None else lambda _: False
        self.kinds = [kind for kind in Kind if may_propose(capability_to_propose(kind))]
        offered = cast(forms.ChoiceField, self.fields["kind"])
        offered.choices = [(kind.value, kind.label) for kind in self.kinds]
        for name in ("share_class", "into_class"):
            field: Any = self.fields[name]
            field.queryset = own_classes()
            field.empty_label = "Choose a class"

    @property
    def asked(self) -> list[forms.BoundField]:
        """The fields of the kind that is chosen, and whatever else was sent or refused."""
        always = self.fields.keys() - set().union(*self.ASKED.values())
        chosen = self["kind"].value()
        kind = chosen if chosen in self.kinds else next(iter(self.kinds), "")
        wanted = always.union(self.ASKED.get(kind, ()))
        sent = {name for name in self.fields if self.is_bound and self[name].data}
        return [field for field in self if field.name in wanted | sent | self.errors.keys()]

    def perform(self, given: dict[str, Any]) -> DealingProposal:
        return propose_dealing(**given, actor=self.actor)


class DistributionForm(ServiceForm):
    """A distribution to those who held a class at its newest NAV; a second person declares it."""

    capability = Capability.DEALING_PROCESS
    share_class = forms.ModelChoiceField(ShareClass.objects.all(), label="Class")
    per_unit = forms.DecimalField(
        required=False, label="Amount per unit", help_text="Or one amount in all, below."
    )
    amount = forms.DecimalField(required=False, label="Amount in all")
    is_in_units = forms.BooleanField(
        required=False, label="In new units at the next NAV, not in cash"
    )
    exceptions = forms.CharField(
        max_length=2000,
        required=False,
        label="Holders who get the other form",
        help_text="Their numbers, with commas between.",
    )
    reason = forms.CharField(max_length=300)

    class Meta(ServiceForm.Meta):
        model = Distribution

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field: Any = self.fields["share_class"]
        field.queryset = own_classes()

    def clean_exceptions(self) -> list[str]:
        return [
            name for item in self.cleaned_data["exceptions"].split(",") if (name := item.strip())
        ]

    def perform(self, given: dict[str, Any]) -> Distribution:
        return propose_distribution(**given, actor=self.actor)


class RestatementForm(ServiceForm):
    """A package that puts wrong NAVs right; a controller and a director sign it."""

    capability = Capability.NAV_PREPARE
    first = forms.DateField(label="First wrong NAV")
    last = forms.DateField(
        required=False, label="Last wrong NAV", help_text="Empty: all later ones."
    )
    amount = forms.DecimalField(
        max_digits=20,
        decimal_places=2,
        label="Net assets lacked",
        help_text="Below zero where they held too much, as with an invoice that was missed.",
    )
    material = forms.DecimalField(
        min_value=Decimal("0.001"),
        max_value=100,
        max_digits=6,
        decimal_places=3,
        initial=1,
        label="Material from, % of the right price",
    )
    is_borne_by_manager = forms.BooleanField(
        required=False, label="The manager bears what holders are owed, not the fund"
    )
    cause = forms.CharField(max_length=300, help_text="In a sentence; holders are told.")
    evidence = forms.CharField(
        max_length=500, help_text="Invoice, statement or price source, with its date."
    )

    class Meta(ServiceForm.Meta):
        model = Restatement

    def perform(self, given: dict[str, Any]) -> Restatement:
        fund = Fund.objects.filter(book=settings.MAGNET_BOOK).first()
        if fund is None:
            raise InvalidInput("no fund has been founded", code="no_fund")
        return prepare_restatement(
            fund=fund, material_from=given.pop("material") / 100, **given, actor=self.actor
        )
