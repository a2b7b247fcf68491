"""Units by hand: crystallised fees, redemptions under fees and gates, and the edges of an order."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from investors.domain.dealing import (
    gross_of_net,
    size_gross_redemption,
)
from investors.domain.strike import (
    ClassTerms,
    LotInput,
    LotStrike,
    RedemptionOrder,
    RedemptionResult,
    SubscriptionOrder,
    crystallise_lots,
    deal_redemptions,
    deal_subscription,
)
from magnetfund.kernel.errors import InvalidInput

D = Decimal
DAY = date(2025, 1, 1)


def lot(number: int, units: str, *, cost: str = "0", day: date = DAY) -> LotInput:
    return LotInput(
        lot=f"l{number}", number=number, units=D(units), mark=D(100), clock=day,
        dealing_day=day, cost=D(cost), holder="ann",
    )  # fmt: skip


def struck(number: int, units: str, fee: str) -> LotStrike:
    return LotStrike(
        lot=f"l{number}", number=number, units=D(units), mark=D(100), fee_per_unit=D(fee),
        net_per_unit=D(120) - D(fee),
    )  # fmt: skip


def test_only_lots_with_a_fee_of_a_whole_unit_step_give_up_units() -> None:
    lots = [
        struck(1, "10", "0"),
        struck(2, "0.000001", "4"),  # 0.00000003 of a unit: less than a step
        struck(3, "10", "4"),
        struck(4, "10", "0.5"),
    ]
    found = crystallise_lots(terms=ClassTerms(), price=D(120), lots=lots)
    assert [(cut.lot, cut.units, cut.payable) for cut in found] == [
        ("l3", D("0.333333"), D("39.99")),
        ("l4", D("0.041666"), D("4.99")),
    ]
    assert [cut.dust for cut in found] == [D("0.01"), D("0.01")]


def redeem(*lots: LotInput, units: str, terms: ClassTerms, **others: object) -> RedemptionResult:
    (found,) = deal_redemptions(
        terms=terms,
        price=D("100.333333"),
        lots=lots,
        orders=[RedemptionOrder(order="o", holder="ann", units=D(units))],
        **{"fees": {}, "gate_value": D(10**9), **others},  # type: ignore[arg-type]
    )
    return found


def test_a_redemption_by_hand_with_fee_exit_fee_and_residue() -> None:
    terms = ClassTerms(exit_fee_rate=D("0.01"))
    own = (lot(2, "4", cost="400"), lot(1, "3", cost="301"))
    found = redeem(*own, units="5", terms=terms, fees={"l1": D(2), "l2": D("0.5")})
    # Oldest first: three of l1 at 98.333333, two of l2 at 99.833333.
    assert [(cut.lot, cut.units, cut.gross, cut.fee, cut.cost) for cut in found.cuts] == [
        ("l1", D(3), D("294.999999"), D("6.00"), D("301.00")),
        ("l2", D(2), D("199.666666"), D("1.00"), D("200.00")),
    ]
    assert found.gross == D("494.666665")
    assert found.exit_fee == D("4.95")
    assert (found.payout, found.residue) == (D("489.71"), D("0.006665"))
    assert (found.performance_fee, found.deferred) == (D("7.00"), 0)


def test_an_emptied_lot_is_passed_over_and_the_last_step_of_a_holding_goes() -> None:
    found = redeem(lot(1, "0"), lot(2, "0.5"), lot(3, "0.5"), units="1", terms=ClassTerms())
    assert [(cut.lot, cut.units) for cut in found.cuts] == [("l2", D("0.5")), ("l3", D("0.5"))]


def test_two_orders_of_one_holder_never_take_the_same_units() -> None:
    orders = [RedemptionOrder(order=str(k), holder="ann", units=D(3)) for k in (1, 2)]
    with pytest.raises(InvalidInput) as caught:
        deal_redemptions(
            terms=ClassTerms(), price=D(100), fees={}, lots=[lot(1, "5")], orders=orders,
            gate_value=D(10**9),
        )  # fmt: skip
    assert caught.value.code == "not_enough_units"


@pytest.mark.parametrize(
    ("gate", "units"), [("501.666665", "5"), ("501.66666", "4.999999"), ("0", "0")]
)
def test_a_gate_of_exactly_what_is_wanted_defers_nothing(gate: str, units: str) -> None:
    found = redeem(lot(1, "9"), units="5", terms=ClassTerms(), gate_value=D(gate))
    assert (found.units, found.deferred) == (D(units), 5 - D(units))


def test_a_gate_binds_small_requests_too() -> None:
    # Half a hundredth of a unit is worth 0.50; a gate of half of that lets half through.
    found = redeem(
        lot(1, "9"), units="0.005", terms=ClassTerms(), gate_value=D("0.250833"), fees={}
    )
    assert found.units == D("0.002499")


def test_an_order_of_no_units_gets_nothing_whatever_the_gate() -> None:
    found = redeem(lot(1, "9"), units="0", terms=ClassTerms(), gate_value=D(0))
    assert (found.units, found.deferred, found.payout, found.cuts) == (0, 0, 0, ())


def test_a_subscription_by_hand_with_an_entry_fee_inside() -> None:
    terms = ClassTerms(entry_fee_rate=D("0.02"))
    found = deal_subscription(
        terms=terms, price=D("103.5"), order=SubscriptionOrder(order="o", amount=D(1000))
    )
    assert (found.entry_fee, found.units) == (D("20.00"), D("9.468599"))
    assert (found.consideration, found.residue) == (D("980.00"), 0)


def test_a_dear_unit_step_leaves_more_than_a_cent_and_never_costs_more_than_was_paid() -> None:
    terms = ClassTerms(unit_quantum=D("0.1"))
    found = deal_subscription(
        terms=terms, price=D("99.99"), order=SubscriptionOrder(order="o", amount=D(105))
    )
    assert (found.units, found.consideration, found.residue) == (D("1.0"), D("99.99"), D("5.01"))


def test_an_amount_that_buys_one_step_is_dealt_and_less_is_refused() -> None:
    def dealt(amount: str) -> Decimal:
        order = SubscriptionOrder(order="o", amount=D(amount))
        return deal_subscription(terms=ClassTerms(), price=D(50_000), order=order).units

    assert dealt("0.05") == D("0.000001")
    with pytest.raises(InvalidInput) as caught:
        dealt("0.04")
    assert caught.value.code == "amount_too_small"


def test_a_gross_redemption_counts_each_lot_at_its_own_net_value() -> None:
    found = size_gross_redemption(
        lots=[lot(1, "2"), lot(2, "5")], price=100, fees={"l1": D(10)}, gross=400
    )
    # Two at 90 are 180; the other 220 are 2.2 at 100.
    assert [(part.lot, part.units) for part in found] == [("l1", D(2)), ("l2", D("2.2"))]
    third = size_gross_redemption(lots=[lot(1, "5")], price=3, fees={}, gross=1)
    assert [part.units for part in third] == [D("0.333333")]


def test_a_gross_redemption_of_all_takes_all_and_a_cent_more_is_refused() -> None:
    own = [lot(1, "2"), lot(2, "5")]
    found = size_gross_redemption(lots=own, price=100, fees={}, gross=700)
    assert [part.units for part in found] == [2, 5]
    with pytest.raises(InvalidInput) as caught:
        size_gross_redemption(lots=own, price=100, fees={}, gross="700.01")
    assert caught.value.code == "not_enough_value"


@pytest.mark.parametrize("fee", [D(100), D(101)])
def test_a_lot_worth_nothing_cannot_be_redeemed(fee: Decimal) -> None:
    with pytest.raises(InvalidInput) as caught:
        size_gross_redemption(lots=[lot(1, "2")], price=100, fees={"l1": fee}, gross=1)
    assert caught.value.code == "not_positive"


def test_a_lot_worth_less_than_a_coin_still_counts_in_full() -> None:
    found = size_gross_redemption(lots=[lot(1, "9")], price=100, fees={"l1": D("99.5")}, gross=1)
    assert found[0].units == 2


def test_less_than_a_unit_step_of_value_redeems_nothing() -> None:
    assert size_gross_redemption(lots=[lot(1, "2")], price=50_000, fees={}, gross="0.01") == ()


def test_the_gross_of_a_net_sum_undoes_the_exit_fee() -> None:
    assert gross_of_net(net="97.5", exit_fee_rate="0.025") == 100
