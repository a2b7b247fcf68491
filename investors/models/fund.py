"""The fund, its holidays, its share classes, and the versioned policy of each class."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from magnetfund.core.fields import ExactField, not_negative, positive
from magnetfund.kernel.clock import utc_now


class Fund(models.Model):
    code = models.CharField(max_length=20, unique=True)
    name = models.CharField(max_length=120)
    currency = models.CharField(max_length=8, default="USD")
    book = models.CharField(max_length=20, default="main", unique=True)
    zone = models.CharField(
        max_length=40,
        default="UTC",
        help_text="IANA time zone of cut-offs and deadlines; NAVs are valued at 00:00 UTC.",
    )
    inception = models.DateTimeField()
    is_simulated = models.BooleanField(default=False)
    is_suspended = models.BooleanField(default=False)
    payment_band = ExactField(default=25000, help_text="Above it a director signs a payment too.")
    cooling_off_days = models.PositiveSmallIntegerField(
        default=3, help_text="Days from the approval of changed bank details to their first use."
    )

    class Meta:
        constraints = not_negative("investors_fund", "payment_band")

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
        verbose_name_plural = "share classes"
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
    recorded_at = models.DateTimeField(db_default=Now(), editable=False)

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


class TermsProposal(models.Model):
    """Terms of a class that wait for the second signature, or what became of them."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    share_class = models.ForeignKey(ShareClass, on_delete=models.PROTECT, related_name="proposals")
    terms = models.JSONField()
    content_hash = models.CharField(max_length=64)
    reason = models.CharField(max_length=300)
    effective_from = models.DateTimeField()
    proposed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )
    proposed_at = models.DateTimeField(default=utc_now)
    policy = models.OneToOneField(
        ClassPolicyVersion,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="proposal",
    )
    withdrawn_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["share_class"],
                condition=Q(policy=None, withdrawn_at=None),
                name="investors_termsproposal_one_open",
            ),
        ]

    def __str__(self) -> str:
        return f"proposed terms of {self.share_class}"


class FundHoliday(models.Model):
    """A day on which the fund does no business; notice periods do not count it."""

    fund = models.ForeignKey(Fund, on_delete=models.PROTECT, related_name="holidays")
    day = models.DateField()
    name = models.CharField(max_length=80)

    class Meta:
        ordering = ["day"]
        constraints = [
            models.UniqueConstraint(fields=["fund", "day"], name="investors_fundholiday_once"),
        ]

    def __str__(self) -> str:
        return f"{self.day} {self.name}"
