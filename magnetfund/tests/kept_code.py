"""Machine code of the compiled functions, kept between clones as the migrated cluster is.

To compile the engines anew takes half a minute of a processor, and a fresh clone has nothing of
what another compiled.  The copy is named by digests of the compiler and of the sources, lies in the
user's cache folder and belongs to that user alone.  Where these very sources have none, the newest
of their compiler serves: numba asks each file whether it was made from the source that stands
beside it, on this kind of processor, and compiles what was not.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

from magnetfund.tests.kept_cluster import cache_folder, locked, remove_unused

PACKAGES = ("magnetfund/kernel", "risk/domain", "trading/domain")
#: What an old tree gathered of earlier sources is not worth a copy of this size.
BYTES_MAX = 100_000_000


def code_key(project: Path) -> str:
    """Digests of what decides the machine code: the compiler, and every source of a domain."""
    compiler = f"{sys.version} {version('numba')} {version('llvmlite')}"
    digest = hashlib.sha256()
    for package in PACKAGES:
        for path in sorted((project / package).rglob("*.py")):
            name = str(path.relative_to(project))
            digest.update(name.encode() + b"\0" + path.read_bytes())
    return f"{hashlib.sha256(compiler.encode()).hexdigest()[:12]}-{digest.hexdigest()[:16]}"


def bring_code(project: Path) -> bool:
    """Put what an earlier run kept beside the sources of ``project``, once; whether it did."""
    folder, key = cache_folder() / "test-code", code_key(project)
    mark = project / "trading" / "domain" / "__pycache__" / f"brought-{key}"
    if mark.exists():
        return False
    try:
        with locked(folder, key):
            kept = folder / key
            if not kept.is_dir():
                of_compiler = [path for path in folder.glob(f"{key[:12]}-*") if path.is_dir()]
                kept = max(of_compiler, key=lambda path: path.stat().st_mtime, default=kept)
            inside = {portable: named for named, portable in _folders(project)}
            found = sorted(kept.rglob("*.nb[ci]"))
            for path in found:
                parts = path.relative_to(kept).parts
                target = project.joinpath(*(inside.get(part, part) for part in parts))
                if kept.name != key and target.exists():
                    continue  # what this clone compiled last is nearer to its sources
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target)
            if found:
                os.utime(kept)
                mark.parent.mkdir(parents=True, exist_ok=True)
                mark.touch()
    except OSError:  # nothing is lost: it is compiled
        return False
    return bool(found)


def keep_code(project: Path) -> bool:
    """Keep what this run compiled, where it is more than what is kept; whether it was."""
    folder, key = cache_folder() / "test-code", code_key(project)
    found = dict(_machine_code(project))
    if not found or sum(path.stat().st_size for path in found.values()) > BYTES_MAX:
        return False
    kept, part = folder / key, folder / f"{key}.part"
    try:
        with locked(folder, key):
            if len(found) <= sum(1 for _ in kept.rglob("*.nb[ci]")):
                return False
            shutil.rmtree(part, ignore_errors=True)
            for name, path in found.items():
                (part / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, part / name)
            shutil.rmtree(kept, ignore_errors=True)
            part.rename(kept)
            remove_unused(kept)
    except OSError:
        return False
    return True


def _folders(project: Path) -> Iterator[tuple[str, str]]:
    """What numba calls the code of a folder of sources where it keeps it elsewhere, which names
    the clone, and the same without it."""
    for package in PACKAGES:
        for path in (project / package, *(project / package).rglob("*/")):
            clone = hashlib.sha1(str(path).encode(), usedforsecurity=False).hexdigest()
            yield f"{path.name}_{clone}", "@" + ".".join(path.relative_to(project).parts)


def _machine_code(project: Path) -> Iterator[tuple[str, Path]]:
    """Each file of machine code under a name that holds in every clone."""
    portable = dict(_folders(project))
    for package in PACKAGES:
        for path in (project / package).rglob("*.nb[ci]"):
            parts = path.relative_to(project).parts
            yield str(Path(*(portable.get(part, part) for part in parts))), path
