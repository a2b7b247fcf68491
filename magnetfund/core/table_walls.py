"""Declared grant class of every table of the core app, and the triggers that guard them."""

from __future__ import annotations

from magnetfund.core.walls import (
    TableTrigger,
    append_only,
    append_only_triggers,
    framework,
    gateway,
    mutable,
    owner_only,
    read_only,
)

APPEND_ONLY_TABLES = ("core_auditevent", "core_signature", "core_signaturerequest")

GRANTS = [
    *append_only("core_auditevent", "core_signaturerequest"),
    # The signer's role writes these, by the owner's functions or by grants of its own.
    *read_only("core_signature"),
    *owner_only("core_signingkey", "core_signinginvite"),
    mutable(
        "core_user",
        "password",
        "last_login",
        "email",
        "name",
        "is_active",
        "time_zone",
        "theme",
        "wants_mail",
    ),
    mutable("core_rolegrant", "revoked_by_id", "revoked_at"),
    mutable("core_roleproposal", "decided_by_id", "decided_at", "is_approved"),
    mutable("core_jobrun", "state", "finished_at", "detail", deletes=True),
    gateway("core_lease", "holder", "token", "expires_at"),
    mutable("core_heartbeat", "build_id", "seen_at", "detail", deletes=True),
    mutable("core_outgoingmail", "next_try_at", "claimed_at", "sent_at", "tries", "problem"),
    mutable("core_systemconfig", "value", "updated_at", "updated_by_id"),
    # An expired key may be removed; a stored answer is never rewritten.
    mutable("core_idempotencykey", "created_at", deletes=True),
    *framework("core_user_groups", "core_user_user_permissions", "core_cachedcounter"),
    mutable("core_refreshfamily", "token", "revoked_at", "expires_at", deletes=True),
]

TRIGGERS = [
    *append_only_triggers(APPEND_ONLY_TABLES),
    TableTrigger(table="core_auditevent", name="audit_chain"),
    TableTrigger(table="core_heartbeat", name="by_trader"),
    TableTrigger(table="core_user", name="no_superuser"),
    TableTrigger(table="core_user", name="one_person"),
    TableTrigger(table="core_user", name="address_kept"),
    TableTrigger(table="core_user", name="last_director"),
    TableTrigger(table="core_rolegrant", name="role_guard"),
    TableTrigger(table="core_roleproposal", name="role_signed"),
    TableTrigger(table="core_roleproposal", name="decided_now"),
]

#: Tables of Django and of the libraries; their rows are working state, not books.
FRAMEWORK_PREFIXES = ("auth_", "django_", "account_", "mfa_", "usersessions_", "socialaccount_")
