"""Recompute every book independently, compare it with the stored records and list the differences.

Reads only.  Each check returns sentences about what differs; an empty list is a clean book.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django.db import connection, transaction

from investors.models import Fund
from investors.services.verification.books import (
    find_funding_differences,
    find_trading_differences,
)
from investors.services.verification.expenses import find_expense_differences
from investors.services.verification.ledger import (
    find_broken_chain,
    find_sourceless,
    find_unbalanced,
)
from investors.services.verification.money import (
    find_money_differences,
    find_payable_differences,
)
from investors.services.verification.orders import find_dealing_differences
from investors.services.verification.others import find_other_differences
from investors.services.verification.pocket_transfers import find_transfer_differences
from investors.services.verification.pockets import find_pocket_differences
from investors.services.verification.rates import find_rate_differences
from investors.services.verification.rebates import find_rebate_differences
from investors.services.verification.register import (
    find_lot_differences,
    find_reservation_differences,
    find_snapshot_differences,
    find_unit_chain_breaks,
    find_unit_differences,
)
from investors.services.verification.signatures import find_signature_differences
from investors.services.verification.strikes import (
    find_fee_method_differences,
    find_fund_total_differences,
    find_strike_differences,
    find_strike_hash_differences,
)
from investors.services.verification.suspensions import find_suspension_differences
from risk.services.verification import find_limit_differences, find_reset_differences
from trading.services.kept_sums import find_sum_differences
from trading.services.verification import (
    find_order_differences,
    find_payment_differences,
    find_position_differences,
    find_trade_differences,
)

Check = Callable[[Fund], list[str]]

__all__ = ["CHECKS", "find_broken_chain", "find_unbalanced", "one_snapshot", "verify_fund"]


@contextmanager
def one_snapshot() -> Iterator[None]:
    """Read everything as of one instant, so that what is booked meanwhile is no difference.

    Inside a transaction of the caller its own view holds.
    """
    if connection.in_atomic_block:
        yield
        return
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield


def verify_fund(fund: Fund) -> list[str]:
    """All differences of one fund, by check."""
    problems: list[str] = []
    with one_snapshot():
        for check in CHECKS:
            problems += check(fund)
    return problems


def _of_book(check: Callable[[str], list[str]]) -> Check:
    """A check of a book as one of its fund."""

    def checked(fund: Fund) -> list[str]:
        return check(fund.book)

    checked.__name__, checked.__doc__ = check.__name__, check.__doc__
    return checked


CHECKS: tuple[Check, ...] = (
    find_unbalanced,
    find_broken_chain,
    find_sourceless,
    find_unit_chain_breaks,
    find_unit_differences,
    find_lot_differences,
    find_reservation_differences,
    find_dealing_differences,
    find_money_differences,
    find_payable_differences,
    find_expense_differences,
    find_rebate_differences,
    find_rate_differences,
    find_pocket_differences,
    find_transfer_differences,
    find_suspension_differences,
    find_other_differences,
    find_strike_hash_differences,
    find_strike_differences,
    find_fund_total_differences,
    find_fee_method_differences,
    find_snapshot_differences,
    find_signature_differences,
    find_trading_differences,
    find_funding_differences,
    _of_book(find_position_differences),
    _of_book(find_order_differences),
    _of_book(find_trade_differences),
    _of_book(find_sum_differences),
    _of_book(find_payment_differences),
    _of_book(find_limit_differences),
    _of_book(find_reset_differences),
)
