"""Reads JUnit XML case by case, whoever wrote it and however large it is.

expat calls back for each tag; the elements of one test case are kept until it ends and are given
to junitparser's classes for their meaning. A case without children needs no such object. Output
of the tests (``system-out`` and the like) is dropped by expat and never reaches Python.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO, Final
from xml.etree.ElementTree import Element

from junitparser.junitparser import Error, Failure, Result, Skipped
from junitparser.xunit2 import FlakyError, RerunError
from junitparser.xunit2 import TestCase as JUnitCase

from testopt.errors import InputFileError
from testopt.schema import FAILING, OUTCOMES, Outcome, digest
from testopt.sources.archives import DAMAGED
from testopt.sources.junit_values import message_digest, parse_duration, parse_timestamp
from testopt.sources.xmlfeed import MAX_DEPTH, feed, make_parser

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from xml.parsers.expat import XMLParserType

    OnCase = Callable[["Case"], None]

_RESULT_TAGS: Final = frozenset(
    {"failure", "error", "skipped"} | {"rerunFailure", "rerunError", "flakyFailure", "flakyError"}
)
_ROOTS: Final = frozenset({"testsuite", "testsuites"})
_MAX_RESULTS = 1000  # of one case; more are not kept
_MAX_TEXT = 4096  # characters of a failure's text that are kept
_MAX_ID = 1 << 16  # characters of a case id; longer ones end in a digest
_SCRIPT = re.compile(r"\.[cm]?[jt]sx?\Z")
# What producers write instead of a <skipped> element: GoogleTest, CTest, Bazel.
_NOT_RUN: Final = frozenset({"notrun", "disabled", "suppressed", "skipped"})


_NO_SUITE: Final = (0, "", "")


class NotJUnitError(InputFileError):
    """Well-formed XML, or the beginning of it, that is no JUnit XML."""

    slug = "not-junit"


@dataclass(slots=True)
class Attempt:
    """One execution of a case; ``message`` is a digest."""

    outcome: Outcome
    duration_s: float | None = None
    message: str | None = None


@dataclass(slots=True)
class Case:
    """One ``testcase`` element: its names as written, and its executions, the last one counting.

    ``suite`` is the name of the suite around it (or of the one around that, where it has none),
    ``project`` is set for Playwright, which runs the same spec in several browsers.
    """

    name: str
    classname: str
    file: str | None
    suite: str
    project: str
    attempts: list[Attempt]

    @property
    def raw_id(self) -> str:
        """``classname::name``; the suite's name stands in for an absent classname."""
        raw = f"{self.classname or self.suite}::{self.name}".removeprefix("::")
        if self.project:
            raw = f"[{self.project}] {raw}"
        return raw if len(raw) <= _MAX_ID else f"{raw[:_MAX_ID]}…{digest(raw)}"


@dataclass(slots=True)
class JUnitSummary:
    """What a document says as a whole; counts are per ``testcase`` element, by final outcome."""

    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(OUTCOMES, 0))
    attempts: int = 0
    is_junit: bool = False  # the root was seen
    time: datetime | None = None  # earliest timestamp, UTC
    broken: InputFileError | None = None  # set where the document is not well-formed

    @property
    def cases(self) -> int:
        """Number of ``testcase`` elements."""
        return sum(self.counts.values())


def read_junit(stream: BinaryIO, on_case: OnCase, *, repair: bool = False) -> JUnitSummary:
    """Read a JUnit XML document.

    Parameters
    ----------
    stream : binary file
        The document.
    on_case : callable
        Receives each complete `Case`, in the order of the document.
    repair : bool
        Leave out characters that XML forbids; ``broken.repairable`` says when that may help.

    Returns
    -------
    JUnitSummary
        With ``broken`` set where the document ends early or is not well-formed.

    Raises
    ------
    NotJUnitError
        When the root is neither ``testsuite`` nor ``testsuites``.
    InputFileError
        When nothing in it can be read, it declares entities, or holds a tag that is too large.
    """
    reader = _Reader(on_case)
    try:
        feed(reader.parser, stream, repair=repair)
    except InputFileError as error:
        if not reader.summary.is_junit:
            raise
        reader.summary.broken = error
    except DAMAGED as error:
        reader.summary.broken = InputFileError(
            f"line {reader.parser.CurrentLineNumber} or after: cannot be unpacked: {error}"
        )
    return reader.summary


