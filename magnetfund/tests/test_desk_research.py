"""Research on the desk and over the API: asked, watched, read, compared, exported."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from celery import Task
from celery.exceptions import OperationalError
from django.template.loader import render_to_string
from django.test import Client
from pyarrow import parquet

from magnetfund.core.roles import Role
from magnetfund.operations import tasks
from magnetfund.operations.people import ensure_user
from magnetfund.tests.test_access import bearer
from magnetfund.web.desk.research_studies import LABELS_MAX, shade_surface
from trading.domain.market import Candles
from trading.domain.research.space import read_space
from trading.models import ResearchRun, RunState, Trial
from trading.services.research.catalogue import load_catalogue
from trading.services.research.queue import work_waiting
from trading.services.research.studies import ask_study
from trading.services.research.sweeps import open_sweep
from trading.tests.magnet_bars import make_random_bars
from trading.tests.test_research_backtests import NAME, store

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("token_keys")]
FORM = {
    "strategy": "moving-average", "instrument": NAME, "p_fast": "5", "p_slow": "20",
    "cash": "430,000", "risk": "0.35", "rules": "fund", "funding": "dated", "gaps": "1",
}  # fmt: skip


@pytest.fixture(autouse=True)
def market(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Stored hours, and a broker that only notes what was sent."""
    store(make_random_bars(count=3_000, seed=31))
    sent: list[dict[str, Any]] = []
    monkeypatch.setattr(
        Task, "apply_async", lambda self, *a, **options: sent.append({"task": self.name, **options})
    )
    return sent


@pytest.fixture
def desk() -> Client:
    client = Client()
    client.force_login(ensure_user(email="op@example.com", name="Operator", roles=[Role.OPERATOR]))
    return client


def ask(desk: Client, **changes: str) -> ResearchRun:
    answer = desk.post("/desk/research/backtests/", {**FORM, **changes})
    assert answer.status_code == 302, answer.content.decode()
    return ResearchRun.objects.get(pk=int(answer.url.rstrip("/").rsplit("/", 1)[1]))


def done(desk: Client, **changes: str) -> ResearchRun:
    run = ask(desk, **changes)
    work_waiting()
    run.refresh_from_db()
    return run


def test_a_run_waits_is_watched_and_opens_as_a_result(
    desk: Client, market: list[dict[str, Any]]
) -> None:
    run = ask(desk)
    page = desk.get(f"/desk/research/{run.pk}/").content.decode()
    assert "Waiting for a worker" in page
    assert market[0]["task"] == "magnetfund.research_queue"
    assert market[0]["queue"] == "research"
    part = desk.get(f"/desk/research/{run.pk}/", headers={"HX-Request": "true"})
    assert "<html" not in part.content.decode()
    work_waiting()
    ready = desk.get(f"/desk/research/{run.pk}/", headers={"HX-Request": "true"})
    assert ready["HX-Refresh"] == "true"
    page = desk.get(f"/desk/research/{run.pk}/").content.decode()
    for words in ("Verdict", "By month", "Where the money went", "Trades by result", "Sleeves",
                  "What this run assumes", "bought and held", "Deflated Sharpe",
                  "Trades on their candles", "Worst and best of each trade", "r-stop"):  # fmt: skip
        assert words in page
    assert "style=" not in page
    assert "style=" not in desk.get("/desk/research/").content.decode()


def test_a_bad_field_is_told_beside_it_and_nothing_is_stored(desk: Client) -> None:
    bad = {**FORM, "p_fast": "0", "cash": "much", "start": "1.1.2024"}
    del bad["instrument"]
    answer = desk.post("/desk/research/backtests/", bad)
    page = answer.content.decode()
    assert answer.status_code == 422
    for words in ("fast = 0 is outside its bounds 1 to 2000", "Enter a number.",
                  "Enter a date as YYYY-MM-DD.", "Choose at least one instrument."):  # fmt: skip
        assert words in page
    assert 'value="much"' in page
    crossed = desk.post("/desk/research/backtests/", {**FORM, "p_fast": "30", "p_slow": "20"})
    assert "Windows must satisfy" in crossed.content.decode()
    unknown = desk.post("/desk/research/backtests/", {**FORM, "strategy": "no-such"})
    assert "There is no such strategy." in unknown.content.decode()
    assert not ResearchRun.objects.exists()


