"""The order ticket and the close page: who may, what a preview says, what is sent and how often."""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from django.db import transaction
from django.http import HttpResponse
from django.test import Client

from magnetfund.core.actors import Actor
from magnetfund.core.models import AuditEvent, Heartbeat
from magnetfund.core.roles import Role
from magnetfund.kernel.clock import utc_now
from magnetfund.operations.people import ensure_user
from magnetfund.tests.walls_support import (
    arm_fuse,
    make_engine_ready,
    make_instrument,
    make_user,
    trip_fuse,
)
from risk.models import PreTradeCheck
from trading.models import (
    BookMember,
    Instrument,
    Order,
    OrderEvent,
    Position,
    Signal,
    Valuation,
)
from trading.services import settlement
from trading.services.blackouts import enter_blackout
from trading.services.manual import submit_manual_order
from trading.services.manual_plan import ManualOrder

pytestmark = pytest.mark.usefixtures("fresh_database", "placed_positions")
TICKET = "/desk/trading/ticket/"
ORDER = "/desk/trading/order/"
#: 20,000 USD at 50,000: 0.4 BTC, within the 5 % margin of tier 3 on 430,000 (0.43 BTC at 1.0x).
TYPED = {
    "instrument": "BTC/USDT:USDT", "side": "long", "amount": "20,000", "unit": "money",
    "leverage": "1.0", "stop": "49000", "target": "52000", "tier": "3",
}  # fmt: skip


@pytest.fixture
def instrument(fresh_database: Any, monkeypatch: pytest.MonkeyPatch) -> Instrument:
    """A fund that could trade, without a trader behind it."""
    instrument = make_instrument()
    arm_fuse(make_user("ann", Role.RISK_OFFICER), make_user("ben", Role.RISK_OFFICER))
    make_engine_ready()
    now = utc_now()
    Valuation.objects.create(
        book="main", at=now - timedelta(seconds=5), equity=430_000, cash=430_000, unit_value=100,
        peak_unit_value=100, day_start_unit_value=100,
    )  # fmt: skip
    Heartbeat.objects.create(
        part="trader", instance="main", seen_at=now,
        detail={"prices": {instrument.symbol: "50000"}},
    )  # fmt: skip
    monkeypatch.setattr(
        "magnetfund.web.desk.ticket.wait_for_outcome",
        lambda order_id: Order.objects.get(pk=order_id),
    )
    return instrument


def client_of(role: Role) -> Client:
    client = Client()
    client.force_login(
        ensure_user(email=f"{role.value}@example.com", name=role.value, roles=[role])
    )
    return client


@pytest.fixture
def client(instrument: Instrument) -> Client:
    return client_of(Role.OPERATOR)


def hold(instrument: Instrument, quantity: str = "0.4") -> Position:
    """Positions belong to the trader's role."""
    return Position.objects.using("gateway").create(
        book="main", instrument=instrument, strategy="manual", quantity=Decimal(quantity),
        average_price=50_000, leverage=1.0, stop_price=49_000, opened_at=utc_now(),
    )  # fmt: skip


def confirm(client: Client, page: HttpResponse, **changes: str) -> Any:
    """Post the confirmation form of a preview as a browser would."""
    form = page.content.decode().partition('id="confirm"')[2].partition("</form>")[0]
    fields = dict(re.findall(r'type="hidden"\s+name="(\w+)"\s+value="([^"]*)"', form))
    fields.pop("csrfmiddlewaretoken", None)
    given = {**fields, "why": "a drill", "understood": "on", **changes}
    return client.post(ORDER, given, follow=True)


def test_the_ticket_opens_to_operators_alone(instrument: Instrument):
    position = hold(instrument)
    close = f"/desk/trading/close/{position.pk}/"
    for role in Role:
        client = client_of(role)
        seen = {
            client.get(TICKET, TYPED).status_code,
            client.post(ORDER, {}).status_code,
            client.get(close).status_code,
            client.post(close, {"key": ""}).status_code,
        }
        assert seen == ({200, 302} if role is Role.OPERATOR else {403}), role
    assert Order.objects.count() == 0


