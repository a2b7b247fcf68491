"""Papers given to investors: kept as they were made, never made twice."""

from __future__ import annotations

import uuid

from django.db import models

from magnetfund.kernel.clock import utc_now


class Paper(models.Model):
    """A document of one investor; ``content`` is the PDF, byte for byte as it was first made."""

    class Kind(models.TextChoices):
        CONTRACT_NOTE = "contract_note", "Contract note"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    kind = models.CharField(max_length=16, choices=Kind.choices)
    number = models.CharField(max_length=60, unique=True)
    investor = models.ForeignKey(
        "investors.Investor", on_delete=models.PROTECT, related_name="papers"
    )
    order = models.ForeignKey(
        "investors.DealingOrder", on_delete=models.PROTECT, related_name="papers"
    )
    strike = models.ForeignKey("investors.NavStrike", on_delete=models.PROTECT, related_name="+")
    content = models.BinaryField()
    sha256 = models.CharField(max_length=64)
    made_at = models.DateTimeField(default=utc_now)

    class Meta:
        ordering = ["-made_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["kind", "order", "strike"], name="investors_paper_once"
            ),
        ]

    def __str__(self) -> str:
        return self.number
