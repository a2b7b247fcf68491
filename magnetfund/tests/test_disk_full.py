"""A disk that fills up during an import: one clear line, and nothing of that import is kept.

A limit on the size of any one file stands in for the full disk: PostgreSQL's own files meet it.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
#: Above a WAL segment (16 MiB), below the table of the large file.
LIMIT_BYTES = 17_000 * 1024

pytestmark = pytest.mark.drill


def write_candles(path: Path, *, start_ms: int, count: int) -> Path:
    lines = [f"{start_ms + 60_000 * k},100,101,99,100.5,3\n" for k in range(count)]
    path.write_text("open_time,open,high,low,close,volume\n" + "".join(lines))
    return path


def test_an_import_that_does_not_fit_leaves_everything_as_it_was(tmp_path: Path):
    home = tmp_path / "home"
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}

    def import_file(path: Path, *, limit: int) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, str(ROOT / "manage.py"), "import_candles", path.name, "--json",
             "--instrument", "BTC/USDT:USDT", "--timeframe", "1m"],
            cwd=path.parent,
            env={**kept, "MAGNET_HOME": str(home)},
            capture_output=True,
            text=True,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
        )  # fmt: skip

    small = write_candles(tmp_path / "small.csv", start_ms=1_500_000_060_000, count=1_000)
    large = write_candles(tmp_path / "large.csv", start_ms=1_600_000_020_000, count=250_000)
    assert import_file(small, limit=LIMIT_BYTES).returncode == 0
    refused = import_file(large, limit=LIMIT_BYTES)
    assert refused.returncode == 1
    last = refused.stderr.strip().splitlines()[-1]
    assert last.startswith("CommandError: rejected by the database, nothing was changed: ")
    assert "Traceback" not in refused.stderr
    again = import_file(small, limit=LIMIT_BYTES)
    head = write_candles(tmp_path / "head.csv", start_ms=1_600_000_020_000, count=1_000)
    assert find_file_report(again)["already_stored"] == 1_000
    assert find_file_report(import_file(head, limit=resource.RLIM_INFINITY))["taken"] == 1_000


def find_file_report(done: subprocess.CompletedProcess[str]) -> dict[str, object]:
    assert done.returncode == 0, done.stderr
    report: dict[str, object] = json.loads(done.stdout.strip().splitlines()[-1])["files"][0]
    return report
