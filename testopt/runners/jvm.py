"""What the runners of the Java virtual machine share: classes, methods, test files."""

from __future__ import annotations

import re
from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar, Final

from testopt.runners.protocol import Arguments, Request, Runner, steps

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

# A method as JUnit 4, JUnit 5, TestNG, Surefire and Gradle write it: test, test[0], test(int)[1],
# test{String}[1], test[a](2), test(). Whatever else is reported is made for people to read.
_METHOD: Final = re.compile(
    r"(?P<name>[^\W\d][\w$]*)(?P<types>\((?:[^\W\d][\w$.<>,\[\]? ]*)?\)|\{[^{}]*\})?"
    r"(?P<row>\[.*\](?:\(\d+\))?)?",
    re.DOTALL,
)
_CLASS: Final = re.compile(r"(?:\w+\.)*\w+(?:\$\w+)*")
_DOTTED: Final = re.compile(
    r"(?P<owner>(?:\w+\.)*[\w$]+)\.(?P<method>(?![A-Z])[^\W\d][\w$]*(?:[\[({].*)?)", re.DOTALL
)
_ENDINGS: Final = r"\.(?:java|kt|groovy|scala)"
_FILE: Final = re.compile(
    rf"(?:.*/)?(?:Test[^/]*|[^/]*(?:Tests?|TestCase|IT|Spec)){_ENDINGS}", re.DOTALL
)
_SOURCES: Final = re.compile(r"\A(?:.*/)?src/\w+/(?:java|kotlin|groovy|scala)/", re.DOTALL)
_PROGRAM: Final = re.compile(r"(?:.*/)?src/main/", re.DOTALL)
_PACKAGE: Final = re.compile(r"^[^\S\n]*package\s+([\w.]+)", re.MULTILINE)


class JvmRunner(Runner):
    """A runner that is asked for classes and methods.

    Attributes
    ----------
    nothing : sequence of str
        The arguments by which no test runs.
    """

    nothing: ClassVar[Sequence[str]] = ()

    def fits(self, case: str) -> bool:
        """Return whether an id begins with a class of Java."""
        return _CLASS.fullmatch(class_and_name(case)[0]) is not None

    def is_test_file(self, path: str) -> bool:
        """Return whether a file is called like a test class."""
        return _FILE.fullmatch(path) is not None and _PROGRAM.match(path) is None

    def unit(self, case: str) -> str:
        """Return class and method without parameters; the class, where no method is named."""
        owner, name = class_and_name(case)
        method = _METHOD.fullmatch(name)
        return f"{owner}::{method['name']}" if method else owner

    def group(self, case: str) -> str:
        """Return the class that is called like its file."""
        return class_and_name(case)[0].partition("$")[0]

    def group_of_file(self, path: str, root: Path | None) -> str:
        """Return the class that the file is called after, in the package that it names."""
        found = None
        if root is not None and (root / path).is_file():
            found = _PACKAGE.search((root / path).read_text("utf-8", "replace"))
        name = _SOURCES.sub("", path, count=1).rpartition(".")[0]
        return f"{found[1]}.{name.rpartition('/')[2]}" if found else name.replace("/", ".")

    def arguments(self, request: Request) -> Arguments:
        """Return methods; the class of those that have names for people."""
        if request.everything:
            return Arguments()
        if request.empty:
            return Arguments(self.nothing)
        return Arguments(self.lines(self._asked(request), request))

    @abstractmethod
    def lines(self, asked: dict[str, dict[str, None]], request: Request) -> list[str]:
        """Return the arguments for some methods of classes; none: for all of a class."""

    def _asked(self, request: Request) -> dict[str, dict[str, None]]:
        """Return the methods that run by their class, with a wildcard for what follows a name."""
        vague = _Vague([*request.known, *request.cases])
        asked: dict[str, dict[str, None]] = {}
        entire: set[str] = set()
        for step, is_group in steps(self, request):
            owner, name = (step, "") if is_group else class_and_name(step)
            methods = asked.setdefault(owner, {})
            method = _METHOD.fullmatch(name)
            if method is None or vague.is_for_people(owner, method):
                entire.add(owner)
            else:
                methods |= dict.fromkeys(_patterns(method))
            if is_group:
                asked.setdefault(f"{owner}$*", {})  # classes in it
        return {owner: {} if owner in entire else asked[owner] for owner in asked}


class _Vague:
    """Tells names of methods from names for people that look like them (``@DisplayName``).

    Where JUnit 5 reports what it displays, a method without such a name ends in ``()``.
    """

    def __init__(self, cases: Sequence[str]) -> None:
        self._classes, self._displayed = set(), False
        for owner, name in map(class_and_name, cases):
            method = _METHOD.fullmatch(name)
            if method is None:
                self._classes.add(owner)
            elif (method["types"] or "").startswith("("):
                self._displayed |= method["types"][1:-1] != owner  # JUnit 3 writes test(Class)

    def is_for_people(self, owner: str, method: re.Match[str]) -> bool:
        """Return whether a name need not be the one of the method."""
        return not method["types"] and (self._displayed or owner in self._classes)


def class_and_name(case: str) -> tuple[str, str]:
    """Return the class of a case, a dotted name, and what it is called there."""
    owner, mark, name = case.partition("::")
    dotted = None if mark else _DOTTED.fullmatch(case)
    return (dotted["owner"], dotted["method"]) if dotted else (owner, name)


def _patterns(method: re.Match[str]) -> list[str]:
    """Return what matches a method: by JUnit 5 without its parameters, by JUnit 4 with them."""
    name, row = method["name"], method["row"] and not method["types"]
    return [name, f"{name}[*"] if row else [name]
