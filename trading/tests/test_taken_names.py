"""A file of one's own that bears the name of a strategy that ships takes nothing from it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from trading.domain.strategies.registry import STRATEGIES
from trading.services.research.catalogue import load_catalogue
from trading.tests.test_own_strategies import SOUND

TAKEN = SOUND.replace("class Own(", "class MovingAverage(")


@pytest.mark.parametrize("text", ["def (", TAKEN], ids=["broken", "taken"])
def test_the_one_that_ships_stays_as_sound_as_before(settings: Any, tmp_path: Path, text: str):
    settings.MAGNET_HOME = tmp_path
    (tmp_path / "strategies").mkdir()
    (tmp_path / "strategies" / "moving_average.py").write_text(text)
    catalogue = load_catalogue()
    assert not catalogue.broken.keys() & STRATEGIES.keys()
    assert "moving_average.py" in catalogue.broken
    assert catalogue.builders["moving-average"] is STRATEGIES["moving-average"]
