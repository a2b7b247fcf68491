"""Run every bench of this folder and print one table with bars and verdicts.

``python -m bench`` runs all, ``python -m bench sweep magnets`` those named.  A bench is a module
here with a function ``run()`` that gives rows (:data:`bench.timing.Row`); nothing is registered.
The exit status is 1 when a bar is missed or a bench breaks, 0 when all are met or skipped with a
reason.
"""

from __future__ import annotations

import pkgutil
import sys
from importlib import import_module
from pathlib import Path

from bench.timing import Row, Skip, judge, print_rows


def find_benches() -> list[str]:
    """Names of the modules here that have a ``run``, by the text of their files."""
    folder = Path(__file__).parent
    return [
        module.name
        for module in pkgutil.iter_modules([str(folder)])
        if "\ndef run() -> " in (folder / f"{module.name}.py").read_text(encoding="utf-8")
    ]


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
        try:
            found = import_module(f"bench.{name}").run()
        except Skip as reason:
            print(f"{name}: skipped, {reason}")
            continue
        except Exception as error:
            print(f"{name}: broken, {type(error).__name__}: {error}")
            broken += 1
            continue
        print_rows(found)
        rows += found
        sys.stdout.flush()
    verdicts = [judge(row) for row in rows]
    passed, missed = verdicts.count("pass"), verdicts.count("FAIL")
    print(f"{passed} bars met, {missed} missed, {broken} benches broken")
    return 1 if missed or broken else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
