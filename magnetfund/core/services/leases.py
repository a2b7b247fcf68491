"""Exclusive duties: one trader a book.  A fencing token keeps a former holder from writing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from django.db import transaction

from magnetfund.core.models import Lease
from magnetfund.kernel.clock import utc_now
from magnetfund.kernel.errors import Conflict


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldLease:
    name: str
    holder: str
    token: int


def acquire_lease(*, name: str, holder: str, seconds: int = 30) -> HeldLease:
    """Take a free or expired lease; raises :class:`Conflict` naming the present holder."""
    with transaction.atomic():
        Lease.objects.get_or_create(name=name)
        row = Lease.objects.select_for_update().get(name=name)
        now = utc_now()
        if row.holder and row.holder != holder and row.expires_at > now:
            raise Conflict(
                f"{name} is held by {row.holder} until {row.expires_at:%H:%M:%S} UTC",
                code="lease_held",
                details={"holder": row.holder},
            )
        row.holder, row.token = holder, row.token + 1
        row.expires_at = now + timedelta(seconds=seconds)
        row.save(update_fields=["holder", "token", "expires_at"])
        return HeldLease(name=name, holder=holder, token=row.token)


def renew_lease(lease: HeldLease, *, seconds: int = 30) -> None:
    """Extend the lease; raises :class:`Conflict` if another process has taken it."""
    changed = Lease.objects.filter(name=lease.name, token=lease.token).update(
        expires_at=utc_now() + timedelta(seconds=seconds)
    )
    if not changed:
        raise Conflict(f"the lease {lease.name} was taken over", code="lease_lost")


def release_lease(lease: HeldLease) -> None:
    """Give the lease back; harmless when it was taken over."""
    Lease.objects.filter(name=lease.name, token=lease.token).update(holder="", expires_at=utc_now())
