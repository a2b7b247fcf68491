"""Test a strategy of one's own: look-ahead, determinism, leaking state, stops, stream, speed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from django.core.management.base import CommandParser

from magnetfund.core.commands import FundCommand
from magnetfund.kernel.errors import InvalidInput
from trading.domain.market.candles import Candles
from trading.domain.research.parameters import read_parameters
from trading.management.commands.backtest import add_file_arguments, read_file_candles
from trading.services.candle_store import load_candles
from trading.services.instruments import get_instrument
from trading.services.research.catalogue import CHECK_BARS, load_catalogue
from trading.services.research.child import (
    build_proxy,
    check_in_child,
    describe_source,
    read_source,
)
from trading.services.research.child_process import hold_processes


class Command(FundCommand):
    help = __doc__

    def add_own_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="of a strategy in the home's folder, or a path to a file")
        parser.add_argument("--instrument", default="", help="check on its stored candles")
        parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
        add_file_arguments(parser)

    @hold_processes()
    def work(self, **options: Any) -> dict[str, Any]:
        name, source, builder = self._find(options["name"])
        pairs = dict(text.partition("=")[::2] for text in options["set"])
        values = read_parameters(builder, pairs)
        timeframe_ms = builder(**values).timeframe_ms
        candles = read_file_candles({**options, "instrument": options["instrument"] or name})
        if candles is None and options["instrument"]:
            candles = load_candles(get_instrument(options["instrument"]), "1h")
        candles = candles or make_candles(timeframe_ms)
        part = candles.between(max(0, len(candles) - CHECK_BARS), len(candles))
        findings = check_in_child(source, name=name, parameters=values, candles=part)
        for item in findings:
            mark = "passed" if item["is_passed"] else "FAILED"
            self.say(f"{mark:<8}{item['name']:<16}{item['words']}")
        failed = [item for item in findings if not item["is_passed"]]
        if failed:
            first = failed[0]
            raise InvalidInput(
                f"{name} is refused, {first['name']}: {first['words']}", code="strategy_refused"
            )
        self.say(f"{name} passed on {len(part):,} candles.")
        return {"name": name, "findings": findings, "bars": len(part)}

    def _find(self, text: str) -> tuple[str, Any, Any]:
        if text.endswith(".py") or "/" in text:
            source = read_source(Path(text))
            described = describe_source(source)
            name = next(iter(described))
            return name, source, build_proxy(source, name, described[name])
        catalogue = load_catalogue()
        if text in catalogue.broken:
            raise InvalidInput(catalogue.broken[text], code="strategy_failed")
        if text not in catalogue.own:
            known = ", ".join(sorted(catalogue.own)) or "none yet"
            raise InvalidInput(
                f"there is no strategy of your own named {text}; known: {known}",
                code="unknown_strategy",
            )
        return text, catalogue.own[text], catalogue.builders[text]


def make_candles(timeframe_ms: int, *, count: int = CHECK_BARS, seed: int = 20) -> Candles:
    """A driftless walk with trends and calm stretches, to check on where no candles are given."""
    rng = np.random.default_rng(seed)
    drift = np.repeat(rng.normal(0.0, 0.0015, count // 100 + 1), 100)[:count]
    close = 30_000.0 * np.exp(np.cumsum(rng.normal(0.0, 0.007, count) + drift))
    open_ = np.concatenate(([30_000.0], close[:-1]))
    wick = 1.0 + np.abs(rng.normal(0.0, 0.003, (2, count)))
    return Candles(
        instrument="made",
        timeframe_ms=timeframe_ms,
        open_time=1_600_000_000_000 // timeframe_ms * timeframe_ms
        + timeframe_ms * np.arange(count, dtype=np.int64),
        open=open_,
        high=np.maximum(open_, close) * wick[0],
        low=np.minimum(open_, close) / wick[1],
        close=close,
        volume=rng.lognormal(3.0, 1.0, count),
    )
