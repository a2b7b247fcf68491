"""The tutorial of docs/research.md over the API, by a client generated from the schema."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from celery import Task
from django.core.cache import cache
from django.test import Client

from magnetfund.core.roles import Role
from magnetfund.operations.people import ensure_user
from magnetfund.tests.generated_client import GeneratedClient, SchemaBroken
from magnetfund.tests.test_schema import COMMITTED
from trading.services.research.queue import work_waiting
from trading.tests.magnet_bars import make_random_bars
from trading.tests.test_research_backtests import NAME, store

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("token_keys")]
PASSWORD = "a long sentence of mine"
SCHEMA = yaml.load(COMMITTED.read_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
ASKED = {
    "sleeves": [{"strategy": "moving-average", "parameters": {"fast": 5, "slow": 20}}],
    "instruments": [NAME],
    "unseen_from": "2024-04-01T00:00:00Z",
    "controls": 2,
}


class Wire:
    """Sends what the client asks for, with the token of the sign-in."""

    def __init__(self) -> None:
        self.headers: dict[str, str] = {}
        self.changes: dict[str, Any] = {}

    def __call__(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        answer = Client().generic(
            method.upper(), path, "" if body is None else json.dumps(body),
            content_type="application/json", headers=self.headers,
        )  # fmt: skip
        return answer.status_code, {**answer.json(), **self.changes}


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> Wire:
    cache.clear()
    monkeypatch.setattr(Task, "apply_async", lambda self, *a, **options: None)
    user = ensure_user(email="operator@example.com", name="Op", roles=[Role.OPERATOR])
    user.set_password(PASSWORD)
    user.save(update_fields=["password"])
    return Wire()


def sign_in(wire: Wire) -> GeneratedClient:
    client = GeneratedClient(SCHEMA, wire)
    tokens = client.sign_in({"email": "operator@example.com", "password": PASSWORD})
    assert tokens.expires_in > 0
    tokens = client.refresh_token({"refresh": tokens.refresh})
    wire.headers = {"Authorization": f"Bearer {tokens.token}"}
    return client


def test_a_generated_client_runs_the_tutorial_with_named_fields(wire: Wire) -> None:
    store(make_random_bars(count=3_000, seed=31))
    client = sign_in(wire)
    asked = client.start_backtest(ASKED)
    assert asked.state == "waiting"
    assert asked.metrics is None
    work_waiting()
    run = client.read_backtest(id=asked.id)
    assert run.state == "done", run.refusal
    assert run.metrics.trades > 0
    assert run.metrics.sharpe == run.periods[0].run.sharpe
    assert [period.name for period in run.periods] == ["whole", "seen", "unseen"]
    assert run.request.sleeves[0].parameters["fast"] == 5
    assert run.parameters["moving-average"]["slow"] == "20"
    assert run.verdict.headline
    assert len(run.series.t) == len(run.series.equity)
    assert run.coverage[0].instrument == NAME
    assert {control.draws for control in run.controls} >= {2}
    again = client.start_backtest(ASKED)
    work_waiting()
    assert client.read_backtest(id=again.id).same_as == run.id

    sweep = client.start_sweep(
        {**ASKED, "controls": 0, "space": {"fast": "4,6,8", "slow": "20,30"}}
    )
    assert client.read_sweep(id=sweep.id).chunks is None
    dropped = client.start_sweep({**ASKED, "controls": 0, "space": {"fast": "3,7"}})
    assert client.move_sweep(id=dropped.id, move="cancel").state == "cancelled"
    work_waiting()
    sweep = client.read_sweep(id=sweep.id)
    assert sweep.state == "done", sweep.refusal
    assert (sweep.sweep.variants, sweep.chunks.variants_done) == (6, 6)
    assert sweep.sweep.best.parameters.keys() == {"fast", "slow"}
    assert len(sweep.sweep.surface.rows) * len(sweep.sweep.surface.columns) == 6
    assert sweep.verdict.trials == 7

    refused = client.start_backtest({**ASKED, "start": "2035-01-01T00:00:00Z"})
    work_waiting()
    assert client.read_backtest(id=refused.id).refusal_code == "no_candles"


@pytest.mark.parametrize(
    "change", [{"luck": 1}, {"wall_ms": "1"}, {"state": "odd"}, {"metrics": {}}, {"id": None}]
)
def test_the_client_notices_what_the_schema_does_not_say(
    wire: Wire, change: dict[str, Any]
) -> None:
    client = sign_in(wire)
    wire.changes = change
    with pytest.raises(SchemaBroken):
        client.start_backtest(ASKED)
