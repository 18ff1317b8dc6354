"""Reads JUnit XML case by case, whoever wrote it and however large it is.

expat calls back for each tag; the elements of one test case are kept until it ends and are given
to junitparser's classes for their meaning. A case without children needs no such object. Output
of the tests (``system-out`` and the like) is dropped by expat and never reaches Python.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple
from xml.etree.ElementTree import Element

from junitparser.junitparser import Error, Failure, Result, Skipped
from junitparser.xunit2 import FlakyError, RerunError
from junitparser.xunit2 import TestCase as JUnitCase

from testopt.errors import InputFileError
from testopt.results.archives import DAMAGED
from testopt.results.junit_values import far_from_now, message_digest, parse_moment
from testopt.results.suites import PYTEST, RETRIED, Suites, environment_in, environment_of
from testopt.results.xml_parsing import MAX_DEPTH, ByteStream, make_parser, parse_xml
from testopt.schema import FAILING, OUTCOMES, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from xml.parsers.expat import XMLParserType

    OnCases = Callable[[list["Case"]], None]

_RESULT_TAGS: Final = frozenset(
    {"failure", "error", "skipped"} | {"rerunFailure", "rerunError", "flakyFailure", "flakyError"}
)
_ROOTS: Final = frozenset({"testsuite", "testsuites"})
# What Playwright's reporter writes, in this order; Vitest's differs from the failures on. A file
# that another tool has rewritten may still name the projects of Playwright's own templates.
_PLAYWRIGHT: Final = [
    *("name", "timestamp", "hostname", "tests"),
    *("failures", "skipped", "time", "errors"),
]
_PROJECTS: Final = frozenset(
    {"chromium", "firefox", "webkit", "Mobile Chrome", "Mobile Safari"}
    | {"Google Chrome", "Microsoft Edge"}
)
_MAX_RESULTS = 1000  # of one case; more are not kept
_MAX_SAMPLES = 16  # messages of a file whose text is kept while it is ingested
_MAX_TEXT = 4096  # characters of a failure's text that are kept
_BATCH: Final = 1000  # cases that are handed on at a time


class NotJUnitError(InputFileError):
    """Well-formed XML, or the beginning of it, that is no JUnit XML."""

    slug = "not-junit"


@dataclass(slots=True)
class Attempt:
    """One execution of a case: ``time`` as it is written, and a digest of the message.

    ``whole`` is set for what is no case: the error of a ``file`` or ``class`` none of whose cases
    could run. ``torn`` marks the error of a tear-down that pytest writes apart from its case.
    """

    outcome: Outcome
    time: str | None = None
    message: str | None = None
    whole: Literal["", "file", "class"] = ""
    torn: bool = False


class Suite(NamedTuple):
    """The suite around a case: its name (or that of the one around it), host, number and project.

    Playwright writes the project (a browser, a device) where all others name the machine.
    """

    name: str = ""
    host: str = ""
    number: int = 0
    project: str = ""


# One `testcase` element: attributes, the suite around it, and its executions, the last one
# counting; None where it has no child that says otherwise, which is the case for most.
Case = tuple[dict[str, str], Suite, list[Attempt] | None]


@dataclass(slots=True)
class JUnitSummary:
    """What a document says as a whole; counts are per ``testcase`` element, by final outcome."""

    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(OUTCOMES, 0))
    attempts: int = 0
    is_junit: bool = False  # the root was seen
    time: datetime | None = None  # earliest timestamp, UTC
    odd_time: str = ""  # a timestamp that cannot be right, and why
    samples: dict[str, str] = field(default_factory=dict)  # a text for digests of messages
    broken: InputFileError | None = None  # set where the document is not well-formed
    missing: str = ""  # why cases may be missing although the document is whole
    suites: Suites = field(default_factory=Suites)

    @property
    def cases(self) -> int:
        """Number of ``testcase`` elements."""
        return sum(self.counts.values())

    def begin(self, text: str | None) -> datetime | None:
        """Note a time at which something began, and return it; None where it cannot be."""
        moment = parse_moment(text) if text and text.strip() else None
        if moment is None:
            return None
        far = far_from_now(moment)
        if far:
            self.odd_time = self.odd_time or f"{text!r} {far}"[:80]
            return None
        if self.time is None or moment < self.time:
            self.time = moment
        return moment

    def sample(self, message: str | None, results: list[Element]) -> None:
        """Keep the text behind a message's digest, of the first few messages."""
        if message is not None and len(self.samples) < _MAX_SAMPLES:
            words = (w for r in results for w in (r.get("type"), r.get("message"), r.text) if w)
            self.sample_text(message, "\n".join(words))

    def sample_text(self, message: str | None, text: str) -> None:
        """Keep a text, as long as there are few."""
        if message is not None and len(self.samples) < _MAX_SAMPLES:
            self.samples.setdefault(message, text[:_MAX_TEXT])


