"""What a change does to one file: code that runs at import, or only bodies of functions."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING, Final

from testopt.features.impact import Touch
from testopt.features.modules import Function, functions_of, parse
from testopt.features.paths import is_code, language_of

if TYPE_CHECKING:
    from collections.abc import Iterable

# What builds, installs or configures: every case may depend on it, and nothing names it.
_BUILD: Final = re.compile(
    r"(?:^|/)(?:pyproject\.toml|setup\.(?:py|cfg)|tox\.ini|pytest\.ini|\.coveragerc|noxfile\.py"
    r"|Pipfile|environment\.ya?ml|Makefile|Dockerfile|\.python-version|sitecustomize\.py"
    r"|(?:requirements|constraints)[^/]*\.(?:txt|in)|[^/]+\.(?:lock|pth)|[^/]*lock\.json)$"
    r"|(?:^|/)requirements/[^/]+$"
)


def touch_of(path: str, old: str | None, new: str | None) -> Touch:
    """Tell what a change does to a file.

    Parameters
    ----------
    path : str
    old, new : str or None
        Its text before and after; None where there is none, or where it cannot be read.

    Returns
    -------
    Touch
        Files of other languages than Python, and what builds and configures, touch everything.
    """
    if _BUILD.search(path):
        return Touch(path, "everything")
    if path.endswith(".pyi"):
        return Touch(path, "nothing")
    if not path.endswith(".py"):
        return Touch(path, "everything" if _may_be_run(path) else "data")
    before, after = (parse(text) if text is not None else None for text in (old, new))
    if before is None or after is None:
        return Touch(path, "module")
    first, second = _bodies(before), _bodies(after)
    if first.keys() != second.keys() or ast.dump(before) != ast.dump(after):
        return Touch(path, "module")
    changed = frozenset(name for name, body in first.items() if second[name] != body)
    return Touch(path, "bodies" if changed else "nothing", changed)


def _may_be_run(path: str) -> bool:
    return is_code(path) and language_of(path) != "sql"


def _bodies(tree: ast.Module) -> dict[str, str]:
    """Take the bodies out of the functions of a module, and return them by dotted name."""
    found = list(functions_of(tree))
    bodies = {name: ast.dump(ast.Module(node.body, [])) for name, node in found}
    for _, node in found:
        node.body = []
    return bodies


def functions_at(text: str, lines: Iterable[int]) -> frozenset[str]:
    """Return the functions to whose bodies some lines belong.

    Parameters
    ----------
    text : str
        Source of a Python module.
    lines : iterable of int
        Line numbers from 1.

    Returns
    -------
    frozenset of str
        Dotted names, as those of `touch_of`; the line of a `def` itself runs at import.
    """
    tree = parse(text)
    wanted = sorted(set(lines))
    if tree is None or not wanted:
        return frozenset()
    return frozenset(name for name, node in functions_of(tree) if _runs(node, set(wanted)))


def _runs(node: Function, lines: set[int]) -> bool:
    return not lines.isdisjoint(range(node.body[0].lineno, (node.end_lineno or node.lineno) + 1))
