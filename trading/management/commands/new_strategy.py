"""Write a strategy of one's own that runs, into the home's folder of strategies."""

from __future__ import annotations

import re
from typing import Any

from django.core.management.base import CommandParser

from magnetfund.core.commands import FundCommand
from magnetfund.kernel.errors import InvalidInput
from trading.services.research.catalogue import load_catalogue, strategies_folder

TEMPLATE = '''"""{title}: buy a dip in an uptrend, sell a rally in a downtrend; now change it."""

from dataclasses import dataclass

import numpy as np

from magnetfund.research import ColumnStrategy, Entries, atr, rsi, sma

FAMILY = "{family}"  # every variant that you try counts as a trial of this family


@dataclass(frozen=True, slots=True, kw_only=True)
class {kind}(ColumnStrategy):
    """Enter with the trend when the RSI shows a pullback; leave at the other end."""

    fast: int = 50
    slow: int = 200
    length: int = 14
    dip: float = 35.0
    stop_atr: float = 2.0

    def entries(self, candles):
        close = candles.close
        trend = np.sign(sma(values=close, length=self.fast) - sma(values=close, length=self.slow))
        strength = rsi(close=close, length=self.length)
        reach = atr(high=candles.high, low=candles.low, close=close)
        long = (trend > 0) & (strength < self.dip)
        short = (trend < 0) & (strength > 100 - self.dip)
        side = long.astype(int) - short.astype(int)
        return Entries(
            direction=side,
            stop=close - side * self.stop_atr * reach,
            ready=np.isfinite(trend) & np.isfinite(strength),
            leave_long=strength > 100 - self.dip,
            leave_short=strength < self.dip,
        )
'''


class Command(FundCommand):
    help = __doc__

    def add_own_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="in lower case with hyphens, for example my-pullback")
        parser.add_argument("--family", help="of the idea that it grows from; its name if absent")

    def work(self, **options: Any) -> dict[str, Any]:
        name = options["name"]
        if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name) or len(name) > 40:
            raise InvalidInput(
                "a name has lower-case letters, digits and single hyphens, at most 40",
                code="bad_name",
            )
        if name in load_catalogue().builders:
            raise InvalidInput(f"there is a strategy {name} already", code="name_taken")
        folder = strategies_folder()
        path = folder / f"{name.replace('-', '_')}.py"
        try:
            folder.mkdir(mode=0o755, exist_ok=True)
            with path.open("x", encoding="utf-8") as file:
                file.write(
                    TEMPLATE.format(
                        title=name.replace("-", " ").capitalize(),
                        family=options["family"] or name,
                        kind="".join(part.capitalize() for part in name.split("-")),
                    )
                )
        except OSError as error:
            raise InvalidInput(
                f"cannot write {path}: {error.strerror}", code="cannot_write"
            ) from None
        self.say(f"Written: {path}")
        self.say(f"  manage.py check_strategy {name}")
        self.say(f"  manage.py backtest --strategy {name} --instrument BTC/USDT:USDT")
        return {"name": name, "path": str(path)}
