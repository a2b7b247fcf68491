"""Run the trader for one book until stopped (Ctrl-C or SIGTERM)."""

from __future__ import annotations

import signal
import time
from types import FrameType
from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser

from magnetfund.core import stop_line
from magnetfund.core.commands import FundCommand
from magnetfund.kernel.errors import FundError, InvalidInput
from trading.services.engine import stop_engine
from trading.services.market_source import SimulatedSource, load_simulation
from trading.services.trader import Trader


class Command(FundCommand):
    help = __doc__

    def add_own_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--book", default=settings.MAGNET_BOOK)
        parser.add_argument("--seconds", type=float, help="stop by itself after so many seconds")
        parser.add_argument(
            "--wait", action="store_true", help="wait until a market source is configured"
        )

    def work(self, **options: Any) -> dict[str, Any]:
        stopping = False

        def ask(number: int, frame: FrameType | None) -> None:
            nonlocal stopping
            stopping = True

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, ask)
        config = load_simulation()
        if config is None and options["wait"]:
            self.say("No market source is configured yet; waiting for one.")
            while config is None and not stopping:
                time.sleep(1.0)
                config = load_simulation()
        if config is None:
            if stopping:
                return {"book": options["book"], "beats": 0}
            raise InvalidInput(
                "no market source is configured; import candles or load the demo fund first",
                code="no_source",
            )
        deadline = time.monotonic() + options["seconds"] if options["seconds"] else None
        trader = Trader(book=options["book"], source=SimulatedSource(config))
        stop_line.hold_open()
        try:
            trader.start()
        except FundError as error:
            # The desk shows an engine's last reason; a process that ended can tell nobody else.
            stop_engine(
                book=options["book"],
                actor=trader.actor,
                reason=f"The trader could not start: {error.message} ({error.code}).",
            )
            raise
        self.say(f"Trading book {options['book']} as {trader.holder}.")
        try:
            trader.run(
                should_stop=lambda: (
                    stopping or (deadline is not None and time.monotonic() > deadline)
                )
            )
        finally:
            trader.stop()
            stop_line.let_go()
        return {"book": options["book"], "beats": trader.paper.counts.bars}
