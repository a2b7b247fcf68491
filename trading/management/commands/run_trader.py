"""Run the trader for one book until stopped (Ctrl-C or SIGTERM)."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser

from magnetfund.core import stop_line
from magnetfund.core.commands import FundCommand
from magnetfund.core.services.leases import release_lease
from magnetfund.kernel.errors import FundError, InvalidInput, Unavailable
from trading.services.engine import stop_engine
from trading.services.live_market import LiveMarket
from trading.services.market_choice import choose_market
from trading.services.trader import Trader

WAIT_SECONDS = 2.0


class Command(FundCommand):
    help = __doc__

    def add_own_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--book", default=settings.MAGNET_BOOK)
        parser.add_argument("--seconds", type=float, help="stop by itself after so many seconds")
        parser.add_argument(
            "--wait", action="store_true", help="wait until a market is set and answers"
        )

    def work(self, **options: Any) -> dict[str, Any]:
        stopping = False

        def ask(number: int, frame: FrameType | None) -> None:
            nonlocal stopping
            stopping = True

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, ask)
        stop_line.hold_open()
        trader = self._started(options["book"], waits=options["wait"], should_stop=lambda: stopping)
        if trader is None:
            return {"book": options["book"], "beats": 0}
        deadline = time.monotonic() + options["seconds"] if options["seconds"] else None
        self.say(
            f"Trading book {options['book']} as {trader.holder} on {trader.source.label} prices."
        )
        try:
            trader.run(
                should_stop=lambda: (
                    stopping or (deadline is not None and time.monotonic() > deadline)
                )
            )
        finally:
            trader.source.close()
            trader.stop()
            stop_line.let_go()
        return {"book": options["book"], "beats": trader.paper.counts.bars}

    def _started(self, book: str, *, waits: bool, should_stop: Callable[[], bool]) -> Trader | None:
        """A trader on the market of this home; where one waits, each new reason is told once."""
        told = ""
        while not should_stop():
            trader = None
            try:
                source = choose_market()
                trader = Trader(book=book, source=source)
                trader.start()
            except FundError as refusal:
                if trader is not None and trader.lease is not None:
                    # The desk shows an engine's last reason; a process that ended can tell nobody.
                    stop_engine(
                        book=book,
                        actor=trader.actor,
                        reason=f"The trader could not start: {refusal.message} ({refusal.code}).",
                    )
                    release_lease(trader.lease)
                    stop_line.let_go()
                    raise
                if not waits or not isinstance(refusal, (InvalidInput, Unavailable)):
                    stop_line.let_go()
                    raise
                if refusal.message != told:
                    told = refusal.message
                    self.say(f"Waiting: {told}")
                _pause(WAIT_SECONDS, should_stop)
                continue
            if isinstance(source, LiveMarket):
                source.begin()
            return trader
        return None


def _pause(seconds: float, should_stop: Callable[[], bool]) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until and not should_stop():
        time.sleep(0.2)
