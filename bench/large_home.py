"""A home of some gigabytes: backed up, proven by a restore, and brought back on an empty machine.

Run as ``nice python -m bench large_home``.  ``GIGABYTES`` in the environment says how large the
database is, ten is the size of the promise; ``ROOM`` names a folder with three times as much free.
The rows are candles of random figures, which compress as little as prices do.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from bench.timing import Row

GIGABYTES = float(os.environ.get("GIGABYTES", "0.2"))
#: Seconds that a restore may take: for its servers and checks, and for each gigabyte. Ten of them
#: are there again in a quarter of an hour.
START_BAR, BAR = 60.0, 84.0
ROWS_AT_ONCE = 250_000
#: A superuser's copy, so that no row is looked at one by one; the walls stand again after it.
FILL = """INSERT INTO trading_candle (instrument_id, timeframe, open_time, version, open, high, low,
    close, volume, known_at, available_at, source)
  SELECT %s, '1m', timestamptz '2000-01-01' + n * interval '1 minute', 1, 100 + random(),
    102 + random(), 98 + random(), 100 + random(), 1000 * random(), t.at, t.at, md5(random()::text)
  FROM generate_series(1, %s) n,
    LATERAL (SELECT timestamptz '2000-01-01' + (n + 1) * interval '1 minute' AS at) t"""


def run() -> list[Row]:
    """The rows of this bench."""
    with tempfile.TemporaryDirectory(dir=os.environ.get("ROOM"), prefix="large-home-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # the server's user passes through
        try:
            return _measure(folder)
        finally:
            for home in ("home", "again"):
                _remove_outside(folder / home)


def _measure(folder: Path) -> list[Row]:
    home, again = folder / "home", folder / "again"
    _manage(home, "prepare")
    size = _fill(home) / 1e9
    rows: list[Row] = [("database", size, 0, "GB")]

    def add(name: str, found: dict[str, float], bar: float = 0) -> None:
        rows.append((name, found["seconds"], bar, "s"))
        rows.append((f"{name}, processor", found["processor"], 0, "s"))
        rows.append((f"{name}, largest process", found["memory"] / 1e6, 0, "MB"))
        rows.append((f"{name}, disk at most per GB", found["disk"] / 1e9 / size, 0, "GB"))

    add("backup", _timed(folder, lambda: _manage(home, "backup")))
    (file,) = (home / "backups").glob("*.mfbackup")
    rows.append(("encrypted file, per GB", file.stat().st_size / 1e9 / size, 0, "GB"))
    add("restore test in a scratch server", _timed(folder, lambda: _manage(home, "verify_backup")))
    words = ("restore", str(file), "--key-file", str(home / "backup.key"))
    add(
        "restore, checked and ready",
        _timed(folder, lambda: _manage(again, *words)),
        START_BAR + BAR * size,
    )
    return rows


def _manage(home: Path, *words: str) -> resource.struct_rusage:
    """Run a command to its end; what it and the processes that it waited for took."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(
            [sys.executable, str(Path(__file__).parents[1] / "manage.py"), *words],
            env={**kept, "MAGNET_HOME": str(home)}, stdout=said, stderr=said,
        )  # fmt: skip
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            said.seek(0)
            raise RuntimeError(said.read().strip()[-300:])
    return used


def _fill(home: Path) -> int:
    """Write candles until the database has the size asked for; its bytes."""
    with _server(home) as server, psycopg.connect(server.dsn("postgres"), autocommit=True) as line:
        line.execute("SET session_replication_role = replica")
        instrument = 0
        while (size := _size(line)) < GIGABYTES * 1e9:
            instrument += 1
            line.execute(FILL, [instrument, ROWS_AT_ONCE])
        line.execute("CHECKPOINT")
        return size


def _size(line: psycopg.Connection[Any]) -> int:
    row = line.execute("SELECT pg_database_size(current_database())").fetchone()
    assert row is not None
    return int(row[0])


@contextmanager
def _server(home: Path) -> Iterator[Any]:
    from magnetfund.operations.servers.home import Home
    from magnetfund.operations.servers.postgres import Postgres

    server = Postgres(Home(home))
    try:
        server.start()
        yield server
    finally:
        server.stop()


def _timed(folder: Path, work: Callable[[], resource.struct_rusage]) -> dict[str, float]:
    """Seconds of a command, those of the processor, the memory of its largest process (bytes), and
    how many more bytes of the disk it took at its fullest."""
    begun_with, done = shutil.disk_usage(folder).free, threading.Event()
    least = [begun_with]

    def look() -> None:
        while not done.wait(0.2):
            least[0] = min(least[0], shutil.disk_usage(folder).free)

    watcher = threading.Thread(target=look)
    watcher.start()
    began = time.monotonic()
    try:
        used = work()
    finally:
        seconds = time.monotonic() - began
        done.set()
        watcher.join()
    return {
        "seconds": seconds,
        "processor": used.ru_utime + used.ru_stime,
        "memory": used.ru_maxrss * 1024.0,
        "disk": float(begun_with - least[0]),
    }


def _remove_outside(home: Path) -> None:
    """What a home keeps outside of its folder."""
    from magnetfund.operations.servers.home import Home

    if home.exists():
        found = Home(home)
        shutil.rmtree(found.cluster, ignore_errors=True)
        shutil.rmtree(found.sockets, ignore_errors=True)
