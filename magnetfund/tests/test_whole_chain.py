"""One life of an investment in an empty production home, by its people, in a browser.

Six people found the fund, a stranger joins it and takes out a part, another joins, switches and
leaves whole.  Each test goes on in the home where the one before it stopped, and stands in this
file, since parallel workers take files.  The clock is set forward between the days (gcc builds what
does it).  ``KEEP_SHOTS`` names a folder for pictures.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from magnetfund.tests.chain_begins import invest, redeem_through_the_gate
from magnetfund.tests.chain_founding import STAFF, STRANGERS, Chain, found_the_fund
from magnetfund.tests.chain_goes_on import (
    dealing_is_suspended_and_opened,
    iris_joins,
    the_rest_is_dealt_and_paid,
    tomasz_switches,
)
from magnetfund.tests.chain_support import CHROMIUM, COMPILER, open_home
from magnetfund.tests.chain_to_the_end import (
    every_deal_has_its_note,
    iris_asks_for_everything,
    iris_gives_units_to_tomasz,
    iris_leaves_whole,
    the_year_ends_in_a_suspension,
    units_are_proved_offline,
)

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = [
    pytest.mark.drill,
    pytest.mark.skipif(CHROMIUM is None or COMPILER is None, reason="needs Chromium and gcc"),
]


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    """The home; closed with this file, since Django keeps its database from playwright's loop."""
    folder = tmp_path_factory.mktemp("chain")
    names = [*(name for name, _, _ in STAFF), *STRANGERS]
    with (
        open_home(folder, names, on_phone="tomasz") as (home, people),
        home.backups_held(),
    ):
        yield Chain(home, people)


def live(chain: Chain, *, until: int) -> None:
    """Live the parts of the life that were not yet, then see that the books verify."""
    parts = [
        (found_the_fund, invest, redeem_through_the_gate),
        (iris_joins, tomasz_switches, dealing_is_suspended_and_opened, the_rest_is_dealt_and_paid),
        (every_deal_has_its_note, units_are_proved_offline, iris_gives_units_to_tomasz),
        (iris_asks_for_everything, the_year_ends_in_a_suspension, iris_leaves_whole),
    ]
    for part in parts[:until]:
        chain.live(*part)
    assert json.loads(chain.home.command("verify_books", "--json").splitlines()[-1])["clean"]
    assert chain.failures() == []


def test_a_stranger_invests_and_is_paid_in_an_empty_home(chain: Chain) -> None:
    live(chain, until=1)


def test_what_the_gate_kept_is_dealt_while_others_join_and_switch(chain: Chain) -> None:
    live(chain, until=2)


def test_an_investor_leaves_whole_after_a_year_that_ended_in_a_suspension(chain: Chain) -> None:
    live(chain, until=4)
