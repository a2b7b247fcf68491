"""The NAV strike as a procedure: prepared by one person, approved by another, then dealt.

Preparing books what trading did up to the valuation instant, marks what is open, freezes the
inputs and computes with both engines.  Approving needs a controller who is another human being and
who names the hash that was shown.  Dealing happens in the approval's transaction, at that price.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import connection, transaction

from investors.domain.strike import (
    ClassMerge,
    ClassPocket,
    Strike,
    StrikeInputs,
    compute_strike,
    recompute_strike,
)
from investors.models import ClassNav, DealingDay, Fund, LotNav, NavStrike
from investors.services.coin_values import (
    ValuedCoins,
    changed_rates,
    plain_coins,
    post_coin_values,
    value_held,
)
from investors.services.dealing_rules import require_open
from investors.services.expenses import post_expenses
from investors.services.ledger import owns_and_owes
from investors.services.nav_calendar import find_due, next_version, require_instant
from investors.services.nav_checks import check_book_breaks, check_coins, check_strike
from investors.services.nav_dealing import deal_strike
from investors.services.nav_inputs import gather_inputs
from investors.services.pocket_changes import changed_pockets, plain_changes
from investors.services.trading_books import (
    SleevePosition,
    positions_at,
    post_mark,
    post_trading,
)
from magnetfund.core.actors import Actor
from magnetfund.core.bulk import copy_rows
from magnetfund.core.locks import AdvisoryLock, take_lock
from magnetfund.core.roles import Capability
from magnetfund.core.services.audit import record_audit
from magnetfund.core.services.signing import NAV, signed_step
from magnetfund.kernel.clock import utc_now
from magnetfund.kernel.errors import Conflict, InvalidInput, NotAllowed
from magnetfund.kernel.identifiers import canonical, content_hash
from magnetfund.kernel.money import quantize

ZERO = Decimal(0)
FEE_QUANTUM = Decimal("1e-12")
#: The longest pause between two statements of a strike.
COMPUTING_MAX = "15min"
LOT_RESULT = (
    "strike_id", "lot_id", "units", "high_water_mark", "performance_fee_per_unit",
    "net_value_per_unit", "net_value",
)  # fmt: skip


def prepare_strike(
    *,
    fund: Fund,
    valuation_at: datetime,
    actor: Actor,
    dealing_day: DealingDay | None = None,
    at: datetime | None = None,
) -> NavStrike:
    """Compute a strike and leave it for a second person.

    Raises :class:`Conflict` while another strike of this instant waits or is in force, or one
    before it is not finished or one after it was dealt, and :class:`InvalidInput` where the fund
    cannot be priced, or the instant is still to come or not the dealing day's.
    """
    actor.require(Capability.NAV_PREPARE)
    if actor.user is None:
        raise NotAllowed("a NAV must be prepared by a person", code="needs_person")
    return _prepare(fund, valuation_at, dealing_day, actor, at or utc_now())


def prepare_due(*, fund: Fund, actor: Actor) -> NavStrike:
    """Prepare the NAV that is due; raises :class:`Conflict` (``nothing_due``) where none is,
    ``fund_suspended``, and what :func:`prepare_strike` raises."""
    require_open(fund)
    due = find_due(fund, at=utc_now())
    if due is None:
        raise Conflict("no dealing day is due", code="nothing_due")
    valuation_at, day = due
    return prepare_strike(fund=fund, valuation_at=valuation_at, dealing_day=day, actor=actor)


def _prepare(
    fund: Fund,
    valuation_at: datetime,
    dealing_day: DealingDay | None,
    actor: Actor,
    at: datetime,
) -> NavStrike:
    assert actor.user is not None
    with transaction.atomic():
        _lock(fund)
        require_instant(fund, valuation_at, dealing_day, at)
        version = next_version(fund, valuation_at)
        post_trading(fund, before=valuation_at, actor=Actor.system("nav"))
        post_expenses(fund, before=valuation_at, actor=Actor.system("nav"))
        positions = positions_at(fund, at=valuation_at)
        post_mark(
            fund,
            positions=positions,
            at=valuation_at,
            version=version,
            actor=Actor.system("nav"),
        )
        coins = value_held(fund, at=valuation_at, positions=positions)
        post_coin_values(fund, coins, at=valuation_at, version=version, actor=Actor.system("nav"))
        inputs = gather_inputs(fund, valuation_at)
        strike = compute_strike(inputs)
        second = recompute_strike(inputs)
        checks = check_strike(fund, valuation_at, inputs, strike, second)
        checks += check_coins(fund, valuation_at, coins, positions)
        plain = _plain_inputs(inputs, positions, coins, fund, valuation_at)
        row = NavStrike.objects.create(
            fund=fund,
            valuation_at=valuation_at,
            known_at=_database_time(),
            version=version,
            dealing_day=dealing_day,
            gross_assets=strike.net_assets,
            nav=strike.nav,
            inputs=plain,
            input_hash=content_hash(plain),
            result_hash=hash_result(strike),
            balances=[
                [code, f"{amount:f}"] for code, amount in owns_and_owes(fund, before=valuation_at)
            ],
            waterfall=canonical([[name, f"{amount:.2f}"] for name, amount in strike.waterfall]),
            checklist=[line.plain() for line in checks],
            second_engine=canonical(second),
            prepared_by=actor.user,
            prepared_at=at,
        )
        _store_results(row, strike, inputs)
        record_audit(
            actor=actor,
            action="nav.prepared",
            subject=("nav_strike", row.pk),
            body={"valuation_at": valuation_at, "nav": str(row.nav), "hash": row.result_hash},
            at=at,
        )
    return row


def approve_strike(
    *, strike: NavStrike, seen_hash: str, actor: Actor, at: datetime | None = None
) -> NavStrike:
    """Second signature and dealing, all or nothing.

    Raises :class:`NotAllowed` for the preparer or without the right, :class:`Conflict` when the
    result is not the one that was shown, the books changed since (``stale``), a check fails, the
    fund is suspended, or the strike is not waiting any more, and :class:`SignatureMissing` until
    the actor has signed this result.
    """
    actor.require(Capability.NAV_APPROVE)
    at = at or utc_now()
    with transaction.atomic():
        _lock(strike.fund)
        require_open(strike.fund)
        row = NavStrike.objects.select_for_update().get(pk=strike.pk)
        if row.state != NavStrike.State.PREPARED:
            raise Conflict("this NAV is not awaiting approval", code="not_prepared")
        actor.require_other_than(row.prepared_by, "a NAV approval")
        if seen_hash != row.result_hash:
            raise Conflict(
                "the NAV changed since you opened this page; reload and review it again",
                code="changed",
            )
        failed = [line["name"] for line in row.checklist if not line["passed"]]
        if not failed and not (breaks := check_book_breaks(row.fund)).passed:
            failed = [breaks.name]
        if failed:
            raise Conflict(f"checks fail: {', '.join(failed)}", code="checks_failed")
        _require_same_books(row)
        row.state = NavStrike.State.APPROVED
        row.approved_by, row.approved_at, row.approved_hash = actor.user, at, seen_hash
        with signed_step(action=NAV, subject=row.pk):
            row.save(update_fields=["state", "approved_by", "approved_at", "approved_hash"])
        record_audit(
            actor=actor,
            action="nav.approved",
            subject=("nav_strike", row.pk),
            body={"nav": str(row.nav), "hash": row.result_hash},
            at=at,
        )
        deal_strike(row, actor=actor, at=at)
        row.state, row.dealt_at = NavStrike.State.DEALT, at
        row.save(update_fields=["state", "dealt_at"])
        record_audit(actor=actor, action="nav.dealt", subject=("nav_strike", row.pk), at=at)
    return row


def reject_strike(
    *, strike: NavStrike, reason: str, actor: Actor, at: datetime | None = None
) -> NavStrike:
    """Send a prepared strike back with a reason; a further version may be prepared."""
    actor.require(Capability.NAV_APPROVE)
    if not reason.strip():
        raise InvalidInput("a reason is needed", code="reason_missing")
    with transaction.atomic():
        row = NavStrike.objects.select_for_update().get(pk=strike.pk)
        if row.state != NavStrike.State.PREPARED:
            raise Conflict("this NAV is not awaiting approval", code="not_prepared")
        row.state, row.rejected_reason = NavStrike.State.REJECTED, reason.strip()[:300]
        row.save(update_fields=["state", "rejected_reason"])
        record_audit(
            actor=actor,
            action="nav.rejected",
            subject=("nav_strike", row.pk),
            body={"reason": reason},
            at=at or utc_now(),
        )
    return row


def _store_results(row: NavStrike, strike: Strike, inputs: StrikeInputs) -> None:
    classes = {item.code: item for item in row.fund.classes.all()}
    for item, given in zip(strike.classes, inputs.classes, strict=True):
        ClassNav.objects.create(
            strike=row,
            share_class=classes[item.code],
            units=item.units,
            gav=item.gav,
            price=item.price,
            price_unrounded=None
            if item.price_unrounded is None
            else quantize(item.price_unrounded, Decimal("1e-18")),
            nav=item.nav,
            management_fee=item.management_fee,
            expenses=item.expenses,
            performance_fee_accrued=item.performance_fee,
            nav_per_unit=item.nav_per_unit,
            detail={
                "fee_cumulative": f"{quantize(item.fee_cumulative, Decimal('1e-18')):f}",
                "accrual_change": f"{item.accrual_change:f}",
                "residue": f"{item.residue:f}",
                "rounding": f"{item.nav - sum(item.lot_values, ZERO):f}",
                "gav_before": f"{given.gav_before:f}",
                "nav_before": f"{given.nav_before:f}",
                **({"pockets": [part.plain() for part in item.pockets]} if item.pockets else {}),
                **({"merges": [part.plain() for part in item.merges]} if item.merges else {}),
            },
        )
        copy_rows(
            LotNav,
            LOT_RESULT,
            (
                (
                    row.pk, lot.lot, lot.units, lot.mark, quantize(lot.fee_per_unit, FEE_QUANTUM),
                    quantize(lot.net_per_unit, FEE_QUANTUM), value,
                )
                for lot, value in zip(item.lots, item.lot_values, strict=True)
            ),
        )  # fmt: skip


def _plain_inputs(
    inputs: StrikeInputs,
    positions: list[SleevePosition],
    coins: list[ValuedCoins],
    fund: Fund,
    valuation_at: datetime,
) -> dict[str, Any]:
    """Everything the result depends on, as it is hashed."""
    plain: dict[str, Any] = canonical(
        {
            "fund": fund.code,
            "valuation_at": valuation_at,
            **({"pocket_changes": changes} if (changes := plain_changes(fund)) else {}),
            **_plain_books(inputs),
            "positions": [
                {
                    "instrument": item.instrument,
                    "strategy": item.strategy,
                    "quantity": item.quantity.normalize(),
                    "price": item.price.normalize(),
                    "unrealised": item.unrealised.normalize(),
                }
                for item in positions
            ],
            **({"coins": plain_coins(coins)} if coins else {}),
        }
    )
    return plain


def _plain_books(inputs: StrikeInputs) -> dict[str, Any]:
    """The part of a strike's inputs that the ledger and the registers hold."""
    plain: dict[str, Any] = canonical(
        {
            "previous_day": inputs.previous_day,
            "net_assets": inputs.net_assets,
            "unallocated": inputs.unallocated,
            **({"expenses": inputs.expenses} if inputs.expenses else {}),
            **(
                {"pockets": [[item.pocket, item.value] for item in inputs.pockets]}
                if inputs.pockets
                else {}
            ),
            **({"merges": [item.plain() for item in inputs.merges]} if inputs.merges else {}),
            **({"currency_result": inputs.currency_result} if inputs.currency_result else {}),
            "classes": [
                {
                    "code": item.code,
                    "terms": item.terms_version,
                    "gav_before": item.gav_before,
                    "nav_before": item.nav_before,
                    "fee_cumulative": item.fee_cumulative,
                    "lots": [[lot.number, lot.units, lot.mark, lot.clock] for lot in item.lots],
                }
                for item in inputs.classes
            ],
        }
    )
    return plain


