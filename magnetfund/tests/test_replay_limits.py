"""A replay trades under the fund's limits in force, or the shipped ones, and says which."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from hypothesis import given
from hypothesis import strategies as st

from magnetfund.core.roles import Role
from magnetfund.kernel.errors import InvalidInput
from magnetfund.operations.replay_limits import (
    ReplayLimits,
    follow_limits,
    read_limits,
    write_limits,
)
from magnetfund.tests.flow_support import START, SYMBOL, make_candles
from magnetfund.tests.test_desk_market import sign_in
from magnetfund.tests.walls_support import sign_limits
from risk.domain.limits import DEFAULT_LIMITS, Limits
from risk.models import LimitSet
from trading.models import Order, ReplayRun

pytestmark = pytest.mark.usefixtures("as_gateway")
SPAN = ["--from", f"{START:%Y-%m-%d}", "--to", f"{START + timedelta(days=8):%Y-%m-%d}"]
#: A volatility ratio that every hour passes, so that nothing may be opened.
CALM = Limits(volatility_ratio_max=Decimal("0.05"))
BEGINS = datetime(2026, 3, 1, tzinfo=UTC)


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
    sign_limits(CALM, at=BEGINS)
    calm = replayed("calm")
    assert calm["limits"] == {
        "name": "limits of main, version 1, in force since 2026-03-01",
        "book": "main", "version": 1, "hash": ReplayLimits(limits=CALM).plain()["hash"],
    }  # fmt: skip
    assert "Under the limits of main, version 1" in capsys.readouterr().out
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
    page = sign_in(Role.AUDITOR).get("/desk/research/replays/").content.decode()
    assert page.count("Limits of main, version 1, in force since 2026-03-01") == 3
    assert page.count("Shipped limits") == 3
    assert "no event" in page


def test_a_replay_follows_the_versions_of_the_limits_as_the_trader_took_them():
    make_candles(days_before=40, days=9)
    turns = START + timedelta(days=4)
    sign_limits(DEFAULT_LIMITS, at=START - timedelta(days=3))
    sign_limits(CALM, at=turns)
    followed = replayed("followed", "--sleeves=macd")
    assert followed["limits"]["version"] == 2
    assert followed["limits"]["name"].endswith(f"then version 2 from {turns:%Y-%m-%d}")
    entries = Order.objects.filter(purpose="entry").order_by("occurred_at", "quantity")
    opened, whole = entries.filter(book="followed"), entries.filter(book="whole")
    only = replayed("whole", "--sleeves=macd", f"--limits={START:%Y-%m-%d}")
    assert only["limits"]["version"] == 1
    before = list(whole.filter(occurred_at__lt=turns).values_list("occurred_at", "quantity"))
    assert before, "nothing was opened under the first version"
    assert list(opened.values_list("occurred_at", "quantity")) == before
    assert whole.count() > len(before), "the second version had nothing to bar"
    [last] = LimitSet.objects.filter(book="followed", version=2)
    assert last.effective_from == turns
    assert replayed("again", "--sleeves=macd")["state_hash"] == followed["state_hash"]


def test_a_span_before_every_version_has_the_limits_of_now():
    make_candles(days_before=40, days=9)
    sign_limits(DEFAULT_LIMITS, at=START + timedelta(days=60))
    sign_limits(CALM, at=START + timedelta(days=61))
    found = replayed("early")
    assert (found["limits"]["version"], found["orders"]) == (2, 0)
    straddled = follow_limits(start=START, end=START + timedelta(days=61))
    assert (straddled.limits.version, straddled.later) == (1, ())


def test_limits_equal_to_the_shipped_ones_give_the_replay_of_the_shipped_ones():
    make_candles(days_before=40, days=9)
    sign_limits(DEFAULT_LIMITS, at=BEGINS)
    signed, shipped = replayed("signed"), replayed("shipped", "--limits=shipped")
    assert (signed["limits"]["version"], shipped["limits"]["version"]) == (1, 0)
    assert signed["limits"]["hash"] == shipped["limits"]["hash"]
    assert signed["state_hash"] == shipped["state_hash"]


def test_no_limits_act_under_bare_rules():
    make_candles(days_before=40, days=9)
    sign_limits(Limits(opposite_distance_atr=Decimal(5)), at=BEGINS)
    found = replayed("bare", "--rules=bare", "--sleeves=magnet,macd")
    assert found["limits"] is None
    assert found["backtest"] == {"trades": found["trades"], "difference": ""}
    with pytest.raises(CommandError, match="under bare rules no limits act"):
        replayed("signed", "--rules=bare", "--limits=in-force")
    assert (
        "None: bare rules" in sign_in(Role.OPERATOR).get("/desk/research/replays/").content.decode()
    )


def test_a_replay_that_was_broken_off_or_named_no_limits_is_still_shown():
    asked = {"instruments": [SYMBOL], "from": "2024-03-01T00:00:00Z", "to": "2024-04-01T00:00:00Z",
             "risk": "0.0035", "reset_policy": "none"}  # fmt: skip
    ReplayRun.objects.bulk_create(
        ReplayRun(book=f"old{k}", parameters=asked, started_at=BEGINS) for k in range(11)
    )
    client = sign_in(Role.OPERATOR)
    page = client.get("/desk/research/replays/").content.decode()
    assert page.count("Limits of the code") == 10
    assert "it runs, or it was broken off" in page
    assert (
        client.get("/desk/research/replays/?page=2").content.decode().count("Limits of the code")
        == 1
    )


@given(version=st.integers(1, 99), share=st.decimals("0.01", "0.05", places=4))
def test_a_set_told_to_another_process_is_the_same_set(version: int, share: Decimal):
    limits = Limits(version=version, effective_from=BEGINS, daily_loss_share=share / 10)
    later = replace(limits, version=version + 1, effective_from=BEGINS + timedelta(hours=version))
    told = ReplayLimits(limits=limits, book="main", later=(later,) if version % 2 else ())
    assert read_limits(write_limits(told)) == told


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"version": 1}', "null"])
def test_a_text_that_is_no_set_is_refused(text: str):
    with pytest.raises(InvalidInput):
        read_limits(text)
