"""A holder's death and his estate: the report that holds the account, and what is decided of it."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q

from investors.models.expenses import TwoPersonProposal, checks_of_two
from magnetfund.kernel.clock import utc_now


class DeathReport(models.Model):
    """That a holder, or one of two, died; while it is open nothing is ordered, paid or read.

    It is closed where two people lift it or leave the account to the survivor of joint holders.
    """

    class Outcome(models.TextChoices):
        LIFTED = "lifted", "Lifted: the report was wrong"
        SURVIVOR = "survivor", "The survivor is the holder"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    investor = models.ForeignKey(
        "investors.Investor", on_delete=models.PROTECT, related_name="death_reports"
    )
    deceased = models.CharField(max_length=200, help_text="Who died.")
    died_on = models.DateField()
    paper_name = models.CharField(max_length=120)
    paper_type = models.CharField(max_length=20)
    paper_digest = models.CharField(max_length=64)
    sealed_content = models.BinaryField(editable=False)
    valuation = models.ForeignKey(
        "investors.Paper",
        on_delete=models.PROTECT,
        related_name="+",
        null=True,
        blank=True,
        help_text="The holding at the last NAV up to the day of the death.",
    )
    reported_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )
    reported_at = models.DateTimeField(default=utc_now)
    outcome = models.CharField(max_length=8, blank=True, choices=Outcome.choices)
    closed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-reported_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["investor"],
                condition=Q(closed_at=None),
                name="investors_deathreport_one_open",
            ),
            models.CheckConstraint(
                condition=Q(closed_at=None, outcome="")
                | Q(closed_at__isnull=False) & ~Q(outcome=""),
                name="investors_deathreport_closed",
            ),
        ]

    def __str__(self) -> str:
        return f"death of {self.deceased}, {self.died_on}"


class EstateStep(TwoPersonProposal):
    """What is to become of a reported death; another person decides on his signature."""

    class Kind(models.TextChoices):
        LIFT = "lift", "Lift the report"
        SURVIVOR = "survivor", "Leave the account to the survivor"
        PROBATE = "probate", "Take the executor by the grant of probate"

    report = models.ForeignKey(DeathReport, on_delete=models.PROTECT, related_name="steps")
    kind = models.CharField(max_length=8, choices=Kind.choices)
    ground = models.CharField(max_length=300, help_text="What it rests on.")
    survivor = models.CharField(max_length=200, blank=True, help_text="Name of the sole holder.")
    executor = models.ForeignKey(
        "investors.Investor",
        on_delete=models.PROTECT,
        related_name="+",
        null=True,
        blank=True,
        help_text="The estate's or executor's own file, approved as an investor's.",
    )
    paper_name = models.CharField(max_length=120)
    paper_type = models.CharField(max_length=20)
    paper_digest = models.CharField(max_length=64)
    sealed_content = models.BinaryField(editable=False)

    class Meta(TwoPersonProposal.Meta):
        constraints = [
            models.UniqueConstraint(
                fields=["report"],
                condition=Q(is_approved=None),
                name="investors_estatestep_one_waits",
            ),
            models.CheckConstraint(
                condition=Q(kind="lift", survivor="", executor=None)
                | Q(kind="survivor", executor=None) & ~Q(survivor="")
                | Q(kind="probate", survivor="", executor__isnull=False),
                name="investors_estatestep_said",
            ),
            *checks_of_two("investors_estatestep"),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}: {self.report}"
