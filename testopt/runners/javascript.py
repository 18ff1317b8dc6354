"""What Jest, Vitest and Mocha share: files, and patterns of the full names of tests.

One pattern of names holds for all files, and is one argument. It names the cases that are left out:
a test that nobody knows, and one whose name was not understood, runs then. Only where the user
named the cases it names those that run. In reports a line break or a tab is a blank, and the titles
of the suites around a test are joined by a blank or by ``>``: a pattern takes any of them.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar, Final

from testopt.runners.protocol import MAX_ARGUMENT, Arguments, Request, Runner

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

_SCRIPT: Final = re.compile(r"\.[cm]?[jt]sx?\Z")
_BLANKS: Final = " \t\n\r\f\v"
_ARROWS: Final = ">\u203a"  # as Vitest joins titles, and as some set up jest-junit
_LOOSE: Final = re.compile(
    rf"(?P<joint>[{_BLANKS}]+[{_ARROWS}][{_BLANKS}]+)|(?P<blank>[{_BLANKS}]+)|(?P<colons>::)"
    # what was another text before it was a case id, see `testopt.results.case_id_normalisation`
    r"|(?P<any>…(?:#\d+\Z)?|[\x00-\x1f\x7f\ufffd\ud800-\udfff])"
    r"|(?P<path>(?<![\w.:/\\-])(?=[\w.-]+/))"
)
_UNCLEAR: Final = re.compile(r"[\x00-\x08\x0e-\x1f\x7f\ufffd\ud800-\udfff]")
_FOLDED: Final = re.compile(rf"(?:[{_BLANKS}]++(?:[{_ARROWS}](?=[{_BLANKS}]))?|::)+")
_MAX_NAME: Final = 1000  # of longer names the beginning counts
# Bytes of all files: Linux takes 2 MiB of arguments and environment.
_MAX_FILES: Final = 1_000_000
# Titles whose last word does not stand in the file: parameters, variables, sums of texts.
_OPEN_TITLE: Final = re.compile(
    r"(?:[%$][\w.#]+|\})['\"`]|\b(?:test|it)(?:\.\w+)*\(\s*(?:[\w.]+\s*[,+(]|[^,\n]*\+)"
)
_WORD: Final = re.compile(r"\w+")


class ScriptRunner(Runner):
    """A runner of tests in JavaScript and TypeScript.

    Attributes
    ----------
    ignores_case : bool
        Whether its patterns match capital and small letters alike.
    pattern_option : str
        By which a pattern is asked for.
    nothing, may_be_empty : sequence of str
        Arguments by which no test runs, and by which that is no error.
    all_run : str
        What is said where no pattern can tell.
    """

    ignores_case: ClassVar[bool] = False
    pattern_option: ClassVar[str] = "--testNamePattern"
    nothing: ClassVar[Sequence[str]] = ("--passWithNoTests", "(?!)")
    may_be_empty: ClassVar[Sequence[str]] = ("--passWithNoTests",)
    all_run: ClassVar[str] = (
        "the ids name no files and one pattern cannot tell what runs, so all tests run (ids name "
        "files with JEST_JUNIT_CLASSNAME={filepath})"
    )

    def unit(self, case: str) -> str:
        """Return file and name: tests of one name in a file run together."""
        return f"{self.group(case)}::{self._fold(full_name(case))}"

    def group(self, case: str) -> str:
        """Return the file, where the id names one."""
        return split(case)[0]

    def group_of_file(self, path: str, root: Path | None) -> str:  # noqa: ARG002 - not needed
        """Return the file."""
        return path

    def arguments(self, request: Request) -> Arguments:
        """Return files, where the ids name them, and a pattern."""
        if request.everything:
            return Arguments()
        if request.empty:
            return Arguments(self.nothing)
        whole = dict.fromkeys([*request.whole, *filter(None, map(_bare, request.cases))])
        files = self._files(request, whole)
        out = self._left_out(request, whole, files)
        named = request.exact
        pattern = self._only(request, whole) if named else self._without(out, request, whole)
        if not (_is_short(pattern) or files):
            named = not named  # the other way round may be short
            pattern = self._only(request, whole) if named else self._without(out, request, whole)
        if not _is_short(pattern):
            if not files:
                return Arguments(notes=[self.all_run], leaves_out=True)
            pattern = ""
        lines = [self.file_argument(file, request) for file in files]
        if lines or pattern:
            # first: an option with several values, as --reporters before it, takes no file then
            lines.insert(0, f"{self.pattern_option}={pattern or '^'}")
        # whole files alone need not hold a test
        lines += [] if request.cases else self.may_be_empty
        return Arguments(lines, leaves_out=not (named or files))

    @abstractmethod
    def file_argument(self, file: str, request: Request) -> str:
        """Return the argument that asks for a file of the repository."""

    def _files(self, request: Request, whole: Iterable[str]) -> list[str]:
        """Return the files of all that runs; empty: not all are known, or they are too many."""
        files = list(dict.fromkeys([*whole, *map(self.group, request.cases)]))
        known = request.root is not None and all(files)
        return files if known and sum(map(len, files)) < _MAX_FILES else []

    def _left_out(
        self, request: Request, whole: Iterable[str], files: Iterable[str]
    ) -> Sequence[str]:
        running, inside, among = frozenset(request.cases), frozenset(whole), frozenset(files)
        groups = {case: self.group(case) for case in request.known if case not in running}
        return [
            case
            for case, group in groups.items()
            if group not in inside and (not among or group in among) and not _bare(case)
        ]

    def _without(self, out: Iterable[str], request: Request, whole: Iterable[str]) -> str | None:
        """Return a pattern of all names but those left out; None: nothing can be told of them."""
        may_be_unseen = _unseen(whole, request.root)
        if may_be_unseen is None:
            return None
        running = {self._fold(full_name(case)) for case in request.cases}
        running |= {self._fold(case.rpartition("::")[2]) for case in request.cases}
        names: dict[str, None] = {}
        for name in dict.fromkeys(map(full_name, out)):
            unclear = len(name) > _MAX_NAME or _UNCLEAR.search(name) or may_be_unseen(name)
            if not unclear and self._fold(name) not in running:
                names[_loosely(name, {"any": "…", "path": ""})] = None
        return rf"^(?!\s*(?:{'|'.join(names)})\s*$)" if names else ""

    def _only(self, request: Request, whole: Iterable[str]) -> str | None:
        """Return a pattern of the names that run; None: not all of them are known."""
        if any(whole):
            return None
        names: dict[str, None] = {}
        for case in request.cases:
            if not self.group(case) and (head := split(case)[0]):  # a file, or a title
                names[_loosely(f"{head} {full_name(case)}")] = None
            names[_loosely(full_name(case))] = None
        return rf"^\s*(?:{'|'.join(names)})\s*$"

    def _fold(self, name: str) -> str:
        folded = _FOLDED.sub(" ", name).strip()
        return folded.casefold() if self.ignores_case else folded


def split(case: str) -> tuple[str, str]:
    """Return the file of a case, empty where its id names none, and the rest of the id."""
    head, mark, rest = case.partition("::")
    return (head, rest) if _SCRIPT.search(head) and (mark or "/" in head) else ("", case)


def full_name(case: str) -> str:
    """Return the titles of the suites around a test and its own, joined.

    jest-junit writes them as the name and, unless it is set up otherwise, as the classname, too;
    mocha-junit-reporter writes its own one as the classname.
    """
    file, name = split(case)
    at = -1 if file else name.find("::")
    while at >= 0:
        owner, title = name[:at], name[at + 2 :]
        if owner == title or owner.endswith(f" {title}"):
            return owner
        if title.startswith(f"{owner} ") or title.endswith(f" {owner}"):
            return title
        at = name.find("::", at + 1)
    return name


def _bare(case: str) -> str:
    """Return the file that a case is, as one that could not be loaded; empty: it is a test."""
    file, _ = split(case)
    return file if file == case else ""


def _loosely(name: str, kinds: dict[str, str] | None = None) -> str:
    """Return a pattern of a name, whatever the report has made of its blanks and joints."""
    if len(name) > _MAX_NAME:
        return _loosely(name[:_MAX_NAME], kinds) + r"[\s\S]*"
    loose = {
        "joint": rf"\s+(?:[{_ARROWS}]\s+)?",
        "blank": r"\s+",
        "colons": r"(?:::|\s)",
        "any": r"[\s\S]*",
        "path": r"(?:\S*/)?",
        **(kinds or {}),
    }
    parts, at = [], 0
    for found in _LOOSE.finditer(name := name.strip(_BLANKS)):
        parts += [re.escape(name[at : found.start()]), loose[str(found.lastgroup)]]
        at = found.end()
    return "".join([*parts, re.escape(name[at:])])


def _is_short(pattern: str | None) -> bool:
    option = f"--testNamePattern={pattern}"
    return pattern is not None and len(option.encode(errors="replace")) < MAX_ARGUMENT


def _unseen(files: Iterable[str], root: Path | None) -> Callable[[str], bool] | None:
    """Return what tells whether a test of files that run whole could have a name.

    Not all of their tests are known, and one may be called as one that is left out of another
    file: its last word stands in the text then. None: nothing can be told of their names.
    """
    files = list(files)
    words: set[str] = set()
    for file in files:
        try:
            text = (root / file).read_text("utf-8", "replace") if root else None
        except (OSError, ValueError):
            text = None
        if text is None or _OPEN_TITLE.search(text):
            return None
        words.update(word.casefold() for word in _WORD.findall(text))

    def may_be_unseen(name: str) -> bool:
        last = _WORD.findall(name)[-1:]
        return bool(files) and (not last or last[0].casefold() in words)

    return may_be_unseen
