"""Events of the manager's fees, of equalisation and of depreciation deposits."""

from __future__ import annotations

from investors.domain.ledger.types import Event, PostingRule, money, units_in, units_out

FEES: tuple[Event, ...] = (
    Event(
        name="management_fee",
        meaning="Management fee accrued by the change of the rounded cumulative",
        rules=(money("amount", "5010", "2100", either_sign=True),),
    ),
    Event(
        name="management_fee_paid",
        meaning="Management fee left the bank",
        rules=(money("amount", "2100", "1010"),),
    ),
    Event(
        name="fee_rebate",
        meaning="A part of the manager's fees is owed to the holder of a lot instead",
        # The fees are the class's; what is owed instead names the lot, and with it the holder.
        rules=(
            PostingRule(part="management", debit="2100", credit="2160", debit_to_other=True),
            PostingRule(part="performance", debit="2120", credit="2160", debit_to_other=True),
        ),
    ),
    Event(
        name="rebate_paid",
        meaning="A rebate of fees left the bank for its holder",
        rules=(money("amount", "2160", "1010"),),
    ),
    Event(
        name="performance_fee_accrual",
        meaning="Change of a lot's uncrystallised performance fee; a fall is the mirror",
        rules=(money("amount", "5020", "2110", either_sign=True),),
    ),
    Event(
        name="performance_fee_crystallised",
        meaning="A lot's fee became final: fee units cancelled, dust returned to the lot",
        rules=(
            money("payable", "2110", "2120"),
            money("dust", "2110", "5020", either_sign=True),
            money("reclass", "3010", "3100"),
            units_out(),
        ),
    ),
    Event(
        name="performance_fee_paid",
        meaning="Performance fee left the bank",
        rules=(money("amount", "2120", "1010"),),
    ),
    Event(
        name="performance_fee_units",
        meaning="The manager takes the performance fee in units",
        rules=(money("amount", "2120", "3010"), units_in()),
    ),
    Event(
        name="equalisation_paid_in",
        meaning="Entry above the mark: net price to units, the rest to the holder's credit",
        rules=(money("capital", "2010", "3010"), money("credit", "2010", "3030"), units_in()),
    ),
    Event(
        name="equalisation_changed",
        meaning="The credit moved with the fund; a rise is positive",
        rules=(money("amount", "3100", "3030", either_sign=True),),
    ),
    Event(
        name="equalisation_units",
        meaning="The credit came back to the holder as units",
        rules=(money("amount", "3030", "3010"), units_in()),
    ),
    Event(
        name="equalisation_redeemed",
        meaning="The redeemed share of the credit was paid out",
        rules=(money("amount", "3030", "2020"),),
    ),
    Event(
        name="contingent_redemption",
        meaning="Fee on the climb back to the mark of a lot that entered below it",
        rules=(money("amount", "2110", "2120"), money("reclass", "3010", "3100"), units_out()),
    ),
    Event(
        name="deposit_received",
        meaning="Depreciation deposit taken at entry",
        rules=(money("amount", "2010", "2320"),),
    ),
    Event(
        name="deposit_earned",
        meaning="The deposit was earned as performance fee",
        rules=(money("amount", "2320", "2120"),),
    ),
    Event(
        name="deposit_returned",
        meaning="The deposit was not earned and goes back to the holder",
        rules=(money("amount", "2320", "2020"),),
    ),
    Event(
        name="third_party_fee_paid",
        meaning="Entry or exit fee went to the third party",
        rules=(money("amount", "2150", "1010"),),
    ),
)
