"""A strategy of one's own on a running book: one child process for each instrument.

The child answers every closed candle within a deadline.  What fails in it (it raises, dies, takes
too long or too much memory) ends the child for good: from then on the stream says nothing, so the
sleeve opens nothing, while stops and targets that rest at the venue stay.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

from magnetfund.kernel.errors import InvalidInput
from trading.domain.market.candles import Candle, Candles
from trading.domain.strategies.base import make_signal
from trading.domain.strategies.signals import LEVEL_MAX, REASONS, Signal
from trading.services.research.child import OwnSource
from trading.services.research.child_process import (
    COMMAND,
    ENVIRONMENT,
    pack_candles,
    write_before,
)

BAR_SECONDS = 3.0
#: Loading and the past together stay within the lease of a trader.
START_SECONDS = 8.0
STREAM_MEMORY_BYTES = 1_500_000_000
ANSWER_BYTES_MAX = 100_000
_NAMES = tuple(item.name for item in fields(Signal))


class _ChildEnded(Exception):
    """Why a child is of no use any more."""


class ChildStream:
    """The memory of a strategy on one instrument, kept in a child; ``problem`` says why it ended.

    It counts as a :class:`~trading.domain.strategies.base.SignalStream` and never raises.
    """

    def __init__(
        self,
        source: OwnSource | None,
        *,
        name: str,
        parameters: Mapping[str, Any],
        timeframe_ms: int,
        problem: str = "",
        bar_seconds: float = BAR_SECONDS,
    ) -> None:
        self._timeframe_ms = timeframe_ms
        self._bar_seconds = bar_seconds
        self._child: subprocess.Popen[bytes] | None = None
        self._rest = b""
        self.problem = problem
        if source is not None and not problem:
            self._start(source, name, parameters)

    def warm(self, candles: Candles) -> None:
        """Take the past; no signal is asked for."""
        body = pack_candles(candles)
        header = {
            "bytes": len(body),
            "instrument": candles.instrument,
            "timeframe_ms": candles.timeframe_ms,
        }
        self._ask(json.dumps(header).encode() + b"\n" + body, START_SECONDS)

    def update(self, candle: Candle) -> Signal:
        """The child's signal at the close of a candle; once it has ended, never an entry."""
        told = self._ask(json.dumps(asdict(candle)).encode() + b"\n", self._bar_seconds)
        silent = make_signal(known_at=candle.open_time + self._timeframe_ms)
        if told is None:
            return silent
        try:
            return _read_signal(told, known_at=silent.known_at, close=candle.close)
        except (InvalidInput, TypeError, ValueError) as error:
            self._end(f"its answer is no signal: {error}")
            return silent

    def find_problem(self) -> str:
        """Why it says nothing any more; looks whether the child still lives."""
        if not self.problem and self._child is not None and self._child.poll() is not None:
            self._end(f"its process died (status {self._child.returncode})")
        return self.problem

    def close(self) -> None:
        """End the child."""
        if self._child is not None:
            self._child.kill()
            for pipe in (self._child.stdin, self._child.stdout):
                if pipe is not None:
                    with contextlib.suppress(OSError):  # what was not read yet has no reader
                        pipe.close()
            self._child.wait()
            self._child = None

    def __del__(self) -> None:
        self.close()

    def _start(self, source: OwnSource, name: str, parameters: Mapping[str, Any]) -> None:
        header = {
            "mode": "stream",
            "text": source.text,
            "file": source.file,
            "name": name,
            "parameters": dict(parameters),
            "memory_bytes": STREAM_MEMORY_BYTES,
            "seconds": 0,
        }
        self._child = subprocess.Popen(
            COMMAND,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=tempfile.gettempdir(),
            env=ENVIRONMENT,
            bufsize=0,
        )
        self._ask(json.dumps(header).encode() + b"\n", START_SECONDS)

    def _ask(self, request: bytes, seconds: float) -> dict[str, Any] | None:
        """Send and wait for one line; None once the child has ended, which this may find."""
        if self.problem or self._child is None:
            return None
        try:
            return self._exchange(self._child, request, seconds)
        except _ChildEnded as ended:
            self._end(str(ended))
        except (OSError, ValueError) as error:
            self._end(f"its process cannot be reached: {error}")
        return None

    def _exchange(
        self, child: subprocess.Popen[bytes], request: bytes, seconds: float
    ) -> dict[str, Any]:
        assert child.stdin is not None
        assert child.stdout is not None
        deadline = time.monotonic() + seconds
        if not write_before(child.stdin.fileno(), request, deadline):
            raise _ChildEnded(f"it took no candle within {seconds:g} s")
        while b"\n" not in self._rest:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([child.stdout], [], [], left)[0]:
                raise _ChildEnded(f"it did not answer within {seconds:g} s")
            part = os.read(child.stdout.fileno(), 65_536)
            if not part:
                raise _ChildEnded(f"its process died (status {child.wait()})")
            self._rest += part
            if len(self._rest) > ANSWER_BYTES_MAX:
                raise _ChildEnded("its answer is too long")
        line, _, self._rest = self._rest.partition(b"\n")
        told = json.loads(line)
        if not isinstance(told, dict) or "error" in told:
            raise _ChildEnded(str(told["error"] if isinstance(told, dict) else "no answer"))
        return told

    def _end(self, why: str) -> None:
        self.close()
        self.problem = why[:280]


def _read_signal(told: Mapping[str, Any], *, known_at: int, close: float) -> Signal:
    """A child's answer, checked like any input: known fields, a stop on the losing side."""
    if set(told) != set(_NAMES):
        raise InvalidInput("it has other fields", code="bad_signal")
    signal = Signal(**{name: _fit(name, told[name]) for name in _NAMES})
    if signal.known_at != known_at or signal.direction not in (-1, 0, 1):
        raise InvalidInput("it has another time or direction", code="bad_signal")
    if signal.direction and not (close - signal.stop) * signal.direction > 0:
        raise InvalidInput("the stop is not on the losing side", code="bad_signal")
    if signal.reason not in REASONS:
        raise InvalidInput(f"reason {signal.reason} is none of Reason", code="bad_signal")
    for what, level in (("stop", signal.stop), ("target", signal.target)):
        if signal.direction and abs(level) >= LEVEL_MAX:
            raise InvalidInput(f"the {what} {level:g} is no price", code="bad_signal")
    return signal


def _fit(name: str, value: Any) -> Any:
    if name in ("exit_long", "exit_short"):
        if not isinstance(value, bool):
            raise InvalidInput(f"{name} is neither true nor false", code="bad_signal")
        return value
    if name in ("known_at", "direction", "reason", "trend"):
        if not isinstance(value, int) or isinstance(value, bool):
            raise InvalidInput(f"{name} is not a whole number", code="bad_signal")
        return value
    return float(value)
