"""Side pockets: signed by two people, set apart as a NAV said, standing as their units moved."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal

from django.db import connection

from investors.domain.strike import count_pocket_units, merge_side_pocket
from investors.models import (
    ClassNav,
    Fund,
    NavStrike,
    PocketChange,
    PocketEntry,
    SidePocket,
    UnitEntry,
)
from investors.services.pocket_books import compare_pockets, read_pocket_lots
from investors.services.pocket_changes import describe_change
from investors.services.pockets import describe_pocket
from investors.services.policies import terms_in_force
from investors.services.verification.proofs import proved_since
from magnetfund.core.roles import Capability
from magnetfund.core.services.signatures import SignedAct, SignedRow, find_signature_faults
from magnetfund.core.services.signing import POCKET, POCKET_CHANGE

ZERO, CENT = Decimal(0), Decimal("0.01")
SHOWN = 40


def find_pocket_differences(fund: Fund) -> list[str]:
    """Pockets were signed; every lot gave the share that its NAV said, out of its own units; claim,
    capital and units agree."""
    rows = list(fund.pockets.filter(is_approved=True).select_related("strike"))
    since = proved_since(fund)
    found = find_signature_faults([_signed(row, since) for row in rows])
    found += compare_pockets(fund) + _find_unmoved(fund)
    for row in rows:
        if row.strike is not None:
            found += _find_shares(row, row.strike)
    changes = PocketChange.objects.filter(pocket__fund=fund, is_approved=True).select_related(
        "pocket", "strike"
    )
    found += find_signature_faults([_signed_change(row, since) for row in changes])
    for change in changes:
        if change.strike is not None:
            found += _find_booked(change, change.strike)
            if change.kind == PocketChange.Kind.MERGE:
                found += _find_merged(change, change.strike)
    return found


def _find_booked(change: PocketChange, strike: NavStrike) -> list[str]:
    """What a change moved: its cash, and the value that rested after it."""
    what = f"{change.pocket.name} at the NAV of {strike.valuation_at:%Y-%m-%d}"
    entries = change.pocket.entries.filter(effective_at__lte=strike.valuation_at)
    paid = -sum(
        entries.filter(strike=strike, kind=PocketEntry.Kind.PAID).values_list("value", flat=True),
        ZERO,
    )
    rests = sum(entries.values_list("value", flat=True), ZERO)
    found = []
    back = -sum(
        entries.filter(strike=strike, kind=PocketEntry.Kind.MERGED).values_list("value", flat=True),
        ZERO,
    )
    if back != change.merged:
        found.append(f"{what}: {back} merged back, signed {change.merged}")
    if paid != change.cash:
        found.append(f"{what}: {paid} paid out, signed {change.cash}")
    if rests != change.value:
        found.append(f"{what}: carried at {rests}, signed {change.value}")
    if not change.value and (left := sum(entries.values_list("units", flat=True), ZERO)):
        found.append(f"{what}: {left} units of a claim of which nothing is left")
    return found


def _find_merged(change: PocketChange, strike: NavStrike) -> list[str]:
    """Fee, units and mark of every lot that came back again, by the rule and the NAV's prices."""
    name, at = change.pocket.name, strike.valuation_at
    rows = list(strike.classes.select_related("share_class"))
    parts = merge_side_pocket(
        lots=read_pocket_lots(change.pocket_id, before=at),
        terms={row.share_class.code: terms_in_force(row.share_class, at=at) for row in rows},
        prices={row.share_class.code: row.issue_price for row in rows},
        day=at.date(),
    )
    stored = {
        str(lot): (number, -units, -value, fee, into)
        for lot, number, units, value, fee, into in change.pocket.entries.filter(
            strike=strike, kind=PocketEntry.Kind.MERGED
        ).values_list("lot_id", "lot__number", "units", "value", "fee", "into_id")
    }
    bought = {
        lot: (units, mark, clock)
        for lot, units, mark, clock in UnitEntry.objects.filter(
            strike=strike, kind=UnitEntry.Kind.MERGE
        ).values_list("lot_id", "units", "high_water_mark", "hurdle_start")
    }
    found = []
    for part in parts:
        lot = part.pocket
        number, *left, into = stored.pop(lot.lot, ("?", ZERO, ZERO, ZERO, None))
        if left != [lot.units, lot.value, part.fee]:
            found.append(
                f"{name} lot {number}: {left[0]} units worth {left[1]} left it for a fee of "
                f"{left[2]}, by the rule {lot.units} worth {lot.value} for {part.fee}"
            )
        again = (part.units, part.mark, part.clock) if part.units else None
        own = None if into is None else bought.pop(into, None)
        if own != again:
            found.append(f"{name} lot {number}: not the main units, mark or clock of its value")
    others = set(
        PocketEntry.objects.filter(strike=strike, kind=PocketEntry.Kind.MERGED)
        .exclude(pocket=change.pocket_id)
        .values_list("into_id", flat=True)
    )
    found += [f"{name}: units of a lot {lot} that no pocket gave" for lot in {*bought} - others]
    return found[:SHOWN]