def test_nobody_is_sent_to_the_sign_in(instrument: Instrument):
    assert Client().get(TICKET).url.startswith("/account/login/")
    assert Client().post(ORDER, TYPED).url.startswith("/account/login/")


def test_a_preview_says_everything_and_keeps_nothing(client: Client):
    audited = AuditEvent.objects.count()
    page = client.get(TICKET, TYPED).content.decode()
    assert "Pre-trade check: allowed" in page
    assert "20,000.00" in page
    assert "Quantity that each sizing limit allows" in page
    assert "binding" in page
    assert Order.objects.count() == PreTradeCheck.objects.count() == 0
    assert AuditEvent.objects.count() == audited


def test_a_leveraged_preview_names_the_liquidation_price(client: Client):
    plan = client.get(TICKET, {**TYPED, "leverage": "2"}).context["plan"]
    # All-in at 2.0x with 0.4 % maintenance: 50,000 x (1 - 1/2) / (1 - 0.004).
    assert plan.liquidation_price == Decimal("25100.4")
    assert client.get(TICKET, TYPED).context["plan"].liquidation_price is None


def test_money_becomes_whole_lots_rounded_down(client: Client):
    plan = client.get(TICKET, {**TYPED, "amount": "20049"}).context["plan"]
    assert plan.quantity == Decimal("0.400")


def test_a_confirmed_order_is_committed_once_however_often_it_is_sent(client: Client):
    page = client.get(TICKET, TYPED)
    first, second = confirm(client, page), confirm(client, page)
    order = Order.objects.get()
    assert (order.state, order.quantity, order.leverage) == ("INTENT", Decimal("0.400"), 1.0)
    assert order.reason.startswith("a drill. Long, manual order.")
    assert "sent, awaiting fill" in first.content.decode()
    assert "it was not sent again" in second.content.decode()


def test_the_same_key_with_another_size_is_refused(client: Client):
    page = client.get(TICKET, TYPED)
    confirm(client, page)
    answer = confirm(client, page, amount="10000")
    assert "Not sent" in answer.content.decode()
    assert Order.objects.count() == 1


def test_without_the_tick_nothing_is_sent(client: Client):
    answer = confirm(client, client.get(TICKET, TYPED), understood="")
    assert "tick the confirmation box first" in answer.content.decode()
    assert Order.objects.count() == 0


def test_every_most_of_the_preview_has_a_name_of_its_own(client: Client):
    page = client.get(TICKET, {**TYPED, "amount": "25000"})
    plan = page.context["plan"]
    found = re.findall(
        r"<dt>(.*?)</dt>|mf-cap[^>]*>\s*<p>\s*<span\s*>(.*?)</span>|is-open[^>]*>\s*<span>(.*?)<small",
        page.content.decode(),
        flags=re.S,
    )
    names = [re.sub(r"<.*?>|\s+", " ", "".join(parts)).strip() for parts in found]
    preview = names[names.index("Margin") :] if "Margin" in names else names
    assert len(preview) == len(set(preview))
    # What the limits of sizing allow, and what every check would pass, are two figures by name.
    assert plan.largest is not None
    assert any(name.startswith("Largest size that passes every check") for name in preview)
    assert sum(name.startswith(("Largest", "Maximum")) for name in preview) == 1


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"amount": "25000"}, "exceed the limit for this tier"),
        ({"leverage": "3.5"}, "Leverage must be between 1.00x and"),
        ({"leverage": "3", "stop": "30000", "target": ""}, "too close to the liquidation price"),
        ({"amount": "1"}, "below one lot"),
        ({"stop": "51000"}, "The stop must be below a long"),
        ({"target": "49500"}, "The target must be above a long"),
        ({"amount": "many"}, "Enter a number"),
        ({"stop": ""}, "Required."),
        ({"amount": "-5"}, "Must be greater than zero."),
    ],
)
def test_a_refusal_is_in_words_and_offers_no_confirmation(
    client: Client, changes: dict[str, str], words: str
):
    page = client.get(TICKET, {**TYPED, **changes}).content.decode()
    assert words in page
    assert 'id="confirm"' not in page


