"""A strike of a fund with 100,000 lots: fees per lot, crystallisation, and the proof of units.

Run as ``python -m bench.nav``.  Lots are drawn with a fixed seed; both engines must agree.
"""

from __future__ import annotations

import hashlib
import random
from datetime import date, timedelta
from decimal import Decimal

from bench.timing import Row, best_seconds, print_rows
from investors.domain.proof import ProvenLot, build_tree
from investors.domain.strike import (
    ClassInput,
    ClassTerms,
    Hurdle,
    LotInput,
    StrikeInputs,
    compute_strike,
    crystallise_lots,
    recompute_strike,
)

LOTS = 100_000
SEED = 20260131
DAY = date(2026, 1, 31)


def make_inputs(*, lots: int = LOTS, seed: int = SEED) -> StrikeInputs:
    """Two classes, one with a hurdle, whose lots entered on many days above and below today."""
    source = random.Random(seed)
    classes = []
    for code, hurdle in (("A", Hurdle.NONE), ("B", Hurdle.SOFT_CATCH_UP)):
        terms = ClassTerms(
            management_rate=Decimal("0.02"),
            performance_rate=Decimal("0.2"),
            hurdle=hurdle,
            hurdle_rate=Decimal("0.05"),
        )
        made = []
        for number in range(lots // 2):
            entered = DAY - timedelta(days=source.randrange(31, 1500))
            made.append(
                LotInput(
                    lot=f"{code}{number:06}",
                    number=number,
                    units=Decimal(source.randrange(1, 10**10)).scaleb(-6),
                    mark=Decimal(source.randrange(60_000_000, 160_000_000)).scaleb(-6),
                    clock=entered,
                    dealing_day=entered,
                )
            )
        gav = sum((lot.units for lot in made), Decimal(0)) * 120
        classes.append(
            ClassInput(
                code=code,
                terms=terms,
                launch_price=Decimal(100),
                lots=tuple(made),
                gav_before=gav,
                nav_before=gav,
            )
        )
    net_assets = sum((item.gav_before for item in classes), Decimal(0)) * Decimal("1.01")
    return StrikeInputs(
        day=DAY,
        previous_day=DAY - timedelta(days=31),
        net_assets=net_assets.quantize(Decimal("0.01")),
        classes=tuple(classes),
    )


def strike_and_crystallise(inputs: StrikeInputs) -> int:
    """One strike and the crystallisation of all its lots; gives the number of fee cuts."""
    strike = compute_strike(inputs)
    return sum(
        len(crystallise_lots(terms=item.terms, price=struck.price, lots=struck.lots))
        for item, struck in zip(inputs.classes, strike.classes, strict=True)
    )


def build_register_root(inputs: StrikeInputs) -> str:
    """The published root over all lots."""
    holdings = [
        ProvenLot(lot=lot.lot, units=lot.units, salt=hashlib.sha256(lot.lot.encode()).digest())
        for item in inputs.classes
        for lot in item.lots
    ]
    return build_tree(holdings=holdings).root.digest


def engines_differ(inputs: StrikeInputs) -> int:
    """Fields in which the two engines disagree; zero is the only good answer."""
    second = recompute_strike(inputs)
    return sum(
        second[struck.code][name] != getattr(struck, name)
        for struck in compute_strike(inputs).classes
        for name in ("price", "management_fee", "performance_fee", "nav")
    )


def run() -> list[Row]:
    """The rows of this bench."""
    inputs = make_inputs()
    strike = best_seconds(lambda: strike_and_crystallise(inputs), rounds=2)
    second = best_seconds(lambda: recompute_strike(inputs), rounds=2)
    tree = best_seconds(lambda: build_register_root(inputs), rounds=2)
    return [
        (f"NAV strike and crystallisation, {LOTS:,} lots", strike, 5.0, "s"),
        (f"second NAV engine, {LOTS:,} lots", second, 5.0, "s"),
        (f"proof of units, tree of {LOTS:,} lots", tree, 5.0, "s"),
        ("fields in which the two NAV engines differ", engines_differ(inputs), 0.0, "fields"),
    ]


if __name__ == "__main__":
    print_rows(run())
