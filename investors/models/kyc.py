"""An investor's KYC file: what was checked, screened and rated, who signed, and every move.

The state itself is ``Investor.kyc_state``, read wherever money or units move.  The rows here say
why it is what it is; all but the case itself are append-only, the newest of a kind counts.
"""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from magnetfund.kernel.clock import utc_now


class KycCase(models.Model):
    """Rating, signatures and dates of one investor's file; the row that every change locks."""

    investor = models.OneToOneField(
        "investors.Investor", on_delete=models.PROTECT, primary_key=True, related_name="case"
    )
    points = models.JSONField(default=dict, blank=True)
    risk = models.CharField(
        max_length=6,
        blank=True,
        choices=[("low", "low"), ("medium", "medium"), ("high", "high")],
    )
    is_politically_exposed = models.BooleanField(default=False)
    rating_reason = models.CharField(max_length=500, blank=True)
    reviewed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True, blank=True
    )
    reviewed_at = models.DateTimeField(null=True, blank=True)
    reviewed_hash = models.CharField(max_length=64, blank=True)
    seconded_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True, blank=True
    )
    seconded_at = models.DateTimeField(null=True, blank=True)
    approved_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True, blank=True
    )
    approved_at = models.DateTimeField(null=True, blank=True)
    review_due = models.DateField(null=True, blank=True, db_index=True)
    waiting_since = models.DateTimeField(default=utc_now)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(approved_by=None)
                | (
                    Q(reviewed_by__isnull=False)
                    & ~Q(approved_by=F("reviewed_by"))
                    & (Q(seconded_by=None) | ~Q(approved_by=F("seconded_by")))
                ),
                name="investors_kyccase_four_eyes",
            ),
            models.CheckConstraint(
                condition=Q(seconded_by=None)
                | (Q(reviewed_by__isnull=False) & ~Q(seconded_by=F("reviewed_by"))),
                name="investors_kyccase_second",
            ),
        ]

    def __str__(self) -> str:
        return f"KYC file of {self.investor_id}"


class KycCheck(models.Model):
    """One item of the checklist, received or checked, with its evidence."""

    class Outcome(models.TextChoices):
        RECEIVED = "received"
        CHECKED = "checked"
        REFUSED = "refused", "Not sufficient"

    investor = models.ForeignKey(
        "investors.Investor", on_delete=models.PROTECT, related_name="kyc_checks"
    )
    item = models.CharField(max_length=20)
    outcome = models.CharField(max_length=8, choices=Outcome.choices)
    evidence = models.CharField(max_length=300, blank=True)
    noted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True, blank=True
    )
    noted_at = models.DateTimeField(default=utc_now)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.item}: {self.outcome}"


class Screening(models.Model):
    """One name against one version of a list, or a person's decision on a hit.

    ``decides`` names the hit that a decision is about; a list of kind ``office`` names holders of
    public office, one of kind ``sanctions`` people whom nobody may deal with.
    """

    class Outcome(models.TextChoices):
        CLEAR = "clear", "No match"
        POSSIBLE = "possible", "Possible match"
        OTHER_PERSON = "other_person", "Another person"
        SAME_PERSON = "same_person", "The same person"

    class Kind(models.TextChoices):
        SANCTIONS = "sanctions"
        OFFICE = "office", "Public offices"

    investor = models.ForeignKey(
        "investors.Investor", on_delete=models.PROTECT, related_name="screenings"
    )
    party = models.CharField(max_length=200)
    kind = models.CharField(max_length=9, choices=Kind.choices)
    list_name = models.CharField(max_length=60)
    list_version = models.CharField(max_length=80)
    names_in_list = models.PositiveIntegerField(null=True, blank=True)
    match = models.CharField(max_length=300, blank=True)
    match_id = models.CharField(max_length=80, blank=True)
    score = models.FloatField(null=True, blank=True)
    outcome = models.CharField(max_length=12, choices=Outcome.choices)
    reason = models.CharField(max_length=500, blank=True)
    decides = models.ForeignKey(
        "self", on_delete=models.PROTECT, related_name="decisions", null=True, blank=True
    )
    screened_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True, blank=True
    )
    screened_at = models.DateTimeField(default=utc_now)

    class Meta:
        ordering = ["id"]
        indexes = [models.Index(fields=["investor", "-id"], name="investors_screening_newest")]

    def __str__(self) -> str:
        return f"{self.party}: {self.outcome}"


class KycMove(models.Model):
    """One move of a file from a state to the next; ``reason`` is never shown to the investor."""

    investor = models.ForeignKey(
        "investors.Investor", on_delete=models.PROTECT, related_name="kyc_moves"
    )
    from_state = models.CharField(max_length=16)
    to_state = models.CharField(max_length=16)
    role = models.CharField(max_length=16)
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True, blank=True
    )
    actor_label = models.CharField(max_length=120)
    reason = models.CharField(max_length=500, blank=True)
    content_hash = models.CharField(max_length=64)
    moved_at = models.DateTimeField(default=utc_now)

    class Meta:
        ordering = ["id"]
        indexes = [models.Index(fields=["investor", "-id"], name="investors_kycmove_newest")]

    def __str__(self) -> str:
        return f"{self.from_state} -> {self.to_state}"
