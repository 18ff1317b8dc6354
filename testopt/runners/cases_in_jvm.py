"""Finds the test methods of Java and Kotlin sources: ``package.Class::method``.

With JUnit 5 the types of parameters follow, ``method(int, String)``, as Surefire 3 reports it.
"""

from __future__ import annotations

import re
from typing import Final

_TOKEN: Final = re.compile(
    r"""(?P<skip>//[^\n]*|/\*.*?(?:\*/|\Z)|\"\"\".*?(?:\"\"\"|\Z)|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)+')
    |(?P<annotation>@(?:\w+\.)*\w+)
    |(?P<open>[({])|(?P<close>[)}])
    |(?P<end>;)
    |\b(?P<kind>class|interface|object|record|enum)\s+(?P<owner>\w+)(?P<rest>[^{;()@]*)
    |\bfun\s+(?:<[^>]*>\s*)?(?P<kotlin>\w+|`[^`\n]+`)\s*\(
    |\b(?P<method>\w+)\s*\((?P<arguments>[^()]*)\)\s*(?=\{|throws\b)""",
    re.DOTALL | re.VERBOSE,
)
JUNIT_5: Final = "org.junit.jupiter"
_PACKAGE: Final = re.compile(r"^[ \t]*package\s+([\w.]+)", re.MULTILINE)
_TESTS: Final = frozenset(
    {"Test", "ParameterizedTest", "RepeatedTest", "TestFactory", "TestTemplate", "Property"}
)
_GENERIC: Final = re.compile(r"<[^<>]*>")
_PARAMETER: Final = re.compile(
    r"(?:@\w+\s+|final\s+)*(?:\w++\.)*(\w++)\s*((?:\[\s*\]\s*)*|\.\.\.\s*)\w+\s*"
)
_OLD_BASE: Final = re.compile(r"\bextends\s+(?:\w+\.)*\w*TestCase\b")  # JUnit 3: by name


def jvm_cases(text: str) -> list[str]:
    """Return the ids of the test methods of a source file."""
    reader = _Reader(text)
    for match in _TOKEN.finditer(text):
        reader.take(match)
    return list(reader.found)


class _Reader:
    """Follows the classes of a file, token by token.

    Parameters
    ----------
    text : str
    """

    def __init__(self, text: str) -> None:
        package = _PACKAGE.search(text)
        self._prefix = f"{package[1]}." if package else ""
        self._typed = JUNIT_5 in text
        self.found: dict[str, None] = {}
        self._depth = 0
        # depth of the body of each class around, its name, whether JUnit 3 runs it
        self._owners: list[tuple[int, str, bool]] = []
        self._pending: tuple[str, bool] | None = None
        self._marks: set[str] = set()

    def take(self, match: re.Match[str]) -> None:
        """Take the next token."""
        if match["skip"]:
            return
        if match["annotation"]:
            self._marks.add(match["annotation"].rpartition(".")[2].removeprefix("@"))
        elif match["owner"]:
            self._pending = match["owner"], _OLD_BASE.search(match["rest"]) is not None
            self._marks.clear()
        elif name := match["kotlin"] or match["method"]:
            self._add(name.strip("`"), match["arguments"] or "")
            self._depth += 1 if match["kotlin"] else 0  # its parenthesis is open
        else:
            self._brace(match)

    def _add(self, name: str, arguments: str) -> None:
        owners = self._owners
        if (
            owners
            and owners[-1][0] == self._depth
            and _is_test(name, self._marks, old=owners[-1][2])
        ):
            owner = "$".join(each for _, each, _ in owners)
            types = _types(arguments) if self._typed else ""
            self.found[f"{self._prefix}{owner}::{name}{types}"] = None
        self._marks.clear()

    def _brace(self, match: re.Match[str]) -> None:
        if match["open"]:
            self._depth += 1
            if match["open"] == "{" and self._pending is not None:
                self._owners.append((self._depth, *self._pending))
                self._pending = None
        elif match["close"]:
            self._depth -= 1
            while self._owners and self._depth < self._owners[-1][0]:
                self._owners.pop()
        at_owner = bool(self._owners) and self._owners[-1][0] == self._depth
        if match["end"] or (match["close"] == "}" and at_owner):
            self._marks.clear()


def _is_test(name: str, marks: set[str], *, old: bool) -> bool:
    return bool(marks & _TESTS) or (old and name.startswith("test"))


def _types(arguments: str) -> str:
    """Return the types of parameters without packages and generics, in parentheses."""
    plain = arguments
    while (shorter := _GENERIC.sub("", plain)) != plain:
        plain = shorter
    found = (
        [_PARAMETER.fullmatch(part.strip()) for part in plain.split(",")] if plain.strip() else []
    )
    if not found or not all(found):
        return ""
    types = (match[1] + ("[]" if match[2].strip() else "") for match in found if match is not None)
    return f"({', '.join(types)})"
