"""What a file of candles is taken for: its own length and its own steps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from django.core.management import CommandError, call_command
from pyarrow import parquet

from magnetfund import research
from magnetfund.core.actors import Actor
from magnetfund.kernel.errors import InvalidInput
from trading.domain.market import HOUR_MS, MINUTE_MS
from trading.domain.research.request import BacktestRequest, SleeveRequest
from trading.domain.research.space import read_space
from trading.domain.strategies.registry import STRATEGIES
from trading.models import Candle, Instrument, RunState, Trial
from trading.services.research.backtests import ask_backtest
from trading.services.research.queue import work_waiting
from trading.tests.magnet_bars import make_random_bars
from trading.tests.test_research_backtests import store

NAME = "BTC/USDT:USDT"
START = 1_600_000_000_000 // HOUR_MS * HOUR_MS


def written(folder: Path, *, step: int, order: np.ndarray | None = None) -> Path:
    bars = make_random_bars(count=600, seed=5)
    rows = np.arange(600) if order is None else order
    table = {"open_time": (START + step * np.arange(600))[rows]}
    for name in ("open", "high", "low", "close", "volume"):
        table[name] = getattr(bars, name)[rows]
    path = folder / "bars.parquet"
    parquet.write_table(pa.table(table), path)
    return path


@pytest.mark.django_db
def test_minutes_are_not_taken_for_hours(tmp_path: Path):
    minutes = written(tmp_path, step=MINUTE_MS)
    with pytest.raises(CommandError, match=r"stand 1m apart.*wrong_timeframe"):
        call_command("import_candles", str(minutes), instrument=NAME)
    assert not Candle.objects.exists()
    assert not Instrument.objects.exists()
    with pytest.raises(InvalidInput, match="no candles of 1h") as caught:
        research.load(minutes, instrument=NAME)
    assert caught.value.code == "wrong_timeframe"
    assert len(research.load(minutes, instrument=NAME, timeframe="1m").candles) == 600


def test_the_order_of_rows_and_their_repetition_change_no_length(tmp_path: Path):
    order = np.random.default_rng(3).integers(0, 600, 2_000)
    hours = written(tmp_path, step=HOUR_MS, order=order)
    assert len(research.load(hours, instrument=NAME).candles) == np.unique(order).size


@pytest.mark.parametrize(
    ("steps", "code"),
    [
        ({"tick": 0.0}, "bad_instrument"),
        ({"tick": 1e9}, "bad_tick"),
        ({"tick": 1e-300}, "bad_tick"),
        ({"lot": 0.0}, "bad_instrument"),
        ({"lot": 1e-300}, "bad_lot"),
    ],
)
def test_steps_that_the_prices_cannot_have_are_refused(
    tmp_path: Path, steps: dict[str, float], code: str
):
    with pytest.raises(InvalidInput) as caught:
        research.load(written(tmp_path, step=HOUR_MS), instrument=NAME, **steps)
    assert caught.value.code == code


def test_a_parameter_without_a_value_is_no_space():
    for text in ("", ",", " , "):
        with pytest.raises(InvalidInput, match="name the values of fast") as caught:
            read_space(STRATEGIES["moving-average"], {"fast": text, "slow": "50"})
        assert caught.value.code == "bad_space"


@pytest.mark.django_db
def test_a_backtest_over_a_file_is_worked_on_by_its_command_alone():
    """Another worker has the stored candles alone, which are not those that were meant."""
    store(make_random_bars(count=3_000, seed=31))
    asked = ask_backtest(
        request=BacktestRequest(
            sleeves=(SleeveRequest(strategy="moving-average"),), instruments=(NAME,)
        ),
        actor=Actor.system("backtest"),
        by_person=False,
        stored_candles=False,
    )
    work_waiting()
    asked.refresh_from_db()
    assert (asked.state, asked.refusal_code) == (RunState.REFUSED, "file_gone")
    assert not Trial.objects.exists()
