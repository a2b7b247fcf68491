"""People, roles, audit chain, idempotency keys, and the records of background jobs.

``AuditEvent`` is append-only and hash-chained by a trigger; ``RoleGrant`` rows end, they are never
deleted.  A ``User`` is an account; ``person`` names the human behind it, so that two accounts of
one human can never be maker and checker.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import Any, ClassVar

from django.contrib.auth.models import AbstractBaseUser, BaseUserManager, PermissionsMixin
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Lower

from magnetfund.core.roles import STAFF_ROLES, Capability, Role, capabilities_of
from magnetfund.core.signature_models import (
    Signature,
    SignatureRequest,
    SigningInvite,
    SigningKey,
)
from magnetfund.kernel.clock import utc_now

__all__ = [
    "AuditEvent",
    "CachedCounter",
    "Heartbeat",
    "IdempotencyKey",
    "JobRun",
    "Lease",
    "OutgoingMail",
    "RefreshFamily",
    "RoleGrant",
    "Signature",
    "SignatureRequest",
    "SigningInvite",
    "SigningKey",
    "SystemConfig",
    "User",
    "UserManager",
]


class UserManager(BaseUserManager["User"]):
    use_in_migrations = True

    def create_user(
        self, email: str, password: str | None = None, *, name: str = "", **extra: Any
    ) -> User:
        if not email:
            raise ValueError("an account needs an email address")
        user = self.model(email=self.normalize_email(email).lower(), name=name, **extra)
        user.set_password(password)
        user.save(using=self._db)
        # PostgreSQL knows whether this human has an account already (``one_person``).
        user.refresh_from_db(using=self._db, fields=["person"])
        return user

    def create_superuser(self, email: str, password: str | None = None, **extra: Any) -> User:
        extra.setdefault("is_staff", True)
        extra.setdefault("is_superuser", True)
        return self.create_user(email, password, **extra)


class User(AbstractBaseUser, PermissionsMixin):
    """An account.  ``is_staff`` admits to the admin site; each view checks capabilities."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    email = models.EmailField(max_length=254, unique=True)
    name = models.CharField(max_length=200, blank=True)
    person = models.UUIDField(default=uuid.uuid4, help_text="The person who owns this account.")
    is_active = models.BooleanField(default=True)
    is_staff = models.BooleanField(default=False)
    is_simulated = models.BooleanField(
        default=False, help_text="Simulated actor: everything it signs is labelled SIMULATED."
    )
    time_zone = models.CharField(max_length=64, default="UTC")
    theme = models.CharField(
        max_length=5,
        choices=[("auto", "auto"), ("light", "light"), ("dark", "dark")],
        default="auto",
    )
    wants_mail = models.BooleanField(
        default=True, help_text="Copies of messages in the portal are mailed."
    )
    date_joined = models.DateTimeField(default=utc_now)

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []
    objects = UserManager()

    class Meta:
        constraints = [
            models.UniqueConstraint(Lower("email"), name="core_user_email_lower_unique"),
        ]

    def __str__(self) -> str:
        return self.name or self.email

    def get_full_name(self) -> str:
        return self.name or self.email

    def get_short_name(self) -> str:
        return self.name.split(" ")[0] if self.name else self.email

    @property
    def roles(self) -> frozenset[Role]:
        """Roles in force now; read once per instance."""
        if not hasattr(self, "_roles"):
            self.take_roles(self.role_grants.filter(revoked_at=None).values_list("role", flat=True))
        return self._roles

    def take_roles(self, names: Iterable[str]) -> None:
        """Roles that were read together with the account."""
        self._roles = frozenset(Role(name) for name in names)

    @property
    def capabilities(self) -> frozenset[Capability]:
        return capabilities_of(self.roles) if self.is_active else frozenset()

    def can(self, capability: Capability) -> bool:
        return capability in self.capabilities

    @property
    def is_desk(self) -> bool:
        """Whether the user is staff and may open the desk."""
        return self.is_active and bool(self.roles & STAFF_ROLES)