@pytest.mark.parametrize(
    ("reading", "side", "named"),
    [
        ({"map": {"volatility_ratio": 2.41}}, "long", "volatility 2.41, limit 2.00"),
        ({"map": {"long": {"conflict": 0.93}}}, "long", "conflict 0.93, limit 0.80"),
        ({"map": {"long": {"conflict": 0.93}}}, "short", ""),
        ({"map": {"volatility_ratio": 2.0, "long": {"conflict": 0.8}}}, "long", ""),
    ],
)
def test_nobody_opens_by_hand_what_the_fuse_would_cut(
    client: Client, instrument: Instrument, reading: dict[str, Any], side: str, named: str
):
    """Ticket, service and Risk page answer from the same reading of the newest close."""
    Signal.objects.create(
        instrument=instrument, timeframe="1h", known_at=utc_now() - timedelta(minutes=5),
        close=50_000.0, reading=reading,
    )  # fmt: skip
    prices = {} if side == "long" else {"stop": "51000", "target": "48000"}
    page = client.get(TICKET, {**TYPED, "side": side, **prices})
    assert ("the fuse would cut this position" in page.content.decode()) is bool(named)
    assert named in page.content.decode()
    request = ManualOrder(
        book="main", symbol=instrument.symbol, direction=side, tier=3,
        entry_price=Decimal(50_000), stop_price=Decimal(49_000 if side == "long" else 51_000),
    )  # fmt: skip
    actor = Actor.of(ensure_user(email="op@example.com", name="Op", roles=[Role.OPERATOR]))
    order = submit_manual_order(request, actor=actor)
    assert (order.state == "DENIED") is bool(named)
    risk = client_of(Role.RISK_OFFICER).get("/desk/risk/").content.decode()
    assert ("blocks new entries" in risk) is bool(named or "0.93" in str(reading))
    if not named:
        return
    assert order.denial_codes == ["market_trigger"]
    (denial,) = PreTradeCheck.objects.get(order_id=order.id).denials
    assert denial["words"].endswith(named)
    assert denial["value"].split()[1] in named
    assert denial["limit"] in named


def test_an_old_reading_says_nothing(client: Client, instrument: Instrument):
    Signal.objects.create(
        instrument=instrument, timeframe="1h", known_at=utc_now() - timedelta(hours=3),
        close=50_000.0, reading={"map": {"volatility_ratio": 9.0}},
    )  # fmt: skip
    assert "would cut this position" not in client.get(TICKET, TYPED).content.decode()


def test_a_stopped_fund_refuses_in_the_preview_and_when_confirmed(client: Client):
    page = client.get(TICKET, TYPED)
    trip_fuse()
    shown = " ".join(client.get(TICKET, TYPED).content.decode().split())
    assert "fuse" in shown.partition("Pre-trade check: denied")[2]
    answer = confirm(client, page)
    assert "Denied, nothing was sent" in answer.content.decode()
    order = Order.objects.get()
    assert order.state == "DENIED"
    assert "fuse_state" in order.denial_codes


def test_a_price_that_ran_away_is_not_bought(client: Client):
    page = client.get(TICKET, TYPED)
    Heartbeat.objects.filter(part="trader").update(
        detail={"prices": {TYPED["instrument"]: "52000"}}
    )
    answer = confirm(client, page)
    assert "The price has moved too far" in answer.content.decode()
    assert Order.objects.get().denial_codes == ["price_collar"]


def test_a_second_position_by_hand_in_one_instrument_is_refused(
    client: Client, instrument: Instrument
):
    hold(instrument)
    assert "Close it first" in client.get(TICKET, TYPED).content.decode()


def test_without_a_trader_the_ticket_says_so(client: Client):
    Heartbeat.objects.all().delete()
    page = client.get(TICKET, TYPED).content.decode()
    assert "o live price: the trader is not running" in page


