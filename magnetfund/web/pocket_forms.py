"""The forms that propose a side pocket and what becomes of it, for desk and admin."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django import forms
from django.conf import settings

from investors.models import Fund, PocketChange, SidePocket, StatementLine
from investors.models.pockets import SOURCE_ACCOUNTS
from investors.services.pocket_changes import SOURCE_MAX, propose_change, propose_merge
from investors.services.pockets import WORDS_MAX, propose_pocket
from magnetfund.core.actors import Actor
from magnetfund.core.roles import Capability
from magnetfund.kernel.errors import InvalidInput, NotFound
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
        max_length=WORDS_MAX["notice"],
        label="Notice to holders",
        widget=forms.Textarea(attrs={"rows": 4}),
    )

    class Meta(ServiceForm.Meta):
        model = SidePocket

    def perform(self, given: dict[str, Any]) -> SidePocket:
        fund = Fund.objects.filter(book=settings.MAGNET_BOOK).first()
        if fund is None:
            raise NotFound("no fund is founded yet")
        words = {name: given[name] for name in ("asset", "account", "value", "cause", "notice")}
        return propose_pocket(fund=fund, actor=self.actor, **words)


def standing_pockets() -> Any:
    return (
        SidePocket.objects.filter(fund__book=settings.MAGNET_BOOK)
        .exclude(strike=None)
        .order_by("number")
    )


class PocketChangeForm(ServiceForm):
    """What a claim is carried at from the next NAV on, cash that came in for it, or its way back
    into main units."""

    capability = Capability.DEALING_PROCESS
    pocket = forms.ModelChoiceField(SidePocket.objects.all(), empty_label="Choose a pocket")
    value = forms.DecimalField(
        label="Carried at afterwards", required=False, help_text="Zero closes the pocket."
    )
    cash = forms.DecimalField(
        label="Cash that came in", required=False, help_text="Paid to who holds its units."
    )
    receipt = forms.CharField(
        max_length=100,
        required=False,
        label="Receipt",
        help_text="Reference of the bank's line; without one the venue paid it.",
    )
    merge_into = forms.ChoiceField(
        choices=[
            ("", "Stays apart"),
            *((code, f"{name} ({code})") for code, name in SOURCE_ACCOUNTS),
        ],
        required=False,
        label="Merge back into",
        help_text="All of it becomes main units at the next NAV, at what it is carried at; "
        "leave value and cash empty.",
    )
    source = forms.CharField(
        max_length=SOURCE_MAX, label="What it rests on", help_text="A letter, a price, a notice."
    )

    class Meta(ServiceForm.Meta):
        model = PocketChange

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["pocket"].queryset = standing_pockets()  # type: ignore[attr-defined]

    def perform(self, given: dict[str, Any]) -> PocketChange:
        return propose(
            given["pocket"],
            value=given["value"],
            cash=given["cash"],
            receipt=given["receipt"],
            merge_into=given["merge_into"],
            source=given["source"],
            actor=self.actor,
        )


def propose(
    pocket: SidePocket,
    *,
    value: Decimal | None,
    cash: Decimal | None,
    receipt: str,
    merge_into: str,
    source: str,
    actor: Actor,
) -> PocketChange:
    """The change that a form or a request asks for.

    Raises :class:`InvalidInput`: ``value_missing``, ``merge_alone`` (a merge with a value, cash or
    a receipt of its own), ``unknown_line``, and what the services raise.
    """
    if merge_into:
        if value or cash or receipt.strip():
            raise InvalidInput(
                "a merge takes what the pocket is carried at: book a value or cash before it",
                code="merge_alone",
            )
        return propose_merge(pocket=pocket, account=merge_into, source=source, actor=actor)
    if value is None:
        raise InvalidInput("say what the claim is carried at afterwards", code="value_missing")
    return propose_change(
        pocket=pocket,
        value=value,
        cash=cash or Decimal(0),
        line=find_receipt(pocket, receipt),
        source=source,
        actor=actor,
    )


def find_receipt(pocket: SidePocket, reference: str) -> StatementLine | None:
    """The receipt of a reference, ``None`` for none; raises ``InvalidInput`` (``unknown_line``)."""
    if not reference.strip():
        return None
    found = StatementLine.objects.filter(
        fund=pocket.fund_id, reference=reference.strip(), amount__gt=0
    ).first()
    if found is None:
        raise InvalidInput("no receipt has this reference", code="unknown_line")
    return found
