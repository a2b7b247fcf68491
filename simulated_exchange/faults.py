"""What goes wrong, scripted: on the next requests, on messages of streams, or by the clock."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

#: Kinds that spoil an answer over HTTP.
ANSWERS = ("status", "html", "truncated", "silent", "cut", "spike")
#: Kinds that spoil messages of a stream.
MESSAGES = ("mute", "drop", "repeat", "reorder", "spike", "revise", "garbage", "gap")
#: Kinds that change the exchange itself while they last.
STATES = ("late", "skew", "halt")


@dataclass(slots=True, kw_only=True)
class Fault:
    """What goes wrong, where the path or the stream's name contains ``path``.

    Over HTTP, for the next ``times`` requests: ``status`` (with Retry-After where it is 429 or
    418), ``html`` (a page of a gateway with ``status``), ``truncated`` (half of the JSON),
    ``silent`` (no answer for ``seconds``), ``cut`` (the connection is dropped), ``spike`` (prices
    times ``factor``).

    On streams (``path`` names one, such as ``@kline`` or ``@``), for the next ``times`` messages:
    ``mute`` (left out), ``drop`` (the socket is cut), ``repeat`` (sent twice), ``reorder`` (sent
    after the next one), ``spike``, ``revise`` (a closed candle is sent again with another close),
    ``garbage`` (prices are ``text``), ``gap`` (an update of the book is left out).

    While it lasts: ``late`` (closed candles are told ``seconds`` later), ``skew`` (the clock is
    off by ``seconds``), ``halt`` (the symbol ``path`` is BREAK and its price stands still).

    ``after`` and ``lasts`` are seconds of the exchange's time since its start; 0 of ``lasts`` is
    for ever.  ``every`` repeats a fault so often, ``times`` each.
    """

    kind: str
    path: str = "/"
    times: int = 1
    status: int = 502
    seconds: float = 60.0
    factor: float = 10.0
    text: str = "NaN"
    after: float = 0.0
    lasts: float = 0.0
    every: float = 0.0
    _round: int = field(default=-1, repr=False)
    _left: int = field(default=-1, repr=False)

    def __post_init__(self) -> None:
        if self.kind not in (*ANSWERS, *MESSAGES, *STATES):
            raise ValueError(f"unknown fault {self.kind!r}")

    def is_on(self, since_start: float) -> bool:
        """Whether it acts at so many seconds after the start."""
        passed = since_start - self.after
        if passed < 0 or (self.lasts and not self.every and passed >= self.lasts):
            return False
        if not self.every:
            return True
        turn = int(passed // self.every)
        if turn != self._round:
            self._round, self._left = turn, self.times
        return not self.lasts or passed - turn * self.every < self.lasts

    @property
    def is_spent(self) -> bool:
        return (self._left if self.every else self.times) <= 0

    def spend(self) -> None:
        """Count one use."""
        if self.every:
            self._left -= 1
        else:
            self.times -= 1


def find_fault(
    faults: Iterable[Fault], kinds: Sequence[str], name: str, since_start: float
) -> Fault | None:
    """The first fault that acts on a request or a message now."""
    for fault in faults:
        is_meant = fault.kind in kinds and fault.path in name
        if is_meant and fault.is_on(since_start) and not fault.is_spent:
            return fault
    return None
