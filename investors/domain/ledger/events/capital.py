"""Events of holders' capital: money in and out, units, switches, transfers, side pockets."""

from __future__ import annotations

from investors.domain.ledger.types import (
    Event,
    PostingRule,
    between_lots,
    money,
    units_in,
    units_out,
)

CAPITAL: tuple[Event, ...] = (
    Event(
        name="subscription_received",
        meaning="Client money arrived for an order; a liability until units are issued",
        rules=(money("amount", "1020", "2010"),),
    ),
    Event(
        name="unknown_receipt",
        meaning="Money arrived that no order explains; it is owed to its sender",
        rules=(money("amount", "1020", "2015"),),
    ),
    Event(
        name="receipt_identified",
        meaning="An unmatched receipt was matched to an order",
        rules=(money("amount", "2015", "2010"),),
    ),
    Event(
        name="receipt_released",
        meaning="Money of an order that was taken back is owed to its sender again",
        rules=(money("amount", "2010", "2015"),),
    ),
    Event(
        name="receipt_returned",
        meaning="An unmatched receipt went back to its sender",
        rules=(money("amount", "2015", "1020"),),
    ),
    Event(
        name="receipt_reversed",
        meaning="The bank took an unmatched receipt back; it is owed to nobody",
        rules=(money("amount", "2015", "1020"),),
    ),
    Event(
        name="unallocated_recognised",
        meaning="Money that stands in the books while no class has units is owed, not priced",
        rules=(money("amount", "3100", "2340"),),
    ),
    Event(
        name="entry_fee",
        meaning="Entry fee out of the subscription, to the fund or to a third party",
        rules=(money("to_fund", "2010", "4060"), money("to_third_party", "2010", "2150")),
    ),
    Event(
        name="units_issued",
        meaning="Units issued at the approved price; what they do not take goes to the residue",
        rules=(
            money("consideration", "2010", "3010"),
            money("residue", "2010", "3900"),
            units_in(),
        ),
    ),
    Event(
        name="collection_swept",
        meaning="Money of dealt orders moved to the operating account",
        rules=(money("amount", "1010", "1020"),),
    ),
    Event(
        name="subscription_refunded",
        meaning="Money of a rejected or lapsed order went back to its origin",
        rules=(money("amount", "2010", "1020"),),
    ),
    Event(
        name="redemption_dealt",
        meaning="Units redeemed at net value per unit, with their fee made final",
        rules=(
            money("capital", "3010", "2020"),
            money("result", "3100", "2020", either_sign=True),
            money("residue", "2020", "3900"),
            money("performance_fee", "2110", "2120"),
            units_out(),
        ),
    ),
    Event(
        name="exit_fee",
        meaning="Exit or soft lock-up fee out of the proceeds",
        rules=(money("to_fund", "2020", "4060"), money("to_third_party", "2020", "2150")),
    ),
    Event(
        name="holdback_set",
        meaning="Part of a full redemption waits for the audit",
        rules=(money("amount", "2020", "2030"),),
    ),
    Event(
        name="holdback_released",
        meaning="The part held back became payable",
        rules=(money("amount", "2030", "2020"),),
    ),
    Event(
        name="redemption_paid",
        meaning="Proceeds left the bank",
        rules=(money("amount", "2020", "1010"),),
    ),
    Event(
        name="tax_withheld",
        meaning="Tax kept from a payout",
        rules=(money("amount", "2020", "2300"),),
    ),
    Event(
        name="switch_dealt",
        meaning="One class redeemed into another on one dealing day, through redemptions payable",
        rules=(
            money("capital", "3010", "2020"),
            money("result", "3100", "2020", either_sign=True),
            money("performance_fee", "2110", "2120"),
            PostingRule(part="consideration", debit="2020", credit="3010", credit_to_other=True),
            PostingRule(part="residue", debit="2020", credit="3900", credit_to_other=True),
            money("exit_fee", "2020", "4060"),
            PostingRule(part="entry_fee", debit="2020", credit="4060", credit_to_other=True),
            units_out("units_out"),
            units_in("units_in", other=True),
        ),
    ),
    Event(
        name="units_transferred",
        meaning="Units moved to another holder's lot with their capital and result",
        rules=(
            between_lots("capital", "3010"),
            between_lots("result", "3100", either_sign=True),
            between_lots("pocket", "3020"),
            units_out(),
            units_in(other=True),
        ),
    ),
    Event(
        name="series_rolled_up",
        meaning="A series at its mark became units of the lead series of equal value",
        rules=(
            between_lots("capital", "3010"),
            between_lots("result", "3100", either_sign=True),
            units_out("units_out"),
            units_in("units_in", other=True),
        ),
    ),
    Event(
        name="distribution_declared",
        meaning="Result of the lots became payable",
        rules=(money("amount", "3100", "2020"),),
    ),
    Event(
        name="distribution_paid",
        meaning="A distribution left the bank",
        rules=(money("amount", "2020", "1010"),),
    ),
    Event(
        name="distribution_reinvested",
        meaning="A distribution bought units at the price after it",
        rules=(
            money("consideration", "2020", "3010"),
            money("residue", "2020", "3900"),
            units_in(),
        ),
    ),
    Event(
        name="subscription_in_kind",
        meaning="Assets taken in at strike value for units",
        rules=(money("value", "1100", "3010"), units_in()),
    ),
    Event(
        name="redemption_in_kind",
        meaning="Units redeemed for assets at strike value",
        rules=(
            money("capital", "3010", "1100"),
            money("result", "3100", "1100", either_sign=True),
            money("performance_fee", "2110", "2120"),
            units_out(),
        ),
    ),
    Event(
        name="side_pocket_created",
        meaning="A claim was set apart for the holders of that day, with the fee accrued on it",
        rules=(
            money("capital", "3010", "3020"),
            money("result", "3100", "3020", either_sign=True),
            money("venue_cash", "1500", "1030"),
            money("receivable", "1500", "1200"),
            money("fee_released", "2110", "5020"),
            units_out("units_out"),
            units_in("units_in", other=True),
        ),
    ),
    Event(
        name="side_pocket_valued",
        meaning="A claim is worth another amount to the units of its pocket",
        rules=(money("change", "1500", "3020", either_sign=True),),
    ),
    Event(
        name="side_pocket_realised",
        meaning="Cash that came in for a claim is owed to its holders by their pocket units",
        rules=(
            money("venue_cash", "1030", "1500"),
            money("received", "2015", "1500"),
            money("proceeds", "3020", "2040"),
            money("performance_fee", "3020", "2120"),
            units_out(),
        ),
    ),
    Event(
        name="side_pocket_closed",
        meaning="Nothing is left of a claim, and its units leave",
        rules=(units_out(),),
    ),
    Event(
        name="pocket_paid",
        meaning="Proceeds of a side pocket left the bank",
        rules=(money("amount", "2040", "1010"),),
    ),
    Event(
        name="side_pocket_merged",
        meaning="Pocket units became main units at a NAV's price, less the fee over their marks",
        rules=(
            money("venue_cash", "1030", "1500"),
            money("receivable", "1200", "1500"),
            PostingRule(part="capital", debit="3020", credit="3010", credit_to_other=True),
            money("performance_fee", "3020", "2120"),
            money("residue", "3020", "3900"),
            units_out("units_out"),
            units_in("units_in", other=True),
        ),
    ),
)
