"""What one Python module depends on: imports, names in literals, calls at import.

Read with Python's own parser, never executed. What cannot be told is a flag, so that who uses
this can fall back to "anything".
"""

from __future__ import annotations

import ast
import re
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeGuard

import numpy as np

from testopt.code.words import number

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

ANYTHING: Final = 0  # among the literals: the file may name any other one
MAX_TEXT: Final = 2_000_000  # characters; longer files are generated, and not parsed
_MAX_LITERALS: Final = 5_000
_TOKEN: Final = re.compile(r"[\w.*?/\\+-]{2,200}")
_CODE: Final = re.compile(
    r"(?:^|[;\n>])[ \t]*(?:from[ \t]+([.\w]+)[ \t]+import|import[ \t]+([.\w]+))"
)
_IMPORTERS: Final = frozenset(
    {"import_module", "__import__", "importorskip", "resolve_name", "import_string"}
)
# What loads modules that no literal names.
_DISCOVER: Final = frozenset(
    {"walk_packages", "iter_modules", "entry_points", "iter_entry_points", "run_path",
     "run_module", "spec_from_file_location", "SourceFileLoader", "load_source"}
)  # fmt: skip
_STARTERS: Final = frozenset(
    {"run", "Popen", "call", "check_call", "check_output", "getoutput", "getstatusoutput",
     "system", "popen", "create_subprocess_exec", "create_subprocess_shell", "posix_spawn",
     "execv", "execve", "execvp", "execl", "execlp", "spawnv", "spawnl", "spawn"}
)  # fmt: skip
_START_MODULES: Final = frozenset({"subprocess", "pexpect", "pty", "plumbum", "sarge"})
_OS_STARTERS: Final = _STARTERS - {"run", "call", "spawn", "Popen"}
_START_FIXTURES: Final = frozenset({"pytester", "testdir", "script_runner"})
# Programs that run no code of the repository, and their plain names say so.
_OUTSIDE: Final = frozenset(
    {"git", "hg", "svn", "ls", "cp", "mv", "rm", "cat", "echo", "true", "false", "tar", "unzip",
     "gzip", "openssl", "uname", "id", "which", "df", "ps", "kill", "stty", "tput", "diff"}
)  # fmt: skip
_CACHES: Final = re.compile(r"(?i).*(?:cache|memo|once|single|lazy|reify|fixture)")
_CHANGING: Final = frozenset({"append", "add", "update", "setdefault", "extend", "insert"})
_SET_UPS: Final = re.compile(r"(?i:set_?up|tear_?down)|pytest_")
_CONSTRUCTORS: Final = frozenset(
    {"__init__", "__new__", "__post_init__", "__call__", "__init_subclass__", "__set_name__"}
)

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class ModuleFacts:
    """What is known of one version of a module.

    Attributes
    ----------
    imports : tuple of str
        ``a.b``, ``a.b:name``, ``a.b:*``; leading dots as in the source.
    beneath : tuple of str
        Packages of which a computed part is imported.
    globs : tuple of str
        Literals with ``*`` or ``?``.
    literals : ndarray of uint32
        Sorted numbers of what stands in literals: names, paths and their parts.
    names : tuple of str
        Dotted names of the functions that are not within others, in order.
    ends : ndarray of int64, shape (n_names + 2,)
        Function i uses the names ``ends[i]`` to ``ends[i + 1]``; the last row holds those that
        may be used at import or once for many cases: module and class bodies, fixtures, caches.
    used : ndarray of uint32
        Numbers of names.
    dynamic : bool
        Whether it imports what cannot be told, or could not be parsed.
    starts : bool
        Whether it starts processes that may be anything.
    """

    imports: tuple[str, ...]
    beneath: tuple[str, ...]
    globs: tuple[str, ...]
    literals: NDArray[np.uint32]
    names: tuple[str, ...]
    ends: NDArray[np.int64]
    used: NDArray[np.uint32]
    dynamic: bool = False
    starts: bool = False

    def uses(self, function: int) -> NDArray[np.uint32]:
        """Return the names that a function uses; of the position past the last: at import."""
        return self.used[self.ends[function] : self.ends[function + 1]]


def called_name(dotted: str) -> str:
    """Return the name by which a function is called; empty: the language calls it."""
    owner, _, last = dotted.partition("#")[0].rpartition(".")
    if last in _CONSTRUCTORS:
        return owner.rpartition(".")[2]
    return "" if last.startswith("__") and last.endswith("__") else last


