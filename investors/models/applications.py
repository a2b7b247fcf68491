"""Applications to join, their documents and signatures, and the lists that names are screened by.

Answers, documents and signed names are sealed with a key of the application alone, which lies in a
store of its own outside the database: without it they cannot be read, also not in a backup.
"""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models

from magnetfund.core.fields import ExactField
from magnetfund.kernel.clock import utc_now


class Application(models.Model):
    class State(models.TextChoices):
        DRAFT = "draft"
        SUBMITTED = "submitted", "Sent in"
        WITHDRAWN = "withdrawn"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    kind = models.CharField(
        max_length=8, choices=[(kind, kind) for kind in ("person", "joint", "company", "trust")]
    )
    email = models.EmailField(max_length=254)
    state = models.CharField(max_length=9, choices=State.choices, default=State.DRAFT)
    generation = models.PositiveIntegerField(
        default=1, help_text="Number of the newest link; older links are no longer good."
    )
    opened_generation = models.PositiveIntegerField(
        default=0,
        help_text="Number of the newest link that was opened; sessions of older ones are over.",
    )
    sealed_answers = models.BinaryField(default=b"", editable=False)
    steps_done = models.JSONField(default=list, blank=True)
    share_class = models.ForeignKey(
        "investors.ShareClass", on_delete=models.PROTECT, null=True, blank=True
    )
    amount = ExactField(null=True, blank=True)
    investor = models.OneToOneField(
        "investors.Investor",
        on_delete=models.PROTECT,
        related_name="application",
        null=True,
        blank=True,
    )
    email_proved_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(default=utc_now)
    saved_at = models.DateTimeField(default=utc_now)
    submitted_at = models.DateTimeField(null=True, blank=True)
    erased_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [models.Index(fields=["email"], name="investors_application_email")]

    def __str__(self) -> str:
        return f"application {str(self.pk)[:8]}"


class Document(models.Model):
    """One uploaded file, sealed; ``digest`` is that of the file as it was sent."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    application = models.ForeignKey(Application, on_delete=models.PROTECT, related_name="documents")
    item = models.CharField(max_length=20, help_text="The item of the checklist that it is for.")
    name = models.CharField(max_length=120)
    media_type = models.CharField(max_length=20)
    size = models.PositiveIntegerField()
    digest = models.CharField(max_length=64)
    sealed_content = models.BinaryField(editable=False)
    uploaded_at = models.DateTimeField(default=utc_now)
    removed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["uploaded_at"]

    def __str__(self) -> str:
        return f"document {str(self.pk)[:8]}"


class AgreementText(models.Model):
    """A text that can be signed, kept under the hash of its words."""

    digest = models.CharField(max_length=64, primary_key=True)
    code = models.CharField(max_length=20)
    title = models.CharField(max_length=120)
    text = models.TextField()
    first_shown_at = models.DateTimeField(default=utc_now)

    def __str__(self) -> str:
        return f"{self.title} {self.digest[:8]}"


class Signature(models.Model):
    """An agreement that was signed: which words, when, and by the sealed name."""

    application = models.ForeignKey(
        Application, on_delete=models.PROTECT, related_name="signatures"
    )
    agreement = models.ForeignKey(AgreementText, on_delete=models.PROTECT, related_name="+")
    sealed_name = models.BinaryField(editable=False)
    content_hash = models.CharField(max_length=64)
    signed_at = models.DateTimeField(default=utc_now)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["application", "agreement"], name="investors_signature_once"
            ),
        ]

    def __str__(self) -> str:
        return f"signature of {self.agreement_id[:8]}"


class ScreeningList(models.Model):
    """One published version of a list of names, as it was read from its file."""

    name = models.CharField(max_length=60)
    kind = models.CharField(max_length=9)
    version = models.CharField(max_length=80)
    digest = models.CharField(max_length=64, unique=True)
    names_count = models.PositiveIntegerField()
    imported_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True, blank=True
    )
    imported_at = models.DateTimeField(default=utc_now)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


class ScreeningName(models.Model):
    """One name of an entry of a list."""

    screening_list = models.ForeignKey(
        ScreeningList, on_delete=models.PROTECT, related_name="names"
    )
    entry = models.CharField(max_length=60)
    name = models.CharField(max_length=300)
    note = models.CharField(max_length=120, blank=True)

    def __str__(self) -> str:
        return self.name
