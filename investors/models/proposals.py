"""What the house deals for a holder or against his will: proposed by one, decided by another."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from magnetfund.core.fields import ExactField, positive
from magnetfund.kernel.clock import utc_now


class DealingProposal(models.Model):
    """A transfer, a compulsory redemption, or an order on a holder's instruction.

    What is proposed never changes; a second person approves or declines it as it is.
    """

    class Kind(models.TextChoices):
        SUBSCRIPTION = "subscription", "Subscription on instruction"
        REDEMPTION = "redemption", "Redemption on instruction"
        SWITCH = "switch", "Switch on instruction"
        TRANSFER = "transfer", "Transfer to another holder"
        COMPULSORY = "compulsory", "Compulsory redemption"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    kind = models.CharField(max_length=12, choices=Kind.choices)
    investor = models.ForeignKey(
        "investors.Investor", on_delete=models.PROTECT, related_name="dealing_proposals"
    )
    share_class = models.ForeignKey("investors.ShareClass", on_delete=models.PROTECT)
    into_class = models.ForeignKey(
        "investors.ShareClass", on_delete=models.PROTECT, related_name="+", null=True, blank=True
    )
    receiver = models.ForeignKey(
        "investors.Investor", on_delete=models.PROTECT, related_name="+", null=True, blank=True
    )
    amount = ExactField(null=True, blank=True)
    units = ExactField(null=True, blank=True)
    is_all = models.BooleanField(default=False)
    instruction = models.CharField(
        max_length=500, blank=True, help_text="What the holder instructed, how and when."
    )
    called_back = models.CharField(
        max_length=200, blank=True, help_text="Who was called back, on which number, when."
    )
    reason = models.CharField(max_length=300)
    notice = models.CharField(max_length=1000, blank=True, help_text="What the holder is told.")
    proposed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )
    proposed_at = models.DateTimeField(default=utc_now)
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True, blank=True
    )
    decided_at = models.DateTimeField(null=True, blank=True)
    is_approved = models.BooleanField(null=True, blank=True)
    order = models.OneToOneField(
        "investors.DealingOrder", on_delete=models.PROTECT, null=True, blank=True
    )
    value = ExactField(
        null=True, blank=True, help_text="Of transferred units, at the last NAV after every fee."
    )

    class Meta:
        ordering = ["-proposed_at"]
        constraints = [
            *positive("investors_dealingproposal", "amount", "units"),
            models.CheckConstraint(
                condition=Q(decided_by=None) | ~Q(decided_by=F("proposed_by")),
                name="investors_dealingproposal_four_eyes",
            ),
            models.CheckConstraint(
                condition=Q(kind="subscription", amount__isnull=False, units=None, is_all=False)
                | ~Q(kind="subscription") & Q(amount=None, units__isnull=False, is_all=False)
                | ~Q(kind="subscription") & Q(amount=None, units=None, is_all=True),
                name="investors_dealingproposal_measured",
            ),
            models.CheckConstraint(
                condition=Q(kind="transfer", receiver__isnull=False) & ~Q(receiver=F("investor"))
                | ~Q(kind="transfer") & Q(receiver=None),
                name="investors_dealingproposal_receiver",
            ),
        ]

    @property
    def reference(self) -> str:
        return f"P-{self.pk.hex[:8].upper()}"

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.reference}"


class Distribution(models.Model):
    """Money of a class paid out to those who held it at a dealt NAV, in cash or in new units.

    Proposed by one person and decided by another.  ``exceptions`` are numbers of holders who get
    the other form.  ``total`` and ``lowers_marks_by`` are what was decided.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    share_class = models.ForeignKey(
        "investors.ShareClass", on_delete=models.PROTECT, related_name="distributions"
    )
    strike = models.ForeignKey(
        "investors.NavStrike",
        on_delete=models.PROTECT,
        related_name="distributions",
        help_text="The NAV of the record date: who held units after its dealing is paid.",
    )
    per_unit = ExactField(null=True, blank=True)
    amount = ExactField(null=True, blank=True, help_text="In all, in the fund's currency.")
    is_in_units = models.BooleanField(default=False)
    exceptions = models.JSONField(
        default=list, blank=True, help_text="Numbers of holders who get the other form."
    )
    reason = models.CharField(max_length=300)
    proposed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )
    proposed_at = models.DateTimeField(default=utc_now)
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True, blank=True
    )
    decided_at = models.DateTimeField(null=True, blank=True)
    is_approved = models.BooleanField(null=True, blank=True)
    total = ExactField(null=True, blank=True)
    lowers_marks_by = ExactField(null=True, blank=True)

    class Meta:
        ordering = ["-proposed_at"]
        constraints = [
            *positive("investors_distribution", "per_unit", "amount", "total", "lowers_marks_by"),
            models.CheckConstraint(
                condition=Q(per_unit__isnull=False, amount=None)
                | Q(per_unit=None, amount__isnull=False),
                name="investors_distribution_measured",
            ),
            models.CheckConstraint(
                condition=Q(decided_by=None) | ~Q(decided_by=F("proposed_by")),
                name="investors_distribution_four_eyes",
            ),
            models.CheckConstraint(
                condition=~Q(is_approved=True)
                | Q(total__isnull=False, lowers_marks_by__isnull=False),
                name="investors_distribution_decided",
            ),
        ]

    @property
    def reference(self) -> str:
        return f"D-{self.pk.hex[:8].upper()}"

    def __str__(self) -> str:
        return f"Distribution {self.reference}"
