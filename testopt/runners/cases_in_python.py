"""Finds the test functions of Python sources as pytest and unittest would, without importing them.

Parameters, and what a program makes at run time, are not seen: a function stands for all of them.
"""

from __future__ import annotations

import ast
import posixpath
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from testopt.runners.place import Place

_DEPTH: Final = 12  # of inheritance, of classes in classes, of imports
_MOST_KEPT: Final = 300  # modules, so that memory does not grow with the project
_BASE: Final = "TestCase"  # how the names of unittest's classes end, and of those made from them
_MARKS: Final = ("def test", "class ", "def Test")
_BLOCKS: Final = (ast.If, ast.Try, ast.With)
_FILES: Final = ("test_*.py", "*_test.py")
_SKIPPED: Final = (
    "*.egg", ".*", "_darcs", "build", "CVS", "dist", "node_modules", "venv", "{arch}",
)  # fmt: skip
_NO_CASES: Final = frozenset({"fixture"})  # decorators that make no test of a function
_BUILDS: Final = frozenset({"__init__", "__new__"})  # a class with one is not collected by pytest


@dataclass(frozen=True, slots=True)
class Names:
    """How tests are called: beginnings of names, or globs."""

    functions: Sequence[str] = ("test",)
    classes: Sequence[str] = ("Test",)

    def function(self, name: str) -> bool:
        """Tell whether a function is a test."""
        return _matches(name, self.functions)

    def test_class(self, name: str) -> bool:
        """Tell whether a class holds tests."""
        return _matches(name, self.classes)


@dataclass(slots=True)
class _Module:
    """What a module defines at its top, and where it has the rest from."""

    path: str
    functions: list[str] = field(default_factory=list)
    classes: dict[str, ast.ClassDef] = field(default_factory=dict)
    imported: dict[str, tuple[str, str]] = field(default_factory=dict)  # name -> module, its name


def is_collected(path: str, place: Place) -> bool:
    """Tell whether pytest collects a file: by its name, its folder, and the places named."""
    if not path.endswith(".py") or (place.folder and not path.startswith(f"{place.folder}/")):
        return False
    inside = path[len(place.folder) + 1 :] if place.folder else path
    *folders, name = inside.split("/")
    globs = place.options.get("python_files", _FILES)
    if not any(fnmatchcase(inside if "/" in glob else name, glob) for glob in globs):
        return False
    named = place.options.get("testpaths", ())
    if named:
        return any(inside == at or inside.startswith(f"{at.strip('./')}/") for at in named)
    skipped = place.options.get("norecursedirs", _SKIPPED)
    return not any(fnmatchcase(folder, glob) for folder in folders for glob in skipped)


def python_cases(
    path: str, text: str, place: Place, *, names: Names | None = None, only_unittest: bool = False
) -> list[str]:
    """Return the ids of the test functions of a file.

    Parameters
    ----------
    path : str
        Relative to the top of the project; ids begin with it.
    text : str
    place : Place
        Classes are looked up in the files around.
    names : Names, optional
        How tests are called; default: as pytest has it.
    only_unittest : bool
        Leave out functions and classes that unittest does not run.
    """
    module = _module(path, text, place)
    if module is None:
        return []
    used = names or Names()
    found = [] if only_unittest else [name for name in module.functions if used.function(name)]
    for name, node in module.classes.items():
        by_unittest = _is_unittest(node, module, place)
        if by_unittest or (not only_unittest and used.test_class(name)):
            found += _of_class(name, node, module, place, used, by_unittest=by_unittest)
    return [f"{path}::{name}" for name in dict.fromkeys(found)]


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(
        fnmatchcase(name, pattern) if set("*?[") & set(pattern) else name.startswith(pattern)
        for pattern in patterns
    )


def _of_class(
    name: str,
    node: ast.ClassDef,
    module: _Module,
    place: Place,
    names: Names,
    *,
    by_unittest: bool,
) -> list[str]:
    """Return the tests of a class, with those that it inherits, and of the classes in it."""
    members: dict[str, bool] = {}
    inner: dict[str, ast.ClassDef] = {}
    for owner, _ in [(node, module), *_bases(node, module, place)]:
        for member in _flat(owner.body):
            if isinstance(member, ast.FunctionDef | ast.AsyncFunctionDef):
                members.setdefault(member.name, not _is_fixture(member))
            elif isinstance(member, ast.ClassDef):
                inner.setdefault(member.name, member)
            else:
                for target in _assigned(member):
                    members.setdefault(target, False)
    if _says_no(node) or (not by_unittest and not _BUILDS.isdisjoint(members)):
        return []
    wanted = Names() if by_unittest else names
    found = [f"{name}::{each}" for each, is_case in members.items()
             if is_case and wanted.function(each)]  # fmt: skip
    if not by_unittest and name.count("::") < _DEPTH:
        for each, below in inner.items():
            if names.test_class(each):
                found += _of_class(
                    f"{name}::{each}", below, module, place, names, by_unittest=False
                )
    return found


