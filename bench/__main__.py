"""Run every bench of this folder and print one table with bars and verdicts.

``python -m bench`` runs all, ``python -m bench sweep magnets`` those named.  A bench is a module
here with a function ``run()`` that gives rows (:data:`bench.timing.Row`); nothing is registered.
The exit status is 1 when a bar is missed or a bench breaks, 0 when all are met or skipped with a
reason.
"""

from __future__ import annotations

import json
import pkgutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from bench.timing import Row, Skip, judge, print_rows

RUN_ALONE = "--alone"


def find_benches() -> list[str]:
    """Names of the modules here that have a ``run``, by the text of their files."""
    folder = Path(__file__).parent
    return [
        module.name
        for module in pkgutil.iter_modules([str(folder)])
        if "\ndef run() -> " in (folder / f"{module.name}.py").read_text(encoding="utf-8")
    ]


def run_bench(name: str) -> dict[str, Any]:
    """A bench in a process of its own: what one loads or compiles is no help to the next.

    Gives its ``rows``, why it was ``skipped``, or how it is ``broken``.
    """
    done = subprocess.run(
        [sys.executable, "-m", "bench", RUN_ALONE, name],
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    last = done.stdout.strip().rpartition("\n")[2]
    try:
        return dict(json.loads(last))
    except ValueError:
        return {"broken": f"it ended with code {done.returncode}"}


def run_alone(name: str) -> int:
    """Run one bench here and print what it found as the last line."""
    found: dict[str, Any]
    try:
        found = {"rows": import_module(f"bench.{name}").run()}
    except Skip as reason:
        found = {"skipped": str(reason)}
    except Exception as error:
        found = {"broken": f"{type(error).__name__}: {error}"}
    print("\n" + json.dumps(found))
    return 0


def main(names: list[str]) -> int:
    """Run the benches named, or all of them."""
    benches = find_benches()
    unknown = sorted(set(names) - set(benches))
    if unknown:
        print(f"no such bench: {', '.join(unknown)}; there are {', '.join(benches)}")
        return 2
    rows: list[Row] = []
    broken = 0
    print(f"{'':<66} {'measured':>14} {'unit':<8} {'bar':>12}")
    for name in names or benches:
        found = run_bench(name)
        if "rows" not in found:
            broken += "broken" in found
            why = [f"{word}, {text}" for word, text in found.items()]
            print(f"{name}: {why[0]}")
            continue
        own = [(row[0], row[1], row[2], row[3]) for row in found["rows"]]
        print_rows(own)
        rows += own
        sys.stdout.flush()
    verdicts = [judge(row) for row in rows]
    passed, missed = verdicts.count("pass"), verdicts.count("FAIL")
    print(f"{passed} bars met, {missed} missed, {broken} benches broken")
    return 1 if missed or broken else 0


if __name__ == "__main__":
    if sys.argv[1:2] == [RUN_ALONE]:
        sys.exit(run_alone(sys.argv[2]))
    sys.exit(main(sys.argv[1:]))
