"""Mutants of a Python source: one small wrong change each, named by its line and what changed.

Operators: comparisons (boundary and swap), arithmetic, constants by one, booleans, conditions,
``and``/``or``, ``min``/``max``, dropped minus signs, returns of None, removed raises and bare
calls, ``continue``/``break``.  Texts are never changed: docstrings, strings, f-strings, what an
exception says, and the keyword arguments that only carry words.  Neither are annotations,
decorators and imports.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
}
EXTREMES = {"min": "max", "max": "min"}
#: Keyword arguments that carry words for people.
WORDS = frozenset({"words", "reason", "message", "text", "name", "of", "code"})


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change: the ``variant``-th of the ``node``-th node of the file, in walking order."""

    path: str
    line: int
    source: str
    change: str
    node: int
    variant: int

    @property
    def key(self) -> tuple[str, str, str]:
        """What survives moving the line: file, text of the line, change."""
        return self.path, self.source, self.change


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a node hangs in its tree."""

    node: ast.AST
    parent: ast.AST
    field: str
    position: int | None

    def put(self, new: ast.AST) -> None:
        if self.position is None:
            setattr(self.parent, self.field, new)
        else:
            getattr(self.parent, self.field)[self.position] = new


def find_mutants(*, path: str, source: str) -> list[Mutant]:
    """Every mutant of ``source``, in the order of the file."""
    lines = source.splitlines()
    found = []
    for index, place in enumerate(_walk(ast.parse(source))):
        for variant, (change, _) in enumerate(_variants(place)):
            line = place.node.lineno  # type: ignore[attr-defined]
            text = lines[line - 1].strip()
            found.append(Mutant(path, line, text, change, index, variant))
    return found


def build_mutant(*, source: str, mutant: Mutant) -> ast.Module:
    """The tree of ``source`` with the one change of ``mutant``."""
    tree = ast.parse(source)
    place = next(p for i, p in enumerate(_walk(tree)) if i == mutant.node)
    _, new = _variants(place)[mutant.variant]
    place.put(ast.copy_location(new, place.node))
    return ast.fix_missing_locations(tree)


def _walk(tree: ast.AST) -> Iterator[_Place]:
    for field, value in ast.iter_fields(tree):
        if _is_left_alone(tree, field):
            continue
        items = value if isinstance(value, list) else [value]
        for position, item in enumerate(items):
            if not isinstance(item, ast.AST) or _is_text(item):
                continue
            yield _Place(item, tree, field, position if isinstance(value, list) else None)
            yield from _walk(item)


def _is_left_alone(parent: ast.AST, field: str) -> bool:
    if field in ("decorator_list", "annotation", "returns", "type_params", "ctx"):
        return True
    return isinstance(parent, ast.Raise)


def _is_text(node: ast.AST) -> bool:
    if isinstance(node, ast.Import | ast.ImportFrom | ast.JoinedStr):
        return True
    if isinstance(node, ast.keyword):
        return node.arg in WORDS
    if isinstance(node, ast.Assign):
        return any(isinstance(t, ast.Name) and t.id == "__all__" for t in node.targets)
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _variants(place: _Place) -> list[tuple[str, ast.AST]]:
    """(name of the change, new node) for each change that ``place`` allows."""
    node = place.node
    match node:
        case ast.Compare():
            return _comparisons(node)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in ARITHMETIC:
            new = ARITHMETIC[type(op)]
            return [(_swap(type(op), new), ast.BinOp(left, new(), right))]
        case ast.AugAssign(target=target, op=op, value=value) if type(op) in ARITHMETIC:
            new = ARITHMETIC[type(op)]
            return [(_swap(type(op), new) + " in place", ast.AugAssign(target, new(), value))]
        case ast.BoolOp(op=op, values=values):
            other: ast.boolop = ast.Or() if isinstance(op, ast.And) else ast.And()
            return [(_swap(type(op), type(other)), ast.BoolOp(other, values))]
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return [("drop not", operand)]
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return [("drop minus", operand), *_near(node, -_number(operand))]
        case ast.Constant(value=bool() as value):
            return [(f"{value} -> {not value}", ast.Constant(not value))]
        case ast.Constant(value=int() | float() as value) if not _is_negated(place):
            return _near(node, value)
        case ast.Name(id=name, ctx=ast.Load()) if name in EXTREMES:
            return [(f"{name} -> {EXTREMES[name]}", ast.Name(EXTREMES[name], ast.Load()))]
        case ast.Name() | ast.Attribute() | ast.Call() if place.field == "test":
            return [("negate condition", ast.UnaryOp(ast.Not(), node)), *_call(node)]
        case ast.Call():
            return _call(node)
        case _:
            return _statement(node)


def _statement(node: ast.AST) -> list[tuple[str, ast.AST]]:
    match node:
        case ast.Return(value=ast.expr() as value) if not _is_falsy(value):
            return [("return None", ast.Return(ast.Constant(None)))]
        case ast.Raise():
            return [("remove raise", ast.Pass())]
        case ast.Expr(value=ast.Call()):
            return [("remove call", ast.Pass())]
        case ast.Continue():
            return [("continue -> break", ast.Break())]
        case ast.Break():
            return [("break -> continue", ast.Continue())]
    return []


def _comparisons(node: ast.Compare) -> list[tuple[str, ast.AST]]:
    found: list[tuple[str, ast.AST]] = []
    for position, op in enumerate(node.ops):
        for new in COMPARISONS[type(op)]:
            ops = [*node.ops[:position], new(), *node.ops[position + 1 :]]
            change = _swap(type(op), new) + (f" at {position + 1}" if len(node.ops) > 1 else "")
            found.append((change, ast.Compare(node.left, ops, node.comparators)))
    return found


def _call(node: ast.AST) -> list[tuple[str, ast.AST]]:
    """``Decimal("1.5")`` is a constant like any other."""
    match node:
        case ast.Call(
            func=ast.Name(id="Decimal") as name, args=[ast.Constant(value=str() as text)]
        ):
            try:
                value = Decimal(text)
            except InvalidOperation:
                return []
            # A small one may be a quantum, of which only the scale counts.
            is_small = 0 < value < 1
            near = (value.scaleb(1), value.scaleb(-1)) if is_small else (value + 1, value - 1)
            return [
                (f"{text} -> {new}", ast.Call(name, [ast.Constant(str(new))], [])) for new in near
            ]
    return []


def _near(node: ast.AST, value: float) -> list[tuple[str, ast.AST]]:
    if value != value:  # a minus before something that is no number
        return []
    return [(f"{value} -> {value + step}", ast.Constant(value + step)) for step in (1, -1)]


def _number(node: ast.AST) -> float:
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        return node.value
    return float("nan")


def _is_negated(place: _Place) -> bool:
    return isinstance(place.parent, ast.UnaryOp) and isinstance(place.parent.op, ast.USub)


def _is_falsy(node: ast.expr) -> bool:
    """None already, or False, which no condition tells from None."""
    return isinstance(node, ast.Constant) and (node.value is None or node.value is False)


def _swap(old: type[ast.AST], new: type[ast.AST]) -> str:
    return f"{old.__name__} -> {new.__name__}"
