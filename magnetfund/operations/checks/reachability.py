"""Which definitions of the pure packages the running product reaches.

Every name that a service, selector, page, job, command or any other product module uses is followed
through imports, re-exports, calls, bases and annotations.  A definition that nothing leads to has
no door; it stands on ``waiting.toml`` with the requirement that will need it, or it goes.  The
number of waiting definitions is pinned there, so the list can only shrink.

``python -m magnetfund.operations.checks.reachability`` checks; with ``--shrink`` it takes what is
reached by now off the list.
"""

from __future__ import annotations

import ast
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

PURE = ("magnetfund.kernel", "risk.domain", "trading.domain", "investors.domain")
ROOTS = ("magnetfund", "risk", "trading", "investors")
#: Modules that people import in code of their own; what their ``__all__`` offers has a door.
LIBRARIES = frozenset({"magnetfund.research"})
#: Folders that are no product.
_ASIDE = {"tests", "migrations", "__pycache__"}
WAITING = Path(__file__).with_name("waiting.toml")

#: A definition: the module that holds it and its name there.
Definition = tuple[str, str]


@dataclass(slots=True, kw_only=True)
class Module:
    """What one source file says: definitions, imported names, and what its own lines use."""

    name: str
    is_package: bool
    #: Uses of each top-level name: plain names and dotted ones, as written.
    uses: dict[str, set[str]] = field(default_factory=dict)
    #: Top-level functions and classes.
    defined: set[str] = field(default_factory=set)
    #: Local name -> the module, or the module and the name in it, that it stands for.
    imported: dict[str, tuple[str, str | None]] = field(default_factory=dict)
    stars: list[str] = field(default_factory=list)
    #: Uses of statements that run when the module is imported.
    at_import: set[str] = field(default_factory=set)
    #: What ``__all__`` names.
    exported: set[str] = field(default_factory=set)


def _uses(node: ast.AST) -> set[str]:
    """Names that a piece of code reads: ``a`` and, for ``a.b.c``, ``a.b.c`` itself."""
    found: set[str] = set()
    waiting: list[ast.AST] = [node]
    while waiting:
        item = waiting.pop()
        if isinstance(item, ast.Attribute):
            dotted = ast.unparse(item) if _is_dotted(item) else ""
            if dotted:
                found.add(dotted)
                continue
        elif isinstance(item, ast.Name):
            found.add(item.id)
        elif isinstance(item, ast.Constant) and isinstance(item.value, str):
            continue
        waiting.extend(ast.iter_child_nodes(item))
    return found


def _is_dotted(node: ast.AST) -> bool:
    while isinstance(node, ast.Attribute):
        node = node.value
    return isinstance(node, ast.Name)


def read_module(name: str, path: Path) -> Module:
    """Parse one file."""
    module = Module(name=name, is_package=path.name == "__init__.py")
    tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for item in node.names:
                local = item.asname or item.name.split(".")[0]
                module.imported[local] = (item.name if item.asname else local, None)
        elif isinstance(node, ast.ImportFrom):
            source = _absolute(module, node)
            for item in node.names:
                if item.name == "*":
                    module.stars.append(source)
                else:
                    module.imported[item.asname or item.name] = (source, item.name)
    for statement in _statements(tree.body):
        match statement:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                module.defined.add(statement.name)
                module.uses.setdefault(statement.name, set()).update(_uses(statement))
            case ast.Assign() | ast.AnnAssign() | ast.AugAssign():
                targets = statement.targets if isinstance(statement, ast.Assign) else [
                    statement.target
                ]  # fmt: skip
                names = {name for target in targets for name in _uses(target)}
                if "__all__" in names:
                    module.exported |= _texts(statement)
                for target in names:
                    if target != "__all__":
                        module.uses.setdefault(target.split(".")[0], set()).update(_uses(statement))
            case ast.Import() | ast.ImportFrom():
                pass
            case _:
                module.at_import |= _uses(statement)
    return module


def _texts(statement: ast.stmt) -> set[str]:
    """The string constants of a statement."""
    return {
        item.value
        for item in ast.walk(statement)
        if isinstance(item, ast.Constant) and isinstance(item.value, str)
    }