def _find_shares(pocket: SidePocket, strike: NavStrike) -> list[str]:
    """Units of every lot of the NAV again: the claim's share of it, in whole steps."""
    if strike.state not in (NavStrike.State.DEALT, NavStrike.State.SUPERSEDED):
        return [f"{pocket.name}: set apart by a NAV that was not dealt"]
    classes = {row.share_class_id: row for row in strike.classes.select_related("share_class")}
    gross = sum((row.gav for row in classes.values() if row.units > 0), ZERO)
    taking = {
        pk
        for pk, row in classes.items()
        if any(part["pocket"] == pocket.name for part in row.detail.get("pockets", ()))
    }
    steps = {
        pk: terms_in_force(classes[pk].share_class, at=strike.valuation_at).unit_quantum
        for pk in taking
    }
    kind = PocketEntry.Kind.CREATED
    moved = dict(pocket.entries.filter(kind=kind).values_list("lot_id", "units"))
    found = []
    lots = strike.lots.filter(lot__share_class__in=taking).values_list(
        "lot_id", "lot__number", "lot__share_class_id", "units"
    )
    for lot, number, share_class, units in lots:
        again = count_pocket_units(units, value=pocket.value, gross=gross, step=steps[share_class])
        stored = moved.pop(lot, ZERO)
        if stored != again:
            found.append(f"{pocket.name} lot {number}: {stored} units set apart, its share {again}")
    found += _find_values(pocket, classes.values())
    found += [f"{pocket.name}: units of a lot {lot} that the NAV does not know" for lot in moved]
    given = sum(pocket.entries.filter(kind=kind).values_list("value", flat=True), ZERO)
    if given != pocket.value:
        found.append(f"{pocket.name}: {given} set apart, signed {pocket.value}")
    return found[:SHOWN]


def _find_values(pocket: SidePocket, classes: Iterable[ClassNav]) -> list[str]:
    """Lots whose part of the claim is not that of their units in the class, to a cent."""
    parts = {
        row.share_class_id: (Decimal(part["value"]), Decimal(part["units"]))
        for row in classes
        for part in row.detail.get("pockets", ())
        if part["pocket"] == pocket.name
    }
    created = pocket.entries.filter(kind=PocketEntry.Kind.CREATED)
    found = []
    for number, share_class, units, value in created.values_list(
        "lot__number", "lot__share_class_id", "units", "value"
    ):
        of_class, all_units = parts.get(share_class, (ZERO, ZERO))
        if abs(value * all_units - of_class * units) > CENT * all_units:
            found.append(f"{pocket.name} lot {number}: {value} is not the part of its units")
    return found


def _find_unmoved(fund: Fund) -> list[str]:
    """What left the lots for pockets came into them, by lot and NAV."""
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT l.number, coalesce(o.units, 0), coalesce(i.units, 0)
               FROM (SELECT u.lot_id, u.strike_id, -sum(u.units) AS units
                     FROM investors_unitentry u
                     WHERE u.fund_id = %s AND u.kind = 'side_pocket_out' GROUP BY 1, 2) o
               FULL JOIN (SELECT x.lot_id, x.strike_id, sum(x.units) AS units
                     FROM investors_pocketentry x JOIN investors_sidepocket k ON k.id = x.pocket_id
                     WHERE k.fund_id = %s AND x.kind = 'created' GROUP BY 1, 2) i
                 USING (lot_id, strike_id)
               JOIN investors_unitlot l ON l.id = lot_id
               WHERE o.units IS DISTINCT FROM i.units ORDER BY l.number LIMIT %s""",
            [fund.pk, fund.pk, SHOWN],
        )
        return [
            f"lot {number}: {out} units left for side pockets, {into} came in"
            for number, out, into in cursor.fetchall()
        ]


def _signed_change(row: PocketChange, since: datetime | None) -> SignedRow:
    assert row.decided_by_id is not None
    return SignedRow(
        what=f"change of side pocket {row.pocket.name}",
        signatures=(
            SignedAct(user=row.proposed_by_id, capability=Capability.DEALING_PROCESS),
            SignedAct(user=row.decided_by_id, capability=Capability.POCKETS_APPROVE, by_line=True),
        ),
        action="pocket_change.approved",
        subject=("pocket_change", str(row.pk)),
        body=tuple(describe_change(row).items()),
        proof=(POCKET_CHANGE, row.pk),
        proof_since=since,
    )


def _signed(row: SidePocket, since: datetime | None) -> SignedRow:
    assert row.decided_by_id is not None
    return SignedRow(
        what=f"side pocket {row.name}",
        signatures=(
            SignedAct(user=row.proposed_by_id, capability=Capability.DEALING_PROCESS),
            SignedAct(user=row.decided_by_id, capability=Capability.POCKETS_APPROVE, by_line=True),
        ),
        action="pocket.approved",
        subject=("side_pocket", str(row.pk)),
        body=tuple(describe_pocket(row).items()),
        proof=(POCKET, row.pk),
        proof_since=since,
    )
