"""The faults that a module can be given, each a small change of its text."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path

_COMPARISONS: dict[type[ast.cmpop], str] = {
    ast.Lt: "<=",
    ast.LtE: "<",
    ast.Gt: ">=",
    ast.GtE: ">",
    ast.Eq: "!=",
    ast.NotEq: "==",
    ast.In: "not in",
    ast.NotIn: "in",
    ast.Is: "is not",
    ast.IsNot: "is",
}
_ARITHMETIC: dict[type[ast.operator], str] = {ast.Add: "-", ast.Sub: "+", ast.Mult: "//", ast.FloorDiv: "*"}

# What is for people to read: a text that is worded otherwise is no fault.
_WORDS = {"__repr__", "__str__", "_repr_html_", "_repr_mimebundle_"}
_LOGGERS = {"_log", "_logger", "logger", "log", "warnings"}


@dataclass(frozen=True)
class Mutant:
    """One fault: in a line of a file, below the root, the bytes from `start` to `end` are replaced."""

    path: str
    function: str
    line: int
    text: str
    start: int
    end: int
    before: str
    after: str

    @property
    def name(self) -> str:
        """What it changes, in words that stay the same when it moves in its file."""
        before, after = (" ".join(text.split()) for text in (self.before, self.after))
        where = "" if before == self.text else f"{self.text} | "
        return f"{self.path}:{self.function}: {where}{before} => {after}"

    def apply(self, source: bytes) -> bytes:
        """Returns the text of the module with the fault in it."""
        return source[: self.start] + self.after.encode() + source[self.end :]


def mutants_of(root: Path, path: str) -> list[Mutant]:
    """Returns all faults that a module can be given, in the order of its lines."""
    source = (root / path).read_bytes()
    finder = _Finder(path, source)
    finder.visit(ast.parse(source))
    return sorted(set(finder.found), key=lambda mutant: (mutant.start, mutant.end, mutant.after))


class _Finder(ast.NodeVisitor):
    def __init__(self, path: str, source: bytes) -> None:
        self.found: list[Mutant] = []
        self._path = path
        self._source = source
        self._lines = [0]
        for line in source.splitlines(keepends=True):
            self._lines.append(self._lines[-1] + len(line))
        self._scope: list[str] = []
        self._functions = 0

    # ---- where ---------------------------------------------------------------------------------

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self._scope.append(node.name)
        for statement in node.body:
            self.visit(statement)
        self._scope.pop()

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        if node.name in _WORDS or any(_is_named(item, "overload") for item in node.decorator_list):
            return
        self._scope.append(node.name)
        self._functions += 1
        for statement in node.body:
            self.visit(statement)
        self._functions -= 1
        self._scope.pop()

    def visit_If(self, node: ast.If) -> None:
        if not _is_named(node.test, "TYPE_CHECKING"):
            self._negate(node.test)
            self.generic_visit(node)

    def visit_Assert(self, node: ast.Assert) -> None:
        """Leaves it alone: it says what is so, and changes nothing."""

    # ---- what ----------------------------------------------------------------------------------

    def visit_While(self, node: ast.While) -> None:
        if not isinstance(node.test, ast.Constant):
            self._negate(node.test)
        self.generic_visit(node)

    def visit_IfExp(self, node: ast.IfExp) -> None:
        self._negate(node.test)
        self.generic_visit(node)

    def visit_Compare(self, node: ast.Compare) -> None:
        if len(node.ops) == 1 and (other := _COMPARISONS.get(type(node.ops[0]))):
            self._replace(node, f"({self._text(node.left)}) {other} ({self._text(node.comparators[0])})")
        self.generic_visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        other = " or " if isinstance(node.op, ast.And) else " and "
        self._replace(node, "(" + other.join(f"({self._text(value)})" for value in node.values) + ")")
        self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        if (other := _ARITHMETIC.get(type(node.op))) and not any(map(_is_text, (node.left, node.right))):
            self._replace(node, f"({self._text(node.left)}) {other} ({self._text(node.right)})")
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, bool):
            self._replace(node, str(not node.value))
        elif isinstance(node.value, int):
            self._replace(node, str(node.value + 1))

    def visit_Return(self, node: ast.Return) -> None:
        if node.value is not None and not isinstance(node.value, ast.Constant):
            self._replace(node, "return None")
        self.generic_visit(node)

    def visit_Raise(self, node: ast.Raise) -> None:
        self._replace(node, "pass")

    def visit_Break(self, node: ast.Break) -> None:
        self._replace(node, "continue")

    def visit_Continue(self, node: ast.Continue) -> None:
        self._replace(node, "break")

    def visit_Expr(self, node: ast.Expr) -> None:
        call = node.value
        if isinstance(call, ast.Constant):
            return
        if isinstance(call, ast.Call):
            if isinstance(call.func, ast.Attribute) and any(_is_named(call.func.value, name) for name in _LOGGERS):
                return
            self._replace(node, "pass")
        self.generic_visit(node)

    def visit_Assign(self, node: ast.Assign) -> None:
        # A local name that is never bound would be noticed by any test.
        if all(isinstance(target, ast.Attribute | ast.Subscript) for target in node.targets):
            self._replace(node, "pass")
        self.visit(node.value)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self.visit(node.value)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self._replace(node, "pass")
        self.visit(node.value)

    def visit_Delete(self, node: ast.Delete) -> None:
        self._replace(node, "pass")

    # ---- how -----------------------------------------------------------------------------------

    def _negate(self, test: ast.expr) -> None:
        if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
            self._replace(test, self._text(test.operand))
        elif not isinstance(test, ast.Compare):  # those have their opposites
            self._replace(test, f"(not ({self._text(test)}))")

    def _replace(self, node: ast.stmt | ast.expr, after: str) -> None:
        start, end = self._span(node)
        function = ".".join(self._scope)
        if self._functions:
            before = self._source[start:end].decode()
            text = self._source[self._lines[node.lineno - 1] : self._lines[node.lineno]].decode().strip()
            self.found.append(Mutant(self._path, function, node.lineno, text, start, end, before, after))

    def _span(self, node: ast.stmt | ast.expr) -> tuple[int, int]:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return self._lines[node.lineno - 1] + node.col_offset, self._lines[node.end_lineno - 1] + node.end_col_offset

    def _text(self, node: ast.expr) -> str:
        start, end = self._span(node)
        return self._source[start:end].decode()


def _is_named(node: ast.expr, name: str) -> bool:
    return (isinstance(node, ast.Name) and node.id == name) or (isinstance(node, ast.Attribute) and node.attr == name)


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str | bytes))
