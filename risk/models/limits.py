"""Limits and proposals of them; both append-only."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from magnetfund.kernel.clock import utc_now


class LimitSet(models.Model):
    """One version of the limits: proposed by one person, approved by another, never edited.

    The figures are those of ``risk.domain.limits.Limits``; ceilings stand in code.
    """

    book = models.CharField(max_length=20, default="main")
    version = models.PositiveIntegerField()
    figures = models.JSONField()
    content_hash = models.CharField(max_length=64)
    reason = models.CharField(max_length=500)
    effective_from = models.DateTimeField()
    proposed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )
    approved_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )
    recorded_at = models.DateTimeField(default=utc_now)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["book", "version"], name="risk_limitset_version"),
            models.CheckConstraint(
                condition=~Q(proposed_by=F("approved_by")), name="risk_limitset_four_eyes"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.book} limits v{self.version}"


class LimitProposal(models.Model):
    """A proposed limit set awaiting approval by a second person."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    book = models.CharField(max_length=20, default="main")
    figures = models.JSONField()
    content_hash = models.CharField(max_length=64)
    reason = models.CharField(max_length=500)
    effective_from = models.DateTimeField()
    proposed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )
    proposed_at = models.DateTimeField(default=utc_now)
    limit_set = models.OneToOneField(
        LimitSet, on_delete=models.PROTECT, null=True, blank=True, related_name="proposal"
    )
    withdrawn_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"proposal {self.id}"
