"""The process that answers questions to strategies of one's own, one after another.

It has loaded what the work needs and never runs the text of a strategy itself: each question is
answered in a fork of it that is shut in, so nothing of one answer is left for the next.  Starting
it takes a second, a fork some milliseconds: :func:`hold_processes` keeps it over many questions.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import select
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from trading.domain.market.candles import Candles

ROOT = Path(__file__).resolve().parents[3]
COMMAND = [sys.executable, "-m", "trading.services.research.child_main"]
ENVIRONMENT = {
    "PYTHONPATH": str(ROOT),
    "PYTHONDONTWRITEBYTECODE": "1",
    "LC_ALL": "C.UTF-8",
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
}
READ_BYTES = 1 << 20


class ProcessEnded(Exception):
    """The process itself is gone; what it was asked has no answer."""


class StrategyProcess:
    """One such process; :meth:`ask` may be called by one thread at a time."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="strategy-")
        self._sent = ""
        self._process = subprocess.Popen(
            COMMAND,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=self._folder.name,
            env=ENVIRONMENT,
            bufsize=0,
        )

    @property
    def number(self) -> int:
        """Its number at the operating system."""
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """Whether it can be asked."""
        return self._process.poll() is None

    def ask(
        self, header: dict[str, Any], candles: Candles | None, *, seconds: float
    ) -> tuple[int, bytes]:
        """Exit status (negative: the signal) and answer of the fork that worked on a question.

        Candles that were sent last are not sent again.  Raises ``TimeoutError`` after ``seconds``,
        :class:`ProcessEnded`; in both cases the process is of no use any more.
        """
        body = b""
        if candles is not None:
            header = {
                **header, "instrument": candles.instrument, "timeframe_ms": candles.timeframe_ms,
            }  # fmt: skip
            packed = pack_candles(candles)
            named = f"{candles.instrument} {candles.timeframe_ms}".encode()
            digest = hashlib.sha256(packed + named).hexdigest()
            if digest != self._sent:
                body, self._sent = packed, digest
        header = {**header, "bytes": len(body)}
        deadline = time.monotonic() + seconds
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            if not write_before(
                self._process.stdin.fileno(), json.dumps(header).encode() + b"\n" + body, deadline
            ):
                raise TimeoutError
            source = self._process.stdout.fileno()
            line = b""
            while b"\n" not in line:
                line += _read_before(source, deadline)
            first, _, rest = line.partition(b"\n")
            told = json.loads(first)
            parts, missing = [rest], told["bytes"] - len(rest)
            while missing > 0:
                parts.append(_read_before(source, deadline))
                missing -= len(parts[-1])
        except OSError as error:
            if isinstance(error, TimeoutError):
                raise
            raise ProcessEnded(str(error)) from None
        return int(told["status"]), b"".join(parts)

    def close(self) -> None:
        """End it, with the fork that may work."""
        self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):  # what was not read yet has no reader
                    pipe.close()
        self._process.wait()
        self._folder.cleanup()


class _Held:
    """Processes that wait for their next question; none is kept while nobody holds them."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.holders = 0
        self.idle: list[StrategyProcess] = []


_held = _Held()


@contextlib.contextmanager
def hold_processes() -> Iterator[None]:
    """Keep processes from one question to the next, one for each thread that asks at a time."""
    with _held.lock:
        _held.holders += 1
    try:
        yield
    finally:
        left: list[StrategyProcess] = []
        with _held.lock:
            _held.holders -= 1
            if not _held.holders:
                left, _held.idle = _held.idle, []
        for process in left:
            process.close()


def ask_process(
    header: dict[str, Any], candles: Candles | None, *, seconds: float
) -> tuple[int, bytes]:
    """A question to a held process, else to one of its own, as :meth:`StrategyProcess.ask`.

    A process that is gone is replaced once: no text of a strategy runs in it, so none ended it.
    """
    for attempt in (1, 2):
        with _held.lock:
            process = _held.idle.pop() if _held.idle else None
        process = process or StrategyProcess()
        is_sound = False
        try:
            answer = process.ask(header, candles, seconds=seconds)
            is_sound = True
            return answer
        except ProcessEnded:
            if attempt == 2:
                raise
        finally:
            with _held.lock:
                is_kept = is_sound and _held.holders > 0 and process.is_alive
                if is_kept:
                    _held.idle.append(process)
            if not is_kept:
                process.close()
    raise AssertionError("unreachable")


def pack_candles(candles: Candles) -> bytes:
    """Columns of candles as npz."""
    sink = io.BytesIO()
    names = ("open_time", "open", "high", "low", "close", "volume")
    np.savez(sink, **{column: getattr(candles, column) for column in names})
    return sink.getvalue()


def write_before(file: int, request: bytes, deadline: float) -> bool:
    """Write all before the deadline; a child that does not read cannot hold its parent."""
    os.set_blocking(file, False)
    rest = memoryview(request)
    while rest:
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([], [file], [], left)[1]:
            return False
        rest = rest[os.write(file, rest) :]
    return True


def _read_before(file: int, deadline: float) -> bytes:
    left = deadline - time.monotonic()
    if left <= 0 or not select.select([file], [], [], left)[0]:
        raise TimeoutError
    part = os.read(file, READ_BYTES)
    if not part:
        raise ProcessEnded("it closed its end")
    return part
