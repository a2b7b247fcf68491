"""Every accounting event of a fund, by its stable name."""

from investors.domain.ledger.events.capital import CAPITAL
from investors.domain.ledger.events.corrections import CORRECTIONS
from investors.domain.ledger.events.fees import FEES
from investors.domain.ledger.events.income_expense import INCOME_EXPENSE
from investors.domain.ledger.events.trading import TRADING
from investors.domain.ledger.types import Event

EVENTS: dict[str, Event] = {
    event.name: event
    for group in (CAPITAL, FEES, TRADING, INCOME_EXPENSE, CORRECTIONS)
    for event in group
}

__all__ = ["EVENTS"]
