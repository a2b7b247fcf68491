"""The blocking checks of a prepared strike, each in words with its numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from investors.domain.coins import recompute_difference
from investors.domain.ledger.chart import (
    POCKET_ASSETS,
    POCKET_CAPITAL,
    SUSPENSE,
    UNALLOCATED,
    UNITS_HELD,
    VENUE_CASH,
)
from investors.domain.strike import (
    Strike,
    StrikeInputs,
)
from investors.models import (
    Fund,
)
from investors.services.breaks import open_breaks
from investors.services.coin_recount import recount_coins, unrealised_by_symbol
from investors.services.coin_values import ValuedCoins, plain_coins
from investors.services.ledger import (
    read_balances,
)
from investors.services.pocket_books import compare_pockets, read_pocket_balances
from investors.services.pocket_changes import changes_due
from investors.services.pockets import pockets_due
from investors.services.trading_books import SleevePosition
from magnetfund.kernel.identifiers import canonical
from trading.models import Fill, Reconciliation

ZERO, CENT = Decimal(0), Decimal("0.01")
BREAKS_CHECK = "no open break with bank or custodian"
BREAKS_NAMED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockingCheck:
    """One blocking test of a strike, in words with its numbers; ``figures`` are kept with them for
    pages, which never read what a strike froze."""

    name: str
    passed: bool
    words: str
    figures: Mapping[str, Any] | None = None

    def plain(self) -> dict[str, Any]:
        kept = {} if self.figures is None else {"figures": canonical(self.figures)}
        return {"name": self.name, "passed": self.passed, "words": self.words, **kept}


def check_strike(
    fund: Fund,
    valuation_at: datetime,
    inputs: StrikeInputs,
    strike: Strike,
    second: dict[str, dict[str, Decimal]],
) -> list[BlockingCheck]:
    """Every blocking equality of a strike."""
    checks = []
    for item in strike.classes:
        other = second[item.code]
        same = (
            other.get("price") == item.price
            and other["management_fee"] == item.management_fee
            and other["performance_fee"] == item.performance_fee
            and abs(other["nav"] - item.nav) < CENT / 2
        )
        checks.append(
            BlockingCheck(
                name=f"independent recalculation, class {item.code}",
                passed=same,
                words=f"price {item.price or 'none'} against {other.get('price', 'none')}, "
                f"NAV {item.nav:,.2f} against {other['nav']:,.2f}",
            )
        )
    checks.append(_check_sums(strike))
    checks.append(_check_units(fund, inputs))
    checks += [_check_suspense(fund, valuation_at)]
    checks += [_check_breaks(fund, valuation_at), check_book_breaks(fund)]
    checks += _check_pockets(fund, valuation_at, strike, second)
    checks += _check_merges(fund, valuation_at, inputs, strike, second)
    if inputs.unallocated:
        checks.append(
            BlockingCheck(
                name="money without units",
                passed=True,
                words=f"{inputs.unallocated:,.2f} become the liability {UNALLOCATED}, unallocated; "
                "they price no unit",
            )
        )
    return checks


def check_coins(
    fund: Fund,
    valuation_at: datetime,
    coins: Sequence[ValuedCoins],
    positions: Sequence[SleevePosition],
) -> list[BlockingCheck]:
    """What is held in each stablecoin by the rate that was taken, against a second count of it."""
    checks = []
    again = {} if not coins else recount_coins(
        fund, before=valuation_at, unrealised=unrealised_by_symbol(positions)
    )  # fmt: skip
    for item in coins:
        row, parts = item.row, again.get(item.held.coin, [])
        second = recompute_difference(parts, row.rate, is_par_agreed=item.is_par_agreed)
        if item.is_void:
            taken = "par is void beyond 0.5 %, taken by its rate"
        else:
            taken = "at par" if item.applied == 1 else "taken by its rate"
        checks.append(
            BlockingCheck(
                name=f"{item.held.coin} valued and counted again",
                passed=second == item.difference and sum(parts, ZERO) == item.held.amount,
                words=f"{item.held.amount:,.2f} at {row.rate.normalize():f} ({row.source}, "
                f"{row.observed_at:%Y-%m-%d %H:%M} UTC), {taken}: difference "
                f"{item.difference:,.2f} against {second:,.2f}",
                figures=plain_coins([item])[0],
            )
        )
    return checks + _check_claims(fund, coins)


def _check_claims(fund: Fund, coins: Sequence[ValuedCoins]) -> list[BlockingCheck]:
    """A claim on venue cash leaves it one for one, and what the venue pays for one comes so: what
    both are worth only while coins are at par.  Else the other holders would bear the rest."""
    taken = [row.name for row in pockets_due(fund) if row.account == VENUE_CASH]
    due = changes_due(fund)
    paid = [row.pocket.name for row in due if row.cash and row.line_id is None]
    back = [row.pocket.name for row in due if row.account == VENUE_CASH]
    off = [item.held.coin for item in coins if item.applied != 1]
    if not off:
        return []
    words = []
    if taken:
        words.append(
            f"{', '.join(taken)} would leave venue cash one for one, while {', '.join(off)} is not "
            "at par: withdraw it, and set it apart at a NAV at par"
        )
    if paid:
        words.append(
            f"what the venue paid for {', '.join(paid)} would come one for one, while "
            f"{', '.join(off)} is not at par: withdraw it, and book it at a NAV at par or as the "
            "receipt of the bank"
        )
    if back:
        words.append(
            f"{', '.join(back)} would come back to venue cash one for one, while "
            f"{', '.join(off)} is not at par: withdraw it, and merge it at a NAV at par"
        )
    return [
        BlockingCheck(name="side pockets take venue cash at par", passed=False, words=line)
        for line in words
    ]


def _check_sums(strike: Strike) -> BlockingCheck:
    """Lots and rounding make each class, classes make the fund, lines of the waterfall add."""
    parts = sum((item.gav for item in strike.classes), ZERO)
    fees = sum((item.management_fee for item in strike.classes), ZERO)
    navs = sum((item.nav for item in strike.classes), ZERO)
    loose = [
        item.code
        for item in strike.classes
        if abs(item.nav - sum(item.lot_values, ZERO) - item.residue) > CENT
    ]
    return BlockingCheck(
        name="lots sum to classes, classes to the fund",
        passed=parts == strike.net_assets - fees and navs == strike.nav and not loose,
        words=f"classes {navs:,.2f}, fund {strike.nav:,.2f}"
        + (f"; lots differ in {', '.join(loose)}" if loose else ""),
    )


def _check_suspense(fund: Fund, valuation_at: datetime) -> BlockingCheck:
    """Suspense is nobody's money: a NAV waits until it is explained."""
    open_amount = read_balances(fund, before=valuation_at, accounts=[SUSPENSE]).get(
        (SUSPENSE, fund.currency), ZERO
    )
    return BlockingCheck(
        name="suspense account is zero",
        passed=open_amount == 0,
        words=f"account {SUSPENSE}: {open_amount:,.2f} {fund.currency}",
    )


