"""``python -m unittest``: dotted names, in the order in which they should run."""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING, Final

from testopt.errors import UsageError
from testopt.pluralize import pluralize
from testopt.runners.cases_in_python import python_cases
from testopt.runners.protocol import Arguments, Request, Runner, steps

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from testopt.runners.place import Place

# Parameters, and subtests as unittest-xml-reporting writes them: test_sub [message] (i=1).
_VARIANT: Final = re.compile(r"(?<!\s)\s*+[\[(].*", re.DOTALL)
# unittest's own classes stand for what failed outside of a test.
_DOTTED: Final = re.compile(r"(?!unittest\.)[^\W\d]\w*(?:\.[^\W\d]\w*)+")


class Unittest(Runner):
    """unittest of Python's standard library, started in a folder of the repository.

    What is named twice runs twice, so a method is not named beside its module.
    """

    name = "unittest"
    obeys_order = True
    group_kind = "module"

    def fits(self, case: str) -> bool:
        """Return whether an id is a method of a class, in a file of Python or a dotted module."""
        file, mark, rest = self.unit(case).partition("::")
        if file.endswith(".py"):
            return not file.startswith("-") and (not mark or "::" in rest)
        return _DOTTED.fullmatch(f"{file}{mark}{rest}".replace("::", ".")) is not None

    def is_test_file(self, path: str) -> bool:
        """Return whether a file is called ``test*.py``."""
        name = path.rpartition("/")[2]
        return name.startswith("test") and name.endswith(".py") and not path.startswith("-")

    def cases_in(self, path: str, text: str, place: Place) -> list[str]:
        """Return file, class and method of each test."""
        return python_cases(path, text, place, only_unittest=True)

    def unit(self, case: str) -> str:
        """Return the id without parameters and subtest."""
        owner, mark, method = case.partition("::")
        if not mark:
            return owner if owner.endswith(".py") else _head(owner)
        return owner + mark + _head(method)

    def group(self, case: str) -> str:
        """Return the file, or the module of a dotted name."""
        file, mark, _ = self.unit(case).partition("::")
        if file.endswith(".py"):
            return file
        return file.rpartition(".")[0] if mark else file.rpartition(".")[0].rpartition(".")[0]

    def group_of_file(self, path: str, root: Path | None) -> str:  # noqa: ARG002 - not needed
        """Return the file."""
        return path

    def arguments(self, request: Request) -> Arguments:
        """Return dotted names; nothing for everything, which unittest then discovers."""
        if request.everything:
            return Arguments()
        if request.empty:
            return Arguments(["-h"])
        names = list(steps(self, request))
        named = [(name, whole) for name, whole in names if _is_below(name, request.folder)]
        left = [name for name, whole in names if not _is_below(name, request.folder)]
        if left and not named:
            raise UsageError(
                f"unittest reaches no module outside of the working folder, such as {left[0]!r}",
                "start testopt and unittest at the top of the repository",
            )
        units = (name if whole else self.unit(name) for name, whole in named)
        return Arguments(_apart(_dotted(name, request.folder) for name in units), _outside(left))


def _head(method: str) -> str:
    return _VARIANT.sub("", method, count=1)


def _is_below(name: str, folder: str) -> bool:
    """Return whether a case or module can be named in a folder; dotted ones stay as they are."""
    file = name.partition("::")[0]
    return not folder or not file.endswith(".py") or file.startswith(f"{folder}/")


def _dotted(name: str, folder: str) -> str:
    file, mark, rest = name.partition("::")
    if file.endswith(".py"):
        path = posixpath.relpath(file, folder) if folder else file
        file = path.removesuffix(".py").replace("/", ".")
    return f"{file}{mark}{rest}".replace("::", ".")


def _apart(names: Iterable[str]) -> list[str]:
    """Return names, each once, without those inside of others."""
    found = dict.fromkeys(names)
    inner = {name for name in found if any(end in found for end in _around(name))}
    return [name for name in found if name not in inner]


def _around(name: str) -> Iterator[str]:
    while name := name.rpartition(".")[0]:
        yield name


def _outside(left: Sequence[str]) -> list[str]:
    if not left:
        return []
    count = pluralize(len(left), "case")
    return [f"{count} outside of the working folder, such as {left[0][:80]!r}, cannot be named"]
