"""Readings of magnets kept in the home: shared by workers, never stale, never half."""

from __future__ import annotations

import multiprocessing
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trading.domain.magnets import DEFAULT_PARAMETERS, compute_magnet_signals
from trading.domain.magnets.types import MagnetSignals
from trading.domain.market import Candles
from trading.services.research import magnet_files
from trading.services.research.magnet_files import keep_magnets, name_readings
from trading.tests.magnet_bars import make_random_bars


@pytest.fixture
def folder(settings: Any, tmp_path: Path) -> Path:
    settings.MAGNET_HOME = tmp_path
    return tmp_path / "cache" / "magnets"


@pytest.fixture(scope="module")
def candles() -> Candles:
    return make_random_bars(count=1_000, seed=3)


class Made:
    """Makes readings and counts how often."""

    def __init__(self, candles: Candles) -> None:
        self.candles, self.count = candles, 0

    def __call__(self) -> MagnetSignals:
        self.count += 1
        return compute_magnet_signals(candles=self.candles)


def assert_equal(one: MagnetSignals, other: MagnetSignals) -> None:
    for name in MagnetSignals.__dataclass_fields__:
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
        assert np.asarray(getattr(one, name)).dtype == np.asarray(getattr(other, name)).dtype


def test_readings_are_made_once_and_again_for_whatever_changes(
    folder: Path, candles: Candles, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Made(candles)
    first, second = (keep_magnets(candles, DEFAULT_PARAMETERS, made) for _ in range(2))
    assert made.count == 1
    assert_equal(first, second)
    assert_equal(first, compute_magnet_signals(candles=candles))
    close = candles.close.copy()
    close[-1] = np.nextafter(close[-1], 0.0)
    names = {
        name_readings(candles, DEFAULT_PARAMETERS),
        name_readings(replace(candles, close=close), DEFAULT_PARAMETERS),
        name_readings(candles.between(0, 999), DEFAULT_PARAMETERS),
        name_readings(replace(candles, instrument="ETH/USDT:USDT"), DEFAULT_PARAMETERS),
        name_readings(candles, replace(DEFAULT_PARAMETERS, atr_length=15)),
    }
    monkeypatch.setattr(magnet_files, "hash_code", lambda: "another program")
    names.add(name_readings(candles, DEFAULT_PARAMETERS))
    assert len(names) == 6


def test_a_torn_file_is_made_again_and_a_closed_folder_costs_time_alone(
    folder: Path, candles: Candles, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Made(candles)
    keep_magnets(candles, DEFAULT_PARAMETERS, made)
    file = next(folder.glob("*.npz"))
    whole = file.read_bytes()
    for torn in (whole[: len(whole) // 2], whole[:5_000] + b"\0" * 64 + whole[5_064:], b""):
        file.write_bytes(torn)
        found = keep_magnets(candles, DEFAULT_PARAMETERS, made)
        assert_equal(found, compute_magnet_signals(candles=candles))
        assert file.stat().st_size == len(whole)
    assert made.count == 4
    monkeypatch.setattr(magnet_files, "FILES_MAX", 1)
    keep_magnets(candles.between(0, 900), DEFAULT_PARAMETERS, Made(candles.between(0, 900)))
    assert len(list(folder.iterdir())) == 2, "a file and its lock: the older pair went"
    assert not list(folder.glob("*.part"))
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    folder.write_text("no folder")
    assert_equal(keep_magnets(candles, DEFAULT_PARAMETERS, made), found)


def test_workers_that_need_the_same_readings_at_once_make_them_once(
    folder: Path, candles: Candles, tmp_path: Path
) -> None:
    compute_magnet_signals(candles=candles)  # compiled before the processes part
    forked = multiprocessing.get_context("fork")
    gate = forked.Event()

    def work(number: int) -> None:
        made = Made(candles)
        gate.wait()
        keep_magnets(candles, DEFAULT_PARAMETERS, made)
        (tmp_path / f"made-{number}-{made.count}").touch()
        os._exit(0)

    workers = [forked.Process(target=work, args=(number,)) for number in range(3)]
    for worker in workers:
        worker.start()
    gate.set()
    for worker in workers:
        worker.join(60)
    assert sorted(path.name[-1] for path in tmp_path.glob("made-*")) == ["0", "0", "1"]
