"""Names of a cross-section in quantiles."""

from __future__ import annotations

import pytest

from magnetfund.kernel.errors import InvalidInput
from risk.domain.factors import Factor, assign_quantiles, compute_factor_scores


def test_names_are_spread_evenly_best_first_and_a_name_without_a_score_has_none() -> None:
    names = [f"n{k}" for k in range(11)]
    values = (*(float(k) for k in range(10)), None)
    scores = compute_factor_scores(
        names=names, sectors=["all"] * 11, factors=[Factor(name="f", values=values)]
    )
    fifths = assign_quantiles(scores=scores, count=5)
    assert fifths == (5, 5, 4, 4, 3, 3, 2, 2, 1, 1, None)
    assert assign_quantiles(scores=scores, count=1) == (1,) * 10 + (None,)
    with pytest.raises(InvalidInput):
        assign_quantiles(scores=scores, count=0)
