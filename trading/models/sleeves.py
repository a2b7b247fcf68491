"""A change of the sleeves of a book, proposed by one person and decided by another."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from magnetfund.core.fields import ExactField
from magnetfund.kernel.clock import utc_now


class SleeveProposal(models.Model):
    """A sleeve to add or to retire; ``content_hash`` is of what the second person is shown."""

    class Action(models.TextChoices):
        ADD = "add"
        RETIRE = "retire"

    class Decision(models.TextChoices):
        APPROVED = "approved"
        RETURNED = "returned"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    book = models.CharField(max_length=20, default="main")
    action = models.CharField(max_length=6, choices=Action.choices)
    code = models.CharField(max_length=40)
    name = models.CharField(max_length=120, blank=True)
    parameters = models.JSONField(default=dict)
    risk_fraction = ExactField()
    expectation = models.TextField(blank=True)
    reason = models.CharField(max_length=300)
    content_hash = models.CharField(max_length=64)
    proposed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )
    proposed_at = models.DateTimeField(default=utc_now)
    decision = models.CharField(max_length=8, choices=Decision.choices, blank=True)
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True, blank=True
    )
    decided_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(decision="", decided_by=None, decided_at=None)
                | (~Q(decision="") & Q(decided_by__isnull=False, decided_at__isnull=False)),
                name="trading_sleeveproposal_decided",
            ),
            models.CheckConstraint(
                condition=~Q(decision="approved") | ~Q(decided_by=F("proposed_by")),
                name="trading_sleeveproposal_two_people",
            ),
            models.UniqueConstraint(
                fields=["book", "code"],
                condition=Q(decision=""),
                name="trading_sleeveproposal_one_open",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.action} {self.code}"
