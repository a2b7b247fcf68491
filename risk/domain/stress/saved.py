"""Stresses that a person writes: shocks by instrument, asset or group as text, within bounds."""

from __future__ import annotations

import math
from collections.abc import Collection

from magnetfund.kernel.errors import InvalidInput
from risk.domain.stress.scenarios import StressScenario

MOVE_MAX = 10.0
SIGMAS_MAX = 20.0
MULTIPLE_MAX = 1_000.0
HOURS_MAX = 720.0
SHOCKS_MAX = 50


def read_shocks(text: str) -> tuple[tuple[str, float], ...]:
    """Lines such as ``BTC -30`` (per cent) as pairs of a name and a signed fraction.

    Raises :class:`InvalidInput` (``bad_shock``) with the line that is none.
    """
    found: list[tuple[str, float]] = []
    for line in text.splitlines():
        if not line.strip():
            continue
        name, _, given = line.strip().rpartition(" ")
        try:
            move = float(given.rstrip("%")) / 100.0
        except ValueError:
            name = ""
            move = math.nan
        if not name.strip() or not math.isfinite(move):
            raise InvalidInput(
                f"{line.strip()[:60]!r} is not a name and a move in per cent, such as BTC -30",
                code="bad_shock",
            )
        found.append((name.strip(), move))
    return tuple(found)


def write_shocks(scenario: StressScenario) -> str:
    """The shocks of a scenario as the text that :func:`read_shocks` takes."""
    return "\n".join(f"{name} {100 * move:g}" for name, move in scenario.moves)


def check_saved(scenario: StressScenario, known: Collection[str]) -> None:
    """Refuse what is out of bounds, names nothing that is known, or shocks nothing.

    ``known`` are the names that a shock may have: symbols, assets and kinds of instruments.
    """
    moves = (*(move for _, move in scenario.moves), scenario.move_others)
    if len(scenario.moves) > SHOCKS_MAX:
        raise InvalidInput(f"at most {SHOCKS_MAX} shocks", code="too_many_shocks")
    for name, _ in scenario.moves:
        if name not in known:
            raise InvalidInput(
                f"{name[:60]!r} is no instrument, asset or kind of the fund", code="unknown_name"
            )
    bounds = (
        ("a move", max(moves), MOVE_MAX),
        ("adverse deviations", scenario.adverse_sigmas, SIGMAS_MAX),
        ("hours", scenario.hours, HOURS_MAX),
        ("a multiple", scenario.volatility_multiple, MULTIPLE_MAX),
        ("a multiple", scenario.funding_multiple, MULTIPLE_MAX),
        ("a multiple", scenario.spread_multiple, MULTIPLE_MAX),
    )
    for what, value, most in bounds:
        if value > most:
            raise InvalidInput(f"{what} may be at most {most:g}", code="out_of_bounds")
    shocks_funding = scenario.hours > 0.0 and scenario.funding_multiple > 0.0
    if not (
        any(moves) or scenario.adverse_sigmas or scenario.spread_multiple != 1.0 or shocks_funding
    ):
        raise InvalidInput("this stress shocks nothing", code="empty_stress")


def move_for(scenario: StressScenario, *, symbol: str, asset: str, group: str) -> float:
    """The move of an instrument: by its symbol, else its asset, else its group, else of others."""
    named = dict(scenario.moves)
    for name in (symbol, asset, group):
        if name in named:
            return named[name]
    return scenario.move_others
