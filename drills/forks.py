"""Runs the tests on one mutant in a forked, warm process; nothing is ever written to the sources.

The parent imports what is heavy and no product code; each child then imports the product with the
mutated file served from memory, and runs pytest on the named files, stopping at the first failure.
Compilation by numba is off, so that a mutant is what runs.
"""

from __future__ import annotations

import ast
import gc
import importlib.abc
import importlib.machinery
import os
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from types import CodeType

PROJECT = Path(__file__).resolve().parent.parent
NEVER_LOADED = 70
#: No plugins, no cache, no conftest: pure code needs neither the database nor what ends it.  Nor
#: does anybody look for lost exceptions at the end: to collect all garbage took a third of a run.
PYTEST = (
    *("-x", "-q", "--tb=no", "--noconftest", "--import-mode=importlib", "-o", "addopts="),
    *("-m", "not drill", "-p", "no:cacheprovider", "-W", "ignore"),
    *("-p", "no:unraisableexception", "-p", "no:threadexception"),
)
SURVIVED, FAILED, INTERRUPTED = 0, 1, 2


class Outcome(StrEnum):
    """What became of a mutant; all but SURVIVED are killed."""

    KILLED = "killed"
    TIMED_OUT = "timed out"
    SURVIVED = "survived"


class _MutatedSource(importlib.abc.MetaPathFinder):
    """Serves one file of the project from a tree instead of from disk."""

    def __init__(self, path: Path, tree: ast.Module) -> None:
        self.path = path
        self.code: CodeType = compile(tree, str(path), "exec")
        self.is_loaded = False

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: object = None
    ) -> importlib.machinery.ModuleSpec | None:
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        if spec is None or spec.origin != str(self.path):
            return None
        spec.loader = _CodeLoader(self, name, str(self.path))
        return spec


class _CodeLoader(importlib.machinery.SourceFileLoader):
    def __init__(self, mutated: _MutatedSource, name: str, path: str) -> None:
        super().__init__(name, path)
        self.mutated = mutated

    def get_code(self, fullname: str) -> CodeType:
        self.mutated.is_loaded = True
        return self.mutated.code


def warm() -> None:
    """Import what tests need and no mutant touches; call once, before the first fork."""
    os.chdir(PROJECT)
    os.environ.update(
        NUMBA_DISABLE_JIT="1",
        OMP_NUM_THREADS="1",
        OPENBLAS_NUM_THREADS="1",
        PYTEST_DISABLE_PLUGIN_AUTOLOAD="1",
    )
    sys.path.insert(0, str(PROJECT))
    import hypothesis.strategies
    import numba
    import numpy
    import pytest
    import scipy.special
    import scipy.stats

    phases = (hypothesis.Phase.explicit, hypothesis.Phase.generate)
    hypothesis.settings.register_profile(
        "mutation", database=None, derandomize=True, deadline=None, phases=phases
    )
    assert all((numba, numpy, pytest, scipy))
    ours = [name for name in sys.modules if name.split(".")[0] in ("risk", "trading", "investors")]
    if ours:
        raise RuntimeError(f"product code was imported before the mutants: {ours}")
    # What was imported stays: no child walks through it for garbage, and so copies its pages.
    gc.freeze()


def try_mutant(
    *, tests: Sequence[str], path: Path, tree: ast.Module, timeout_s: float
) -> tuple[Outcome, str]:
    """(outcome, what pytest printed) of ``tests`` on the project with ``tree`` in place of
    ``path``."""
    with tempfile.TemporaryFile() as output:
        child = os.fork()
        if child == 0:
            _run_child(tests=tests, path=path, tree=tree, output=output.fileno())
        code = _wait(child, timeout_s)
        output.seek(0)
        text = output.read().decode(errors="replace")
    if code is None:
        return Outcome.TIMED_OUT, text
    if code == SURVIVED:
        return Outcome.SURVIVED, text
    if code in (FAILED, INTERRUPTED) or code < 0:
        return Outcome.KILLED, text
    raise RuntimeError(f"the tests of {path.name} could not be judged (exit code {code}):\n{text}")


def _run_child(*, tests: Sequence[str], path: Path, tree: ast.Module, output: int) -> None:
    code = 3
    try:
        os.setpgid(0, 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        import hypothesis
        import pytest

        hypothesis.settings.load_profile("mutation")
        mutated = _MutatedSource(path, tree)
        sys.meta_path.insert(0, mutated)
        code = int(pytest.main([*PYTEST, *tests]))
        if code == SURVIVED and not mutated.is_loaded:
            code = NEVER_LOADED
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _wait(child: int, timeout_s: float) -> int | None:
    """Exit code of the child (negative for a signal); None when it had to be ended."""
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None