def parse(text: str) -> ast.Module | None:
    """Return the syntax tree of a module; None where this Python cannot parse it."""
    if len(text) > MAX_TEXT:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def functions_of(tree: ast.Module) -> Iterator[tuple[str, Function]]:
    """Yield the functions that are not within others, with their dotted names.

    Of several with one name the second is called ``name#2``, and so on.
    """
    seen: dict[str, int] = {}
    stack: list[tuple[str, ast.AST]] = [("", tree)]
    while stack:
        prefix, node = stack.pop()
        if isinstance(node, Function):
            name = prefix + node.name
            seen[name] = seen.get(name, 0) + 1
            yield (name if seen[name] == 1 else f"{name}#{seen[name]}"), node
        elif not isinstance(node, ast.expr):
            inner = f"{prefix}{node.name}." if isinstance(node, ast.ClassDef) else prefix
            stack += reversed([(inner, child) for child in ast.iter_child_nodes(node)])


def read_module(text: str) -> ModuleFacts:
    """Read a module.

    Parameters
    ----------
    text : str
        Its source.

    Returns
    -------
    ModuleFacts
        Of a text that cannot be parsed: that it may do anything.
    """
    tree = parse(text)
    if tree is None:
        nothing = np.zeros(0, np.uint32)
        literals = np.array([ANYTHING], np.uint32)
        return ModuleFacts((), (), (), literals, (), np.zeros(2, np.int64), nothing, dynamic=True)
    reader = _Reader(tree)
    names, rows = _calls(tree)
    used = [sorted({number(name) for name in row}) for row in rows]
    return ModuleFacts(
        imports=tuple(dict.fromkeys(reader.imports)),
        beneath=tuple(dict.fromkeys(reader.beneath)),
        globs=tuple(sorted(reader.globs)),
        literals=np.array(sorted({number(x) for x in reader.literals} | reader.marks), np.uint32),
        names=names,
        ends=np.cumsum([0, *(len(row) for row in used)], dtype=np.int64),
        used=np.array([n for row in used for n in row], np.uint32),
        dynamic=reader.dynamic,
        starts=reader.starts(),
    )


class _Reader:
    """Walks a syntax tree once and keeps what it says of other files."""

    def __init__(self, tree: ast.Module) -> None:
        self.imports: list[str] = []
        self.beneath: list[str] = []
        self.globs: set[str] = set()
        self.literals: set[str] = set()
        self.marks: set[int] = set()
        self.dynamic = False
        self._calls: list[ast.Call] = []
        self._fixtures = False
        nodes = list(ast.walk(tree))
        silent = {id(node.value) for node in nodes if _is_remark(node)}
        called: set[int] = set()
        for node in nodes:
            if id(node) not in silent:
                self._take(node, called)

    def _take(self, node: ast.AST, called: set[int]) -> None:
        match node:
            case ast.Import():
                self.imports += [alias.name for alias in node.names]
            case ast.ImportFrom():
                start = "." * node.level + (node.module or "")
                self.imports += [f"{start}:{alias.name}" for alias in node.names]
                renamed = (a for a in node.names if a.asname and a.asname != a.name)
                self.dynamic |= any(a.name in _IMPORTERS | _DISCOVER for a in renamed)
            case ast.Constant(value=str(text)):
                self._literal(text)
            case ast.Call():
                called.add(id(node.func))
                self._call(node)
            case ast.Name() | ast.Attribute():
                name = _last(node)
                passed_on = name in _IMPORTERS and id(node) not in called
                self.dynamic |= passed_on or name in _DISCOVER
            case ast.arg(arg=name):
                self._fixtures |= name in _START_FIXTURES
            case ast.Assign(targets=[ast.Name(id="pytest_plugins")]):
                self.imports += filter(None, map(_text, ast.walk(node.value)))

    def _literal(self, text: str) -> None:
        if "import" in text:
            self.imports += [a or b for a, b in _CODE.findall(text)]
        for token in _TOKEN.findall(text):
            if "*" in token or "?" in token:
                self.globs.add(token)
            else:
                self.literals.update(_parts(token))
        if len(self.literals) > _MAX_LITERALS:
            self.literals.clear()
            self.marks.add(ANYTHING)

    def _call(self, node: ast.Call) -> None:
        name = _last(node.func)
        if name in _STARTERS:
            self._calls.append(node)
        if name not in _IMPORTERS:
            return
        start, is_complete = _beginning(node.args[0]) if node.args else ("", False)
        if is_complete and start:
            self.imports.append(start)
            packages = map(_text, ast.walk(node)) if start.startswith(".") else ()
            self.imports += [package + start for package in packages if package]
        elif "." in start.lstrip("."):
            self.beneath.append(start.rpartition(".")[0])
        else:
            self.dynamic = True

    def starts(self) -> bool:
        """Tell whether processes are started that may run code of the repository."""
        if self._fixtures:
            return True
        heads = {name.partition(":")[0].partition(".")[0] for name in self.imports}
        some = [
            call
            for call in self._calls
            if heads & _START_MODULES or _last(call.func) in _OS_STARTERS
        ]
        return any(_program(call) not in _OUTSIDE for call in some)


