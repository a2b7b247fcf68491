"""Importing candles: good bars once, each wrong input one clear line, and nothing lost."""

from __future__ import annotations

import gzip
import io
import zipfile
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
from django.core.management import CommandError, call_command
from pyarrow import parquet

from magnetfund.kernel.errors import InvalidInput
from magnetfund.tests.flow_support import make_candles
from trading.models import Candle, CandleGap, Instrument, MarketEvent, MarketRefusal
from trading.services import instrument_files, instruments
from trading.services.candle_files import read_candle_file
from trading.services.instruments import get_instrument
from trading.venues import ccxt_calls

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def other_venues(monkeypatch: pytest.MonkeyPatch):
    """Venues of their own for tests that compare two series, with the shipped terms."""
    shipped = instrument_files.shipped_terms

    def terms(venue: str):
        found = shipped("binanceusdm" if venue in ("whole", "parts") else venue)
        if found is None or venue == found.venue:
            return found
        named = {name: replace(one, venue=venue) for name, one in found.terms.items()}
        return replace(found, venue=venue, terms=named)

    monkeypatch.setattr(instruments, "shipped_terms", terms)


HEAD = "open_time,open,high,low,close,volume\n"


def rows(count: int, *, start: int = 1_700_000_000_000 // 3_600_000 * 3_600_000) -> list[str]:
    return [
        f"{start + k * 3_600_000},{100 + k % 5},{106 + k % 5},{99 + k % 5},{101 + k % 5},10"
        for k in range(count)
    ]


def load(*paths: Path, **options: object) -> str:
    out = io.StringIO()
    chosen = {"instrument": "BTC/USDT:USDT", **options}
    call_command("import_candles", *map(str, paths), stdout=out, **chosen)
    return out.getvalue()


def written(folder: Path, lines: list[str], name: str = "candles.csv") -> Path:
    path = folder / name
    path.write_text(HEAD + "\n".join(lines) + "\n")
    return path


def test_good_bars_are_stored_once(tmp_path: Path):
    path = written(tmp_path, rows(50))
    assert "50 new" in load(path)
    assert "0 new, 50 stored before" in load(path)
    assert Candle.objects.count() == 50


def test_garbage_is_refused_by_reason_and_kept(tmp_path: Path):
    lines = rows(30)
    stamp = lines[10].split(",")[0]
    lines[10] = f"{stamp},nan,106,99,101,10"
    lines[12] = lines[11]
    lines[20] = f"{lines[20].split(',')[0]},100,90,99,101,10"
    said = load(written(tmp_path, lines))
    assert "not_finite" in said
    assert "duplicate" in said
    assert "bounds" in said
    assert Candle.objects.count() == 27
    assert MarketRefusal.objects.count() == 3


def test_holes_are_recorded_and_closed_when_filled(tmp_path: Path):
    lines = rows(40)
    said = load(written(tmp_path, lines[:15] + lines[18:]))
    assert "1 gaps, 3 bars missing" in said
    load(written(tmp_path, lines))
    assert CandleGap.objects.get().refilled_at is not None


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("none.csv", None, "file not found"),
        ("odd.xlsx", b"x", "unsupported file type"),
        ("empty.csv", b"", ""),
        ("columns.csv", b"a,b\n1,2\n", ""),
        ("cut.zip", b"PK\x03\x04 cut off", "damaged or cut off"),
        ("cut.csv.gz", gzip.compress(HEAD.encode(), mtime=0)[:-9], "damaged or cut off"),
        ("text.json", b"{not json", "is not valid JSON"),
        ("bytes.csv", b"\xff\xfe\x00\x00", ""),
    ],
)
def test_a_wrong_file_is_one_line_and_stores_nothing(
    tmp_path: Path, name: str, content: bytes | None, words: str
):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CommandError) as caught:
        load(path)
    message = str(caught.value)
    assert words in message
    assert "\n" not in message.strip()
    assert "Traceback" not in message
    assert Candle.objects.count() == 0


