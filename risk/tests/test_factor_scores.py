"""Factor scores: against pandas and scipy, by hand, and by law."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from magnetfund.kernel.errors import InvalidInput
from risk.domain.factors import (
    Factor,
    FactorScore,
    Winsor,
    compute_factor_scores,
    standardise_factor,
)

pytestmark = pytest.mark.slow

GENERATOR = np.random.default_rng(20260301)
NAMES = [f"N{number:02d}" for number in range(40)]
#: Two sectors that stand alone, two that are pooled: 18, 14, 4 and 4 names.
SECTORS = ["tech"] * 18 + ["banks"] * 14 + ["mines"] * 4 + ["ships"] * 4
VALUE = tuple(GENERATOR.normal(10, 3, 40).tolist())
QUALITY = tuple(GENERATOR.standard_t(3, 40).tolist())


def scores_of(found: tuple[FactorScore, ...]) -> list[float]:
    return [one.score for one in found if one.score is not None]


def test_the_whole_chain_agrees_with_pandas_and_scipy() -> None:
    table = pd.DataFrame({"value": VALUE, "quality": QUALITY})
    sector = pd.Series(SECTORS).replace({"mines": "pool", "ships": "pool"})
    drawn = table.clip(table.quantile(0.01), table.quantile(0.99), axis=1)
    groups = drawn.groupby(sector)
    z = ((drawn - groups.transform("mean")) / groups.transform("std")).clip(-3, 3)
    mean = (2 * z["value"] - z["quality"]) / 3
    expected = 100 * stats.norm.cdf(stats.zscore(mean, ddof=1))
    found = compute_factor_scores(
        names=NAMES,
        sectors=SECTORS,
        factors=[
            Factor(name="value", values=VALUE, weight=2.0),
            Factor(name="quality", values=QUALITY, weight=1.0, higher_is_better=False),
        ],
    )
    assert scores_of(found) == pytest.approx(expected.tolist(), abs=1e-9)
    assert [one.pooled for one in found] == [()] * 32 + [("value", "quality")] * 8


def test_five_names_by_hand() -> None:
    """1..5 without quantiles to draw in: mean 3, deviation 1.5811, so z = -1.2649 at the lowest."""
    found = compute_factor_scores(
        names="abcde",
        sectors=["one"] * 5,
        factors=[Factor(name="rank", values=(1.0, 2.0, 3.0, 4.0, 5.0))],
        winsor=Winsor.MEDIAN_DEVIATIONS,
    )
    assert [round(one.composite, 4) for one in found if one.composite is not None] == [
        -1.2649,
        -0.6325,
        0.0,
        0.6325,
        1.2649,
    ]
    assert scores_of(found) == pytest.approx([10.295, 26.354, 50.0, 73.646, 89.705], abs=1e-3)


def test_three_deviations_from_the_median_draw_an_outlier_in() -> None:
    """Median 3, absolute deviations 2 1 0 1 97, their median 1: 100 becomes 6."""
    drawn, _ = standardise_factor(
        values=(1.0, 2.0, 3.0, 4.0, 100.0),
        sectors=["one"] * 5,
        winsor=Winsor.MEDIAN_DEVIATIONS,
    )
    assert drawn == pytest.approx(stats.zscore([1.0, 2.0, 3.0, 4.0, 6.0], ddof=1))


def test_a_zero_median_deviation_draws_nothing_in() -> None:
    values = (1.0, 1.0, 1.0, 1.0, 5.0)
    drawn, _ = standardise_factor(
        values=values, sectors=["one"] * 5, winsor=Winsor.MEDIAN_DEVIATIONS
    )
    assert drawn == pytest.approx(stats.zscore(values, ddof=1))


def test_an_outlier_of_its_sector_is_clipped_at_three() -> None:
    values = [float(number % 2) for number in range(40)] + [50.0]
    drawn, _ = standardise_factor(values=values, sectors=["one"] * 41)
    assert drawn.max() == 3.0


def test_a_sector_is_neutral_whatever_its_level() -> None:
    level = {"tech": 0.0, "banks": 500.0, "mines": 0.0, "ships": 0.0}
    lifted = [value + level[sector] for value, sector in zip(VALUE, SECTORS, strict=True)]
    scores, _ = standardise_factor(values=lifted, sectors=SECTORS, winsor=Winsor.MEDIAN_DEVIATIONS)
    for sector in ("tech", "banks"):
        members = [at for at, name in enumerate(SECTORS) if name == sector]
        assert scores[members].mean() == pytest.approx(0.0, abs=1e-9)


def test_a_sector_is_counted_by_the_names_that_have_the_factor() -> None:
    """Four of five banks have it: they are pooled; the pool of four meets the whole market."""
    sectors = ["tech"] * 8 + ["banks"] * 5
    values = [*map(float, range(8)), 20.0, 21.0, 22.0, 23.0, None]
    scores, pooled = standardise_factor(values=values, sectors=sectors)
    assert pooled.tolist() == [False] * 8 + [True] * 4 + [False]
    held = np.array(values[:12], dtype=float)
    drawn = held.clip(*np.quantile(held, [0.01, 0.99]))
    assert scores[8:12] == pytest.approx(((drawn - drawn.mean()) / drawn.std(ddof=1))[8:12])
    assert math.isnan(scores[12])


def test_a_sector_of_five_stands_alone() -> None:
    values = [*map(float, range(8)), 2.0, 3.0, 4.0, 5.0, 6.0]
    scores, pooled = standardise_factor(
        values=values, sectors=["tech"] * 8 + ["banks"] * 5, winsor=Winsor.MEDIAN_DEVIATIONS
    )
    assert not pooled.any()
    assert scores[8:] == pytest.approx(stats.zscore([2.0, 3.0, 4.0, 5.0, 6.0], ddof=1))


def test_a_name_alone_stands_in_the_middle() -> None:
    (only,) = compute_factor_scores(
        names=["a"], sectors=["one"], factors=[Factor(name="f", values=(7.0,))]
    )
    assert (only.score, only.pooled) == (50.0, ("f",))


def test_a_missing_factor_reduces_the_weight_and_is_disclosed() -> None:
    half = (None, math.nan, *QUALITY[2:])
    factors = [
        Factor(name="value", values=VALUE, weight=3.0),
        Factor(name="quality", values=half, weight=1.0),
    ]
    found = compute_factor_scores(names=NAMES, sectors=SECTORS, factors=factors)
    assert [one.missing for one in found[:3]] == [("quality",), ("quality",), ()]
    assert [one.weight_share for one in found[:3]] == [0.75, 0.75, 1.0]
    # A name that lacks a factor ranks by what it has, not by a zero in its place.
    z, _ = standardise_factor(values=VALUE, sectors=SECTORS)
    other, _ = standardise_factor(values=half, sectors=SECTORS)
    means = np.where(np.isnan(other), z, (3 * z + np.nan_to_num(other)) / 4)
    assert [one.composite for one in found] == pytest.approx(stats.zscore(means, ddof=1).tolist())


def test_a_name_without_any_factor_has_no_score_and_moves_nobody() -> None:
    values = (None, *VALUE[1:])
    with_it = compute_factor_scores(
        names=NAMES, sectors=SECTORS, factors=[Factor(name="value", values=values)]
    )
    without = compute_factor_scores(
        names=NAMES[1:], sectors=SECTORS[1:], factors=[Factor(name="value", values=VALUE[1:])]
    )
    assert with_it[0] == FactorScore(
        name="N00", score=None, composite=None, weight_share=0.0, missing=("value",), pooled=()
    )
    assert with_it[1:] == without


def test_a_cross_section_without_spread_stands_in_the_middle() -> None:
    found = compute_factor_scores(
        names=NAMES, sectors=SECTORS, factors=[Factor(name="flat", values=(0.1,) * 40)]
    )
    assert {one.score for one in found} == {50.0}


panels = st.integers(6, 30).flatmap(
    lambda size: st.tuples(
        st.lists(st.sampled_from(["a", "b", "c"]), min_size=size, max_size=size),
        st.lists(
            st.lists(
                st.one_of(st.none(), st.integers(-1_000, 1_000).map(float)),
                min_size=size,
                max_size=size,
            ),
            min_size=1,
            max_size=3,
        ),
    )
)


@given(
    panels,
    st.sampled_from(list(Winsor)),
    st.sampled_from([0.25, 2.0, -4.0]),
    st.integers(-500, 500),
)
def test_scores_lie_in_0_to_100_and_do_not_see_the_unit_of_a_factor(
    panel: tuple[list[str], list[list[float | None]]], winsor: Winsor, scale: float, shift: int
) -> None:
    sectors, columns = panel
    names = [str(number) for number in range(len(sectors))]

    def scored(factor: float, offset: float) -> tuple[FactorScore, ...]:
        first = tuple(None if v is None else factor * v + offset for v in columns[0])
        return compute_factor_scores(
            names=names,
            sectors=sectors,
            factors=[
                Factor(name="0", values=first, higher_is_better=factor > 0),
                *(
                    Factor(name=str(number), values=tuple(column), weight=number + 1)
                    for number, column in enumerate(columns[1:], start=1)
                ),
            ],
            winsor=winsor,
        )

    plain, changed = scored(1.0, 0.0), scored(scale, float(shift))
    assert all(0.0 <= score <= 100.0 for score in scores_of(plain))
    assert [one.missing for one in plain] == [one.missing for one in changed]
    assert scores_of(changed) == pytest.approx(scores_of(plain), abs=1e-6)


def test_a_better_value_never_scores_lower_within_a_sector() -> None:
    found = compute_factor_scores(
        names=NAMES, sectors=SECTORS, factors=[Factor(name="value", values=VALUE)]
    )
    for sector in ("tech", "banks"):
        members = [at for at, name in enumerate(SECTORS) if name == sector]
        ordered = sorted(members, key=lambda at: VALUE[at])
        ranked = [found[at].score for at in ordered]
        assert ranked == sorted(ranked)  # type: ignore[type-var]  # every name has its factor


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"factors": []}, "no_factors"),
        ({"names": ["a", "a"]}, "name_twice"),
        ({"sectors": ["one"]}, "bad_shape"),
        (
            {"names": [], "sectors": [], "factors": [Factor(name="f", values=())]},
            "bad_shape",
        ),
        ({"factors": [Factor(name="f", values=(1.0,))]}, "bad_shape"),
        ({"factors": [Factor(name="f", values=(1.0, 2.0))] * 2}, "name_twice"),
    ],
)
def test_a_panel_that_does_not_fit_is_refused(changed: dict[str, object], code: str) -> None:
    asked = {
        "names": ["a", "b"],
        "sectors": ["one", "one"],
        "factors": [Factor(name="f", values=(1.0, 2.0))],
    } | changed
    with pytest.raises(InvalidInput) as refusal:
        compute_factor_scores(**asked)
    assert refusal.value.code == code


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"weight": 0.0}, "bad_weight"),
        ({"weight": math.nan}, "bad_weight"),
        ({"values": (math.inf,)}, "not_finite"),
    ],
)
def test_a_factor_refuses_what_it_cannot_weigh(more: dict[str, object], code: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        Factor(**({"name": "f", "values": (1.0,)} | more))
    assert refusal.value.code == code