def _is_remark(node: ast.AST) -> TypeGuard[ast.Expr]:
    """Tell whether a statement is a bare text without examples to run: documentation."""
    return isinstance(node, ast.Expr) and ">>>" not in _text(node.value, ">>>")


def _text(node: ast.AST, other: str = "") -> str:
    """Return the text of a literal; `other` for all else."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    return other


def _last(node: ast.AST) -> str:
    """Return the last part of a dotted name; empty for other expressions."""
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def _beginning(node: ast.expr) -> tuple[str, bool]:
    """Return the text that an expression begins with, and whether that is all of it."""
    match node:
        case ast.Constant(value=str(text)):
            return text, True
        case ast.JoinedStr(values=[ast.Constant(value=str(text)), *_]):
            return text, False
        case ast.BinOp(left=left):
            return _beginning(left)[0].partition("%")[0], False
        case ast.Call(func=ast.Attribute(value=ast.Constant(value=str(text)), attr="format")):
            return text.partition("{")[0], False
    return "", False


def _program(call: ast.Call) -> str:
    """Return the program that a call starts; empty where it is not told."""
    first = call.args[0] if call.args else None
    if isinstance(first, ast.List | ast.Tuple) and first.elts:
        first = first.elts[0]
    words = _beginning(first)[0].split() if first is not None else []
    return words[0] if words else ""


def _parts(token: str) -> Iterable[str]:
    """Yield a name from a literal, and the parts by which a file or module may be known."""
    token = token.replace("\\", "/").strip("/")
    yield token
    if "/" in token:
        yield from (part for part in token.split("/") if part.strip("."))
    elif "." in token.strip("."):
        at = token.find(".", 1)
        while (at := token.find(".", at + 1)) >= 0:
            yield token[:at]


def _calls(tree: ast.Module) -> tuple[tuple[str, ...], list[set[str]]]:
    """Return the functions of a module and the names that each uses; at import in the last row."""
    found = list(functions_of(tree))
    rows: list[set[str]] = []
    early: set[str] = set()
    for name, node in found:
        inside = [inner for top in node.body for inner in ast.walk(top)]
        rows.append(_names_in(inside))
        if _is_shared(node, inside):
            early |= rows[-1] | {called_name(name)}
        node.body = []  # not run at import
    return tuple(name for name, _ in found), [*rows, early | _names_in(ast.walk(tree))]


def _names_in(nodes: Iterable[ast.AST]) -> set[str]:
    """Return the names that some code uses, and those in its literals, as `getattr` takes them."""
    names = (_last(node) or _text(node) for node in nodes)
    return {name for name in names if name.isidentifier()}


def _is_shared(node: Function, inside: Sequence[ast.AST]) -> bool:
    """Tell whether what a function did for one case may serve others: fixtures, caches, set-ups.

    `inside` are the nodes of its body.
    """
    decorators = _names_in(inner for top in node.decorator_list for inner in ast.walk(top))
    if _SET_UPS.match(node.name) or any(map(_CACHES.match, decorators)):
        return True
    keeps = [name for inner in inside for name in _kept_in(inner)]
    if not keeps:
        return False
    given = node.args
    everyone = [*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg]
    parameters = {arg.arg for arg in everyone if arg is not None} - {"cls"}
    parameters |= {n.arg for n in inside if isinstance(n, ast.arg)}
    parameters |= {n.id for n in inside if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    return not parameters.issuperset(keeps)


def _kept_in(node: ast.AST) -> set[str]:
    """Return the name of the object that a piece of code changes, if it is one."""
    match node:
        case ast.Global():
            return {""}  # never a local name
        case ast.Subscript(value=ast.Name(id=name), ctx=ast.Store()):
            return {name}
        case ast.Attribute(value=ast.Name(id=name), ctx=ast.Store()):
            return {name}
        case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr=how)) if how in _CHANGING:
            return {name}
    return set()
