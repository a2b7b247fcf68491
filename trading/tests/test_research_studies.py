"""Sweeps and studies as stored runs, and the studies' figures on real hours."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from magnetfund.core.actors import Actor
from magnetfund.core.roles import Role
from magnetfund.kernel.clock import to_milliseconds, utc_now
from magnetfund.kernel.errors import InvalidInput
from magnetfund.operations.people import ensure_user
from risk.domain.leverage import EvidenceState
from trading.domain.evidence import CALIBRATED_BANDS
from trading.domain.magnets import DEFAULT_PARAMETERS
from trading.models import BookMember, Instrument, ResearchRun, RunState, Trial, Valuation
from trading.selectors.calculators import calibrate_given_strength
from trading.selectors.research import family_named
from trading.services.instruments import get_instrument
from trading.services.leverage_caps import read_evidence_state, read_strength_calibration
from trading.services.leverage_inputs import read_leverage_inputs
from trading.services.research.queue import work_waiting
from trading.services.research.studies import ask_study, ask_weekly_evidence
from trading.services.research.survival import ask_weekly_survival
from trading.tests.magnet_bars import make_random_bars
from trading.tests.test_research_backtests import NAME, store

pytestmark = pytest.mark.django_db
BTC = "candles/binance-spot-BTCUSDT-1h-2017-2024.parquet"


def call(command: str, *arguments: str) -> dict[str, Any]:
    out = StringIO()
    call_command(command, *arguments, "--json", stdout=out)
    found: dict[str, Any] = json.loads(out.getvalue())
    return found


def sweep(*arguments: str) -> dict[str, Any]:
    return call("sweep", "--strategy", "moving-average", "--instrument", NAME, *arguments)


@pytest.fixture
def _hours() -> None:
    store(make_random_bars(count=3_000, seed=31))


@pytest.mark.usefixtures("_hours")
def test_every_variant_of_a_sweep_counts_once_and_for_ever() -> None:
    found = sweep("--try", "fast=5,10,20", "--try", "slow=20:40:20")
    assert found["sweep"]["variants"] == 5
    assert found["sweep"]["refused"] == 1
    assert found["new_trials"] == Trial.objects.count() == 5
    assert found["verdict"]["trials"] == 5
    surface = found["sweep"]["surface"]
    assert (surface["across"], surface["columns"]) == ("fast", ["5", "10", "20"])
    again = sweep("--try", "fast=5,10,20", "--try", "slow=20:40:20")
    assert again["id"] == found["id"]
    wider = sweep("--try", "fast=5,10,20,25", "--try", "slow=20:40:20")
    assert wider["new_trials"] == 1
    assert family_named("moving-average").trials == 6


@pytest.mark.usefixtures("_hours")
def test_a_default_that_no_variant_has_stands_against_no_sweep() -> None:
    """The default fast window is not below 20, and none of the variants uses it."""
    found = sweep("--try", "fast=30,5,10", "--set", "slow=20")
    assert (found["sweep"]["variants"], found["sweep"]["refused"]) == (2, 1)
    assert found["new_trials"] == 2
    again = call(
        "backtest", "--strategy", "moving-average", "--instrument", NAME,
        "--set", "fast=10", "--set", "slow=20",
    )  # fmt: skip
    assert again["verdict"]["trials"] == 2, "the same trial, whatever asked for it"


@pytest.mark.usefixtures("_hours")
def test_a_value_that_is_written_twice_is_one_variant() -> None:
    found = sweep("--try", "fast=5,5.0,10", "--try", "slow=30")
    assert (found["sweep"]["variants"], found["new_trials"]) == (2, 2)


@pytest.mark.usefixtures("_hours")
def test_a_backtest_after_a_sweep_is_judged_by_all_its_variants() -> None:
    sweep("--try", "fast=2:19:1", "--set", "slow=60")
    out = call("backtest", "--strategy", "moving-average", "--instrument", NAME)
    assert out["verdict"]["trials"] == 19


@pytest.mark.usefixtures("_hours")
@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ((), "bad_space"),
        (("--try", "fast"), "bad_space"),
        (("--try", "fast=1:2000:1", "--try", "slow=2:2000:1"), "sweep_too_large"),
        (("--try", "fats=1,2"), "unknown_parameter"),
        (("--try", "fast=50,60", "--set", "slow=20"), "bad_parameter"),
        (("--try", "fast=5,6", "--try", "fast=7"), "bad_space"),
    ],
)
def test_a_bad_sweep_is_refused_and_counts_nothing(arguments: tuple[str, ...], code: str) -> None:
    with pytest.raises(CommandError, match=code):
        sweep(*arguments)
    assert not Trial.objects.exists()


def test_evidence_is_stored_also_when_the_answer_is_no() -> None:
    store(make_random_bars(count=4_000, seed=5))
    found = call("test_magnets", "--instrument", NAME)
    run = ResearchRun.objects.get(pk=found["id"])
    names = {row["name"] for row in run.result["rows"]}
    assert {"prior_day", "random_price"} <= names
    assert run.result["sentence"].startswith(("No.", "Void", "Price"))
    assert call("test_magnets", "--instrument", NAME)["id"] == found["id"]


def test_a_stored_verdict_feeds_the_evidence_cap_until_it_is_old_or_the_rules_change() -> None:
    store(make_random_bars(count=400, seed=5))
    instrument = get_instrument(NAME)
    assert read_evidence_state(instrument) is None
    now = to_milliseconds(utc_now())
    judged = [
        {"name": name, "state": "supported", "judged_at": now - 1_000,
         "rules_version": DEFAULT_PARAMETERS.version}
        for name in ("prior_day", "vwap")
    ]  # fmt: skip
    run = ResearchRun.objects.create(
        kind=ResearchRun.Kind.EVIDENCE, state=RunState.DONE, title="magnets", actor_label="test",
        request={"instrument": NAME}, result={"judged": judged}, finished_at=utc_now(),
    )  # fmt: skip

    def state_with(**change: Any) -> EvidenceState | None:
        rows = [judged[0], {**judged[1], **change}]
        ResearchRun.objects.filter(pk=run.pk).update(result={"judged": rows})
        return read_evidence_state(instrument)

    assert state_with() is EvidenceState.SUPPORTED
    assert read_leverage_inputs(instrument).evidence_state is EvidenceState.SUPPORTED
    assert state_with(state="unproven") is EvidenceState.UNPROVEN
    assert state_with(judged_at=now - 180 * 86_400_000) is EvidenceState.EXPIRED
    assert state_with(rules_version="another") is EvidenceState.EXPIRED
    ResearchRun.objects.filter(pk=run.pk).update(result={"rows": [], "attracting": ["vwap"]})
    assert read_evidence_state(instrument) is EvidenceState.UNPROVEN, "one sample proves nothing"


def test_a_study_judges_each_kind_in_two_parts_of_the_history() -> None:
    store(make_random_bars(count=4_000, seed=5))
    call("test_magnets", "--instrument", NAME)
    result = ResearchRun.objects.get().result
    tested = {row["name"] for row in result["rows"] if not row["control"]}
    assert sum(result["readings"]["better"]["tiers"]) == pytest.approx(1.0)
    assert set(result["readings"]["alarms"]) <= set(CALIBRATED_BANDS)
    assert {row["name"] for row in result["judged"]} == tested
    for row in result["judged"]:
        assert row["state"] == "unproven", "random bars support nothing"
        assert "not_significant" in row["reasons"]
        assert "no_out_of_sample" not in row["reasons"], "the last third was run"
    assert read_evidence_state(get_instrument(NAME)) is EvidenceState.UNPROVEN
    fitted, stored = read_strength_calibration(get_instrument(NAME)), result["calibration"]
    assert fitted is not None
    assert fitted.races == stored["races"] > 200
    assert [step["calibrated"] for step in stored["steps"]] == [
        fitted.calibrate(step["to"]) for step in stored["steps"]
    ]
    Instrument.objects.update(is_active=True)
    given = {"instrument": NAME, "magnet_strength": stored["steps"][-1]["to"]}
    assert calibrate_given_strength(given) == stored["steps"][-1]["calibrated"]
    assert calibrate_given_strength({"magnet_strength": 50.0}) is None


def test_the_weekly_study_is_asked_once_for_each_instrument_of_the_book() -> None:
    store(make_random_bars(count=400, seed=5))
    assert ask_weekly_evidence("main") == 0
    BookMember.objects.create(
        book="main", version=1, strategy="trend", instrument=get_instrument(NAME),
        state="trading", reason="first", actor_label="test",
    )  # fmt: skip
    assert ask_weekly_evidence("main") == 1
    assert ask_weekly_evidence("main") == 0
    assert ResearchRun.objects.get().kind == ResearchRun.Kind.EVIDENCE


def test_the_weekly_survival_holds_the_book_as_it_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ask_weekly_survival("main") == 0
    store(make_random_bars(count=2_000, seed=8, step=0.01))
    BookMember.objects.create(
        book="main", version=1, strategy="trend", instrument=get_instrument(NAME),
        state="trading", reason="first", actor_label="test",
    )  # fmt: skip
    assert ask_weekly_survival("main") == 1
    assert ask_weekly_survival("main") == 0, "one that waits is enough"
    Valuation.objects.create(
        book="main", at=utc_now(), equity=1_000, cash=1_000, gross_exposure=400, margin_used=200,
        leverage=0.4, unit_value=1, peak_unit_value=1, day_start_unit_value=1, open_positions=1,
    )  # fmt: skip
    monkeypatch.setattr("trading.services.research.survival.HORIZONS_DAYS", (1,))
    work_waiting()
    run = ResearchRun.objects.get()
    assert run.actor_label == "weekly survival"
    own = next(row for row in run.result["rows"] if row["group"] == "book")
    assert "0.40x of equity" in own["name"]
    assert run.result["book"]["positions"] == 1
    assert "Kept as it stood, at 0.40x of equity" in run.result["sentence"]


def test_days_left_out_of_the_history_are_not_drawn_and_are_named() -> None:
    store(make_random_bars(count=3_000, seed=8, step=0.01))
    arguments = ("--instrument", NAME, "--paths", "1000")
    whole = call("survival", *arguments)
    less = call("survival", *arguments, "--leave-out", "2024-01-10:2024-01-20")
    assert less["id"] != whole["id"]
    assert less["result"]["rows"] != whole["result"]["rows"]
    assert any("10 Jan 2024 to before 20 Jan 2024" in x for x in less["result"]["assumptions"])
    for text in ("2024-01-20:2024-01-10", "2024-01-20"):
        with pytest.raises(CommandError, match="bad_span"):
            call("survival", *arguments, "--leave-out", text)


def test_survival_says_how_far_apart_the_accounts_are() -> None:
    store(make_random_bars(count=3_000, seed=8, step=0.01))
    found = call("survival", "--instrument", NAME, "--paths", "1000")["result"]
    bold, fund = found["rows"][0], found["rows"][1]
    year = bold["horizons"][-1]
    assert year["liquidated"]["low"] <= year["liquidated"]["value"] <= year["liquidated"]["high"]
    assert year["halved"]["value"] > fund["horizons"][-1]["halved"]["value"]
    assert [h["days"] for h in fund["horizons"]] == [1, 7, 30, 365]
    assert "10x all-in" in found["sentence"]


def test_studies_refuse_what_they_cannot_answer() -> None:
    store(make_random_bars(count=300, seed=8))
    with pytest.raises(CommandError, match="too_few_candles"):
        call("survival", "--instrument", NAME)
    with pytest.raises(CommandError, match="out_of_bounds"):
        call("survival", "--instrument", NAME, "--paths", "10")
    with pytest.raises(CommandError, match="unknown_instrument"):
        call("test_magnets", "--instrument", "XYZ/USDT:USDT")


@pytest.mark.usefixtures("_hours")
def test_a_study_of_too_little_is_refused_and_waits_for_nobody() -> None:
    with pytest.raises(CommandError, match="no_bars"):
        call("test_magnets", "--instrument", NAME, "--from", "2024-01-01", "--to", "2024-01-05")
    # What is left of the hours is what a year would be drawn from.
    with pytest.raises(CommandError, match="24 hours are too few"):
        call("survival", "--instrument", NAME, "--leave-out", "2024-01-02:2025-01-01")
    assert set(ResearchRun.objects.values_list("state", flat=True)) == {RunState.REFUSED}


def test_the_queue_works_on_every_kind() -> None:
    store(make_random_bars(count=4_000, seed=5))
    officer = Actor.of(ensure_user(email="r@example.com", name="R", roles=[Role.RISK_OFFICER]))
    for kind in ("evidence", "survival"):
        ask_study(kind=kind, instrument=NAME, actor=officer, paths=1_000)
    assert work_waiting() == 2
    assert set(ResearchRun.objects.values_list("state", flat=True)) == {"done"}


@pytest.mark.usefixtures("_hours")
@pytest.mark.parametrize(
    ("module", "name", "work"),
    [
        ("trading.services.research.backtests", "run_backtest", "backtest"),
        ("trading.domain.research.variants", "VariantBench.try_all", "sweep"),
        ("trading.services.research.studies", "run_evidence_test", "test_magnets"),
        ("trading.services.research.survival", "build_bootstrap_bars", "survival"),
    ],
)
def test_no_transaction_is_open_while_research_computes(
    monkeypatch: pytest.MonkeyPatch, module: str, name: str, work: str
) -> None:
    """A role's transaction may idle for a minute only, and research computes for longer."""
    outside, inside = len(connection.savepoint_ids), []

    def compute(*_: Any, **__: Any) -> None:
        inside.append(len(connection.savepoint_ids))
        raise InvalidInput("enough", code="enough")

    monkeypatch.setattr(f"{module}.{name}", compute)
    arguments = {
        "backtest": ("--strategy", "moving-average"),
        "sweep": ("--strategy", "moving-average", "--try", "fast=5,10"),
    }
    with pytest.raises(CommandError, match="enough"):
        call(work, *arguments.get(work, ()), "--instrument", NAME)
    assert inside == [outside]


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("paths", "near"), [(4_000, 0.02), pytest.param(20_000, 0.005, marks=pytest.mark.drill)]
)
def test_survival_reproduces_the_published_headline(
    real_data: Path, paths: int, near: float
) -> None:
    span = ("--from", "2017-10-01", "--to", "2021-07-01")
    path = str(real_data / BTC)
    told = call("survival", "--instrument", NAME, "--file", path, *span, "--paths", str(paths))
    rows = told["result"]["rows"]
    year = {row["name"]: row["horizons"][-1] for row in rows}
    for leverage, share in ((2, 0.012), (2.5, 0.036), (5, 0.361), (20, 0.977)):
        found = year[f"{leverage:g}x all-in, no fuse"]["liquidated"]["value"]
        assert found == pytest.approx(share, abs=near)
    bold = year["10x all-in, no fuse"]
    assert bold["liquidated"]["value"] == pytest.approx(0.79, abs=0.02)
    assert year["3x all-in, no fuse"]["liquidated"]["value"] == pytest.approx(0.086, abs=0.02)
    assert year["3x all-in, fuse a day late"]["ruined"]["value"] == pytest.approx(0.266, abs=0.01)


@pytest.mark.real_data
def test_the_evidence_command_reproduces_the_published_table(real_data: Path) -> None:
    span = ("--from", "2017-10-01", "--to", "2021-07-01")
    path = str(real_data / BTC)
    found = call("test_magnets", "--instrument", NAME, "--file", path, *span)["result"]
    first = {row["name"]: row["first"] for row in found["rows"]}
    for name, value, z in (
        ("structural", 0.489, -2.5), ("vwap", 0.478, -3.1), ("prior_day", 0.481, -3.5),
        ("round_minor", 0.490, -4.0), ("fair_value_gap", 0.452, -4.7),
        ("random_price", 0.498, -0.7), ("past_close", 0.499, -0.1),
    ):  # fmt: skip
        assert first[name]["value"] == pytest.approx(value, abs=0.002), name
        assert first[name]["z"] == pytest.approx(z, abs=0.3), name
    assert not found["void"]
    assert found["attracting"] == []
