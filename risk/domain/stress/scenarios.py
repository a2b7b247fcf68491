"""What could happen: price moves that did happen, grids, and shocks of cost, carry and venue.

A move is a signed fraction of the present mark (-0.444 is a fall of 44.4 %).  A scenario names the
assets that it was measured on; every other asset takes ``move_others``, which the shipped events
set to the move of their main asset: in a crash correlations go to one.  A historical move is a
gap: it happens at once.  Hours are how long a book is held with no order reaching the venue.

Sources: moves of BTC and ETH from hourly spot candles of Binance, against the close before the
UTC day; 2022-11-08/09 and the two days of the S&P 500 from the press of the time.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from magnetfund.kernel.errors import InvalidInput


@dataclass(frozen=True, slots=True, kw_only=True)
class StressScenario:
    """One thing that happens to the whole book at once.

    ``moves`` are (asset, move) pairs; ``move_others`` is for assets that they do not name.
    ``adverse_sigmas`` moves each position, on top, against itself by so many of its own daily
    standard deviations, each times ``volatility_multiple``.  Funding that falls due within
    ``hours`` is paid at ``funding_multiple`` times its rate; closing costs ``spread_multiple``
    times the half-spread.
    """

    name: str
    title: str
    moves: tuple[tuple[str, float], ...] = ()
    move_others: float = 0.0
    adverse_sigmas: float = 0.0
    volatility_multiple: float = 1.0
    funding_multiple: float = 1.0
    spread_multiple: float = 1.0
    hours: float = 0.0
    source: str = ""

    def __post_init__(self) -> None:
        if not self.name or not self.title:
            raise InvalidInput("a scenario has a name and a title", code="no_name")
        if len({asset for asset, _ in self.moves}) != len(self.moves):
            raise InvalidInput("an asset moves once", code="asset_twice")
        for move in (*(move for _, move in self.moves), self.move_others):
            if not (math.isfinite(move) and move > -1.0):
                raise InvalidInput("a move is finite and above -100 %", code="bad_move")
        if not (math.isfinite(self.adverse_sigmas) and self.adverse_sigmas >= 0.0):
            raise InvalidInput("adverse deviations are not negative", code="bad_sigmas")
        if not (math.isfinite(self.hours) and self.hours >= 0.0):
            raise InvalidInput("hours are not negative", code="bad_hours")
        for multiple in (self.volatility_multiple, self.funding_multiple, self.spread_multiple):
            if not (math.isfinite(multiple) and multiple >= 0.0):
                raise InvalidInput("a multiple is not negative", code="bad_multiple")


def move_of(*, scenario: StressScenario, asset: str) -> float:
    """The signed move of an asset, before adverse deviations."""
    return dict(scenario.moves).get(asset, scenario.move_others)


_SPOT = "Binance spot, hourly candles, from the close before the UTC day"
_PRESS = "secondary sources"

#: name, title, its asset and move, moves of other assets where they were measured too, source.
_EVENTS: tuple[tuple[str, str, str, float, tuple[tuple[str, float], ...], str], ...] = (
    ("btc-2020-03-12-low", "12 March 2020, low", "BTC", -0.444, (("ETH", -0.480),), _SPOT),
    ("btc-2020-03-12-close", "12 March 2020, close", "BTC", -0.395, (), _SPOT),
    ("btc-2020-03-12-48h-low", "12 March 2020, 48-hour low", "BTC", -0.523, (), _SPOT),
    ("btc-2020-03-12-hour", "12 March 2020, worst hour", "BTC", -0.245, (), _SPOT),
    ("btc-2021-05-19-low", "19 May 2021, low", "BTC", -0.300, (("ETH", -0.441),), _SPOT),
    ("btc-2021-05-19-close", "19 May 2021, close", "BTC", -0.144, (), _SPOT),
    ("btc-2021-05-19-hour", "19 May 2021, worst hour", "BTC", -0.161, (("ETH", -0.280),), _SPOT),
    ("btc-2025-10-10-low", "10 October 2025, low", "BTC", -0.162, (), _SPOT),
    ("btc-2025-10-10-hour", "10 October 2025, worst hour", "BTC", -0.107, (), _SPOT),
    ("eth-2020-03-12-low", "ETH on 12 March 2020, low", "ETH", -0.480, (("BTC", -0.444),), _SPOT),
    ("eth-2021-05-19-low", "ETH on 19 May 2021, low", "ETH", -0.441, (("BTC", -0.300),), _SPOT),
    (
        "eth-2021-05-19-hour",
        "ETH on 19 May 2021, worst hour",
        "ETH",
        -0.280,
        (("BTC", -0.161),),
        _SPOT,
    ),
    ("btc-2022-11-08", "8 and 9 November 2022", "BTC", -0.25, (), _PRESS),
    ("sp500-1987-10-19", "S&P 500 on 19 October 1987", "SP500", -0.2047, (), _PRESS),
    ("sp500-2008-10-15", "S&P 500 on 15 October 2008", "SP500", -0.0903, (), _PRESS),
    ("btc-best-hour", "Best hour of BTC", "BTC", 0.277, (), _SPOT),
    ("btc-gap-down", "Largest hourly open gap of BTC, down", "BTC", -0.023, (), _SPOT),
    ("btc-gap-up", "Largest hourly open gap of BTC, up", "BTC", 0.023, (), _SPOT),
)

GRID_STEPS = (0.10, 0.20, 0.30)
#: The one-sided 99 % point of the normal law, in daily standard deviations.
ADVERSE_SIGMAS = 2.326


def build_event_scenarios() -> tuple[StressScenario, ...]:
    """The moves of known days, each as a gap that all other assets share."""
    return tuple(
        StressScenario(
            name=name,
            title=title,
            moves=((asset, move), *named),
            move_others=move,
            source=source,
        )
        for name, title, asset, move, named, source in _EVENTS
    )


def build_grid_scenarios(*, steps: Sequence[float] = GRID_STEPS) -> tuple[StressScenario, ...]:
    """Every asset down and up by each step, a fraction in (0, 1); deepest fall first."""
    ordered = sorted(steps)
    if not ordered or not all(0.0 < step < 1.0 for step in ordered):
        raise InvalidInput("a step lies between 0 and 1", code="bad_move")
    moves = [-step for step in reversed(ordered)] + ordered
    return tuple(
        StressScenario(
            name=f"all{move * 100:+g}%", title=f"All assets {move * 100:+g} %", move_others=move
        )
        for move in moves
    )


def build_shock_scenarios() -> tuple[StressScenario, ...]:
    """Volatility, correlation, funding, spread and venue.

    A correlation of one here means that each position moves AGAINST itself by the 99 % point of a
    day, so hedges fail too.  The venue that is down does the same, and a day's funding falls due.
    """
    return (
        StressScenario(
            name="correlation-one",
            title="Correlation one: every position moves against the fund",
            adverse_sigmas=ADVERSE_SIGMAS,
        ),
        StressScenario(
            name="volatility-x1.5",
            title="Adverse day at 1.5 times volatility",
            adverse_sigmas=ADVERSE_SIGMAS,
            volatility_multiple=1.5,
        ),
        StressScenario(
            name="funding-x10",
            title="Funding at ten times for one day",
            funding_multiple=10.0,
            hours=24.0,
        ),
        StressScenario(name="spread-x5", title="Spread at five times", spread_multiple=5.0),
        StressScenario(
            name="venue-down-24h",
            title="Venue unavailable for 24 hours during an adverse day",
            adverse_sigmas=ADVERSE_SIGMAS,
            hours=24.0,
        ),
    )


def build_scenarios() -> tuple[StressScenario, ...]:
    """All that ship: events, grid, shocks."""
    return (*build_event_scenarios(), *build_grid_scenarios(), *build_shock_scenarios())
