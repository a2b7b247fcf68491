"""A search that learns: finds a planted hill, repeats itself exactly, tries nothing twice."""

from __future__ import annotations

import json
import math
from io import StringIO
from typing import Any

import numpy as np
import pytest
from django.core.management import CommandError, call_command

from magnetfund.core.actors import Actor
from magnetfund.kernel.errors import InvalidInput
from trading.domain.research.request import BacktestRequest, SleeveRequest
from trading.domain.research.search import (
    History,
    find_front,
    read_objectives,
    size_generation,
    suggest_places,
)
from trading.domain.research.space import SweepSpace, read_space
from trading.domain.strategies.registry import STRATEGIES
from trading.models import ResearchRun, RunState, SweepChunk, Trial
from trading.services.research.sweep_asking import ask_sweep
from trading.services.research.sweeps import work_sweep
from trading.tests.magnet_bars import make_random_bars
from trading.tests.test_research_backtests import NAME, store

SPACE = SweepSpace(
    values={"fast": tuple(range(50)), "slow": tuple(range(50)), "kind": ("a", "b")},
    count=240,
    search="tpe",
)


def climb(space: SweepSpace, generations: int) -> History:
    """A search on a hill at (30, 12, "b"); a tenth of the ground cannot be built on."""
    history = History()
    for generation in range(generations):
        places = suggest_places(space=space, history=history, count=24, seed=(7, generation))
        values = []
        for place in places:
            at = space.at(place)
            height = -abs(at["fast"] - 30) - abs(at["slow"] - 12) - 20 * (at["kind"] == "a")
            values.append((math.nan if place % 10 == 0 else float(height),))
        history = History(places=(*history.places, *places), values=(*history.values, *values))
    return history


def test_a_search_climbs_a_hill_that_chance_would_miss_and_tries_nothing_twice() -> None:
    found = climb(SPACE, 10)
    assert len(set(found.places)) == len(found.places) == 240
    heights = np.array([value[0] for value in found.values]).reshape(10, 24)
    # Later generations go down again: the top is tried, and nothing is tried twice.
    assert np.nanmedian(heights[3:6]) > np.nanmedian(heights[0]) + 15
    assert np.nanmax(heights) >= -1
    assert climb(SPACE, 10) == found


def test_a_small_grid_is_tried_to_its_last_variant() -> None:
    space = SweepSpace(values={"fast": tuple(range(6)), "slow": tuple(range(4))}, search="tpe")
    first = suggest_places(space=space, history=History(), count=12, seed=(1, 0))
    history = History(places=tuple(first), values=tuple((float(place),) for place in first))
    rest = suggest_places(space=space, history=history, count=12, seed=(1, 1))
    assert sorted(first + rest) == list(range(24))


def test_objectives_are_named_and_a_front_holds_what_nothing_beats() -> None:
    assert read_objectives(()) == ("sharpe",)
    assert read_objectives(("return", "drawdown", "return")) == ("return", "drawdown")
    with pytest.raises(InvalidInput):
        read_objectives(("profit",))
    values = np.array([[1.0, -0.3], [0.5, -0.1], [0.4, -0.2], [1.0, -0.4], [0.2, -0.05]])
    assert find_front(values) == [0, 1, 4]
    assert [size_generation(count) for count in (20, 100, 240, 5_000)] == [8, 8, 24, 64]
    with pytest.raises(InvalidInput, match="how many"):
        read_space(STRATEGIES["moving-average"], {"fast": "5,10"}, search="tpe")


def ask() -> ResearchRun:
    request = BacktestRequest(
        sleeves=(SleeveRequest(strategy="moving-average"),), instruments=(NAME,)
    )
    return ask_sweep(
        request=request,
        space={"fast": "3:42:1", "slow": "30:100:1"},
        count=64,
        seed=5,
        search="tpe",
        objectives=("sharpe", "drawdown"),
        actor=Actor.system("test"),
        by_person=False,
    )


@pytest.mark.django_db
def test_a_search_is_the_same_after_every_lost_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    store(make_random_bars(count=1_500, seed=31))
    whole = ask()
    work_sweep(whole, threads=1)
    whole.refresh_from_db()
    assert whole.state == RunState.DONE, whole.refusal
    places = [row for rows in SweepChunk.objects.filter(run=whole).order_by("number")
              .values_list("places", flat=True) for row in rows]  # fmt: skip
    assert len(set(places)) == 64
    variants = whole.result["sweep"]["variants"]
    assert Trial.objects.count() == whole.result["new_trials"] == variants
    assert variants + whole.result["sweep"]["refused"] == 64
    front = whole.result["sweep"]["front"]
    assert front
    assert set(front[0]["objectives"]) == {"sharpe", "drawdown"}
    # The same question anew, its first chunk of each generation lost once.
    ResearchRun.objects.filter(pk=whole.pk).update(inputs_hash="x" * 64)
    again = ask()
    from trading.services.research import sweeps

    real, lost = sweeps.store_chunk, set()

    def lose(run: Any, prepared: Any, held: Any, result: Any) -> bool:
        if held.generation not in lost:
            lost.add(held.generation)
            SweepChunk.objects.filter(pk=held.id).update(state="free")
            return False
        return real(run, prepared, held, result)

    monkeypatch.setattr(sweeps, "store_chunk", lose)
    work_sweep(again, threads=2)
    again.refresh_from_db()
    assert len(lost) == 8
    assert again.result["sweep"] == whole.result["sweep"]
    assert again.result["new_trials"] == 0


@pytest.mark.django_db
def test_the_command_searches_and_refuses_what_it_cannot() -> None:
    store(make_random_bars(count=1_500, seed=31))
    asked = ("sweep", "--strategy", "moving-average", "--instrument", NAME, "--json")
    space = ("--try", "fast=3:42:1", "--try", "slow=30:100:1")
    out = StringIO()
    call_command(*asked, *space, "--search", "tpe", "--trials", "20", stdout=out)
    found = json.loads(out.getvalue().splitlines()[-1])
    assert found["sweep"]["search"] == "tpe"
    assert found["sweep"]["variants"] + found["sweep"]["refused"] == 20
    assert found["verdict"]["trials"] == found["new_trials"]
    for more, code in (
        (("--search", "tpe"), "bad_search"),
        (("--objective", "sharpe"), "bad_search"),
        (("--search", "tpe", "--trials", "9", "--objective", "profit"), "unknown_objective"),
    ):
        with pytest.raises(CommandError, match=code):
            call_command(*asked, *space, *more)