def test_shorter_candles_are_chosen_on_the_form_and_asked_for_where_they_are_missing(
    desk: Client,
) -> None:
    assert 'name="resolution"' in desk.get("/desk/research/").content.decode()
    run = done(desk, resolution="1m")
    assert (run.state, run.refusal_code) == (RunState.REFUSED, "no_fine_candles")
    page = desk.get(f"/desk/research/{run.pk}/").content.decode()
    assert "--timeframe 1m" in page
    bad = desk.post("/desk/research/backtests/", {**FORM, "resolution": "2s"})
    assert bad.status_code == 422
    assert "Choose one of those offered." in bad.content.decode()


def test_a_refusal_is_shown_with_its_reason_and_counts_nothing(desk: Client) -> None:
    run = done(desk, start="2035-01-01")
    assert run.state == RunState.REFUSED
    page = desk.get(f"/desk/research/{run.pk}/").content.decode()
    assert "there are no candles of BTC/USDT:USDT in this span" in page
    assert not Trial.objects.exists()


def test_equal_inputs_lead_to_the_run_that_exists(desk: Client) -> None:
    first = done(desk)
    again = done(desk)
    assert again.state == RunState.REPEATED
    answer = desk.get(f"/desk/research/{again.pk}/")
    assert answer.status_code == 302
    assert answer.url == f"/desk/research/{first.pk}/"
    assert Trial.objects.count() == 1


def test_runs_are_compared_and_exported(desk: Client) -> None:
    first, second = done(desk), done(desk, p_fast="8", unseen="2024-04-01")
    page = desk.get(f"/desk/research/compare/?run={first.pk}&run={second.pk}&run=99999").content
    assert b"Side by side" in page
    assert b"Mark at least two" in desk.get(f"/desk/research/compare/?run={first.pk}").content
    base = f"/desk/research/{second.pk}/"
    assert "Unseen" in desk.get(base).content.decode()
    trades = desk.get(base + "trades.csv").content.decode().splitlines()
    count = second.result["figures"]["metrics"]["trades"]
    assert len(trades) == count + 1
    assert trades[0].startswith("strategy,instrument,side,entry,exit")
    body = desk.get(base + "equity.parquet").content
    assert parquet.read_table(io.BytesIO(body)).num_rows == 3_000
    assert len(desk.get(base + "report.html").content) < 2_000_000
    assert json.loads(desk.get(base + "result.json").content)["metrics"]["trades"] == count
    assert desk.get(base + "other.csv").status_code == 404


def test_the_list_shows_verdicts_and_families_in_few_queries(
    desk: Client, django_assert_max_num_queries: Any
) -> None:
    for fast in ("5", "6", "7"):
        done(desk, p_fast=fast)
    with django_assert_max_num_queries(18):
        page = desk.get("/desk/research/").content.decode()
    assert "Trials by family" in page
    assert "This will be trial 1 of its family." in page  # of trend, which is chosen
    run = ResearchRun.objects.filter(state=RunState.DONE).first()
    assert run is not None
    with django_assert_max_num_queries(18):
        desk.get(f"/desk/research/{run.pk}/")
    part = desk.get("/desk/research/parameters/?strategy=trend").content.decode()
    assert "Swing order" in part


def test_the_api_takes_a_backtest_and_gives_its_result() -> None:
    body = {
        "sleeves": [{"strategy": "moving-average", "parameters": {"fast": 5, "slow": 20}}],
        "instruments": [NAME],
    }
    client = Client(headers=bearer(Role.OPERATOR))
    asked = client.post("/api/backtests", json.dumps(body), content_type="application/json")
    assert asked.status_code == 202
    path = asked["Location"]
    assert client.get(path).json()["state"] == "waiting"
    work_waiting()
    found = client.get(path).json()
    assert found["state"] == "done"
    assert found["verdict"]["trials"] == 1
    assert len(found["series"]["t"]) == len(found["series"]["equity"])
    body["resolution"] = "1m"
    minutes = client.post("/api/backtests", json.dumps(body), content_type="application/json")
    work_waiting()
    assert client.get(minutes["Location"]).json()["refusal_code"] == "no_fine_candles"
    body["sleeves"][0]["parameters"]["fast"] = 0  # type: ignore[index]
    bad = client.post("/api/backtests", json.dumps(body), content_type="application/json")
    assert bad.status_code == 422
    assert bad.json()["error"]["code"] == "out_of_bounds"
    assert client.get("/api/backtests/999999").status_code == 404


def test_without_a_broker_the_run_waits_and_nothing_is_lost(
    desk: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Any, *_a: Any, **_options: Any) -> None:
        raise OperationalError("no broker")

    monkeypatch.setattr(Task, "apply_async", refuse)
    run = ask(desk)
    assert run.state == RunState.WAITING
    assert tasks.research_queue() == "1 runs"
    run.refresh_from_db()
    assert run.state == RunState.DONE


