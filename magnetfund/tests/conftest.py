"""What several test files of this folder share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from magnetfund.tests.chain_founding import Chain


@pytest.fixture(scope="package")
def chain() -> Iterator[Chain]:
    """One empty production home whose life goes on from file to file."""
    from magnetfund.tests.chain_founding import STAFF, STRANGERS, Chain
    from magnetfund.tests.chain_support import open_home

    names = [*(name for name, _, _ in STAFF), *STRANGERS]
    with open_home(names, on_phone="tomasz") as (home, people):
        yield Chain(home, people)
