"""Mutation operators: which bytes each replaces at a node of the syntax tree."""

from __future__ import annotations

import ast
import re
from bisect import bisect_right
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@dataclass(frozen=True, slots=True)
class Edit:
    """`drop` bytes at `at` become `put`; ``line`` counts from 1."""

    line: int
    operator: str
    offset: int
    length: int
    replacement: bytes


_COMPARE: Final[dict[type[ast.cmpop], tuple[bytes, tuple[bytes, ...]]]] = {
    ast.Lt: (rb"<", (b"<=", b">")),
    ast.LtE: (rb"<=", (b"<", b">=")),
    ast.Gt: (rb">", (b">=", b"<")),
    ast.GtE: (rb">=", (b">", b"<=")),
    ast.Eq: (rb"==", (b"!=",)),
    ast.NotEq: (rb"!=", (b"==",)),
    ast.Is: (rb"\bis\b", (b"is not",)),
    ast.IsNot: (rb"\bis\s+not\b", (b"is",)),
    ast.In: (rb"\bin\b", (b"not in",)),
    ast.NotIn: (rb"\bnot\s+in\b", (b"in",)),
}
_ARITHMETIC: Final[dict[type[ast.operator], tuple[bytes, bytes]]] = {
    ast.Add: (rb"\+", b"-"),
    ast.Sub: (rb"-", b"+"),
    ast.Mult: (rb"\*", b"+"),
    ast.Div: (rb"/", b"*"),
    ast.FloorDiv: (rb"//", b"*"),
    ast.Mod: (rb"%", b"*"),
    ast.LShift: (rb"<<", b">>"),
    ast.RShift: (rb">>", b"<<"),
    ast.BitAnd: (rb"&", b"|"),
    ast.BitOr: (rb"\|", b"&"),
}
# Names that are easily taken for each other, both ways.
_SIMILAR_NAMES: Final = {
    one: other
    for pair in (
        ("min", "max"), ("any", "all"), ("startswith", "endswith"), ("lstrip", "rstrip"),
        ("append", "extend"), ("lower", "upper"), ("find", "rfind"), ("split", "rsplit"),
        ("index", "rindex"), ("keys", "values"), ("partition", "rpartition"),
        ("isinstance", "issubclass"), ("match", "search"), ("union", "intersection"),
    )
    for one, other in (pair, pair[::-1])
}  # fmt: skip
_SKIPPED_NAMES: Final = frozenset({"__all__", "__version__", "__slots__", "__author__"})


class _SourceText:
    """Source bytes with the offsets of nodes (the tree counts UTF-8 bytes in lines)."""

    def __init__(self, source: bytes) -> None:
        self.source = source
        # str.splitlines would also split at form feeds, which the parser does not
        ends = [m.end() for m in re.finditer(rb"\r\n|\r|\n", source)]
        self._starts = [0, *ends]

    def start(self, node: ast.expr | ast.stmt) -> int:
        return self._starts[node.lineno - 1] + node.col_offset

    def end(self, node: ast.expr | ast.stmt) -> int:
        line = node.end_lineno if node.end_lineno is not None else node.lineno
        return self._starts[line - 1] + (node.end_col_offset or 0)

    def line_at(self, offset: int) -> int:
        return bisect_right(self._starts, offset)

    def replace(self, operator: str, node: ast.expr | ast.stmt, replacement: bytes) -> Edit:
        """Return the edit that puts other text in the place of a node."""
        offset = self.start(node)
        return Edit(self.line_at(offset), operator, offset, self.end(node) - offset, replacement)

    def wrap(self, operator: str, node: ast.expr, before: bytes, after: bytes) -> Edit:
        """Return the edit that puts text around a node."""
        inner = self.source[self.start(node) : self.end(node)]
        return self.replace(operator, node, before + inner + after)

    def between(
        self, operator: str, sides: tuple[ast.expr, ast.expr], pattern: bytes, replacement: bytes
    ) -> Edit | None:
        """Return the edit of the operator that stands between two nodes, if it is plain to see."""
        start, stop = self.end(sides[0]), self.start(sides[1])
        gap = self.source[start:stop]
        match = None if b"#" in gap else re.search(pattern, gap)
        if match is None:
            return None
        offset = start + match.start()
        return Edit(self.line_at(offset), operator, offset, len(match.group()), replacement)


