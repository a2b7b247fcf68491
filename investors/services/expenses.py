"""Running costs of a fund: proposed by an accountant, approved by a controller, accrued by day.

Each NAV posts what the days since the last one cost, before anything is valued; an estimate between
two NAVs takes the same sum off.  What was accrued is owed on one account until payments clear it.
A fund without a unit accrues nothing: the first NAV after its launch makes up the days before.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Prefetch

from investors.domain.expenses import Accrued, ExpenseTerms, accrue_expense
from investors.domain.ledger import build_entry
from investors.domain.ledger.chart import COIN_RESULT, EXPENSES, EXPENSES_PAYABLE
from investors.models import Expense, ExpenseChange, Fund, UnitLot
from investors.services.ledger import NewEntry, post_entries
from investors.services.two_people import decide_proposal
from magnetfund.core.actors import Actor
from magnetfund.core.locks import AdvisoryLock, take_lock
from magnetfund.core.models import User
from magnetfund.core.roles import Capability
from magnetfund.core.services.audit import record_audit
from magnetfund.core.services.signing import EXPENSE, EXPENSE_CHANGE
from magnetfund.kernel.clock import utc_now
from magnetfund.kernel.errors import Conflict, InvalidInput, NotAllowed
from magnetfund.kernel.money import decimal_of, quantize

ZERO, CENT = Decimal(0), Decimal("0.01")
#: What one expense may come to: a slip of some digits must not price a fund.
AMOUNT_MAX = Decimal("1e9")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpenseState:
    """One expense with its approved changes: its terms, and what the ledger holds of it."""

    row: Expense
    terms: ExpenseTerms
    accrued: Accrued

    @property
    def total(self) -> Decimal:
        """What was posted so far."""
        return self.accrued.total


def propose_expense(
    *,
    fund: Fund,
    account: str,
    supplier: str,
    reference: str,
    amount: Decimal,
    first_day: date,
    actor: Actor,
    last_day: date | None = None,
    is_yearly: bool = False,
) -> Expense:
    """Propose an expense; nothing accrues before another person approves it.

    ``amount`` is in the fund's currency, for the days from ``first_day`` to ``last_day``, or a
    year.  Raises :class:`InvalidInput`: ``no_supplier``, ``no_reference``, ``too_fine``,
    ``too_large``, and what :class:`ExpenseTerms` raises; :class:`Conflict` (``expense_known``).
    """
    actor.require(Capability.NAV_PREPARE)
    user = _person(actor)
    who, name = supplier.strip()[:120], reference.strip()[:80]
    if not who:
        raise InvalidInput("name the supplier", code="no_supplier")
    if not name:
        raise InvalidInput("name the contract, budget or invoice", code="no_reference")
    cost = _require_money(amount)
    ExpenseTerms(
        account=account, amount=cost, first_day=first_day, last_day=last_day, is_yearly=is_yearly
    )
    with transaction.atomic():
        take_lock(AdvisoryLock.STRIKE_OF_FUND, fund.pk)
        known = Expense.objects.filter(fund=fund, supplier__iexact=who, reference__iexact=name)
        if known.exclude(is_approved=False).exists():
            raise Conflict("this supplier's reference is entered already", code="expense_known")
        row = Expense.objects.create(
            fund=fund, account=account, supplier=who, reference=name, amount=cost,
            is_yearly=is_yearly, first_day=first_day, last_day=last_day, proposed_by=user,
        )  # fmt: skip
        _note(actor, "expense.proposed", row)
    return row


def propose_end(*, expense: Expense, last_day: date, actor: Actor) -> ExpenseChange:
    """Propose the last day of a yearly expense that has none.

    Raises :class:`Conflict` (``not_approved``, ``change_known``) and :class:`InvalidInput`
    (``wrong_period``, ``has_an_end``).
    """
    actor.require(Capability.NAV_PREPARE)
    with transaction.atomic():
        row = _lock_approved(expense)
        if row.last_day is not None:
            raise InvalidInput("this expense has a last day", code="has_an_end")
        if last_day < row.first_day:
            raise InvalidInput("the last day is before the first", code="wrong_period")
        return _propose(row, ExpenseChange.Kind.END, actor, last_day=last_day)


def propose_invoice(
    *, expense: Expense, amount: Decimal, reference: str, actor: Actor
) -> ExpenseChange:
    """Propose the final invoice of an expense that has an end; its sum replaces the estimate.

    Raises :class:`Conflict` (``not_approved``, ``change_known``) and :class:`InvalidInput`
    (``no_last_day``, ``no_reference``, ``not_positive``, ``too_fine``, ``too_large``).
    """
    actor.require(Capability.NAV_PREPARE)
    cost, name = _require_money(amount), reference.strip()[:80]
    if cost < 0:
        raise InvalidInput("an invoice is not below zero", code="not_positive")
    if not name:
        raise InvalidInput("name the invoice", code="no_reference")
    with transaction.atomic():
        row = _lock_approved(expense)
        if terms_of(row).last_day is None:
            raise InvalidInput("end this expense before its final invoice", code="no_last_day")
        return _propose(row, ExpenseChange.Kind.INVOICE, actor, amount=cost, reference=name)


def decide_expense(
    *, proposal: Expense | ExpenseChange, is_approved: bool, actor: Actor, reason: str = ""
) -> Expense | ExpenseChange:
    """Approve or decline an expense or a change of one, by another person than the proposer.

    Raises what :func:`decide_proposal` raises.
    """
    actor.require(Capability.NAV_APPROVE)
    with transaction.atomic():
        row = decide_proposal(
            proposal, action=signed_as(proposal), is_approved=is_approved, actor=actor,
            reason=reason, what="an expense",
        )  # fmt: skip
        _note(actor, "expense.approved" if is_approved else "expense.declined", row)
    return row


def signed_as(row: Expense | ExpenseChange) -> str:
    """What is signed to approve an expense or a change: an id says nothing of the table."""
    return EXPENSE if isinstance(row, Expense) else EXPENSE_CHANGE


def terms_of(row: Expense) -> ExpenseTerms:
    """An expense with its approved end and final invoice."""
    return terms_with(row, [change for change in row.changes.all() if change.is_approved])


def terms_with(row: Expense, changes: Iterable[ExpenseChange]) -> ExpenseTerms:
    """An expense with the given changes of it."""
    last_day, invoiced = row.last_day, None
    for change in changes:
        if change.kind == ExpenseChange.Kind.END:
            last_day = change.last_day
        else:
            invoiced = change.amount
    return ExpenseTerms(
        account=row.account, amount=row.amount, first_day=row.first_day, last_day=last_day,
        is_yearly=row.is_yearly, invoiced=invoiced,
    )  # fmt: skip


def read_expenses(fund: Fund) -> list[ExpenseState]:
    """Every approved expense with its terms and what was posted of it, by its first day."""
    rows = (
        Expense.objects.filter(fund=fund, is_approved=True)
        .prefetch_related(Prefetch("changes", ExpenseChange.objects.filter(is_approved=True)))
        .order_by("first_day", "supplier", "reference")
    )
    posted = _posted(fund) if rows else {}
    return [
        ExpenseState(
            row=row, terms=terms_of(row),
            accrued=posted.get(row.pk, Accrued(estimated=ZERO, difference=ZERO)),
        )
        for row in rows
    ]  # fmt: skip


def expenses_due(fund: Fund, *, at: datetime) -> Decimal:
    """What the days before ``at`` cost beyond what was posted."""
    return sum((due.total for _, due in _due(fund, at)), ZERO)


def post_expenses(fund: Fund, *, before: datetime, actor: Actor) -> Decimal:
    """Post what the days before a valuation cost beyond what was posted; returns their sum.

    The entries are effective a microsecond earlier: they close the period that ends there.  To post
    again changes nothing.
    """
    if not UnitLot.objects.filter(share_class__fund=fund, units__gt=0).exists():
        return ZERO
    entries, total = [], ZERO
    for state, due in _due(fund, before):
        upto = state.accrued.total + due.total
        for event, part, amount in (
            ("expense_accrued", "amount", due.estimated),
            ("invoice_difference", "difference", due.difference),
        ):
            if not amount:
                continue
            entry = build_entry(
                event=event,
                source_ref=f"expense:{state.row.pk}:{counted_day(before)}:{part}:{upto:f}",
                effective_at=before - timedelta(microseconds=1),
                amounts={part: amount},
                currency=fund.currency,
                account=state.row.account,
                text=f"{state.row}, to {counted_day(before)}",
            )
            entries.append(NewEntry.of(entry))
            total += amount
    post_entries(fund, entries, actor=actor)
    return total


def posted_between(
    fund: Fund,
    *,
    since: datetime | None,
    before: datetime,
    known_at: datetime | None = None,
) -> tuple[Decimal, Decimal]:
    """Expenses of a period in the ledger, and what stablecoins gained in it (below zero for a
    loss): effective from ``since`` until before ``before``."""
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT coalesce(sum(p.amount) FILTER (WHERE p.account_id <> %s), 0),
                      coalesce(-sum(p.amount) FILTER (WHERE p.account_id = %s), 0)
               FROM investors_posting p JOIN investors_entry e ON e.id = p.entry_id
               WHERE e.fund_id = %s AND p.account_id = ANY(%s) AND p.currency = %s
                 AND (%s::timestamptz IS NULL OR e.effective_at >= %s) AND e.effective_at < %s
                 AND (%s::timestamptz IS NULL OR e.recorded_at <= %s)""",
            [
                COIN_RESULT, COIN_RESULT, fund.pk, [*EXPENSES, COIN_RESULT], fund.currency, since,
                since, before, known_at, known_at,
            ],
        )  # fmt: skip
        expenses, gained = cursor.fetchone()
    return expenses, gained


