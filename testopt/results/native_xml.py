"""Reads the XML that test runners write besides JUnit's: TRX, NUnit 3, xUnit.net v2, CTest, Robot.

Each gives the same cases as `testopt.results.junit.read_junit`, by the same parser with the same
limits. The classes below know one format each; all they see are tags, attributes and short texts.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING, ClassVar, Final

from testopt.errors import InputFileError
from testopt.results.archives import DAMAGED
from testopt.results.junit import Attempt, JUnitSummary, NotJUnitError, Suite
from testopt.results.junit_values import message_digest
from testopt.results.suites import APART
from testopt.results.xml_parsing import MAX_DEPTH, ByteStream, make_parser, parse_xml

if TYPE_CHECKING:
    from testopt.results.junit import Case, OnCases
    from testopt.schema import Outcome

_BATCH: Final = 1000
_MAX_TEXT: Final = 4096  # characters of a text that are kept
_CLOCK_TIME: Final = re.compile(r"(?:(\d+)\.)?(\d+):(\d\d):(\d\d(?:\.\d+)?)\Z")


def read_native(
    stream: ByteStream,
    on_cases: OnCases,
    *,
    root: str,
    repair: bool = False,
    summary: JUnitSummary | None = None,
) -> JUnitSummary:
    """Read a document of one of ``NATIVE_ROOTS``; parameters and results as `read_junit`.

    Parameters
    ----------
    stream : Readable
        The document.
    on_cases : callable
        Receives the complete cases, many at a time.
    root : str
        Name of its root element.
    repair : bool
        Leave out characters that XML forbids.
    summary : JUnitSummary, optional
        An empty one to fill.

    Raises
    ------
    NotJUnitError
        When it holds no results.
    InputFileError
        When nothing in it can be read, it declares entities, or holds a tag that is too large.
    """
    sink = CaseSink(on_cases, summary or JUnitSummary())
    reader = _Reader(NATIVE_ROOTS[root](sink))
    try:
        parse_xml(reader.parser, stream, repair=repair)
    except NotJUnitError:
        raise
    except InputFileError as error:
        if not sink.summary.is_junit:
            raise
        sink.summary.broken = error
    except DAMAGED as error:
        sink.summary.broken = InputFileError(f"cannot be unpacked: {error}")
    reader.dialect.finish()
    sink.flush()
    if not sink.summary.is_junit:
        raise NotJUnitError("it holds no test results")
    return sink.summary


class CaseSink:
    """Takes cases one by one, counts them, and hands them on many at a time."""

    def __init__(self, on_cases: OnCases, summary: JUnitSummary) -> None:
        self.summary = summary
        self._on_cases = on_cases
        self._cases: list[Case] = []
        # Its attempts stand in one case, so a case that comes again is another execution.
        self._suite = self.suite("")

    def suite(self, name: str, start: str | None = None) -> Suite:
        """Return a new suite; cases of suites of one name are attempts of each other."""
        moment = self.summary.begin(start)
        return Suite(number=self.summary.suites.open(name, start=moment, kind=APART))

    def add(
        self, attributes: dict[str, str], attempts: list[Attempt], suite: Suite | None = None
    ) -> None:
        """Take a case; the last of its attempts counts."""
        self.summary.counts[attempts[-1].outcome] += 1
        self.summary.attempts += len(attempts)
        self._cases.append((attributes, suite or self._suite, attempts))
        if len(self._cases) >= _BATCH:
            self.flush()

    def attempt(self, outcome: Outcome, time: str | None, text: str = "") -> Attempt:
        """Return one execution; `text` is its message, of which a digest is kept."""
        message = message_digest(text) if text and outcome in {"failed", "error"} else None
        self.summary.sample_text(message, text)
        return Attempt(outcome, time, message)

    def note_time(self, text: str | None) -> None:
        """Note a time at which something began."""
        self.summary.begin(text)

    def lack(self, why: str) -> None:
        """Note that cases may be missing."""
        self.summary.missing = self.summary.missing or why

    def flush(self) -> None:
        """Hand on the cases that are complete."""
        cases, self._cases = self._cases, []
        self._on_cases(cases)


class _Handler:
    """What one format means; ``texts`` names the elements whose text is wanted."""

    texts: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, sink: CaseSink) -> None:
        self.sink = sink

    def start(self, tag: str, attributes: dict[str, str], depth: int) -> None:
        """Meet the beginning of an element."""

    def end(self, tag: str, text: str) -> None:
        """Meet the end of an element; `text` is empty unless it is wanted."""

    def finish(self) -> None:
        """Meet the end of the document, early or not."""


class _Reader:
    """Callbacks of expat: depth, namespaces, and short texts."""

    def __init__(self, dialect: _Handler) -> None:
        self.dialect = dialect
        self.parser = make_parser()
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self._depth = 0
        self._text: list[str] = []
        self._length = 0

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            line = self.parser.CurrentLineNumber
            raise InputFileError(f"line {line}: more than {MAX_DEPTH} nested elements")
        name = tag.rpartition(":")[2]
        self.dialect.start(name, attributes, self._depth)
        self._text, self._length = [], 0
        wanted = name in self.dialect.texts
        self.parser.CharacterDataHandler = self._characters if wanted else None

    def _characters(self, text: str) -> None:
        if self._length < _MAX_TEXT:
            self._text.append(text[:_MAX_TEXT])
            self._length += len(text)

    def _end(self, tag: str) -> None:
        self._depth -= 1
        self.parser.CharacterDataHandler = None
        self.dialect.end(tag.rpartition(":")[2], "".join(self._text).strip())
        self._text = []


def _clock(text: str | None) -> str | None:
    """Return ``1.02:03:04.5`` (days, hours, minutes, seconds) in seconds; else the text."""
    match = _CLOCK_TIME.match(text or "")
    if match is None:
        return text
    days, hours, minutes, seconds = (float(part or 0) for part in match.groups())
    return repr(((days * 24 + hours) * 60 + minutes) * 60 + seconds)


def _without_owner(name: str, owner: str) -> str:
    return name.removeprefix(f"{owner}.") if owner else name


class _Trx(_Handler):
    """Visual Studio's test results. Classes are named behind the results, by the tests' ids."""

    texts = frozenset({"Message"})

    def __init__(self, sink: CaseSink) -> None:
        super().__init__(sink)
        self._open: list[dict[str, str]] = []
        self._parents: set[int] = set()  # depths of results that hold those of their data rows
        self._done: list[tuple[str, str, Attempt]] = []
        self._classes: dict[str, str] = {}
        self._test = ""

    def start(self, tag: str, attributes: dict[str, str], depth: int) -> None:
        if depth == 1:
            self.sink.summary.is_junit = True
        elif tag == "UnitTestResult":
            if self._open:
                self._parents.add(len(self._open) - 1)
            self._open.append(dict(attributes))
        elif tag == "Times":
            self.sink.note_time(attributes.get("start"))
        elif tag in {"ResultSummary", "RunInfo", "Counters"}:
            unended = any(attributes.get(name, "0") != "0" for name in _TRX_UNENDED)
            if unended or attributes.get("outcome") in _TRX_ABORTED:
                self.sink.lack("the test run was aborted")
        elif tag == "UnitTest":
            self._test = attributes.get("id", "")
        elif tag == "TestMethod":
            owner = attributes.get("className", "").partition(",")[0].strip()
            self._classes[self._test] = owner

    def end(self, tag: str, text: str) -> None:
        if tag == "Message" and self._open:
            self._open[-1].setdefault("text", text)
        elif tag == "UnitTestResult" and self._open:
            one = self._open.pop()
            if len(self._open) in self._parents:
                self._parents.discard(len(self._open))  # it repeats what its rows say
                return
            outcome = _TRX_OUTCOMES.get(one.get("outcome", "Error"), "skipped")
            attempt = self.sink.attempt(outcome, _clock(one.get("duration")), one.get("text", ""))
            self._done.append((one.get("testId", ""), one.get("testName", ""), attempt))

    def finish(self) -> None:
        for test, name, attempt in self._done:
            owner = self._classes.get(test, "")
            attributes = {"classname": owner, "name": _without_owner(name, owner)}
            self.sink.add(attributes, [attempt])
        self._done = []


# Of a whole run: a test host that crashed or was stopped writes no more results.
_TRX_ABORTED: Final = frozenset(
    {"Aborted", "Error", "Timeout", "Disconnected", "InProgress", "Pending"}
)
_TRX_UNENDED: Final = ("aborted", "disconnected", "inProgress", "pending")
# An outcome that is not written is "Error", the default of the format.
_TRX_OUTCOMES: Final[dict[str, Outcome]] = {
    "Passed": "passed",
    "Warning": "passed",
    "PassedButRunAborted": "passed",
    "Completed": "passed",
    "Failed": "failed",
    "Error": "error",
    "Timeout": "error",
    "Aborted": "error",
}


class _CaseElements(_Handler):
    """Formats in which a case is one element, named ``element``, with messages in it."""

    texts = frozenset({"message"})
    element: ClassVar[str]

    def __init__(self, sink: CaseSink) -> None:
        super().__init__(sink)
        self._case: dict[str, str] | None = None

    def start(self, tag: str, attributes: dict[str, str], depth: int) -> None:
        if depth == 1:
            self.sink.summary.is_junit = True
        if tag == self.element:
            self._case = dict(attributes)

    def end(self, tag: str, text: str) -> None:
        case = self._case
        if case is None:
            return
        if tag == "message":
            case.setdefault("text", text)
        elif tag == self.element:
            self._case = None
            self.case(case)

    def case(self, case: dict[str, str]) -> None:
        """Take in a complete case: its attributes, and its first message as ``text``."""
        raise NotImplementedError


class _NUnit(_CaseElements):
    """NUnit 3: ``test-run``, nested suites, and ``test-case`` with a class and a name."""

    element = "test-case"

    def __init__(self, sink: CaseSink) -> None:
        super().__init__(sink)
        self._seen = 0
        self._suites: list[tuple[int, bool]] = []  # cases before, and whether it could not run

    def start(self, tag: str, attributes: dict[str, str], depth: int) -> None:
        super().start(tag, attributes, depth)
        if tag in {"test-run", "test-suite"}:
            self.sink.note_time(attributes.get("start-time"))
            unable = attributes.get("label") in _NUNIT_UNABLE
            unable = unable or attributes.get("runstate") == "NotRunnable"
            self._suites.append((self._seen, unable))
            if tag == "test-run" and attributes.get("label") == "Cancelled":
                self.sink.lack("the test run was cancelled")

    def end(self, tag: str, text: str) -> None:
        super().end(tag, text)
        if tag in {"test-run", "test-suite"} and self._suites:
            before, unable = self._suites.pop()
            if unable and before == self._seen:
                self.sink.lack("a suite could not be run")

    def case(self, case: dict[str, str]) -> None:
        self._seen += 1
        outcome = _NUNIT_OUTCOMES.get(case.get("result", ""), "skipped")
        if outcome == "failed" and case.get("label") in {"Error", "Invalid", "Cancelled"}:
            outcome = "error"
        name, owner = case.get("name", ""), case.get("classname", "")
        if not owner:
            owner = case.get("fullname", "").removesuffix(name).rstrip(".")
        attempt = self.sink.attempt(outcome, case.get("duration"), case.get("text", ""))
        self.sink.add({"classname": owner, "name": _without_owner(name, owner)}, [attempt])


_NUNIT_UNABLE: Final = frozenset({"Error", "Invalid", "Cancelled"})
_NUNIT_OUTCOMES: Final[dict[str, Outcome]] = {
    "Passed": "passed",
    "Warning": "passed",
    "Failed": "failed",
}


class _XUnit(_CaseElements):
    """xUnit.net v2 and v3: assemblies, collections, and ``test`` with type and full name."""

    element = "test"

    def start(self, tag: str, attributes: dict[str, str], depth: int) -> None:
        if tag == "assembly":
            date, time = attributes.get("run-date", ""), attributes.get("run-time", "")
            self.sink.note_time(attributes.get("start-rtf") or f"{date} {time}".strip())
        elif tag == "error" and attributes.get("type") in {"fatal", "assembly-cleanup"}:
            self.sink.lack("an assembly ended with an error")
        super().start(tag, attributes, depth)

    def case(self, case: dict[str, str]) -> None:
        outcome = _XUNIT_OUTCOMES.get(case.get("result", ""), "skipped")
        owner = case.get("type", "")
        name = _without_owner(case.get("name") or case.get("method", ""), owner)
        attempt = self.sink.attempt(outcome, case.get("time"), case.get("text", ""))
        file = {"file": case["source-file"]} if case.get("source-file") else {}
        self.sink.add({"classname": owner, "name": name, **file}, [attempt])


_XUNIT_OUTCOMES: Final[dict[str, Outcome]] = {"Pass": "passed", "Fail": "failed"}


class _CTest(_Handler):
    """CTest's ``Test.xml``; its other files have the same root and no ``Testing``."""

    texts = frozenset({"Name", "Value", "StartTestTime"})

    def __init__(self, sink: CaseSink) -> None:
        super().__init__(sink)
        self._case: dict[str, str] | None = None
        self._measure = ""

    def start(self, tag: str, attributes: dict[str, str], depth: int) -> None:
        if depth == 2:  # noqa: PLR2004 - below the root
            if tag != "Testing":
                raise NotJUnitError(f"CTest's <{tag[:80]}> holds no test results")
            self.sink.summary.is_junit = True
        elif tag == "Test" and "Status" in attributes:
            self._case = {"status": attributes["Status"]}
        elif tag == "NamedMeasurement":
            self._measure = attributes.get("name", "")
        elif tag == "Measurement":
            self._measure = "output"

    def end(self, tag: str, text: str) -> None:
        case = self._case
        if case is None:
            if tag == "StartTestTime":
                self.sink.note_time(text)
        elif tag == "Name":
            case.setdefault("name", text)
        elif tag == "Value":
            case.setdefault(self._measure, text)
        elif tag == "Test":
            self._case = None
            self._add(case)

    def _add(self, case: dict[str, str]) -> None:
        outcome: Outcome = "passed" if case["status"] == "passed" else "failed"
        ended = case.get("Exit Code", "Failed")
        if case["status"] not in {"passed", "failed"}:
            outcome = "skipped"
        elif outcome == "failed" and ended not in {"Failed", "Completed"}:
            outcome = "error"  # a time limit, a signal
        text = case.get("output") or case.get("Completion Status", "")
        attempt = self.sink.attempt(outcome, case.get("Execution Time"), text)
        self.sink.add({"classname": "", "name": case.get("name", "")}, [attempt])


