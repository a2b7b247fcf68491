"""The supervisor before any process: a start that makes no sense is refused in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from magnetfund.env import BadSetting, Environment
from magnetfund.operations.supervisor import main


def test_live_trading_without_a_venue_stops_the_start_with_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("TRADING_MODE", "live")
    monkeypatch.setenv("MAGNET_HOME", str(tmp_path / "home"))
    assert main([]) == 1
    said = capsys.readouterr().err.strip()
    assert said.count("\n") == 0
    assert "TRADING_MODE=live needs an execution venue" in said
    assert not (tmp_path / "home").exists()


def test_the_mode_is_live_only_where_a_venue_is():
    with pytest.raises(BadSetting, match="execution venue"):
        Environment({"TRADING_MODE": "live"}).trading_mode(())
    assert Environment({"TRADING_MODE": "live"}).trading_mode(("somewhere",)) == "live"
    assert Environment({}).trading_mode(()) == "paper"
