"""Compile plain scalar functions with numba, each from the very source that Python runs.

A pure function may call other pure functions of its module; numba wants those compiled as well.
:func:`compile_pure` rebinds a function's globals to compiled versions of the functions that it
names and compiles the copy, so there is one source and no second version to drift.  The name of
the copy holds a hash of every source involved and of the compiler's options: its disk cache is then
never stale.

The compiled functions make no arrays; they only write into those given.  Counting references to
two dozen arrays at every call would cost eight times the work itself, so it is switched off: a
function that allocates does not compile, rather than leak.
"""

from __future__ import annotations

import hashlib
import inspect
import sys
from collections.abc import Callable
from functools import cache
from types import FunctionType
from typing import Any, cast

from trading.domain.compiled import compile_once

OPTIONS: dict[str, Any] = {
    "cache": True, "nogil": True, "fastmath": False, "_nrt": False, "no_cfunc_wrapper": True,
}  # fmt: skip
#: Rows of a column from which a compiled loop is worth loading its machine code.
ROWS_MIN = 10_000


def compile_pure(function: Callable[..., Any], *, inlined: bool = False) -> Callable[..., Any]:
    """The compiled twin of a pure function of numbers and arrays (numba, no Python objects).

    ``inlined`` puts every function that it reaches into its own machine code: half the time of a
    loop that hands many arrays on, for several seconds more of the first compilation.
    """
    plain = cast(FunctionType, function)
    return _compile(plain, inlined=inlined, callable_from_python=True)


@cache
def _compile(
    function: FunctionType, *, inlined: bool, callable_from_python: bool
) -> Callable[..., Any]:
    """What only compiled code calls has no way in from Python: half the time to compile."""
    import numba

    namespace = dict(function.__globals__)
    for name, callee in _called_functions(function).items():
        namespace[name] = _compile(callee, inlined=inlined, callable_from_python=False)
    twin = FunctionType(
        function.__code__, namespace, function.__name__, function.__defaults__, function.__closure__
    )
    twin.__kwdefaults__ = function.__kwdefaults__
    twin.__module__ = function.__module__
    # A name of its own in the cache: Python must never load, and call, what has no way in.
    kind = ("inlined_" if inlined else "") + ("" if callable_from_python else "part_")
    twin.__qualname__ = f"{function.__qualname__}_{kind}{source_hash(function)[:12]}"
    make = cast(Any, numba).njit(  # its stubs do not know every option
        **OPTIONS, forceinline=inlined, no_cpython_wrapper=not callable_from_python
    )
    compiled: Callable[..., Any] = compile_once(make(twin))
    return compiled


def find_compiled(function: Callable[..., Any], rows: int) -> Callable[..., Any] | None:
    """The compiled twin for a column of so many rows; None where Python should run it.

    That is so for short columns, and in a process that has not loaded the compiler: loading it
    takes longer than any column.
    """
    if rows < ROWS_MIN or "numba" not in sys.modules:
        return None
    return compile_pure(function)


def source_hash(function: FunctionType) -> str:
    """sha256 over the source of a function and of every pure function that it reaches."""
    seen: dict[str, str] = {}
    waiting = [function]
    while waiting:
        current = waiting.pop()
        key = f"{current.__module__}.{current.__qualname__}"
        if key not in seen:
            seen[key] = inspect.getsource(current) + _constants(current)
            waiting.extend(_called_functions(current).values())
    text = "\n".join([repr(OPTIONS), *(f"{key}\n{seen[key]}" for key in sorted(seen))])
    return hashlib.sha256(text.encode()).hexdigest()


def _called_functions(function: FunctionType) -> dict[str, FunctionType]:
    """The plain Python functions that a function names among its globals."""
    found = {}
    for name in function.__code__.co_names:
        value = function.__globals__.get(name)
        if isinstance(value, FunctionType):
            found[name] = value
    return found


def _constants(function: FunctionType) -> str:
    """The global numbers that a function names: a change of one must recompile it."""
    values = []
    for name in function.__code__.co_names:
        value = function.__globals__.get(name)
        if isinstance(value, (bool, int, float, tuple)):
            values.append(f"{name}={value!r}")
    return ";".join(values)
