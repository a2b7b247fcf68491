"""Money that arrives: lines of a bank or a chain, and what each of them is for."""

from investors.domain.receipts.camt import OF_DAY, read_camt053
from investors.domain.receipts.lines import (
    LINES_MAX,
    BankStatement,
    StatementFormat,
    StatementRow,
    mask_number,
    plain_number,
)
from investors.domain.receipts.matching import (
    Arrival,
    Outcome,
    Payer,
    Suggestion,
    WaitingOrder,
    WaitingOrders,
    measure_match,
    suggest_match,
)
from investors.domain.receipts.names import NameBook, score_names
from investors.domain.receipts.tables import read_bank_csv, read_chain_csv

__all__ = [
    "LINES_MAX",
    "OF_DAY",
    "Arrival",
    "BankStatement",
    "NameBook",
    "Outcome",
    "Payer",
    "StatementFormat",
    "StatementRow",
    "Suggestion",
    "WaitingOrder",
    "WaitingOrders",
    "mask_number",
    "measure_match",
    "plain_number",
    "read_bank_csv",
    "read_camt053",
    "read_chain_csv",
    "score_names",
    "suggest_match",
]
