"""What a change does to one file: code that runs at import, or only bodies of functions."""

from __future__ import annotations

import ast
from functools import lru_cache
from typing import TYPE_CHECKING

from testopt.code.globs import glob_matcher
from testopt.code.paths import is_code, language_of
from testopt.code.shared_files import RUN_ALL_ON
from testopt.impact.python_module import functions_of, parse
from testopt.impact.safe_selection import FileEdit

if TYPE_CHECKING:
    from collections.abc import Callable


@lru_cache(1)
def _run_all_matcher() -> Callable[..., str]:
    return glob_matcher(RUN_ALL_ON)


def edit_of(path: str, old: str | None, new: str | None) -> FileEdit:
    """Tell what a change does to a file.

    Parameters
    ----------
    path : str
    old, new : str or None
        Its text before and after; None where there is none, or where it cannot be read.

    Returns
    -------
    FileEdit
        Files of other languages than Python, and what builds and configures, touch everything.
    """
    if old is not None and old == new:
        return FileEdit(path, "nothing")
    if _run_all_matcher()(path):
        return FileEdit(path, "everything")
    if not path.endswith((".py", ".pyi")):
        return FileEdit(path, "everything" if _may_be_run(path) else "data")
    return _program(path, old, new) if path.endswith(".py") else FileEdit(path, "nothing")


def _program(path: str, old: str | None, new: str | None) -> FileEdit:
    before, after = (parse(text) if text is not None else None for text in (old, new))
    if before is None or after is None:
        return FileEdit(path, "module")
    first, second = _bodies(before), _bodies(after)
    if first.keys() != second.keys() or ast.dump(before) != ast.dump(after):
        return FileEdit(path, "module")
    changed = frozenset(name for name, body in first.items() if second[name] != body)
    return FileEdit(path, "bodies" if changed else "nothing", changed)


def _may_be_run(path: str) -> bool:
    return is_code(path) and language_of(path) != "sql"


def _bodies(tree: ast.Module) -> dict[str, str]:
    """Take the bodies out of the functions of a module, and return them by dotted name."""
    found = list(functions_of(tree))
    bodies = {name: ast.dump(ast.Module(node.body, [])) for name, node in found}
    for _, node in found:
        node.body = []
    return bodies


def function_spans(text: str) -> list[tuple[str, range]]:
    """Return the functions of a module with the lines of their bodies.

    Parameters
    ----------
    text : str
        Source of a Python module; of one that cannot be parsed nothing is known.

    Returns
    -------
    list of (str, range)
        Dotted names, as those of `edit_of`, and line numbers from 1. The line of a `def` itself
        runs at import and belongs to no function, unless the body stands on it.
    """
    tree = parse(text)
    if tree is None:
        return []
    return [
        (name, range(node.body[0].lineno, (node.end_lineno or node.lineno) + 1))
        for name, node in functions_of(tree)
    ]
