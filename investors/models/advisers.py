"""Who may read a holder's portal beside himself: what, from when, until when."""

from __future__ import annotations

import uuid
from datetime import date

from django.conf import settings
from django.db import models
from django.db.models import Q

from magnetfund.kernel.clock import utc_now


class AdviserAccess(models.Model):
    """A holder's leave for one adviser to read; it is signed first and accepted by a link.

    What was asked never changes: another scope or a later day is an access of its own.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    investor = models.ForeignKey(
        "investors.Investor", on_delete=models.PROTECT, related_name="advisers"
    )
    name = models.CharField(max_length=200)
    email = models.EmailField(max_length=254)
    sees_holdings = models.BooleanField(default=True, verbose_name="holdings and NAV")
    sees_papers = models.BooleanField(default=False, verbose_name="statements and papers")
    until = models.DateField(help_text="The last day.")
    invited_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )
    invited_at = models.DateTimeField(default=utc_now)
    granted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True, blank=True
    )
    granted_at = models.DateTimeField(null=True, blank=True)
    confirmed_how = models.CharField(
        max_length=300,
        blank=True,
        help_text="How compliance reached the holder, where he did not sign himself.",
    )
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        related_name="adviser_accesses",
        null=True,
        blank=True,
    )
    accepted_at = models.DateTimeField(null=True, blank=True)
    seen_at = models.DateTimeField(null=True, blank=True, help_text="When he last looked.")
    ended_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True, blank=True
    )
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name_plural = "adviser accesses"
        ordering = ["-invited_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["investor", "email"],
                condition=Q(ended_at=None),
                name="investors_adviseraccess_once",
            ),
            models.CheckConstraint(
                condition=Q(sees_holdings=True) | Q(sees_papers=True),
                name="investors_adviseraccess_something",
            ),
            models.CheckConstraint(
                condition=Q(granted_by=None, granted_at=None)
                | Q(granted_by__isnull=False, granted_at__isnull=False),
                name="investors_adviseraccess_granted",
            ),
            models.CheckConstraint(
                condition=Q(user=None, accepted_at=None)
                | Q(user__isnull=False, accepted_at__isnull=False, granted_at__isnull=False),
                name="investors_adviseraccess_accepted",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} for {self.investor_id}"

    def stands_on(self, day: date) -> bool:
        """Whether it was neither ended nor ran out by a day (UTC)."""
        return self.ended_at is None and day <= self.until

    @property
    def state(self) -> str:
        """unsigned, invited, active, lapsed or ended, as of now."""
        if self.ended_at is not None:
            return "ended"
        if not self.stands_on(utc_now().date()):
            return "lapsed"
        if self.granted_at is None:
            return "unsigned"
        return "invited" if self.user_id is None else "active"

    @property
    def is_open(self) -> bool:
        """Whether there is something to end."""
        return self.state in ("unsigned", "invited", "active")

    @property
    def scope(self) -> str:
        """What it shows, in words."""
        parts = (
            (self.sees_holdings, "holdings and NAV"),
            (self.sees_papers, "statements and papers"),
        )
        return ", ".join(words for is_shown, words in parts if is_shown)
