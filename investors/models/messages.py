"""Messages to investors, and proposals to suspend a fund's dealing."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from magnetfund.kernel.clock import utc_now


class Message(models.Model):
    """A message in an investor's portal; ``key`` names the event that it tells of."""

    investor = models.ForeignKey(
        "investors.Investor", on_delete=models.PROTECT, related_name="messages"
    )
    key = models.CharField(max_length=160, unique=True)
    subject = models.CharField(max_length=160)
    body = models.TextField()
    sent_at = models.DateTimeField(default=utc_now)
    read_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["investor", "-id"], name="investors_message_newest")]

    def __str__(self) -> str:
        return self.subject


class SuspensionProposal(models.Model):
    """Dealing that is to be suspended, or opened again; a second person decides."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    fund = models.ForeignKey("investors.Fund", on_delete=models.PROTECT, related_name="suspensions")
    suspends = models.BooleanField()
    reason = models.CharField(max_length=300)
    notice = models.CharField(max_length=1000)
    from_last_nav = models.BooleanField(
        default=False,
        help_text="An opening passes over every dealing day since the last NAV, also one that came "
        "before the suspension and could not be priced.",
    )
    proposed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )
    proposed_at = models.DateTimeField(default=utc_now)
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True, blank=True
    )
    decided_at = models.DateTimeField(null=True, blank=True)
    is_approved = models.BooleanField(null=True, blank=True)

    class Meta:
        ordering = ["-proposed_at"]
        constraints = [
            models.CheckConstraint(
                condition=Q(decided_by=None) | ~Q(decided_by=F("proposed_by")),
                name="investors_suspension_four_eyes",
            ),
            models.UniqueConstraint(
                fields=["fund"], condition=Q(decided_at=None), name="investors_suspension_one_open"
            ),
        ]

    def __str__(self) -> str:
        return "suspension" if self.suspends else "lifting"
