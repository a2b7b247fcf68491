"""One decorator for compiled functions, with a cache that cannot go stale.

numba's own disk cache looks only at the file of the decorated function: when a compiled function
calls one of another module and only that module changes, the old machine code is loaded silently.
Here the cache folder is named by a fingerprint of every source file that uses this decorator, so a
change in any of them compiles anew.  Importing a module that uses it imports numba; keep such
imports inside functions where a process may not need them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

Function = TypeVar("Function", bound=Callable[..., Any])

_MARK = b"domain.compiled import"


@cache
def _cache_folder() -> str:
    here = Path(__file__).resolve().parent
    digest = hashlib.sha256()
    for root in (here, here.parent.parent / "risk" / "domain"):
        for path in sorted(root.rglob("*.py")):
            content = path.read_bytes()
            if _MARK in content or path.samefile(__file__):
                digest.update(str(path.relative_to(root)).encode())
                digest.update(content)
    return str(here / "__pycache__" / f"compiled-{digest.hexdigest()[:16]}")


def compiled(function: Function) -> Function:
    """Compile ``function`` on first call (numba nopython mode), keep the machine code on disk.

    Where the package folder cannot be written, numba falls back to the user's cache folder.
    """
    return _compile(function, callable_from_python=True)


def compiled_part(function: Function) -> Function:
    """Like :func:`compiled`, for a function that only compiled code calls: quicker to compile."""
    return _compile(function, callable_from_python=False)


def _compile(function: Function, *, callable_from_python: bool) -> Function:
    import numba
    from numba.core import config as settings

    config = cast(Any, settings)  # its attributes are made at import
    previous = config.CACHE_DIR
    config.CACHE_DIR = _cache_folder()
    try:
        make = cast(Any, numba).njit(  # its stubs do not know every option
            cache=callable_from_python,
            no_cpython_wrapper=not callable_from_python,
            no_cfunc_wrapper=True,
            error_model="numpy",
        )
        return cast(Function, compile_once(make(function)))
    finally:
        config.CACHE_DIR = previous


def compile_once(dispatcher: Any) -> Any:
    """Let one compilation of a function serve every constant that compiled callers hand to it.

    numba takes a named constant for a type of its own and compiles its callee anew for each value.
    """
    from numba.core import types

    resolve, unliteral = dispatcher.get_call_template, cast(Any, types).unliteral

    def get_call_template(arguments: Sequence[Any], named: Mapping[str, Any]) -> Any:
        plain = {name: unliteral(kind) for name, kind in named.items()}
        return resolve(tuple(map(unliteral, arguments)), plain)

    dispatcher.get_call_template = get_call_template
    return dispatcher