def test_a_truncated_zip_stores_nothing(tmp_path: Path):
    whole = tmp_path / "whole.zip"
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("candles.csv", HEAD + "\n".join(rows(500)))
    cut = tmp_path / "cut.zip"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    with pytest.raises(CommandError, match="damaged or cut off"):
        load(cut)
    assert Candle.objects.count() == 0


def test_a_damaged_locked_or_doubled_file_is_one_line(tmp_path: Path):
    packed = tmp_path / "bars.zip"
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(
            "bars.csv", "open_time,open,high,low,close,volume\n" + "1,2,3,4,5,6\n" * 500
        )
    sound = packed.read_bytes()
    for place, value in ((45, b"\xff" * 8), (6, b"\x01"), (8, b"\x63")):
        body = bytearray(sound)
        body[place : place + len(value)] = value
        # The flags and the way of packing stand in the directory at the end as well.
        at = sound.index(b"PK\x01\x02") + place + 2
        if place < 10:
            body[at : at + len(value)] = value
        packed.write_bytes(bytes(body))
        with pytest.raises(InvalidInput) as caught:
            read_candle_file(packed)
        assert (caught.value.code, "bars.zip" in caught.value.message) == ("broken_file", True)
    names = ["open_time", "open", "high", "low", "close", "volume", "close"]
    table = pa.Table.from_arrays([pa.array([1.0])] * len(names), names=names)
    parquet.write_table(table, tmp_path / "twice.parquet")
    with pytest.raises(InvalidInput, match="several columns 'close'"):
        read_candle_file(tmp_path / "twice.parquet")
    for name, text in (("long.csv", "1" + "9" * 200_000), ("long.json", "[[" + "9" * 5_000 + "]]")):
        (tmp_path / name).write_text(text)
        with pytest.raises(InvalidInput, match="cannot be read") as caught:
            read_candle_file(tmp_path / name)
        assert caught.value.code == "broken_file"


def test_an_exchange_out_of_reach_is_one_line(monkeypatch: pytest.MonkeyPatch):
    import ccxt

    def away(*_args: object, **_options: object) -> None:
        raise ccxt.NetworkError("no route")

    monkeypatch.setattr(ccxt.binanceusdm, "fetch_time", away)
    monkeypatch.setattr(ccxt_calls.time, "sleep", lambda seconds: None)
    with pytest.raises(
        CommandError, match=r"binanceusdm cannot be reached \(NetworkError\); check"
    ):
        call_command("backfill_candles", "--instrument", "BTC/USDT:USDT", "--from", "2024-01-01")
    assert Candle.objects.count() == 0


def jumping(count: int, *, at: int, factor: float) -> list[str]:
    """Hours whose price moves to another level for good."""
    lines = rows(count)
    for k in range(at, count):
        stamp, *cells, volume = lines[k].split(",")
        lines[k] = ",".join([stamp, *(f"{float(cell) * factor:g}" for cell in cells), volume])
    return lines


def stored(venue: str = "binanceusdm") -> list[tuple[object, ...]]:
    bars = Candle.objects.filter(instrument__venue=venue).order_by("open_time")
    return list(bars.values_list("open_time", "open", "high", "low", "close", "volume"))


@pytest.mark.parametrize("at", [18, 19, 20, 21, 39])
def test_one_file_or_ten_store_the_same_candles(tmp_path: Path, at: int):
    lines = jumping(40, at=at, factor=1.8)
    lines[10] = f"{lines[10].split(',')[0]},300,306,299,301,10"
    load(written(tmp_path, lines), venue="whole")
    parts = [
        written(tmp_path, lines[k : k + 4], f"part{k:02}.csv") for k in range(0, len(lines), 4)
    ]
    for part in parts:
        load(part, venue="parts")
    assert stored("parts") == stored("whole")
    assert len(stored("whole")) == (39 if at < 38 else 38)
    for venue in ("whole", "parts"):
        levels = MarketEvent.objects.filter(instrument__venue=venue, kind="level_held")
        assert levels.count() == (1 if at < 38 else 0)


