"""A replay trades under the fund's limits in force, or the shipped ones, and says which."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from hypothesis import given
from hypothesis import strategies as st

from magnetfund.core.actors import Actor
from magnetfund.core.roles import Role
from magnetfund.kernel.errors import InvalidInput
from magnetfund.operations.replay_limits import ReplayLimits, read_limits, write_limits
from magnetfund.tests.flow_support import START, SYMBOL, make_candles
from magnetfund.tests.walls_support import make_user
from risk.domain.limits import DEFAULT_LIMITS, Limits, figures_of
from risk.models import LimitSet
from risk.services.limits import approve_limits, propose_limits
from trading.models import ReplayRun

pytestmark = pytest.mark.usefixtures("as_gateway")
SPAN = ["--from", f"{START:%Y-%m-%d}", "--to", f"{START + timedelta(days=8):%Y-%m-%d}"]
#: A volatility ratio that every hour passes, so that nothing may be opened.
CALM = Limits(volatility_ratio_max=Decimal("0.05"))
BEGINS = datetime(2026, 3, 1, tzinfo=UTC)


def approve(limits: Limits) -> None:
    """Two officers put a set in force for the fund's book, from :data:`BEGINS` on."""
    ann, ben = make_user("ann", Role.RISK_OFFICER), make_user("ben", Role.RISK_OFFICER)
    proposal = propose_limits(
        book=settings.MAGNET_BOOK, figures=figures_of(limits=limits), reason="calmer",
        effective_from=BEGINS, actor=Actor.of(ann),
    )  # fmt: skip
    approve_limits(proposal=proposal, seen_hash=proposal.content_hash, actor=Actor.of(ben))


def replayed(book: str, *words: str) -> dict[str, Any]:
    """The stored result of a replay by command."""
    call_command("replay", "--instrument", SYMBOL, *SPAN, "--sleeves=moving-average",
                 "--book", book, *words)  # fmt: skip
    run = ReplayRun.objects.get(book=book)
    assert run.parameters["limits"] == run.result["limits"]
    found: dict[str, Any] = run.result
    return found


def test_a_replay_takes_the_limits_in_force_and_says_which(capsys: Any):
    make_candles(days_before=40, days=9)
    unsigned = replayed("none")
    assert unsigned["limits"]["name"] == "shipped limits"
    assert unsigned["limits"]["version"] == 0
    assert unsigned["orders"] > 0
    assert not LimitSet.objects.exists(), "nothing is signed for what stands in code"
    approve(CALM)
    calm = replayed("calm")
    assert calm["limits"] == {
        "name": "limits of main, version 1, in force since 2026-03-01",
        "book": "main", "version": 1, "hash": ReplayLimits(limits=CALM).plain()["hash"],
    }  # fmt: skip
    assert "with the limits of main, version 1" in capsys.readouterr().out
    assert (calm["orders"], calm["ledger"]) == (0, "clean")
    assert calm["state_hash"] != unsigned["state_hash"]
    assert LimitSet.objects.get(book="calm").reason.startswith("replay under the limits of main")
    assert replayed("again")["state_hash"] == calm["state_hash"]
    shipped = replayed("shipped", "--limits=shipped")
    assert shipped["limits"] == unsigned["limits"]
    assert shipped["state_hash"] == unsigned["state_hash"]
    before = replayed("before", "--limits=2026-02-28")
    assert before["limits"] == unsigned["limits"]
    later = replayed("later", "--limits=2026-03-01")
    assert later["limits"] == calm["limits"]
    with pytest.raises(CommandError, match="bad_date"):
        replayed("odd", "--limits=whatever")


def test_limits_equal_to_the_shipped_ones_give_the_replay_of_the_shipped_ones():
    make_candles(days_before=40, days=9)
    approve(DEFAULT_LIMITS)
    signed, shipped = replayed("signed"), replayed("shipped", "--limits=shipped")
    assert (signed["limits"]["version"], shipped["limits"]["version"]) == (1, 0)
    assert signed["limits"]["hash"] == shipped["limits"]["hash"]
    assert signed["state_hash"] == shipped["state_hash"]


def test_no_limits_act_under_bare_rules():
    make_candles(days_before=40, days=9)
    approve(Limits(opposite_distance_atr=Decimal(5)))
    found = replayed("bare", "--rules=bare", "--sleeves=magnet,macd")
    assert found["limits"]["version"] == 0
    assert found["backtest"] == {"trades": found["trades"], "difference": ""}
    with pytest.raises(CommandError, match="under bare rules no limits act"):
        replayed("signed", "--rules=bare", "--limits=in-force")


@given(version=st.integers(1, 99), share=st.decimals("0.01", "0.05", places=4))
def test_a_set_told_to_another_process_is_the_same_set(version: int, share: Decimal):
    limits = Limits(version=version, effective_from=BEGINS, daily_loss_share=share / 10)
    told = ReplayLimits(limits=limits, book="main")
    assert read_limits(write_limits(told)) == told


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"version": 1}', "null"])
def test_a_text_that_is_no_set_is_refused(text: str):
    with pytest.raises(InvalidInput):
        read_limits(text)