def _check_breaks(fund: Fund, valuation_at: datetime) -> BlockingCheck:
    """The newest comparison of book and venue lists no difference, and was made at the valuation
    point or after it: an earlier one knows nothing of what was traded between."""
    newest = Reconciliation.objects.filter(book=fund.book).order_by("-occurred_at").first()
    if not Fill.objects.filter(book=fund.book, occurred_at__lt=valuation_at).exists():
        passed, words = newest is None or newest.is_clean, "nothing traded yet"
    elif newest is None or newest.occurred_at < valuation_at:
        before = f"last {_say_time(newest.occurred_at)}" if newest is not None else "never compared"
        passed, words = (
            False,
            (
                f"{before}, not since the valuation point; a running trader compares each minute, "
                "without one run manage.py settle_orders"
            ),
        )
    else:
        passed = newest.is_clean
        words = f"reconciled {_say_time(newest.occurred_at)}, {len(newest.differences)} differences"
    return BlockingCheck(name="no open break against the venue", passed=passed, words=words)


def _say_time(at: datetime) -> str:
    return f"{at:%-d %b %Y, %H:%M} UTC"


def check_book_breaks(fund: Fund) -> BlockingCheck:
    """No difference with bank, venue or custodian waits that is above its tolerance."""
    waiting = list(open_breaks(fund).filter(is_blocking=True)[:BREAKS_NAMED])
    return BlockingCheck(
        name=BREAKS_CHECK,
        passed=not waiting,
        words="; ".join(
            f"{row.get_source_display()} {row.reference}: {row.difference:,.2f} {row.asset}"
            for row in waiting
        )
        or "every break is closed",
    )