def test_closing_asks_first_and_then_closes_once(client: Client, instrument: Instrument):
    position = hold(instrument)
    path = f"/desk/trading/close/{position.pk}/"
    page = client.get(path).content.decode()
    assert Order.objects.count() == 0
    found = re.search(r'name="key"\s+value="([^"]+)"', page)
    assert found is not None
    client.post(path, {"key": found[1]})
    again = client.post(path, {"key": found[1]}, follow=True)
    order = Order.objects.get()
    assert (order.side, order.quantity, order.purpose) == ("sell", Decimal("0.4"), "manual")
    assert "it was not sent again" in again.content.decode()


def test_closing_works_while_the_fund_is_stopped(client: Client, instrument: Instrument):
    position = hold(instrument)
    trip_fuse()
    client.post(f"/desk/trading/close/{position.pk}/", {"key": str(uuid4())})
    assert Order.objects.get().state == "INTENT"


def test_a_closed_position_cannot_be_closed_again(client: Client, instrument: Instrument):
    position = hold(instrument, "0")
    answer = client.get(f"/desk/trading/close/{position.pk}/", follow=True)
    assert "This position is closed." in answer.content.decode()


def test_an_order_in_doubt_is_asked_about_on_the_page(
    client: Client, instrument: Instrument, monkeypatch: pytest.MonkeyPatch
):
    hold(instrument)
    client.post(f"/desk/trading/close/{Position.objects.get().pk}/", {"key": str(uuid4())})
    order = Order.objects.get()
    path = f"/desk/trading/order/{order.pk}/ask/"
    assert path not in client.get("/desk/trading/").content.decode()
    assert "is known" in client.post(path, follow=True).content.decode()

    with transaction.atomic(using="gateway"):
        OrderEvent.objects.using("gateway").create(
            order_id=order.pk, seq=2, kind="sending", from_state="INTENT", to_state="SENDING"
        )
        Order.objects.using("gateway").filter(pk=order.pk).update(state="SENDING")
    assert path in client.get("/desk/trading/").content.decode()
    monkeypatch.setattr(settlement, "WAIT_SECONDS", 0.0)
    answer = client.post(path, follow=True).content.decode()
    assert "settle_orders" in answer
    assert AuditEvent.objects.filter(action="order.queried").count() == 1
    assert client_of(Role.ACCOUNTANT).post(path).status_code == 403


@pytest.mark.parametrize("state", ["paused", "gone", None])
def test_an_instrument_without_a_manual_slot_is_refused_in_words(
    client: Client, instrument: Instrument, state: str | None
):
    """A trader that has no such slot would let the order expire without a word."""
    rows = [("trend", "trading")] if state is None else [("trend", "trading"), ("manual", state)]
    for strategy, kept in rows:
        BookMember.objects.using("gateway").create(
            version=1, strategy=strategy, instrument=instrument, state=kept, reason="a test"
        )
    page = client.get(TICKET, TYPED)
    assert page.context["plan"].codes[0] == "not_by_hand"
    assert "does not trade this instrument by hand" in page.content.decode()
    confirm(client, page)
    assert not Order.objects.exclude(state="DENIED").exists()


def test_a_manual_slot_that_trades_is_no_obstacle(client: Client, instrument: Instrument):
    BookMember.objects.using("gateway").create(
        version=1, strategy="manual", instrument=instrument, state="trading", reason="a test"
    )
    assert client.get(TICKET, TYPED).context["plan"].codes == ()


def test_a_dated_event_refuses_an_entry_and_lets_a_close_through(
    instrument: Instrument, client: Client
):
    enter_blackout(
        book="main", title="Rate decision", event_at=utc_now(), before_minutes=5, after_minutes=60,
        symbol=instrument.symbol, actor=Actor.system("test"), by_person=False,
    )  # fmt: skip
    page = client.get(TICKET, TYPED)
    assert page.context["plan"].codes == ("event_blackout",)
    assert "A dated event bars entries in this instrument now" in page.content.decode()
    position = hold(instrument)
    assert client.get(f"/desk/trading/close/{position.pk}/").status_code == 200
