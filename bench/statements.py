"""Monthly statements: 1,000 built from a month's books, checked that they tie, and set as PDF.

Run as ``python -m bench.statements``.  Processor seconds of one core; no database is read.
"""

from __future__ import annotations

import os
import time
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from bench.timing import Row, print_rows

STATEMENTS = 1_000
LOTS_EACH = 2
#: Strikes on the first of each month, all holders in from January: year and start are one stretch.
STRUCK = [datetime(2026, month, 1, tzinfo=UTC) for month in range(1, 12)]
FIRST, LAST = len(STRUCK) - 2, len(STRUCK) - 1
PRICE, NEXT_PRICE = Decimal("100"), Decimal("101.25")


def make_statements(count: int) -> int:
    """Bytes of ``count`` statements of one month."""
    from investors.domain.fees import ClassTerms
    from investors.models import ShareClass
    from investors.services.investor_statements import TEMPLATE, build_holder_statement
    from investors.services.papers import render_paper
    from investors.services.statement_words import describe_statement

    books, people, lots = _make_books(count)
    terms = {"A": (ShareClass(code="A", name="A"), ClassTerms())}
    size = 0
    for person in people:
        made = build_holder_statement(
            books, person, lots[person.pk], terms, number=f"2026-10-{person.number}", version=1
        )
        size += len(render_paper(TEMPLATE, describe_statement(books, person, made)))
    return size


def _make_books(count: int) -> tuple[Any, list[Any], dict[Any, list[Any]]]:
    """A fund of one class that earned 1.25 a unit in October, and its holders' lots."""
    from investors.domain.statements import ClassPeriod, FundPeriod, StatementLot
    from investors.models import Fund, Investor, NavStrike
    from investors.services.statement_books import HolderBook, PeriodBooks
    from investors.services.statement_periods import Period

    fund = Fund(code="main", name="Magnet Fund", currency="USD")
    strikes = tuple(
        NavStrike(fund=fund, valuation_at=at, input_hash="a" * 64, result_hash="b" * 64)
        for at in STRUCK
    )
    holders, people, lots = {}, [], {}
    total = Decimal(0)
    for k in range(count):
        person = Investor(number=f"{k:04}", legal_name=f"Investor {k}")
        own = [
            StatementLot(
                lot=f"{k}-{j}", share_class="A", entry_day=date(2026, 1, 1),
                units=Decimal(10 * (k % 97 + 1)), entry_price=PRICE,
                cost=PRICE * 10 * (k % 97 + 1), mark=PRICE, price=NEXT_PRICE,
                fee_per_unit=Decimal(0), net_per_unit=NEXT_PRICE,
                value=NEXT_PRICE * 10 * (k % 97 + 1),
            )
            for j in range(LOTS_EACH)
        ]  # fmt: skip
        units = sum((lot.units for lot in own), Decimal(0))
        total += units
        people.append(person)
        lots[person.pk] = own
        holders[person.pk] = HolderBook(
            values={k: units * (PRICE if k < LAST else NEXT_PRICE) for k in range(len(STRUCK))},
            units={k: {"A": units} for k in range(len(STRUCK))},
        )
    month = FundPeriod(
        classes=(
            ClassPeriod(code="A", units=total, share=Decimal(1), management_fee=total / 4),
        ),
        result={"realised_result": total * 2, "trading_cost": -total / 2},
    )  # fmt: skip
    books = PeriodBooks(
        fund=fund,
        period=Period(name="2026-10", opening=strikes[FIRST], closing=strikes[LAST]),
        strikes=strikes,
        first=FIRST,
        last=LAST,
        periods=(month,),
        holders=holders,
        capital={},
    )
    return books, people, lots


def run() -> list[Row]:
    """The rows of this bench."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "magnetfund.settings_test")
    import django

    django.setup()
    make_statements(10)
    began = time.process_time()
    make_statements(STATEMENTS)
    took = time.process_time() - began
    return [(f"statements, {STATEMENTS:,} PDFs, processor seconds", took, 10.0, "s")]


if __name__ == "__main__":
    print_rows(run())
