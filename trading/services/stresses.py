"""Stresses that people save: written, changed, retired, each with an audit line."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import QuerySet

from magnetfund.core.actors import Actor
from magnetfund.core.roles import Capability
from magnetfund.core.services.audit import record_audit
from magnetfund.kernel.clock import utc_now
from magnetfund.kernel.errors import Conflict, InvalidInput
from risk.domain.stress import StressScenario, check_saved
from trading.models import Instrument, SavedStress

TITLE_MAX = 80
FIELDS = (
    "moves", "move_others", "adverse_sigmas", "volatility_multiple", "funding_multiple",
    "spread_multiple", "hours",
)  # fmt: skip


def save_stress(
    *,
    book: str,
    title: str,
    definition: dict[str, Any],
    actor: Actor,
    number: int | None = None,
    by_person: bool = True,
) -> SavedStress:
    """Store a stress, or change the one of ``number``.

    Raises :class:`InvalidInput` for what is malformed (a title, a name, a figure out of bounds),
    :class:`Conflict` where another stress has the title.
    """
    if by_person:
        actor.require(Capability.RESEARCH_RUN)
    title = title.strip()
    if not title or len(title) > TITLE_MAX:
        raise InvalidInput(f"a title has 1 to {TITLE_MAX} characters", code="bad_title")
    plain = _checked(title, definition)
    try:
        with transaction.atomic():
            row = SavedStress(book=book) if number is None else _find(book, number)
            before = dict(row.definition) if number is not None else None
            row.title, row.definition, row.updated_at = title, plain, utc_now()
            row.actor_label = actor.label[:120]
            if number is None:
                row.save()
            else:
                row.save(update_fields=["title", "definition", "actor_label", "updated_at"])
            record_audit(
                actor=actor,
                action="stress.saved" if number is None else "stress.changed",
                subject=("savedstress", row.pk),
                body={"book": book, "title": title, "before": before, "after": plain},
            )
    except IntegrityError:
        raise Conflict(f"there is a stress {title} already", code="title_taken") from None
    return row


def retire_stress(*, book: str, number: int, actor: Actor, by_person: bool = True) -> SavedStress:
    """Take a stress off the list; its row and its audit lines stay."""
    if by_person:
        actor.require(Capability.RESEARCH_RUN)
    with transaction.atomic():
        row = _find(book, number)
        row.retired_at = utc_now()
        row.save(update_fields=["retired_at"])
        record_audit(
            actor=actor,
            action="stress.retired",
            subject=("savedstress", row.pk),
            body={"book": book, "title": row.title},
        )
    return row


def list_stresses(book: str) -> QuerySet[SavedStress]:
    """The stresses of a book by title."""
    return SavedStress.objects.filter(book=book, retired_at=None)


def scenario_of(row: SavedStress) -> StressScenario:
    """The stored stress as the margin rules take it."""
    return build_scenario(row.title, row.definition)


def build_scenario(title: str, definition: dict[str, Any]) -> StressScenario:
    """A scenario of plain values; raises :class:`InvalidInput` for what is none."""
    unknown = sorted(set(definition) - set(FIELDS))
    if unknown:
        raise InvalidInput(f"{unknown[0]!r} is no field of a stress", code="bad_stress")
    try:
        numbers = {name: float(value) for name, value in definition.items() if name != "moves"}
        moves = tuple((str(name), float(move)) for name, move in definition.get("moves", ()))
    except (TypeError, ValueError):
        raise InvalidInput("a figure of the stress is no number", code="bad_stress") from None
    return StressScenario(name=title, title=title, moves=moves, source="saved", **numbers)


def _checked(title: str, definition: dict[str, Any]) -> dict[str, Any]:
    scenario = build_scenario(title, definition)
    known: set[str] = set()
    for row in Instrument.objects.values_list("symbol", "base", "kind"):
        known.update(row)
    check_saved(scenario, known)
    plain = asdict(scenario)
    return {name: plain[name] for name in FIELDS} | {
        "moves": [[name, move] for name, move in scenario.moves]
    }


def _find(book: str, number: int) -> SavedStress:
    row = (
        SavedStress.objects.select_for_update()
        .filter(book=book, pk=number, retired_at=None)
        .first()
    )
    if row is None:
        raise InvalidInput("there is no such stress", code="unknown_stress")
    return row
