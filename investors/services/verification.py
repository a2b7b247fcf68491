"""Recompute every book independently, compare it with the stored records and list the differences.

Reads only.  Each check returns sentences about what differs; an empty list is a clean book.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from django.db import connection
from django.db.models import Sum

from investors.domain.strike import ClassInput, LotInput, StrikeInputs, recompute_strike
from investors.models import ClassNav, Fund, LotNav, NavStrike, UnitLot
from investors.services.ledger import net_assets, read_balances
from investors.services.nav_inputs import build_inputs, class_after
from investors.services.policies import terms_in_force
from trading.domain.positions import Position as FoldedPosition
from trading.models import Fill, FundingPayment, Position
from trading.services.fills import rebuild_positions

ZERO = Decimal(0)


def verify_fund(fund: Fund) -> list[str]:
    """All differences of one fund, by check."""
    problems: list[str] = []
    for check in CHECKS:
        problems += check(fund)
    return problems


def find_unbalanced(fund: Fund) -> list[str]:
    """Every entry balances in every currency."""
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT e.seq, p.currency, sum(p.amount)
               FROM investors_entry e JOIN investors_posting p ON p.entry_id = e.id
               WHERE e.fund_id = %s GROUP BY e.seq, p.currency HAVING sum(p.amount) <> 0""",
            [fund.pk],
        )
        found = [
            f"entry {seq}: debits and credits differ by {total} {currency}"
            for seq, currency, total in cursor
        ]
        cursor.execute(
            """SELECT e.seq FROM investors_entry e
               WHERE e.fund_id = %s
                 AND NOT EXISTS (SELECT 1 FROM investors_posting p WHERE p.entry_id = e.id)""",
            [fund.pk],
        )
        found += [f"entry {seq}: no postings" for (seq,) in cursor]
    return found


def find_broken_chain(fund: Fund) -> list[str]:
    """Entries are in sequence and the hash chain is unbroken."""
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT seq, before_seq, prev_hash IS DISTINCT FROM before_hash FROM (
                 SELECT seq, prev_hash, lag(seq) OVER w AS before_seq,
                        lag(row_hash) OVER w AS before_hash
                 FROM investors_entry WHERE fund_id = %s WINDOW w AS (ORDER BY seq)) t
               WHERE before_seq IS NOT NULL AND (seq <> before_seq + 1
                 OR prev_hash IS DISTINCT FROM before_hash) ORDER BY seq LIMIT 20""",
            [fund.pk],
        )
        return [
            f"entry {seq}: hash chain broken after entry {before}"
            for seq, before, _ in cursor.fetchall()
        ]


def find_unit_differences(fund: Fund) -> list[str]:
    """Lots agree with their movements, holdings with their lots, the unit register with the
    ledger."""
    found = []
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT l.number, l.units, coalesce(sum(u.units), 0)
               FROM investors_unitlot l JOIN investors_shareclass c ON c.id = l.share_class_id
               LEFT JOIN investors_unitentry u ON u.lot_id = l.id
               WHERE c.fund_id = %s GROUP BY l.id
               HAVING l.units <> coalesce(sum(u.units), 0)""",
            [fund.pk],
        )
        found += [f"lot {n}: register {a} units, movements {b} units" for n, a, b in cursor]
        cursor.execute(
            """SELECT h.id, h.units, coalesce(sum(l.units), 0)
               FROM investors_holding h JOIN investors_shareclass c ON c.id = h.share_class_id
               LEFT JOIN investors_unitlot l ON l.holding_id = h.id
               WHERE c.fund_id = %s GROUP BY h.id
               HAVING h.units <> coalesce(sum(l.units), 0)""",
            [fund.pk],
        )
        found += [f"holding {n}: {a} units, sum of its lots {b} units" for n, a, b in cursor]
        cursor.execute(
            """SELECT p.lot, sum(p.amount) FROM investors_posting p
               JOIN investors_entry e ON e.id = p.entry_id
               WHERE e.fund_id = %s AND p.account_id = '8010' GROUP BY p.lot""",
            [fund.pk],
        )
        ledger = dict(cursor.fetchall())
    for lot in UnitLot.objects.filter(share_class__fund=fund):
        if ledger.get(lot.pk, ZERO) != lot.units:
            found.append(
                f"lot {lot.number}: register {lot.units}, ledger {ledger.get(lot.pk, ZERO)}"
            )
    return found


