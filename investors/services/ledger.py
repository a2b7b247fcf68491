"""Posting to the ledger, and reading balances back.  Debits are positive, credits negative.

An entry is written whole or not at all, balances per currency when its transaction commits, and
names its source once: posting the same source again changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal

from django.db import connection, transaction

from investors.domain.ledger import ACCOUNTS, JournalEntry, Leg, sum_legs, value_net_assets
from investors.domain.ledger.chart import POCKET_ASSETS
from investors.models import Account, Entry, Fund, NavStrike, Posting
from magnetfund.core.actors import Actor
from magnetfund.core.bulk import copy_rows
from magnetfund.kernel.errors import InvariantBroken
from magnetfund.kernel.identifiers import content_hash, derived_uuid
from magnetfund.kernel.money import Rounding, quantize

#: (code, name, kind) of every account.
CHART = tuple((account.code, account.name, account.kind) for account in ACCOUNTS.values())
ASSETS = ("asset",)
LIABILITIES = ("liability",)
STORED_QUANTUM = Decimal("1e-18")
HEADED = (
    "id", "fund_id", "kind", "source_ref", "text", "effective_at", "recorded_at", "content_hash",
    "created_by_id", "created_by_label", "approved_by_id",
)  # fmt: skip
POSTED = (
    "entry_id", "account_id", "currency", "amount", "share_class", "lot", "instrument", "strategy",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class NewEntry:
    """An event ready to be posted to the ledger."""

    kind: str
    source_ref: str
    effective_at: datetime
    legs: Sequence[Leg]
    text: str = ""
    approved_by: Actor | None = field(default=None)

    @classmethod
    def of(cls, entry: JournalEntry) -> NewEntry:
        """An entry of the event table, ready to be posted."""
        return cls(
            kind=entry.kind,
            source_ref=entry.source_ref,
            effective_at=entry.effective_at,
            legs=entry.legs,
            text=entry.text,
        )


def ensure_chart() -> None:
    """Make the accounts that are missing."""
    Account.objects.bulk_create(
        [Account(code=code, name=name, kind=kind) for code, name, kind in CHART],
        ignore_conflicts=True,
    )


def post_entry(fund: Fund, new: NewEntry, *, actor: Actor) -> Entry | None:
    """Post one event; None when it has no legs or stands in the ledger already."""
    return next(iter(post_entries(fund, [new], actor=actor)), None)


def post_entries(fund: Fund, news: Iterable[NewEntry], *, actor: Actor) -> list[Entry]:
    """Post many events in their order, in one transaction; known sources are left out.

    Raises :class:`InvariantBroken` for an entry that does not balance.
    """
    wanted = [new for new in news if new.legs]
    if not wanted:
        return []
    with transaction.atomic():
        known = set(
            Entry.objects.filter(source_ref__in=[new.source_ref for new in wanted]).values_list(
                "source_ref", flat=True
            )
        )
        fresh = [new for new in wanted if new.source_ref not in known]
        for new in fresh:
            _require_balance(new)
        entries = [_entry_row(fund, new, actor) for new in fresh]
        copy_rows(Entry, HEADED, ([getattr(entry, name) for name in HEADED] for entry in entries))
        for entry in entries:
            entry._state.adding, entry._state.db = False, connection.alias
        copy_rows(
            Posting,
            POSTED,
            (
                (
                    entry.pk, leg.account, leg.currency, leg.amount, leg.share_class, leg.lot,
                    leg.instrument, leg.strategy,
                )
                for entry, new in zip(entries, fresh, strict=True)
                for leg in new.legs
            ),
        )  # fmt: skip
    return entries


def entry_content(
    kind: str, source_ref: str, effective_at: datetime, legs: Iterable[Leg]
) -> list[object]:
    """What the content hash of an entry covers: values as its rows hold them, legs in order."""
    plain = [
        [
            leg.account,
            leg.currency,
            _as_stored(leg.amount),
            leg.share_class,
            str(leg.lot or ""),
            leg.instrument,
            leg.strategy,
        ]
        for leg in legs
    ]
    return [kind, source_ref, effective_at, plain]


def _as_stored(amount: Decimal) -> Decimal:
    """An amount as NUMERIC(38,18) keeps it; PostgreSQL rounds a half away from zero."""
    return quantize(amount, STORED_QUANTUM, Rounding.HALF_UP)


def _entry_row(fund: Fund, new: NewEntry, actor: Actor) -> Entry:
    approver = new.approved_by
    return Entry(
        id=derived_uuid("entry", new.source_ref),
        fund=fund,
        kind=new.kind,
        source_ref=new.source_ref,
        text=new.text[:300],
        effective_at=new.effective_at,
        content_hash=content_hash(
            entry_content(new.kind, new.source_ref, new.effective_at, new.legs)
        ),
        created_by=actor.user,
        created_by_label=actor.label,
        approved_by=approver.user if approver is not None else None,
    )


def _require_balance(new: NewEntry) -> None:
    wrong = {currency: total for currency, total in sum_legs(new.legs).items() if total}
    if wrong:
        raise InvariantBroken(f"entry {new.source_ref} does not balance: {wrong}")


def read_entry(row: Entry) -> JournalEntry:
    """A stored entry as the journal has it."""
    return JournalEntry(
        kind=row.kind,
        source_ref=row.source_ref,
        effective_at=row.effective_at,
        legs=tuple(
            Leg(
                account=leg.account_id,
                amount=leg.amount,
                currency=leg.currency,
                share_class=leg.share_class,
                lot=leg.lot,
            )
            for leg in row.postings.order_by("pk")
        ),
        text=row.text,
    )


def read_balances(
    fund: Fund,
    *,
    before: datetime | None = None,
    known_at: datetime | None = None,
    accounts: Sequence[str] | None = None,
) -> dict[tuple[str, str], Decimal]:
    """Balance of each (account, currency) over entries effective strictly before an instant, of
    those that were recorded by ``known_at``; of some ``accounts`` alone, or of all."""
    listed = None if accounts is None else list(accounts)
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT p.account_id, p.currency, sum(p.amount)
               FROM investors_posting p JOIN investors_entry e ON e.id = p.entry_id
               WHERE e.fund_id = %s AND (%s::timestamptz IS NULL OR e.effective_at < %s)
                 AND (%s::timestamptz IS NULL OR e.recorded_at <= %s)
                 AND (%s::text[] IS NULL OR p.account_id = ANY(%s))
               GROUP BY 1, 2 ORDER BY 1, 2""",
            [fund.pk, before, before, known_at, known_at, listed, listed],
        )
        return {(account, currency): total for account, currency, total in cursor.fetchall()}


