"""Importing candles: good bars once, each wrong input one clear line, and nothing lost."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from trading.models import Candle, CandleGap, MarketRefusal

pytestmark = pytest.mark.django_db
HEAD = "open_time,open,high,low,close,volume\n"


def rows(count: int, *, start: int = 1_700_000_000_000 // 3_600_000 * 3_600_000) -> list[str]:
    return [
        f"{start + k * 3_600_000},{100 + k % 5},{106 + k % 5},{99 + k % 5},{101 + k % 5},10"
        for k in range(count)
    ]


def load(path: Path) -> str:
    out = io.StringIO()
    call_command("import_candles", str(path), instrument="BTC/USDT:USDT", stdout=out)
    return out.getvalue()


def written(folder: Path, lines: list[str]) -> Path:
    path = folder / "candles.csv"
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


def test_an_exchange_out_of_reach_is_one_line(monkeypatch: pytest.MonkeyPatch):
    import ccxt

    def away(*_args: object, **_options: object) -> None:
        raise ccxt.NetworkError("no route")

    monkeypatch.setattr(ccxt.binanceusdm, "fetch_ohlcv", away)
    with pytest.raises(CommandError, match="binanceusdm cannot be reached: NetworkError"):
        call_command("backfill_candles", "--instrument", "BTC/USDT:USDT", "--from", "2024-01-01")
    assert Candle.objects.count() == 0