def _check_pockets(
    fund: Fund, valuation_at: datetime, strike: Strike, second: dict[str, dict[str, Decimal]]
) -> list[BlockingCheck]:
    """Claims that this strike sets apart stand in their account, and both engines take the same;
    what stands apart is what its units were given and earned."""
    due = {row.name: row for row in pockets_due(fund)}
    found = []
    balances = read_balances(
        fund,
        before=valuation_at,
        accounts=[POCKET_ASSETS, POCKET_CAPITAL, *(row.account for row in due.values())],
    )
    taken: dict[str, Decimal] = {}
    for name in dict.fromkeys(part.pocket for item in strike.classes for part in item.pockets):
        row = due[name]
        parts = {
            item.code: part
            for item in strike.classes
            for part in item.pockets
            if part.pocket == name
        }
        taken[row.account] = taken.get(row.account, ZERO) + row.value
        stands = balances.get((row.account, fund.currency), ZERO)
        agrees = all(
            second[code].get(f"pocket:{name}") == part.value
            and second[code].get(f"pocket_units:{name}") == part.units
            for code, part in parts.items()
        )
        of_all = sum((part.value for part in parts.values()), ZERO)
        found.append(
            BlockingCheck(
                name=f"side pocket {name} is set apart",
                passed=agrees and of_all == row.value and taken[row.account] <= stands,
                words=f"{row.value:,.2f} of {stands:,.2f} on account {row.account}; "
                + ", ".join(
                    f"class {code} {part.value:,.2f} with {part.units.normalize():,f} units"
                    for code, part in parts.items()
                )
                + ("" if agrees else "; the second engine takes another part"),
            )
        )
    if balances.get((POCKET_ASSETS, fund.currency)) or balances.get(
        (POCKET_CAPITAL, fund.currency)
    ):
        wrong = compare_pockets(fund, before=valuation_at)
        apart = balances.get((POCKET_ASSETS, fund.currency), ZERO)
        found.append(
            BlockingCheck(
                name="side pockets agree with ledger",
                passed=not wrong,
                words="; ".join(wrong)
                or f"{apart:,.2f} {fund.currency} stand apart and in no class's NAV",
            )
        )
    return found


def _check_merges(
    fund: Fund,
    valuation_at: datetime,
    inputs: StrikeInputs,
    strike: Strike,
    second: dict[str, dict[str, Decimal]],
) -> list[BlockingCheck]:
    """Pockets that come back bring what they are carried at, and both engines make the same units
    of it for the same fee."""
    if not inputs.merges:
        return []
    balances = read_pocket_balances(fund, before=valuation_at)
    signed = {row.pocket.name: row.merged for row in changes_due(fund)}
    found = []
    for name in (item.pocket for item in inputs.merges):
        parts = {
            item.code: part
            for item in strike.classes
            for part in item.merges
            if part.pocket == name
        }
        agrees = all(
            second[code].get(f"merge_fee:{name}") == part.fee
            and second[code].get(f"merge_units:{name}") == part.units
            for code, part in parts.items()
        )
        whole = sum((part.value for part in parts.values()), ZERO)
        stands = balances[name].capital if name in balances else ZERO
        found.append(
            BlockingCheck(
                name=f"side pocket {name} is merged back",
                passed=agrees and whole == stands == signed.get(name),
                words=f"{whole:,.2f} of {stands:,.2f} carried; "
                + ", ".join(
                    f"class {code} {part.units.normalize():,f} units for {part.value:,.2f} less a "
                    f"fee of {part.fee:,.2f}"
                    for code, part in parts.items()
                )
                + ("" if agrees else "; the second engine makes other units or another fee"),
            )
        )
    return found


def _check_units(fund: Fund, inputs: StrikeInputs) -> BlockingCheck:
    """Units in the register against the units in the ledger."""
    balances = read_balances(fund, accounts=[UNITS_HELD])
    wrong = [
        f"class {item.code}: register {item.units}, ledger {ledger}"
        for item in inputs.classes
        if (ledger := balances.get((UNITS_HELD, f"U:{fund.code}:{item.code}"), ZERO)) != item.units
    ]
    return BlockingCheck(
        name="unit register agrees with ledger",
        passed=not wrong,
        words="; ".join(wrong) or "units of every class agree",
    )
