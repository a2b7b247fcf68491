"""Orders whose last answer was lost: the books say so, and three ways lead out."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from magnetfund.core.actors import Actor
from magnetfund.core.models import AuditEvent
from magnetfund.core.roles import Role
from magnetfund.kernel.clock import from_milliseconds, use_clock
from magnetfund.kernel.errors import InvalidInput, NotAllowed, Unavailable
from magnetfund.operations.checkup import check_orders
from magnetfund.operations.people import ensure_user
from trading.models import Fill, Order, PaperOrder
from trading.services import settlement
from trading.services.settlement import ask_again
from trading.services.verification import find_order_differences
from trading.tests.test_crash_points import Killed, Stage, check, entries, killing, stage

pytestmark = pytest.mark.usefixtures("as_gateway")
__all__ = ["stage"]


def leave_in_doubt(stage: Stage, monkeypatch: pytest.MonkeyPatch, *, after: bool) -> Order:
    """The trader dies while it sends an entry: after the venue took it, or before."""
    with (
        killing(monkeypatch, type(stage.trader.paper.venue), "submit", after=after),
        pytest.raises(Killed),
    ):
        stage.beat_until(lambda: False)
    order: Order = entries().get()
    assert order.state == "SENDING"
    return order


def settle(**options: Any) -> dict[str, Any]:
    out = StringIO()
    call_command("settle_orders", json=True, stdout=out, **options)
    return dict(json.loads(out.getvalue()))


@pytest.mark.parametrize(("after", "state"), [(True, "ACKED"), (False, "ABSENT")])
def test_the_command_settles_where_no_trader_runs(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, after: bool, state: str
):
    order = leave_in_doubt(stage, monkeypatch, after=after)
    monkeypatch.setattr(settlement, "GRACE", timedelta(0))
    assert "settle_orders" in check_orders().words
    assert check_orders().state == "fail"
    assert any("outcome is unknown" in line for line in find_order_differences("main"))
    stage.trader.stop()
    assert settle() == {"book": "main", "orders": {str(order.pk): state}, "differences": []}
    assert check_orders().state == "ok"
    assert find_order_differences("main") == []
    assert settle()["orders"] == {}
    assert PaperOrder.objects.filter(pk=order.client_order_id).exists() == after


def test_the_command_leaves_a_running_trader_alone(stage: Stage):
    with pytest.raises(CommandError, match="settles its orders at its next beat"):
        settle()


@pytest.mark.parametrize("arrives", [True, False])
def test_a_lost_answer_is_asked_for_in_the_same_beat(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, arrives: bool
):
    venue = type(stage.trader.paper.venue)
    real: Callable[..., Any] = venue.submit

    def lost(*args: Any, **kwargs: Any) -> Any:
        if arrives:
            real(*args, **kwargs)
        venue.submit = real  # one answer is lost, the venue lives on
        raise Unavailable("the venue did not answer", code="venue_away")

    with monkeypatch.context() as patch:
        patch.setattr(venue, "submit", lost)
        stage.beat_until(lambda: entries().exists())
    order = entries().get()
    assert "UNKNOWN" in order.events.values_list("to_state", flat=True)
    assert order.state == ("FILLED" if arrives else "ABSENT")
    assert Fill.objects.exists() == arrives
    check(stage)


def test_a_person_with_the_right_rings_for_an_order_in_doubt(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
):
    order = leave_in_doubt(stage, monkeypatch, after=True)
    clerk = Actor.of(ensure_user(email="c@example.com", name="C", roles=[Role.ACCOUNTANT]))
    operator = Actor.of(ensure_user(email="o@example.com", name="O", roles=[Role.OPERATOR]))
    with pytest.raises(NotAllowed):
        ask_again(order, actor=clerk)
    ask_again(order, actor=operator)
    assert AuditEvent.objects.filter(action="order.queried", subject_id=order.pk).count() == 1
    with use_clock(stage.clock):
        stage.clock.move_to(from_milliseconds(stage.at))
        stage.begin()
    order.refresh_from_db()
    with pytest.raises(InvalidInput, match="known"):
        ask_again(order, actor=operator)
