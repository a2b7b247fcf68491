"""Signatures of people: what was asked, the proof that was given, and the keys it is checked by.

The signer's role alone writes signatures, keys and invitations, so that no page can sign for
somebody.  Rows hold plain account ids and no foreign keys: nobody's locks hold up a signature.
"""

from __future__ import annotations

import uuid

from django.db import models

from magnetfund.kernel.clock import utc_now


class SignatureRequest(models.Model):
    """A page's wish that an account signs; it carries no authority and lapses in minutes."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    action = models.CharField(max_length=40)
    subject = models.UUIDField()
    account = models.UUIDField(help_text="Who is asked to sign.")
    back = models.CharField(max_length=200, help_text="Path of the page that asked.")
    requested_at = models.DateTimeField(default=utc_now)

    def __str__(self) -> str:
        return f"{self.action} by {self.account}"


class Signature(models.Model):
    """One act of a person, with the whole proof: anybody can check it again with the public key."""

    class Method(models.TextChoices):
        PASSKEY = "passkey", "Passkey"
        CODE = "code", "Code of an authenticator app"
        DEMO = "demo", "Button of the demo, for an invented person"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    action = models.CharField(max_length=40)
    subject = models.UUIDField()
    account = models.UUIDField()
    person = models.UUIDField()
    method = models.CharField(max_length=8, choices=Method.choices)
    content = models.TextField(help_text="The words that were shown and signed.")
    nonce = models.BinaryField(unique=True)
    key = models.UUIDField(null=True, blank=True)
    public_key = models.BinaryField(default=b"", help_text="COSE key, as CBOR.")
    client_data = models.BinaryField(default=b"")
    authenticator_data = models.BinaryField(default=b"")
    signature = models.BinaryField(default=b"")
    origin = models.CharField(max_length=200)
    signed_at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["subject", "account"], name="core_signature_subject")]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(method__in=["passkey", "code", "demo"]),
                name="core_signature_known_method",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.action} {self.subject} by {self.account}"


class SigningKey(models.Model):
    """A passkey or the secret of an authenticator app, for signing alone; sign-in has its own."""

    class Kind(models.TextChoices):
        PASSKEY = "passkey"
        CODE = "code"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    account = models.UUIDField(db_index=True)
    person = models.UUIDField()
    kind = models.CharField(max_length=8, choices=Kind.choices)
    credential = models.BinaryField(
        help_text="A passkey's attested credential data, or an app's secret under the signer's key."
    )
    last_step = models.BigIntegerField(
        default=0, help_text="The newest step of a code that was used."
    )
    failures = models.PositiveSmallIntegerField(default=0)
    failed_at = models.DateTimeField(null=True, blank=True)
    enrolled_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"{self.kind} of {self.account}"


class SigningInvite(models.Model):
    """A link with which one person enrols one key, once; only a digest of its token is kept."""

    token_digest = models.BinaryField(primary_key=True)
    account = models.UUIDField()
    person = models.UUIDField()
    issued_by = models.CharField(max_length=120)
    issued_at = models.DateTimeField(default=utc_now)
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"invitation of {self.account}"
