"""Powers of attorney: who acts for a holder, by which deed, for what, and from when until when."""

from __future__ import annotations

from datetime import date

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from investors.domain.onboarding import KycState
from investors.models.expenses import STANDS, TwoPersonProposal, checks_of_two
from magnetfund.kernel.clock import utc_now


class PowerOfAttorney(TwoPersonProposal):
    """A holder's attorney, who has a compliance file of his own as any investor has.

    What was proposed never changes: another scope or a later day is a power of its own.
    """

    investor = models.ForeignKey(
        "investors.Investor", on_delete=models.PROTECT, related_name="powers"
    )
    attorney = models.ForeignKey(
        "investors.Investor", on_delete=models.PROTECT, related_name="powers_held"
    )
    may_subscribe = models.BooleanField(default=False)
    may_redeem = models.BooleanField(default=False, verbose_name="may redeem and switch")
    may_change_account = models.BooleanField(
        default=False, verbose_name="may ask for other bank details"
    )
    first_day = models.DateField()
    last_day = models.DateField()
    deed_name = models.CharField(max_length=120)
    deed_type = models.CharField(max_length=20)
    deed_size = models.PositiveIntegerField()
    deed_digest = models.CharField(max_length=64)
    sealed_content = models.BinaryField(editable=False)
    ended_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True, blank=True
    )
    ended_at = models.DateTimeField(null=True, blank=True)
    end_reason = models.CharField(max_length=300, blank=True)

    class Meta(TwoPersonProposal.Meta):
        verbose_name_plural = "powers of attorney"
        constraints = [
            models.UniqueConstraint(
                fields=["investor", "attorney"],
                condition=STANDS & Q(ended_at=None),
                name="investors_powerofattorney_once",
            ),
            models.CheckConstraint(
                condition=~Q(investor=F("attorney")) & Q(last_day__gte=F("first_day")),
                name="investors_powerofattorney_other",
            ),
            *checks_of_two("investors_powerofattorney"),
        ]

    def __str__(self) -> str:
        return self.acts_as

    @property
    def acts_as(self) -> str:
        """How his orders name him."""
        return f"{self.attorney.legal_name} as attorney of {self.investor.legal_name}"

    @property
    def scope(self) -> str:
        """What he may do, in words."""
        parts = (
            (self.may_subscribe, "subscribe"),
            (self.may_redeem, "redeem and switch"),
            (self.may_change_account, "ask for other bank details"),
        )
        return ", ".join(["read", *(words for may, words in parts if may)])

    def counts_on(self, day: date) -> bool:
        """Whether it is approved, not ended and within its days (UTC)."""
        return (
            bool(self.is_approved)
            and self.ended_at is None
            and self.first_day <= day <= self.last_day
        )

    @property
    def state(self) -> str:
        """proposed, declined, ahead, active, resting, lapsed or ended, as of now; it rests while
        the attorney's own file is not approved."""
        today = utc_now().date()
        if self.is_approved is None:
            return "proposed"
        if not self.is_approved:
            return "declined"
        if self.ended_at is not None:
            return "ended"
        if today > self.last_day:
            return "lapsed"
        if today < self.first_day:
            return "ahead"
        return "active" if self.attorney.kyc_state == KycState.APPROVED else "resting"

    @property
    def is_open(self) -> bool:
        """Whether there is something to revoke."""
        return self.state in ("ahead", "active", "resting")
