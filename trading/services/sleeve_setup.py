"""Adding a sleeve: which strategy a book runs, and how much one trade of it may lose."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from django.db import transaction

from magnetfund.core.actors import Actor
from magnetfund.core.locks import AdvisoryLock, take_lock
from magnetfund.core.roles import Capability
from magnetfund.core.services.audit import record_audit
from magnetfund.kernel.errors import Conflict, InvalidInput
from risk.domain.limits import FIGURES
from risk.services.fuse import state_of
from trading.domain.strategies.registry import STRATEGIES, build_strategy
from trading.models import Strategy
from trading.services.book_setup import MANUAL

CODES = (MANUAL, *STRATEGIES)
NAME_MAX = 120


def check_sleeve(*, code: str, risk_fraction: Decimal, parameters: Mapping[str, Any]) -> None:
    """Raise :class:`InvalidInput` (``unknown_strategy``, ``bad_parameter``, ``above_ceiling``).

    ``risk_fraction`` is the share of equity that one trade loses at its stop; its ceiling is that
    of the limit ``loss_at_stop_share``.
    """
    if code != MANUAL:
        build_strategy(code, parameters)
    ceiling = FIGURES["loss_at_stop_share"].ceiling
    if not risk_fraction.is_finite() or not 0 < risk_fraction <= ceiling:
        raise InvalidInput(
            f"a trade risks more than 0 and at most {ceiling:f} of equity", code="above_ceiling"
        )


def add_sleeve(
    *,
    book: str,
    code: str,
    name: str,
    risk_fraction: Decimal,
    actor: Actor,
    expectation: str = "",
    parameters: Mapping[str, Any] | None = None,
) -> Strategy:
    """A sleeve of the book, while its fuse is not armed: two people arm what they have seen.

    Raises :class:`Conflict`: ``sleeve_exists``, ``fuse_armed``.
    """
    actor.require(Capability.LIMITS_PROPOSE)
    check_sleeve(code=code, risk_fraction=risk_fraction, parameters=parameters or {})
    if not 1 <= len(name.strip()) <= NAME_MAX:
        raise InvalidInput(f"a name has 1 to {NAME_MAX} characters", code="bad_name")
    with transaction.atomic():
        take_lock(AdvisoryLock.FOUNDING, 0)
        if Strategy.objects.filter(code=code).exists():
            raise Conflict(f"the sleeve {code} exists already", code="sleeve_exists")
        if state_of(book) == "ARMED":
            raise Conflict(
                "the fuse is armed; disarm it before the book gets another sleeve",
                code="fuse_armed",
            )
        row = Strategy.objects.create(
            code=code,
            version=1,
            name=name.strip(),
            parameters=dict(parameters or {}),
            risk_fraction=risk_fraction,
            expectation=" ".join(expectation.split()),
        )
        record_audit(
            actor=actor,
            action="sleeve.added",
            subject=("strategy", row.pk),
            body={"code": code, "risk_fraction": risk_fraction, "book": book},
        )
    return row
