"""KYC in the admin: each new row is one step of a file, by the service that the desk uses."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.db import models

from investors.domain.onboarding import FACTORS, ITEMS, POINTS_MAX, KycState
from investors.models import KycCase, KycCheck, KycMove, Screening
from investors.services.kyc import MESSAGE_MAX, REASON_MAX, move_case, sign_review
from investors.services.kyc_file import show_file
from investors.services.kyc_work import EVIDENCE_MAX, note_check, rate_case, record_screening
from magnetfund.core.roles import Capability
from magnetfund.web.administration.forms import FORMS, ServiceForm, declare
from magnetfund.web.investor_field import InvestorField

#: Tables that only people who may see files see here too.
KYC_TABLES = frozenset(
    f"investors.{name}"
    for name in (
        "kyccase", "kyccheck", "kycmove", "screening", "application", "document", "signature",
    )
)  # fmt: skip
SIGN_REVIEW = "sign_review"
#: Signs of the hash that a signer types: those that the case page shows.
HASH_SIGNS = 8
_SIGNED = {SIGN_REVIEW, KycState.APPROVED.value, KycState.SENIOR_APPROVAL.value}


class KycCheckForm(ServiceForm):
    """Note an item of the checklist."""

    capability = Capability.KYC_REVIEW
    investor = InvestorField()
    item = forms.ChoiceField(choices=[(item.value, words) for item, words in ITEMS.items()])
    outcome = forms.ChoiceField(choices=KycCheck.Outcome.choices)
    evidence = forms.CharField(max_length=EVIDENCE_MAX, help_text="What was seen.")

    class Meta(ServiceForm.Meta):
        model = KycCheck

    def perform(self, given: dict[str, Any]) -> models.Model:
        return note_check(actor=self.actor, **given)


class RatingForm(ServiceForm):
    """Rate the risk of a file."""

    capability = Capability.KYC_REVIEW
    investor = InvestorField()
    is_politically_exposed = forms.BooleanField(required=False)
    reason = forms.CharField(max_length=REASON_MAX, help_text="What the rating rests on.")

    class Meta(ServiceForm.Meta):
        model = KycCase

    def perform(self, given: dict[str, Any]) -> models.Model:
        points = {name: given.pop(name) for name in FACTORS}
        return rate_case(actor=self.actor, points=points, **given)


declare(
    RatingForm,
    {
        name: forms.IntegerField(
            label=f"Points, {name}", min_value=1, max_value=POINTS_MAX, initial=1
        )
        for name in FACTORS
    },
)


class ScreeningForm(ServiceForm):
    """Record what an outside service answered."""

    capability = Capability.KYC_REVIEW
    investor = InvestorField()
    party = forms.CharField(max_length=200, help_text="The name that was screened.")
    kind = forms.ChoiceField(choices=Screening.Kind.choices)
    list_name = forms.CharField(max_length=60)
    list_version = forms.CharField(max_length=80)
    match = forms.CharField(max_length=300, required=False, help_text="Empty for none.")

    class Meta(ServiceForm.Meta):
        model = Screening

    def perform(self, given: dict[str, Any]) -> models.Model:
        return record_screening(actor=self.actor, **given)


class KycMoveForm(ServiceForm):
    """Move a file, or sign it: a signature names the content that was read."""

    asks_for_factor = True
    capability = Capability.KYC_VIEW
    investor = InvestorField()
    to = forms.ChoiceField(
        label="Step",
        choices=[
            (SIGN_REVIEW, "Sign the review"),
            *((state.value, state.value.replace("_", " ").capitalize()) for state in KycState),
        ],
    )
    reason = forms.CharField(
        max_length=REASON_MAX, required=False, help_text="Never shown to the investor."
    )
    message = forms.CharField(
        max_length=MESSAGE_MAX, required=False, help_text="Mailed where more is asked for."
    )
    content_hash = forms.CharField(
        label="Hash of the file",
        max_length=64,
        required=False,
        help_text="For a signature: the eight signs beside Decision on the page of the case.",
    )

    class Meta(ServiceForm.Meta):
        model = KycMove

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        seen = str(given.get("content_hash", "")).strip()
        if given.get("to") in _SIGNED and len(seen) < HASH_SIGNS:
            raise ValidationError("A signature names the hash of the file that was read.")
        return given

    def perform(self, given: dict[str, Any]) -> models.Model:
        investor, to = given["investor"], given["to"]
        found = show_file(investor, actor=self.actor).content_hash
        typed = given["content_hash"].strip()
        # What was typed is the beginning of the hash that the signer saw, or of none.
        seen = found if typed and found.startswith(typed) else typed
        if to == SIGN_REVIEW:
            sign_review(investor=investor, seen_hash=seen, reason=given["reason"], actor=self.actor)
        else:
            move_case(
                investor=investor,
                to=KycState(to),
                reason=given["reason"],
                message=given["message"],
                seen_hash=seen,
                actor=self.actor,
            )
        newest = KycMove.objects.filter(investor=investor).order_by("-id").first()
        assert newest is not None
        return newest


FORMS.update(
    {
        form.Meta.model._meta.label_lower: form
        for form in (KycCheckForm, RatingForm, ScreeningForm, KycMoveForm)
    }
)
