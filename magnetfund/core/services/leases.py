"""Exclusive duties: one trader a book.

A holder's session carries the lease's name and token.  ``wall_lease`` asks for them at every write
of what the trader keeps, with a share of the lease's row to the end of the transaction: a holder
that slept while another took over is refused, and nobody takes over between its write and commit.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from django.db import connection, transaction

from magnetfund.core.commits import commit_early
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
    lease = HeldLease(name=name, holder=holder, token=row.token)
    _carry(f"{lease.name} {lease.token}")
    return lease


def renew_lease(lease: HeldLease, *, seconds: int = 30) -> None:
    """Extend the lease; raises :class:`Conflict` if another process has taken it.

    A server that crashes may lose the extension and never the taking.
    """
    with commit_early():
        changed = Lease.objects.filter(name=lease.name, token=lease.token).update(
            expires_at=utc_now() + timedelta(seconds=seconds)
        )
    if not changed:
        raise Conflict(f"the lease {lease.name} was taken over", code="lease_lost")
    _carry(f"{lease.name} {lease.token}")  # the session may be a new one


def release_lease(lease: HeldLease) -> None:
    """Give the lease back; harmless when it was taken over."""
    Lease.objects.filter(name=lease.name, token=lease.token).update(holder="", expires_at=utc_now())
    _carry("")


def _carry(words: str) -> None:
    """What this session says of itself to ``wall_lease``; it can only be refused by it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('magnetfund.lease', %s, false)", [words])