def test_the_values_offered_for_a_sweep_are_those_of_the_chosen_strategy(desk: Client) -> None:
    catalogue = load_catalogue()
    for name, builder in catalogue.builders.items():
        page = desk.get("/desk/research/sweeps/", {"strategy": name}).content.decode()
        text = page.partition('name="space"')[2].partition(">")[2].partition("</textarea>")[0]
        offered = dict(line.split(" = ") for line in text.splitlines())
        assert len(offered) == 2
        space = read_space(builder, offered)
        assert len(space.values) == 2
        assert space.size > 1


def test_a_sweep_from_the_form_opens_with_its_surface(desk: Client) -> None:
    asked = {
        "strategy": "moving-average", "instrument": NAME, "space": "fast = 5,10\nslow=20:60:20",
        "draw": "0",
    }  # fmt: skip
    answer = desk.post("/desk/research/sweeps/start/", asked)
    assert answer.status_code == 302
    work_waiting()
    page = desk.get(answer.url).content.decode()
    for words in ("Surface", "Chance of overfitting", "Walk-forward", "Best variants"):
        assert words in page
    assert page.count("is-plateau") + page.count("is-peak") == 1
    assert desk.get("/desk/research/sweeps/").status_code == 200
    bad = desk.post("/desk/research/sweeps/start/", {**asked, "space": "fast 5"})
    assert bad.status_code == 422
    assert "A line reads parameter = values, not fast 5" in bad.content.decode()


def test_a_dense_surface_has_few_labels_and_its_figures_behind_a_switch() -> None:
    def shaded(columns: int, rows: int) -> dict[str, Any]:
        surface = {
            "across": "fast",
            "down": "slow",
            "columns": [str(k) for k in range(columns)],
            "rows": [{"name": str(j), "cells": [0.01 * j] * columns} for j in range(rows)],
        }
        found = shade_surface(surface, {"parameters": {"fast": "3", "slow": "2"}}, "plateau")
        assert found is not None
        return found

    dense, small = shaded(100, 100), shaded(8, 5)
    labels = [row["label"] for row in dense["rows"] if "label" in row]
    for thin in (dense["labels"], labels):
        assert len(thin) <= LABELS_MAX
        assert sum(label["span"] for label in thin) == 100
    page = render_to_string("desk/research/_surface.html", {"surface": dense})
    assert "Show the figures" in page
    assert page.count("is-plateau") == 1
    assert not small["is_dense"]
    page = render_to_string("desk/research/_surface.html", {"surface": small})
    assert "Show the figures" not in page
    assert page.count("</td>") == 8 * 5


