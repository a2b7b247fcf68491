"""Stress: what known days, grids and shocks would do to a book of positions."""

from risk.domain.stress.book import (
    StressBook,
    StressLiquidation,
    StressPosition,
    StressResult,
    compute_equity,
    compute_stress,
    compute_stresses,
)
from risk.domain.stress.saved import check_saved, move_for, read_shocks, write_shocks
from risk.domain.stress.scenarios import (
    ADVERSE_SIGMAS,
    GRID_STEPS,
    StressScenario,
    build_event_scenarios,
    build_grid_scenarios,
    build_scenarios,
    build_shock_scenarios,
    move_of,
)

__all__ = [
    "ADVERSE_SIGMAS",
    "GRID_STEPS",
    "StressBook",
    "StressLiquidation",
    "StressPosition",
    "StressResult",
    "StressScenario",
    "build_event_scenarios",
    "build_grid_scenarios",
    "build_scenarios",
    "build_shock_scenarios",
    "check_saved",
    "compute_equity",
    "compute_stress",
    "compute_stresses",
    "move_for",
    "move_of",
    "read_shocks",
    "write_shocks",
]
