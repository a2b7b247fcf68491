"""Every command answers a bad argument with one line and leaves nothing behind."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from investors.models import Fund
from magnetfund.core.models import User
from magnetfund.tests.walls_support import make_instrument
from trading.models import Instrument

pytestmark = pytest.mark.django_db
SPAN = ["--from", "2026-01-02", "--to", "2026-01-05"]
BTC = ["--instrument", "BTC/USDT:USDT"]


@pytest.mark.parametrize("command", [["replay", *BTC, *SPAN], ["load_demo"]], ids=lambda c: c[0])
def test_a_production_installation_takes_no_invented_people(command: list[str], settings):
    make_instrument()
    settings.IS_PRODUCTION = True
    with pytest.raises(CommandError, match="production installation") as refused:
        call_command(*command)
    assert "\n" not in str(refused.value)
    assert not Fund.objects.exists()
    assert not User.objects.exists()


FILES = {
    "empty.csv": b"", "empty.json": b"", "empty.parquet": b"", "empty.feather": b"",
    "empty.zip": b"", "cut.zip": b"PK\x03\x04", "open.json": b"[[[", "object.json": b"{}",
    "number.json": b"7", "deep.json": b"[" * 100_000, "nul.csv": b"\x00\x00\n",
    "latin.csv": b"\xff\xfe", "words.csv": b"a,b\nc,d\n", "picture.png": b"x",
}  # fmt: skip


@pytest.mark.parametrize("name", [*FILES, "a_folder.csv", "absent.csv"])
def test_import_candles(name: str, tmp_path: Path):
    path = tmp_path / name
    if name in FILES:
        path.write_bytes(FILES[name])
    elif name == "a_folder.csv":
        path.mkdir()
    with pytest.raises(CommandError) as refused:
        call_command("import_candles", str(path), "--instrument", "BTC/USDT:USDT")
    assert "\n" not in str(refused.value)
    assert not Instrument.objects.exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["--email", "x", "--name", "X", "--role", "operator"],
        ["--email", "x@example.com", "--name", "X", "--role", "king"],
        ["--email", "x@example.com", "--name", "", "--role", "operator"],
        ["--email", "x@example.com", "--name", "X" * 500, "--role", "operator"],
    ],
)
def test_add_person(arguments: list[str]):
    with pytest.raises(CommandError) as refused:
        call_command("add_person", *arguments)
    assert "\n" not in str(refused.value)


def test_verifying_no_books_at_all_is_clean(capsys: pytest.CaptureFixture[str]):
    call_command("verify_books")
    assert "ok" in capsys.readouterr().out
    with pytest.raises(CommandError, match="no book other"):
        call_command("verify_books", "--book", "other")
