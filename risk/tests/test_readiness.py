"""Readiness for live capital: facts, a score, and a verdict with its reasons (STR-6)."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from magnetfund.kernel.errors import InvalidInput
from risk.domain.leverage import EvidencePolicy
from risk.domain.readiness import (
    Component,
    Evidence,
    Readiness,
    ScoreCap,
    Standing,
    TrackRecord,
    compute_edge_probability,
    compute_wilson_interval,
    judge_readiness,
    read_facts,
    score_confidence,
)

RECORD = TrackRecord(wins=65, losses=35, sharpe=1.5, drawdown_max=0.0999, profit_factor=2.0)
EVIDENCE = Evidence(
    deflated_sharpe=0.97,
    edge=0.99,
    survival=0.96,
    trades_effective=100.0,
    trials=12,
    has_out_of_sample=True,
    has_full_volatility_regime=True,
    has_look_ahead_difference=False,
)


def judge(
    record: TrackRecord = RECORD,
    evidence: Evidence = EVIDENCE,
    policy: EvidencePolicy = EvidencePolicy.ENFORCED,
    paper_days: int = 90,
) -> Readiness:
    return judge_readiness(
        facts=read_facts(record=record),
        confidence=score_confidence(evidence=evidence),
        policy=policy,
        paper_days=paper_days,
    )


def test_wilson_interval_of_65_wins_in_100_is_the_published_one() -> None:
    assert compute_wilson_interval(wins=65, trades=100) == pytest.approx((0.553, 0.736), abs=5e-4)


def test_everything_exactly_at_its_threshold_is_ready() -> None:
    assert judge().ready_for_live
    assert judge().standing is Standing.SHOWN


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"wins": 64}, "99 trades"),
        ({"wins": 64, "losses": 36}, "win rate 64.0%"),
        ({"sharpe": 1.49}, "Sharpe 1.49"),
        ({"drawdown_max": 0.10}, "drawdown 10.0%"),
        ({"profit_factor": 1.99}, "profit factor 1.99"),
        ({"sharpe": None}, "sharpe is not known"),
        ({"drawdown_max": math.nan}, "drawdown is not known"),
        ({"profit_factor": math.nan}, "profit factor is not known"),
    ],
)
def test_one_failing_fact_is_enough_and_is_named(change: dict[str, object], words: str) -> None:
    verdict = judge(replace(RECORD, **change))  # type: ignore[arg-type]
    assert not verdict.ready_for_live
    assert words in verdict.reason


def test_policy_paper_days_and_score_are_each_needed() -> None:
    assert "advisory" in judge(policy=EvidencePolicy.ADVISORY).reason
    assert "89 days" in judge(paper_days=89).reason
    low = judge(evidence=replace(EVIDENCE, edge=0.9499))
    assert not low.ready_for_live
    assert low.standing is Standing.PROMISING


def test_a_fact_that_was_not_measured_is_not_passed() -> None:
    verdict = judge_readiness(
        facts=(),
        confidence=score_confidence(evidence=EVIDENCE),
        policy=EvidencePolicy.ENFORCED,
        paper_days=90,
    )
    assert not verdict.ready_for_live


def test_the_weakest_component_is_the_score_and_is_named() -> None:
    result = score_confidence(evidence=EVIDENCE)
    assert (result.score, result.binding) == (pytest.approx(96.0), Component.SURVIVAL)


@pytest.mark.parametrize(
    ("change", "cap", "score"),
    [
        ({"trades_effective": 99.9}, ScoreCap.FEW_TRADES, 40.0),
        ({"trades_effective": math.nan}, ScoreCap.FEW_TRADES, 40.0),
        ({"has_out_of_sample": False}, ScoreCap.NO_OUT_OF_SAMPLE, 60.0),
        ({"has_full_volatility_regime": False}, ScoreCap.ONE_REGIME, 70.0),
        ({"has_look_ahead_difference": True}, ScoreCap.LOOK_AHEAD, 0.0),
        ({"edge": None}, ScoreCap.MISSING_COMPONENT, 0.0),
        ({"survival": math.nan}, ScoreCap.MISSING_COMPONENT, 0.0),
        ({"deflated_sharpe": 1.2}, ScoreCap.MISSING_COMPONENT, 0.0),
    ],
)
def test_thin_evidence_caps_the_score(
    change: dict[str, object], cap: ScoreCap, score: float
) -> None:
    result = score_confidence(evidence=replace(EVIDENCE, **change))  # type: ignore[arg-type]
    assert result.caps == (cap,)
    assert result.score == score


def test_three_quarters_wins_at_one_to_three_have_no_edge() -> None:
    fair = compute_edge_probability(wins=75, losses=25, win_average=1.0, loss_average=3.0)
    assert fair == pytest.approx(0.5, abs=0.03)
    assert compute_edge_probability(wins=75, losses=25, win_average=1.0, loss_average=1.0) > 0.999


@given(st.integers(0, 400), st.integers(0, 400), st.floats(0.1, 10.0))
def test_one_more_win_never_lowers_the_edge(wins: int, losses: int, payoff: float) -> None:
    before = compute_edge_probability(
        wins=wins, losses=losses, win_average=payoff, loss_average=1.0
    )
    after = compute_edge_probability(
        wins=wins + 1, losses=losses, win_average=payoff, loss_average=1.0
    )
    assert 0.0 <= before <= after + 1e-12 <= 1.0 + 1e-11


def test_absurd_counts_and_averages_are_refused() -> None:
    with pytest.raises(InvalidInput, match="negative"):
        read_facts(record=replace(RECORD, wins=-1))
    with pytest.raises(InvalidInput, match="positive"):
        compute_wilson_interval(wins=2, trades=1)
    with pytest.raises(InvalidInput, match="positive"):
        compute_edge_probability(wins=1, losses=1, win_average=1.0, loss_average=0.0)
