"""Maven Surefire: ``-Dtest=…``; several methods of a class follow a ``+``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, ClassVar, Final

from testopt.runners.cases_in_jvm import jvm_cases
from testopt.runners.jvm import JvmRunner

if TYPE_CHECKING:
    from testopt.runners.place import Place
    from testopt.runners.protocol import Request

# Others, such as FooIT, are Failsafe's; Surefire would run them, too, where they are named.
_DEFAULTS: Final = re.compile(r"(?:.*/)?(?:Test[^/]*|[^/]*(?:Tests?|TestCase))\.\w+", re.DOTALL)
_NEED_NOT_BE_FOUND: Final = ("-DfailIfNoTests=false", "-Dsurefire.failIfNoSpecifiedTests=false")


class Surefire(JvmRunner):
    """Surefire of Maven, before version 3 and since.

    Attributes
    ----------
    option : str
        By which it is asked for classes and methods.
    need_not_be_found : tuple of str
        Arguments by which it is no error that none is found.
    """

    name = "surefire"
    nothing = ("-DskipTests",)
    option: ClassVar[str] = "-Dtest"
    need_not_be_found: ClassVar[tuple[str, ...]] = _NEED_NOT_BE_FOUND

    def is_test_file(self, path: str) -> bool:
        """Return whether Surefire takes a file for a test class, by its name."""
        return _DEFAULTS.fullmatch(path) is not None and super().is_test_file(path)

    def cases_in(self, path: str, text: str, place: Place) -> list[str]:  # noqa: ARG002 - text tells
        """Return class and method of each test."""
        return jvm_cases(text)

    def lines(self, asked: dict[str, dict[str, None]], request: Request) -> list[str]:
        """Return one option."""
        names = (f"{owner}#{'+'.join(m)}" if m else owner for owner, m in asked.items())
        # a changed file alone need not hold a test
        return [
            f"{self.option}={','.join(names)}",
            *(() if request.cases else self.need_not_be_found),
        ]