def find_position_differences(fund: Fund) -> list[str]:
    """Stored positions agree with positions rebuilt from fills."""
    fills = Fill.objects.filter(book=fund.book).order_by("occurred_at", "id")
    rebuilt = rebuild_positions(fills.iterator(chunk_size=2000))
    found = []
    for row in Position.objects.filter(book=fund.book).select_related("instrument"):
        ours = rebuilt.pop((row.instrument_id, row.strategy), FoldedPosition())
        if ours.quantity != row.quantity or abs(ours.average_price - row.average_price) > Decimal(
            "1e-12"
        ):
            found.append(
                f"{row.instrument.symbol} {row.strategy}: stored {row.quantity} at "
                f"{row.average_price}, recomputed from fills {ours.quantity} at "
                f"{ours.average_price}"
            )
    found += [f"fills without a position: {key}" for key, p in rebuilt.items() if p.quantity]
    return found


def find_trading_differences(fund: Fund) -> list[str]:
    """Venue cash in the ledger agrees with transfers, realised P&L, fees and funding."""
    balances = read_balances(fund)
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT count(*) FROM trading_fill f WHERE f.book = %s AND f.occurred_at <
                 coalesce((SELECT max(valuation_at) FROM investors_navstrike
                           WHERE fund_id = %s AND state = 'dealt'), '-infinity')
               AND f.recorded_at <= coalesce((SELECT max(known_at) FROM investors_navstrike
                           WHERE fund_id = %s AND state = 'dealt'), '-infinity')
               AND (f.realised <> 0 OR f.fee <> 0)
               AND NOT EXISTS (SELECT 1 FROM investors_entry e
                               WHERE e.source_ref = 'fill:' || f.id)""",
            [fund.book, fund.pk, fund.pk],
        )
        (missing,) = cursor.fetchone()
        cursor.execute(
            """SELECT coalesce(sum(f.realised - f.fee), 0) FROM trading_fill f
               JOIN investors_entry e ON e.source_ref = 'fill:' || f.id WHERE f.book = %s""",
            [fund.book],
        )
        (traded,) = cursor.fetchone()
        cursor.execute(
            """SELECT coalesce(sum(f.amount), 0) FROM trading_fundingpayment f
               JOIN investors_entry e ON e.source_ref = 'funding:' || f.id WHERE f.book = %s""",
            [fund.book],
        )
        (funded,) = cursor.fetchone()
        cursor.execute(
            "SELECT coalesce(sum(amount), 0) FROM trading_bookflow WHERE book = %s", [fund.book]
        )
        (flows,) = cursor.fetchone()
    found = [f"{missing} fills before the last NAV are missing from the ledger"] if missing else []
    cash = balances.get(("1030", fund.currency), ZERO)
    if cash != flows + traded + funded:
        found.append(
            f"venue cash {cash}, recomputed from transfers, trades and funding "
            f"{flows + traded + funded}"
        )
    return found


def find_strike_differences(fund: Fund) -> list[str]:
    """Every dealt NAV agrees with its independent recalculation from the ledger and unit
    entries."""
    found: list[str] = []
    previous: NavStrike | None = None
    for strike in NavStrike.objects.filter(fund=fund, state=NavStrike.State.DEALT).order_by(
        "valuation_at"
    ):
        inputs = _inputs_again(fund, strike, previous)
        again = recompute_strike(inputs)
        for row in strike.classes.select_related("share_class"):
            code = row.share_class.code
            for name, stored in (
                ("price", row.price),
                ("management_fee", row.management_fee),
                ("performance_fee", row.performance_fee_accrued),
                ("nav", row.nav),
            ):
                if again[code].get(name) != stored:
                    found.append(
                        f"NAV of {strike.valuation_at:%Y-%m-%d} class {code}: stored {name} "
                        f"{stored}, recomputed {again[code].get(name)}"
                    )
        previous = strike
    return found


def _inputs_again(fund: Fund, strike: NavStrike, previous: NavStrike | None) -> StrikeInputs:
    """The inputs of a strike from the ledger's prefix and the unit entries before it."""
    classes = []
    for item in fund.classes.order_by("code"):
        after: dict[str, Decimal] = {}
        if previous is not None:
            row = ClassNav.objects.select_related("strike__fund", "share_class").get(
                strike=previous, share_class=item
            )
            after = class_after(row)
        classes.append(
            ClassInput(
                code=item.code,
                terms=terms_in_force(item, at=strike.valuation_at),
                launch_price=item.launch_price,
                gav_before=after.get("gav", ZERO),
                nav_before=after.get("nav", ZERO),
                fee_cumulative=after.get("fee_cumulative", ZERO),
                accrual_before=after.get("accrual", ZERO),
                lots=_lots_before(item.pk, strike),
            )
        )
    return build_inputs(
        day=strike.valuation_at.date(),
        previous=previous,
        money=net_assets(fund, before=strike.valuation_at),
        classes=tuple(classes),
    )


