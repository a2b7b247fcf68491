"""One instance from start to stop: what dies is started again, what is in the way is said, and
nothing stays behind.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from magnetfund.operations.backups.log import BASE
from magnetfund.operations.backups.manifest import DatabaseState, read_state
from magnetfund.operations.parts import platform_parts
from magnetfund.operations.servers.home import Home
from magnetfund.operations.servers.postgres import Postgres
from magnetfund.tests.s3_server import KEY_ID, REGION, SECRET, running_s3
from magnetfund.tests.test_supervisor import OWN_ROLES

ROOT = Path(__file__).resolve().parents[2]
KEPT = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}

pytestmark = pytest.mark.drill


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def run_instance(home: Path, port: int, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "magnetfund.operations.supervisor", "--no-demo"],
        cwd=ROOT,
        env={**KEPT, "MAGNET_HOME": str(home), "PORT": str(port), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def status_of(port: int, path: str) -> int:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}",
        headers={"Host": "localhost", "X-Forwarded-Proto": "https"},
    )
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def wait_until(happens: Callable[[], bool], *, seconds: float = 90.0) -> None:
    deadline = time.monotonic() + seconds
    while not happens():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)


def processes_of(home: Path) -> dict[int, str]:
    """Living processes that name the home, or its servers' folders, or work there."""
    signs = (str(home).encode(), hashlib.sha256(str(home).encode()).hexdigest()[:12].encode())
    found = {}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit() or int(folder.name) == os.getpid():
            continue
        try:
            words = (folder / "cmdline").read_bytes()
            around = (folder / "environ").read_bytes() + os.fsencode(os.readlink(folder / "cwd"))
            state = (folder / "stat").read_text().rsplit(")", 1)[1].split()[0]
        except OSError:
            continue
        if state != "Z" and any(sign in words + around for sign in signs):
            found[int(folder.name)] = words.replace(b"\0", b" ").decode(errors="replace")
    return found