_ROBOT_OUTCOMES: Final[dict[str, Outcome]] = {"PASS": "passed", "FAIL": "failed"}
_ROBOT_TIME: Final = "%Y%m%d %H:%M:%S.%f"  # before version 7


class _Robot(_Handler):
    """Robot Framework's ``output.xml``: suites in suites, with the names that its xUnit file has.

    Keywords have a status, too: that of a test stands right below it.
    """

    texts = frozenset({"status"})

    def __init__(self, sink: CaseSink) -> None:
        super().__init__(sink)
        self._suites: list[dict[str, str]] = []
        self._test, self._depth = "", 0
        self._status: dict[str, str] | None = None

    def start(self, tag: str, attributes: dict[str, str], depth: int) -> None:
        if depth == 1:
            self.sink.summary.is_junit = True
            self.sink.note_time(attributes.get("generated"))
        elif tag == "suite":
            self._suites.append(dict(attributes))
        elif tag == "test":
            self._test, self._depth = attributes.get("name", ""), depth
        elif tag == "status" and depth == self._depth + 1:
            self._status = dict(attributes)

    def end(self, tag: str, text: str) -> None:
        if tag == "status" and self._status is not None:
            self._add(self._status, text)
            self._status = None
        elif tag == "test":
            self._depth = 0
        elif tag == "suite" and self._suites:
            self._suites.pop()

    def _add(self, status: dict[str, str], text: str) -> None:
        outcome = _ROBOT_OUTCOMES.get(status.get("status", ""), "skipped")
        attributes = {
            "classname": ".".join(suite.get("name", "") for suite in self._suites),
            "name": self._test,
            "file": self._suites[-1].get("source", "") if self._suites else "",
        }
        self.sink.add(attributes, [self.sink.attempt(outcome, _elapsed(status), text)])


def _elapsed(status: dict[str, str]) -> str | None:
    """Return how long a test of Robot Framework took; before version 7 its end was written."""
    if "elapsed" in status:
        return status["elapsed"]
    try:
        began, ended = (
            datetime.strptime(status[name], _ROBOT_TIME)  # noqa: DTZ007 - a difference
            for name in ("starttime", "endtime")
        )
    except (KeyError, ValueError):
        return None
    return repr((ended - began).total_seconds())


NATIVE_ROOTS: Final[dict[str, type[_Handler]]] = {
    "TestRun": _Trx,
    "test-run": _NUnit,
    "assemblies": _XUnit,
    "assembly": _XUnit,
    "Site": _CTest,
    "robot": _Robot,
}
