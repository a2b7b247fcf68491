"""The money of a dealing day: what is swept, what the bank keeps for payments, what goes to or from
the venue; and the value of every investor after it."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

from django.db import connection
from django.db.models import Sum

from investors.domain.coins import convert_money
from investors.domain.ledger import JointLine, Tags, build_joint_entry
from investors.domain.ledger.chart import BANK, OWED_FROM_BANK
from investors.models import DealingOrder, Fund, NavStrike
from investors.services.coin_values import rate_of_flows
from investors.services.holder_values import HolderValue, write_snapshots
from investors.services.ledger import NewEntry, post_entries, read_balances
from magnetfund.core.actors import Actor
from magnetfund.kernel.money import quantize
from trading.models import BookFlow

ZERO, CENT = Decimal(0), Decimal("0.01")


def settle_strike(strike: NavStrike, *, paid_in: Decimal, actor: Actor) -> None:
    """Sweep client money of dealt orders, and keep in the bank what is owed and no more."""
    fund, at = strike.fund, strike.valuation_at
    if paid_in:
        entry = build_joint_entry(
            event="collection_swept",
            source_ref=f"collection_swept:{strike.pk}",
            effective_at=at,
            lines=[JointLine(amounts={"amount": paid_in})],
            currency=fund.currency,
        )
        post_entries(fund, [NewEntry.of(entry)], actor=actor)
    level_bank(
        fund, at=at, source=f"strike:{strike.pk}", text=f"Dealing day {at:%Y-%m-%d}", actor=actor
    )


def level_bank(fund: Fund, *, at: datetime, source: str, text: str, actor: Actor) -> Decimal:
    """Bring the bank to what is owed from it, from or to the venue; gives what the venue got.

    Where the venue holds a stablecoin the money becomes coins, or coins money, at the rate of the
    newest NAV: the entry has the amount in each, and no result.  Money that waits to buy units of
    the fund itself does not leave and is not fetched.
    """
    until = at + timedelta(microseconds=1)
    balances = read_balances(fund, before=until, accounts=[BANK, *OWED_FROM_BANK])
    owed = -sum((balances.get((account, fund.currency), ZERO) for account in OWED_FROM_BANK), ZERO)
    waiting = DealingOrder.objects.filter(
        share_class__fund=fund, kind=DealingOrder.Kind.REINVESTMENT, state="funded"
    ).aggregate(total=Sum("amount"))["total"]
    flow = balances.get((BANK, fund.currency), ZERO) - owed + (waiting or ZERO)
    if not flow:
        return ZERO
    coin, applied = rate_of_flows(fund, at=at)
    sent = convert_money(flow, applied) if applied != 1 else flow
    amounts = {"amount": flow} if sent == flow else {"coins": sent, "paid": flow}
    entry = build_joint_entry(
        event="venue_funded",
        source_ref=f"venue_funded:{source}",
        effective_at=at,
        lines=[JointLine(amounts=amounts, tags=Tags(instrument=coin))],
        currency=fund.currency,
        text=f"{flow:,.2f} {fund.currency} against {sent:,.8f} {coin} at {applied.normalize():f}"
        if applied != 1
        else "",
    )
    post_entries(fund, [NewEntry.of(entry)], actor=actor)
    BookFlow.objects.create(
        book=fund.book, amount=sent, source_ref=source, text=text, occurred_at=at
    )
    return sent


def snapshot_investors(strike: NavStrike) -> None:
    """Each investor's units and net value after dealing, for the portal's curve."""
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT h.investor_id, sum(l.units), round(sum(l.units
                 * (coalesce(n.price, c.launch_price) - coalesce(f.performance_fee_per_unit, 0))),
                 18)
               FROM investors_unitlot l JOIN investors_holding h ON h.id = l.holding_id
               JOIN investors_shareclass c ON c.id = l.share_class_id
               JOIN investors_classnav n ON n.strike_id = %s AND n.share_class_id = c.id
               LEFT JOIN (SELECT v.lot_id, v.performance_fee_per_unit FROM investors_lotnav v
                  WHERE v.strike_id = %s AND v.performance_fee_per_unit > 0
                    AND v.lot_id NOT IN (SELECT u.lot_id FROM investors_unitentry u
                      WHERE u.strike_id = %s AND u.kind = 'fee_cancel')) f ON f.lot_id = l.id
               WHERE c.fund_id = %s AND l.units > 0 GROUP BY 1""",
            [strike.pk, strike.pk, strike.pk, strike.fund_id],
        )
        values = {
            who: HolderValue(units=units, value=quantize(value, CENT))
            for who, units, value in cursor.fetchall()
        }
    write_snapshots(strike.fund, day=strike.valuation_at.date(), values=values, is_estimate=False)
