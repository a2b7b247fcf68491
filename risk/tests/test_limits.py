"""Limit sets: the house's figures, hard ceilings, diffs and which set is in force (LIM-1)."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from magnetfund.kernel.errors import InvalidInput
from risk.domain.limits import (
    DEFAULT_LIMITS,
    FIGURES,
    HARD_CEILINGS,
    Limits,
    Tighter,
    check_limits,
    complete_figures,
    diff_limits,
    figures_of,
    limits_of,
    stricter,
)

NOW = datetime(2025, 6, 1, 12, tzinfo=UTC)
STEP = Decimal("0.000001")


def test_the_defaults_are_the_houses_figures() -> None:
    expected = {
        "leverage_max": "3.0",
        "margin_share_tier_1": "0.15",
        "margin_share_tier_2": "0.10",
        "margin_share_tier_3": "0.05",
        "margin_share_position": "0.20",
        "margin_share_group": "0.20",
        "margin_share_total": "0.50",
        "loss_at_stop_share": "0.01",
        "gap_share_position": "0.10",
        "gap_share_book": "0.15",
        "daily_loss_share": "0.025",
        "drawdown_share": "0.05",
        "volatility_ratio_max": "2.0",
        "conflict_max": "0.8",
        "liquidity_score_min": "30",
        "losses_in_a_row_count": "3",
        "no_new_trades_s": "180",
        "rearm_after_clear_s": "300",
        "cut_share_min": "0.30",
        "cut_share_max": "0.70",
        "warning_share": "0.75",
        "second_drawdown_days": "30",
        "live_approved_trades_count": "10",
    }
    figures = figures_of(limits=DEFAULT_LIMITS)
    assert {name: figures[name] for name in expected} == expected
    assert DEFAULT_LIMITS.version == 0


def test_tier_margins() -> None:
    shares = [DEFAULT_LIMITS.margin_share_of_tier(tier) for tier in (1, 2, 3, 4, 0, 9)]
    assert shares == [Decimal(x) for x in ("0.15", "0.10", "0.05", "0", "0", "0")]


def test_a_limit_set_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        DEFAULT_LIMITS.leverage_max = Decimal(5)  # type: ignore[misc]


@pytest.mark.parametrize("name", list(FIGURES))
def test_no_figure_can_be_looser_than_its_ceiling(name: str) -> None:
    rule = FIGURES[name]
    unit = Decimal(1) if rule.is_count else STEP
    looser = unit if rule.tighter is Tighter.LOWER else -unit
    at_edge = replace(DEFAULT_LIMITS, **{name: rule.ceiling}) if name != "cut_share_min" else None
    if at_edge is not None:
        assert getattr(at_edge, name) == HARD_CEILINGS[name]
    with pytest.raises(InvalidInput) as caught:
        replace(DEFAULT_LIMITS, **{name: rule.ceiling + looser})
    assert caught.value.code == "limit_above_ceiling"
    with pytest.raises(InvalidInput):
        replace(DEFAULT_LIMITS, **{name: rule.bound + (-unit if looser > 0 else unit)})


@pytest.mark.parametrize("name", list(FIGURES))
def test_a_default_never_exceeds_its_ceiling(name: str) -> None:
    default = FIGURES[name].default
    if default is not None:
        assert check_limits(figures=figures_of(limits=DEFAULT_LIMITS)) == ()


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"leverage_max": "3.01"}, "above_ceiling"),
        ({"leverage_max": "0.9"}, "out_of_range"),
        ({"leverage_max": "abc"}, "not_a_number"),
        ({"leverage_max": "NaN"}, "not_a_number"),
        ({"leverage_max": 2.5}, "not_a_number"),
        ({"leverage_max": None}, "missing"),
        ({"losses_in_a_row_count": "2.5"}, "not_whole"),
        ({"rearm_after_clear_s": "299"}, "above_ceiling"),
        ({"cut_share_min": "0.8"}, "order"),
        ({"invented": "1"}, "unknown_figure"),
    ],
)
def test_check_limits_names_the_problem(change: dict[str, object], code: str) -> None:
    figures = {**figures_of(limits=DEFAULT_LIMITS), **change}
    problems = check_limits(figures=figures)
    assert [problem.code for problem in problems] == [code]
    assert problems[0].name == next(iter(change))
    with pytest.raises(InvalidInput) as caught:
        limits_of(figures=figures, version=1, effective_from=NOW)
    assert caught.value.code == f"limit_{code}"


def test_a_set_with_a_figure_missing_is_refused() -> None:
    figures = figures_of(limits=DEFAULT_LIMITS)
    del figures["drawdown_share"]
    assert [p.code for p in check_limits(figures=figures)] == ["missing"]


def test_figures_survive_storage() -> None:
    limits = Limits(version=4, effective_from=NOW, volatility_target=Decimal("0.5"))
    stored = figures_of(limits=limits)
    assert limits_of(figures=stored, version=4, effective_from=NOW) == limits


def test_diff_says_what_became_tighter_and_looser() -> None:
    before = Limits(leverage_max=Decimal(2), liquidity_score_min=Decimal(40))
    after = Limits(
        leverage_max=Decimal(1),
        liquidity_score_min=Decimal(35),
        volatility_target=Decimal("0.5"),
    )
    diff = diff_limits(before=before, after=after)
    assert [c.name for c in diff.tighter] == ["leverage_max", "volatility_target"]
    assert [c.name for c in diff.looser] == ["liquidity_score_min"]
    assert not diff.is_only_tighter
    assert diff_limits(before=after, after=before).tighter[0].name == "liquidity_score_min"


def test_lowering_alone_is_only_tighter_and_no_change_is_not() -> None:
    tighter = replace(DEFAULT_LIMITS, daily_loss_share=Decimal("0.02"))
    assert diff_limits(before=DEFAULT_LIMITS, after=tighter).is_only_tighter
    assert not diff_limits(before=DEFAULT_LIMITS, after=DEFAULT_LIMITS).is_only_tighter


def test_bad_times_and_versions_are_refused() -> None:
    with pytest.raises(InvalidInput):
        Limits(version=-1)
    with pytest.raises(InvalidInput):
        Limits(effective_from=datetime(2025, 1, 1))  # noqa: DTZ001 - naive on purpose


def test_the_stricter_figure_rules() -> None:
    assert stricter(Decimal("0.01"), Decimal("0.02")) == Decimal("0.01")
    assert stricter(Decimal("0.20"), Decimal("0.05")) == Decimal("0.05")
    assert stricter(Decimal("0.20"), None) == Decimal("0.20")


@st.composite
def limit_sets(draw: st.DrawFn) -> Limits:
    chosen: dict[str, Decimal] = {}
    for name in ("leverage_max", "margin_share_total", "liquidity_score_min", "no_new_trades_s"):
        rule = FIGURES[name]
        low, high = sorted((rule.ceiling, rule.bound))
        chosen[name] = draw(st.decimals(min_value=low, max_value=high, places=4))
    return Limits(**chosen)  # type: ignore[arg-type]


@given(limit_sets(), limit_sets())
def test_diffs_mirror_each_other(one: Limits, other: Limits) -> None:
    there = diff_limits(before=one, after=other)
    back = diff_limits(before=other, after=one)
    assert {c.name for c in there.tighter} == {c.name for c in back.looser}
    assert {c.name for c in there.looser} == {c.name for c in back.tighter}


def test_a_set_signed_before_a_figure_existed_is_read_with_its_default() -> None:
    signed = figures_of(limits=Limits(daily_loss_share=Decimal("0.02")))
    del signed["evidence_level"]
    at = datetime(2026, 1, 1, tzinfo=UTC)
    with pytest.raises(InvalidInput):
        limits_of(figures=signed, version=1, effective_from=at)
    found = limits_of(figures=complete_figures(signed), version=1, effective_from=at)
    assert found.evidence_level == 1
    assert found.daily_loss_share == Decimal("0.02")
    own = limits_of(
        figures=complete_figures({**signed, "evidence_level": "2"}), version=1, effective_from=at
    )
    assert own.evidence_level == 2
    for level in ("0.5", "3", "-1"):
        with pytest.raises(InvalidInput):
            Limits(evidence_level=Decimal(level))
