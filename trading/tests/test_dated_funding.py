"""Funding by date: what falls due, on bars and between prices, and how rates come in."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from magnetfund.core.actors import Actor
from magnetfund.tests.walls_support import make_instrument, wait_for_waiter
from trading.domain.market import DAY_MS, HOUR_MS, MINUTE_MS
from trading.domain.market.funding import FUNDING_RATE_DEFAULT, FundingRates, spread_funding
from trading.models import FundingRate
from trading.services import funding
from trading.services.funding import load_funding
from trading.services.instruments import get_instrument
from trading.services.market_reader import MarketReader

MONDAY = 20_000 * DAY_MS
RATES = FundingRates(
    stamp_ms=MONDAY + np.array([8, 12, 16, 24]) * HOUR_MS,
    rate=np.array([0.0003, 0.0002, -0.0001, 0.0004]),
)


@pytest.mark.parametrize("bar_ms", [MINUTE_MS, HOUR_MS, 4 * HOUR_MS, 8 * HOUR_MS])
def test_bars_and_prices_pay_the_same_and_the_default_before_the_first_rate(bar_ms: int):
    times = np.arange(MONDAY, MONDAY + 2 * DAY_MS, bar_ms)
    spread = spread_funding(open_time=times, bar_ms=bar_ms, rates=RATES)
    assert spread.tolist() == [RATES.due(t, t + bar_ms) for t in times.tolist()]
    expected = 0.0001 + 0.0003 + 0.0002 - 0.0001 + 0.0004 + 2 * 0.0001
    assert spread.sum() == pytest.approx(expected)


def test_a_stamp_belongs_to_the_span_that_begins_with_it():
    stamp = MONDAY + 8 * HOUR_MS
    assert RATES.due(stamp - HOUR_MS, stamp) == 0.0
    assert RATES.due(stamp, stamp + 1) == 0.0003
    assert FundingRates.none().due(stamp, stamp + 1) == 0.0001


def test_what_ends_before_it_begins_charges_nothing():
    day = 24 * HOUR_MS
    assert FundingRates.none().due(day + 15_000, day - HOUR_MS) == 0.0


@pytest.mark.django_db
def test_a_charge_that_was_taken_back_with_its_step_falls_due_again():
    instrument = make_instrument()
    reader = object.__new__(MarketReader)
    feed = SimpleNamespace(instrument=instrument)
    reader.hours = [SimpleNamespace(feed=feed)]  # type: ignore[list-item]
    reader.source = SimpleNamespace(funding=lambda *_: ())  # type: ignore[assignment]
    reader._funded_ms = 0
    stamp = 24 * HOUR_MS
    before, after = stamp - HOUR_MS + 15_000, stamp + 15_000
    assert reader._funding_due(before, before - 1_000) == [0.0]
    charge = [FUNDING_RATE_DEFAULT]
    assert reader._funding_due(after, before) == charge
    # That step failed, so the book stands where it stood and walks the minutes that it missed.
    behind = [reader._funding_due(minute, before) for minute in range(before + 1, stamp, 60_000)]
    assert behind == [[0.0]] * len(behind)
    assert reader._funding_due(after, before) == charge
    assert reader._funding_due(after + 1_000, after) == [0.0], "and once"


def load(path: Path, **options: object) -> str:
    out = io.StringIO()
    call_command("import_funding", str(path), instrument="btc/usdt:usdt", stdout=out, **options)
    return out.getvalue()


@pytest.mark.django_db
def test_rates_come_in_once_on_their_minute_and_garbage_stays_out(tmp_path: Path):
    path = tmp_path / "rates.csv"
    path.write_text(
        "date,funding_rate\n"
        "2025-03-07 08:00:00.001,0.0002\n"
        "2025-03-07 16:00:00,-0.0001\n"
        "2025-03-08 00:00:00,nan\n"
        "2025-03-08 08:00:00,35\n"
    )
    assert "2 new rates, 0 stored before, 2 refused" in load(path)
    assert "0 new rates, 2 stored before" in load(path)
    path.write_text("date,funding_rate\n2025-03-07 16:00:00,0.0005\n")
    assert "1 rates differ from stored ones" in load(path)
    found = load_funding(get_instrument("BTC/USDT:USDT"))
    assert (found.stamp_ms % HOUR_MS == 0).all()
    assert found.rate.tolist() == [0.0002, -0.0001]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", "x,y\n1,2\n"),
        ("b.csv", "date,rate\n"),
        ("c.txt", ""),
        ("d.parquet", "x"),
        ("e.csv", "date,rate\n1," + "9" * 200_000),
    ],
)
def test_a_wrong_file_is_one_line_and_stores_nothing(tmp_path: Path, name: str, content: str):
    (tmp_path / name).write_text(content)
    with pytest.raises(CommandError) as refused:
        load(tmp_path / name)
    assert "\n" not in str(refused.value)
    assert not FundingRate.objects.exists()


@pytest.mark.django_db
@pytest.mark.real_data
def test_the_real_files_come_in_whole(real_data: Path):
    folder = real_data / "funding"
    assert "266 new" in load(folder / "binance-perp-BTCUSDT-funding8h-2025.parquet")
    daily = load(folder / "BTC-funding-daily-mean-2019-2026.csv")
    assert "7,044 rows" in daily
    rates = load_funding(get_instrument("BTC/USDT:USDT"))
    assert rates.stamp_ms.size >= 3 * 2_348


@pytest.mark.usefixtures("fresh_database")
def test_two_imports_of_the_same_rates_at_once_store_each_once(
    fresh_database: Any, monkeypatch: pytest.MonkeyPatch
):
    """A trader books a stamp while a file of the same months comes in."""
    instrument = make_instrument()
    stored: Callable[..., FundingRates] = funding.load_funding
    reports: list[funding.FundingReport] = []

    def take() -> None:
        try:
            reports.append(
                funding.import_funding(
                    RATES, instrument=instrument, source="t", actor=Actor.system("test")
                )
            )
        finally:
            connection.close()

    other = threading.Thread(target=take)

    def load_late(*asked: Any, **span: Any) -> FundingRates:
        """Before the first writes, the second is under way."""
        found = stored(*asked, **span)
        if threading.current_thread() is not other and not other.ident:
            other.start()
            wait_for_waiter(fresh_database)
        return found

    monkeypatch.setattr(funding, "load_funding", load_late)
    funding.import_funding(RATES, instrument=instrument, source="f", actor=Actor.system("test"))
    other.join()
    assert FundingRate.objects.count() == 4
    [late] = reports
    assert (late.taken, late.already_stored, late.differing) == (0, 4, 0)