def edits_of(tree: ast.Module, source: bytes) -> Iterator[Edit]:
    """Yield every edit for a file.

    Parameters
    ----------
    tree : ast.Module
        The parsed source.
    source : bytes
        What was parsed, without a byte order mark.
    """
    text = _SourceText(source)
    for node in _walk(tree):
        for edit in _edits(node, text):
            if edit is not None:
                yield edit


def _walk(tree: ast.Module) -> Iterator[ast.AST]:
    """Yield the nodes whose change can be seen by a test: no annotations, docstrings, imports."""
    stack: list[ast.AST] = [tree]
    while stack:
        node = stack.pop()
        if _is_inert(node):
            continue
        yield node
        for name, value in ast.iter_fields(node):
            if name in ("annotation", "returns", "type_params", "decorator_list"):
                continue
            children = value if isinstance(value, list) else [value]
            stack.extend(child for child in children if isinstance(child, ast.AST))


def _is_inert(node: ast.AST) -> bool:
    if isinstance(node, ast.Import | ast.ImportFrom | ast.JoinedStr):
        return True  # positions inside f-strings are wrong before Python 3.12
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Constant)
    if isinstance(node, ast.If):
        return "TYPE_CHECKING" in ast.dump(node.test) or "'__main__'" in ast.dump(node.test)
    if isinstance(node, ast.Assign):
        return any(isinstance(t, ast.Name) and t.id in _SKIPPED_NAMES for t in node.targets)
    return False


def _edits(node: ast.AST, text: _SourceText) -> Iterator[Edit | None]:
    """Yield the edits of one node alone."""
    for node_type, operator in _OPERATORS:
        if isinstance(node, node_type):
            yield from operator(node, text)


def _compare(node: ast.Compare, text: _SourceText) -> Iterator[Edit | None]:
    for sides, op in zip(pairwise([node.left, *node.comparators]), node.ops, strict=True):
        pattern, replacements = _COMPARE[type(op)]
        for replacement in replacements:
            yield text.between("comparison", sides, pattern, replacement)


def _logical(node: ast.BoolOp, text: _SourceText) -> Iterator[Edit | None]:
    word, replacement = (b"and", b"or") if isinstance(node.op, ast.And) else (b"or", b"and")
    for sides in pairwise(node.values):
        yield text.between("logical", sides, rb"\b" + word + rb"\b", replacement)


def _arithmetic(node: ast.BinOp, text: _SourceText) -> Iterator[Edit | None]:
    if type(node.op) not in _ARITHMETIC or _is_text(node.left) or _is_text(node.right):
        return
    pattern, replacement = _ARITHMETIC[type(node.op)]
    yield text.between("arithmetic", (node.left, node.right), pattern, replacement)


def _augmented(node: ast.AugAssign, text: _SourceText) -> Iterator[Edit | None]:
    if type(node.op) in _ARITHMETIC and not _is_text(node.value):
        pattern, replacement = _ARITHMETIC[type(node.op)]
        yield text.between("arithmetic", (node.target, node.value), pattern, replacement)
    yield text.replace("statement", node, b"pass")


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.JoinedStr) or (
        isinstance(node, ast.Constant) and isinstance(node.value, str | bytes)
    )


def _constant(node: ast.Constant, text: _SourceText) -> Iterator[Edit | None]:
    value = node.value
    if isinstance(value, bool):
        yield text.replace("constant", node, b"False" if value else b"True")
    elif isinstance(value, int) and abs(value) < 1 << 64:
        yield text.replace("off-by-one", node, b"%d" % (value + 1))
        if value > 0:
            yield text.replace("off-by-one", node, b"%d" % (value - 1))
    elif isinstance(value, float):
        yield text.replace("constant", node, b"(%s + 1.0)" % repr(value).encode())
    elif isinstance(value, str) and value:
        yield text.replace("constant", node, b"''")
    elif isinstance(value, bytes) and value:
        yield text.replace("constant", node, b"b''")


