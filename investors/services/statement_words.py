"""A statement as it is printed: every figure as text, the same for the PDF and the page."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from investors.domain.exact import ZERO
from investors.domain.fees import ClassTerms, DayCount
from investors.domain.statements import FEE_COMPONENTS, Span, Statement
from investors.models import Investor, ShareClass, UnitEntry
from investors.services.estate_rules import say_holder
from investors.services.pocket_books import PocketHolding
from investors.services.statement_books import HolderBook, PeriodBooks, UnitMove
from investors.services.statement_rebates import list_rebate_rows
from magnetfund.core.templatetags.figures import money, percent, signed, signed_percent

LINES = {
    "subscriptions": "Deposits",
    "redemptions": "Redemptions",
    "transfers": "Units transferred",
    "side_pockets": "Set apart in side pockets",
    "distributions": "Distributions",
    "realised_result": "Trading, realised",
    "unrealised_result": "Trading, change in unrealised",
    "funding": "Funding and borrowing",
    "staking_and_interest": "Interest and staking",
    "fx": "Currency result of stablecoins",
    "trading_cost": "Trading fees",
    "financing_cost": "Financing",
    "other_income": "Dealing fees and rounding kept by the fund",
    "management_fee": "Management fee",
    "performance_fee_accrued": "Performance fee, change of the accrual",
    "performance_fee_crystallised": "Performance fee, made final",
    "dealing_fees": "Entry and exit fees",
    "other_expenses": "Fund expenses",
    "equalisation_and_compensation": "Compensation",
}
CHECKS = {
    "lots_to_closing_value": "The values of your lots add to the closing value",
    "units_times_net_value": "Units times net value per unit is the value of each lot",
    "lots_to_closing_units": "The units of your lots are those of the register",
    "unit_roll_forward": "Opening units and every movement give the closing units",
    "price_less_fee_is_net_value": "Price less accrued fee is the net value per unit of each lot",
    "flows_to_bridge": "Money in and out is that of the ledger",
}
REMARKS = (
    "Values are at the approved NAV of the closing day, before its dealing; what was dealt at that "
    "NAV is in the next statement. Trading, funding and expenses are your units' part of what the "
    "ledger booked for the whole fund. The time-weighted return shows how the fund performed for "
    "you, the money-weighted return how your money performed; they differ only because of when "
    "money came and went. Periods under a year are not annualised; from a year on the "
    "money-weighted return is a yearly rate. Figures are after all fees and unaudited. Tell us "
    "within 30 days if something looks wrong."
)
DAY_COUNTS = {
    DayCount.ACT_365F: "Act/365",
    DayCount.ACT_360: "Act/360",
    DayCount.THIRTY_360: "30/360",
}
MOVES = {
    "issue": "Subscription",
    "redeem": "Redemption",
    "fee_cancel": "Performance fee, units cancelled",
    "switch_out": "Switch to another class",
    "switch_in": "Switch from another class",
    "transfer_out": "Transfer to another holder",
    "transfer_in": "Transfer from another holder",
    "side_pocket_out": "Set apart in a side pocket",
    "merge": "Merged back from a side pocket",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class HolderStatement:
    """One statement before it is printed, with returns over the period, the year and since the
    start."""

    statement: Statement
    spans: tuple[tuple[str, Span], ...]
    terms: tuple[tuple[ShareClass, ClassTerms], ...]
    holder: HolderBook


def describe_statement(
    books: PeriodBooks, investor: Investor, made: HolderStatement
) -> dict[str, Any]:
    """Everything that a statement prints, as text."""
    statement, fund, period = made.statement, books.fund, books.period
    begin = 0 if books.first is None else books.first
    name = month_name(period.name)
    moves = made.holder.moves
    rebates = list_rebate_rows(made.holder.rebates, period)
    presented = _presented(statement)
    pockets = [_pocket(item) for item in books.pockets.get(investor.pk, ())]
    return {
        "title": f"Statement for {name}",
        "month": name,
        "number": statement.head.number,
        "version": str(statement.head.version),
        "supersedes": statement.head.supersedes,
        "fund": fund.name,
        "currency": fund.currency,
        "holder": say_holder(investor),
        "account": investor.number,
        "classes": ", ".join(item.code for item, _ in made.terms),
        "period": f"{_day(period.start)}, 00:00 UTC to {_day(period.end)}, 00:00 UTC",
        "nav": f"NAV of {_day(period.end)}, version {period.closing.version}",
        "is_simulated": fund.is_simulated,
        "figures": {
            "opening": f"{statement.opening:f}",
            "closing": f"{statement.closing:f}",
            "flows": f"{statement.flows:f}",
            "fees": f"{statement.fees:f}",
            "gain": f"{statement.gain:f}",
            "paid_in": f"{_paid_in(statement):f}",
            "twr": _plain(made.spans[0][1].twr),
            "mwr": _plain(made.spans[0][1].mwr),
        },
        "shown": {
            "closing": money(statement.closing),
            "gain": signed(statement.gain),
            "twr": signed_percent(made.spans[0][1].twr),
        },
        "words": _say(statement, made.spans, name, fund.currency),
        "bridge": _bridge(statement, period.start, period.end),
        # A statement without any keeps the figures that it was printed with before there were some.
        **({"rebates": rebates} if rebates else {}),
        **({"presented": presented} if presented else {}),
        "lots": [
            [
                lot.share_class, _day(lot.entry_day), _units(lot.units), _price(lot.entry_price),
                money(lot.cost), _price(lot.price), _price(lot.mark), _price(lot.fee_per_unit),
                _price(lot.net_per_unit), money(lot.value),
            ]
            for lot in statement.lots
        ],
        "lots_sum": [
            _units(sum((lot.units for lot in statement.lots), ZERO)),
            money(sum((lot.cost for lot in statement.lots), ZERO)),
            money(statement.closing),
        ],
        "units": [
            [
                code, _units(roll.opening), _units(roll.issued), _units(-roll.redeemed),
                _units(-roll.fee_units), _units(roll.transferred - roll.set_apart),
                _units(roll.closing),
            ]
            for code, roll in statement.units.items()
        ],
        # As with rebates: a statement from before there were any keeps its figures.
        **({"pockets": pockets} if pockets else {}),
        "moves": [_move(item) for item in moves if begin <= item.strike < books.last],
        "dealt": [_move(item) for item in moves if item.at == period.closing.valuation_at],
        "returns": [_returns(label, span) for label, span in made.spans],
        "terms": [_terms(item, terms) for item, terms in made.terms],
        "checks": [CHECKS[item.name] for item in statement.tie_outs],
        "proof": {
            "inputs": period.closing.input_hash,
            "result": period.closing.result_hash,
        },
        "remarks": REMARKS,
    }  # fmt: skip


def month_name(period: str) -> str:
    """October 2026."""
    return f"{date(int(period[:4]), int(period[5:]), 1):%B %Y}"


def _bridge(statement: Statement, start: date, end: date) -> list[list[str]]:
    rows = [[f"Value on {_day(start)}", money(statement.opening), "total"]]
    for line in statement.bridge.lines:
        name, _, sleeve = line.label.partition(":")
        words = LINES[name] + (f", {sleeve}" if sleeve else "")
        if name == "side_pockets" and line.amount > 0:
            words = "Merged back from side pockets"
        rows.append([words, signed(line.amount), "fee" if name in FEE_COMPONENTS else "line"])
    if statement.bridge.rounding:
        rows.append(["Rounding", signed(statement.bridge.rounding), "line"])
    rows.append([f"Value on {_day(end)}", money(statement.closing), "total"])
    return rows


def _say(
    statement: Statement, spans: tuple[tuple[str, Span], ...], name: str, currency: str
) -> str:
    month = name.partition(" ")[0]
    word = "gained" if statement.gain >= 0 else "lost"
    text = f"Your holding {word} {money(abs(statement.gain))} {currency} in {month}."
    if statement.flows:
        way = "came in" if statement.flows > 0 else "went out"
        text += f" {money(abs(statement.flows))} {currency} {way}."
    total = spans[-1][1]
    way = "up" if total.gain >= 0 else "down"
    return (
        f"{text} Since {_day(total.start)} you are {way} {money(abs(total.gain))} {currency} after "
        "all fees."
    )


def _returns(label: str, span: Span) -> list[str]:
    words = "Since your start" if label == "start" else label
    if len(label) == 7:
        words = month_name(label)
    rate = signed_percent(span.mwr)
    yearly = " a year" if span.is_yearly and span.mwr is not None else ""
    return [
        words, f"{_day(span.start)} to {_day(span.end)}", signed(span.gain),
        signed_percent(span.twr), f"{rate}{yearly}",
    ]  # fmt: skip


def _terms(item: ShareClass, terms: ClassTerms) -> str:
    rates = " to ".join(
        dict.fromkeys(percent(band.rate) for band in (terms.bands[0], terms.bands[-1]))
    )
    months = ", ".join(f"{date(2000, month, 1):%B}" for month in terms.crystallisation_months)
    text = f"Class {item.code}: management fee {rates} a year, {DAY_COUNTS[terms.day_count]}"
    if terms.performance_rate:
        text += (
            f"; performance fee {percent(terms.performance_rate)} of the gain of each lot above "
            f"its own high-water mark, final at the end of {months}"
        )
        if terms.hurdle_rate:
            text += f", hurdle {percent(terms.hurdle_rate)} a year ({terms.hurdle.value})"
    return text + "."


def _presented(statement: Statement) -> list[list[str]]:
    """Each lot of a class that shows its fee by series or by equalisation, as that method has it;
    the values are those of the lots."""
    return [
        [
            lot.share_class, _day(lot.entry_day),
            f"Series of {_day(one.series)}" if one.series else "Published price",
            _units(one.units), _price(one.price), money(one.credit), money(one.contingent),
            money(lot.value),
        ]
        for lot in statement.lots
        if (one := lot.presented) is not None
    ]  # fmt: skip


def _move(item: UnitMove) -> list[str]:
    words = MOVES.get(item.kind) or UnitEntry.Kind(item.kind).label.capitalize()
    return [
        _day(item.at.date()), words, item.share_class, signed(item.units, 6),
        _price(item.price), signed(item.units * item.price),
    ]  # fmt: skip


def _pocket(item: PocketHolding) -> list[str]:
    """Units of a side pocket that belong to one lot: no part of the closing value."""
    strike = item.pocket.strike
    return [
        f"{item.pocket.name}, {item.pocket.asset}", item.share_class, _day(item.entry_day),
        _units(item.units), money(item.value), _price(item.mark),
        "" if strike is None else _day(strike.valuation_at.date()),
    ]  # fmt: skip


def _paid_in(statement: Statement) -> Decimal:
    return sum(
        (line.amount for line in statement.bridge.lines if line.label == "subscriptions"), ZERO
    )


def _day(value: date) -> str:
    return f"{value:%-d %b %Y}"


def _units(value: Decimal) -> str:
    return money(value, 6)


def _price(value: Decimal) -> str:
    return money(value, 6)


def _plain(value: Decimal | None) -> str | None:
    return None if value is None else f"{value:.12f}"
