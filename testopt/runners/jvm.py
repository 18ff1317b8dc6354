"""What the runners of the Java virtual machine share: classes, methods, test files."""

from __future__ import annotations

import re
from typing import Final

VARIANT: Final = re.compile(r"\[[^\]]*\]\Z|\(.*\)(?:\[[^\]]*\])?\Z", re.DOTALL)
_CLASS: Final = re.compile(r"(?:\w+\.)*\w+(?:\$\w+)*")
_FILE: Final = re.compile(
    r"(?:.*/)?(?:Test[^/]*|[^/]*(?:Tests?|TestCase|IT|Spec))\.(?:java|kt|groovy|scala)", re.DOTALL
)
_SOURCES: Final = re.compile(r"(?:.*/)?src/\w+/(?:java|kotlin|groovy|scala)/", re.DOTALL)


def class_and_method(case: str) -> tuple[str, str]:
    """Return the class of a case, a dotted name, and its method without parameters."""
    owner, mark, method = case.partition("::")
    if not mark and "(" not in owner:
        owner, _, method = owner.rpartition(".")
    return owner.replace("::", "."), VARIANT.sub("", method)


def is_class(name: str) -> bool:
    """Return whether a name could be that of a class."""
    return _CLASS.fullmatch(name) is not None


def is_test_file(path: str) -> bool:
    """Return whether a file is called like a test of Java, Kotlin, Groovy or Scala."""
    return _FILE.fullmatch(path) is not None


def class_of_file(path: str) -> str:
    """Return the class that a file is called after, with its package."""
    return _SOURCES.sub("", path, count=1).rpartition(".")[0].replace("/", ".")
