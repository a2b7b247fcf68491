"""The life of an order: what may happen, what may not, and what the venue proves in the end."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from magnetfund.kernel.errors import Conflict, InvalidInput
from risk.domain.pretrade import OrderType, Side
from trading.domain.orders import (
    FINAL_STATES,
    CancelRefused,
    CancelRequested,
    OrderAcknowledged,
    OrderClaimed,
    OrderDenied,
    OrderFilled,
    OrderLife,
    OrderNews,
    OrderNotFound,
    OrderRejected,
    OrderState,
    OrderTooOld,
    OutcomeUnseen,
    VenueReported,
    VenueStatus,
    transition,
)
from trading.venues.execution import OrderTicket

START = datetime(2024, 1, 1, tzinfo=UTC)
S = OrderState


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def intent(quantity: str = "10") -> OrderLife:
    return OrderLife(quantity=Decimal(quantity))


def play(order: OrderLife, *events: OrderNews) -> OrderLife:
    for event in events:
        order = transition(order=order, event=event)
    return order


def fill(quantity: str, trade: str = "t1", price: str = "100", seconds: float = 2) -> OrderFilled:
    return OrderFilled(
        at=at(seconds), trade_id=trade, quantity=Decimal(quantity), price=Decimal(price)
    )


CLAIMED = OrderClaimed(at=at(0))
ACKED = OrderAcknowledged(at=at(1), venue_order_id="v1")
UNSEEN = OutcomeUnseen(at=at(1), reason="timeout")
CANCEL = CancelRequested(at=at(3))


def said(status: VenueStatus, filled: str = "0", seconds: float = 5) -> VenueReported:
    return VenueReported(at=at(seconds), status=status, filled_quantity=Decimal(filled))


def test_the_plain_life_ends_filled_at_the_mean_price() -> None:
    order = play(intent(), CLAIMED, ACKED, fill("4"), fill("6", "t2", "110"))
    assert order.state is S.FILLED
    assert order.average_price == Decimal(106)
    assert order.venue_order_id == "v1"


def test_a_partial_fill_leaves_the_rest_open() -> None:
    order = play(intent(), CLAIMED, ACKED, fill("4"))
    assert (order.state, order.filled_quantity) == (S.PARTIALLY_FILLED, 4)


def test_a_timeout_is_unknown_and_a_query_settles_it() -> None:
    lost = play(intent(), CLAIMED, UNSEEN)
    assert lost.state is S.UNKNOWN
    assert play(lost, said(VenueStatus.OPEN)).state is S.ACKED
    assert play(lost, said(VenueStatus.REJECTED)).state is S.REJECTED
    assert play(lost, fill("10")).state is S.FILLED


def test_an_unknown_order_is_never_claimed_again() -> None:
    with pytest.raises(Conflict):
        play(intent(), CLAIMED, UNSEEN, CLAIMED)


def test_absence_needs_late_spaced_and_repeated_proof() -> None:
    lost = play(intent(), CLAIMED, UNSEEN)
    early = play(lost, *(OrderNotFound(at=at(s)) for s in (1, 2, 3, 4.9)))
    assert early.misses == ()
    crowded = play(lost, *(OrderNotFound(at=at(s)) for s in (5, 5.5, 6.9, 7, 8)))
    assert (crowded.state, len(crowded.misses)) == (S.UNKNOWN, 2)
    assert play(crowded, OrderNotFound(at=at(9))).state is S.ABSENT


def test_news_of_life_resets_the_proof_of_absence() -> None:
    lost = play(intent(), CLAIMED, UNSEEN, OrderNotFound(at=at(5)), OrderNotFound(at=at(7)))
    assert play(lost, fill("1")).misses == ()


def test_a_live_order_that_one_query_misses_lives_on() -> None:
    assert play(intent(), CLAIMED, ACKED, OrderNotFound(at=at(60))).state is S.ACKED


def test_a_cancel_sent_is_not_cancelled_and_fills_still_come() -> None:
    waiting = play(intent(), CLAIMED, ACKED, CANCEL)
    assert waiting.state is S.CANCEL_PENDING
    assert play(waiting, fill("4")).state is S.CANCEL_PENDING
    assert play(waiting, fill("10")).state is S.FILLED
    done = play(waiting, said(VenueStatus.CANCELLED))
    assert done.state is S.CANCELLED


def test_a_cancel_is_final_only_when_the_fills_it_counts_have_arrived() -> None:
    counted = play(intent(), CLAIMED, ACKED, CANCEL, said(VenueStatus.CANCELLED, "4"))
    assert counted.state is S.CANCEL_PENDING
    ended = play(counted, fill("4"))
    assert (ended.state, ended.filled_quantity) == (S.CANCELLED, 4)
    assert not ended.is_contradicted


def test_a_report_of_filled_does_not_invent_fills() -> None:
    told = play(intent(), CLAIMED, ACKED, said(VenueStatus.FILLED, "10"))
    assert (told.state, told.filled_quantity) == (S.ACKED, 0)
    assert play(told, fill("10")).state is S.FILLED


def test_a_fill_after_the_cancel_is_booked_and_marked_a_contradiction() -> None:
    late = play(intent(), CLAIMED, ACKED, CANCEL, said(VenueStatus.CANCELLED), fill("4"))
    assert (late.filled_quantity, late.is_contradicted) == (4, True)


def test_a_fill_of_a_rejected_or_absent_order_brings_it_back() -> None:
    rejected = play(intent(), CLAIMED, OrderRejected(at=at(1), reason="-2010"))
    assert rejected.state is S.REJECTED
    back = play(rejected, fill("4"))
    assert (back.state, back.is_contradicted) == (S.PARTIALLY_FILLED, True)


def test_a_refused_cancel_lets_the_order_live_on() -> None:
    order = play(intent(), CLAIMED, ACKED, fill("1"), CANCEL, CancelRefused(at=at(4)))
    assert order.state is S.PARTIALLY_FILLED


def test_a_cancel_wanted_in_doubt_is_remembered() -> None:
    order = play(intent(), CLAIMED, CANCEL, ACKED)
    assert order.state is S.CANCEL_PENDING
    assert play(intent(), CLAIMED, CANCEL, UNSEEN, said(VenueStatus.OPEN)).state is S.CANCEL_PENDING


def test_before_sending_a_cancel_is_final_at_once() -> None:
    assert play(intent(), CANCEL).state is S.CANCELLED


def test_a_repeated_fill_changes_nothing_and_a_changed_one_is_a_conflict() -> None:
    once = play(intent(), CLAIMED, ACKED, fill("4"))
    assert play(once, fill("4")) == once
    with pytest.raises(Conflict) as caught:
        play(once, fill("5"))
    assert caught.value.code == "fill_conflict"


@pytest.mark.parametrize(
    ("quantity", "price"), [("0", "100"), ("-1", "100"), ("4", "0"), ("4", "-1")]
)
def test_a_fill_of_nothing_or_for_nothing_is_refused(quantity: str, price: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        play(intent(), CLAIMED, ACKED, fill(quantity, price=price))
    assert caught.value.code == "bad_fill"


def test_the_smallest_fill_is_booked() -> None:
    order = play(intent(), CLAIMED, ACKED, fill("0.001", price="0.01"))
    assert (order.filled_quantity, order.average_price) == (Decimal("0.001"), Decimal("0.01"))


def test_more_than_was_ordered_is_never_booked() -> None:
    with pytest.raises(Conflict) as caught:
        play(intent(), CLAIMED, ACKED, fill("10.1"))
    assert caught.value.code == "overfilled"


@pytest.mark.parametrize(
    "event",
    [ACKED, UNSEEN, fill("1"), OrderNotFound(at=at(9)), said(VenueStatus.OPEN)],
)
def test_what_was_never_sent_has_no_news_from_the_venue(event: OrderNews) -> None:
    with pytest.raises(Conflict) as caught:
        play(intent(), event)
    assert caught.value.code == "never_sent"


@pytest.mark.parametrize(
    "event", [CLAIMED, CANCEL, OrderDenied(at=at(9), reason="x"), OrderTooOld(at=at(9))]
)
@pytest.mark.parametrize("end", [OrderDenied(at=at(1), reason="LIMIT"), OrderTooOld(at=at(1))])
def test_a_final_state_takes_no_further_step_of_ours(end: OrderNews, event: OrderNews) -> None:
    closed = play(intent(), end)
    assert closed.state in FINAL_STATES
    with pytest.raises(Conflict):
        play(closed, event)


def test_an_order_has_a_quantity() -> None:
    with pytest.raises(InvalidInput):
        OrderLife(quantity=Decimal(0))


@pytest.mark.parametrize(
    ("kind", "trigger"), [("market", "1"), ("limit", None), ("limit", "1"), ("stop", None)]
)
def test_a_ticket_with_a_trigger_that_does_not_fit_its_type_is_refused(
    kind: str, trigger: str | None
) -> None:
    with pytest.raises(InvalidInput) as caught:
        OrderTicket(
            client_order_id="x", account="trend", symbol="X", side=Side.SELL, type=OrderType(kind),
            quantity=Decimal(1), reduce_only=True,
            trigger_price=Decimal(trigger) if trigger else None,
        )  # fmt: skip
    assert caught.value.code == "bad_order_price"


def venue_story(rng: random.Random) -> tuple[list[OrderNews], Decimal, VenueStatus | None]:
    """What a venue truly did to an order of 10, as the news it would send, in its true order."""
    news: list[OrderNews] = [ACKED]
    filled = Decimal(0)
    clock = 2.0
    for trade in range(rng.randint(0, 4)):
        part = min(Decimal(rng.randint(1, 5)), 10 - filled)
        if part > 0:
            filled += part
            clock += 1
            news.append(fill(str(part), f"t{trade}", str(100 + trade), clock))
    end: VenueStatus | None = None
    if filled == 10:
        end = VenueStatus.FILLED
    elif rng.random() < 0.7:
        end = rng.choice([VenueStatus.CANCELLED, VenueStatus.EXPIRED])
    if end is not None:
        news.append(said(end, str(filled), clock + 1))
    return news, filled, end


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=300, deadline=None)
def test_shuffled_and_repeated_news_end_at_what_the_venue_did(seed: int) -> None:
    rng = random.Random(seed)
    news, filled, end = venue_story(rng)
    heard = news + rng.choices(news, k=rng.randint(0, 4))
    rng.shuffle(heard)
    order = play(intent(), CLAIMED)
    if rng.random() < 0.5:
        order = play(order, UNSEEN)
    if rng.random() < 0.3:
        order = play(order, CANCEL)
    for event in heard:
        order = transition(order=order, event=event)
        assert 0 <= order.filled_quantity <= order.quantity
    assert order.filled_quantity == filled
    assert not order.is_contradicted
    if end is None:
        assert order.state in (S.ACKED, S.PARTIALLY_FILLED, S.CANCEL_PENDING)
    else:
        assert order.state.value == end.value.upper()


def test_a_refused_cancel_leaves_a_live_order_live_and_a_final_one_alone():
    live = play(intent(), CLAIMED, ACKED, CANCEL, CancelRefused(at=at(4), reason="too late"))
    assert (live.state, live.is_cancel_requested, live.reason) == (S.ACKED, False, "too late")
    done = play(intent(), CLAIMED, ACKED, CANCEL, fill("10", seconds=4))
    assert done.state is S.FILLED
    assert play(done, CancelRefused(at=at(5), reason="filled")) == done


def test_a_venue_that_calls_a_final_order_open_contradicts_itself_unless_it_spoke_before():
    rejected = play(intent(), CLAIMED, OrderRejected(at=at(5), reason="margin"))
    assert rejected.closed_at == at(5)
    before = play(rejected, said(VenueStatus.OPEN, seconds=4))
    assert (before.state, before.is_contradicted) == (S.REJECTED, False)
    later = play(rejected, said(VenueStatus.OPEN, seconds=6))
    assert (later.state, later.is_contradicted) == (S.REJECTED, True)


def test_news_that_says_nothing_new_changes_nothing():
    rejected = play(intent(), CLAIMED, OrderRejected(at=at(1), reason="margin"))
    assert play(rejected, OrderRejected(at=at(2), reason="again")) == rejected
    acknowledged = play(intent(), CLAIMED, ACKED)
    assert play(acknowledged, UNSEEN) == acknowledged


@pytest.mark.parametrize(
    ("order", "event"),
    [
        (intent(), OrderRejected(at=at(9), reason="x")),
        (play(intent(), CLAIMED, ACKED, fill("10")), OrderRejected(at=at(9), reason="x")),
        (play(intent(), CLAIMED, ACKED), CancelRefused(at=at(9), reason="x")),
    ],
)
def test_a_refusal_needs_something_that_was_asked(order: OrderLife, event: OrderNews) -> None:
    with pytest.raises(Conflict) as caught:
        play(order, event)
    assert caught.value.code == "illegal_move"


def test_a_cancel_that_was_sent_is_known_as_wanted():
    assert play(intent(), CLAIMED, ACKED, CANCEL).is_cancel_requested


@pytest.mark.parametrize("filled", ["-0.5", "10.5"])
def test_a_venue_cannot_report_less_than_nothing_or_more_than_was_ordered(filled: str) -> None:
    with pytest.raises(Conflict) as caught:
        play(intent(), CLAIMED, said(VenueStatus.OPEN, filled))
    assert caught.value.code == "overfilled"


def test_the_first_id_of_the_venue_is_kept_whoever_names_it():
    rejected = play(intent(), CLAIMED, OrderRejected(at=at(1), reason="margin"))
    named = replace(said(VenueStatus.REJECTED), venue_order_id="v1")
    known = play(rejected, named, replace(named, venue_order_id="v2"))
    assert known.venue_order_id == "v1"


def test_a_final_word_about_an_order_that_was_never_sent_is_refused():
    with pytest.raises(Conflict) as caught:
        play(intent(), said(VenueStatus.CANCELLED))
    assert caught.value.code == "never_sent"


def test_a_final_order_is_contradicted_by_another_end_and_not_by_an_answer_of_its_instant():
    rejected = play(intent(), CLAIMED, OrderRejected(at=at(5), reason="margin"))
    assert not play(rejected, said(VenueStatus.OPEN, seconds=5)).is_contradicted
    assert play(rejected, said(VenueStatus.CANCELLED)).is_contradicted


def test_an_end_that_waits_for_fills_shows_an_order_in_doubt_to_be_there():
    assert play(intent(), CLAIMED, said(VenueStatus.CANCELLED, "3")).state is S.ACKED
