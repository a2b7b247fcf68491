"""Every dealt NAV computed again from the ledger's prefix and the unit movements before it."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

from django.db.models import Sum

from investors.domain.strike import (
    Strike,
    compute_strike,
    recompute_strike,
)
from investors.models import Fund, LotNav, NavStrike
from investors.selectors import read_class_rows, read_fee_proofs
from investors.services.nav import hash_result
from investors.services.nav_as_known import inputs_as_known
from magnetfund.kernel.identifiers import content_hash
from magnetfund.kernel.money import quantize

ZERO = Decimal(0)
FEE_STEP = Decimal("1e-12")


def find_strike_differences(fund: Fund) -> list[str]:
    """Every dealt NAV agrees with its independent recalculation from the ledger and unit
    entries."""
    found: list[str] = []
    previous: NavStrike | None = None
    for strike in NavStrike.objects.filter(fund=fund, state=NavStrike.State.DEALT).order_by(
        "valuation_at"
    ):
        inputs = inputs_as_known(
            fund,
            strike.valuation_at,
            previous=previous,
            versions={item["code"]: item.get("terms") for item in strike.inputs["classes"]},
        )
        if "expenses" not in strike.inputs:  # from before they had a line of their own
            inputs = replace(inputs, expenses=ZERO)
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
        found += _compare_results(strike, compute_strike(inputs))
        previous = strike
    return found


def find_strike_hash_differences(fund: Fund) -> list[str]:
    """Inputs of every NAV hash to what was recorded."""
    return [
        f"NAV of {row.valuation_at:%Y-%m-%d} version {row.version}: its inputs are not those that "
        "were frozen"
        for row in NavStrike.objects.filter(fund=fund).order_by("valuation_at", "version")
        if content_hash(row.inputs) != row.input_hash
    ]


def _compare_results(strike: NavStrike, again: Strike) -> list[str]:
    """Totals, the hash that was approved, each class and each lot against the first engine."""
    day = f"{strike.valuation_at:%Y-%m-%d}"
    told: list[tuple[str, Any, Any]] = [
        ("NAV", strike.nav, again.nav),
        ("net assets", strike.gross_assets, again.net_assets),
        ("result hash", strike.result_hash, hash_result(again)),
        (
            "waterfall",
            strike.waterfall,
            [[name, f"{amount:.2f}"] for name, amount in again.waterfall],
        ),
    ]
    rows = {row.share_class.code: row for row in strike.classes.select_related("share_class")}
    lots = {str(row.lot_id): row for row in strike.lots.all()}
    for item in again.classes:
        row = rows.get(item.code)
        if row is None:
            told.append((f"class {item.code}", "nothing", "a result"))
            continue
        told += [
            (f"class {item.code} units", row.units, item.units),
            (f"class {item.code} gross asset value", row.gav, item.gav),
            (f"class {item.code} expenses", row.expenses, item.expenses),
            (f"class {item.code} NAV per unit", row.nav_per_unit, item.nav_per_unit),
            (f"class {item.code} residue", Decimal(row.detail["residue"]), item.residue),
        ]
        for lot, value in zip(item.lots, item.lot_values, strict=True):
            kept = lots.pop(lot.lot, None)
            what = f"class {item.code} lot {lot.number}"
            if kept is None:
                told.append((what, "nothing", "a result"))
                continue
            told += [
                (f"{what} units", kept.units, lot.units),
                (f"{what} mark", kept.high_water_mark, lot.mark),
                (f"{what} value", kept.net_value, value),
                (
                    f"{what} fee per unit",
                    kept.performance_fee_per_unit,
                    quantize(lot.fee_per_unit, FEE_STEP),
                ),
            ]
    told += [(f"lot {row.lot_id}", "a result", "nothing") for row in lots.values()]
    return [
        f"NAV of {day}: stored {name} {stored}, recomputed {again}"
        for name, stored, again in told
        if stored != again
    ]


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


def find_fee_method_differences(fund: Fund) -> list[str]:
    """At each dealt NAV, lots, series and equalisation charge every lot the same performance fee,
    and their sum is what the NAV accrued."""
    found, dealt = [], read_class_rows(fund)
    for strike in NavStrike.objects.filter(fund=fund, state=NavStrike.State.DEALT).order_by(
        "valuation_at"
    ):
        for proof in read_fee_proofs(strike, dealt=dealt):
            if proof.agrees:
                continue
            what = f"NAV of {strike.valuation_at:%Y-%m-%d} class {proof.code}"
            found += [
                f"{what} lot {lot.number}: performance fee by lots {lot.by_lot:.12f}, by series "
                f"{lot.by_series:.12f}, by equalisation {lot.by_equalisation:.12f}"
                for lot in proof.differing
            ]
            if not proof.differing:
                found.append(
                    f"{what}: performance fee {proof.charged} accrued, {proof.by_series:.12f} by "
                    "series"
                )
    return found