def test_a_level_off_by_ten_waits_for_a_confirmation_and_then_comes_in(tmp_path: Path):
    path = written(tmp_path, jumping(40, at=20, factor=10))
    said = load(path)
    assert "20 scale" in said
    assert "--confirm-jumps" in said
    assert "20 new, 20 stored before" in load(path, confirm_jumps=True)
    assert MarketEvent.objects.get().kind == "level_confirmed"
    assert "0 new, 40 stored before" in load(path)
    assert MarketEvent.objects.count() == 1


def test_symbols_are_one_however_they_are_typed(tmp_path: Path):
    path = written(tmp_path, rows(20))
    load(path)
    assert "0 new, 20 stored before" in load(path, instrument=" btc/usdt:usdt")
    assert Instrument.objects.get().symbol == "BTC/USDT:USDT"


def test_packed_text_is_read(tmp_path: Path):
    path = tmp_path / "candles.csv.gz"
    path.write_bytes(gzip.compress((HEAD + "\n".join(rows(20))).encode()))
    assert "20 new" in load(path)


def test_an_instrument_without_terms_is_refused_with_the_command_that_supplies_them(
    tmp_path: Path,
):
    path = written(tmp_path, rows(20))
    with pytest.raises(CommandError, match="add_instrument PEPE/USDT:USDT --venue binanceusdm"):
        load(path, instrument="PEPE/USDT:USDT")
    assert not Instrument.objects.exists()
    call_command(
        "add_instrument", "pepe/usdt:usdt", tick="0.0000001", lot="100", minimum="5",
        maker_fee="0.0002", taker_fee="0.0005", maintenance="0.01", source="test",
    )  # fmt: skip
    assert "20 new" in load(path, instrument="PEPE/USDT:USDT")
    row = Instrument.objects.get()
    assert (f"{row.tick.normalize():f}", row.metadata_source) == ("0.0000001", "test")
    assert not row.is_active


def test_real_candles_never_meet_simulated_ones(tmp_path: Path):
    simulated = make_candles(days_before=2, days=1)
    before = stored("sim")
    with pytest.raises(CommandError, match="simulated prices only"):
        load(written(tmp_path, rows(20)), venue="sim")
    load(written(tmp_path, rows(20)))
    assert stored("sim") == before
    assert len(stored("binanceusdm")) == 20
    assert get_instrument("BTC/USDT:USDT").venue == "binanceusdm"
    assert get_instrument("BTC/USDT:USDT", venue="sim") == simulated


def test_a_home_that_trades_simulated_prices_takes_no_real_instrument_to_trade():
    make_candles(days_before=2, days=1)
    given = {"tick": "0.1", "lot": "0.001", "minimum": "5", "maker_fee": "0", "taker_fee": "0",
             "maintenance": "0.01"}  # fmt: skip
    with pytest.raises(CommandError, match="this home trades BTC/USDT:USDT on sim"):
        call_command("add_instrument", "ETH/USDT:USDT", trade=True, **given)
    call_command("add_instrument", "ETH/USDT:USDT", **given)
    assert not get_instrument("ETH/USDT:USDT").is_active


@pytest.mark.real_data
def test_real_hours_of_xrp_come_in_whole_in_one_file_or_in_many(real_data: Path, tmp_path: Path):
    from pyarrow import parquet

    path = real_data / "candles" / "binance-spot-XRPUSDT-1h-2022-2023.parquet"
    table = parquet.read_table(path)
    load(path, instrument="XRP/USDT:USDT", venue="whole")
    for start in range(0, table.num_rows, 1_000):
        part = tmp_path / f"{start:06}.parquet"
        parquet.write_table(table.slice(start, 1_000), part)
        load(part, instrument="XRP/USDT:USDT", venue="parts")
    assert len(stored("whole")) == table.num_rows
    assert stored("parts") == stored("whole")