def _lots_before(share_class_id: int, strike: NavStrike) -> tuple[LotInput, ...]:
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT l.id, l.number, sum(u.units),
                      (array_agg(u.high_water_mark ORDER BY u.id DESC))[1],
                      (array_agg(u.hurdle_start ORDER BY u.id DESC))[1], l.dealing_day
               FROM investors_unitlot l JOIN investors_unitentry u ON u.lot_id = l.id
               WHERE l.share_class_id = %s AND u.effective_at < %s
               GROUP BY l.id HAVING sum(u.units) > 0 ORDER BY l.number""",
            [share_class_id, strike.valuation_at],
        )
        return tuple(
            LotInput(lot=str(lot), number=number, units=units, mark=mark, clock=clock,
                     dealing_day=day)
            for lot, number, units, mark, clock, day in cursor.fetchall()
        )  # fmt: skip


def find_fund_total_differences(fund: Fund) -> list[str]:
    """At each dealt strike: net lot values and the rounding residue add to the fund's NAV."""
    found = []
    for strike in NavStrike.objects.filter(fund=fund, state=NavStrike.State.DEALT):
        for row in strike.classes.select_related("share_class"):
            lots = LotNav.objects.filter(strike=strike, lot__share_class=row.share_class)
            total = lots.aggregate(total=Sum("net_value"))["total"] or ZERO
            if total + row.rounding != row.nav:
                found.append(
                    f"NAV of {strike.valuation_at:%Y-%m-%d} class {row.share_class.code}: lots "
                    f"{total} plus rounding {row.rounding} do not equal NAV {row.nav}"
                )
    return found


def find_funding_differences(fund: Fund) -> list[str]:
    """Two funding payments of one sleeve at one stamp cannot be."""
    total = FundingPayment.objects.filter(book=fund.book).count()
    distinct = (
        FundingPayment.objects.filter(book=fund.book)
        .values("instrument", "strategy", "stamp")
        .distinct()
        .count()
    )
    return [] if total == distinct else [f"{total - distinct} funding payments are booked twice"]


CHECKS: tuple[Callable[[Fund], list[str]], ...] = (
    find_unbalanced,
    find_broken_chain,
    find_unit_differences,
    find_position_differences,
    find_trading_differences,
    find_strike_differences,
    find_fund_total_differences,
    find_funding_differences,
)