def _statements(body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """Top-level statements, those under ``if`` and ``try`` included."""
    for statement in body:
        if isinstance(statement, ast.If):
            yield ast.Expr(statement.test)
            yield from _statements([*statement.body, *statement.orelse])
        elif isinstance(statement, ast.Try):
            handlers = [line for handler in statement.handlers for line in handler.body]
            yield from _statements(
                [*statement.body, *handlers, *statement.orelse, *statement.finalbody]
            )
        else:
            yield statement


def _absolute(module: Module, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    parts = module.name.split(".")
    parts = parts[: len(parts) - node.level + (1 if module.is_package else 0)]
    return ".".join([*parts, *([node.module] if node.module else [])])


def read_project(project: Path) -> dict[str, Module]:
    """Every product module by its dotted name."""
    modules = {}
    for root in ROOTS:
        for path in sorted((project / root).rglob("*.py")):
            parts = path.relative_to(project).with_suffix("").parts
            if _ASIDE & set(parts):
                continue
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            modules[name] = read_module(name, path)
    return modules


def is_pure_module(name: str) -> bool:
    return any(name == part or name.startswith(part + ".") for part in PURE)


class Graph:
    """Follows names from the product into the pure packages."""

    def __init__(self, modules: Mapping[str, Module]) -> None:
        self.modules = modules
        self.reached: set[Definition] = set()
        self._awake: set[str] = set()
        self._waiting: list[Definition] = []

    def run(self) -> set[Definition]:
        """All definitions, of pure modules, that the others reach."""
        for name, module in self.modules.items():
            if not is_pure_module(name):
                for used in (*module.uses.values(), module.at_import):
                    self._follow(module, used)
            if name in LIBRARIES:
                self._follow(module, module.exported)
        while self._waiting:
            name, item = self._waiting.pop()
            self._follow(self.modules[name], self.modules[name].uses.get(item, set()))
        return self.reached

    def _follow(self, module: Module, used: Iterable[str]) -> None:
        for text in used:
            self._resolve(module, text.split("."))

    def _resolve(self, module: Module, parts: list[str], depth: int = 0) -> None:
        """Mark what ``parts`` names as seen from ``module``."""
        if depth > 20:  # a circle of re-exports
            return
        head, rest = parts[0], parts[1:]
        if head in module.uses:
            self._mark(module.name, head)
            return
        if head in module.imported:
            source, name = module.imported[head]
            if name is None:
                self._inside(source, rest, depth)
            elif f"{source}.{name}" in self.modules and not self._holds(source, name):
                self._inside(f"{source}.{name}", rest, depth)
            elif source in self.modules:
                self._resolve(self.modules[source], [name, *rest], depth + 1)
            return
        for source in module.stars:
            if source in self.modules:
                self._resolve(self.modules[source], parts, depth + 1)

    def _holds(self, source: str, name: str) -> bool:
        module = self.modules.get(source)
        return module is not None and (name in module.uses or name in module.imported)

    def _inside(self, source: str, rest: list[str], depth: int) -> None:
        """``rest`` as an attribute of module ``source``; the module itself where none follows."""
        while rest and f"{source}.{rest[0]}" in self.modules and not self._holds(source, rest[0]):
            source, rest = f"{source}.{rest[0]}", rest[1:]
        module = self.modules.get(source)
        if module is None:
            return
        if rest:
            self._resolve(module, rest, depth + 1)
            return
        # The module is handed around as a value: anything in it may be asked of it.
        for name in [*module.uses, *module.imported]:
            if not name.startswith("_"):
                self._resolve(module, [name], depth + 1)

    def _mark(self, name: str, item: str) -> None:
        if not is_pure_module(name):
            return
        if (name, item) not in self.reached:
            self.reached.add((name, item))
            self._waiting.append((name, item))
        if name not in self._awake:
            self._awake.add(name)
            self._follow(self.modules[name], self.modules[name].at_import)


def unreached(modules: Mapping[str, Module]) -> list[str]:
    """Dotted names of functions and classes of the pure packages that nothing reaches."""
    reached = Graph(modules).run()
    return sorted(
        f"{name}.{item}"
        for name, module in modules.items()
        if is_pure_module(name)
        for item in module.defined
        if (name, item) not in reached
    )


def definitions(modules: Mapping[str, Module]) -> list[str]:
    """Dotted names of all functions and classes of the pure packages."""
    return sorted(
        f"{name}.{item}"
        for name, module in modules.items()
        if is_pure_module(name)
        for item in module.defined
    )


def covers(entry: str, name: str) -> bool:
    """Whether a waiting entry (a package, a module or a definition) stands for ``name``."""
    return name == entry or name.startswith(entry + ".")


def check(*, missing: list[str], defined: list[str], listed: Mapping[str, object]) -> list[str]:
    """What is wrong between the definitions without a door and the waiting list."""
    known: Mapping[str, str] = listed["requirements"]  # type: ignore[assignment]
    waiting: Mapping[str, str] = listed["waiting"]  # type: ignore[assignment]
    pinned: int = listed["definitions_max"]  # type: ignore[assignment]
    problems = [
        f"{entry}: requirement {identifier} is unknown"
        for entry, identifier in waiting.items()
        if identifier not in known
    ]
    problems += [
        f"{name}: nothing of the product reaches it, and it does not wait for a requirement"
        for name in missing
        if not any(covers(entry, name) for entry in waiting)
    ]
    lost = set(missing)
    for entry in waiting:
        of_entry = [name for name in defined if covers(entry, name)]
        if not of_entry:
            problems.append(f"{entry}: waits, but is not there any more")
        problems += [f"{name}: waits, but is reached" for name in of_entry if name not in lost]
    count = sum(any(covers(entry, name) for entry in waiting) for name in missing)
    if count > pinned:
        problems.append(f"{count} definitions wait, waiting.toml allows {pinned}")
    return problems


def shrink(*, missing: list[str], defined: list[str], listed: Mapping[str, object]) -> str:
    """The waiting list without what is reached by now, as the text of its file."""
    known: Mapping[str, str] = listed["requirements"]  # type: ignore[assignment]
    waiting: Mapping[str, str] = listed["waiting"]  # type: ignore[assignment]
    lost = set(missing)
    kept: dict[str, str] = {}
    count = 0
    for entry, identifier in waiting.items():
        left = [name for name in defined if covers(entry, name) and name in lost]
        count += len(left)
        for name in left:
            kept[_widest(name, entry, defined, lost)] = identifier
    lines = [_HEAD, f"definitions_max = {count}", "", "[requirements]"]
    used = set(kept.values())
    lines += [f'{key} = "{text}"' for key, text in known.items() if key in used]
    lines += ["", "[waiting]"]
    lines += [f'"{entry}" = "{identifier}"' for entry, identifier in sorted(kept.items())]
    return "\n".join(lines) + "\n"


_HEAD = """\
# Definitions of the pure packages that no service, selector, page, job or command reaches yet,
# and the requirement that each waits for.  `make check` fails where one is reached or gone, and
# where more wait than the number allows.  The list only shrinks; what is reached goes off it by:
#   python3 -m magnetfund.operations.checks.reachability --shrink
"""


def _widest(name: str, entry: str, defined: list[str], lost: set[str]) -> str:
    """The widest package or module within ``entry`` whose definitions are all lost."""
    parts = name.split(".")
    for length in range(entry.count(".") + 1, len(parts)):
        part = ".".join(parts[:length])
        if all(other in lost for other in defined if covers(part, other)):
            return part
    return name


def main(arguments: list[str]) -> int:
    project = Path(__file__).resolve().parents[3]
    modules = read_project(project)
    missing = unreached(modules)
    defined = definitions(modules)
    listed = tomllib.loads(WAITING.read_text(encoding="utf-8"))
    if "--shrink" in arguments:
        WAITING.write_text(shrink(missing=missing, defined=defined, listed=listed))
        listed = tomllib.loads(WAITING.read_text(encoding="utf-8"))
    problems = check(missing=missing, defined=defined, listed=listed)
    if problems:
        problems.append("take what is reached by now off the list: see the head of waiting.toml")
    for problem in problems:
        sys.stdout.write(problem + "\n")
    sys.stdout.write(
        f"{len(missing)} of {len(defined)} definitions wait, in {len(listed['waiting'])} entries\n"
    )
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