class _Reader:
    """Callbacks of expat; keeps the open suites and the elements of the open case."""

    def __init__(self, on_case: OnCase) -> None:
        self.parser: XMLParserType = make_parser()
        self.summary = JUnitSummary()
        self._on_case = on_case
        self._depth = 0
        self._suites: list[tuple[int, str, str]] = []  # depth, name, Playwright project
        self._case: dict[str, str] | None = None
        self._case_depth = 0
        self._results: list[Element] = []
        self._open: Element | None = None  # the result whose text is being read
        self._open_depth = 0
        self._text = 0
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if ":" in tag:
            tag = tag.rpartition(":")[2]
        if self._case is not None:
            if tag in _RESULT_TAGS:
                self._start_result(tag, attributes)
        elif tag == "testcase" and self.summary.is_junit:
            self._case, self._case_depth = attributes, self._depth
        elif tag in _ROOTS:
            self._start_suite(tag, attributes)
        elif not self.summary.is_junit:
            raise NotJUnitError(
                f"line {self.parser.CurrentLineNumber}: this is no JUnit XML, its root is <{tag}>"
            )
        if self._depth > MAX_DEPTH:
            raise InputFileError(
                f"line {self.parser.CurrentLineNumber}: more than {MAX_DEPTH} nested elements"
            )

    def _end(self, _tag: str) -> None:
        depth = self._depth
        self._depth = depth - 1
        if self._case is not None:
            if depth == self._case_depth:
                self._end_case()
            elif self._open is not None and depth == self._open_depth:
                self._open = None
                self.parser.CharacterDataHandler = None
        elif self._suites and depth == self._suites[-1][0]:
            self._suites.pop()

    def _start_suite(self, tag: str, attributes: dict[str, str]) -> None:
        self.summary.is_junit = True
        moment = parse_timestamp(attributes.get("timestamp"))
        if moment is not None and (self.summary.time is None or moment < self.summary.time):
            self.summary.time = moment
        if tag == "testsuite":
            outer = self._suites[-1] if self._suites else _NO_SUITE
            name = attributes.get("name", "").strip() or outer[1]
            self._suites.append((self._depth, name, attributes.get("hostname", "")))

    def _start_result(self, tag: str, attributes: dict[str, str]) -> None:
        if len(self._results) >= _MAX_RESULTS or self._open is not None:
            return
        element = Element(tag, attributes)
        self._results.append(element)
        self._open, self._open_depth, self._text = element, self._depth, 0
        if not attributes.get("message"):
            self.parser.CharacterDataHandler = self._characters

    def _characters(self, text: str) -> None:
        element = self._open
        if element is None or self._text >= _MAX_TEXT:
            self.parser.CharacterDataHandler = None
            return
        element.text = (element.text or "") + text[:_MAX_TEXT]
        self._text += len(text)

    def _end_case(self) -> None:
        attributes, self._case = self._case or {}, None
        if self._results:
            attempts = _attempts(attributes, self._results)
            self._results = []
        else:
            attempts = [Attempt("passed", parse_duration(attributes.get("time")))]
        self.summary.counts[attempts[-1].outcome] += 1
        self.summary.attempts += len(attempts)
        not_run = attributes.get("status") in _NOT_RUN or attributes.get("result") in _NOT_RUN
        if not_run and attempts[-1].outcome == "passed":
            # Counted as the file writes it, but a case that was not run has not passed.
            attempts[-1].outcome = "skipped"
        _, suite, host = self._suites[-1] if self._suites else _NO_SUITE
        classname = attributes.get("classname", "")
        # Playwright alone names its project there; elsewhere it is the machine, which varies.
        project = host if host and classname == suite and _SCRIPT.search(suite) else ""
        name, file = attributes.get("name", ""), attributes.get("file")
        self._on_case(Case(name, classname, file, suite, project, attempts))


def _attempts(attributes: dict[str, str], results: list[Element]) -> list[Attempt]:
    """Return the executions of a case in the order of time, as junitparser's classes say."""
    element = Element("testcase", attributes)
    element.extend(results)
    case = JUnitCase.fromelem(element)
    final = _final(case.result)
    final.duration_s = parse_duration(attributes.get("time"))
    # The last one counts. Of several failures Surefire writes the first as the result and the
    # others as reruns; which of them stands last changes nothing, the result is what it says.
    attempts = [*map(_interim, case.interim_result), final]
    if final.outcome in FAILING and attributes.get("flaky") == "true":
        # Flank writes the failure of an execution that was repeated and passed.
        attempts.append(Attempt("passed"))
    return attempts


def _final(results: list[Result]) -> Attempt:
    """Return the outcome of a case: a failure outweighs an error, both outweigh being skipped."""
    for kind, outcome in _BY_WEIGHT:
        found = next((r for r in results if isinstance(r, kind)), None)
        if found is not None:
            return Attempt(outcome, message=None if kind is Skipped else _message(found))
    return Attempt("passed")


_BY_WEIGHT: Final[tuple[tuple[type[Result], Outcome], ...]] = (
    (Failure, "failed"),
    (Error, "error"),
    (Skipped, "skipped"),
)


def _interim(result: Result) -> Attempt:
    outcome: Outcome = "error" if isinstance(result, (RerunError, FlakyError)) else "failed"
    return Attempt(outcome, parse_duration(result._elem.get("time")), _message(result))  # noqa: SLF001 - junitparser has no name for this attribute


def _message(result: Result) -> str | None:
    return message_digest(result.message or result.text or result.type or "")