def _due(fund: Fund, at: datetime) -> Iterable[tuple[ExpenseState, Accrued]]:
    for state in read_expenses(fund):
        wanted = accrue_expense(state.terms, until=counted_day(at), quantum=CENT)
        estimated = wanted.estimated - state.accrued.estimated
        difference = wanted.difference - state.accrued.difference
        if estimated < 0:  # it ended before days that were posted
            estimated, difference = ZERO, difference + estimated
        if estimated or difference:
            yield state, Accrued(estimated=estimated, difference=difference)


def counted_day(at: datetime) -> date:
    """The last day that a valuation counts: at midnight it is the day before."""
    return (at - timedelta(microseconds=1)).date()


def _posted(fund: Fund) -> dict[UUID, Accrued]:
    """What the ledger holds of each expense, by the sources of its entries."""
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT split_part(e.source_ref, ':', 2)::uuid,
                      coalesce(-sum(p.amount) FILTER (WHERE e.kind = 'expense_accrued'), 0),
                      coalesce(-sum(p.amount) FILTER (WHERE e.kind = 'invoice_difference'), 0)
               FROM investors_entry e JOIN investors_posting p ON p.entry_id = e.id
               WHERE e.fund_id = %s AND e.kind IN ('expense_accrued', 'invoice_difference')
                 AND e.source_ref LIKE 'expense:%%' AND p.account_id = %s
               GROUP BY 1""",
            [fund.pk, EXPENSES_PAYABLE],
        )
        return {
            pk: Accrued(estimated=estimated, difference=difference)
            for pk, estimated, difference in cursor.fetchall()
        }


def _propose(
    row: Expense, kind: ExpenseChange.Kind, actor: Actor, **values: object
) -> ExpenseChange:
    if row.changes.filter(kind=kind).exclude(is_approved=False).exists():
        raise Conflict("this change is proposed or approved already", code="change_known")
    change = ExpenseChange.objects.create(
        expense=row, kind=kind, proposed_by=_person(actor), **values
    )
    _note(actor, f"expense.{kind.value}_proposed", change)
    return change


def _lock_approved(expense: Expense) -> Expense:
    row = Expense.objects.select_for_update().get(pk=expense.pk)
    if not row.is_approved:
        raise Conflict("this expense is not approved", code="not_approved")
    return row


def _require_money(amount: Decimal) -> Decimal:
    value = decimal_of(amount)
    if value != quantize(value, CENT):
        raise InvalidInput("an amount has whole cents", code="too_fine")
    if value > AMOUNT_MAX:
        raise InvalidInput(f"an amount is at most {AMOUNT_MAX:,.0f}", code="too_large")
    return value


def _person(actor: Actor) -> User:
    if actor.user is None:
        raise NotAllowed("an expense is proposed by a person", code="needs_person")
    return actor.user


def describe_expense(row: Expense | ExpenseChange) -> dict[str, object]:
    """What an expense or a change of one says, as its audit lines hold it."""
    expense = row if isinstance(row, Expense) else row.expense
    said: dict[str, object] = {
        "supplier": expense.supplier,
        "reference": row.reference or expense.reference,
        "amount": None if row.amount is None else f"{row.amount:.2f}",
        "last_day": None if row.last_day is None else row.last_day.isoformat(),
        "reason": row.reason,
    }
    if row is expense:
        said |= {
            "account": expense.account,
            "first_day": expense.first_day.isoformat(),
            "is_yearly": expense.is_yearly,
        }
    return said


def _note(actor: Actor, action: str, row: Expense | ExpenseChange) -> None:
    expense = row if isinstance(row, Expense) else row.expense
    record_audit(
        actor=actor,
        action=action,
        subject=("expense", expense.pk),
        body=describe_expense(row),
        at=utc_now(),
    )