def read_junit(
    stream: ByteStream,
    on_cases: OnCases,
    *,
    repair: bool = False,
    summary: JUnitSummary | None = None,
) -> JUnitSummary:
    """Read a JUnit XML document.

    Parameters
    ----------
    stream : Readable
        The document: anything with ``read(size)``.
    on_cases : callable
        Receives the complete cases, in the order of the document, many at a time.
    repair : bool
        Leave out characters that XML forbids; ``broken.repairable`` says when that may help.
    summary : JUnitSummary, optional
        An empty one to fill, for who wants to know the time before the end.

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
    reader = _Reader(on_cases, summary or JUnitSummary())
    try:
        parse_xml(reader.parser, stream, repair=repair)
    except InputFileError as error:
        if not reader.summary.is_junit:
            raise
        reader.summary.broken = error
    except DAMAGED as error:
        reader.summary.broken = InputFileError(
            f"line {reader.parser.CurrentLineNumber} or after: cannot be unpacked: {error}"
        )
    reader.flush()
    return reader.summary


class _Reader:
    """Callbacks of expat; keeps the open suites, the open case, and cases not handed on yet."""

    def __init__(self, on_cases: OnCases, summary: JUnitSummary) -> None:
        self.parser: XMLParserType = make_parser()
        self.summary = summary
        self._on_cases = on_cases
        self._cases: list[Case] = []
        self._depth = 0
        self._suite = Suite()
        self._suites: list[_Open] = []
        self._seen = self._failing = 0  # cases that have ended, and those that failed once
        self._pytest = self._has_id = False
        self._case: dict[str, str] | None = None
        self._case_depth = 0
        self._results: list[Element] = []
        self._open: Element | None = None  # the result whose text is being read
        self._open_depth = 0
        self._text = 0
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end

    def flush(self) -> None:
        """Hand on the cases that are complete."""
        cases, self._cases = self._cases, []
        passed = sum(attempts is None for _, _, attempts in cases)
        self.summary.counts["passed"] += passed
        self.summary.attempts += passed
        self._on_cases(cases)

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if ":" in tag:
            tag = tag.rpartition(":")[2]
        if self._case is not None:
            if tag in _RESULT_TAGS:
                self._start_result(tag, attributes)
        elif tag == "testcase" and self.summary.is_junit:
            self._case, self._case_depth = attributes, self._depth
        elif tag == "property":
            self._property(attributes)
        elif tag in _ROOTS:
            self._start_suite(tag, attributes)
        elif not self.summary.is_junit:
            raise NotJUnitError(f"{self._where}: this is not JUnit XML: its root is <{tag[:80]}>")
        if self._depth > MAX_DEPTH:
            raise InputFileError(f"{self._where}: more than {MAX_DEPTH} nested elements")

    @property
    def _where(self) -> str:
        return f"line {self.parser.CurrentLineNumber}"

    def _end(self, _tag: str) -> None:
        depth = self._depth
        self._depth = depth - 1
        if self._case is not None:
            if depth == self._case_depth:
                self._end_case(self._case)
            elif self._open is not None and depth == self._open_depth:
                self._open = None
                self.parser.CharacterDataHandler = None
        elif self._suites and depth == self._suites[-1].depth:
            self._end_suite(self._suites.pop())

    def _start_suite(self, tag: str, attributes: dict[str, str]) -> None:
        self.summary.is_junit = True
        moment = self.summary.begin(attributes.get("timestamp"))
        around = self._suite
        self._suites.append(
            _Open(self._depth, around, attributes.get("errors"), attributes.get("failures"))
        )
        self._suites[-1].seen, self._suites[-1].failing = self._seen, self._failing
        own = attributes.get("name", "").strip()
        if tag == "testsuites":
            self._pytest = own == "pytest tests"
            # of the reporters that name scripts, Playwright's
            self._has_id = self._has_id or (self._depth == 1 and "id" in attributes)
            return
        host = attributes.get("hostname", "")
        kind = PYTEST if self._pytest or own == "pytest" else RETRIED
        number = self.summary.suites.open(
            own + environment_of(attributes), host, start=moment, inside=around.number, kind=kind,
            tests=attributes.get("tests"),
        )  # fmt: skip
        project = host if self._by_playwright(attributes) else ""
        self._suite = Suite(own or around.name, host, number, project)

    def _by_playwright(self, attributes: dict[str, str]) -> bool:
        if self._has_id or attributes.get("hostname") in _PROJECTS:
            return True
        return list(attributes) == _PLAYWRIGHT

    def _property(self, attributes: dict[str, str]) -> None:
        found = environment_in(attributes.get("name", ""), attributes.get("value", ""))
        if found and self._suite.number:
            self.summary.suites.specify(self._suite.number, found)

    def _end_suite(self, suite: _Open) -> None:
        """Leave a suite; one that counts errors and holds none of them has lost cases."""
        lost = _positive(suite.errors) and self._failing == suite.failing
        if lost or (_positive(suite.failures) and self._seen == suite.seen):
            self.summary.missing = (
                self.summary.missing
                or f"suite {self._suite.name!r} has errors and no case that failed"
            )
        self._suite = suite.around

    def _start_result(self, tag: str, attributes: dict[str, str]) -> None:
        if len(self._results) >= _MAX_RESULTS or self._open is not None:
            return
        element = Element(tag, attributes)
        self._results.append(element)
        self._open, self._open_depth, self._text = element, self._depth, 0
        if not attributes.get("message") or len(self.summary.samples) < _MAX_SAMPLES:
            self.parser.CharacterDataHandler = self._characters

    def _characters(self, text: str) -> None:
        element = self._open
        # The handler stays: expat's buffer would call it again while it is being removed.
        if element is None or self._text >= _MAX_TEXT:
            return
        element.text = (element.text or "") + text[:_MAX_TEXT]
        self._text += len(text)

    def _end_case(self, attributes: dict[str, str]) -> None:
        self._case = None
        self._seen += 1
        attempts: list[Attempt] | None = None
        if self._results:
            attempts = _attempts(attributes, self._results)
            self._failing += any(one.outcome in FAILING for one in attempts)
            _mark(attributes, attempts[-1], self._results)
            self.summary.sample(attempts[-1].message, self._results)
            self._results = []
            self.summary.counts[attempts[-1].outcome] += 1
            self.summary.attempts += len(attempts)
        self._cases.append((attributes, self._suite, attempts))
        if len(self._cases) >= _BATCH:
            self.flush()


@dataclass(slots=True)
class _Open:
    """A suite that has begun: how deep it lies, what is around it, and what it counts."""

    depth: int
    around: Suite
    errors: str | None
    failures: str | None
    seen: int = 0
    failing: int = 0


def _positive(text: str | None) -> bool:
    return text is not None and text.strip().isdecimal() and text.strip("0 ") != ""


# What stands for a class that could not be set up: JUnit 4, Gradle, Ant.
_CLASSES: Final = frozenset({"", "initializationError", "classMethod", "executionError"})
# unittest reports a module that cannot be imported as a case of this class.
UNITTEST: Final = "unittest.loader._FailedTest"
# A package of Go that failed without a test that did, as gotestsum writes it: in no class.
GO_MAIN: Final = "TestMain"
_GO_FAILED: Final = frozenset({"[build failed]", "[setup failed]"})  # by go-junit-report


def _mark(attributes: dict[str, str], last: Attempt, results: list[Element]) -> None:
    """Mark what stands for a whole file or class, and the error of a tear-down."""
    name, owner = attributes.get("name"), attributes.get("classname", "")
    words = results[0].get("message", "")
    if last.outcome in FAILING and name is not None:
        last.torn = words.startswith("failed on teardown with ")
        if words == "collection failure" or owner == UNITTEST:
            last.whole = "file"
        elif _is_class(owner, name) or _is_go_package(owner, name, words):
            last.whole = "class"


def _is_class(owner: str, name: str) -> bool:
    return owner != "" and (name in _CLASSES or (name == owner and "/" in name))  # Vitest


def _is_go_package(owner: str, name: str, words: str) -> bool:
    """Tell whether a case stands for a package of Go that did not build, or broke as a whole."""
    if not owner:
        return name == GO_MAIN
    return name in _GO_FAILED or (name == "Failure" and words == "Runtime error")


def _attempts(attributes: dict[str, str], results: list[Element]) -> list[Attempt]:
    """Return the executions of a case in the order of time, as junitparser's classes say."""
    element = Element("testcase", attributes)
    element.extend(results)
    case: Any = JUnitCase.fromelem(element)  # type: ignore[no-untyped-call]
    final = _final(case.result)
    final.time = attributes.get("time")
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
    return Attempt(outcome, result._elem.get("time"), _message(result))  # noqa: SLF001 - junitparser has no name for this attribute


def _message(result: Result) -> str | None:
    return message_digest(result.message or result.text or result.type or "")
