"""The mutation check: how many small wrong changes the tests notice, module by module.

    python -m drills.mutation                      a sample of every module (under ten minutes)
    python -m drills.mutation --module fees --all  every mutant of one module
    python -m drills.mutation --sample 250 --report   and keep what it found in docs/mutation.md

Exits 1 when more of a module survives than the floor allows, not counting the survivors that
:mod:`drills.explained` names.  Sampling is by a printed seed.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import os
import random
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context

from drills.forks import PROJECT, Outcome, try_mutant, warm
from drills.mutants import Mutant, build_mutant, find_mutants
from drills.report import (
    Result,
    build_table,
    describe,
    read_record,
    record,
    write_record,
)
from magnetfund.kernel.clock import utc_now

SAMPLE = 25
#: The same for the short drill.
SHORT = 10
SEED = 20_251_121
_YEARS = "risk/tests/test_liquidation_first_passage.py::"


@dataclass(frozen=True, slots=True, kw_only=True)
class Module:
    """What is mutated and the tests that must notice it.  A folder leaves out ``words.py``, which
    only holds texts, and ``__init__.py``.  ``slow`` tests simulate years by compiled code, which
    takes hours without compilation; they are left out."""

    name: str
    sources: tuple[str, ...]
    tests: tuple[str, ...]
    slow: tuple[str, ...] = ()


MODULES = (
    Module(
        name="orders",
        sources=("trading/domain/orders/life.py",),
        tests=("trading/tests/test_order_states.py",),
    ),
    Module(
        name="positions",
        sources=("trading/domain/positions.py",),
        tests=("trading/tests/test_positions.py",),
    ),
    Module(
        name="fees",
        sources=("investors/domain/fees/",),
        tests=("investors/tests/test_fees.py",),
    ),
    Module(
        name="units",
        sources=("investors/domain/dealing/sizing.py", "investors/domain/strike/dealing.py"),
        tests=(
            "investors/tests/test_unit_sizing.py",
            "investors/tests/test_strike.py",
            "investors/tests/test_dealing_rules.py",
        ),
    ),
    Module(
        name="sizing",
        sources=("risk/domain/sizing/",),
        tests=("risk/tests/test_sizing_edges.py", "risk/tests/test_sizing.py"),
    ),
    Module(
        name="leverage",
        sources=("risk/domain/leverage/",),
        tests=("risk/tests/test_leverage_edges.py", "risk/tests/test_leverage.py"),
    ),
    Module(
        name="fuse",
        sources=("risk/domain/fuse/",),
        tests=("risk/tests/test_fuse.py",),
    ),
    Module(
        name="pretrade",
        sources=("risk/domain/pretrade/",),
        tests=("risk/tests/test_pretrade_controls.py", "risk/tests/test_pretrade.py"),
    ),
    Module(
        name="liquidation",
        sources=("risk/domain/liquidation/", "risk/domain/margin.py"),
        tests=(
            "risk/tests/test_margin.py",
            "risk/tests/test_liquidation_year.py",
            "risk/tests/test_liquidation_first_passage.py",
        ),
        slow=(
            _YEARS + "test_bootstrap_bars_have_no_drift",
            _YEARS + "test_a_year_is_reproducible_and_a_cap_and_a_fuse_each_lower_the_loss",
            _YEARS
            + "test_a_gap_through_the_liquidation_price_jumps_the_fuse_and_an_outage_silences_it",
            _YEARS + "test_calm_bars_cost_the_fees_and_the_funding_nets_out",
        ),
    ),
)


def find_sources(module: Module) -> tuple[str, ...]:
    """The files of ``module``, relative to the project."""
    found: list[str] = []
    for name in module.sources:
        if not name.endswith("/"):
            found.append(name)
            continue
        for path in sorted((PROJECT / name).glob("*.py")):
            if path.name not in ("__init__.py", "words.py"):
                found.append(str(path.relative_to(PROJECT)))
    return tuple(found)


def check_module(
    *, module: Module, sample: int | None, seed: int, is_verbose: bool = False
) -> Result:
    """Try the mutants of ``module``, or ``sample`` of them.  Raises RuntimeError when its tests
    fail without any change."""
    files = read_sources(module)
    mutants = [m for name, text in files.items() for m in find_mutants(path=name, source=text)]
    chosen = mutants
    if sample is not None and sample < len(mutants):
        order = random.Random(f"{seed}/{module.name}")
        picked = sorted(order.sample(range(len(mutants)), sample))
        chosen = [mutants[index] for index in picked]
    result = Result(
        module=module.name,
        seed=seed,
        digest=digest_of(files),
        day=utc_now().date().isoformat(),
        mutants=len(mutants),
        tried=len(chosen),
    )
    return _try_all(result, module, files, chosen, is_verbose)


def check_again(*, module: Module, is_verbose: bool = False) -> Result:
    """Try what survived the recorded run once more, after tests were added.  Raises RuntimeError
    when the sources are not those of the record, for then the killed may live too."""
    files = read_sources(module)
    before = next((item for item in read_record() if item.module == module.name), None)
    if before is None or before.digest != digest_of(files):
        raise RuntimeError(f"there is no record of these sources of {module.name}")
    survivors = before.survivors
    again = replace(before, survivors=[], day=utc_now().date().isoformat())
    return _try_all(again, module, files, survivors, is_verbose)


def _try_all(
    result: Result,
    module: Module,
    files: dict[str, str],
    mutants: Sequence[Mutant],
    is_verbose: bool,
) -> Result:
    """Try ``mutants`` and note in ``result`` which survive or time out."""
    tests = [*module.tests, *(f"--deselect={name}" for name in module.slow)]
    limit_s = _time_limit(tests, files)
    for mutant in mutants:
        tree = build_mutant(source=files[mutant.path], mutant=mutant)
        path = PROJECT / mutant.path
        outcome, _ = try_mutant(
            tests=tests,
            path=path,
            tree=tree,
            timeout_s=limit_s,
        )
        result.timed_out += outcome is Outcome.TIMED_OUT
        if outcome is Outcome.SURVIVED:
            result.survivors.append(mutant)
        if is_verbose or outcome is Outcome.SURVIVED:
            print(f"  {outcome:<9} {describe(mutant)}", flush=True)
    return result


def read_sources(module: Module) -> dict[str, str]:
    """The text of each file of ``module`` by its name."""
    return {name: (PROJECT / name).read_text() for name in find_sources(module)}


def digest_of(files: dict[str, str]) -> str:
    """Short fingerprint of what a run mutated: the code without its texts, which are never mutated,
    so that a message that is worded anew leaves a score in force."""
    trees = [ast.parse(text) for text in files.values()]
    for tree in trees:
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                node.value = ""
    return hashlib.sha256("".join(map(ast.dump, trees)).encode()).hexdigest()[:16]


def mark_old() -> None:
    """Mark each row of the record whose sources changed since its run, and write the page."""
    modules = {module.name: module for module in MODULES}
    found = [
        replace(item, is_old=item.digest != digest_of(read_sources(modules[item.module])))
        for item in read_record()
        if item.module in modules
    ]
    write_record(found)


def _time_limit(tests: Sequence[str], files: dict[str, str]) -> float:
    """Five times what the tests need on the sources as they are, and they must pass."""
    name, text = next(iter(files.items()))
    began = time.monotonic()
    outcome, said = try_mutant(
        tests=tests,
        path=PROJECT / name,
        tree=ast.parse(text),
        timeout_s=300,
    )
    if outcome is not Outcome.SURVIVED:
        raise RuntimeError(f"the tests fail without any change:\n{said}")
    return 10 + 5 * (time.monotonic() - began)


def _check_all(options: argparse.Namespace) -> Iterator[Result]:
    """The results of the modules that were asked for, in their order.

    Each worker takes one module at a time: it is forked from a process that imported no product
    code, as the mutants need it.
    """
    modules = [m for m in MODULES if not options.module or m.name in options.module]
    workers = min(int(os.environ.get("WORKERS", "2")), len(modules))
    with ProcessPoolExecutor(workers, mp_context=get_context("fork")) as pool:
        yield from pool.map(_check_one, modules, [options] * len(modules))


def _check_one(module: Module, options: argparse.Namespace) -> Result:
    """What the tests of ``module`` notice, with what is printed of it."""
    began = time.monotonic()
    if options.again:
        result = check_again(module=module, is_verbose=options.verbose)
    else:
        sample = options.sample or (SHORT if options.short else SAMPLE)
        result = check_module(
            module=module,
            sample=None if options.all else sample,
            seed=options.seed,
            is_verbose=options.verbose,
        )
    seconds = time.monotonic() - began
    print(f"{module.name}: {result.killed} of {result.tried} in {seconds:.0f} s", flush=True)
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m drills.mutation", description=__doc__)
    parser.add_argument("--module", choices=[m.name for m in MODULES], action="append")
    parser.add_argument("--sample", type=int, help="mutants per module")
    parser.add_argument("--short", action="store_true", help="a smaller sample, as CI runs it")
    parser.add_argument("--all", action="store_true", help="every mutant")
    parser.add_argument("--again", action="store_true", help="only what survived the last report")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--report", action="store_true", help="keep the results in the report")
    parser.add_argument("--verbose", action="store_true", help="print the killed too")
    options = parser.parse_args(arguments)
    warm()
    print(f"seed {options.seed}", flush=True)
    results = []
    for result in _check_all(options):
        results.append(result)
        if options.report:
            record(result, order=[m.name for m in MODULES])
    if options.report:
        mark_old()
    print("\n".join(build_table(results)))
    return int(not all(result.is_at_floor for result in results))


if __name__ == "__main__":
    raise SystemExit(main())
