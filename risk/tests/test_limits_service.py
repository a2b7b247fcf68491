"""Limits proposed, approved and in force: whole sets alone, the newest that has begun."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from magnetfund.core.actors import Actor
from magnetfund.core.roles import Role
from magnetfund.kernel.errors import InvalidInput
from magnetfund.tests.walls_support import make_user
from risk.domain.limits import Limits, figures_of
from risk.models import LimitProposal
from risk.services.limits import approve_limits, limits_in_force, propose_limits

pytestmark = pytest.mark.django_db
NOW = datetime(2025, 3, 1, tzinfo=UTC)
WHOLE = figures_of(limits=Limits())


@pytest.fixture
def ann() -> Actor:
    return Actor.of(make_user("ann", Role.RISK_OFFICER))


@pytest.mark.parametrize(
    ("figures", "code", "named"),
    [
        ({"leverage_max": "2"}, "limit_missing", "drawdown_share"),
        ({**WHOLE, "invented": "1"}, "limit_unknown_figure", "invented"),
        ({**WHOLE, "leverage_max": "3.01"}, "limit_above_ceiling", "leverage_max"),
        ({**WHOLE, "leverage_max": "two"}, "limit_not_a_number", "leverage_max"),
    ],
)
def test_a_set_with_a_flaw_is_refused_by_its_name(
    ann: Actor, figures: dict[str, str | None], code: str, named: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        propose_limits(book="main", figures=figures, reason="x", effective_from=NOW, actor=ann)
    assert caught.value.code == code
    assert named in caught.value.details
    assert not LimitProposal.objects.exists()


def test_the_newest_approved_set_that_has_begun_is_in_force(ann: Actor) -> None:
    ben = Actor.of(make_user("ben", Role.RISK_OFFICER))
    assert limits_in_force("main", at=NOW).version == 0
    for leverage, begins in ((2, NOW), (1, NOW + timedelta(days=2))):
        proposal = propose_limits(
            book="main", figures=figures_of(limits=Limits(leverage_max=Decimal(leverage))),
            reason="calmer", effective_from=begins, actor=ann,
        )  # fmt: skip
        approved = approve_limits(proposal=proposal, seen_hash=proposal.content_hash, actor=ben)
        assert approved == limits_in_force("main", at=begins)
    assert limits_in_force("main", at=NOW - timedelta(microseconds=1)).version == 0
    assert limits_in_force("main", at=NOW + timedelta(days=2, microseconds=-1)).leverage_max == 2
    assert limits_in_force("main", at=NOW + timedelta(days=2)).leverage_max == 1
