#!/usr/bin/env python3
"""Entry point for run, test, test-fast, check, bench, screenshots, drill and lock.

Needs Python 3.11 or newer and nothing else.  Makes ``.venv`` beside this file, installs the locked
dependencies into it (hashes checked), and hands over to the platform's own commands.  The Makefile
only calls this file, so ``python3 bootstrap.py run`` works where make is missing.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import time
import venv
from collections.abc import Sequence
from pathlib import Path

PROJECT = Path(__file__).resolve().parent
ENVIRONMENT = PROJECT / ".venv"
UV = "uv==0.13.8"
VERBS = {
    "run": "start the platform with its demo fund (PORT, MAGNET_HOME)",
    "test": "install what tests need and run the whole suite, or what ARGS names",
    "test-fast": "run the pure tests alone: no Django, no database",
    "check": "format, lint, types, import rules, migrations, deployment settings, templates",
    "bench": "run the benchmarks and print a table against their targets",
    "drill": "run long property tests, races and a sample of mutants, more of each with FULL=1",
    "screenshots": "open every page in Chromium and keep what it shows",
    "lock": "resolve the dependencies again and write the lock files",
}
#: Characters that a line of a template may have.
TEMPLATE_WIDTH = 120
#: Each worker has a database of its own; a file's tests stay together, since some share one, and
#: the files come as `conftest.py` orders them, the longest first.
PARALLEL = [
    *("-n", os.environ.get("WORKERS", "2")), *("--dist", "loadfile"), "--no-loadscope-reorder",
]  # fmt: skip
#: Tests start dozens of processes, each of which would compile our sources anew without it.
BYTECODE = {"PYTHONDONTWRITEBYTECODE": ""}


def say(text: str) -> None:
    print(text, flush=True)


def interpreter() -> str:
    return str(ENVIRONMENT / "bin" / "python")


def require_python() -> None:
    if sys.version_info < (3, 11):  # noqa: UP036 - older versions exit with this message
        found = ".".join(map(str, sys.version_info[:3]))
        sys.exit(f"magnetfund: Python 3.11 or newer is needed, this is {found}")


def install(lock: str) -> None:
    """Bring .venv to exactly what ``lock`` names; nothing is done when it already is."""
    path = PROJECT / lock
    digest = hashlib.sha256(path.read_bytes() + sys.version.encode()).hexdigest()
    mark = ENVIRONMENT / f"installed-{lock}"
    wider = ENVIRONMENT / "installed-requirements-dev.txt"
    if mark.exists() and mark.read_text() == digest:
        return
    if lock == "requirements.txt" and wider.exists() and wider.read_text() == _dev_digest():
        return  # the development lock holds everything of the run-time lock
    began = time.monotonic()
    if not Path(interpreter()).exists():
        try:
            venv.EnvBuilder(with_pip=True, clear=True).create(ENVIRONMENT)
        except (subprocess.CalledProcessError, OSError) as error:
            shutil.rmtree(ENVIRONMENT, ignore_errors=True)
            sys.exit(f"magnetfund: a virtual environment cannot be made here: {error}")
    pip = [interpreter(), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    uv = str(ENVIRONMENT / "bin" / "uv")
    if not Path(uv).exists():
        subprocess.run([*pip, UV], check=False)
    done = False
    if Path(uv).exists():
        command = [uv, "pip", "install", "--quiet", "--system-certs", "--require-hashes"]
        result = subprocess.run([*command, "--python", interpreter(), "-r", str(path)], check=False)
        done = result.returncode == 0
    if not done:
        say("uv failed to install the dependencies; trying pip")
        result = subprocess.run([*pip, "--require-hashes", "-r", str(path)], check=False)
        if result.returncode != 0:
            sys.exit("magnetfund: the dependencies could not be installed; see the lines above")
    mark.write_text(digest)
    say(f"Dependencies ready ({time.monotonic() - began:.1f} s to download and install).")


def _dev_digest() -> str:
    content = (PROJECT / "requirements-dev.txt").read_bytes()
    return hashlib.sha256(content + sys.version.encode()).hexdigest()


def hand_over(*arguments: str, **environment: str) -> None:
    """Become the given Python command, so that signals reach it directly."""
    os.chdir(PROJECT)
    os.environ.update(environment)
    sys.stdout.flush()
    os.execv(interpreter(), [interpreter(), *arguments])


def find_long_lines(folder: Path) -> list[str]:
    """Lines of the templates under ``folder`` that are over :data:`TEMPLATE_WIDTH`: place, length.

    The formatter leaves a long attribute or expression as it is, so the length is checked apart.
    """
    return [
        f"{path.relative_to(folder.parent)}:{number}: {len(line)} characters"
        for path in sorted(folder.rglob("*.html"))
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        if len(line) > TEMPLATE_WIDTH
    ]


def choose_test_options(arguments: Sequence[str]) -> list[str]:
    """How to run what ``arguments`` name: all in parallel, some in one process, pure ones bare."""
    from magnetfund.operations.checks.purity import is_pure

    named = [Path(PROJECT / word.split("::")[0]) for word in arguments if not word.startswith("-")]
    paths = [path for path in named if path.exists()]
    if not paths:
        return PARALLEL
    if all(path.is_file() and is_pure(path, PROJECT) for path in paths):
        return ["-p", "no:django"]
    return []


def check() -> int:
    """Every static check; all of them run, so one call shows all that is wrong."""
    tools = ENVIRONMENT / "bin"
    production = {
        "MAGNET_ENV": "production",
        "SECRET_KEY": hashlib.sha512(b"only for this check").hexdigest(),
        "DATABASE_URL": "postgresql://fa_app@127.0.0.1:1/none",
        "ALLOWED_HOSTS": "fund.example.com",
        "PUBLIC_URL": "https://fund.example.com",
    }
    templates = [str(p) for p in sorted((PROJECT / "templates").rglob("*.html"))]
    steps: list[tuple[str, list[str], dict[str, str]]] = [
        ("format", [str(tools / "ruff"), "format", "--check", "--quiet", "."], {}),
        ("lint", [str(tools / "ruff"), "check", "--quiet", "."], {}),
        ("types", [str(tools / "mypy"), "--no-error-summary"], {}),
        ("imports", [str(tools / "lint-imports"), "--no-cache"], {}),
        ("reach", [interpreter(), "-m", "magnetfund.operations.checks.reachability"], {}),
        (
            "migrations",
            [interpreter(), "-W", "ignore", "manage.py", "makemigrations", "--check", "--dry-run"],
            {**production, "MAGNET_ENV": "test"},
        ),
        (
            "deployment",
            [interpreter(), "manage.py", "check", "--deploy", "--fail-level", "WARNING"],
            production,
        ),
    ]
    if templates:
        steps.append(
            (
                "templates",
                [str(tools / "djade"), "--check", "--target-version", "5.2", *templates],
                {},
            )
        )
        layout = [str(tools / "djangofmt"), "--check", "--quiet", "--line-length", "110"]
        steps.append(("layout", [*layout, *templates], {}))
    failed = []
    for name, command, extra in steps:
        result = subprocess.run(
            command,
            cwd=PROJECT,
            env={**os.environ, **extra},
            check=False,
            capture_output=True,
            text=True,
        )
        said = f"  {result.stdout.strip()}" if name == "reach" and not result.returncode else ""
        say(f"{name:<12} {'FAILED' if result.returncode else 'ok'}{said}")
        if result.returncode != 0:
            failed.append(name)
            say((result.stdout + result.stderr).strip()[-6000:])
    too_long = find_long_lines(PROJECT / "templates")
    say(f"{'line length':<12} {'FAILED' if too_long else 'ok'}")
    if too_long:
        failed.append("line length")
        say("\n".join(too_long))
    if failed:
        say(f"make check: {', '.join(failed)} failed")
    return 1 if failed else 0


def lock() -> None:
    """Resolve pyproject.toml for every supported machine and write the lock files with hashes."""
    uv = [str(ENVIRONMENT / "bin" / "uv"), "pip", "compile", "--system-certs", "--universal"]
    common = [
        "--quiet",
        "--generate-hashes",
        "--no-emit-index-url",
        "--python-version",
        "3.11",
        "--custom-compile-command",
        "make lock",
    ]
    for name, extra in (
        ("requirements.txt", []),
        ("requirements-dev.txt", ["--extra", "dev"]),
    ):
        subprocess.run(
            [*uv, *common, *extra, "pyproject.toml", "-o", name], cwd=PROJECT, check=True
        )
        say(f"{name} written")


def main(arguments: Sequence[str]) -> int:
    require_python()
    if not arguments or arguments[0] not in VERBS:
        for verb, text in VERBS.items():
            say(f"  {verb:<12} {text}")
        return 0 if not arguments or arguments[0] in ("help", "--help", "-h") else 2
    verb, rest = arguments[0], list(arguments[1:])
    install("requirements.txt" if verb == "run" else "requirements-dev.txt")
    match verb:
        case "run":
            hand_over("-m", "magnetfund.operations.supervisor", *rest)
        case "test":
            options = ["-m", "not drill", *choose_test_options(rest), *rest]
            hand_over("-m", "pytest", *options, **BYTECODE)
        case "test-fast":
            from magnetfund.operations.checks.purity import pure_test_files

            files = [str(path.relative_to(PROJECT)) for path in pure_test_files(PROJECT)]
            options = ["-p", "no:django", *PARALLEL, "-m", "not drill and not slow"]
            hand_over("-m", "pytest", *options, *rest, *files, MAGNET_TEST_FAST="1", **BYTECODE)
        case "drill":
            is_full = os.environ.get("FULL") == "1"
            os.environ.update(BYTECODE)
            if rest:  # arguments choose tests, which mutants know nothing of
                hand_over("-m", "pytest", "-m", "drill", *rest)
            # Only the full form looks at times closely enough to need the machine for itself.
            together = [*PARALLEL, "-m", "drill and not alone" if is_full else "drill"]
            for options in [together, ["-m", "drill and alone"]] if is_full else [together]:
                tests = [interpreter(), "-m", "pytest", *options]
                if failed := subprocess.run(tests, cwd=PROJECT, check=False).returncode:
                    return failed
            hand_over("-m", "drills.mutation", "--all" if is_full else "--short")
        case "bench":
            hand_over("-m", "bench", *rest)
        case "screenshots":
            hand_over("-m", "magnetfund.operations.screenshots", *rest)
        case "check":
            return check()
        case "lock":
            lock()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
