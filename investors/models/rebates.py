"""What the manager gives back of its fees to one holder, agreed by two people."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from investors.models.expenses import STANDS, TwoPersonProposal, checks_of_two
from magnetfund.core.fields import ExactField


class Rebate(TwoPersonProposal):
    """An agreement with one investor about the fees of one class, from a day on.

    What was proposed never changes: the agreement that began last counts, and one of no share ends
    the one before it.
    """

    investor = models.ForeignKey(
        "investors.Investor", on_delete=models.PROTECT, related_name="rebates"
    )
    share_class = models.ForeignKey(
        "investors.ShareClass", on_delete=models.PROTECT, related_name="rebates"
    )
    management_share = ExactField(help_text="Of the management fee, as a fraction.")
    performance_share = ExactField(help_text="Of the performance fee, as a fraction.")
    first_day = models.DateField()
    reference = models.CharField(max_length=80, help_text="Of the letter that agrees it.")

    class Meta(TwoPersonProposal.Meta):
        constraints = [
            models.UniqueConstraint(
                fields=["investor", "share_class", "first_day"],
                condition=STANDS,
                name="investors_rebate_once",
            ),
            models.CheckConstraint(
                condition=Q(
                    management_share__gte=0, management_share__lte=1,
                    performance_share__gte=0, performance_share__lte=1,
                ),
                name="investors_rebate_shares",
            ),
            *checks_of_two("investors_rebate"),
        ]  # fmt: skip

    def __str__(self) -> str:
        return f"{self.investor.legal_name}, class {self.share_class.code}, {self.reference}"