def _condition(
    node: ast.If | ast.While | ast.IfExp | ast.Assert, text: _SourceText
) -> Iterator[Edit]:
    yield text.wrap("condition", node.test, b"not (", b")")


def _filter(node: ast.comprehension, text: _SourceText) -> Iterator[Edit]:
    for test in node.ifs:
        yield text.wrap("condition", test, b"not (", b")")


def _negation(node: ast.UnaryOp, text: _SourceText) -> Iterator[Edit]:
    if isinstance(node.op, ast.Not):
        inner = text.source[text.start(node.operand) : text.end(node.operand)]
        yield text.replace("condition", node, b"(" + inner + b")")


def _returned(node: ast.Return, text: _SourceText) -> Iterator[Edit]:
    value = node.value
    if value is not None and not (isinstance(value, ast.Constant) and value.value is None):
        yield text.replace("return", node, b"return None")


def _call(node: ast.Call, text: _SourceText) -> Iterator[Edit]:
    if isinstance(node.func, ast.Name) and node.func.id == "len":
        yield text.wrap("off-by-one", node, b"(", b" - 1)")
    positional = [a for a in node.args if not isinstance(a, ast.Starred)]
    if len(positional) == len(node.args) > 1 and not node.keywords:
        first, second = node.args[:2]
        start, stop = text.start(first), text.end(second)
        middle = text.source[text.end(first) : text.start(second)]
        if b"(" not in middle and b")" not in middle and b"#" not in middle:
            a = text.source[start : text.end(first)]
            b = text.source[text.start(second) : stop]
            replacement = b + middle + a
            yield Edit(text.line_at(start), "arguments", start, stop - start, replacement)


def _name(node: ast.Name, text: _SourceText) -> Iterator[Edit]:
    if isinstance(node.ctx, ast.Load) and node.id in _SIMILAR_NAMES:
        yield text.replace("name", node, _SIMILAR_NAMES[node.id].encode())


def _attribute(node: ast.Attribute, text: _SourceText) -> Iterator[Edit]:
    other = _SIMILAR_NAMES.get(node.attr)
    if other is not None and isinstance(node.ctx, ast.Load):
        offset = text.end(node) - len(node.attr)
        yield Edit(text.line_at(offset), "name", offset, len(node.attr), other.encode())


def _statement(node: ast.stmt, text: _SourceText) -> Iterator[Edit]:
    if isinstance(node, ast.Assign):
        is_stored_elsewhere = all(
            isinstance(t, ast.Attribute | ast.Subscript) for t in node.targets
        )
        if not is_stored_elsewhere:  # without its first value a name would only be unknown
            return
    yield text.replace("statement", node, b"pass")


def _jump(node: ast.Break | ast.Continue, text: _SourceText) -> Iterator[Edit]:
    yield text.replace("jump", node, b"continue" if isinstance(node, ast.Break) else b"break")


_OPERATORS: Final[tuple[tuple[Any, Callable[[Any, _SourceText], Iterator[Edit | None]]], ...]] = (
    (ast.Compare, _compare),
    (ast.BoolOp, _logical),
    (ast.BinOp, _arithmetic),
    (ast.AugAssign, _augmented),
    (ast.Constant, _constant),
    ((ast.If, ast.While, ast.IfExp, ast.Assert), _condition),
    (ast.comprehension, _filter),
    (ast.UnaryOp, _negation),
    (ast.Return, _returned),
    (ast.Call, _call),
    (ast.Name, _name),
    (ast.Attribute, _attribute),
    ((ast.Expr, ast.Assign, ast.Raise, ast.Delete), _statement),
    ((ast.Break, ast.Continue), _jump),
)
