"""A replay that cannot be run says why in one line and leaves nothing, as the role that runs it."""

from __future__ import annotations

import pytest
from django.core.management import CommandError, call_command

from investors.models import Fund
from magnetfund.tests.walls_support import make_instrument
from risk.models import ScenarioClock

pytestmark = pytest.mark.usefixtures("as_gateway")
SPAN = ["--from", "2026-01-02", "--to", "2026-01-05"]
BTC = ["--instrument", "BTC/USDT:USDT"]
REPLAYS = {
    "unknown instrument": ["--instrument", "NO/SUCH:SUCH", *SPAN],
    "to before from": [*BTC, "--from", "2026-01-05", "--to", "2026-01-02"],
    "an empty span": [*BTC, "--from", "2026-01-02", "--to", "2026-01-02"],
    "no date": [*BTC, "--from", "tomorrow", "--to", "2026-01-02"],
    "too much risk": [*BTC, *SPAN, "--risk", "0.5"],
    "negative risk": [*BTC, *SPAN, "--risk=-1"],
    "risk that is no number": [*BTC, *SPAN, "--risk", "NaN"],
    "another risk that is no number": [*BTC, *SPAN, "--risk", "sNaN"],
    "bad policy": [*BTC, *SPAN, "--reset-policy", "always"],
    "unknown sleeve": [*BTC, *SPAN, "--sleeves", "trend,luck"],
    "no sleeve": [*BTC, *SPAN, "--sleeves", ""],
    "a long book": [*BTC, *SPAN, "--book", "b" * 300],
    "no candles": [*BTC, *SPAN],
    "the same instrument twice": [*BTC, *BTC, *SPAN],
}


@pytest.mark.parametrize("name", REPLAYS)
def test_replay(name: str):
    make_instrument()
    with pytest.raises(CommandError) as refused:
        call_command("replay", *REPLAYS[name])
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 400
    assert not Fund.objects.exists()
    assert not ScenarioClock.objects.exists()
