"""What a strike is computed from, as the books stand: net assets, classes after the last dealing,
lots."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal

from django.db import connection
from django.db.models import QuerySet, Sum, TextField
from django.db.models.functions import Cast

from investors.domain.ledger.chart import PERFORMANCE_ACCRUAL, REDEMPTIONS_PAYABLE
from investors.domain.strike import (
    ClassInput,
    LotInput,
    MergeInput,
    PocketInput,
    StrikeInputs,
)
from investors.models import (
    ClassNav,
    Fund,
    NavStrike,
    ShareClass,
    UnitLot,
)
from investors.services.expenses import posted_between
from investors.services.ledger import (
    class_balance,
    net_assets,
)
from investors.services.pocket_changes import merges_at
from investors.services.pockets import pockets_at
from investors.services.policies import build_terms, policy_in_force, priced_classes
from magnetfund.kernel.money import quantize

ZERO, CENT = Decimal(0), Decimal("0.01")


def gather_inputs(fund: Fund, valuation_at: datetime, *, is_pooled: bool = False) -> StrikeInputs:
    """The inputs of a strike as the books stand: net assets, classes after the last dealing, lots.

    The mark of open positions must have been posted.  ``is_pooled`` puts all units of a class into
    one lot: prices are the same, since they come before the performance fee, and no lot is read.
    """
    previous = last_dealt(fund, before=valuation_at)
    since = None if previous is None else previous.valuation_at
    expenses, gained = posted_between(fund, since=since, before=valuation_at)
    return build_inputs(
        day=valuation_at.date(),
        previous=previous,
        money=net_assets(fund, before=valuation_at),
        expenses=expenses,
        currency_result=gained,
        classes=tuple(
            _class_input(item, previous, valuation_at, is_pooled=is_pooled)
            for item in priced_classes(fund, at=valuation_at)
        ),
        # An estimate values what there is; what the next NAV sets apart is in it still,
        # and what it brings back is not.
        pockets=() if is_pooled else pockets_at(fund, valuation_at),
        merges=() if is_pooled else merges_at(fund, valuation_at),
    )


def build_inputs(
    *,
    day: date,
    previous: NavStrike | None,
    money: Decimal,
    expenses: Decimal,
    currency_result: Decimal,
    classes: tuple[ClassInput, ...],
    pockets: tuple[PocketInput, ...] = (),
    merges: tuple[MergeInput, ...] = (),
) -> StrikeInputs:
    """The inputs of a strike; money without any unit is set apart as unallocated, never priced."""
    unallocated = ZERO
    if money > 0 and not any(item.units > 0 for item in classes):
        unallocated = quantize(money, CENT)
    return StrikeInputs(
        day=day,
        previous_day=previous.valuation_at.date() if previous is not None else None,
        net_assets=money - unallocated,
        unallocated=unallocated,
        expenses=expenses,
        currency_result=currency_result,
        classes=classes,
        pockets=pockets,
        merges=merges,
    )


def last_dealt(fund: Fund, *, before: datetime) -> NavStrike | None:
    """The newest dealt strike before an instant."""
    return (
        NavStrike.objects.filter(fund=fund, valuation_at__lt=before, state=NavStrike.State.DEALT)
        .defer("inputs")  # a line a lot, which pages would read at every look
        .order_by("-valuation_at", "-version")
        .first()
    )


def _class_input(
    item: ShareClass, previous: NavStrike | None, valuation_at: datetime, *, is_pooled: bool
) -> ClassInput:
    after: dict[str, Decimal] = {}
    row = None if previous is None else previous.classes.filter(share_class=item).first()
    if row is not None:  # a class that was opened since begins at nothing
        after = class_after(row, before=valuation_at)
    read = _pooled_lot if is_pooled else read_lots
    policy = policy_in_force(item, at=valuation_at)
    return ClassInput(
        code=item.code,
        terms=build_terms(policy.terms),
        terms_version=policy.version,
        launch_price=item.launch_price,
        gav_before=after.get("gav", ZERO),
        nav_before=after.get("nav", ZERO),
        fee_cumulative=after.get("fee_cumulative", ZERO),
        accrual_before=after.get("accrual", ZERO),
        lots=read(UnitLot.objects.filter(share_class=item, units__gt=0), valuation_at.date()),
    )


def read_lots(lots: QuerySet[UnitLot], day: date) -> tuple[LotInput, ...]:
    """Lots as the engine takes them, by number of issue; ``day`` is that of the valuation."""
    rows = lots.order_by("number").values_list(
        Cast("pk", TextField()), "number", "units", "high_water_mark", "hurdle_start",
        "dealing_day", "cost", Cast("holding__investor_id", TextField()), "lockup_until",
    )  # fmt: skip
    return tuple(
        LotInput(lot=lot, number=number, units=units, mark=mark, clock=clock,
                 dealing_day=dealt, cost=cost, holder=holder, lockup_until=locked)
        for lot, number, units, mark, clock, dealt, cost, holder, locked in rows
    )  # fmt: skip


def _pooled_lot(lots: QuerySet[UnitLot], day: date) -> tuple[LotInput, ...]:
    units = lots.aggregate(total=Sum("units"))["total"]
    if not units:
        return ()
    mark = Decimal(1)
    return (LotInput(lot="pool", number=1, units=units, mark=mark, clock=day, dealing_day=day),)


def class_after(
    row: ClassNav, *, before: datetime, known_at: datetime | None = None
) -> dict[str, Decimal]:
    """Where a dealt strike left a class: gav and nav after dealing, fee and accrual standing.

    What was distributed since (``before`` an instant) is no longer the class's.  Units come
    from the unit entries, the accrual from the ledger, so nothing is stored twice.
    """
    at, fund = row.strike.valuation_at, row.strike.fund
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT coalesce(sum(u.units), 0) FROM investors_unitentry u
               JOIN investors_unitlot l ON l.id = u.lot_id
               WHERE l.share_class_id = %s AND u.effective_at <= %s""",
            [row.share_class_id, at],
        )
        units: Decimal = cursor.fetchone()[0]
    accrual = -class_balance(fund, PERFORMANCE_ACCRUAL, row.share_class.code, until=at)
    gav = units * row.issue_price - distributed(row, before=before, known_at=known_at)
    return {
        "gav": gav,
        "nav": gav - accrual,
        "fee_cumulative": Decimal(row.detail["fee_cumulative"]),
        "accrual": accrual,
    }


def distributed(row: ClassNav, *, before: datetime, known_at: datetime | None = None) -> Decimal:
    """What the ledger says was declared to holders of a class between a strike and an instant."""
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT coalesce(-sum(p.amount), 0)
               FROM investors_posting p JOIN investors_entry e ON e.id = p.entry_id
               WHERE e.fund_id = %s AND e.kind = 'distribution_declared' AND p.account_id = %s
                 AND p.share_class = %s AND e.effective_at > %s AND e.effective_at < %s
                 AND (%s::timestamptz IS NULL OR e.recorded_at <= %s)""",
            [
                row.strike.fund_id,
                REDEMPTIONS_PAYABLE,
                row.share_class.code,
                row.strike.valuation_at,
                before,
                known_at,
                known_at,
            ],
        )
        total: Decimal = cursor.fetchone()[0]
    return total
