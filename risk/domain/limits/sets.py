"""Read and compare limit sets.

A stored set travels as a mapping of figure names to decimal strings (``None`` for one that is not
used), which is what an approver signs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

from magnetfund.kernel.errors import FundError, InvalidInput
from magnetfund.kernel.money import decimal_of
from risk.domain.limits.figures import (
    FIGURES,
    LATER_FIGURES,
    FigureRule,
    Limits,
    Tighter,
    find_problem,
)

Change = Literal["tighter", "looser"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FigureChange:
    """One figure that differs; None means that the figure is not used (the loosest)."""

    name: str
    before: Decimal | None
    after: Decimal | None
    change: Change
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitDiff:
    """All differences between two sets.

    ``is_only_tighter`` lets a change take effect at once by one person; a looser figure anywhere
    needs two.
    """

    changes: tuple[FigureChange, ...]

    @property
    def tighter(self) -> tuple[FigureChange, ...]:
        """The figures that became more careful."""
        return tuple(change for change in self.changes if change.change == "tighter")

    @property
    def looser(self) -> tuple[FigureChange, ...]:
        """The figures that became less careful."""
        return tuple(change for change in self.changes if change.change == "looser")

    @property
    def is_only_tighter(self) -> bool:
        """Whether something changed and nothing became looser."""
        return bool(self.changes) and not self.looser


@dataclass(frozen=True, slots=True, kw_only=True)
class FigureProblem:
    """A figure that code refuses: its stable ``code`` and one sentence."""

    name: str
    code: str
    message: str


def check_limits(*, figures: Mapping[str, Any]) -> tuple[FigureProblem, ...]:
    """Every problem of proposed figures, in order; empty means that they make a limit set.

    Codes: ``unknown_figure``, ``missing``, ``not_a_number``, ``above_ceiling`` (looser than code
    allows), ``out_of_range``, ``not_whole``, ``order``.
    """
    problems = [
        FigureProblem(
            name=name, code="unknown_figure", message=f"{name} is not a figure of the limit set"
        )
        for name in figures
        if name not in FIGURES
    ]
    numbers: dict[str, Decimal] = {}
    for rule in FIGURES.values():
        problem = _check_figure(rule, figures, numbers)
        if problem is not None:
            problems.append(problem)
    low, high = numbers.get("cut_share_min"), numbers.get("cut_share_max")
    if low is not None and high is not None and low > high:
        problems.append(
            FigureProblem(
                name="cut_share_min", code="order", message="the smallest cut exceeds the largest"
            )
        )
    return tuple(problems)


def _check_figure(
    rule: FigureRule, figures: Mapping[str, Any], numbers: dict[str, Decimal]
) -> FigureProblem | None:
    if rule.name not in figures:
        return FigureProblem(name=rule.name, code="missing", message=f"{rule.name} is missing")
    given = figures[rule.name]
    if given is None:
        if rule.default is None:
            return None
        return FigureProblem(name=rule.name, code="missing", message=f"{rule.name} is missing")
    try:
        number = decimal_of(given)
    except (FundError, TypeError):
        message = f"{rule.name} is not an exact number"
        return FigureProblem(name=rule.name, code="not_a_number", message=message)
    numbers[rule.name] = number
    code = find_problem(rule=rule, number=number)
    if code is None:
        return None
    edge = "at most" if rule.tighter is Tighter.LOWER else "at least"
    message = (
        f"{rule.words}: {number} is {code.replace('_', ' ')}; the hard ceiling is "
        f"{edge} {rule.ceiling}"
    )
    return FigureProblem(name=rule.name, code=code, message=message)


def figures_of(*, limits: Limits) -> dict[str, str | None]:
    """The figures as they are stored and signed."""
    found: dict[str, str | None] = {}
    for name in FIGURES:
        number = getattr(limits, name)
        found[name] = None if number is None else format(number, "f")
    return found


def complete_figures(figures: Mapping[str, Any]) -> dict[str, Any]:
    """Stored figures with the default of each that did not exist when the set was signed."""
    later = {name: FIGURES[name].default for name in LATER_FIGURES}
    return {**later, **figures}


def limits_of(
    *,
    figures: Mapping[str, Any],
    version: int,
    effective_from: datetime,
) -> Limits:
    """The limit set of stored figures; raises ``InvalidInput`` with every problem in ``details``.

    A figure that is missing in an older row is a problem too: a set is whole or it is refused.
    """
    problems = check_limits(figures=figures)
    if problems:
        raise InvalidInput(
            problems[0].message,
            code=f"limit_{problems[0].code}",
            details={problem.name: problem.message for problem in problems},
        )
    numbers = {
        name: None if figures[name] is None else decimal_of(figures[name]) for name in FIGURES
    }
    return Limits(
        version=version,
        effective_from=effective_from,
        **numbers,  # type: ignore[arg-type]  # only a figure that may be empty is None
    )


def diff_limits(*, before: Limits, after: Limits) -> LimitDiff:
    """Which figures became tighter and which looser, in the order of the set."""
    changes = []
    for rule in FIGURES.values():
        old, new = getattr(before, rule.name), getattr(after, rule.name)
        if old == new:
            continue
        changes.append(
            FigureChange(
                name=rule.name,
                before=old,
                after=new,
                change="tighter" if _is_tighter(rule, old, new) else "looser",
                words=rule.words,
            )
        )
    return LimitDiff(changes=tuple(changes))


def _is_tighter(rule: FigureRule, old: Decimal | None, new: Decimal | None) -> bool:
    if old is None or new is None:
        return old is None  # a figure that comes into use tightens
    return new < old if rule.tighter is Tighter.LOWER else new > old