def send_signal(pid: int, number: signal.Signals) -> None:
    """To a process that was found a moment ago; one that has ended since needs none."""
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def roles_known(pid: int) -> set[str]:
    """Database roles whose URL stands in the environment of a process; of an ended one, none."""
    try:
        words = (Path("/proc") / str(pid) / "environ").read_bytes().decode(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return set()
    return set(re.findall(r"postgresql://(\w+):", words))


def test_each_process_that_runs_knows_its_own_roles_password_alone(instance):  # type: ignore[no-untyped-def]
    home, port, _ = instance
    parts = platform_parts(port, port + 1000)

    def known() -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        for pid, words in processes_of(home).items():
            for part in parts:
                if " ".join(part.command[1:]) in words:
                    found.setdefault(part.name, set()).update(roles_known(pid))
        return found

    wait_until(lambda: len(known()) == len(parts))
    assert known() == OWN_ROLES
    running = processes_of(home).items()
    servers = [pid for pid, words in running if re.match(r"\S*(postgres|valkey)", words)]
    assert servers
    assert set().union(*(roles_known(pid) for pid in servers)) == set()


def find_server(home: Path, name: str) -> int:
    """The process of a server that has no server for its parent."""
    return min(pid for pid, words in processes_of(home).items() if re.match(rf"\S*{name} ", words))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of all tests of this file: the first start makes it, the last test destroys it."""
    return tmp_path_factory.mktemp("instance") / "home"


@pytest.fixture
def instance(home: Path) -> Iterator[tuple[Path, int, subprocess.Popen[str]]]:
    port = free_port()
    running = run_instance(home, port)
    try:
        wait_until(lambda: status_of(port, "/") == 200)
        yield home, port, running
    finally:
        if running.poll() is None:
            running.terminate()
        running.wait(60)


def test_servers_that_die_come_back_and_nothing_stays_after_the_stop(instance):  # type: ignore[no-untyped-def]
    home, port, running = instance
    for name in ("postgres", "valkey-server"):
        before = find_server(home, name)
        os.kill(before, signal.SIGKILL)
        wait_until(lambda name=name, before=before: find_again(home, name) not in (0, before))
        wait_until(lambda: status_of(port, "/health/database") == 200)
        wait_until(lambda: status_of(port, "/") == 200)
    running.send_signal(signal.SIGINT)
    said, _ = running.communicate(timeout=60)
    assert running.returncode == 0
    assert "postgres ended" in said
    assert "valkey ended" in said
    assert said.strip().endswith("Stopped.")
    assert processes_of(home) == {}


def find_again(home: Path, name: str) -> int:
    try:
        return find_server(home, name)
    except ValueError:
        return 0


def test_what_is_in_the_way_is_said_in_one_line(instance, tmp_path):  # type: ignore[no-untyped-def]
    home, port, _ = instance

    def refusal(home: Path, port: int, **environment: str) -> str:
        other = run_instance(home, port, **environment)
        said, _ = other.communicate(timeout=90)
        assert other.returncode == 1
        lines = [line for line in said.splitlines() if line.strip()]
        assert "Traceback" not in said
        return lines[-1]

    assert refusal(home, free_port()).startswith("magnetfund: another instance runs on ")
    assert refusal(tmp_path / "b", port) == (
        f"magnetfund: port {port} is in use; choose another with PORT=8001 make run"
    )
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "mode").write_text("demo")
    assert "was set up as a demo installation; choose another MAGNET_HOME" in refusal(
        tmp_path / "c", free_port()
    )
    assert status_of(port, "/") == 200


def test_a_start_waits_for_the_instance_that_is_stopping(instance):  # type: ignore[no-untyped-def]
    home, port, running = instance
    running.terminate()
    wait_until(lambda: (home / "instance.lock").read_text() == "stopping", seconds=20)
    after = run_instance(home, port)
    try:
        wait_until(lambda: running.poll() is not None)
        wait_until(lambda: status_of(port, "/") == 200)
    finally:
        after.terminate()
        said, _ = after.communicate(timeout=60)
    assert "another instance" not in said


def test_a_machine_lost_with_its_disks_comes_back_from_the_bucket(  # type: ignore[no-untyped-def]
    home, tmp_path, on_record
):
    """Everything of the home is destroyed but the key; the state at an instant is hashed before."""
    lost, new, key = home, tmp_path / "new", tmp_path / "kept.key"
    with running_s3() as s3:
        bucket = {
            "BACKUP_S3_URL": f"{s3.url}/fund", "BACKUP_S3_REGION": REGION,
            "BACKUP_S3_KEY_ID": KEY_ID, "BACKUP_S3_SECRET": SECRET,
        }  # fmt: skip
        running = run_instance(lost, free_port(), **bucket)
        try:
            wait_until(lambda: any(BASE in name for name in s3.objects), seconds=420)
            server = Postgres(Home(lost))
            for pid, words in processes_of(lost).items():
                if re.match(r"\S*python[\d.]* ", words) and "run_backups" not in words:
                    send_signal(pid, signal.SIGSTOP)  # nobody writes any more but the backups' beat
            time.sleep(2)
            before, target = state_of_home(server), datetime.now(UTC)
            time.sleep(1)
            with psycopg.connect(server.dsn("postgres"), autocommit=True) as superuser:
                superuser.execute("CREATE TABLE later (x integer)")
                row = superuser.execute("SELECT pg_walfile_name(pg_current_wal_lsn())").fetchone()
                superuser.execute("SELECT pg_switch_wal()")
            began = time.monotonic()
            wait_until(lambda: any(row[0] in name for name in s3.objects), seconds=60)
            sent = time.monotonic() - began
            shutil.copyfile(lost / "backup.key", key)
        finally:
            for pid in processes_of(lost):
                send_signal(pid, signal.SIGKILL)
            running.communicate()
        for folder in (lost, server.home.cluster, server.home.sockets):
            shutil.rmtree(folder, ignore_errors=True)
        began = time.monotonic()
        done = subprocess.run(
            [sys.executable, str(ROOT / "manage.py"), "restore", "--from", "bucket",
             "--to", target.isoformat(), "--key-file", str(key)],
            env={**KEPT, **bucket, "MAGNET_HOME": str(new)},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        took = time.monotonic() - began
    assert done.returncode == 0, done.stdout + done.stderr
    restored = Postgres(Home(new))
    restored.start()
    try:
        after = state_of_home(restored)
    finally:
        restored.stop()
        shutil.rmtree(restored.home.sockets, ignore_errors=True)
    with on_record():
        print(
            f"  a finished segment was in the bucket after {sent:.1f} s; restored in {took:.1f} s"
        )
        print(f"  {done.stdout.strip()}")
    assert "later" not in after.tables
    assert (after.tables, after.heads) == (before.tables, before.heads)


def state_of_home(server: Postgres) -> DatabaseState:
    with psycopg.connect(server.dsn("fa_backup")) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        return read_state(connection)