def with_edge(candles: Candles) -> Candles:
    """The same bars on a drift that keeps its side for twenty days."""
    side = np.where(np.arange(len(candles)) // 480 % 2 == 0, 1, -1)
    lift = np.exp(np.cumsum(0.0012 * side))
    prices = {name: getattr(candles, name) * lift for name in ("open", "high", "low", "close")}
    return replace(candles, **prices)


@pytest.mark.drill
def test_the_page_tells_the_best_of_5000_on_noise_from_a_planted_edge(desk: Client) -> None:
    noise = make_random_bars(count=12_000, seed=7)
    luck, edge = "Does not survive the count of its trials", "Survives the count of its trials"
    crosses = "fast = 2:51:1\nslow = 52:151:1"
    returns = "bar_hours = 4,6,8,12,24\nhorizon = 2:101:1\nstop_atr = 1:5.5:0.5"
    # A rule each: what one family tried counts against all that it tries.
    for symbol, candles, strategy, space, headline, other in (
        ("ETH/USDT:USDT", noise, "momentum", returns, luck, edge),
        ("SOL/USDT:USDT", with_edge(noise), "moving-average", crosses, edge, luck),
    ):
        store(candles, symbol=symbol)
        answer = desk.post(
            "/desk/research/sweeps/start/",
            {"strategy": strategy, "instrument": symbol, "draw": "0", "space": space},
        )  # fmt: skip
        work_waiting(threads=2)
        run = ResearchRun.objects.get(request__instruments=[symbol])
        assert run.result["sweep"]["variants"] == 5_000
        page = desk.get(answer.url).content.decode()
        assert f'<p class="mf-headline">{headline}.</p>' in page
        assert other not in page
        best = run.result["sweep"]["best"]
        assert best["seen"] > 1.0, "without the count both look like skill"
        # The best of them, asked for alone, is told the same: it is no new trial.
        chosen = {f"p_{name}": str(value) for name, value in best["parameters"].items()}
        alone = done(desk, strategy=strategy, instrument=symbol, **chosen)
        assert alone.state == RunState.DONE, alone.refusal
        page = desk.get(f"/desk/research/{alone.pk}/").content.decode()
        assert f'<p class="mf-headline">{headline}.</p>' in page
    assert Trial.objects.count() == 10_000


def test_studies_run_from_their_pages_and_show_their_answer(
    desk: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    # To show an answer, a thousand paths do; how they are drawn is tested beside the service.
    monkeypatch.setitem(ask_study.__kwdefaults__, "paths", 1_000)
    for kind, words in (("evidence", "Holm p"), ("survival", "Ever below half")):
        assert "No study has been run yet." in desk.get(f"/desk/research/{kind}/").content.decode()
        answer = desk.post(f"/desk/research/{kind}/start/", {"instrument": NAME})
        ResearchRun.objects.filter(kind="survival").update(state=RunState.WAITING)
        run = ResearchRun.objects.get(kind=kind)
        assert answer.url == f"/desk/research/{run.pk}/"
        work_waiting()
        assert words in desk.get(f"/desk/research/{kind}/").content.decode()
        assert words in desk.get(answer.url).content.decode()


def test_an_open_run_is_cancelled_once(desk: Client) -> None:
    run = ask(desk)
    desk.post(f"/desk/research/{run.pk}/cancel/")
    run.refresh_from_db()
    assert run.state == RunState.CANCELLED
    assert work_waiting() == 0
    page = desk.get(f"/desk/research/{run.pk}/").content.decode()
    assert "Cancelled" in page


def test_a_sweep_is_paused_resumed_and_cancelled_on_its_page(desk: Client) -> None:
    asked = {
        "strategy": "moving-average", "instrument": NAME, "space": "fast = 5,10\nslow=20:60:20",
        "draw": "0",
    }  # fmt: skip
    page = desk.post("/desk/research/sweeps/start/", asked).url
    run = ResearchRun.objects.get()
    assert desk.post(f"{page}pause/").status_code == 302
    assert "is not running" in desk.get(page).content.decode()
    open_sweep(run, None)
    text = desk.get(page).content.decode()
    for words in ("0 of 6 variants are stored", "0 workers at it", "Pause", "Cancel"):
        assert words in text
    desk.post(f"{page}pause/")
    part = desk.get(page, headers={"HX-Request": "true"}).content.decode()
    assert "Paused" in part
    assert "Resume" in desk.get(page).content.decode()
    assert work_waiting() == 0
    desk.post(f"{page}resume/")
    assert work_waiting() == 1
    assert "Best variants" in desk.get(page).content.decode()
    desk.post(f"{page}cancel/")
    assert "was finished already" in desk.get(page).content.decode()
    backtest = ask(desk)
    desk.post(f"/desk/research/{backtest.pk}/pause/")
    assert "only a sweep can be paused" in desk.get(page).content.decode()


def test_the_api_takes_a_sweep_pauses_it_and_gives_its_result() -> None:
    body = {
        "sleeves": [{"strategy": "moving-average"}],
        "instruments": [NAME],
        "space": {"fast": "5,10", "slow": "20:60:20"},
    }
    client = Client(headers=bearer(Role.OPERATOR))
    asked = client.post("/api/sweeps", json.dumps(body), content_type="application/json")
    assert asked.status_code == 202
    path = asked["Location"]
    assert client.get(path).json()["chunks"] is None
    open_sweep(ResearchRun.objects.get(), None)
    assert client.post(f"{path}/pause").json()["state"] == "paused"
    assert client.post(f"{path}/pause").json()["error"]["code"] == "wrong_state"
    assert client.post(f"{path}/resume").json()["chunks"]["variants_done"] == 0
    work_waiting()
    found = client.get(path).json()
    assert (found["state"], found["progress"]) == ("done", 1.0)
    assert found["chunks"] == {"variants": 6, "variants_done": 6, "workers": 0, "new_trials": 6}
    assert found["verdict"]["trials"] == 6
    assert client.post(f"{path}/cancel").status_code == 422
    assert client.post(f"{path}/stop").status_code == 404
    body["space"] = {"fats": "5"}
    bad = client.post("/api/sweeps", json.dumps(body), content_type="application/json")
    assert bad.json()["error"]["code"] == "unknown_parameter"
