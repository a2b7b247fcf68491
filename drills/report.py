"""What the mutation check found: a record of each module's last run, and the page made from it.

``python -m drills.report`` writes the page anew from the record and the reasons.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

from drills.explained import EXPLAINED
from drills.forks import PROJECT
from drills.mutants import Mutant

FLOOR_SHARE = 0.85
RECORD = PROJECT / "drills" / "results.json"
PAGE = PROJECT / "docs" / "mutation.md"
HEAD = f"""# Mutation test results

A mutant is one small wrong change to a source file: a comparison, an arithmetic sign, a constant
by one, a boolean, a condition, `min` for `max`, a return of nothing, a check or a call removed. It
is killed when a test of its module fails or times out. Texts are not mutated, and property tests
draw the same examples each time. The floor is {FLOOR_SHARE:.0%} of what was tried, for each module.

`make drill` tries a small sample, every mutant with `FULL=1`; in both the explained survivors below
do not count against the floor. `python -m drills.mutation --sample 250 --report` makes this page.
Each survivor stands below with the reason why no test notices it: either no input can tell it from
the source, or the gap is named.

Tests were added with the survivors of this very sample in view, so the scores of the sampled
modules flatter. Fees, units and positions are tried whole. The compiled year of an account is run
without compilation. "Timed out" are among the killed.

Each row is of the sources and tests of its day. Rows marked * were not measured again after their
sources changed; their scores and survivors are of before. Services, whose tests need a database,
are not mutated.
"""


@dataclass(slots=True)
class Result:
    """Counts of one module and what survived; ``tried`` of its ``mutants``, drawn by ``seed`` from
    sources of this ``digest`` on a ``day`` (YYYY-MM-DD, UTC); ``is_old`` where they changed since
    and were not measured again."""

    module: str
    seed: int
    digest: str = ""
    day: str = ""
    mutants: int = 0
    tried: int = 0
    timed_out: int = 0
    survivors: list[Mutant] = field(default_factory=list)
    is_old: bool = False

    @property
    def killed(self) -> int:
        return self.tried - len(self.survivors)

    @property
    def score(self) -> float:
        return self.killed / self.tried if self.tried else 0.0

    @property
    def is_at_floor(self) -> bool:
        """Whether few enough survive without a reason; a small sample may draw several equivalent
        mutants, which say nothing of the tests."""
        unexplained = sum(explain(mutant) is None for mutant in self.survivors)
        return unexplained <= (1 - FLOOR_SHARE) * self.tried


def describe(mutant: Mutant) -> str:
    return f"{mutant.path}:{mutant.line} {mutant.change} in `{mutant.source}`"


def explain(mutant: Mutant) -> str | None:
    """Why ``mutant`` survives; None where a test is missing."""
    return EXPLAINED.get(mutant.key)


def build_table(results: Sequence[Result]) -> list[str]:
    """The scores as a table in Markdown."""
    rows = [
        "| module | measured | mutants | tried | killed | timed out | survived | score | seed |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for result in results:
        name = f"{result.module}*" if result.is_old else result.module
        rows.append(
            f"| {name} | {result.day} | {result.mutants} | {result.tried} | {result.killed} "
            f"| {result.timed_out} | {len(result.survivors)} | {result.score:.1%} | {result.seed} |"
        )
    return rows


def build_page(results: Sequence[Result]) -> str:
    """The table, then the survivors of each module by file."""
    lines = [HEAD, *build_table(results), ""]
    for result in results:
        lines += [f"## Survivors of {result.module}", ""]
        if not result.survivors:
            lines += ["None.", ""]
        for path in dict.fromkeys(mutant.path for mutant in result.survivors):
            lines += [f"In `{path}`:", ""]
            own = (mutant for mutant in result.survivors if mutant.path == path)
            lines += [*map(_point, own), ""]
    return "\n".join(lines).rstrip() + "\n"


def _point(mutant: Mutant) -> str:
    why = explain(mutant)
    if why is None:
        path = PROJECT / mutant.path
        is_there = path.exists() and mutant.source in path.read_text()
        why = "not explained: a test is missing" if is_there else "the line has changed since"
    return f"- `{mutant.source}`, {mutant.change}: {why}."


def read_record() -> list[Result]:
    """The last recorded run of each module."""
    if not RECORD.exists():
        return []
    found = []
    for row in json.loads(RECORD.read_text()):
        survivors = [Mutant(**item) for item in row.pop("survivors")]
        found.append(Result(**row, survivors=survivors))
    return found


def record(result: Result, *, order: Sequence[str]) -> None:
    """Put ``result`` in place of its module's last run, and write the page anew."""
    kept = {item.module: item for item in read_record()} | {result.module: result}
    write_record([kept[name] for name in order if name in kept])


def write_record(results: Sequence[Result]) -> None:
    """Store the rows in this order, and write the page anew."""
    RECORD.write_text(json.dumps([asdict(item) for item in results], indent=1) + "\n")
    PAGE.write_text(build_page(results))


if __name__ == "__main__":  # after a reason was written for a survivor
    PAGE.write_text(build_page(read_record()))
