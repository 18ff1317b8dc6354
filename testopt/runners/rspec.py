"""RSpec: files, and the lines of single examples behind them."""

from __future__ import annotations

import os
import posixpath
import re
from typing import TYPE_CHECKING, Final

from testopt.runners.cases_in_ruby import rspec_examples
from testopt.runners.protocol import Arguments, Request, Runner, entire_groups, steps

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from testopt.runners.cases_in_ruby import Example
    from testopt.runners.place import Place

# The path of a file, as rspec_junit_formatter writes it: without its endings, dots for slashes.
_OWNER: Final = re.compile(r"(?:[^:]*\.)?(?:spec\.[^:]+|[^:.]*_spec)")
_ENDINGS: Final = re.compile(r"\.[^/]*\Z")
_NO_TESTS: Final = frozenset({".git", "node_modules", "vendor"})


class RSpec(Runner):
    """RSpec.

    The id of an example is its file and its full description. Where the file says on which line
    that stands, line behind file asks for it, and else the whole file runs. Files run in the order
    of the arguments, examples in that of their file, unless ``--order`` is set to random.
    """

    name = "rspec"
    obeys_order = True

    def fits(self, case: str) -> bool:
        """Return whether an id begins with a file of RSpec."""
        owner, mark, _ = case.partition("::")
        return bool(mark) and _OWNER.fullmatch(owner) is not None

    def is_test_file(self, path: str) -> bool:
        """Return whether a file is called ``*_spec.rb``."""
        return path.endswith("_spec.rb")

    def cases_in(self, path: str, text: str, place: Place) -> list[str]:
        """Return file and full description of each example."""
        inside = posixpath.relpath(path, place.folder) if place.folder else path
        names = (example.parts[0] for example in rspec_examples(text) if example.is_certain)
        return [f"{_owner(inside)}::{name}" for name in dict.fromkeys(names)]

    def unit(self, case: str) -> str:
        """Return the id: examples of one description in a file run together."""
        return case

    def group(self, case: str) -> str:
        """Return the file as ids begin with it."""
        return case.partition("::")[0]

    def group_of_file(self, path: str, root: Path | None) -> str:  # noqa: ARG002 - not needed
        """Return the file as ids begin with it."""
        return _owner(path)

    def arguments(self, request: Request) -> Arguments:
        """Return a file a line, with the lines of its examples where not all of it runs."""
        if request.everything:
            return Arguments()
        if request.empty:
            return Arguments(["--example-matches=(?!)"])
        files = _Files(request.root, request.folder)
        lines: list[str] = []
        for owner, asked in self._asked(request).items():
            for path in files.of(owner):
                numbers = files.lines(path, owner, asked) if asked else []
                lines.append("".join([f"./{path}", *(f":{number}" for number in numbers)]))
        return Arguments(lines)

    def _asked(self, request: Request) -> dict[str, list[str]]:
        """Return the cases that run by their file, none where all of it runs."""
        entire = entire_groups(self, request)
        asked: dict[str, list[str]] = {}
        for name, is_group in steps(self, request):
            owner = name if is_group else self.group(name)
            cases = asked.setdefault(owner, [])
            if not is_group and owner not in entire:
                cases.append(name)
        return asked


class _Places:
    """The lines of the examples of a file."""

    def __init__(self, text: str) -> None:
        self._certain: dict[str, list[int]] = {}
        self._computed: list[Example] = []
        for example in rspec_examples(text):
            if example.is_certain:
                self._certain.setdefault(example.parts[0], []).append(example.line)
            else:
                self._computed.append(example)

    def of(self, description: str) -> Sequence[int]:
        """Return the lines that may declare an example; none: it is not known where it stands."""
        found = self._certain.get(description)
        return found or [one.line for one in self._computed if one.has(description)]


class _Files:
    """The files that ids begin with, relative to where RSpec starts."""

    def __init__(self, root: Path | None, folder: str) -> None:
        self._root, self._folder = root, folder
        self._all: dict[str, list[str]] | None = None

    def of(self, owner: str) -> Sequence[str]:
        """Return the files of a name; where there is none, the one that it usually is of."""
        usual = f"{owner.replace('.', '/')}.rb"
        if self._root is None or self._exists(usual):
            return [usual]
        if self._all is None:
            self._all = {}
            for path in self._walk():
                self._all.setdefault(_owner(path), []).append(path)
                inside = posixpath.relpath(path, self._folder or ".")
                if inside != path:
                    self._all.setdefault(_owner(inside), []).append(path)
        found = dict.fromkeys(self._all.get(owner, []))
        return [posixpath.relpath(path, self._folder or ".") for path in found] or [usual]

    def lines(self, path: str, owner: str, cases: Sequence[str]) -> list[int]:
        """Return the lines of examples of a file; none: not all are known, so all of it runs."""
        try:
            text = self._absolute(path).read_text("utf-8", "replace")
        except (OSError, ValueError):
            return []
        places = _Places(text)
        found = [places.of(case.removeprefix(f"{owner}::")) for case in cases]
        return sorted({line for lines in found for line in lines}) if all(found) else []

    def _absolute(self, path: str) -> Path:
        if self._root is None:
            raise ValueError(path)
        return self._root / self._folder / path

    def _exists(self, path: str) -> bool:
        return self._absolute(path).is_file()

    def _walk(self) -> Iterator[str]:
        """Yield the files of the repository that look like RSpec's."""
        for folder, inner, names in os.walk(self._root or "."):
            inner[:] = sorted(set(inner) - _NO_TESTS)
            place = os.path.relpath(folder, self._root or ".").replace(os.sep, "/")
            yield from (
                posixpath.normpath(f"{place}/{n}") for n in sorted(names) if n.endswith(".rb")
            )


def _owner(path: str) -> str:
    return _ENDINGS.sub("", posixpath.normpath(path)).replace("/", ".").strip(".")
