"""Events of positions, derivatives, borrowing, currencies and venues."""

from __future__ import annotations

from investors.domain.ledger.types import CHOSEN, Event, Measure, PostingRule, money

VENUE_OR_OPEN = ("1030", "2140")
VENUE_OR_DUE = ("1030", "1200")

TRADING: tuple[Event, ...] = (
    Event(
        name="spot_bought",
        meaning="Position bought, for venue cash or payable until settlement",
        rules=(money("cost", "1100", CHOSEN), money("fee", "5090", CHOSEN)),
        choices=VENUE_OR_OPEN,
    ),
    Event(
        name="spot_sold",
        meaning="Position sold; what it brought above cost is realised, a loss is the mirror",
        rules=(
            money("cost", CHOSEN, "1100"),
            money("gain", CHOSEN, "4010", either_sign=True),
            money("fee", "5090", CHOSEN),
        ),
        choices=VENUE_OR_DUE,
    ),
    Event(
        name="trade_settled",
        meaning="Unsettled trades were paid or received",
        rules=(money("paid", "2140", "1030"), money("received", "1030", "1200")),
    ),
    Event(
        name="mark_to_market",
        meaning="Change of market value since the last strike; a loss is the mirror",
        rules=(money("change", CHOSEN, "4020", either_sign=True),),
        choices=("1110", "1120", "2220"),
    ),
    Event(
        name="derivative_closed",
        meaning="A derivative's result was settled in cash and its mark taken back",
        rules=(
            money("result", "1030", "4010", either_sign=True),
            money("mark", "4020", "1120", either_sign=True),
            money("fee", "5090", "1030"),
        ),
    ),
    Event(
        name="trade_fill",
        meaning="A fill of a perpetual: realised result and fee, in venue cash",
        rules=(
            money("realised", "1030", "4010", either_sign=True),
            money("fee", "5090", "1030", either_sign=True),
        ),
    ),
    Event(
        name="funding",
        meaning="Funding received or paid at the venue",
        rules=(money("received", "1030", "4030"), money("paid", "5100", "1030")),
    ),
    Event(
        name="funding_accrued",
        meaning="Funding up to the valuation instant",
        rules=(money("receivable", "1230", "4030"), money("payable", "5100", "2230")),
    ),
    Event(
        name="funding_settled",
        meaning="Accrued funding was received or paid",
        rules=(money("received", "1030", "1230"), money("paid", "2230", "1030")),
    ),
    Event(
        name="borrowed",
        meaning="Money borrowed at a venue",
        rules=(money("amount", "1030", "2200"),),
    ),
    Event(
        name="borrowing_repaid",
        meaning="Borrowed money and its interest went back",
        rules=(money("amount", "2200", "1030"), money("interest", "2210", "1030")),
    ),
    Event(
        name="interest_accrued",
        meaning="Interest owed on borrowings",
        rules=(money("amount", "5100", "2210"),),
    ),
    Event(
        name="short_opened",
        meaning="Asset sold that was not held; owed at market",
        rules=(money("proceeds", "1030", "2220"), money("fee", "5090", "1030")),
    ),
    Event(
        name="short_closed",
        meaning="A short position was bought back at its market value",
        rules=(money("amount", "2220", "1030"), money("fee", "5090", "1030")),
    ),
    Event(
        name="liquidated",
        meaning="The venue closed a position by force; what cash does not cover is owed to it",
        rules=(
            money("loss", "4010", "1030"),
            money("mark", "4020", "1120", either_sign=True),
            money("fee", "5090", "1030"),
            money("shortfall", "1030", "2200"),
        ),
    ),
    Event(
        name="venue_transfer",
        meaning="Money moved between venues or wallets, with its network fee",
        rules=(
            PostingRule(part="amount", debit="1030", credit="1030", debit_to_other=True),
            money("fee", "5090", "1030"),
        ),
    ),
    Event(
        name="venue_funded",
        meaning="Money moved from the bank to a venue; back is the mirror",
        rules=(
            money("amount", "1030", "1010", either_sign=True),
            money("coins", "1030", "1040", either_sign=True),
            PostingRule(
                part="paid", debit="1040", credit="1010", either_sign=True, credit_to_other=True
            ),
        ),
    ),
    Event(
        name="transfer_sent",
        meaning="Money left a venue and is under way",
        rules=(money("amount", "1200", "1030"), money("fee", "5090", "1030")),
    ),
    Event(
        name="transfer_arrived",
        meaning="Money under way arrived",
        rules=(money("amount", "1030", "1200"),),
    ),
    Event(
        name="currency_converted",
        meaning="One currency or coin sold for another, through currency trading",
        rules=(
            PostingRule(part="bought", debit="1030", credit="9010", measure=Measure.OTHER_MONEY),
            money("sold", "9010", "1030"),
            money("fee", "5090", "1030"),
        ),
    ),
    Event(
        name="coins_valued",
        meaning="Coins that are held, brought to their rate at a strike; a loss is the mirror",
        rules=(money("change", "1040", "4055", either_sign=True),),
    ),
    Event(
        name="currency_revalued",
        meaning="Open currency trading at the rates of the strike; a loss is the mirror",
        rules=(money("change", "9010", "4050", either_sign=True),),
    ),
    Event(
        name="venue_failed",
        meaning="Money at a venue or a receivable is lost; any claim goes to a side pocket",
        rules=(money("cash", CHOSEN, "1030"), money("receivable", CHOSEN, "1200")),
        choices=("4010", "5110"),
    ),
)
