"""Monthly archives: found by their layout, read only with the right sum, imported once."""

from __future__ import annotations

import functools
import hashlib
import http.server
import io
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from magnetfund.kernel.errors import InvalidInput
from trading.models import Candle
from trading.services.archives import list_archives

pytestmark = pytest.mark.django_db
HOUR = 3_600_000
JANUARY = 1_704_067_200_000
HEAD = (
    "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,"
    "taker_buy_quote_volume,ignore\n"
)


def write_archive(root: Path, month: str, start: int, *, hours: int = 48, head: str = HEAD) -> Path:
    rows = []
    for k in range(hours):
        price = 42_000 + k
        rows.append(
            f"{start + k * HOUR},{price}.0,{price + 9}.5,{price - 9}.5,{price + 1}.0,12.5,"
            f"{start + (k + 1) * HOUR - 1},1,1,1,1,0"
        )
    name = f"BTCUSDT-1h-{month}"
    folder = root / "data/futures/um/monthly/klines/BTCUSDT/1h"
    folder.mkdir(parents=True, exist_ok=True)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{name}.csv", head + "\n".join(rows) + "\n")
    file = folder / f"{name}.zip"
    file.write_bytes(packed.getvalue())
    total = hashlib.sha256(packed.getvalue()).hexdigest()
    (folder / f"{name}.zip.CHECKSUM").write_text(f"{total}  {name}.zip\n")
    return file


def download(mirror: str, **options: str) -> str:
    said = io.StringIO()
    given = {"instrument": "btc/usdt:usdt", "first": "2024-01", "last": "2024-02", **options}
    call_command("download", mirror=mirror, stdout=said, **given)
    return said.getvalue()


@pytest.fixture
def mirror(tmp_path: Path) -> Iterator[str]:
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *arguments: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Quiet, directory=str(tmp_path))
    )
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join(30)


@pytest.mark.parametrize("head", [HEAD, ""], ids=["with a head", "without"])
def test_a_mirror_s_months_come_in_by_the_usual_door_and_once(
    tmp_path: Path, mirror: str, head: str
):
    write_archive(tmp_path, "2024-01", JANUARY, head=head)
    assert "2024-01: 48 new candles" in download(mirror)
    assert "2024-02: not there" in download(mirror)
    assert Candle.objects.count() == 48
    row = Candle.objects.earliest("open_time")
    assert (row.close, row.source) == (42_001.0, "archive 2024-01")


def test_a_folder_of_files_side_by_side_will_do(tmp_path: Path):
    file = write_archive(tmp_path, "2024-01", JANUARY)
    assert "48 new candles" in download(str(file.parent), last="2024-01")


def test_a_wrong_sum_is_refused_and_nothing_is_stored(tmp_path: Path):
    file = write_archive(tmp_path, "2024-01", JANUARY)
    body = bytearray(file.read_bytes())
    body[40] ^= 1
    file.write_bytes(bytes(body))
    with pytest.raises(CommandError, match="checksum that stands beside it"):
        download(str(tmp_path))
    assert not Candle.objects.exists()


def test_a_missing_sum_is_refused(tmp_path: Path):
    file = write_archive(tmp_path, "2024-01", JANUARY)
    file.with_name(file.name + ".CHECKSUM").unlink()
    with pytest.raises(CommandError, match="no checksum"):
        download(str(tmp_path))


def test_what_is_not_there_is_one_line(tmp_path: Path):
    with pytest.raises(CommandError, match="none of these months"):
        download(str(tmp_path))
    with pytest.raises(CommandError, match="neither a folder nor a URL"):
        download(str(tmp_path / "nowhere"))
    with pytest.raises(CommandError, match="--mirror"):
        download("http://127.0.0.1:9")


@pytest.mark.parametrize(
    ("first", "last"), [("2024-13", "2024-13"), ("24-1", "2"), ("2024-03", "2024-01")]
)
def test_months_that_are_none_are_refused(first: str, last: str):
    with pytest.raises(InvalidInput) as refused:
        list(list_archives("BTC/USDT:USDT", "1h", first, last))
    assert refused.value.code == "bad_month"


def test_months_go_over_the_year():
    found = [a.month for a in list_archives("BTC/USDT:USDT", "1m", "2023-11", "2024-02")]
    assert found == ["2023-11", "2023-12", "2024-01", "2024-02"]