class RoleGrant(models.Model):
    """One role held by one account from ``granted_at`` until ``revoked_at``."""

    user = models.ForeignKey(User, on_delete=models.PROTECT, related_name="role_grants")
    role = models.CharField(max_length=20, choices=[(r.value, r.value) for r in Role])
    granted_by = models.ForeignKey(
        User, on_delete=models.PROTECT, related_name="+", null=True, blank=True
    )
    granted_at = models.DateTimeField(default=utc_now)
    revoked_by = models.ForeignKey(
        User, on_delete=models.PROTECT, related_name="+", null=True, blank=True
    )
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["user", "role"],
                condition=Q(revoked_at=None),
                name="core_rolegrant_one_in_force",
            ),
            models.CheckConstraint(
                condition=Q(granted_by=None) | ~Q(granted_by=F("user")),
                name="core_rolegrant_not_by_oneself",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user}: {self.role}"


class RoleProposal(models.Model):
    """A role that is to be given to a person or taken from one; a director decides."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    email = models.EmailField(max_length=254)
    name = models.CharField(max_length=200)
    role = models.CharField(max_length=20, choices=[(r.value, r.value) for r in Role])
    is_grant = models.BooleanField(default=True)
    reason = models.CharField(max_length=300)
    proposed_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    proposed_at = models.DateTimeField(default=utc_now)
    decided_by = models.ForeignKey(
        User, on_delete=models.PROTECT, related_name="+", null=True, blank=True
    )
    decided_at = models.DateTimeField(null=True, blank=True)
    is_approved = models.BooleanField(null=True, blank=True)

    class Meta:
        ordering = ["proposed_at"]
        constraints = [
            models.CheckConstraint(
                condition=Q(decided_by=None) | ~Q(decided_by=F("proposed_by")),
                name="core_roleproposal_four_eyes",
            ),
            models.UniqueConstraint(
                fields=["email", "role"],
                condition=Q(decided_at=None),
                name="core_roleproposal_one_open",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.role} for {self.email}"


class AuditEvent(models.Model):
    """One line of the audit trail; PostgreSQL sets ``seq``, ``recorded_at`` and the hashes."""

    chain = models.CharField(max_length=40, default="main")
    seq = models.BigIntegerField(editable=False)
    occurred_at = models.DateTimeField(default=utc_now)
    recorded_at = models.DateTimeField(editable=False)
    actor = models.ForeignKey(
        User, on_delete=models.PROTECT, related_name="+", null=True, blank=True
    )
    actor_label = models.CharField(max_length=120)
    action = models.CharField(max_length=80)
    subject_type = models.CharField(max_length=60, blank=True)
    subject_id = models.CharField(max_length=80, blank=True)
    body = models.JSONField(default=dict)
    trace_id = models.CharField(max_length=64, blank=True)
    prev_hash = models.BinaryField(editable=False)
    row_hash = models.BinaryField(editable=False)

    class Meta:
        ordering = ["chain", "seq"]
        constraints = [
            models.UniqueConstraint(fields=["chain", "seq"], name="core_auditevent_chain_seq"),
        ]
        indexes = [
            models.Index(fields=["subject_type", "subject_id"], name="core_audit_subject"),
            models.Index(fields=["action", "-occurred_at"], name="core_audit_action"),
            # The newest line is sought across chains.
            models.Index(fields=["seq", "chain"], name="core_audit_number"),
        ]

    def __str__(self) -> str:
        return f"{self.chain}:{self.seq} {self.action}"


class IdempotencyKey(models.Model):
    """The stored answer of one money request; replayed byte for byte for seven days."""

    principal = models.CharField(max_length=80)
    key = models.CharField(max_length=200)
    fingerprint = models.CharField(max_length=64)
    status = models.PositiveSmallIntegerField()
    content_type = models.CharField(max_length=80, default="application/json")
    body = models.BinaryField()
    created_at = models.DateTimeField(default=utc_now)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["principal", "key"], name="core_idempotency_once"),
        ]

    def __str__(self) -> str:
        return f"{self.principal}:{self.key}"


class RefreshFamily(models.Model):
    """One sign-in to the API and the one refresh token of it that is good now."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    token = models.CharField(max_length=64)
    password_mark = models.CharField(max_length=64)
    revoked_at = models.DateTimeField(null=True, blank=True)
    expires_at = models.DateTimeField(db_index=True)
    created_at = models.DateTimeField(default=utc_now)

    class Meta:
        verbose_name_plural = "refresh families"

    def __str__(self) -> str:
        return f"{self.user_id}:{self.id}"


