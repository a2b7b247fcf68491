"""The double-entry ledger: accounts, entries, postings.  Append-only, balanced, hash-chained.

Debits are positive, credits negative.  Each entry balances per currency when its transaction
commits (units of a class are a currency of their own, e.g. ``U:MAGNET:A``).  A correction is a
reversal plus a new entry.  ``source_ref`` is unique, so an event is posted once.
"""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q

from magnetfund.core.fields import ExactField, in_range
from magnetfund.kernel.clock import utc_now


class Account(models.Model):
    code = models.CharField(max_length=4, primary_key=True)
    name = models.CharField(max_length=120)
    kind = models.CharField(
        max_length=9,
        choices=[
            (k, k)
            for k in ("asset", "liability", "equity", "income", "expense", "units", "clearing")
        ],
    )

    class Meta:
        ordering = ["code"]

    def __str__(self) -> str:
        return f"{self.code} {self.name}"


class Entry(models.Model):
    """Header of one journal entry; ``seq`` and the hashes are set by PostgreSQL."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    fund = models.ForeignKey("investors.Fund", on_delete=models.PROTECT, related_name="entries")
    seq = models.BigIntegerField(editable=False)
    kind = models.CharField(max_length=40)
    source_ref = models.CharField(max_length=120, unique=True)
    text = models.CharField(max_length=300, blank=True)
    effective_at = models.DateTimeField()
    recorded_at = models.DateTimeField(default=utc_now)
    content_hash = models.CharField(max_length=64)
    reverses = models.OneToOneField(
        "self", on_delete=models.PROTECT, null=True, blank=True, related_name="reversed_by"
    )
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True, blank=True
    )
    created_by_label = models.CharField(max_length=120)
    approved_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True, blank=True
    )
    xid = models.BigIntegerField(editable=False)
    prev_hash = models.BinaryField(editable=False)
    row_hash = models.BinaryField(editable=False)

    class Meta:
        verbose_name_plural = "entries"
        ordering = ["fund", "seq"]
        constraints = [
            models.UniqueConstraint(fields=["fund", "seq"], name="investors_entry_seq"),
        ]
        indexes = [models.Index(fields=["fund", "effective_at"], name="investors_entry_effective")]

    def __str__(self) -> str:
        return f"{self.seq} {self.kind}"


class Posting(models.Model):
    entry = models.ForeignKey(Entry, on_delete=models.PROTECT, related_name="postings")
    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="postings")
    currency = models.CharField(max_length=48)
    amount = ExactField(help_text="Debit positive, credit negative.")
    share_class = models.CharField(max_length=10, blank=True)
    lot = models.UUIDField(null=True, blank=True)
    instrument = models.CharField(max_length=60, blank=True)
    strategy = models.CharField(max_length=40, blank=True)

    class Meta:
        constraints = [
            *in_range("investors_posting", "amount"),
            models.CheckConstraint(condition=~Q(amount=0), name="investors_posting_not_zero"),
        ]
        indexes = [
            models.Index(fields=["account", "currency"], name="investors_posting_account"),
        ]

    def __str__(self) -> str:
        return f"{self.account_id} {self.amount} {self.currency}"


class EntryBalance(models.Model):
    """Running sum of an entry's postings per currency; must be zero at commit.

    Written by PostgreSQL alone (a statement trigger on postings), so that the balance is checked
    once a transaction and not once a row.
    """

    entry = models.ForeignKey(Entry, on_delete=models.PROTECT, related_name="+")
    currency = models.CharField(max_length=48)
    total = ExactField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["entry", "currency"], name="investors_entrybalance_one"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.entry_id} {self.currency} {self.total}"