def owns_and_owes(fund: Fund, *, before: datetime) -> list[tuple[str, Decimal]]:
    """Balances of the asset and liability accounts in the fund's currency that are not zero,
    without what stands apart in side pockets."""
    balances = read_balances(fund, before=before)
    return [
        (code, balances[(code, fund.currency)])
        for code, _, kind in CHART
        if kind in (*ASSETS, *LIABILITIES)
        and code != POCKET_ASSETS
        and balances.get((code, fund.currency))
    ]


def net_assets(fund: Fund, *, before: datetime, known_at: datetime | None = None) -> Decimal:
    """Assets less liabilities in the fund's currency, without the performance-fee accrual and
    without what stands apart in side pockets.

    Counts entries effective strictly before the instant: what happens at a valuation instant
    belongs to the period that begins there.  ``known_at`` leaves out what was recorded later.
    """
    balances = read_balances(fund, before=before, known_at=known_at)
    return value_net_assets(balances, currency=fund.currency, with_accrual=False)


def open_since(fund: Fund) -> datetime:
    """The instant of the last dealt NAV: everything before it is closed, itself is open."""
    last = (
        NavStrike.objects.filter(fund=fund, state=NavStrike.State.DEALT)
        .order_by("-valuation_at")
        .values_list("valuation_at", flat=True)
        .first()
    )
    return last if last is not None else datetime.min.replace(tzinfo=UTC)


def class_balance(fund: Fund, account: str, share_class: str, *, until: datetime) -> Decimal:
    """Balance of one account for one class over entries effective up to an instant, inclusive."""
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT coalesce(sum(p.amount), 0)
               FROM investors_posting p JOIN investors_entry e ON e.id = p.entry_id
               WHERE e.fund_id = %s AND p.account_id = %s AND p.share_class = %s
                 AND p.currency = %s AND e.effective_at <= %s""",
            [fund.pk, account, share_class, fund.currency, until],
        )
        total: Decimal = cursor.fetchone()[0]
    return total
