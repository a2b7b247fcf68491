"""The fund, its share classes, and the versioned policy of each class."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from magnetfund.core.fields import ExactField, positive
from magnetfund.kernel.clock import utc_now


class Fund(models.Model):
    code = models.CharField(max_length=20, unique=True)
    name = models.CharField(max_length=120)
    currency = models.CharField(max_length=8, default="USD")
    book = models.CharField(max_length=20, default="main", unique=True)
    inception = models.DateTimeField()
    is_simulated = models.BooleanField(default=False)
    is_suspended = models.BooleanField(default=False)

    def __str__(self) -> str:
        return self.name


class ShareClass(models.Model):
    fund = models.ForeignKey(Fund, on_delete=models.PROTECT, related_name="classes")
    code = models.CharField(max_length=10)
    name = models.CharField(max_length=120)
    tier = models.CharField(max_length=40, blank=True)
    launch_price = ExactField()
    minimum_subscription = ExactField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["fund", "code"], name="investors_shareclass_code"),
            *positive("investors_shareclass", "launch_price"),
        ]

    def __str__(self) -> str:
        return f"class {self.code}"


class ClassPolicyVersion(models.Model):
    """Fee, rounding and liquidity terms of a class (the domain's ClassPolicy), append-only."""

    share_class = models.ForeignKey(ShareClass, on_delete=models.PROTECT, related_name="policies")
    version = models.PositiveIntegerField()
    terms = models.JSONField()
    content_hash = models.CharField(max_length=64)
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
            models.UniqueConstraint(
                fields=["share_class", "version"], name="investors_policy_version"
            ),
            models.CheckConstraint(
                condition=~Q(proposed_by=F("approved_by")), name="investors_policy_four_eyes"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.share_class} policy v{self.version}"
