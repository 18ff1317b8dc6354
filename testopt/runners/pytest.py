"""pytest: node ids, in the order in which they should run."""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING, Final

from testopt.runners.protocol import Arguments, Request, Runner, steps

if TYPE_CHECKING:
    from pathlib import Path

# What no pytest accepts in an argument, or not the next one:
# see `testopt.results.case_id_normalisation`.
_UNREPEATABLE: Final = re.compile(r"[\r\n…]|\[.* at 0x[0-9a-fA-F]{6,16}[>,]")
# Endings of languages that have runners of their own; a name with a slash may be a Go module's.
_OTHERS: Final = re.compile(r"v\d+|go|[cm]?[jt]sx?|java|kt|groovy|scala|rs|rb|php|cs|cpp")
# At the top of a repository: what is no dotted name of another runner.
_AT_TOP: Final = re.compile(r".+\.(?:py|rst|txt|md|ipynb|ya?ml|json|feature)", re.DOTALL)
_TEST_FILE: Final = re.compile(r"(?:.*/)?(?:test_[^/]*|[^/]*_test)\.py", re.DOTALL)


class Pytest(Runner):
    """pytest, started in a folder of the repository."""

    name = "pytest"
    obeys_order = True
    long_lists = "write the lines to a file and run pytest @FILE (8.2 or newer)"

    def fits(self, case: str) -> bool:
        """Return whether an id begins with a file that is no other language's."""
        _, slash, name = case.partition("::")[0].rpartition("/")
        if not slash:
            return _AT_TOP.fullmatch(name) is not None
        ending = name.rpartition(".")[2]
        return "." in name and ending.isidentifier() and _OTHERS.fullmatch(ending) is None

    def is_test_file(self, path: str) -> bool:
        """Return whether a file is called ``test_*.py`` or ``*_test.py``."""
        return _TEST_FILE.fullmatch(path) is not None

    def unit(self, case: str) -> str:
        """Return the node id; of parameters that cannot be repeated, that of the function."""
        return case.partition("[")[0] if _UNREPEATABLE.search(case) else case

    def group(self, case: str) -> str:
        """Return the file."""
        return case.partition("::")[0]

    def group_of_file(self, path: str, root: Path | None) -> str:  # noqa: ARG002 - not needed
        """Return the file."""
        return path

    def arguments(self, request: Request) -> Arguments:
        """Return node ids and files, relative to where pytest starts."""
        if request.everything:
            return Arguments()
        names = (name if whole else self.unit(name) for name, whole in steps(self, request))
        return Arguments(list(dict.fromkeys(from_folder(name, request) for name in names)))


def from_folder(case: str, request: Request) -> str:
    """Return a case or a file as it is named where the runner starts."""
    file, mark, rest = case.partition("::")
    if not request.folder or posixpath.isabs(file):
        return case
    if "/" not in file and not file.endswith(".py"):
        at_top = request.root is not None and (request.root / file).is_file()
        if not at_top:
            return case
    return posixpath.relpath(file, request.folder) + mark + rest