def _require_same_books(row: NavStrike) -> None:
    """What was booked up to the instant after the preparing would be missing from the price."""
    fund, at = row.fund, row.valuation_at
    post_trading(fund, before=at, actor=Actor.system("nav"))
    post_expenses(fund, before=at, actor=Actor.system("nav"))
    now = _plain_books(gather_inputs(fund, at))
    named = now.keys() | ({"pockets", "merges"} & row.inputs.keys())
    changed = sorted(name for name in named if row.inputs.get(name) != now.get(name))
    changed += changed_rates(row, positions_at(fund, at=at)) + changed_pockets(row)
    if changed:
        raise Conflict(
            "the books changed after this NAV was prepared; return it to the preparer "
            "and prepare it again",
            code="stale",
            details={"changed": changed},
        )


def hash_result(strike: Strike) -> str:
    """What the approver of a NAV signs: day, totals, price, units and fees of every class, and
    what goes into side pockets or comes back."""
    return content_hash(_plain_strike(strike))


def _plain_strike(strike: Strike) -> dict[str, Any]:
    plain: dict[str, Any] = canonical(
        {
            "day": strike.day,
            "net_assets": strike.net_assets,
            "nav": strike.nav,
            "classes": [
                [item.code, item.price, item.units, item.management_fee, item.performance_fee]
                for item in strike.classes
            ],
            **_plain_parts("pockets", [item.pockets for item in strike.classes]),
            **_plain_parts("merges", [item.merges for item in strike.classes]),
        }
    )
    return plain


def _plain_parts(
    name: str, parts: Sequence[Sequence[ClassPocket | ClassMerge]]
) -> dict[str, list[list[dict[str, str]]]]:
    return {name: [[part.plain() for part in own] for own in parts]} if any(parts) else {}


def _database_time() -> datetime:
    """What the database knows by: recorded times are its own, never the caller's."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        now: datetime = cursor.fetchone()[0]
    return now


def _lock(fund: Fund) -> None:
    """One strike procedure of a fund at a time, which may compute for minutes between statements.

    A role's limit on idling in a transaction is made for pages: a fund of many lots on a slow
    machine would pass it, and its NAV come to nothing.  No stop waits for what a strike holds.
    """
    take_lock(AdvisoryLock.STRIKE_OF_FUND, fund.pk)
    with connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL idle_in_transaction_session_timeout = '{COMPUTING_MAX}'")
