"""What a backtest is asked to do, checked before anything is loaded.

Rates are fractions (0.0005 is five basis points), times milliseconds UTC, money in quote currency.
A request is plain data: equal requests on equal bars give an equal hash and an equal result.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from magnetfund.kernel.errors import InvalidInput
from risk.domain.fuse import ResetPolicy
from trading.domain.market.candles import timeframe_ms

RULES = ("fund", "bare")
RESOLUTIONS = ("1m", "5m", "15m")
"""Candles on which a run of hours may execute."""
FUNDINGS = ("dated", "default", "none")
INSTRUMENTS_MAX = 20
CONTROLS_MAX = 200
"""Draws of each control that a run may ask for."""
GAP_SHARE_MAX = 0.01
"""Above this share of missing bars a span is refused unless the request says otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SleeveRequest:
    """A strategy by name with the parameters that differ from its defaults."""

    strategy: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    risk_share: float = 0.0035


@dataclass(frozen=True, slots=True, kw_only=True)
class BacktestRequest:
    """Sleeves on instruments over ``[start_ms, end_ms)``; None is the whole stored span.

    ``rules``: ``fund`` applies the limits and the fuse in force, ``bare`` neither fuse nor market
    triggers.  ``funding``: dated rates where stored (0.01 % per 8 hours elsewhere), that rate
    throughout, or none.  ``unseen_ms`` marks where data begin that the rule was not made on.
    ``fee_rate`` and ``slippage_rate`` None are those of the instrument.  ``resolution`` names the
    shorter candles on which orders, stops and the fuse execute; None executes on the timeframe's.
    ``controls`` asks for that many draws of each control beside the run; the run is the same.
    """

    sleeves: tuple[SleeveRequest, ...]
    instruments: tuple[str, ...]
    timeframe: str = "1h"
    start_ms: int | None = None
    end_ms: int | None = None
    unseen_ms: int | None = None
    rules: str = "fund"
    funding: str = "dated"
    fee_rate: float | None = None
    slippage_rate: float | None = None
    cash: float = 430_000.0
    reset_policy: str = ResetPolicy.COOLDOWN_7D.code
    gap_share_max: float = GAP_SHARE_MAX
    resolution: str | None = None
    controls: int = 0

    def __post_init__(self) -> None:
        if not self.sleeves or not self.instruments:
            raise InvalidInput("name a strategy and an instrument", code="empty_run")
        if len(set(self.instruments)) != len(self.instruments):
            raise InvalidInput("an instrument is named twice", code="instrument_twice")
        if len(self.instruments) > INSTRUMENTS_MAX:
            raise InvalidInput(
                f"at most {INSTRUMENTS_MAX} instruments in one book", code="too_many_instruments"
            )
        names = [sleeve.strategy for sleeve in self.sleeves]
        if len(set(names)) != len(names):
            raise InvalidInput("a strategy is named twice", code="slot_twice")
        timeframe_ms(self.timeframe)
        if self.resolution is not None and (
            self.bar_ms % timeframe_ms(self.resolution) or self.resolution == self.timeframe
        ):
            raise InvalidInput(
                f"candles of {self.resolution} do not divide those of {self.timeframe}",
                code="bad_resolution",
            )
        ResetPolicy.parse(self.reset_policy)
        _one_of("rules", self.rules, RULES)
        _one_of("funding", self.funding, FUNDINGS)
        _within("fee", self.fee_rate, 0.0, 0.005)
        _within("slippage", self.slippage_rate, 0.0, 0.01)
        _within("cash", self.cash, 100.0, 1e12)
        _within("the number of controls", self.controls, 0, CONTROLS_MAX)
        _within("the share of missing bars", self.gap_share_max, 0.0, 1.0)
        for sleeve in self.sleeves:
            _within("risk per trade", sleeve.risk_share, 0.0001, 0.01)
        if self.start_ms is not None and self.end_ms is not None and self.start_ms >= self.end_ms:
            raise InvalidInput("the span ends before it begins", code="bad_span")

    @property
    def bar_ms(self) -> int:
        """Length of a bar."""
        return timeframe_ms(self.timeframe)

    def plain(self) -> dict[str, Any]:
        """The request as JSON values; what asks for nothing shorter is as it always was."""
        values = {**asdict(self), "instruments": list(self.instruments)}
        if self.resolution is None:
            del values["resolution"]
        if not self.controls:
            del values["controls"]
        return values


def request_of(plain: Mapping[str, Any]) -> BacktestRequest:
    """The request of stored JSON; raises :class:`InvalidInput` for what is none."""
    values = dict(plain)
    try:
        sleeves = tuple(SleeveRequest(**sleeve) for sleeve in values.pop("sleeves"))
        return BacktestRequest(
            **{**values, "sleeves": sleeves, "instruments": tuple(values["instruments"])}
        )
    except (KeyError, TypeError) as error:
        raise InvalidInput(f"not a backtest request: {error}", code="bad_request") from None


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise InvalidInput(f"{name} must be one of {', '.join(allowed)}", code=f"bad_{name}")


def _within(name: str, value: float | None, low: float, high: float) -> None:
    if value is not None and not (math.isfinite(value) and low <= value <= high):
        raise InvalidInput(
            f"{name} must lie between {low:g} and {high:g}",
            code="out_of_bounds",
            details={"parameter": name, "low": low, "high": high},
        )
