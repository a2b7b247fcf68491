"""Stresses that people saved."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from magnetfund.kernel.clock import utc_now


class SavedStress(models.Model):
    """A stress under a title; ``definition`` holds the fields of a ``StressScenario``.

    Each change has an audit line with the definition before and after it.
    """

    book = models.CharField(max_length=20, default="main")
    title = models.CharField(max_length=80)
    definition = models.JSONField()
    actor_label = models.CharField(max_length=120)
    created_at = models.DateTimeField(default=utc_now)
    updated_at = models.DateTimeField(default=utc_now)
    retired_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["title", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["book", "title"],
                condition=Q(retired_at=None),
                name="trading_savedstress_title",
            )
        ]
        verbose_name_plural = "saved stresses"

    def __str__(self) -> str:
        return self.title
