"""A trader that slept while another took its book over writes nothing when it wakes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection, transaction

from magnetfund.core.models import Lease
from magnetfund.core.services.leases import acquire_lease, release_lease
from magnetfund.kernel.errors import Conflict
from magnetfund.operations.table_walls import UNDER_LEASE
from magnetfund.tests.flow_support import make_candles
from trading.domain.simulated_market import SimulatedInstrument
from trading.models import Order
from trading.services import trader as trader_module
from trading.services.market_source import SimulationConfig, save_simulation
from trading.tests.test_crash_points import Stage, entries
from trading.tests.test_crash_points import stage as stage  # the fixture

pytestmark = pytest.mark.usefixtures("as_gateway")


def elsewhere(act: Callable[[], object]) -> list[BaseException]:
    """Do something as another process would, in a session of its own; what it raised."""
    raised: list[BaseException] = []

    def work() -> None:
        try:
            act()
        except Exception as error:
            raised.append(error)
        finally:
            connection.close()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(20)
    assert not thread.is_alive()
    return raised


def take_over() -> None:
    """The wall's clock, which another thread reads, is far past the end of the lease."""
    acquire_lease(name="trader:main", holder="the next trader")


def stored(cluster: Any) -> dict[str, tuple[Any, ...]]:
    """What each table under the lease holds, read by nobody whom the wall knows."""
    with psycopg.connect(cluster.dsn("postgres", "fresh")) as session:
        return {
            table: session.execute(
                f"SELECT count(*), md5(string_agg(t::text, '' ORDER BY t::text)) FROM {table} t"
                .encode()
            ).fetchone() or ()
            for table in UNDER_LEASE
        }  # fmt: skip


@pytest.mark.parametrize("moment", ["_find_doubt", "decide_hours", "step_price"])
def test_a_trader_that_wakes_in_the_middle_of_a_beat_writes_nothing(
    stage: Stage, fresh_database: Any, monkeypatch: pytest.MonkeyPatch, moment: str
):
    stage.beat_until(entries().exists)
    held: list[dict[str, tuple[Any, ...]]] = []
    place = stage.trader if hasattr(stage.trader, moment) else trader_module
    real = getattr(place, moment)

    def slept(*args: Any, **kwargs: Any) -> Any:
        if not held:
            assert elsewhere(take_over) == []
            held.append(stored(fresh_database))
        return real(*args, **kwargs)

    monkeypatch.setattr(place, moment, slept)
    monkeypatch.setattr(trader_module.time, "sleep", lambda seconds: None)
    with pytest.raises(OperationalError, match="was taken over"):
        stage.beat()
    assert stored(fresh_database) == held[0], "not one row moved"
    with pytest.raises(Conflict) as refused:
        stage.trader.run(should_stop=lambda: False)
    assert refused.value.code == "lease_lost"


@pytest.mark.parametrize("table", UNDER_LEASE)
def test_every_table_of_the_trader_asks_for_the_token_in_force(fresh_database: Any, table: str):
    lease = acquire_lease(name="trader:main", holder="a")
    statement = f"INSERT INTO {table} SELECT * FROM {table} WHERE false".encode()
    with psycopg.connect(fresh_database.dsn("fa_gateway", "fresh"), autocommit=True) as session:
        say = "SELECT set_config('magnetfund.lease', %s, false)"
        session.execute(say, [f"trader:main {lease.token}"])
        session.execute(statement)
        session.execute(say, [f"trader:main {lease.token - 1}"])
        with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState):
            session.execute(statement)


def test_nobody_takes_over_between_a_write_and_its_commit(stage: Stage):
    with transaction.atomic():
        Order.objects.filter(strategy="").update(state="SENT")

        def impatient() -> None:
            with connection.cursor() as cursor:
                cursor.execute("SET lock_timeout = '200ms'")
            take_over()

        (error,) = elsewhere(impatient)
        assert "lock timeout" in str(error)
    assert elsewhere(take_over) == []


def test_a_session_that_let_go_is_asked_for_nothing(stage: Stage):
    release_lease(acquire_lease(name="trader:other", holder="b"))
    Order.objects.filter(strategy="").update(state="SENT")


def test_a_trader_that_could_not_start_leaves_the_book_free():
    instrument = make_candles(days=1)
    shown = SimulatedInstrument(symbol=instrument.symbol, start_price=60_000.0, tick=0.1)
    save_simulation(SimulationConfig(seed=5, start_ms=0, correlation=0.7, instruments=(shown,)))
    for _ in range(2):  # the second one is refused for the same reason, not by the first's lease
        with pytest.raises(CommandError, match="no_sleeves"):
            call_command("run_trader", seconds=1)
    assert Lease.objects.get(name="trader:main").holder == ""
