"""Terms that are not everyday English, each with the one sentence that a page shows on hover.

``docs/glossary.md`` prints the same sentences; a test holds the two together.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

TERMS: Mapping[str, str] = MappingProxyType(
    {
        # what a holding is worth
        "NAV": "Net asset value: assets less liabilities, after all accrued fees.",
        "NAV before performance fee": "NAV after expenses and management fee, before "
        "the performance fee.",
        "dealing price per unit": "NAV before performance fee divided by the units of "
        "the class; orders deal at it.",
        "net value per unit": "Dealing price less the performance fee accrued on the lot.",
        "lot": "Units issued by one subscription, with a high-water mark of their own.",
        "high-water mark": "The higher of a lot's entry price and its value when a "
        "performance fee was last taken for good.",
        "side pocket": "A claim set apart for those who held units when a NAV did it; in no "
        "class's NAV, without fees until it is paid or merged back.",
        "hurdle": "Return below which no performance fee is due.",
        "accrued": "Counted so far and able to fall again.",
        "crystallised": "Taken for good; it cannot fall again.",
        "estimate": "Unaudited value since the last NAV, after every accrued fee; not a dealing "
        "price.",
        "TWR": "Time-weighted return: the return of the units, whatever the time of cash flows.",
        "MWR": "Money-weighted return: the constant rate at which the cash flows reach "
        "today's value.",
        "drawdown": "Fall from a peak.",
        "maximum drawdown": "The largest drawdown so far.",
        "net invested": "Subscriptions less redemptions.",
        "par": "One for one with the fund's currency; a stablecoin is at par within 0.5 %.",
        # dealing
        "valuation point": "Instant at which positions are valued for a NAV.",
        "dealing day": "Day on which orders are dealt.",
        "cut-off": "Last time at which orders and cleared funds count for a dealing day.",
        "forward pricing": "The price is set after the cut-off, so nobody knows it when ordering.",
        "subscription": "Order to buy units of the fund.",
        "redemption": "Order to give units back for money.",
        "redemption gate": "Share of NAV that may leave on one dealing day; the rest is deferred.",
        "lock-up": "Time before a lot may be redeemed.",
        "notice period": "Time before a dealing day by which an order must arrive.",
        "cleared funds": "Money that has arrived and cannot be called back.",
        "restatement": "Corrected NAV of a past valuation point, kept as a new version.",
        "break": "A difference between two sets of books that nobody has explained yet.",
        # trading
        "sleeve": "The part of the fund that one strategy trades.",
        "notional": "Quantity times price: the size of a position before margin.",
        "margin": "Equity committed to a position.",
        "leverage": "Notional divided by equity.",
        "mark price": "Price at which a position is valued now.",
        "liquidation price": "Mark price at which the venue closes the position by itself.",
        "residual position": "A position worth less than 0.1 % of equity.",
        "magnet": "A price where orders are expected to cluster; a zone is several of them merged.",
        "ATR": "Average true range: the usual move of one bar, over 14 bars.",
        # risk
        "survival fuse": "The control that cuts or closes positions when a threshold is reached.",
        "trip": "Close all positions and block every order that adds exposure.",
        "re-arm": "Allow exposure again; it takes two people and a clean reconciliation.",
        "daily-loss limit": "Loss since 00:00 UTC at which the fuse trips.",
        "drawdown limit": "Fall from the peak of the unit value at which the fuse trips.",
        "headroom": "Distance from a measure to its threshold.",
        "binding limit": "The limit that sets the size, because it allows least.",
        "pre-trade check": "All controls that an order must pass before it is sent.",
        "worst-hour loss": "Loss if the worst hour on record came again.",
        "conflict": "Pull of the zones against the target, divided by the pull towards it.",
        "dead-man switch": "Stops new entries when the trader sends no heartbeat.",
    }
)  # fmt: skip
