"""The supervisor before any process: a start that makes no sense is refused in one line."""

from __future__ import annotations

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

from magnetfund.env import BadSetting, Environment
from magnetfund.kernel.identifiers import START_ANSWER, START_QUESTION, answer_start
from magnetfund.operations import supervisor
from magnetfund.operations.parts import STOP_URL, environment_of, platform_parts
from magnetfund.operations.roles import ROLE_NAMES
from magnetfund.operations.servers.home import Home, LaunchError
from magnetfund.operations.supervisor import Supervisor, _health_status, main


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
    assert Environment({"TRADING_MODE": "shadow"}).trading_mode(()) == "shadow"


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
    ours.watched = [supervisor.SupervisedChild(child=part) for part in (web, trader)]  # type: ignore[arg-type]
    for _ in range(4_000):
        ours._look_after()
        now[0] += 0.25
    assert not ours.stopping
    assert web.starts == 0
    assert trader.starts > 10, "it is started again for as long as the fund runs"
    pauses = 1_000 / trader.starts
    assert pauses > 5, "and not in a tight loop"
    assert "trader ended (code 1); starting it again" in capsys.readouterr().err


def test_a_server_without_its_socket_is_started_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """A cleaner of /tmp took the folder; the server ran on and nobody reached it, for ever."""
    now = [1_000.0]
    monkeypatch.setattr(supervisor.time, "monotonic", lambda: now[0])
    home = Home(tmp_path / "home")
    ours = supervisor.Supervisor(home=home, port=1, demo=False)
    socket = home.sockets / ".s.PGSQL.5432"

    class Server(Part):
        def start(self) -> None:
            super().start()
            self.is_alive = True
            socket.touch()

        def ask_to_stop(self) -> None:
            self.is_alive = False

    server = Server("postgres", is_alive=True)
    socket.touch()
    ours.watched = [supervisor.SupervisedChild(child=server, socket=socket)]  # type: ignore[arg-type]
    for second in range(120):
        if second == 20:
            socket.unlink()
            home.sockets.rmdir()
        ours._look_after()
        now[0] += 1.0
        assert not server.starts or second > 25
    assert server.starts == 1
    assert socket.exists()
    assert "postgres has no socket any more" in capsys.readouterr().err
    socket.unlink()
    home.sockets.rmdir()


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


#: By which role each process signs in, and of whom it knows a password besides.
OWN_ROLES = {
    "web": {"fa_app", "fa_stop"},
    "worker": {"fa_worker"},
    "research": {"fa_worker"},
    "beat": set(),
    "trader": {"fa_gateway", "fa_stop"},
    "watchdog": {"fa_watchdog"},
    "signer": {"fa_signer"},
    "backups": {"fa_backup"},
}


def everything() -> dict[str, str]:
    """An operator's environment with every password and key there is."""
    urls = {
        f"DATABASE_{name.removeprefix('fa_').upper()}_URL": f"postgresql://{name}:pw-{name}@db/x"
        for name in (*ROLE_NAMES, "fa_admin")
    }
    return {
        **urls,
        "DATABASE_URL": urls.pop("DATABASE_APP_URL"),
        "SCRATCH_DATABASE_URL": "postgresql://scratch:pw-scratch@db/y",
        "FA_OWNER_PASSWORD": "pw-fa_owner",
        "POSTGRES_PASSWORD": "pw-postgres",
        "PGPASSWORD": "pw-postgres",
        "SECRET_KEY": "key-web",
        "SIGNER_KEY": "key-signer",
    }


def test_each_part_knows_the_password_of_its_own_role_alone():
    for part in platform_parts(8000, 9000):
        own = environment_of(part, everything())
        said = json.dumps(own)
        assert set(re.findall(r"pw-(\w+)", said)) == OWN_ROLES[part.name], part.name
        keys = {"signer": {"signer"}, "watchdog": set(), "beat": set()}.get(part.name, {"web"})
        assert set(re.findall(r"key-(\w+)", said)) == keys, part.name


def test_a_database_without_a_role_for_each_part_is_refused_by_name(tmp_path: Path):
    ours = Supervisor(home=Home(tmp_path / "home"), port=1, demo=False)
    ours._require_passwords(everything())
    for lacking in ("DATABASE_WORKER_URL", STOP_URL, "DATABASE_SIGNER_URL"):
        with pytest.raises(LaunchError, match=lacking):
            ours._require_passwords({**everything(), lacking: ""})


def test_the_containers_know_the_password_of_their_own_role_alone():
    root = Path(__file__).resolve().parents[2]
    services = yaml.safe_load((root / "docker-compose.yml").read_text())["services"]
    for name, roles in OWN_ROLES.items():
        service = services[name]
        assert "env_file" not in service, name
        said = " ".join(service["environment"].values())
        urls = set(re.findall(r"\$\{(\w*DATABASE\w*URL|DATABASE_URL|\w*PASSWORD)", said))
        wanted = {f"DATABASE_{role.removeprefix('fa_').upper()}_URL" for role in roles}
        assert urls == {"DATABASE_URL" if u == "DATABASE_APP_URL" else u for u in wanted}, name
        keys = {"signer": {"SIGNER_KEY"}, "watchdog": set(), "beat": set()}.get(
            name, {"SECRET_KEY"}
        )
        assert set(re.findall(r"\$\{(\w+_KEY)\b", said)) == keys, name
    others = set(services) - set(OWN_ROLES)
    assert others == {"db", "archive", "redis", "prepare"}, "no process was forgotten"