def _says_no(node: ast.ClassDef) -> bool:
    """Tell whether a class says ``__test__ = False``."""
    return any(
        isinstance(each, ast.Assign)
        and "__test__" in _assigned(each)
        and isinstance(each.value, ast.Constant)
        and not each.value.value
        for each in node.body
    )


def _assigned(node: ast.stmt) -> list[str]:
    targets = node.targets if isinstance(node, ast.Assign) else []
    return [target.id for target in targets if isinstance(target, ast.Name)]


def _is_fixture(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return any(_name_of(decorator) in _NO_CASES for decorator in node.decorator_list)


def _name_of(node: ast.expr) -> str:
    """Return the last part of a dotted name, or of what is called."""
    if isinstance(node, ast.Call):
        node = node.func
    if isinstance(node, ast.Subscript):
        node = node.value
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def _is_unittest(node: ast.ClassDef, module: _Module, place: Place) -> bool:
    """Tell whether a class is made from one of unittest, as far as names tell."""
    owners = [(node, module), *_bases(node, module, place)]
    return any(_name_of(base).endswith(_BASE) for owner, _ in owners for base in owner.bases)


def _bases(
    node: ast.ClassDef, module: _Module, place: Place, depth: int = 0
) -> list[tuple[ast.ClassDef, _Module]]:
    """Return the classes that a class is made from, the nearest first, with their modules."""
    found: list[tuple[ast.ClassDef, _Module]] = []
    for base in node.bases if depth < _DEPTH else ():
        owner, where = _find_class(base, module, place)
        if owner is not None and owner is not node:
            found += [(owner, where), *_bases(owner, where, place, depth + 1)]
    return found


def _find_class(
    base: ast.expr, module: _Module, place: Place
) -> tuple[ast.ClassDef | None, _Module]:
    """Return a class by its name, from its module or one that this is imported from."""
    name, dots = _name_of(base), isinstance(base, ast.Attribute)
    if dots:
        owner = base.value if isinstance(base, ast.Attribute) else None
        source = module.imported.get(owner.id) if isinstance(owner, ast.Name) else None
        source = (_joined(*source), name) if source else None
    else:
        if name in module.classes:
            return module.classes[name], module
        source = module.imported.get(name)
    for _ in range(_DEPTH):
        if source is None:
            break
        found = _imported_module(source[0], module.path, place)
        if found is None:
            break
        name = source[1]
        if name in found.classes:
            return found.classes[name], found
        module, source = found, found.imported.get(name)
    return None, module


def _joined(module: str, name: str) -> str:
    if not name:
        return module
    return f"{module}{name}" if module.endswith(".") else f"{module}.{name}"


def _imported_module(name: str, importer: str, place: Place) -> _Module | None:
    """Return a module of the project by its name; leading dots count folders upwards."""
    parts = name.lstrip(".").replace(".", "/")
    level = len(name) - len(name.lstrip("."))
    folder = posixpath.dirname(importer)
    for _ in range(level - 1):
        folder = posixpath.dirname(folder)
    folders = [folder] if level else [folder, *_upwards(folder)]
    for base in folders:
        for ending in (f"{parts}.py", f"{parts}/__init__.py") if parts else ("__init__.py",):
            path = posixpath.join(base, ending)
            if path in place.sources.names:
                return _module(path, None, place)
    return None


def _upwards(folder: str) -> Iterator[str]:
    while folder:
        folder = posixpath.dirname(folder)
        yield folder


def _module(path: str, text: str | None, place: Place) -> _Module | None:
    """Return what a module defines; None where it is no Python, or nothing in it is a test."""
    if path in place.kept:
        kept: _Module | None = place.kept[path]
        return kept
    if text is None:
        text = place.sources.read(path) or ""
    elif not any(mark in text for mark in _MARKS):
        return None
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    if len(place.kept) >= _MOST_KEPT:
        place.kept.clear()
    module = place.kept[path] = _Module(path)
    for node in _flat(tree.body):
        _add(module, node)
    return module


def _add(module: _Module, node: ast.stmt) -> None:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        if not _is_fixture(node):
            module.functions.append(node.name)
    elif isinstance(node, ast.ClassDef):
        module.classes[node.name] = node
    elif isinstance(node, ast.ImportFrom):
        source = "." * node.level + (node.module or "")
        for alias in node.names:
            module.imported[alias.asname or alias.name] = (source, alias.name)
    elif isinstance(node, ast.Import):
        for alias in node.names:
            module.imported[alias.asname or alias.name] = (alias.name, "")


def _flat(body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield statements, those inside of conditions too."""
    for node in body:
        if isinstance(node, _BLOCKS):
            parts = (getattr(node, name, []) for name in ("body", "orelse", "finalbody"))
            yield from _flat(each for part in parts for each in part)
        else:
            yield node
