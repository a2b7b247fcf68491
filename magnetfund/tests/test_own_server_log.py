"""A database server of one's own: what it says of its archiving, and the files that archive it.

The drill runs ``deploy/archive.sh`` and ``deploy/pgbackrest.conf`` with the server's options in
``docker-compose.yml``, on a cluster of Debian's PostgreSQL, and restores it to an instant.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
import yaml

from magnetfund.kernel.clock import utc_now
from magnetfund.operations.backups import server_log
from magnetfund.operations.backups.server_log import (
    ARCHIVER,
    LATE_AFTER,
    record_archive,
)
from magnetfund.operations.checkup import check_log
from magnetfund.web.desk.open_work.upkeep import SOURCES

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
SERVERS = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))

CLEAN = (
    "SELECT true, '0B', now() - interval '20 s', NULL, NULL::timestamptz, now() - interval '1 h'"
)
FAILING = "SELECT true, '0B', now() - interval '9 m', '0C', now(), now() - interval '1 h'"
SILENT = "SELECT true, NULL, NULL::timestamptz, NULL, NULL::timestamptz, now() - interval '6 m'"
FRESH = "SELECT true, NULL, NULL::timestamptz, '0A', now(), now() - interval '30 s'"
OFF = "SELECT false, '0B', now() - interval '9 d', NULL, NULL::timestamptz, now() - interval '1 h'"


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("answer", "state", "words"),
    [
        (CLEAN, "ok", "was archived at"),
        (FAILING, "fail", "0C could not be archived"),
        (SILENT, "fail", "No segment of the log was archived yet"),
        (FRESH, "ok", "0A could not be archived"),
        (OFF, "warn", "archives no log"),
    ],
)
def test_the_doctor_says_what_a_server_of_ones_own_tells(
    monkeypatch: pytest.MonkeyPatch, settings, answer: str, state: str, words: str
):
    settings.LOG_FOLDER = ""
    monkeypatch.setattr(server_log, "ARCHIVER", answer)
    finding = check_log()
    assert (finding.state, words in finding.words) == (state, True), finding.words


@pytest.mark.usefixtures("as_backups")
def test_a_log_that_is_not_archived_is_a_task_until_it_is(monkeypatch: pytest.MonkeyPatch):
    def look(answer: str) -> list[str]:
        monkeypatch.setattr(server_log, "ARCHIVER", answer)
        record_archive(now=utc_now())
        return [row["words"] for row in SOURCES["log_late"].select("main", utc_now())]

    assert look(OFF) == look(FRESH) == look(CLEAN) == []
    (words,) = look(FAILING)
    assert "0C could not be archived" in words
    assert record_archive(now=utc_now()) is None, "nothing new to say"
    assert look(CLEAN) == []


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A cluster in a folder, with the tools that belong to it."""

    folder: Path
    port: int
    options: Sequence[str]

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def run(self, *command: str, **extra: str) -> subprocess.CompletedProcess[str]:
        done = self.start(*command, **extra)
        out, _ = done.communicate(timeout=120)
        return subprocess.CompletedProcess(command, done.returncode, out)

    def start(self, *command: str, **extra: str) -> subprocess.Popen[str]:
        drop = ["setpriv", "--reuid", "postgres", "--regid", "postgres", "--init-groups"]
        return subprocess.Popen(
            [*(drop if os.geteuid() == 0 else []), *command],
            env=self.environment | extra,
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )

    @property
    def environment(self) -> dict[str, str]:
        return {
            "PATH": f"{SERVERS[-1].parent}:/usr/bin:/bin",
            "PGHOST": str(self.folder),
            "PGPORT": str(self.port),
            "PGUSER": "postgres",
            "PGBACKREST_CONFIG": str(self.folder / "pgbackrest.conf"),
            "PGBACKREST_PG1_PATH": str(self.data),
            "PGBACKREST_PG1_PORT": str(self.port),
            "PGBACKREST_PG1_SOCKET_PATH": str(self.folder),
            "PGBACKREST_PG1_USER": "postgres",
            "PGBACKREST_REPO1_PATH": str(self.folder / "archive"),
            "PGBACKREST_LOCK_PATH": str(self.folder / "lock"),
            "PGBACKREST_SPOOL_PATH": str(self.folder / "spool"),
            "PGBACKREST_REPO1_CIPHER_PASS": "only for this test",
        }

    def serve(self) -> subprocess.Popen[str]:
        server = self.start(
            "postgres", "-D", str(self.data), "-p", str(self.port), "-k", str(self.folder),
            "-c", "listen_addresses=", *self.options,
        )  # fmt: skip
        wait_for(lambda: self.run("pg_isready", "--quiet").returncode == 0)
        return server

    def ask(self, statement: str) -> list[tuple[object, ...]]:
        where = {"host": str(self.folder), "port": self.port, "user": "postgres"}
        with psycopg.connect(**where, dbname="postgres", autocommit=True) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []


def wait_for(is_there, seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not is_there():
        assert time.monotonic() < end, "not within time"
        time.sleep(0.1)


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    if not SERVERS or shutil.which("pgbackrest") is None:
        pytest.skip("needs Debian's packages postgresql and pgbackrest")
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder = Path(f"/tmp/magnetfund-log-{os.getpid()}")  # a socket's path must be short
    folder.mkdir(mode=0o755)
    for name in ("pgbackrest.conf", "archive.sh"):
        shutil.copy(DEPLOY / name, folder)
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres", "postgres")
    found = Server(folder=folder, port=port, options=compose["services"]["db"]["command"][1:])
    made = found.run("initdb", "-D", str(found.data), "-U", "postgres", "-A", "trust", "-E", "UTF8")
    assert made.returncode == 0, made.stdout
    try:
        yield found
    finally:
        found.run("pg_ctl", "-D", str(found.data), "-m", "immediate", "stop")
        shutil.rmtree(folder)


def newest_archived(server: Server) -> str:
    return str(server.ask("SELECT coalesce(last_archived_wal, '') FROM pg_stat_archiver")[0][0])


@pytest.mark.drill
def test_the_shipped_archive_restores_to_an_instant(server: Server):
    process = server.serve()
    server.ask("SELECT pg_switch_wal()")
    wait_for(lambda: server.ask(ARCHIVER)[0][3] is not None)
    assert newest_archived(server) == "", "nothing is taken before the archive is there"
    copied = server.run("sh", str(server.folder / "archive.sh"), "once")
    assert copied.returncode == 0, copied.stdout
    is_on, segment, archived_at, *_ = server.ask(ARCHIVER)[0]
    assert is_on, "the options of docker-compose.yml"
    assert segment
    assert utc_now() - archived_at < LATE_AFTER
    time.sleep(1.1)  # the end of a copy is known to the second
    server.ask("CREATE TABLE kept (words text)")
    server.ask("INSERT INTO kept VALUES ('before the instant')")
    ((instant,),) = server.ask("SELECT clock_timestamp()")
    time.sleep(0.2)
    server.ask("INSERT INTO kept VALUES ('after the instant')")
    ((segment,),) = server.ask("SELECT pg_walfile_name(pg_switch_wal())")
    wait_for(lambda: newest_archived(server) >= str(segment))

    process.send_signal(signal.SIGQUIT)
    process.wait(timeout=30)
    assert server.run("sh", "-c", "rm -rf data/* && mkdir -p data").returncode == 0
    stored = [path for path in (server.folder / "archive").rglob("*") if path.is_file()]
    assert len(stored) > 3
    assert not [path for path in stored if b"[backup]" in path.read_bytes()], "all is sealed"
    back = [
        "pgbackrest", "--stanza=fund", "--type=time", f"--target={instant.isoformat(sep=' ')}",
        "--target-action=promote", "restore",
    ]  # fmt: skip
    assert server.run(*back, PGBACKREST_REPO1_CIPHER_PASS="another").returncode != 0
    restored = server.run(*back)
    assert restored.returncode == 0, restored.stdout
    server.serve()
    wait_for(lambda: server.ask("SELECT pg_is_in_recovery()") == [(False,)])
    assert server.ask("SELECT words FROM kept") == [("before the instant",)]
