"""What the names of report files tell: which attempt they are of, and in which environment."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

# `attempt-2` is the second one, `retry1` and `rerun_1` too; a bare `retry` is after the first.
_ATTEMPT: Final = re.compile(
    r"(?<![a-z])(?P<word>attempts?|retr(?:y|ies)|re-?runs?)"
    r"(?:[-_. #]?(?P<number>\d{1,4}))?(?![a-z])",
    re.IGNORECASE,
)
# Artifacts named after `github.run_id` and `github.run_attempt`.
_GITHUB: Final = re.compile(r"(?<!\d)\d{9,12}[-_](?P<number>\d{1,3})(?!\d)")
# Words that name an environment. A file of one is no attempt of a file of another.
_ENVIRONMENT: Final = re.compile(
    # Firebase, Flank
    r"(?<![\w.])[\w.]++-\d{2}-[a-z]{2}(?:_[A-Z]{2})?-(?:portrait|landscape|default)"
    r"|(?<![a-z])(?:chrom(?:e|ium)|firefox|gecko|webkit|safari|edge|opera|electron"
    r"|linux|ubuntu|debian|alpine|fedora|mac-?os|darwin|windows|win(?:32|64)|android|ios|x86|x64"
    r"|amd64|arm64|aarch64|jsdom|mobile|desktop|tablet"
    r"|pixel[-_ ]?\w+|nexus[-_ ]?\w+|iphone[-_ ]?\w+|ipad[-_ ]?\w+|galaxy[-_ ]?\w+|emulator-\d+"
    r"|(?:py(?:thon|py)?|node|jdk|java|ruby|go|php|net|django|rails|rust|gcc|clang|msvc)"
    r"[-_ ]?v?\d+(?:\.\d+)*)(?![a-z])",
    re.IGNORECASE,
)
_NO_LETTERS: Final = re.compile(r"[^A-Za-z0-9]+")
_DIGITS: Final = re.compile(r"(\d+)")
_LAST: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Layout:
    """What the name of a file tells of it.

    ``rank`` is its place among the files of its run, ``environment`` a hash of the environment
    that is named (0: none), ``attempted`` is set where it is one of several attempts by name.
    """

    rank: int
    environment: int
    attempted: bool


def layouts_of(names: Sequence[str]) -> list[Layout]:
    """Order the files of a run by attempt, then by name, 2 before 10.

    Parameters
    ----------
    names : sequence of str
        Paths, with ``/`` or ``\\``.
    """
    paths = _without_common([name.replace("\\", "/") for name in names])
    folders = {path[: path.index("/test_attempts/")] for path in paths if "/test_attempts/" in path}
    keys = [(_attempt(path, folders), _natural(path)) for path in paths]
    order = sorted(range(len(paths)), key=keys.__getitem__)
    ranks = {number: rank for rank, number in enumerate(order)}
    families = [_NO_LETTERS.sub("", _unmarked(path)) for path in paths]
    attempted = {f for f, path in zip(families, paths, strict=True) if _unmarked(path) != path}
    return [
        Layout(ranks[n], _environment(path), families[n] in attempted)
        for n, path in enumerate(paths)
    ]


def _without_common(paths: list[str]) -> list[str]:
    """Return paths without the folders that all of them lie in: these tell nothing apart."""
    folders = [path.split("/")[:-1] for path in paths]
    least, most = min(folders, default=[]), max(folders, default=[])
    same = takewhile(lambda pair: pair[0] == pair[1], zip(least, most, strict=False))
    common = sum(1 for _ in same)
    return ["/" + "/".join(path.split("/")[common:]) for path in paths]


def _unmarked(path: str) -> str:
    return _GITHUB.sub("", _ATTEMPT.sub("", path))


def _attempt(path: str, bazel: set[str]) -> int:
    """Return the attempt that a path names, 1 where it names none."""
    folder, _, file = path.rpartition("/")
    if file == "test.xml" and folder in bazel:
        return _LAST  # Bazel keeps the attempts that failed aside
    marks = list(_ATTEMPT.finditer(path))
    if not marks:
        github = _GITHUB.search(path)
        return int(github["number"]) if github else 1
    found = marks[-1]  # the innermost folder, or the name, decides
    number = int(found["number"]) if found["number"] else 1
    return number if found["word"].lower().startswith("attempt") else number + 1


def _natural(path: str) -> list[tuple[str, int]]:
    parts = [*_DIGITS.split(path), "0"]
    return [(parts[n], int(parts[n + 1])) for n in range(0, len(parts) - 1, 2)]


def _environment(path: str) -> int:
    words = sorted({found[0].lower() for found in _ENVIRONMENT.finditer(_unmarked(path))})
    return hash(tuple(words)) if words else 0
