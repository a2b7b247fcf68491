"""The supervisor before any process: a start that makes no sense is refused in one line."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from magnetfund.env import BadSetting, Environment
from magnetfund.kernel.identifiers import START_ANSWER, START_QUESTION, answer_start
from magnetfund.operations import supervisor
from magnetfund.operations.servers.home import Home
from magnetfund.operations.supervisor import _health_status, main


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


class Part:
    """A child process as the supervisor sees it."""

    exit_code = 1

    def __init__(self, name: str, *, is_alive: bool) -> None:
        self.name, self.is_alive, self.starts = name, is_alive, 0

    def start(self) -> None:
        self.starts += 1


def test_the_web_outlives_a_trader_that_dies_again_and_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    now = [1_000.0]
    monkeypatch.setattr(supervisor.time, "monotonic", lambda: now[0])
    ours = supervisor.Supervisor(home=Home(tmp_path / "home"), port=1, demo=False)
    web, trader = Part("web", is_alive=True), Part("trader", is_alive=False)
    ours.watched = [supervisor.Watched(child=part) for part in (web, trader)]  # type: ignore[arg-type]
    for _ in range(4_000):
        ours._look_after()
        now[0] += 0.25
    assert not ours.stopping
    assert web.starts == 0
    assert trader.starts > 10, "it is started again for as long as the fund runs"
    pauses = 1_000 / trader.starts
    assert pauses > 5, "and not in a tight loop"
    assert "trader ended (code 1); starting it again" in capsys.readouterr().err


def test_a_port_is_ours_only_when_our_own_web_answers_on_it():
    def answer(question: str) -> str:
        return ""

    class Stranger(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            said = answer(self.headers.get(START_QUESTION, ""))
            self.send_header(START_ANSWER, said)
            self.end_headers()
            self.wfile.write(b'{"status": "active"}')

        def log_message(self, *arguments: object) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Stranger) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/health"
        assert _health_status(url, host="localhost", token="ours") == ""

        def answer(question: str) -> str:  # type: ignore[no-redef]  # the one of our own web
            return answer_start("ours", question)

        assert _health_status(url, host="localhost", token="ours") == "active"
        server.shutdown()