class CachedCounter(models.Model):
    """A throttle's counter while Redis does not answer; written by Django's database cache."""

    cache_key = models.CharField(max_length=255, primary_key=True)
    value = models.TextField()
    expires = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return self.cache_key


class JobRun(models.Model):
    """One slot of one scheduled job; the unique row decides who runs it."""

    class State(models.TextChoices):
        RUNNING = "running"
        DONE = "done"
        FAILED = "failed"
        SKIPPED = "skipped"

    job = models.CharField(max_length=60)
    scheduled_for = models.DateTimeField()
    state = models.CharField(max_length=8, choices=State.choices, default=State.RUNNING)
    started_at = models.DateTimeField(default=utc_now)
    finished_at = models.DateTimeField(null=True, blank=True)
    detail = models.CharField(max_length=500, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["job", "scheduled_for"], name="core_jobrun_slot_once"),
        ]
        indexes = [models.Index(fields=["job", "-scheduled_for"], name="core_jobrun_latest")]

    def __str__(self) -> str:
        return f"{self.job} {self.scheduled_for:%Y-%m-%d %H:%M:%S}"


class Lease(models.Model):
    """Who owns a named duty (the trader of a book); ``token`` fences off a former holder."""

    name = models.CharField(max_length=80, primary_key=True)
    holder = models.CharField(max_length=120, blank=True)
    token = models.BigIntegerField(default=0)
    expires_at = models.DateTimeField(default=utc_now)

    def __str__(self) -> str:
        return f"{self.name} -> {self.holder or 'nobody'}"


class Heartbeat(models.Model):
    """Last sign of life of one process."""

    part = models.CharField(max_length=20)
    instance = models.CharField(max_length=80)
    build_id = models.CharField(max_length=40, blank=True)
    seen_at = models.DateTimeField(default=utc_now)
    detail = models.JSONField(default=dict, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["part", "instance"], name="core_heartbeat_one"),
        ]

    def __str__(self) -> str:
        return f"{self.part} {self.instance}"


class OutgoingMail(models.Model):
    """A mail that waits to be sent or was; its words are written when it goes.

    ``key`` names the event that it tells of, so that the event is told once.  ``params`` hold no
    link and no secret: a link is signed while the mail is written.
    """

    key = models.CharField(max_length=160, unique=True)
    kind = models.CharField(max_length=40)
    recipient = models.EmailField(max_length=254)
    params = models.JSONField(default=dict)
    created_at = models.DateTimeField(default=utc_now)
    next_try_at = models.DateTimeField(default=utc_now)
    claimed_at = models.DateTimeField(null=True, blank=True)
    sent_at = models.DateTimeField(null=True, blank=True)
    tries = models.PositiveSmallIntegerField(default=0)
    problem = models.CharField(max_length=200, blank=True)

    class Meta:
        indexes = [
            models.Index(
                fields=["next_try_at"],
                condition=Q(sent_at=None, claimed_at=None),
                name="core_outgoingmail_waiting",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} to {self.recipient}"


class SystemConfig(models.Model):
    """A small runtime value that code reads (not a secret, not a limit)."""

    key = models.CharField(max_length=80, primary_key=True)
    value = models.JSONField()
    updated_at = models.DateTimeField(default=utc_now)
    updated_by = models.ForeignKey(
        User, on_delete=models.PROTECT, related_name="+", null=True, blank=True
    )

    def __str__(self) -> str:
        return self.key
